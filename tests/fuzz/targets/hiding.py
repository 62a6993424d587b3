"""Hidden values of any form: revealed or refused, hidden again without a change of what they say."""

from radius.errors import DropReason
from radius.wire.authenticators import KeyedSecret
from radius.wire.hiding import Rehiding, hide_salted, hide_user_password, reveal_salted, reveal_user_password
from radius.wire.salted import rewrite_tunnel_password, rewrite_vendor_attribute
from tests.fuzz.script import Script

FROM = KeyedSecret(b"secret of the home server")
TO = KeyedSecret(b"secret of the access point")
FROM_AUTHENTICATOR = bytes(range(0xF0, 0x100))
TO_AUTHENTICATOR = bytes(range(16))


def exercise(octets: bytes) -> None:
    """The first octet chooses the kind of value; the others are the value."""
    script = Script(octets)
    kind = script.take_octet() % 4
    value = script.take_rest()[:253]
    rehiding = Rehiding(FROM, FROM_AUTHENTICATOR, TO, TO_AUTHENTICATOR, 7)
    if kind == 0:
        _move_password(value, rehiding)
    elif kind == 1:
        _move_salted(value, rehiding)
    elif kind == 2:
        moved = rewrite_tunnel_password(value, rehiding)
        assert moved is None or (moved[:1], len(moved)) == (value[:1], len(value))
    else:
        moved = rewrite_vendor_attribute(value, rehiding)
        assert moved is None or isinstance(moved, DropReason) or len(moved) <= len(value)


def _move_password(hidden: bytes, rehiding: Rehiding) -> None:
    plain = reveal_user_password(hidden, FROM, FROM_AUTHENTICATOR)
    moved = rehiding.rehide_user_password(hidden)
    if plain is None or moved is None:
        assert plain is None
        assert moved is None
        assert len(hidden) not in range(16, 129, 16)
        return
    assert len(moved) == len(hidden)
    assert reveal_user_password(moved, TO, TO_AUTHENTICATOR) == plain
    assert reveal_user_password(hide_user_password(plain, TO, TO_AUTHENTICATOR), TO, TO_AUTHENTICATOR) == plain


def _move_salted(hidden: bytes, rehiding: Rehiding) -> None:
    plain = reveal_salted(hidden, FROM, FROM_AUTHENTICATOR)
    moved = rehiding.rehide_salted(hidden)
    if plain is None or moved is None:
        assert plain is None
        assert moved is None
        return
    assert len(moved) == len(hidden)
    assert moved[0] >= 0x80  # RFC 2548 §2.4.2: the mark of the salt
    assert reveal_salted(moved, TO, TO_AUTHENTICATOR) == plain
    again = rehiding.rehide_salted(hidden)
    assert again is not None
    assert again[:2] != moved[:2]  # no salt comes twice in a packet
    if len(plain) <= 239:
        assert reveal_salted(hide_salted(plain, 3, TO, TO_AUTHENTICATOR), TO, TO_AUTHENTICATOR) == plain
