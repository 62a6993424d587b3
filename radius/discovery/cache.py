"""What is known of realms that are found in the DNS, who waits for one, and which lookups may begin.

States of a realm, and what moves it:

    (none) ──find──▶ looked up ──Found──▶ known ──TTL──▶ (none)      known ──3/4 of the TTL, and asked for──▶ looked up,
                        │                                            while what is known is still given out
                        ├──refused──▶ refused for 600 s ──▶ (none)
                        └──DNS failed──▶ refused for 5 s, 10 s, … 60 s; or known for longer, if it was known

Realms come from anybody's typing, so everything is bounded, and per asker: who asks for random realms fills his own
share, begins lookups at his own rate, and pushes out his own entries. What is not here: the DNS, and the clock.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from radius.discovery.guards import Asker, Refusal, Target, leads_back
from radius.discovery.walk import Finding, Found

BACK_OFF_SECONDS: Final = 600.0  # RFC 7585 §3.4.2: a realm without servers is not asked for again before
RETRY_SECONDS: Final = 5.0  # after a DNS failure, doubled each time in a row, up to
MAX_RETRY_SECONDS: Final = 60.0
STALE_SECONDS: Final = 1800.0  # a realm that was known stays so for as long while the DNS fails (compare RFC 8767)
REFRESH_PART: Final = 0.75  # of its TTL: a realm in use is looked up again before anybody has to wait

MAX_REALMS: Final = 10_000  # some 10 MB
MAX_LOOKUPS: Final = 256  # under way at once
MAX_LOOKUPS_PER_ASKER: Final = 16
LOOKUPS_PER_SECOND: Final = 20.0  # of one asker, beyond the first
LOOKUP_BURST: Final = 100.0
MAX_WAITERS: Final = 4096
MAX_WAITERS_PER_REALM: Final = 64
_MAX_BUDGETS: Final = 4096  # of lookups; the full ones are forgotten then

_PASSING: Final = frozenset({Refusal.NAMESERVER_FAILED, Refusal.TIMED_OUT, Refusal.UNREACHABLE})


@dataclass(frozen=True, slots=True)
class Targets:
    """The servers of a realm, best first.

    They stand in the DNS and nowhere else: whoever connects has to see the realm in the certificate's NAIRealm names
    and one of the federation's policies in it (RFC 7585 §2.2), before anything is sent.
    """

    realm: str
    targets: tuple[Target, ...]
    expires_at: float  # connections may outlive it, new ones need a new answer


Outcome: TypeAlias = Targets | Refusal
Resume: TypeAlias = Callable[[Outcome, float], None]


class Resumption(NamedTuple):
    """Somebody to be told what was found."""

    resume: Resume
    outcome: Outcome


class Pending:
    """A request that waits for its realm."""

    __slots__ = ("_lookup", "asker", "resume")

    def __init__(self, lookup: "_Lookup", asker: Asker, resume: Resume) -> None:
        """It waits from now on."""
        self._lookup = lookup
        self.asker = asker
        self.resume = resume

    def cancel(self) -> None:
        """It waits no longer and is not told; the lookup goes on, for the next one."""
        self._lookup.waiters.pop(self, None)


class _Lookup:
    __slots__ = ("asker", "waiters")

    def __init__(self, asker: str) -> None:
        self.asker = asker
        self.waiters: dict[Pending, None] = {}


class _Entry:
    __slots__ = ("expires_at", "failures", "known", "owner", "refresh_at", "refusal", "stale_until")

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.known: Targets | None = None
        self.refusal = Refusal.NO_NAME
        self.failures = 0  # of the DNS, in a row
        self.refresh_at = 0.0
        self.expires_at = 0.0
        self.stale_until = 0.0


class DiscoveryCache:
    """The realms that were found, or not, lately."""

    def __init__(self, *, max_realms: int = MAX_REALMS) -> None:
        """Nothing is known."""
        self._max_realms = max_realms
        self._entries: dict[str, _Entry] = {}
        # Of each asker the realms that he was the first to ask for, the least recently used first: refused and known.
        self._owned: dict[str, tuple[OrderedDict[str, None], OrderedDict[str, None]]] = {}
        self._lookups: dict[str, _Lookup] = {}
        self._lookups_by_asker: Counter[str] = Counter()
        self._budgets: dict[str, tuple[float, float]] = {}  # asker → what was left, and when
        self._to_begin: list[str] = []
        self.evicted = 0

    def __len__(self) -> int:
        """How many realms are remembered."""
        return len(self._entries)

    @property
    def lookups(self) -> int:
        """How many are under way."""
        return len(self._lookups)

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return sum(len(lookup.waiters) for lookup in self._lookups.values())

    @property
    def askers(self) -> int:
        """How many have an account of lookups; one that has not been used for a while is dropped in time."""
        return len(self._budgets)

    def find(self, realm: str, asker: Asker, now: float, resume: Resume) -> Outcome | Pending:
        """Return the servers of the realm or why there are none; or Pending, and `resume` is called once it is known.

        The caller then has to begin what `take_lookups` returns.
        """
        entry = self._entries.get(realm)
        if entry is not None and now < entry.expires_at:
            self._touch(realm, entry)
            if entry.known is None:
                return entry.refusal
            if now >= entry.refresh_at:
                self._begin(realm, asker.key, now)  # nobody waits; where it may not begin, the next one asks
            return _judge(entry.known, asker)
        lookup = self._begin(realm, asker.key, now)
        if lookup is None or len(lookup.waiters) >= MAX_WAITERS_PER_REALM or self.waiting >= MAX_WAITERS:
            return Refusal.BUSY
        pending = Pending(lookup, asker, resume)
        lookup.waiters[pending] = None
        return pending

    def take_lookups(self) -> list[str]:
        """Return the realms to look up now; `finish` has to end each, within the time that a request may wait."""
        realms, self._to_begin = self._to_begin, []
        return realms

    def finish(self, realm: str, finding: Finding, now: float) -> list[Resumption]:
        """Remember what a lookup found; returns who waited for it and what each is to be told."""
        lookup = self._lookups.pop(realm)
        self._lookups_by_asker[lookup.asker] -= 1
        if not self._lookups_by_asker[lookup.asker]:
            del self._lookups_by_asker[lookup.asker]
        entry = self._entries.get(realm)
        if entry is None:
            entry = self._add(realm, lookup.asker)
        if isinstance(finding, Found):
            self._know(realm, entry, finding, now)
        elif finding in _PASSING and entry.known is not None and now < entry.stale_until:
            retry_at = min(now + self._retry_seconds(entry), entry.stale_until)
            entry.known = Targets(realm, entry.known.targets, retry_at)
            entry.refresh_at = entry.expires_at = retry_at
        else:
            self._refuse(realm, entry, finding, now)
        outcome = entry.known or entry.refusal
        return [
            Resumption(waiter.resume, outcome if isinstance(outcome, Refusal) else _judge(outcome, waiter.asker))
            for waiter in lookup.waiters
        ]

    def report(self, realm: str, refusal: Refusal, now: float) -> None:
        """Take note that the servers of a known realm are no good: `CERTIFICATE` for long, `UNREACHABLE` shortly."""
        entry = self._entries.get(realm)
        if entry is not None and entry.known is not None:
            self._refuse(realm, entry, refusal, now)

    def forget(self, realm: str) -> None:
        """The realm is looked up anew when it is asked for."""
        entry = self._entries.get(realm)
        if entry is not None:
            self._drop(realm, entry)

    def clear(self) -> None:
        """Forget all, as after a change of the rules; lookups that are under way go on."""
        self._entries.clear()
        self._owned.clear()

    def _begin(self, realm: str, asker: str, now: float) -> _Lookup | None:
        """The lookup of the realm, begun unless it is under way; None where that would be one too many."""
        lookup = self._lookups.get(realm)
        if lookup is not None:
            return lookup
        if len(self._lookups) >= MAX_LOOKUPS or self._lookups_by_asker[asker] >= MAX_LOOKUPS_PER_ASKER:
            return None
        if not self._pay(asker, now):
            return None
        lookup = self._lookups[realm] = _Lookup(asker)
        self._lookups_by_asker[asker] += 1
        self._to_begin.append(realm)
        return lookup

    def _pay(self, asker: str, now: float) -> bool:
        """Take one lookup from the asker's budget; False when it is empty."""
        left, at = self._budgets.get(asker, (LOOKUP_BURST, now))
        left = min(LOOKUP_BURST, left + max(0.0, now - at) * LOOKUPS_PER_SECOND)
        if left < 1:
            return False
        if len(self._budgets) >= _MAX_BUDGETS and asker not in self._budgets:
            full_at = now - LOOKUP_BURST / LOOKUPS_PER_SECOND
            self._budgets = {key: budget for key, budget in self._budgets.items() if budget[1] > full_at}
        self._budgets[asker] = (left - 1, now)
        return True

    def _know(self, realm: str, entry: _Entry, found: Found, now: float) -> None:
        entry.failures = 0
        entry.expires_at = now + found.seconds
        entry.refresh_at = now + found.seconds * REFRESH_PART
        entry.stale_until = entry.expires_at + STALE_SECONDS
        entry.known = Targets(realm, found.targets, entry.expires_at)
        self._touch(realm, entry)

    def _refuse(self, realm: str, entry: _Entry, refusal: Refusal, now: float) -> None:
        entry.known = None
        entry.refusal = refusal
        entry.expires_at = now + (self._retry_seconds(entry) if refusal in _PASSING else BACK_OFF_SECONDS)
        self._touch(realm, entry)

    @staticmethod
    def _retry_seconds(entry: _Entry) -> float:
        entry.failures += 1
        return min(RETRY_SECONDS * 2 ** min(entry.failures - 1, 10), MAX_RETRY_SECONDS)

    def _add(self, realm: str, owner: str) -> _Entry:
        if len(self._entries) >= self._max_realms:
            self._evict()
        entry = self._entries[realm] = _Entry(owner)
        self._owned.setdefault(owner, (OrderedDict(), OrderedDict()))
        self._touch(realm, entry)
        return entry

    def _touch(self, realm: str, entry: _Entry) -> None:
        """The realm is the one used last; it stands among the known or the refused ones of its owner."""
        refused, known = self._owned[entry.owner]
        into, out = (refused, known) if entry.known is None else (known, refused)
        out.pop(realm, None)
        into[realm] = None
        into.move_to_end(realm)

    def _evict(self) -> None:
        """Give up a realm of the asker that has most: a refused one if he has any, the one used longest ago."""
        refused, known = max(self._owned.values(), key=lambda owned: len(owned[0]) + len(owned[1]))
        realm = next(iter(refused or known))
        self._drop(realm, self._entries[realm])
        self.evicted += 1

    def _drop(self, realm: str, entry: _Entry) -> None:
        del self._entries[realm]
        refused, known = self._owned[entry.owner]
        refused.pop(realm, None)
        known.pop(realm, None)
        if not refused and not known:
            del self._owned[entry.owner]


def _judge(known: Targets, asker: Asker) -> Outcome:
    """Nobody is sent to himself (RFC 7585 §3.4.4); for others the realm is as good as before."""
    return Refusal.LOOP_TO_ASKER if leads_back(known.targets, asker) else known
