"""The order of the steps of a roll-over."""

from itertools import product

import pytest

from federation.errors import Conflict
from federation.trust.rollover import (
    TRUSTED,
    RolloverEvent,
    RolloverState,
    Standing,
    decide_next,
    forward_event,
    is_under_way,
    possible_events,
    standings_in,
)


class TestOrder:
    def test_forward_leads_from_plan_to_retirement(self) -> None:
        """Planned, both trusted, switched, retired; then there is no step any more."""
        state, seen = RolloverState.PLANNED, [RolloverState.PLANNED]
        while event := forward_event(state):
            state = decide_next(state, event)
            seen.append(state)
        assert seen == [
            RolloverState.PLANNED,
            RolloverState.OVERLAP,
            RolloverState.SWITCHED,
            RolloverState.RETIRED,
        ]
        assert not is_under_way(state)

    @pytest.mark.parametrize(("state", "event"), list(product(RolloverState, RolloverEvent)))
    def test_step_is_possible_or_refused_with_those_that_are(self, state: RolloverState, event: RolloverEvent) -> None:
        """Every pair either leads on or is refused with the steps that there are."""
        if event in possible_events(state):
            decide_next(state, event)
        else:
            with pytest.raises(Conflict, match=r"there is (none|publish|switch|retire)"):
                decide_next(state, event)

    def test_switch_can_be_taken_back_and_then_aborted(self) -> None:
        """While both are trusted the old authority can issue again, and the new one be given up."""
        back = decide_next(RolloverState.SWITCHED, RolloverEvent.REVERT)
        assert back is RolloverState.OVERLAP
        assert decide_next(back, RolloverEvent.ABORT) is RolloverState.ABORTED
        with pytest.raises(Conflict):
            decide_next(RolloverState.SWITCHED, RolloverEvent.ABORT)


class TestStandings:
    @pytest.mark.parametrize("state", list(RolloverState))
    def test_one_authority_issues_in_every_state(self, state: RolloverState) -> None:
        """There is always one that issues, and it is trusted."""
        standings = standings_in(state)
        assert [standing is Standing.CURRENT for standing in standings].count(True) == 1
        assert Standing.CURRENT in TRUSTED

    @pytest.mark.parametrize("state", [RolloverState.OVERLAP, RolloverState.SWITCHED])
    def test_both_are_trusted_around_the_switch(self, state: RolloverState) -> None:
        """Before and after the switch a chain below either root is believed."""
        assert set(standings_in(state)) <= TRUSTED
