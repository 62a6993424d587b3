"""How a patron's user name is written: one form for the store, whatever a device sends."""

import unicodedata

from federation.errors import InvalidInput

MAX_USER_OCTETS = 128  # with "@" and a realm it has to fit a User-Name of 253 octets (RFC 2865 §5.1)

# Cc: NUL, CR, LF and their kind, which end lines in logs and in library systems' protocols. Cf: invisible characters,
# which make two names look alike. Cs and Cn can not be written. Zl, Zp: line ends of Unicode.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"})
_REFUSED_CHARACTERS = frozenset("|@")  # the field end of SIP2; the end of the user's part (RFC 7542 §2.2)


class InvalidPatronName(InvalidInput):
    """A user name that no patron can have; the message says why."""

    def __init__(self, message: str) -> None:
        super().__init__(message, field="user")


def normalise_user(text: str) -> str:
    """The form in which *text* is stored and looked up: Unicode NFC, without difference of case.

    "Jansen", "JANSEN" and "jansen" are one patron; "é" is one character however a keyboard composes it. Inner spaces
    and leading zeros count: "007" and "7" are two cards.

    Raises:
        InvalidPatronName: it is empty or longer than 128 octets, begins or ends with white space, or has a character
            that could end a line or a field, or hide.
    """
    # Before any work on it: NFC and case folding can lengthen a text, by a factor that Unicode bounds.
    if len(text) > MAX_USER_OCTETS:
        raise InvalidPatronName(f"a user name has at most {MAX_USER_OCTETS} octets")
    if not text:
        raise InvalidPatronName("a user name can not be empty")
    user = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    for character in user:
        if character in _REFUSED_CHARACTERS or unicodedata.category(character) in _REFUSED_CATEGORIES:
            raise InvalidPatronName(f"a user name can not have the character U+{ord(character):04X}")
    if user != user.strip():
        raise InvalidPatronName("a user name can not begin or end with white space")
    if len(user.encode()) > MAX_USER_OCTETS:
        raise InvalidPatronName(f"a user name has at most {MAX_USER_OCTETS} octets")
    return user
