"""When connections of an earlier chain go: at different times, not in the middle of something, and not too late."""

import random

from radius.transport.tls.turnover import (
    LAST_CALL_SECONDS,
    OF_AGE_SECONDS,
    SPREAD_SECONDS,
    TURNOVER_SECONDS,
    Departures,
    spread_over,
)

NONE: frozenset[int] = frozenset()
LONG_AGO = -OF_AGE_SECONDS


class TestDepartures:
    def test_many_do_not_go_at_once(self) -> None:
        """A thousand connections end over a quarter of a minute, no second taking more than a share of them."""
        chance = random.Random(7)
        departures: Departures[int] = Departures()
        departures.begin(dict.fromkeys(range(1000), LONG_AGO), chance.random, 0.0)
        ended = [len(departures.take_due(lambda: NONE, float(second))) for second in range(17)]
        assert sum(ended) == 1000
        assert max(ended) < 100

    def test_one_alone_goes_soon(self) -> None:
        """Where there is no crowd nobody waits for it to pass."""
        departures: Departures[int] = Departures()
        departures.begin({1: LONG_AGO}, lambda: 1.0, 0.0)
        assert departures.take_due(lambda: NONE, 1.0) == [1]
        assert not len(departures)

    def test_spread_has_a_bound(self) -> None:
        """However many there are, time is left to answer what is outstanding."""
        assert spread_over(1_000_000) == SPREAD_SECONDS < TURNOVER_SECONDS - LAST_CALL_SECONDS

    def test_outstanding_requests_are_waited_for(self) -> None:
        """A connection goes once nothing is outstanding on it."""
        departures: Departures[int] = Departures()
        departures.begin({1: LONG_AGO, 2: LONG_AGO}, lambda: 0.0, 0.0)
        assert departures.take_due(lambda: frozenset({1}), 5.0) == [2]
        assert departures.take_due(lambda: frozenset({1}), 6.0) == []
        assert departures.take_due(lambda: NONE, 7.0) == [1]

    def test_bound_is_met_by_those_that_are_never_quiet(self) -> None:
        """Shortly before it nothing new is taken, and at it the connection ends whatever is outstanding."""
        departures: Departures[int] = Departures()
        departures.begin({1: LONG_AGO}, lambda: 0.0, 100.0)
        assert not departures.refuses(1, 100.0 + TURNOVER_SECONDS - LAST_CALL_SECONDS - 0.1)
        assert departures.refuses(1, 100.0 + TURNOVER_SECONDS - LAST_CALL_SECONDS)
        assert departures.take_due(lambda: frozenset({1}), 100.0 + TURNOVER_SECONDS - 0.1) == []
        assert departures.take_due(lambda: frozenset({1}), 100.0 + TURNOVER_SECONDS) == [1]
        assert not departures.refuses(1, 200.0)

    def test_second_change_does_not_put_it_off(self) -> None:
        """A chain that changes each minute keeps no connection for ever."""
        departures: Departures[int] = Departures()
        departures.begin({1: LONG_AGO}, lambda: 0.0, 0.0)
        departures.begin({1: LONG_AGO}, lambda: 0.0, 20.0)
        assert departures.take_due(lambda: frozenset({1}), TURNOVER_SECONDS) == [1]

    def test_young_one_stays_until_it_is_of_age(self) -> None:
        """A radsecproxy that has just come would stay away for the rest of its half minute; others go at once."""
        departures: Departures[int] = Departures()
        departures.begin({1: 95.0, 2: 0.0}, lambda: 0.0, 100.0)
        assert departures.take_due(lambda: NONE, 100.0) == [2]
        of_age = 95.0 + OF_AGE_SECONDS
        assert departures.take_due(lambda: NONE, of_age - 0.1) == []
        assert not departures.refuses(1, of_age + TURNOVER_SECONDS - LAST_CALL_SECONDS - 0.1)
        assert departures.take_due(lambda: frozenset({1}), of_age + TURNOVER_SECONDS - 0.1) == []
        assert departures.take_due(lambda: frozenset({1}), of_age + TURNOVER_SECONDS) == [1]

    def test_young_ones_do_not_go_at_once(self) -> None:
        """All peers of a proxy that has just restarted are of one age."""
        chance = random.Random(7)
        departures: Departures[int] = Departures()
        departures.begin(dict.fromkeys(range(1000), 0.0), chance.random, 1.0)
        ended = [len(departures.take_due(lambda: NONE, float(second))) for second in range(60)]
        assert sum(ended) == 1000
        assert max(ended) < 100
        assert sum(ended[: int(OF_AGE_SECONDS)]) == 0

    def test_who_has_ended_is_forgotten(self) -> None:
        """And nobody is asked about outstanding requests when nobody is due."""
        departures: Departures[int] = Departures()
        departures.begin({1: LONG_AGO}, lambda: 0.0, 0.0)
        departures.forget(1)
        departures.forget(1)

        def find_busy() -> frozenset[int]:
            raise AssertionError

        assert departures.take_due(find_busy, 100.0) == []
