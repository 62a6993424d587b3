"""How often somebody may be wrong about a patron's password: a PIN of four digits is found in minutes otherwise.

Each patron has some wrong answers, given back slowly; each device has fewer, given back more slowly, so that a device
with an old password does not use up its owner's. A device that the patron has signed in with counts by itself alone:
who tries passwords elsewhere does not keep the patron's own devices out. Names that nobody has are counted in the same
way, so that a refusal does not tell whether there is such a patron.

All of it is in memory, by digests; a restart forgets it.
"""

import hashlib
import unicodedata
from typing import Final, TypeAlias, TypeVar

from radius.wire.attributes import fold_station

PATRON_TRIES: Final = 10.0
PATRON_SECONDS: Final = 30.0  # for each further one: 2,880 a day, so 10,000 PINs take days, not minutes
DEVICE_TRIES: Final = 5.0
DEVICE_SECONDS: Final = 60.0  # slower than the patron's, so that one stale device leaves tries for the others
MAX_PATRONS: Final = 50_000  # some 15 MB; the longest untouched are forgotten first
MAX_DEVICES: Final = 100_000
_DIGEST_OCTETS: Final = 12

Key: TypeAlias = bytes
Value = TypeVar("Value")


class Guesses:
    """The wrong answers of late."""

    __slots__ = ("_devices", "_key", "_known", "_patrons")

    def __init__(self, key: bytes) -> None:
        """`key` makes the digests; it is this node's own."""
        self._key = key[: hashlib.blake2b.MAX_KEY_SIZE]
        self._patrons: dict[Key, tuple[float, float]] = {}  # tries left, and when that was so
        self._devices: dict[Key, tuple[float, float]] = {}
        self._known: dict[Key, None] = {}  # devices that their patron has signed in with

    def may_try(self, realm: str, user: str, device: bytes, now: float) -> bool:
        """Whether one more answer is looked at."""
        patron, pair = self._keys(realm, user, device)
        if _left(self._devices.get(pair), now, DEVICE_TRIES, DEVICE_SECONDS) < 1:
            return False
        return pair in self._known or _left(self._patrons.get(patron), now, PATRON_TRIES, PATRON_SECONDS) >= 1

    def count(self, realm: str, user: str, device: bytes, now: float) -> None:
        """It was wrong. Several that were looked at together all count, and take longer to be forgotten."""
        patron, pair = self._keys(realm, user, device)
        left = _left(self._devices.get(pair), now, DEVICE_TRIES, DEVICE_SECONDS)
        _put(self._devices, pair, (left - 1, now), MAX_DEVICES)
        if pair not in self._known:
            left = _left(self._patrons.get(patron), now, PATRON_TRIES, PATRON_SECONDS)
            _put(self._patrons, patron, (left - 1, now), MAX_PATRONS)

    def forget(self, realm: str, user: str, device: bytes) -> None:
        """It was right: this device is the patron's, and has all its tries again."""
        _, pair = self._keys(realm, user, device)
        self._devices.pop(pair, None)
        if device:
            _put(self._known, pair, None, MAX_DEVICES)

    def _keys(self, realm: str, user: str, device: bytes) -> tuple[Key, Key]:
        """Of the patron, however the name is written; and of the patron with the device."""
        folded = "".join(unicodedata.normalize("NFKC", user).casefold().split())
        patron = b"\0".join((realm.encode(), folded.encode(errors="surrogateescape")))
        return self._digest(patron), self._digest(patron + b"\0" + fold_station(device))

    def _digest(self, subject: bytes) -> Key:
        return hashlib.blake2b(subject, digest_size=_DIGEST_OCTETS, key=self._key).digest()


def _left(entry: tuple[float, float] | None, now: float, most: float, seconds: float) -> float:
    if entry is None:
        return most
    tries, since = entry
    return min(most, tries + (now - since) / seconds)


def _put(table: dict[Key, Value], key: Key, value: Value, limit: int) -> None:
    """The newest entry; the longest untouched make room."""
    table.pop(key, None)
    table[key] = value
    if len(table) > limit:
        del table[next(iter(table))]
