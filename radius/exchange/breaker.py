"""The breaker of a realm at a next hop: one silent library is refused at once, and hurts nobody but itself.

A next hop is believed dead only by `liveness`; a realm behind it may be silent while all others are answered. For each
(realm, next hop) of which something went unanswered lately there is one breaker:

    (none) ──missed──▶ CLOSED ──5 misses over 10 s, or 17 of 20 failed──▶ OPEN ◀──────────missed─────────┐
      ▲                  │  ▲                                              │                             │
      └──20 answered─────┘  └──────────────answered────────────────────────┴──10 s──▶ one request goes ──┘

An answer, be it late or a refusal, closes it: the library is there.
"""

from collections import deque
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from typing import Final

MISSES_IN_A_ROW: Final = 5
SILENT_SECONDS: Final = 10.0  # that the misses in a row span, at least
OUTCOMES_KEPT: Final = 20
FAILED_OF_KEPT: Final = 16  # more of them open it: a library that answers now and then
HICCUP_SECONDS: Final = 2.0  # after the first repeat: a link that was away for a second has lost a burst, no more
REPEAT_SECONDS: Final = 0.1  # of all that waits for a silent realm, one request is repeated this often
TRIAL_SECONDS: Final = 10.0  # one request goes through an open breaker this often
FORGOTTEN_SECONDS: Final = 600.0  # nobody asks for the realm any more
MAX_BREAKERS: Final = 4096  # realms of a default route are named by strangers
_LOOKED_AT: Final = 32  # breakers at a time, for one that makes room

Key = tuple[str, str]  # realm, next hop


class BreakerState(StrEnum):
    """What becomes of a request."""

    CLOSED = "closed"  # it goes on
    OPEN = "open"  # it is refused, but for one now and then


class Breaker:
    """One realm at one next hop."""

    __slots__ = ("_failed", "_misses", "_outcomes", "_repeat_at", "_silent_since", "_trial_at", "last_used_at", "state")

    def __init__(self, now: float) -> None:
        """It is closed."""
        self.state = BreakerState.CLOSED
        self.last_used_at = now
        self._misses = 0
        self._silent_since = now
        self._outcomes: deque[bool] = deque(maxlen=OUTCOMES_KEPT)  # whether it failed
        self._failed = 0
        self._trial_at = 0.0
        self._repeat_at = 0.0

    @property
    def is_clean(self) -> bool:
        """Whether there is nothing left to remember."""
        return self.state is BreakerState.CLOSED and not self._misses and not self._failed

    @property
    def is_doubted(self) -> bool:
        """Whether nothing has come for several requests in a row."""
        return self._misses >= MISSES_IN_A_ROW

    def is_silent(self, now: float) -> bool:
        """Whether this is so for longer than a hiccup takes."""
        return self.is_doubted and now - self._silent_since >= HICCUP_SECONDS

    def would_admit(self, now: float) -> bool:
        """Whether a request would go through now."""
        return self.state is BreakerState.CLOSED or now >= self._trial_at

    def may_repeat(self, now: float) -> bool:
        """Whether this repeat goes out: while the realm is silent, one now and then, to hear when it is back."""
        if not self.is_silent(now):
            return True
        if now < self._repeat_at:
            return False
        self._repeat_at = now + REPEAT_SECONDS
        return True

    def admit(self, now: float) -> bool:
        """Whether this request goes through; when it is the trial of an open breaker, the next is seconds away."""
        self.last_used_at = now
        if not self.would_admit(now):
            return False
        if self.state is BreakerState.OPEN:
            self._trial_at = now + TRIAL_SECONDS
        return True

    def miss(self, now: float) -> None:
        """A request has been sent again, since there was no answer."""
        if not self._misses:
            self._silent_since = now
        self._misses += 1
        if self.is_doubted and now - self._silent_since >= SILENT_SECONDS:
            self._open(now)

    def fail(self, now: float) -> None:
        """A request has been given up."""
        self.miss(now)
        self._note(has_failed=True)
        if self._failed > FAILED_OF_KEPT:
            self._open(now)

    def answer(self) -> None:
        """A valid answer came."""
        if self.state is BreakerState.OPEN:
            self._outcomes.clear()
            self._failed = 0
            self.state = BreakerState.CLOSED
        self._misses = 0
        self._note(has_failed=False)

    def _note(self, *, has_failed: bool) -> None:
        if len(self._outcomes) == OUTCOMES_KEPT:
            self._failed -= self._outcomes[0]
        self._outcomes.append(has_failed)
        self._failed += has_failed

    def _open(self, now: float) -> None:
        if self.state is BreakerState.CLOSED:
            self.state = BreakerState.OPEN
            self._trial_at = now + TRIAL_SECONDS


class Breakers:
    """The breakers of one proxy; there are none while every realm is answered."""

    __slots__ = ("_look_again_at", "by_key")

    def __init__(self) -> None:
        """All realms are believed to answer."""
        self.by_key: dict[Key, Breaker] = {}
        self._look_again_at = 0.0

    def __len__(self) -> int:
        """Of how many something went unanswered lately."""
        return len(self.by_key)

    @property
    def open(self) -> Iterator[Key]:
        """The realms, with their next hops, that are refused."""
        return (key for key, breaker in self.by_key.items() if breaker.state is BreakerState.OPEN)

    def would_admit(self, realm: str, hop: str, now: float) -> bool:
        """Whether a request of the realm would go to that hop now."""
        breaker = self.by_key.get((realm, hop))
        return breaker is None or breaker.would_admit(now)

    def admit(self, realm: str, hop: str, now: float) -> bool:
        """Whether this request of the realm goes to that hop."""
        breaker = self.by_key.get((realm, hop))
        return breaker is None or breaker.admit(now)

    def is_doubted(self, realm: str, hop: str) -> bool:
        """Whether nothing has come from the realm at that hop for several requests in a row."""
        breaker = self.by_key.get((realm, hop))
        return breaker is not None and breaker.is_doubted

    def is_silent(self, realm: str, hop: str, now: float) -> bool:
        """Whether this is so for longer than a hiccup takes."""
        breaker = self.by_key.get((realm, hop))
        return breaker is not None and breaker.is_silent(now)

    def may_repeat(self, realm: str, hop: str, now: float) -> bool:
        """Whether this repeat of a request of the realm goes to that hop."""
        breaker = self.by_key.get((realm, hop))
        return breaker is None or breaker.may_repeat(now)

    def miss(self, realm: str, hop: str, now: float) -> bool:
        """A request was sent again; returns whether this opened the breaker."""
        breaker = self._find(realm, hop, now)
        if breaker is None:
            return False
        before = breaker.state
        breaker.miss(now)
        return breaker.state is not before

    def fail(self, realm: str, hop: str, now: float) -> bool:
        """A request was given up; returns whether this opened the breaker."""
        breaker = self._find(realm, hop, now)
        if breaker is None:
            return False
        before = breaker.state
        breaker.fail(now)
        return breaker.state is not before

    def answer(self, realm: str, hop: str) -> bool:
        """A valid answer came, perhaps late; returns whether this closed the breaker."""
        breaker = self.by_key.get((realm, hop))
        if breaker is None:
            return False
        before = breaker.state
        breaker.answer()
        if breaker.is_clean:
            del self.by_key[realm, hop]
        return breaker.state is not before

    def forget_hop(self, hop: str) -> None:
        """The hop was dead and lives again: what was silent with it may be tried at once."""
        for key in [key for key in self.by_key if key[1] == hop]:
            del self.by_key[key]

    def _find(self, realm: str, hop: str, now: float) -> Breaker | None:
        """The breaker, made now if it has to be; None when the table is full of realms that are silent.

        It goes to the end of the table: what went unanswered longest ago makes room first. So thousands of realms that
        somebody invents push each other out, and not one that is missed again and again.
        """
        breaker = self.by_key.pop((realm, hop), None)
        if breaker is None:
            if len(self.by_key) >= MAX_BREAKERS and not self._forget_old(now) and not self._displace():
                return None
            breaker = Breaker(now)
        self.by_key[realm, hop] = breaker
        breaker.last_used_at = now
        return breaker

    def _displace(self) -> bool:
        """Forget the closed one that was missed longest ago; whether there is one among the first."""
        for key, breaker in islice(self.by_key.items(), _LOOKED_AT):
            if breaker.state is BreakerState.CLOSED:
                del self.by_key[key]
                return True
        return False

    def _forget_old(self, now: float) -> bool:
        if now < self._look_again_at:
            return False
        self._look_again_at = now + 1.0  # the whole table is looked through, and a flood must not have that for each
        old = [key for key, breaker in self.by_key.items() if now - breaker.last_used_at > FORGOTTEN_SECONDS]
        for key in old:
            del self.by_key[key]
        return bool(old)
