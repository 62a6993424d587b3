"""What an overloaded worker takes first, and whose packets give way."""

from collections import Counter, deque

import pytest

from radius.errors import DropReason
from radius.exchange.admission import (
    MAX_STATUS_WAITING,
    MAX_WAIT_SECONDS,
    Admission,
    KnownStates,
    Work,
    classify_request,
)
from radius.wire.codes import AttributeType, Code
from radius.wire.packet import build_attribute


def packet(code: int, attributes: bytes = b"") -> bytes:
    return bytes((code, 1)) + (20 + len(attributes)).to_bytes(2) + bytes(16) + attributes


def take_all(admission: Admission[str], now: float = 0.0) -> list[str]:
    taken: list[str] = []
    while (waiting := admission.take(now)) is not None:
        taken.append(waiting.item)
    return taken


class TestKnownStates:
    def test_state_is_known_once(self) -> None:
        """A second packet with it is worth no more than a new one: it may be a replay."""
        states = KnownStates()
        states.add("a", b"state")
        assert [states.take("a", b"state"), states.take("a", b"state")] == [True, False]

    def test_state_of_another_client_is_not_known(self) -> None:
        """What one client was given helps no other."""
        states = KnownStates()
        states.add("a", b"state")
        assert not states.take("b", b"state")

    def test_oldest_is_forgotten_at_the_bound(self) -> None:
        """The table holds so many and no more."""
        states = KnownStates(2)
        for state in (b"1", b"2", b"3"):
            states.add("a", state)
        assert len(states) == 2
        assert [states.take("a", state) for state in (b"1", b"2", b"3")] == [False, True, True]


class TestClassify:
    STATE = build_attribute(AttributeType.USER_NAME, b"a@b.example") + build_attribute(AttributeType.STATE, b"round 2")

    @pytest.fixture
    def states(self) -> KnownStates:
        states = KnownStates()
        states.add("a", b"round 2")
        return states

    def test_round_of_a_conversation_is_known_by_its_state(self, states: KnownStates) -> None:
        """The State that was handed out comes back (RFC 2865 §5.24)."""
        assert classify_request(packet(Code.ACCESS_REQUEST, self.STATE), "a", states) is Work.CONVERSATION

    def test_invented_state_is_a_new_request(self, states: KnownStates) -> None:
        """A flood with States of its own gains nothing."""
        invented = build_attribute(AttributeType.STATE, b"invented")
        assert classify_request(packet(Code.ACCESS_REQUEST, invented), "a", states) is Work.NEW

    def test_status_server_is_a_class_of_its_own(self, states: KnownStates) -> None:
        """A neighbour's question is cheap to answer (RFC 5997)."""
        assert classify_request(packet(Code.STATUS_SERVER), "a", states) is Work.STATUS

    def test_state_in_an_accounting_request_is_no_conversation(self, states: KnownStates) -> None:
        """Accounting is told again, and waits."""
        assert classify_request(packet(Code.ACCOUNTING_REQUEST, self.STATE), "a", states) is Work.NEW

    @pytest.mark.parametrize(
        "octets",
        [b"", bytes(19), packet(1), packet(1, b"\x01"), packet(1, b"\x01\x00"), packet(1, b"\x01\x01\x18\x09round 2")],
    )
    def test_what_is_no_packet_is_a_new_request(self, states: KnownStates, octets: bytes) -> None:
        """Nothing is read beyond the end, and nothing loops."""
        assert classify_request(octets, "a", states) is Work.NEW

    def test_state_behind_too_many_attributes_is_not_looked_for(self, states: KnownStates) -> None:
        """A packet of two thousand empty attributes costs no more than one of two hundred."""
        assert classify_request(packet(1, b"\x01\x02" * 200 + self.STATE), "a", states) is Work.NEW


class TestOrder:
    def test_conversations_go_before_status_before_new(self) -> None:
        """Whatever the order in which they came."""
        admission: Admission[str] = Admission()
        for work in (Work.NEW, Work.STATUS, Work.CONVERSATION):
            admission.put(work.name, work, "a", 0.0)
        assert take_all(admission) == ["CONVERSATION", "STATUS", "NEW"]

    def test_clients_have_turns(self) -> None:
        """One that sent a hundred first does not keep one waiting that sent two."""
        admission: Admission[str] = Admission()
        for number in range(100):
            admission.put(f"a{number}", Work.NEW, "a", 0.0)
        for number in range(2):
            admission.put(f"b{number}", Work.NEW, "b", 0.0)
        assert take_all(admission)[:5] == ["a0", "b0", "a1", "b1", "a2"]

    def test_empty_admission_has_nothing(self) -> None:
        """And says so."""
        assert Admission[str]().take(0.0) is None


class TestBounds:
    def test_what_waited_too_long_is_stale(self) -> None:
        """Its sender repeats it, or nobody waits for the answer."""
        admission: Admission[str] = Admission()
        admission.put("old", Work.NEW, "a", 0.0)
        waiting = admission.take(MAX_WAIT_SECONDS + 0.1)
        assert waiting is not None
        assert waiting.is_stale(MAX_WAIT_SECONDS + 0.1)
        assert not waiting.is_stale(MAX_WAIT_SECONDS)

    def test_stale_packets_cost_no_turn(self) -> None:
        """A client's fresh request is not behind its old ones in every round of turns."""
        admission: Admission[str] = Admission()
        for item, arrived_at in (("old", 0.0), ("older", 0.0), ("fresh", 9.0)):
            admission.put(item, Work.NEW, "a", arrived_at)
        admission.put("other", Work.NEW, "b", 9.0)
        assert take_all(admission, 9.0) == ["old", "older", "fresh", "other"]

    def test_flooding_client_displaces_its_own_oldest(self) -> None:
        """At the bound it is not the other's packet that goes."""
        admission: Admission[str] = Admission(4)
        admission.put("b0", Work.NEW, "b", 0.0)
        dropped = [admission.put(f"a{number}", Work.NEW, "a", 0.0) for number in range(5)]
        assert dropped == [None, None, None, (DropReason.QUEUE_FULL, "a"), (DropReason.QUEUE_FULL, "a")]
        assert take_all(admission) == ["b0", "a2", "a3", "a4"]

    def test_client_with_little_displaces_the_one_with_most(self) -> None:
        """A flood that fills all places leaves one for whoever comes."""
        admission: Admission[str] = Admission(3)
        for number in range(3):
            admission.put(f"a{number}", Work.NEW, "a", 0.0)
        assert admission.put("b0", Work.NEW, "b", 0.0) == (DropReason.QUEUE_FULL, "a")
        assert take_all(admission) == ["a1", "b0", "a2"]

    def test_last_packet_of_a_client_can_be_displaced(self) -> None:
        """Its turn goes with it."""
        admission: Admission[str] = Admission(1)
        admission.put("a0", Work.NEW, "a", 0.0)
        assert admission.put("b0", Work.CONVERSATION, "b", 0.0) == (DropReason.QUEUE_FULL, "a")
        assert take_all(admission) == ["b0"]

    def test_new_request_displaces_no_conversation(self) -> None:
        """Work that has begun is worth more than work that has not."""
        admission: Admission[str] = Admission(1)
        admission.put("b0", Work.CONVERSATION, "b", 0.0)
        assert admission.put("a0", Work.NEW, "a", 0.0) == (DropReason.QUEUE_FULL, "a")
        assert take_all(admission) == ["b0"]

    def test_one_client_has_few_status_server_waiting(self) -> None:
        """More of them would tell it nothing new, and keep new requests of others waiting."""
        admission: Admission[str] = Admission()
        dropped = [admission.put("?", Work.STATUS, "a", 0.0) for _ in range(MAX_STATUS_WAITING + 1)]
        assert dropped == [None] * MAX_STATUS_WAITING + [(DropReason.RATE_LIMITED, "a")]
        assert len(admission) == MAX_STATUS_WAITING


class TestThreefoldOverload:
    CAPACITY = 30  # packets that the worker can take in a tick
    TICK_SECONDS = 0.01
    ROUNDS = 8  # of each conversation

    def test_conversations_of_another_client_all_complete(self) -> None:
        """One client sends three times what the worker can take, all of it new; another's logins go through in time."""
        admission: Admission[tuple[str, int, int]] = Admission(2000)
        states = KnownStates()
        completed: Counter[str] = Counter()
        dropped: Counter[tuple[str, DropReason]] = Counter()
        slowest, answers = 0.0, deque[tuple[int, int]]()

        def offer(client: str, conversation: int, number: int, now: float) -> None:
            state = build_attribute(AttributeType.STATE, b"%d/%d" % (conversation, number)) if number else b""
            work = classify_request(packet(Code.ACCESS_REQUEST, state), client, states)
            assert work is (Work.CONVERSATION if number else Work.NEW)
            lost = admission.put((client, conversation, number), work, client, now)
            if lost is not None:
                dropped[lost[1], lost[0]] += 1

        for tick in range(1000):
            now = tick * self.TICK_SECONDS
            for _ in range(3 * self.CAPACITY):
                offer("flood", -1, 0, now)
            if tick < 900:
                offer("other", tick, 0, now)
            while answers:
                offer("other", *answers.popleft(), now)
            for _ in range(self.CAPACITY):
                waiting = admission.take(now)
                assert waiting is not None
                client, conversation, number = waiting.item
                if waiting.is_stale(now):
                    dropped[client, DropReason.WAITED_TOO_LONG] += 1
                    continue
                if client == "other":
                    slowest = max(slowest, now - waiting.arrived_at)
                if client == "flood" or number == self.ROUNDS - 1:
                    completed[client] += 1
                else:
                    states.add(client, b"%d/%d" % (conversation, number + 1))
                    answers.append((conversation, number + 1))
        assert completed["other"] == 900
        assert slowest < 2 * self.TICK_SECONDS
        assert completed["flood"] > 20_000  # all that is left: 30 a tick, less eight for the other's conversations
        assert dropped.keys() == {("flood", DropReason.QUEUE_FULL)}
