"""Password hashes: what is right, what is wrong, and that both cost the same."""

import pytest

from federation.identity.passwords import (
    LANES,
    MEMORY_KIB,
    PASSES,
    InvalidPassword,
    PasswordHashes,
    default_hashes,
    nt_hash,
    prepare_password,
    validate_new_password,
)

HASHES = PasswordHashes(memory_kib=64, passes=1)  # the algorithm, at a cost that tests can pay often


class TestVerify:
    def test_right_password_is_right(self) -> None:
        """A password belongs to its own hash."""
        assert HASHES.verify(HASHES.hash(b"geheim"), b"geheim")

    @pytest.mark.parametrize("password", [b"", b"Geheim", b"geheim ", b"geheim\x00", b"\xff\xfe"])
    def test_wrong_password_is_wrong(self, password: bytes) -> None:
        """Any other octets are wrong, empty ones and octets that are no text among them."""
        assert not HASHES.verify(HASHES.hash(b"geheim"), password)

    def test_nobody_is_always_wrong(self) -> None:
        """There is no password of an unknown patron."""
        assert not HASHES.verify(None, b"geheim")

    @pytest.mark.parametrize("encoded", ["x", "$argon2id$", "$2b$12$abcdefghijklmnopqrstuv"])
    def test_row_that_is_no_hash_lets_nobody_in(self, encoded: str) -> None:
        """A damaged hash is a wrong password, not a crash."""
        assert not HASHES.verify(encoded, b"geheim")

    def test_composition_of_characters_does_not_matter(self) -> None:
        """A password typed with combining characters is the one typed without (RFC 8265 §4.2.2)."""
        assert HASHES.verify(HASHES.hash("caf\u00e9".encode()), "cafe\u0301".encode())

    def test_octets_that_are_no_text_stay_as_they_are(self) -> None:
        """A password in another character set is compared octet for octet."""
        assert prepare_password(b"caf\xe9") == b"caf\xe9"


class TestParameters:
    def test_defaults_are_argon2id_19_mib_two_passes_one_lane(self) -> None:
        """The parameters in force stand in each hash."""
        assert default_hashes().hash(b"x").startswith(f"$argon2id$v=19$m={19 * 1024},t=2,p=1$")
        assert (MEMORY_KIB, PASSES, LANES) == (19 * 1024, 2, 1)

    def test_other_parameters_are_outdated(self) -> None:
        """A hash of earlier parameters still verifies, and is known to be outdated."""
        encoded = PasswordHashes(memory_kib=32, passes=1).hash(b"geheim")
        assert HASHES.verify(encoded, b"geheim")
        assert HASHES.is_outdated(encoded)
        assert not HASHES.is_outdated(HASHES.hash(b"geheim"))


class TestNewPassword:
    @pytest.mark.parametrize("text", ["", "a\x00b", "a\r", "a\nb", "\x1b", "a" * 129, "é" * 65, "a\ud800"])
    def test_password_that_can_not_travel_is_refused(self, text: str) -> None:
        """Empty, over-long and control characters are refused, without the password in the message."""
        with pytest.raises(InvalidPassword) as caught:
            validate_new_password(text)
        assert not text or text not in str(caught.value)

    @pytest.mark.parametrize("text", ["1", " ", "a" * 128, "é" * 64, "wacht woord", "пароль|@"])
    def test_other_text_is_a_password(self, text: str) -> None:
        """Any text of 1 to 128 octets can be a password: a PIN of a library system among them."""
        assert validate_new_password(text) == text.encode()


class TestNtHash:
    def test_vector(self) -> None:
        """RFC 2759 §9.2: the hash of "clientPass"."""
        assert nt_hash(b"clientPass") == bytes.fromhex("44EBBA8D5312B8D611474411F56989AE")

    def test_octets_that_are_no_text_have_none(self) -> None:
        """MSCHAPv2 hashes text; octets in another character set have no NT hash."""
        assert nt_hash(b"\xff\xfe\xfd") is None
