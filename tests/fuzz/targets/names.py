"""A User-Name: judged, and where it may travel, of one realm that is written in one way."""

import string
from typing import Final

from federation.errors import InvalidRealm
from federation.names import MAX_NAME_OCTETS, UserName, is_realm, normalise_realm, parse_user_name
from federation.policy import DEFAULT_DENIED_REALMS, DenyList
from federation.reasons import RefusalReason

_DENIED: Final = DenyList(DEFAULT_DENIED_REALMS)
_REALM_CHARACTERS: Final = frozenset(string.ascii_lowercase + string.digits + "-.")


def exercise(octets: bytes) -> None:
    """The octets are the name as a device sends it, and the realm as a person types it."""
    parsed = parse_user_name(octets)
    if isinstance(parsed, UserName):
        user, realm = parsed
        written = octets[len(user) + 1 :]
        assert octets == user + b"@" + written
        assert user
        assert b"@" not in user
        assert len(octets) <= MAX_NAME_OCTETS
        assert set(realm) <= _REALM_CHARACTERS
        assert is_realm(realm.encode("ascii"))
        assert all(0 < len(label) < 64 and label.strip("-") == label for label in realm.split("."))
        assert "." in realm
        assert octets.decode("utf-8").isprintable(), "it would break a line of the log"
        assert normalise_realm(written.decode("utf-8")) == realm
        if written.isascii():
            assert written.lower() == realm.encode("ascii")
        assert _DENIED.denies(realm) in (True, False)
    else:
        assert isinstance(parsed, RefusalReason)
    _write_realm(octets.decode("utf-8", "replace"))


def _write_realm(text: str) -> None:
    try:
        realm = normalise_realm(text)
    except InvalidRealm:
        return
    assert is_realm(realm.encode("ascii"))
    assert normalise_realm(realm) == realm
    found = parse_user_name(b"a@" + realm.encode("ascii"))
    assert found is RefusalReason.NAME_SYNTAX or found == UserName(b"a", realm)
