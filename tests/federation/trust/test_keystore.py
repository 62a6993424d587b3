"""Secrets at rest: what opens, what does not, and how the key file is kept."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import TrustError
from federation.trust.keystore import (
    SEALED_OVERHEAD_OCTETS,
    NodeKey,
    Sealer,
    create_node_key,
    load_node_keys,
    load_sealer,
    retire_node_keys,
    rotate_node_key,
)

SEALER = Sealer([NodeKey(bytes(range(32)))])


class TestSealed:
    @given(st.binary(max_size=300), st.text(max_size=40))
    def test_sealed_octets_open_with_their_context(self, plaintext: bytes, context: str) -> None:
        """What was sealed opens to the same octets, whatever they are."""
        context = context.encode(errors="ignore").decode()
        assert plaintext == SEALER.open(SEALER.seal(plaintext, context), context)

    def test_every_altered_octet_is_refused(self) -> None:
        """A change to any octet of the sealed form, its version and key id included, is noticed."""
        sealed = SEALER.seal(b"secret", "row/1")
        for offset in range(len(sealed)):
            altered = bytearray(sealed)
            altered[offset] ^= 1
            with pytest.raises(TrustError):
                SEALER.open(bytes(altered), "row/1")

    def test_every_truncation_is_refused(self) -> None:
        """No prefix of a sealed value opens."""
        sealed = SEALER.seal(b"secret", "row/1")
        for length in range(len(sealed)):
            with pytest.raises(TrustError):
                SEALER.open(sealed[:length], "row/1")

    def test_another_context_is_refused(self) -> None:
        """A sealed value that is copied to another row does not open there."""
        sealed = SEALER.seal(b"secret", "row/1")
        with pytest.raises(TrustError, match="belongs elsewhere"):
            SEALER.open(sealed, "row/2")

    def test_another_key_is_refused_by_its_id(self) -> None:
        """A value of another installation is refused with the id of the key that is missing."""
        other = NodeKey(b"\x07" * 32)
        with pytest.raises(TrustError, match=other.key_id.hex()):
            SEALER.open(Sealer([other]).seal(b"secret", "row/1"), "row/1")

    def test_same_plaintext_seals_differently(self) -> None:
        """Two rows with one secret do not show that it is the same."""
        assert SEALER.seal(b"secret", "row/1") != SEALER.seal(b"secret", "row/1")

    def test_overhead_is_what_columns_are_sized_for(self) -> None:
        """The sealed form is longer than its plaintext by a known number of octets."""
        assert len(SEALER.seal(b"12345", "x")) == 5 + SEALED_OVERHEAD_OCTETS

    def test_refusal_never_names_the_secret(self) -> None:
        """Neither the error nor a key's text form has secret octets in it."""
        key = NodeKey(b"K" * 32)
        sealed = Sealer([key]).seal(b"a secret that must not show", "row/1")
        with pytest.raises(TrustError) as caught:
            Sealer([key]).open(sealed, "row/2")
        assert "must not show" not in str(caught.value)
        assert "KKK" not in repr(key)


class TestDerived:
    def test_derived_secrets_differ_by_label_and_key(self) -> None:
        """Each label has a secret of its own, and so has each installation."""
        other = Sealer([NodeKey(b"\x07" * 32)])
        derived = {SEALER.derive(b"a"), SEALER.derive(b"b"), other.derive(b"a"), bytes(range(32))}
        assert len(derived) == 4

    def test_derived_secret_is_stable(self) -> None:
        """The same key and label give the same octets in every process and release (a value made once and kept)."""
        assert SEALER.derive(b"hosted-home-server").hex() == (
            "13c2604fb5c07a83496bcc86a50d8f949a9e68dc1974b1d4ea02476ecd08071c"
        )

    def test_derived_length_is_as_asked(self) -> None:
        """As many octets as asked for, and a longer one does not begin with the wrong octets."""
        assert len(SEALER.derive(b"a", 100)) == 100
        assert SEALER.derive(b"a", 100)[:32] == SEALER.derive(b"a", 32)

    @pytest.mark.parametrize("length", [0, -1, 255 * 32 + 1])
    def test_impossible_length_is_refused(self, length: int) -> None:
        """HKDF gives 1 to 8160 octets (RFC 5869 §2.3)."""
        with pytest.raises(TrustError):
            SEALER.derive(b"a", length)


class TestKeys:
    @pytest.mark.parametrize("length", [0, 16, 31, 33])
    def test_key_of_another_length_is_refused(self, length: int) -> None:
        """A node key has 32 octets."""
        with pytest.raises(TrustError):
            NodeKey(bytes(length))

    def test_no_key_is_refused(self) -> None:
        """A sealer needs a key to seal with."""
        with pytest.raises(TrustError):
            Sealer([])

    def test_same_key_twice_is_refused(self) -> None:
        """A key that occurs twice is a mistake of who wrote the file."""
        with pytest.raises(TrustError):
            Sealer([NodeKey(bytes(32)), NodeKey(bytes(32))])


class TestRotation:
    def test_old_values_open_and_new_values_need_the_new_key(self) -> None:
        """With two keys the first seals and both open."""
        old, new = NodeKey.generate(), NodeKey.generate()
        sealed_before = Sealer([old]).seal(b"secret", "row/1")
        both = Sealer([new, old])
        assert both.open(sealed_before, "row/1") == b"secret"
        assert not both.is_current(sealed_before)
        sealed_after = both.reseal(sealed_before, "row/1")
        assert both.is_current(sealed_after)
        assert Sealer([new]).open(sealed_after, "row/1") == b"secret"
        with pytest.raises(TrustError):
            Sealer([old]).open(sealed_after, "row/1")

    def test_current_value_stays_as_it_is(self) -> None:
        """Resealing a second time changes nothing, so an interrupted rotation can be run again."""
        sealed = SEALER.seal(b"secret", "row/1")
        assert SEALER.reseal(sealed, "row/1") is sealed

    def test_file_goes_through_a_whole_rotation(self, tmp_path: Path) -> None:
        """A rotation adds a key in front, and retiring leaves that one alone."""
        path = tmp_path / "node.key"
        sealed = create_node_key(path).seal(b"secret", "row/1")
        rotated = rotate_node_key(path)
        sealed = rotated.reseal(sealed, "row/1")
        assert len(load_node_keys(path)) == 2
        assert retire_node_keys(path) == 1
        assert load_sealer(path).open(sealed, "row/1") == b"secret"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [path] == list(tmp_path.iterdir())


class TestFile:
    @pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
    def test_new_file_is_for_its_owner_alone(self, tmp_path: Path, umask: int) -> None:
        """The key file has mode 0600 whatever the umask, and nothing else is left beside it."""
        path = tmp_path / "node.key"
        before = os.umask(umask)
        try:
            create_node_key(path)
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [path] == list(tmp_path.iterdir())

    def test_file_loads_to_the_same_sealer(self, tmp_path: Path) -> None:
        """What the maker of the file sealed opens with the file."""
        path = tmp_path / "node.key"
        assert load_sealer_opens(create_node_key(path), path)

    def test_existing_file_is_never_replaced(self, tmp_path: Path) -> None:
        """Making a key where there is one is refused, for the old one opens the database."""
        path = tmp_path / "node.key"
        create_node_key(path)
        before = path.read_bytes()
        with pytest.raises(TrustError, match="already"):
            create_node_key(path)
        assert before == path.read_bytes()
        assert [path] == list(tmp_path.iterdir())

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
    def test_file_that_others_may_read_is_refused(self, tmp_path: Path, mode: int) -> None:
        """A key that others may read is refused, with the command that helps."""
        path = tmp_path / "node.key"
        create_node_key(path)
        path.chmod(mode)
        with pytest.raises(TrustError, match="chmod 600"):
            load_sealer(path)

    def test_missing_file_is_refused(self, tmp_path: Path) -> None:
        """A missing key file is named, with its path."""
        with pytest.raises(TrustError, match="node\\.key"):
            load_sealer(tmp_path / "node.key")

    def test_missing_directory_is_refused(self, tmp_path: Path) -> None:
        """A key can not be made where there is no directory."""
        with pytest.raises(TrustError, match="can not write"):
            create_node_key(tmp_path / "nowhere" / "node.key")

    def test_directory_is_refused(self, tmp_path: Path) -> None:
        """A directory in the place of the key file is refused."""
        directory = tmp_path / "node.key"
        directory.mkdir(mode=0o700)
        with pytest.raises(TrustError, match="not a regular file"):
            load_sealer(directory)

    def test_named_pipe_is_refused_at_once(self, tmp_path: Path) -> None:
        """A pipe in the place of the key file does not make the program wait."""
        os.mkfifo(tmp_path / "node.key", 0o600)
        with pytest.raises(TrustError, match="not a regular file"):
            load_sealer(tmp_path / "node.key")

    @pytest.mark.parametrize(
        "content",
        [b"", b"# only a comment\n", b"short\n", b"\xff\xfe", b"A" * 44 + b"\n", b"A" * 43 + b"= trailing\n"],
    )
    def test_other_content_is_refused(self, tmp_path: Path, content: bytes) -> None:
        """A file that holds anything but keys and comments is refused."""
        path = tmp_path / "node.key"
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(TrustError):
            load_sealer(path)


def load_sealer_opens(sealer: Sealer, path: Path) -> bool:
    return load_sealer(path).open(sealer.seal(b"secret", "row/1"), "row/1") == b"secret"
