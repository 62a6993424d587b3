"""Tests of hidden values: User-Password and the salted ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius.wire.authenticators import KeyedSecret
from radius.wire.hiding import (
    Rehiding,
    hide_salted,
    hide_user_password,
    reveal_salted,
    reveal_user_password,
)
from radius.wire.packet import value_at
from tests.radius.wire.packets import CLIENT, CLIENT_AUTHENTICATOR, HOME, KEY, OWN_AUTHENTICATOR, parse
from tests.vectors.rfc import EXCHANGES, SECRET, Exchange

WITH_PASSWORD = [exchange for exchange in EXCHANGES if exchange.password is not None]
secrets = st.binary(min_size=1, max_size=80)
authenticators = st.binary(min_size=16, max_size=16)


def build_rehiding(salt: int = 5) -> Rehiding:
    """Build a move from the home server's hop to the client's."""
    return Rehiding(HOME, OWN_AUTHENTICATOR, CLIENT, CLIENT_AUTHENTICATOR, salt)


class TestUserPassword:
    @pytest.mark.parametrize("exchange", WITH_PASSWORD, ids=lambda exchange: exchange.name)
    def test_password_of_the_rfc_is_revealed_and_hidden(self, exchange: Exchange) -> None:
        """The passwords in the RFC's examples come out, and hide to the same octets (RFC 2865 §5.2 and §7)."""
        request = parse(exchange.request)
        hidden = value_at(request.octets, request.user_password)
        keyed = KeyedSecret(SECRET)
        assert exchange.password is not None
        assert reveal_user_password(hidden, keyed, request.authenticator) == exchange.password
        assert hide_user_password(exchange.password, keyed, request.authenticator) == hidden

    @given(st.binary(max_size=128), secrets, authenticators)
    def test_what_is_hidden_is_revealed(self, password: bytes, secret: bytes, authenticator: bytes) -> None:
        """Any password of up to 128 octets comes back, but for NULs at its end, which are padding."""
        keyed = KeyedSecret(secret)
        hidden = hide_user_password(password, keyed, authenticator)
        assert len(hidden) in range(16, 129, 16)
        assert reveal_user_password(hidden, keyed, authenticator) == password.rstrip(b"\0")

    def test_overlong_password_is_our_own_fault(self) -> None:
        """We do not hide more than 128 octets (RFC 2865 §5.2)."""
        with pytest.raises(ValueError, match="at most 128 octets"):
            hide_user_password(bytes(129), CLIENT, CLIENT_AUTHENTICATOR)

    @pytest.mark.parametrize("size", [0, 1, 15, 17, 31, 129, 144, 240, 253])
    def test_impossible_length_has_no_password(self, size: int) -> None:
        """A length that is none of 16, 32, … 128 is answered with None (RFC 2865 §5.2)."""
        assert reveal_user_password(bytes(size), CLIENT, CLIENT_AUTHENTICATOR) is None
        assert build_rehiding().rehide_user_password(bytes(size)) is None

    @given(st.binary(min_size=16, max_size=128).map(lambda octets: octets[: len(octets) // 16 * 16]))
    def test_moving_keeps_every_octet(self, padded: bytes) -> None:
        """The next hop sees the octets that this one saw: NULs, bad UTF-8, whatever stands in the padding."""
        hidden = bytes(len(padded))  # whatever it reveals is what has to arrive
        moved = build_rehiding().rehide_user_password(hidden)
        assert moved is not None
        back = Rehiding(CLIENT, CLIENT_AUTHENTICATOR, HOME, OWN_AUTHENTICATOR, 0).rehide_user_password(moved)
        assert back == hidden

    def test_moved_password_is_revealed_by_the_next_hop(self) -> None:
        """A password with NULs inside and octets that are no text arrives unchanged."""
        password = b"\0pa\0ss\xff\xfe" * 9
        moved = build_rehiding().rehide_user_password(hide_user_password(password, HOME, OWN_AUTHENTICATOR))
        assert moved is not None
        assert reveal_user_password(moved, CLIENT, CLIENT_AUTHENTICATOR) == password


class TestSalted:
    @given(st.binary(max_size=239), st.integers(0, 0xFFFF), secrets, authenticators)
    def test_what_is_hidden_is_revealed(self, value: bytes, salt: int, secret: bytes, authenticator: bytes) -> None:
        """Any value that fits comes back; the salt has its mark (RFC 2548 §2.4.2)."""
        keyed = KeyedSecret(secret)
        hidden = hide_salted(value, salt, keyed, authenticator)
        assert hidden[0] & 0x80
        assert len(hidden) % 16 == 2
        assert reveal_salted(hidden, keyed, authenticator) == value

    def test_overlong_value_is_our_own_fault(self) -> None:
        """A value that no attribute holds is not hidden."""
        with pytest.raises(ValueError, match="at most 239 octets"):
            hide_salted(bytes(240), 1, CLIENT, CLIENT_AUTHENTICATOR)

    @pytest.mark.parametrize("size", [0, 1, 2, 3, 16, 17, 19, 32, 33, 35, 49])
    def test_impossible_length_has_no_value(self, size: int) -> None:
        """Salt and whole blocks, or nothing (RFC 2548 §2.4.2)."""
        assert reveal_salted(bytes(size), CLIENT, CLIENT_AUTHENTICATOR) is None
        assert build_rehiding().rehide_salted(bytes(size)) is None

    @pytest.mark.parametrize(("inner", "is_possible"), [(0, True), (15, True), (16, False), (47, False), (255, False)])
    def test_length_inside_has_to_fit(self, inner: int, is_possible: bool) -> None:  # noqa: FBT001 - a table's column
        """A length inside the value that passes its end is a trap for the receiver (CVE-2003-0967's class)."""
        plain = bytes((inner,)) + bytes(15)
        salt = b"\x80\x01"
        stream = HOME.md5_after(OWN_AUTHENTICATOR + salt)
        hidden = salt + bytes(left ^ right for left, right in zip(plain, stream, strict=True))
        revealed = reveal_salted(hidden, HOME, OWN_AUTHENTICATOR)
        moved = build_rehiding().rehide_salted(hidden)
        assert (revealed is not None) == is_possible
        assert (moved is not None) == is_possible

    @given(st.binary(max_size=239), st.integers(0, 0x7FFF))
    def test_moved_value_is_revealed_by_the_next_hop(self, value: bytes, salt: int) -> None:
        """The value arrives, with the size that it had."""
        hidden = hide_salted(value, 77, HOME, OWN_AUTHENTICATOR)
        moved = build_rehiding(salt).rehide_salted(hidden)
        assert moved is not None
        assert len(moved) == len(hidden)
        assert reveal_salted(moved, CLIENT, CLIENT_AUTHENTICATOR) == value

    def test_each_value_gets_its_own_salt(self) -> None:
        """No salt comes twice in a packet, and each has its mark, also where 15 bits run over (RFC 2548 §2.4.2)."""
        rehiding = build_rehiding(0x7FFE)
        hidden = hide_salted(KEY, 1, HOME, OWN_AUTHENTICATOR)
        salts = [(rehiding.rehide_salted(hidden) or b"")[:2] for _ in range(4)]
        assert salts == [b"\xff\xfe", b"\xff\xff", b"\x80\x00", b"\x80\x01"]

    def test_salt_without_its_mark_is_accepted(self) -> None:
        """A sender that forgot the mark is understood; what goes on has it."""
        salt = b"\x00\x01"
        stream = HOME.md5_after(OWN_AUTHENTICATOR + salt)
        hidden = salt + bytes(left ^ right for left, right in zip(b"\x03key" + bytes(12), stream, strict=True))
        moved = build_rehiding().rehide_salted(hidden)
        assert moved is not None
        assert moved[0] & 0x80
        assert reveal_salted(moved, CLIENT, CLIENT_AUTHENTICATOR) == b"key"
