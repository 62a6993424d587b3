"""The breaker of a realm at a next hop."""

import pytest

from radius.exchange import breaker as module
from radius.exchange.breaker import Breaker, Breakers, BreakerState

REALM, HOP = "silent.example", "lib/radius1"


def open_breakers() -> Breakers:
    """Breakers of which the one of REALM at HOP is open since second 12."""
    breakers = Breakers()
    assert [breakers.miss(REALM, HOP, now) for now in (0.0, 3.0, 6.0, 9.0, 12.0)] == [False] * 4 + [True]
    return breakers


class TestBreakers:
    """All of them."""

    def test_admits_what_was_always_answered(self) -> None:
        """Without a miss there is no breaker."""
        breakers = Breakers()
        assert breakers.admit(REALM, HOP, 0.0)
        assert breakers.would_admit(REALM, HOP, 0.0)
        assert not breakers.answer(REALM, HOP)
        assert len(breakers) == 0

    def test_opens_after_misses_in_a_row_over_ten_seconds(self) -> None:
        """Five misses that span ten seconds open it."""
        breakers = open_breakers()
        assert list(breakers.open) == [(REALM, HOP)]
        assert not breakers.would_admit(REALM, HOP, 12.1)
        assert not breakers.admit(REALM, HOP, 12.1)

    def test_stays_closed_in_a_burst(self) -> None:
        """A thousand misses within a moment are one hiccup."""
        breakers = Breakers()
        assert not any(breakers.miss(REALM, HOP, 5.0 + number / 1000) for number in range(1000))
        assert breakers.admit(REALM, HOP, 6.0)

    def test_is_doubted_after_several_in_a_row(self) -> None:
        """Until then what goes unanswered may be lost on the way."""
        breakers = Breakers()
        assert not breakers.is_doubted(REALM, HOP)
        for _ in range(module.MISSES_IN_A_ROW - 1):
            breakers.miss(REALM, HOP, 0.0)
        assert not breakers.is_doubted(REALM, HOP)
        breakers.miss(REALM, HOP, 0.0)
        assert breakers.is_doubted(REALM, HOP)
        assert not breakers.is_silent(REALM, HOP, 0.0)
        breakers.answer(REALM, HOP)
        assert not breakers.is_doubted(REALM, HOP)

    def test_repeats_are_few_while_nothing_comes_back(self) -> None:
        """After five misses that span a hiccup one in a tenth of a second goes out; an answer lets all go again."""
        breakers = Breakers()
        assert breakers.may_repeat(REALM, HOP, 5.0)
        for number in range(5):
            breakers.miss(REALM, HOP, 5.0 + number / 1000)
            assert breakers.may_repeat(REALM, HOP, 5.1)
        assert not breakers.is_silent(REALM, HOP, 6.9)
        assert breakers.is_silent(REALM, HOP, 7.0)
        assert [breakers.may_repeat(REALM, HOP, 8.0 + number / 100) for number in range(20)].count(True) == 2
        breakers.answer(REALM, HOP)
        assert all(breakers.may_repeat(REALM, HOP, 8.2) for _ in range(10))
        assert not breakers.is_silent(REALM, HOP, 8.2)

    def test_touches_no_other_realm_and_no_other_hop(self) -> None:
        """Only the silent realm at the silent hop is refused."""
        breakers = open_breakers()
        assert breakers.admit("other.example", HOP, 12.1)
        assert breakers.admit(REALM, "lib/radius2", 12.1)

    def test_tries_one_request_every_ten_seconds(self) -> None:
        """Half open: one goes, the next waits."""
        breakers = open_breakers()
        assert breakers.would_admit(REALM, HOP, 22.0)
        assert breakers.admit(REALM, HOP, 22.0)
        assert not breakers.admit(REALM, HOP, 22.0)
        assert not breakers.miss(REALM, HOP, 24.0)
        assert not breakers.admit(REALM, HOP, 31.9)
        assert breakers.admit(REALM, HOP, 32.0)

    def test_closes_with_an_answer(self) -> None:
        """One valid answer, and all requests go on."""
        breakers = open_breakers()
        assert breakers.answer(REALM, HOP)
        assert breakers.admit(REALM, HOP, 12.2)
        assert len(breakers) == 0

    def test_opens_for_a_realm_that_answers_now_and_then(self) -> None:
        """More than 16 failures among 20 requests open it, though they were never five in a row."""
        breakers = Breakers()
        opened = False
        for number in range(60):
            opened = opened or breakers.fail(REALM, HOP, 0.1 * number)
            if number % 8 == 7:
                breakers.answer(REALM, HOP)
        assert opened

    def test_forgets_failures_that_twenty_answers_followed(self) -> None:
        """The table is empty again when the realm is well."""
        breakers = Breakers()
        breakers.fail(REALM, HOP, 0.0)
        for _ in range(module.OUTCOMES_KEPT - 1):
            assert not breakers.answer(REALM, HOP)
            assert len(breakers) == 1
        breakers.answer(REALM, HOP)
        assert len(breakers) == 0

    def test_forgets_a_hop_that_was_dead(self) -> None:
        """Its realms may be asked again at once; those at other hops stay as they are."""
        breakers = open_breakers()
        breakers.forget_hop("lib/radius2")
        assert not breakers.admit(REALM, HOP, 12.1)
        breakers.forget_hop(HOP)
        assert breakers.admit(REALM, HOP, 12.1)

    def test_is_bounded(self) -> None:
        """Realms that strangers name do not fill the memory, and what is old makes room."""
        breakers = Breakers()
        for number in range(module.MAX_BREAKERS + 10):
            breakers.miss(f"r{number}.example", HOP, 0.0)
        assert len(breakers) == module.MAX_BREAKERS
        assert not breakers.fail("more.example", HOP, 1.0)
        breakers.miss("old.example", HOP, 2.0 + module.FORGOTTEN_SECONDS)
        assert len(breakers) == 1

    def test_realms_that_somebody_invents_push_out_each_other(self) -> None:
        """A library that is missed again and again keeps its breaker, and its misses, through a flood of names."""
        breakers = Breakers()
        for second in range(module.MISSES_IN_A_ROW + 6):
            breakers.miss(REALM, HOP, second * 2.0)
            for number in range(module.MAX_BREAKERS // 4):
                breakers.miss(f"r{second}-{number}.example", HOP, second * 2.0)
        assert len(breakers) == module.MAX_BREAKERS
        assert list(breakers.open) == [(REALM, HOP)]

    def test_open_ones_do_not_make_room(self) -> None:
        """A flood of names opens no breaker that holds: while all the first are open, none is made anew."""
        breakers = Breakers()
        for number in range(module.MAX_BREAKERS):
            for second in (0.0, 3.0, 6.0, 9.0, 12.0):
                breakers.miss(f"r{number}.example", HOP, second)
        assert not breakers.miss("more.example", HOP, 13.0)
        assert ("more.example", HOP) not in breakers.by_key
        assert not breakers.fail("more.example", HOP, 13.5)


class TestBreaker:
    """One of them."""

    def test_is_opened_once(self) -> None:
        """A miss of a request that was under way does not put the trial off."""
        breaker = Breaker(0.0)
        for now in (0.0, 1.0, 2.0, 3.0, 10.0, 15.0):
            breaker.miss(now)
        assert breaker.state is BreakerState.OPEN
        assert breaker.would_admit(20.0)

    @pytest.mark.parametrize("now", [9.9, 9.0])
    def test_asks_for_ten_seconds_of_silence(self, now: float) -> None:
        """Five misses within less do not open it."""
        breaker = Breaker(0.0)
        for at in (0.0, 1.0, 2.0, 3.0, now):
            breaker.miss(at)
        assert breaker.state is BreakerState.CLOSED
