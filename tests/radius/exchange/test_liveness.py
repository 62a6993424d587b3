"""A hop is down when its checks say so, and not when one realm is silent."""

import pytest

from radius.exchange.liveness import (
    CHECK_SECONDS,
    DOWN_CHECK_SECONDS,
    TRANSITIONS,
    TRIAL_SECONDS,
    HopEvent,
    HopState,
    Liveness,
)


def take_down(liveness: Liveness, now: float = 0.0) -> float:
    """Let three checks be missed; returns the time at which the hop is down."""
    liveness.see(HopEvent.UNANSWERED, now)
    for _ in range(3):
        assert liveness.on_timer(now)
        now += CHECK_SECONDS
    liveness.on_timer(now)
    assert liveness.state is HopState.DOWN
    return now


class TestUp:
    def test_hop_is_believed_to_live(self) -> None:
        """Nothing is asked of a hop that answers."""
        liveness = Liveness()
        assert liveness.state is HopState.UP
        assert liveness.next_timer() is None
        assert not liveness.on_timer(100.0)

    def test_unanswered_request_makes_it_suspect_and_asked_at_once(self) -> None:
        """A missing answer may be one realm's silence: the hop itself is asked (RFC 5997 §4.3)."""
        liveness = Liveness()
        assert liveness.see(HopEvent.UNANSWERED, 5.0) is HopState.SUSPECT
        assert liveness.next_timer() == 5.0
        assert liveness.on_timer(5.0)
        assert liveness.next_timer() == 5.0 + CHECK_SECONDS

    def test_unanswered_requests_alone_never_take_it_down(self) -> None:
        """A black-holed realm behind a healthy proxy does not count against the proxy."""
        liveness = Liveness()
        for number in range(100):
            liveness.see(HopEvent.UNANSWERED, float(number))
        assert liveness.state is HopState.SUSPECT

    def test_transport_that_can_not_be_opened_takes_it_down_at_once(self) -> None:
        """There is nothing to wait for."""
        liveness = Liveness()
        assert liveness.see(HopEvent.TRANSPORT_FAILED, 1.0) is HopState.DOWN
        assert liveness.next_timer() == 1.0 + DOWN_CHECK_SECONDS


class TestAsk:
    def test_missed_check_makes_one_that_knows_checks_suspect(self) -> None:
        """A hop that was silent for long is asked; one that has answered such a question before owes an answer."""
        liveness = Liveness()
        liveness.see(HopEvent.CHECK_ANSWERED, 0.0)
        liveness.ask(100.0)
        assert liveness.next_timer() == 100.0 + CHECK_SECONDS
        assert not liveness.on_timer(100.0)
        liveness.on_timer(100.0 + CHECK_SECONDS)
        assert liveness.state is HopState.SUSPECT

    def test_missed_check_says_nothing_of_one_that_may_not_know_them(self) -> None:
        """Status-Server is optional (RFC 5997 §4.1): one that never answered it stays as it is, and is left alone."""
        liveness = Liveness()
        liveness.ask(100.0)
        assert not liveness.on_timer(100.0 + CHECK_SECONDS)
        assert liveness.state is HopState.UP
        assert liveness.next_timer() is None


class TestSuspect:
    @pytest.mark.parametrize("event", [HopEvent.ANSWERED, HopEvent.CHECK_ANSWERED])
    def test_any_answer_clears_it(self, event: HopEvent) -> None:
        """A right authenticator is proof of life, late or not."""
        liveness = Liveness()
        liveness.see(HopEvent.UNANSWERED, 0.0)
        liveness.on_timer(0.0)
        assert liveness.see(event, 1.0) is HopState.UP
        assert liveness.next_timer() is None

    def test_three_missed_checks_take_it_down(self) -> None:
        """The watchdog of RFC 3539 §3.4."""
        liveness = Liveness()
        liveness.see(HopEvent.UNANSWERED, 0.0)
        assert liveness.on_timer(0.0)
        assert not liveness.on_timer(CHECK_SECONDS - 0.1)
        assert liveness.on_timer(CHECK_SECONDS)
        assert liveness.on_timer(2 * CHECK_SECONDS)
        assert liveness.state is HopState.SUSPECT
        assert not liveness.on_timer(3 * CHECK_SECONDS)
        assert liveness.state is HopState.DOWN

    def test_checks_missed_before_an_answer_do_not_count_later(self) -> None:
        """Three in a row are needed."""
        liveness = Liveness()
        liveness.see(HopEvent.UNANSWERED, 0.0)
        liveness.see(HopEvent.CHECK_MISSED, 0.0)
        liveness.see(HopEvent.CHECK_MISSED, 0.0)
        liveness.see(HopEvent.ANSWERED, 1.0)
        liveness.see(HopEvent.UNANSWERED, 2.0)
        liveness.see(HopEvent.CHECK_MISSED, 3.0)
        assert liveness.state is HopState.SUSPECT


class TestDown:
    def test_three_answered_checks_bring_it_back(self) -> None:
        """One answer may be luck."""
        liveness = Liveness()
        now = take_down(liveness) + DOWN_CHECK_SECONDS
        for number in range(3):
            assert liveness.on_timer(now)
            state = liveness.see(HopEvent.CHECK_ANSWERED, now)
            assert state is (HopState.UP if number == 2 else HopState.DOWN)
            due = liveness.next_timer()
            now = now if due is None else due

    def test_missed_check_starts_the_count_anew(self) -> None:
        """Three answered checks in a row are needed."""
        liveness = Liveness()
        take_down(liveness)
        for event in (HopEvent.CHECK_ANSWERED, HopEvent.CHECK_ANSWERED, HopEvent.CHECK_MISSED, HopEvent.CHECK_ANSWERED):
            assert liveness.see(event, 20.0) is HopState.DOWN

    def test_answer_to_a_request_brings_it_back(self) -> None:
        """A late answer too says that it lives."""
        liveness = Liveness()
        take_down(liveness)
        assert liveness.see(HopEvent.ANSWERED, 20.0) is HopState.UP

    def test_it_is_asked_again_and_again(self) -> None:
        """A hop that knew Status-Server is down until it answers, for hours if need be."""
        liveness = Liveness()
        liveness.see(HopEvent.CHECK_ANSWERED, 0.0)
        now = take_down(liveness)
        asked = 0
        for _ in range(2000):
            now += 1
            asked += liveness.on_timer(now)
        assert liveness.state is HopState.DOWN
        assert 2000 / (DOWN_CHECK_SECONDS + CHECK_SECONDS + 2) < asked < 2000 / DOWN_CHECK_SECONDS

    def test_hop_that_never_answered_a_check_is_tried_after_a_minute(self) -> None:
        """A server that does not know Status-Server is not lost for ever (RFC 5997 §4.3)."""
        liveness = Liveness()
        down_at = take_down(liveness)
        now = down_at
        while liveness.state is HopState.DOWN:
            due = liveness.next_timer()
            assert due is not None
            now = due
            liveness.on_timer(now)
        assert TRIAL_SECONDS <= now - down_at <= TRIAL_SECONDS + DOWN_CHECK_SECONDS + CHECK_SECONDS

    def test_unanswered_request_changes_nothing(self) -> None:
        """It is down already."""
        liveness = Liveness()
        take_down(liveness)
        due = liveness.next_timer()
        assert liveness.see(HopEvent.UNANSWERED, 10.0) is HopState.DOWN
        assert liveness.next_timer() == due


class TestTable:
    def test_every_state_can_be_left(self) -> None:
        """No state is a trap."""
        assert {state for state, _ in TRANSITIONS} == set(HopState)
