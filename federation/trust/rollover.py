"""The roll-over of a root as a state machine: from one anchor to the next with no peer left behind. Pure.

PLANNED    the next root and its issuing authority are made; nobody has heard of them, nothing trusts them
OVERLAP    both roots are published and trusted; certificates come from the old authority
SWITCHED   both roots are published and trusted; certificates come from the new one, our own first of all
RETIRED    the old root is trusted no more, and the keys below it are destroyed
ABORTED    the new root is trusted no more, and the keys below it are destroyed

PUBLISH, SWITCH and RETIRE lead forward; REVERT goes back to the old authority while both are trusted; ABORT ends what
has not been switched. Who would break by a step is not decided here (`federation.services.rollover_gates`), nor what a
step does with rows and certificates (`federation.services.rollovers`): a state says only what each authority is in it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from federation.errors import Conflict


class Standing(StrEnum):
    """What an authority is to the federation."""

    PLANNED = "planned"  # made, and told to nobody
    PUBLISHED = "published"  # trusted, and issues nothing yet
    CURRENT = "current"  # trusted, and issues
    PREVIOUS = "previous"  # trusted, and issues nothing any more
    RETIRED = "retired"  # not trusted; its keys are gone


TRUSTED: Final = frozenset({Standing.PUBLISHED, Standing.CURRENT, Standing.PREVIOUS})


class RolloverState(StrEnum):
    """How far a roll-over is."""

    PLANNED = "planned"
    OVERLAP = "overlap"
    SWITCHED = "switched"
    RETIRED = "retired"
    ABORTED = "aborted"


class RolloverEvent(StrEnum):
    """A step of a roll-over."""

    PUBLISH = "publish"
    SWITCH = "switch"
    RETIRE = "retire"
    REVERT = "revert"
    ABORT = "abort"


_NEXT: Final[Mapping[tuple[RolloverState, RolloverEvent], RolloverState]] = {
    (RolloverState.PLANNED, RolloverEvent.PUBLISH): RolloverState.OVERLAP,
    (RolloverState.PLANNED, RolloverEvent.ABORT): RolloverState.ABORTED,
    (RolloverState.OVERLAP, RolloverEvent.SWITCH): RolloverState.SWITCHED,
    (RolloverState.OVERLAP, RolloverEvent.ABORT): RolloverState.ABORTED,
    (RolloverState.SWITCHED, RolloverEvent.RETIRE): RolloverState.RETIRED,
    (RolloverState.SWITCHED, RolloverEvent.REVERT): RolloverState.OVERLAP,
}
_STANDINGS: Final[Mapping[RolloverState, tuple[Standing, Standing]]] = {
    RolloverState.PLANNED: (Standing.CURRENT, Standing.PLANNED),
    RolloverState.OVERLAP: (Standing.CURRENT, Standing.PUBLISHED),
    RolloverState.SWITCHED: (Standing.PREVIOUS, Standing.CURRENT),
    RolloverState.RETIRED: (Standing.RETIRED, Standing.CURRENT),
    RolloverState.ABORTED: (Standing.CURRENT, Standing.RETIRED),
}
_FORWARD: Final = (RolloverEvent.PUBLISH, RolloverEvent.SWITCH, RolloverEvent.RETIRE)


def decide_next(state: RolloverState, event: RolloverEvent) -> RolloverState:
    """The state after *event*.

    Raises:
        Conflict: that step can not be taken from *state*; the message names those that can.
    """
    following = _NEXT.get((state, event))
    if following is None:
        possible = ", ".join(possible_events(state)) or "none: it has ended"
        raise Conflict(f"a roll-over that is {state} has no step {event}; there is {possible}")
    return following


def possible_events(state: RolloverState) -> tuple[RolloverEvent, ...]:
    """The steps that can be taken from *state*, the one that leads forward first; none when it has ended."""
    return tuple(event for event in RolloverEvent if (state, event) in _NEXT)


def forward_event(state: RolloverState) -> RolloverEvent | None:
    """The step that leads on from *state*; None when it has ended."""
    return next((event for event in _FORWARD if (state, event) in _NEXT), None)


def standings_in(state: RolloverState) -> tuple[Standing, Standing]:
    """What the old and the new authority are in *state*."""
    return _STANDINGS[state]


def is_under_way(state: RolloverState) -> bool:
    """Whether steps remain."""
    return bool(possible_events(state))
