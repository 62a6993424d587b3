"""Passwords that were right a moment ago.

A device that moves between access points signs in each time, and the hash of a password, which is meant to be slow,
costs more than all the rest of that.

What is kept is a keyed digest in this process's memory, for ten minutes, of the password together with the patron's
hash: a new password, or another patron, has another. Whether the patron may sign in is asked of the registry each time.
A wrong password is in no such list, so guessing costs what it cost.
"""

import secrets
from collections.abc import Callable
from hashlib import blake2b
from threading import Lock
from time import monotonic

SECONDS = 600.0
LIMIT = 20_000  # about 4 MB
_KEY_OCTETS = 32


class RecentPasswords:
    """A bounded list of them; safe to share between threads."""

    def __init__(self, seconds: float = SECONDS, limit: int = LIMIT, clock: Callable[[], float] = monotonic, /) -> None:
        """`clock` gives seconds and never goes back."""
        self._seconds = seconds
        self._limit = limit
        self._clock = clock
        self._key = secrets.token_bytes(_KEY_OCTETS)
        self._until: dict[bytes, float] = {}  # the oldest first
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._until)

    def has(self, encoded: str, password: bytes) -> bool:
        """Whether the password was right for that hash within the last minutes."""
        return self._until.get(self._digest(encoded, password), 0.0) > self._clock()

    def add(self, encoded: str, password: bytes) -> None:
        """The password is right for that hash, now; being asked again does not make it last longer."""
        digest = self._digest(encoded, password)
        now = self._clock()
        with self._lock:
            self._until.pop(digest, None)
            while self._until and (len(self._until) >= self._limit or next(iter(self._until.values())) <= now):
                del self._until[next(iter(self._until))]
            self._until[digest] = now + self._seconds

    def _digest(self, encoded: str, password: bytes) -> bytes:
        hashed = encoded.encode()
        return blake2b(len(hashed).to_bytes(4) + hashed + password, key=self._key).digest()
