"""A wall clock that is set, while datagrams wait whose arrival was noted by it."""

import pytest

from radius.transport.ages import Arrivals

WALL = 1_800_000_000.0


def arrivals_at(now: float) -> Arrivals:
    """Of a socket that was read then, the last time."""
    return Arrivals(now, WALL + now)


class TestArrivals:
    def test_what_waited_came_before(self) -> None:
        arrivals = arrivals_at(10.0)
        arrivals.look(14.0, WALL + 14.0)
        assert arrivals.time_of(1.5) == pytest.approx(12.5)

    @pytest.mark.parametrize("ahead", [2.0, 0.5, -0.5, -2.0, 86_400.0, -86_400.0])
    def test_wall_clock_was_set_while_it_waited(self, ahead: float) -> None:
        """It is as old as it is, whatever the clock says now; before that it looked new, or too old to be answered."""
        arrivals = arrivals_at(10.0)
        arrivals.look(14.0, WALL + 14.0 + ahead)
        came_at = arrivals.time_of(1.5 + ahead)
        assert came_at == pytest.approx(12.5) if ahead > -1.5 else came_at == 14.0

    def test_what_comes_after_the_clock_was_set_is_as_old_as_it_says(self) -> None:
        arrivals = arrivals_at(10.0)
        arrivals.look(14.0, WALL + 14.0 + 2.0)
        arrivals.look(20.0, WALL + 20.0 + 2.0)
        assert arrivals.time_of(1.5) == pytest.approx(18.5)

    def test_what_waited_through_several_looks(self) -> None:
        """A backlog is read in portions: the last ones came before the clock was set, too."""
        arrivals = arrivals_at(10.0)
        for now in (14.0, 14.25, 14.5):
            arrivals.look(now, WALL + now + 2.0)
            assert arrivals.time_of(now - 12.5 + 2.0) == pytest.approx(12.5)

    def test_clocks_that_drift_are_not_set(self) -> None:
        """Each runs a little faster or slower than the other: an age of a second is one."""
        arrivals = arrivals_at(0.0)
        for minute in range(1, 60):
            arrivals.look(60.0 * minute, WALL + 60.0 * minute * 1.0005)
            assert arrivals.time_of(1.0) == pytest.approx(60.0 * minute - 1.0)

    @pytest.mark.parametrize("age", [0.0, -1.0, 61.0])
    def test_age_that_can_not_be_is_none(self, age: float) -> None:
        """0 where nobody noted it."""
        arrivals = arrivals_at(10.0)
        arrivals.look(14.0, WALL + 14.0)
        assert arrivals.time_of(age) == 14.0
