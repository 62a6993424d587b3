"""Requests seen lately, so that a repeat is never answered twice by two different minds (RFC 5080 §2.2.2).

States of an entry, and what moves it:

    (none) ──receive──▶ pending ──answer──▶ answered ──window──▶ (none)
                          │  └──forget / hard lifetime──▶ (none)
                          └──receive with another authenticator──▶ pending, anew

Who may see an entry: only a request whose authenticity was checked. What is not here: retransmission towards home
servers (`outstanding`), and whether a repeat deserves a line in the log.
"""

from collections.abc import Hashable
from enum import Enum
from typing import Final, TypeAlias

from radius.exchange.schedule import Schedule

WINDOW_SECONDS: Final = 10.0  # an answer is kept for repeats: RFC 5080 §2.2.2 asks for 5 to 30
PENDING_SECONDS: Final = 30.0  # no request is pending for longer; the proxy's own deadline is 20
MAX_ENTRIES: Final = 100_000  # 10 s of 10,000 logins a second, some 60 MB; beyond, the oldest answers go earlier
MAX_PENDING_PER_SOURCE: Final = 16_384  # one client may not fill the table of all
_LOOKED_AT: Final = 32  # entries at a time, for one that can be given up
# Each new request takes a few with it that are too old, so these go as evenly as requests come; when it is on its
# way, since memory that nobody has touched for ten seconds is slow. Where a timer forgot them all, those of 20 ms held
# up the packet that came just then. The timer waits longer, for what is left.
_FORGOTTEN_BY_EACH: Final = 4
LEFT_SECONDS: Final = 0.1
FORGOTTEN_AT_ONCE: Final = 4  # by the timer in one turn of the loop: some 15 us
# A dict of a hundred thousand entries that come and go is written anew every few seconds, 8 ms in one piece; one of its
# parts takes a hundredth of a millisecond.
PARTS: Final = 256
_MASK: Final = PARTS - 1

Key: TypeAlias = Hashable
# Authenticator, answer (None: pending), source, when it is forgotten, and its place in the schedule. A tuple of plain
# values, since the garbage collector leaves those alone: it would walk through a hundred thousand objects else.
_Entry: TypeAlias = tuple[bytes, bytes | None, str, float, int]


class Seen(Enum):
    """What the table knows of a request."""

    NEW = "new"
    PENDING = "pending"  # being answered: it must not be forwarded again
    FULL = "full"  # its source has too many pending


class Duplicates:
    """The table of one listener, or of several whose keys differ.

    A key names where a request came from and which it is: source address and port, code, identifier; octets are kept
    cheaper than tuples. The Request Authenticator is compared: the same key with another authenticator is another
    request, and replaces the earlier.
    """

    __slots__ = (
        "_count",
        "_max_entries",
        "_max_pending",
        "_new",
        "_parts",
        "_pending_by_source",
        "_pending_count",
        "_schedule",
        "_window",
    )

    def __init__(
        self,
        *,
        window_seconds: float = WINDOW_SECONDS,
        max_entries: int = MAX_ENTRIES,
        max_pending_per_source: int = MAX_PENDING_PER_SOURCE,
    ) -> None:
        """The table is empty."""
        self._parts: list[dict[Key, _Entry]] = [{} for _ in range(PARTS)]  # by the hash of the key
        self._count = 0
        self._new = 0  # requests since something was last forgotten for them
        # When an entry is looked at: a window after it came, and then when it is to be forgotten or a window later. An
        # answer, or another request of the same key, changes nothing here, so a client that uses its 256 identifiers
        # again and again costs no more; and what is too old goes in small portions.
        self._schedule: Schedule[Key] = Schedule()
        self._pending_by_source: dict[str, int] = {}
        self._pending_count = 0
        self._window = window_seconds
        self._max_entries = max_entries
        self._max_pending = max_pending_per_source

    def __len__(self) -> int:
        """How many requests are remembered."""
        return self._count

    def pending_of(self, source: str) -> int:
        """How many requests of that source are pending."""
        return self._pending_by_source.get(source, 0)

    def receive(self, key: Key, authenticator: bytes, source: str, now: float) -> Seen | bytes:
        """Return the octets that answered this very request, or what else is known of it.

        NEW also makes it pending. The caller has to `answer` or `forget` it, and to call `forget_old` afterwards.
        """
        part = self._parts[hash(key) & _MASK]
        entry = part.get(key)
        if entry is None:
            self._new += 1
        elif entry[0] == authenticator and now < entry[3]:
            return Seen.PENDING if entry[1] is None else entry[1]
        elif entry[1] is None:
            self._settle(entry[2])
        count = self._pending_by_source.get(source, 0)
        if count >= self._max_pending:
            if entry is not None:
                self._remove(key, entry[4])
            return Seen.FULL
        if entry is not None:
            place = entry[4]
        elif self._count >= self._max_entries and not self._make_room(source, now):
            return Seen.FULL
        else:
            place = self._schedule.add(key, now + self._window)
            self._count += 1
        self._pending_by_source[source] = count + 1
        self._pending_count += 1
        part[key] = (authenticator, None, source, now + PENDING_SECONDS, place)
        return Seen.NEW

    def is_pending(self, key: Key, authenticator: bytes) -> bool:
        """Whether somebody still waits for the answer to this very request."""
        entry = self._parts[hash(key) & _MASK].get(key)
        return entry is not None and entry[0] == authenticator and entry[1] is None

    def answer(self, key: Key, authenticator: bytes, octets: bytes, now: float) -> bool:
        """Keep the octets for repeats; False when the client has moved on and nobody waits for them."""
        part = self._parts[hash(key) & _MASK]
        entry = part.get(key)
        if entry is None or entry[0] != authenticator or entry[1] is not None:
            return False
        self._settle(entry[2])
        part[key] = (authenticator, octets, entry[2], now + self._window, entry[4])
        return True

    def forget(self, key: Key, authenticator: bytes) -> None:
        """A repeat of this pending request is a new one; for requests that were dropped without an answer."""
        entry = self._parts[hash(key) & _MASK].get(key)
        if entry is not None and entry[0] == authenticator and entry[1] is None:
            self._settle(entry[2])
            self._remove(key, entry[4])

    def forget_old(self, now: float) -> None:
        """Up to four entries that are too old go for each request that was new since the last time."""
        if self._new:
            limit, self._new = self._new * _FORGOTTEN_BY_EACH, 0
            for key in self._schedule.take_due(now, limit):
                self._look_at(key, now)

    def next_timer(self) -> float | None:
        """When `on_timer` is to be called next; None while nothing is remembered."""
        due = self._schedule.next_timer()
        return None if due is None else due + LEFT_SECONDS

    def on_timer(self, now: float) -> None:
        """A portion of what is too old is forgotten; while there is more, `next_timer` says so."""
        for key in self._schedule.take_due(now, FORGOTTEN_AT_ONCE):
            self._look_at(key, now)

    def _look_at(self, key: Key, now: float) -> None:
        """Forget an entry that has come out of the schedule, or put it back there."""
        entry = self._parts[hash(key) & _MASK][key]
        if entry[3] > now:
            self._put_back(key, entry, now)
        else:
            if entry[1] is None:
                self._settle(entry[2])
            self._drop(key)

    def _put_back(self, key: Key, entry: _Entry, now: float) -> None:
        # A window later at most: what is pending until then may be answered any time, and goes a window after that.
        place = self._schedule.add(key, min(entry[3], now + self._window))
        self._parts[hash(key) & _MASK][key] = (entry[0], entry[1], entry[2], entry[3], place)

    def _make_room(self, source: str, now: float) -> bool:
        """Forget one of the oldest answers; False when all are pending that were looked at.

        One of that source's own where there is one: whoever fills the table pays for it, and the others keep theirs.
        """
        if self._pending_count == self._count:
            return False
        spared: list[Key] = []
        oldest: Key | None = None
        given_up: Key | None = None
        while given_up is None and len(spared) < _LOOKED_AT and (key := self._schedule.take_first()) is not None:
            entry = self._parts[hash(key) & _MASK][key]
            if entry[1] is not None and entry[2] == source:
                given_up = key
            else:
                spared.append(key)
                if entry[1] is not None and oldest is None:
                    oldest = key
        if given_up is None:
            given_up = oldest
        for key in spared:
            if key != given_up:
                self._put_back(key, self._parts[hash(key) & _MASK][key], now)
        if given_up is None:
            return False
        self._drop(given_up)
        return True

    def _remove(self, key: Key, place: int) -> None:
        self._schedule.remove(key, place)
        self._drop(key)

    def _drop(self, key: Key) -> None:
        del self._parts[hash(key) & _MASK][key]
        self._count -= 1

    def _settle(self, source: str) -> None:
        self._pending_count -= 1
        left = self._pending_by_source[source] - 1
        if left:
            self._pending_by_source[source] = left
        else:
            del self._pending_by_source[source]
