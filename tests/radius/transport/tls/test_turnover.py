"""When connections of an earlier chain go: at different times, not in the middle of something, and not too late."""

import random

from radius.transport.tls.turnover import (
    LAST_CALL_SECONDS,
    SPREAD_SECONDS,
    TURNOVER_SECONDS,
    Departures,
    spread_over,
)

NONE: frozenset[int] = frozenset()


class TestDepartures:
    def test_many_do_not_go_at_once(self) -> None:
        """A thousand connections end over a quarter of a minute, no second taking more than a share of them."""
        chance = random.Random(7)
        departures: Departures[int] = Departures()
        departures.begin(range(1000), chance.random, 0.0)
        ended = [len(departures.take_due(lambda: NONE, float(second))) for second in range(17)]
        assert sum(ended) == 1000
        assert max(ended) < 100

    def test_one_alone_goes_soon(self) -> None:
        """Where there is no crowd nobody waits for it to pass."""
        departures: Departures[int] = Departures()
        departures.begin([1], lambda: 1.0, 0.0)
        assert departures.take_due(lambda: NONE, 1.0) == [1]
        assert not len(departures)

    def test_spread_has_a_bound(self) -> None:
        """However many there are, time is left to answer what is outstanding."""
        assert spread_over(1_000_000) == SPREAD_SECONDS < TURNOVER_SECONDS - LAST_CALL_SECONDS

    def test_outstanding_requests_are_waited_for(self) -> None:
        """A connection goes once nothing is outstanding on it."""
        departures: Departures[int] = Departures()
        departures.begin([1, 2], lambda: 0.0, 0.0)
        assert departures.take_due(lambda: frozenset({1}), 5.0) == [2]
        assert departures.take_due(lambda: frozenset({1}), 6.0) == []
        assert departures.take_due(lambda: NONE, 7.0) == [1]

    def test_bound_is_met_by_those_that_are_never_quiet(self) -> None:
        """Shortly before it nothing new is taken, and at it the connection ends whatever is outstanding."""
        departures: Departures[int] = Departures()
        departures.begin([1], lambda: 0.0, 100.0)
        assert not departures.refuses(1, 100.0 + TURNOVER_SECONDS - LAST_CALL_SECONDS - 0.1)
        assert departures.refuses(1, 100.0 + TURNOVER_SECONDS - LAST_CALL_SECONDS)
        assert departures.take_due(lambda: frozenset({1}), 100.0 + TURNOVER_SECONDS - 0.1) == []
        assert departures.take_due(lambda: frozenset({1}), 100.0 + TURNOVER_SECONDS) == [1]
        assert not departures.refuses(1, 200.0)

    def test_second_change_does_not_put_it_off(self) -> None:
        """A chain that changes each minute keeps no connection for ever."""
        departures: Departures[int] = Departures()
        departures.begin([1], lambda: 0.0, 0.0)
        departures.begin([1], lambda: 0.0, 20.0)
        assert departures.take_due(lambda: frozenset({1}), TURNOVER_SECONDS) == [1]

    def test_who_has_ended_is_forgotten(self) -> None:
        """And nobody is asked about outstanding requests when nobody is due."""
        departures: Departures[int] = Departures()
        departures.begin([1], lambda: 0.0, 0.0)
        departures.forget(1)
        departures.forget(1)

        def find_busy() -> frozenset[int]:
            raise AssertionError

        assert departures.take_due(find_busy, 100.0) == []
