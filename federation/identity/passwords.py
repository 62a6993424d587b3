"""Patrons' passwords: what is kept of them, and how one is checked.

Argon2id with 19 MiB, two passes and one lane (OWASP's first choice for a server that checks many): about 28 ms of one
core, with the GIL released, so a pool of threads uses every core.
"""

import secrets
import unicodedata
from functools import cache

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from Crypto.Hash import MD4

from federation.errors import InvalidInput

MEMORY_KIB = 19 * 1024
PASSES = 2
LANES = 1
MAX_PASSWORD_OCTETS = 128  # RFC 2865 §5.2: what User-Password can carry
NT_HASH_OCTETS = 16


class InvalidPassword(InvalidInput):
    """A password that can not be set; the message says why and never what it was."""

    def __init__(self, message: str) -> None:
        super().__init__(message, field="password")


def prepare_password(octets: bytes) -> bytes:
    """*octets* as they are hashed: text in Unicode NFC (RFC 8265 §4.2.2), anything else as it is."""
    try:
        return unicodedata.normalize("NFC", octets.decode()).encode()
    except UnicodeDecodeError:
        return octets


def validate_new_password(text: str) -> bytes:
    """The octets to hash for a new password.

    Raises:
        InvalidPassword: it is empty, longer than 128 octets, or has a control character, which a device's padding or a
            library system's protocol would cut off.
    """
    if not text:
        raise InvalidPassword("a password can not be empty")
    if len(text) > MAX_PASSWORD_OCTETS:
        raise InvalidPassword(f"a password has at most {MAX_PASSWORD_OCTETS} octets")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        raise InvalidPassword("a password can not have control characters")
    octets = prepare_password(text.encode())
    if len(octets) > MAX_PASSWORD_OCTETS:
        raise InvalidPassword(f"a password has at most {MAX_PASSWORD_OCTETS} octets")
    return octets


class PasswordHashes:
    """Makes and checks password hashes; safe to share between threads."""

    def __init__(self, memory_kib: int = MEMORY_KIB, passes: int = PASSES, lanes: int = LANES) -> None:
        self._hasher = PasswordHasher(
            time_cost=passes, memory_cost=memory_kib, parallelism=lanes, hash_len=32, salt_len=16, type=Type.ID
        )
        # What the password of an unknown patron is compared with, so that "unknown" costs the same work as "wrong".
        self._nobody = self._hasher.hash(secrets.token_bytes(32))

    def hash(self, password: bytes) -> str:
        """The encoded argon2id hash of *password*, with a salt and the parameters in it."""
        return self._hasher.hash(prepare_password(password))

    def verify(self, encoded: str | None, password: bytes) -> bool:
        """Whether *password* belongs to *encoded*; with None the same work, and never."""
        try:
            is_right = self._hasher.verify(encoded or self._nobody, prepare_password(password))
        except (VerificationError, InvalidHashError):
            return False
        return is_right and encoded is not None

    def is_outdated(self, encoded: str) -> bool:
        """Whether *encoded* was made with other parameters than those in force."""
        return self._hasher.check_needs_rehash(encoded)


@cache
def default_hashes() -> PasswordHashes:
    """The one with the parameters in force; made once, because making it costs a hash."""
    return PasswordHashes()


def nt_hash(password: bytes) -> bytes | None:
    """The NT hash of *password*, as MSCHAPv2 needs it (RFC 2759 §8.3); None when it is no text.

    It is as good as the password to whoever finds it, and quick to guess from: keep it sealed, and only where a library
    has chosen MSCHAPv2.
    """
    try:
        text = prepare_password(password).decode()
    except UnicodeDecodeError:
        return None
    return MD4.new(text.encode("utf-16-le")).digest()  # noqa: S303 - RFC 2759 knows no other
