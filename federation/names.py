"""User names and realms: what may travel, and how a realm is written in the registry.

A request's name is judged as octets and forwarded unchanged; only the look-up uses the lower-case realm. The rules are
those of RFC 7542 and of the filters that roaming federations ask their members to apply before a request leaves.
"""

import unicodedata
from typing import Final, NamedTuple

from federation.errors import InvalidRealm
from federation.reasons import RefusalReason

MAX_NAME_OCTETS: Final = 253  # RFC 7542 §2.3
MAX_LABEL_OCTETS: Final = 63  # RFC 1035 §2.3.4

_LOWER: Final = bytes(octet + 32 if 65 <= octet <= 90 else octet for octet in range(256))
# What may be in a realm stays as it is, all else is NUL.
_OF_REALM: Final = bytes(octet if octet in b"abcdefghijklmnopqrstuvwxyz0123456789-." else 0 for octet in range(256))
_SPACE: Final = 0x20  # which text may have inside
_WHITE_SPACE_AT_AN_END: Final = b" \t"
# Octets are looked for with `find`: `in` raises an exception inside first, since what it is given is no number.
_NOWHERE: Final = -1


class UserName(NamedTuple):
    """A name that may travel."""

    user: bytes  # before the "@", as it came; never empty
    realm: str  # lower-case A-labels


def parse_user_name(octets: bytes) -> UserName | RefusalReason:
    """Return the parts of a User-Name, or why it may not travel (RFC 7542 §2.2).

    A realm has two labels or more of letters, digits and inner hyphens. It is looked up in lower case and in A-labels
    (§2.5); a look-alike, such as one in full-width letters, does not become somebody's realm.
    """
    user, at, domain = octets.rpartition(b"@")
    if not at or not domain:
        return _judge_without_realm(octets, has_at=bool(at))
    if user.find(b"@") != _NOWHERE:
        return RefusalReason.MULTIPLE_AT
    if len(octets) > MAX_NAME_OCTETS or not _is_clean(octets):
        return RefusalReason.NAME_SYNTAX
    if not user:
        return RefusalReason.USER_MISSING
    realm = domain.lower() if domain.isascii() else _find_a_labels(domain.decode("utf-8"))
    if realm is None or not is_realm(realm):
        return RefusalReason.REALM_SYNTAX
    return UserName(user, realm.decode("ascii"))


def is_user(octets: bytes) -> bool:
    """Whether octets without "@" may stand before it: all else, if the name is not too long, is its realm's to say."""
    return bool(octets) and octets[0] != _SPACE and _is_printable(octets)


def is_realm(realm: bytes) -> bool:
    """Whether these octets are a realm in its looked-up form: lower-case A-labels, two or more."""
    if len(realm) > MAX_NAME_OCTETS or realm.find(b".") == _NOWHERE or realm.translate(_OF_REALM) != realm:
        return False
    # Names come from devices, as many and as odd as they like: no step here is taken once for each label.
    framed = b"." + realm + b"."
    if framed.find(b"..") != _NOWHERE or framed.find(b".-") != _NOWHERE or framed.find(b"-.") != _NOWHERE:
        return False
    return len(realm) <= MAX_LABEL_OCTETS or max(map(len, realm.split(b"."))) <= MAX_LABEL_OCTETS


def _judge_without_realm(octets: bytes, *, has_at: bool) -> RefusalReason:
    if not octets:
        return RefusalReason.USER_NAME_MISSING
    if has_at:
        return RefusalReason.REALM_MISSING if octets.count(b"@") == 1 else RefusalReason.MULTIPLE_AT
    if octets[:5].translate(_LOWER) == b"host/":
        return RefusalReason.HOST_NAME
    return RefusalReason.REALM_MISSING


def _is_clean(octets: bytes) -> bool:
    """No control character, no white space at an end, and text at all; octets of other scripts are the user's own."""
    if octets[0] in _WHITE_SPACE_AT_AN_END or octets[-1] in _WHITE_SPACE_AT_AN_END:
        return False
    return _is_printable(octets)


def _is_printable(octets: bytes) -> bool:
    """Text, with no control, format or space character of any script."""
    try:
        return octets.decode("utf-8").isprintable()
    except UnicodeDecodeError:
        return False


def normalise_realm(text: str) -> str:
    """Return a realm as the registry writes it: lower-case A-labels.

    Raises:
        InvalidRealm: it is no domain name of two labels or more, or a wildcard.
    """
    if "*" in text:
        raise InvalidRealm(f"{text!r} is a wildcard; name each realm, or turn on its sub-realms", field="realm")
    realm = _find_a_labels(text)
    if realm is None:
        raise InvalidRealm(
            f"{text!r} can not be written as a domain name without doubt; use A-labels (xn--…)", field="realm"
        )
    if not is_realm(realm):
        raise InvalidRealm(
            f"{text!r} is no realm: it needs two labels or more of letters, digits and inner hyphens, such as "
            "library.example",
            field="realm",
        )
    return realm.decode("ascii")


def _find_a_labels(text: str) -> bytes | None:
    """The text in lower-case A-labels; None where that would say something else.

    Python's codec is the older IDNA (RFC 3490), which writes a sharp s as "ss" and full-width letters as plain ones:
    another name than the one that was meant. A name that does not come back as it was is none.
    """
    if text.isascii():
        return text.encode("ascii").translate(_LOWER)
    try:
        if len(text) <= MAX_NAME_OCTETS and unicodedata.is_normalized("NFKC", text):
            realm = text.encode("idna").translate(_LOWER)
            return realm if realm.decode("idna") == text.lower() else None
    except UnicodeError:
        pass
    return None
