"""Identifiers go round over all source ports, and the wall of 256 is none."""

import gc
from collections import deque

from radius.exchange.identifiers import IDENTIFIERS_PER_FLOW, Identifiers, Slot
from tests.support.cycles import count_cycles


def fill(identifiers: Identifiers[str, int], count: int) -> list[Slot[str, int]]:
    slots = [identifiers.take(number) for number in range(count)]
    assert all(slot is not None for slot in slots)
    return [slot for slot in slots if slot is not None]


class TestTake:
    def test_without_a_flow_there_is_none(self) -> None:
        """A hop that was never asked has no source port yet."""
        identifiers: Identifiers[str, int] = Identifiers(2)
        assert identifiers.take(1) is None
        assert identifiers.may_grow

    def test_identifier_0_is_never_given(self) -> None:
        """0 is kept for Status-Server, which must not wait for an identifier."""
        identifiers: Identifiers[str, int] = Identifiers(1)
        identifiers.add_flow("a")
        given = [slot.identifier for slot in fill(identifiers, IDENTIFIERS_PER_FLOW)]
        assert given == list(range(1, 256))
        assert identifiers.take(0) is None
        assert not identifiers.may_grow

    def test_another_flow_gives_255_more(self) -> None:
        """257 requests and more can be outstanding to one hop."""
        identifiers: Identifiers[str, int] = Identifiers(4)
        identifiers.add_flow("a")
        fill(identifiers, 255)
        identifiers.add_flow("b")
        slots = fill(identifiers, 255)
        assert {slot.flow for slot in slots} == {"b"}
        assert identifiers.outstanding == 510
        assert identifiers.flows == ("a", "b")

    def test_identifier_that_was_never_used_costs_nothing(self) -> None:
        """A port to each of a thousand home servers is no quarter of a million objects."""
        identifiers: Identifiers[str, int] = Identifiers(4)
        gc.collect()
        before = len(gc.get_objects())
        for flow in "abcd":
            identifiers.add_flow(flow)
        assert len(gc.get_objects()) - before < 20
        assert identifiers.outstanding == 0
        assert identifiers.find("a", 255) is None
        assert identifiers.find_late("a", 255) is None

    def test_released_identifier_comes_again_last(self) -> None:
        """An identifier is used again as late as can be (RFC 5080 §2.2.1)."""
        identifiers: Identifiers[str, int] = Identifiers(1)
        identifiers.add_flow("a")
        first = fill(identifiers, 1)[0]
        identifiers.release(first)
        rest = fill(identifiers, 254)
        assert first not in rest
        assert identifiers.take(0) is first


class TestFind:
    def test_answer_finds_what_waits_on_its_flow(self) -> None:
        """An answer counts on the source port that was asked from, and nowhere else."""
        identifiers: Identifiers[str, int] = Identifiers(2)
        identifiers.add_flow("a")
        identifiers.add_flow("b")
        slot = identifiers.take(42)
        assert slot is not None
        assert identifiers.find("a", slot.identifier) is slot
        assert identifiers.find("b", slot.identifier) is None
        assert identifiers.find("c", slot.identifier) is None
        assert identifiers.find("a", 0) is None

    def test_what_waits_on_a_flow_is_known(self) -> None:
        """A port that is to be closed tells who would be left without an answer."""
        identifiers: Identifiers[str, int] = Identifiers(2)
        identifiers.add_flow("a")
        first, *_ = fill(identifiers, 3)
        identifiers.release(first)
        assert identifiers.waiting_on("a") == [1, 2]
        assert identifiers.waiting_on("b") == []

    def test_released_identifier_waits_for_nothing(self) -> None:
        """A second answer to the same request matches nothing."""
        identifiers: Identifiers[str, int] = Identifiers(1)
        identifiers.add_flow("a")
        slot = fill(identifiers, 1)[0]
        identifiers.release(slot)
        assert identifiers.find("a", slot.identifier) is None
        assert identifiers.find_late("a", slot.identifier) is None

    def test_what_was_given_up_is_known_until_the_identifier_is_used_again(self) -> None:
        """A late answer can be told from a forged one."""
        identifiers: Identifiers[str, int] = Identifiers(1)
        identifiers.add_flow("a")
        slot = identifiers.take(42)
        assert slot is not None
        identifiers.give_up(slot)
        assert identifiers.find("a", slot.identifier) is None
        assert identifiers.find_late("a", slot.identifier) == 42
        fill(identifiers, 255)
        assert identifiers.find_late("a", slot.identifier) is None
        assert identifiers.find_late("a", 0) is None
        assert identifiers.find_late("b", 1) is None


class TestShrink:
    def test_idle_flow_is_given_back(self) -> None:
        """The source ports of a burst are not kept, but the first is."""
        identifiers: Identifiers[str, int] = Identifiers(4)
        for flow in "abc":
            identifiers.add_flow(flow)
        assert identifiers.shrink() == "c"
        assert identifiers.shrink() == "b"
        assert identifiers.shrink() is None
        assert identifiers.flows == ("a",)
        assert len(fill(identifiers, 255)) == 255

    def test_flow_whose_identifiers_were_being_used_is_given_back(self) -> None:
        """Those of the next one are all there, from the first."""
        identifiers: Identifiers[str, int] = Identifiers(4)
        identifiers.add_flow("a")
        slots = fill(identifiers, 255)
        identifiers.add_flow("b")
        for slot in slots:
            identifiers.release(slot)
        used, *_ = fill(identifiers, 2)
        assert (used.flow, used.identifier) == ("b", 1)
        assert identifiers.remove_flow("b") == [0, 1]
        assert identifiers.outstanding == 0
        identifiers.add_flow("c")
        given = [(slot.flow, slot.identifier) for slot in fill(identifiers, 255)]
        assert given == [("c", number) for number in range(1, 256)]

    def test_flow_that_was_never_used_is_given_back(self) -> None:
        """Those of the one before it go on where they were."""
        identifiers: Identifiers[str, int] = Identifiers(4)
        identifiers.add_flow("a")
        identifiers.add_flow("b")
        fill(identifiers, 3)
        assert identifiers.remove_flow("b") == []
        assert [(slot.flow, slot.identifier) for slot in fill(identifiers, 2)] == [("a", 4), ("a", 5)]
        assert identifiers.outstanding == 5

    def test_flow_of_which_everything_was_used_is_given_back(self) -> None:
        """With all that waited on it; another one begins anew."""
        identifiers: Identifiers[str, int] = Identifiers(4)
        identifiers.add_flow("a")
        fill(identifiers, 255)
        assert identifiers.remove_flow("a") == list(range(255))
        assert identifiers.take(0) is None
        identifiers.add_flow("b")
        assert identifiers.outstanding == 0
        (slot,) = fill(identifiers, 1)
        assert (slot.flow, slot.identifier) == ("b", 1)

    def test_flow_with_something_outstanding_stays(self) -> None:
        """An answer that is on its way finds its port open."""
        identifiers: Identifiers[str, int] = Identifiers(4)
        identifiers.add_flow("a")
        slots = fill(identifiers, 255)
        identifiers.add_flow("b")
        fill(identifiers, 1)
        for slot in slots:
            identifiers.release(slot)
        assert identifiers.shrink() is None

    def test_busy_flows_all_stay(self) -> None:
        """Where the others would be more than half full nothing is given back."""
        identifiers: Identifiers[str, int] = Identifiers(4)
        identifiers.add_flow("a")
        fill(identifiers, 200)
        identifiers.add_flow("b")
        assert identifiers.shrink() is None


class TestRetire:
    """A flow on which nothing new goes out."""

    def test_its_free_identifiers_are_not_given(self) -> None:
        identifiers: Identifiers[str, int] = Identifiers(4)
        identifiers.add_flow("a")
        for slot in fill(identifiers, 255):
            identifiers.release(slot)
        identifiers.add_flow("b")
        identifiers.retire("a")
        assert identifiers.outstanding == 0
        assert [(slot.flow, slot.identifier) for slot in fill(identifiers, 255)] == [
            ("b", number) for number in range(1, 256)
        ]
        assert identifiers.take(0) is None

    def test_its_identifiers_that_never_were_used_are_not_given(self) -> None:
        """The next flow begins with its first."""
        identifiers: Identifiers[str, int] = Identifiers(4)
        identifiers.add_flow("a")
        fill(identifiers, 3)
        identifiers.add_flow("b")
        identifiers.retire("a")
        assert [(slot.flow, slot.identifier) for slot in fill(identifiers, 2)] == [("b", 1), ("b", 2)]
        assert identifiers.outstanding == 5

    def test_what_waits_on_it_may_be_answered(self) -> None:
        """And its identifier is not used again then."""
        identifiers: Identifiers[str, int] = Identifiers(4)
        identifiers.add_flow("a")
        first, second = fill(identifiers, 2)
        identifiers.add_flow("b")
        identifiers.retire("a")
        assert identifiers.find("a", first.identifier) is first
        identifiers.release(first, is_answered=True)
        identifiers.give_up(second)
        assert identifiers.find_late("a", second.identifier) == 1
        assert identifiers.outstanding == 0
        assert {slot.flow for slot in fill(identifiers, 255)} == {"b"}
        assert identifiers.take(0) is None

    def test_twice_is_once(self) -> None:
        identifiers: Identifiers[str, int] = Identifiers(4)
        identifiers.add_flow("a")
        fill(identifiers, 3)
        identifiers.retire("a")
        identifiers.retire("a")
        assert identifiers.is_retired("a")
        assert identifiers.outstanding == 3
        assert identifiers.remove_flow("a") == [0, 1, 2]
        assert identifiers.outstanding == 0

    def test_is_removed_when_nothing_waits_for_a_while(self) -> None:
        """Though it may be the first. What was given up on it may be answered late, until the next look."""
        identifiers: Identifiers[str, int] = Identifiers(4)
        identifiers.add_flow("a")
        (slot,) = fill(identifiers, 1)
        identifiers.add_flow("b")
        identifiers.retire("a")
        assert identifiers.remove_retired() == []
        assert identifiers.shrink() is None
        identifiers.give_up(slot)
        assert identifiers.remove_retired() == []
        assert identifiers.find_late("a", slot.identifier) == 0
        assert identifiers.remove_retired() == ["a"]
        assert identifiers.flows == ("b",)
        assert identifiers.outstanding == 0

    def test_the_first_in_use_stays(self) -> None:
        """One that was left is none that could stay in its place."""
        identifiers: Identifiers[str, int] = Identifiers(4)
        for flow in "abc":
            identifiers.add_flow(flow)
        fill(identifiers, 1)
        identifiers.retire("a")
        assert identifiers.shrink() == "c"
        assert identifiers.shrink() is None
        assert identifiers.flows == ("a", "b")


class TestRemoveFlow:
    def test_leaves_no_garbage(self) -> None:
        """What was given up on it, octets and all, does not wait for the collector."""

        def give_up_all() -> None:
            for is_retired in (False, True):
                identifiers: Identifiers[str, int] = Identifiers(4)
                identifiers.add_flow("a")
                deque(map(identifiers.give_up, fill(identifiers, 255)), maxlen=0)
                if is_retired:
                    identifiers.retire("a")
                    identifiers.remove_retired()
                    assert identifiers.remove_retired() == ["a"]
                else:
                    identifiers.remove_flow("a")

        assert count_cycles(give_up_all) < 100  # they would be 512 slots

    def test_what_waited_on_it_is_returned(self) -> None:
        """Nothing that waits is lost without a word."""
        identifiers: Identifiers[str, int] = Identifiers(4)
        identifiers.add_flow("a")
        identifiers.add_flow("b")
        fill(identifiers, 3)
        assert identifiers.remove_flow("a") == [0, 1, 2]
        assert identifiers.flows == ("b",)
        assert {slot.flow for slot in fill(identifiers, 255)} == {"b"}
