"""Requests seen lately, so that a repeat is never answered twice by two different minds (RFC 5080 §2.2.2).

States of an entry, and what moves it:

    (none) ──receive──▶ pending ──answer──▶ answered ──window──▶ (none)
                          │  └──forget / hard lifetime──▶ (none)
                          └──receive with another authenticator──▶ pending, anew

Who may see an entry: only a request whose authenticity was checked. What is not here: retransmission towards home
servers (`outstanding`), and whether a repeat deserves a line in the log.
"""

from collections import deque
from collections.abc import Hashable
from enum import Enum
from typing import Final, TypeAlias

WINDOW_SECONDS: Final = 10.0  # an answer is kept for repeats: RFC 5080 §2.2.2 asks for 5 to 30
PENDING_SECONDS: Final = 30.0  # no request is pending for longer; the proxy's own deadline is 20
MAX_ENTRIES: Final = 100_000  # 10 s of 10,000 logins a second, some 60 MB; beyond, the oldest answers go earlier
MAX_PENDING_PER_SOURCE: Final = 16_384  # one client may not fill the table of all
SLACK_SECONDS: Final = 1.0  # what is too old is forgotten a second's worth at a time
_SHADOWS_ALLOWED: Final = 256

Key: TypeAlias = Hashable


class Seen(Enum):
    """What the table knows of a request."""

    NEW = "new"
    PENDING = "pending"  # being answered: it must not be forwarded again
    FULL = "full"  # its source has too many pending


class _Entry:
    __slots__ = ("answer", "authenticator", "expires_at", "key", "source")

    def __init__(self, key: Key, authenticator: bytes, source: str, expires_at: float) -> None:
        self.key = key
        self.authenticator = authenticator
        self.source = source
        self.expires_at = expires_at
        self.answer: bytes | None = None


_Queue: TypeAlias = deque[_Entry]


class Duplicates:
    """The table of one listener, or of several whose keys differ.

    A key names where a request came from and which it is: source address and port, code, identifier. The Request
    Authenticator is compared: the same key with another authenticator is another request, and replaces the earlier.
    """

    __slots__ = (
        "_answered",
        "_entries",
        "_max_entries",
        "_max_pending",
        "_pending",
        "_pending_by_source",
        "_pending_count",
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
        self._entries: dict[Key, _Entry] = {}
        # Both queues are in order of expiry, since each has one lifetime. An entry that was answered, replaced or
        # dropped leaves a shadow in its queue; when a queue is mostly shadows it is written anew.
        self._pending: _Queue = deque()
        self._answered: _Queue = deque()
        self._pending_by_source: dict[str, int] = {}
        self._pending_count = 0
        self._window = window_seconds
        self._max_entries = max_entries
        self._max_pending = max_pending_per_source

    def __len__(self) -> int:
        """How many requests are remembered."""
        return len(self._entries)

    def pending_of(self, source: str) -> int:
        """How many requests of that source are pending."""
        return self._pending_by_source.get(source, 0)

    def receive(self, key: Key, authenticator: bytes, source: str, now: float) -> Seen | bytes:
        """Return the octets that answered this very request, or what else is known of it.

        NEW also makes it pending. The caller has to `answer` or `forget` it.
        """
        entry = self._entries.get(key)
        if entry is not None:
            if entry.authenticator == authenticator and now < entry.expires_at:
                return Seen.PENDING if entry.answer is None else entry.answer
            self._drop(entry)
        count = self._pending_by_source.get(source, 0)
        if count >= self._max_pending:
            return Seen.FULL
        if len(self._entries) >= self._max_entries:
            self._expire(now)
            if len(self._entries) >= self._max_entries and not self._evict_answered():
                return Seen.FULL
        self._pending_by_source[source] = count + 1
        self._pending_count += 1
        entry = self._entries[key] = _Entry(key, authenticator, source, now + PENDING_SECONDS)
        self._pending.append(entry)
        if len(self._pending) > 2 * self._pending_count + _SHADOWS_ALLOWED:
            self._pending = self._without_shadows(self._pending, is_pending=True)
        return Seen.NEW

    def is_pending(self, key: Key, authenticator: bytes) -> bool:
        """Whether somebody still waits for the answer to this very request."""
        entry = self._entries.get(key)
        return entry is not None and entry.authenticator == authenticator and entry.answer is None

    def answer(self, key: Key, authenticator: bytes, octets: bytes, now: float) -> bool:
        """Keep the octets for repeats; False when the client has moved on and nobody waits for them."""
        entry = self._entries.get(key)
        if entry is None or entry.authenticator != authenticator or entry.answer is not None:
            return False
        self._settle(entry)
        entry.answer = octets
        entry.expires_at = now + self._window
        self._answered.append(entry)
        # A client comes back to the same key after 256 requests, so this queue too fills with shadows.
        if len(self._answered) > 2 * (len(self._entries) - self._pending_count) + _SHADOWS_ALLOWED:
            self._answered = self._without_shadows(self._answered, is_pending=False)
        return True

    def forget(self, key: Key, authenticator: bytes) -> None:
        """A repeat of this pending request is a new one; for requests that were dropped without an answer."""
        entry = self._entries.get(key)
        if entry is not None and entry.authenticator == authenticator and entry.answer is None:
            self._drop(entry)

    def next_timer(self) -> float | None:
        """When `on_timer` is to be called next; None while nothing is remembered."""
        queues = [queue[0].expires_at for queue in (self._pending, self._answered) if queue]
        return min(queues) + SLACK_SECONDS if queues else None

    def on_timer(self, now: float) -> None:
        """What is too old is forgotten."""
        self._expire(now)

    def _expire(self, now: float) -> None:
        for queue, is_pending in ((self._pending, True), (self._answered, False)):
            while queue:
                entry = queue[0]
                is_live = self._is_live(entry, is_pending=is_pending)
                if is_live and entry.expires_at > now:
                    break
                queue.popleft()
                if is_live:
                    self._drop(entry)

    def _evict_answered(self) -> bool:
        """Give up the oldest answer; `_expire` has just taken the shadows before it."""
        if not self._answered:
            return False
        self._drop(self._answered.popleft())
        return True

    def _is_live(self, entry: _Entry, *, is_pending: bool) -> bool:
        return self._entries.get(entry.key) is entry and (entry.answer is None) == is_pending

    def _without_shadows(self, queue: _Queue, *, is_pending: bool) -> _Queue:
        return deque(entry for entry in queue if self._is_live(entry, is_pending=is_pending))

    def _drop(self, entry: _Entry) -> None:
        if entry.answer is None:
            self._settle(entry)
        del self._entries[entry.key]

    def _settle(self, entry: _Entry) -> None:
        self._pending_count -= 1
        left = self._pending_by_source[entry.source] - 1
        if left:
            self._pending_by_source[entry.source] = left
        else:
            del self._pending_by_source[entry.source]
