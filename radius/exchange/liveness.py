"""Whether a next hop lives, judged by itself and not by the realms behind it (RFC 3539 §3.4, RFC 5997 §4.3).

States and what moves them:

    UP ──unanswered──▶ SUSPECT ──3 checks missed──▶ DOWN ──3 checks answered──▶ UP
     ▲                    │                           │
     └──── any answer ────┴──── any answer, late too ─┘      A transport that cannot be opened leads to DOWN at once;
                                                             a connection that stands again leads to UP.

A request that was not answered makes a hop suspect, and a suspect one is asked with Status-Server. An idle hop is asked
too, and is suspect when it does not answer, if it ever answered a check. Only missed checks take a hop down, because a
silent realm behind a healthy proxy says nothing about the proxy. A hop that is down and has never answered a check may
not know Status-Server at all: after a minute it is tried again with requests. What is not here: sockets, packets, and
which hop is taken (`selection`).
"""

from enum import Enum
from typing import Final

CHECK_SECONDS: Final = 3.0  # a Status-Server is missed after this
DOWN_CHECK_SECONDS: Final = 10.0  # a hop that is down is asked this often
TRIAL_SECONDS: Final = 60.0  # one that never answered a check is tried with a request after this
MISSED_TO_DOWN: Final = 3  # RFC 3539 §3.4
ANSWERED_TO_UP: Final = 3  # as FreeRADIUS's num_answers_to_alive


class HopState(Enum):
    """What is believed of a next hop."""

    UP = "up"
    SUSPECT = "suspect"
    DOWN = "down"


class HopEvent(Enum):
    """What was seen of it."""

    ANSWERED = "answered"  # a request, with a right authenticator
    UNANSWERED = "unanswered"  # a request, within its time
    CHECK_ANSWERED = "check_answered"
    CHECK_MISSED = "check_missed"
    TRANSPORT_FAILED = "transport_failed"
    TRANSPORT_READY = "transport_ready"  # a connection stands (RFC 6613 §2.6.1)
    TRIED_AGAIN = "tried_again"  # it was down for long, and may not know Status-Server


# What is not in the table leaves the state as it is; what has to happen more than once is counted below.
TRANSITIONS: Final[dict[tuple[HopState, HopEvent], HopState]] = {
    (HopState.UP, HopEvent.UNANSWERED): HopState.SUSPECT,
    (HopState.UP, HopEvent.CHECK_MISSED): HopState.SUSPECT,
    (HopState.UP, HopEvent.TRANSPORT_FAILED): HopState.DOWN,
    (HopState.SUSPECT, HopEvent.ANSWERED): HopState.UP,
    (HopState.SUSPECT, HopEvent.CHECK_ANSWERED): HopState.UP,
    (HopState.SUSPECT, HopEvent.CHECK_MISSED): HopState.DOWN,
    (HopState.SUSPECT, HopEvent.TRANSPORT_FAILED): HopState.DOWN,
    (HopState.DOWN, HopEvent.ANSWERED): HopState.UP,
    (HopState.DOWN, HopEvent.CHECK_ANSWERED): HopState.UP,
    (HopState.DOWN, HopEvent.TRANSPORT_READY): HopState.UP,
    (HopState.DOWN, HopEvent.TRIED_AGAIN): HopState.UP,
}
# How often, in a row, before the table holds.
_NEEDED: Final[dict[tuple[HopState, HopEvent], int]] = {
    (HopState.SUSPECT, HopEvent.CHECK_MISSED): MISSED_TO_DOWN,
    (HopState.DOWN, HopEvent.CHECK_ANSWERED): ANSWERED_TO_UP,
}


class Liveness:
    """What is believed of one next hop, and when it is to be asked next."""

    __slots__ = ("_check_due", "_counter", "_down_since", "_knows_checks", "_missed_at", "state")

    def __init__(self) -> None:
        """A hop is believed to live until it is seen not to."""
        self.state = HopState.UP
        self._counter = 0  # of events that have to come in a row
        self._check_due: float | None = None
        self._missed_at: float | None = None  # when the check that is out counts as missed
        self._down_since = 0.0
        self._knows_checks = False

    def see(self, event: HopEvent, now: float) -> HopState:
        """Take note of an event; returns the state it leads to."""
        if event is HopEvent.CHECK_ANSWERED:
            self._knows_checks = True
        if event in (HopEvent.CHECK_ANSWERED, HopEvent.CHECK_MISSED):
            self._missed_at = None
        before = self.state
        if before is HopState.UP and event is HopEvent.CHECK_MISSED and not self._knows_checks:
            return before  # it may not know Status-Server: nothing is wrong with it
        state = TRANSITIONS.get((before, event), before)
        needed = _NEEDED.get((before, event))
        if needed is not None:
            self._counter += 1
            if self._counter < needed:
                state = before
        elif event is HopEvent.CHECK_MISSED:
            self._counter = 0
        if state is not before:
            self.state = state
            self._counter = 0
            self._missed_at = None
            self._down_since = now
        self._plan(event, now, has_changed=state is not before)
        return state

    def ask(self, now: float) -> None:
        """A check goes out to a hop that is up, and that nothing was heard of for long."""
        self._missed_at = now + CHECK_SECONDS

    def next_timer(self) -> float | None:
        """When `on_timer` is to be called next; None while there is nothing to ask."""
        return self._check_due if self._missed_at is None else self._missed_at

    def on_timer(self, now: float) -> bool:
        """Return whether a Status-Server has to be sent now; a check that got no answer in time counts as missed."""
        if self._missed_at is not None:
            if now < self._missed_at:
                return False
            self.see(HopEvent.CHECK_MISSED, now)
        if self._check_due is None or now < self._check_due:
            return False
        if self.state is HopState.DOWN and not self._knows_checks and now >= self._down_since + TRIAL_SECONDS:
            self.see(HopEvent.TRIED_AGAIN, now)
            return False
        self._check_due = None
        self._missed_at = now + CHECK_SECONDS
        return True

    def _plan(self, event: HopEvent, now: float, *, has_changed: bool) -> None:
        """Say when the next check is due."""
        if self.state is HopState.UP:
            self._check_due = None
        elif has_changed or event is HopEvent.CHECK_MISSED:
            self._check_due = now + (DOWN_CHECK_SECONDS if self.state is HopState.DOWN else 0)
        elif event is HopEvent.CHECK_ANSWERED:
            self._check_due = now + CHECK_SECONDS  # two more, not at once: it has to last
