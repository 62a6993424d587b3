"""A source port that brings nothing: what is done about it, and when."""

import pytest

from radius.exchange.identifiers import Identifiers, Slot
from radius.exchange.silence import LEAVE_SECONDS, MISSED_TO_LEAVE, PortDoubt, Remedy


def opened(*flows: str) -> Identifiers[str, str]:
    identifiers: Identifiers[str, str] = Identifiers(4)
    for flow in flows:
        identifiers.add_flow(flow)
    return identifiers


def take(identifiers: Identifiers[str, str]) -> Slot[str, str]:
    slot = identifiers.take("request")
    assert slot is not None
    return slot


class TestPortDoubt:
    def test_is_listened_to_now_and_then(self) -> None:
        """Each time costs calls of the kernel, and a silent library has many requests on many ports."""
        doubt = PortDoubt(0, 0.0)
        times = [tenth / 10 for tenth in range(1, 600)]
        heard = [now for now in times if doubt.miss(now, is_heard_elsewhere=False) is Remedy.LISTEN]
        assert heard == [1.0, 3.0, 7.0, 15.0, 31.0, 47.0]

    def test_is_left_after_some_requests_and_some_time(self) -> None:
        """One lost datagram is none of its port."""
        doubt = PortDoubt(0, 10.0)
        for _ in range(MISSED_TO_LEAVE):
            assert doubt.miss(10.1, is_heard_elsewhere=True) is Remedy.NOTHING
        assert doubt.miss(10.0 + LEAVE_SECONDS, is_heard_elsewhere=True) is Remedy.LEAVE

    def test_is_not_left_for_two_requests(self) -> None:
        """However long they wait: they may be of a library that is silent."""
        doubt = PortDoubt(0, 10.0)
        assert doubt.miss(1000.0, is_heard_elsewhere=True) is Remedy.LISTEN

    def test_is_not_left_while_the_hop_answers_nowhere(self) -> None:
        """Another port would bring nothing either."""
        doubt = PortDoubt(0, 10.0)
        for number in range(100):
            assert doubt.miss(10.0 + number, is_heard_elsewhere=False) is not Remedy.LEAVE


class TestDoubt:
    """Of identifiers, about the flow of one of them."""

    def test_begins_with_a_request_since_which_nothing_came(self) -> None:
        identifiers = opened("a")
        slot = take(identifiers)
        assert identifiers.is_silent(slot)
        assert identifiers.doubt(slot, 2.0, is_heard_elsewhere=False) is Remedy.LISTEN

    @pytest.mark.parametrize("is_late", [False, True])
    def test_is_none_where_another_was_answered(self, *, is_late: bool) -> None:
        """In time, or late, or a check: the port is heard, and its library is silent."""
        identifiers = opened("a")
        slot, other = take(identifiers), take(identifiers)
        if is_late:
            identifiers.give_up(other)
            identifiers.hear("a")
        else:
            identifiers.release(other, is_answered=True)
        assert not identifiers.is_silent(slot)
        assert identifiers.doubt(slot, 2.0, is_heard_elsewhere=True) is Remedy.NOTHING

    def test_what_was_given_up_was_not_heard(self) -> None:
        identifiers = opened("a")
        slot, other = take(identifiers), take(identifiers)
        identifiers.give_up(other)
        assert identifiers.is_silent(slot)

    def test_begins_anew_after_an_answer(self) -> None:
        """Misses of before are none of this silence."""
        identifiers = opened("a")
        slot = take(identifiers)
        for _ in range(MISSED_TO_LEAVE):
            identifiers.doubt(slot, 2.0, is_heard_elsewhere=True)
        identifiers.hear("a")
        later = take(identifiers)
        assert identifiers.doubt(later, 20.0, is_heard_elsewhere=True) is Remedy.LISTEN
        assert identifiers.doubt(later, 22.0, is_heard_elsewhere=True) is Remedy.LISTEN
        assert identifiers.doubt(later, 22.0, is_heard_elsewhere=True) is Remedy.LEAVE

    def test_is_none_of_a_flow_that_was_left(self) -> None:
        identifiers = opened("a", "b")
        slot = take(identifiers)
        identifiers.retire("a")
        assert identifiers.doubt(slot, 2.0, is_heard_elsewhere=True) is Remedy.NOTHING

    def test_unknown_flow_is_not_heard(self) -> None:
        """An answer that comes to a port that was closed."""
        identifiers = opened("a")
        slot = take(identifiers)
        identifiers.hear("b")
        assert identifiers.is_silent(slot)
        assert not identifiers.is_retired("b")
