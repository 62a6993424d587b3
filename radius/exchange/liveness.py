"""Whether a next hop lives, judged by itself and not by the realms behind it (RFC 3539 §3.4, RFC 5997 §4.3).

States and what moves them:

    UP ──unanswered──▶ SUSPECT ──3 checks missed──▶ DOWN ──3 checks answered──▶ UP
     ▲                    │                           │
     └──── any answer ────┘                           └── a transport that cannot be opened leads here at once

A request that was not answered makes a hop suspect, and a suspect one is asked with Status-Server; only missed checks
take it down, because a silent realm behind a healthy proxy says nothing about the proxy. Every answer with a right
authenticator, a late one too, brings a suspect back. What is not here: sockets, packets, and which hop is taken
(`radius.proxy.selection`).
"""

from enum import Enum
from typing import Final

CHECK_SECONDS: Final = 3.0  # a Status-Server is missed after this
IDLE_CHECK_SECONDS: Final = 30.0  # a hop that is down is asked this often
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


# What is not in the table leaves the state as it is.
TRANSITIONS: Final[dict[tuple[HopState, HopEvent], HopState]] = {
    (HopState.UP, HopEvent.UNANSWERED): HopState.SUSPECT,
    (HopState.UP, HopEvent.TRANSPORT_FAILED): HopState.DOWN,
    (HopState.SUSPECT, HopEvent.ANSWERED): HopState.UP,
    (HopState.SUSPECT, HopEvent.CHECK_ANSWERED): HopState.UP,
    (HopState.SUSPECT, HopEvent.TRANSPORT_FAILED): HopState.DOWN,
}


class Liveness:
    """What is believed of one next hop, and when it is to be asked next."""

    __slots__ = ("_check_due", "_counter", "_waiting_until", "state")

    def __init__(self) -> None:
        """A hop is believed to live until it is seen not to."""
        self.state = HopState.UP
        self._counter = 0  # of missed checks while suspect, of answered ones while down
        self._check_due: float | None = None
        self._waiting_until: float | None = None

    def see(self, event: HopEvent, now: float) -> HopState:
        """Take note of an event; returns the state it leads to."""
        previous = self.state
        if event in (HopEvent.CHECK_ANSWERED, HopEvent.CHECK_MISSED):
            self._waiting_until = None
            self._check_due = now if previous is not HopState.UP else None
        state = TRANSITIONS.get((previous, event), previous)
        if previous is HopState.SUSPECT and event is HopEvent.CHECK_MISSED:
            self._counter += 1
            if self._counter >= MISSED_TO_DOWN:
                state = HopState.DOWN
        elif previous is HopState.DOWN:
            if event is HopEvent.CHECK_ANSWERED:
                self._counter += 1
                if self._counter >= ANSWERED_TO_UP:
                    state = HopState.UP
            elif event is HopEvent.CHECK_MISSED:
                self._counter = 0
                self._check_due = now + IDLE_CHECK_SECONDS
        if state is not previous:
            self.state = state
            self._counter = 0
            self._check_due = (
                None if state is HopState.UP else now + (IDLE_CHECK_SECONDS if state is HopState.DOWN else 0)
            )
        return state

    def next_timer(self) -> float | None:
        """When `on_timer` is to be called next; None while there is nothing to ask."""
        return self._check_due if self._waiting_until is None else self._waiting_until

    def on_timer(self, now: float) -> bool:
        """Return whether a Status-Server has to be sent now; a check that got no answer in time counts as missed."""
        if self._waiting_until is not None:
            if now < self._waiting_until:
                return False
            self.see(HopEvent.CHECK_MISSED, now)
        if self._check_due is None or now < self._check_due:
            return False
        self._check_due = None
        self._waiting_until = now + CHECK_SECONDS
        return True
