"""Repeats are answered with the same octets, once."""

import gc
import itertools

from hypothesis import given
from hypothesis import strategies as st

from radius.exchange.duplicates import (
    FORGOTTEN_AT_ONCE,
    LEFT_SECONDS,
    PENDING_SECONDS,
    WINDOW_SECONDS,
    Duplicates,
    Seen,
)
from radius.exchange.schedule import BUCKETS_PER_SECOND

KEY = (("192.0.2.1", 50000), b"\x01\x07")
FIRST, SECOND = b"a" * 16, b"b" * 16
SLACK = LEFT_SECONDS + 1.01 / BUCKETS_PER_SECOND  # by which the timer may be late


class TestReceive:
    def test_first_request_is_new_and_then_pending(self) -> None:
        """A repeat of a request that is being answered is not forwarded again (RFC 5080 §2.2.2)."""
        table = Duplicates()
        assert table.receive(KEY, FIRST, "ap", 0.0) is Seen.NEW
        assert table.receive(KEY, FIRST, "ap", 1.0) is Seen.PENDING
        assert table.is_pending(KEY, FIRST)

    def test_repeat_after_the_answer_gets_the_same_octets(self) -> None:
        """The answer is kept octet for octet, for all of its window."""
        table = Duplicates()
        table.receive(KEY, FIRST, "ap", 0.0)
        assert table.answer(KEY, FIRST, b"answer", 1.0)
        assert table.receive(KEY, FIRST, "ap", 1.0 + WINDOW_SECONDS - 0.01) == b"answer"
        assert not table.is_pending(KEY, FIRST)

    def test_repeat_after_the_window_is_new(self) -> None:
        """An answer is forgotten after its window, whether or not the timer ran."""
        table = Duplicates()
        table.receive(KEY, FIRST, "ap", 0.0)
        table.answer(KEY, FIRST, b"answer", 1.0)
        assert table.receive(KEY, FIRST, "ap", 1.0 + WINDOW_SECONDS) is Seen.NEW

    def test_other_authenticator_replaces_the_request(self) -> None:
        """The same key with another authenticator is another request: the client has moved on (RFC 5080 §2.2.2)."""
        table = Duplicates()
        table.receive(KEY, FIRST, "ap", 0.0)
        assert table.receive(KEY, SECOND, "ap", 1.0) is Seen.NEW
        assert not table.is_pending(KEY, FIRST)
        assert not table.answer(KEY, FIRST, b"too late", 2.0)
        assert table.pending_of("ap") == 1

    def test_other_keys_are_other_requests(self) -> None:
        """Source port, code and identifier tell requests apart."""
        table = Duplicates()
        for key in (KEY, (("192.0.2.1", 50001), b"\x01\x07"), (("192.0.2.1", 50000), b"\x04\x07")):
            assert table.receive(key, FIRST, "ap", 0.0) is Seen.NEW
        assert len(table) == 3


class TestAnswer:
    def test_second_answer_does_not_replace_the_first(self) -> None:
        """Only one answer is ever given to a request."""
        table = Duplicates()
        table.receive(KEY, FIRST, "ap", 0.0)
        table.answer(KEY, FIRST, b"first", 0.5)
        assert not table.answer(KEY, FIRST, b"second", 0.6)
        assert table.receive(KEY, FIRST, "ap", 1.0) == b"first"

    def test_answer_to_an_unknown_request_is_not_kept(self) -> None:
        """Nobody waits for it."""
        assert not Duplicates().answer(KEY, FIRST, b"answer", 0.0)

    def test_forgotten_request_is_new_again(self) -> None:
        """A request that was dropped may be tried again with the same octets."""
        table = Duplicates()
        table.receive(KEY, FIRST, "ap", 0.0)
        table.forget(KEY, FIRST)
        assert len(table) == 0
        assert table.receive(KEY, FIRST, "ap", 0.1) is Seen.NEW

    def test_answered_request_is_not_forgotten(self) -> None:
        """`forget` is for pending requests, and for the right authenticator."""
        table = Duplicates()
        table.receive(KEY, FIRST, "ap", 0.0)
        table.forget(KEY, SECOND)
        table.answer(KEY, FIRST, b"answer", 0.0)
        table.forget(KEY, FIRST)
        assert table.receive(KEY, FIRST, "ap", 0.1) == b"answer"


class TestBounds:
    def test_one_source_may_not_fill_the_table(self) -> None:
        """Beyond its share a client's requests are refused, and others' are not."""
        table = Duplicates(max_pending_per_source=2)
        for number in range(2):
            table.receive(number, FIRST, "greedy", 0.0)
        assert table.receive(2, FIRST, "greedy", 0.0) is Seen.FULL
        assert table.receive(3, FIRST, "modest", 0.0) is Seen.NEW

    def test_share_is_free_again_after_answers(self) -> None:
        """Only pending requests count against a client."""
        table = Duplicates(max_pending_per_source=1)
        table.receive(0, FIRST, "ap", 0.0)
        table.answer(0, FIRST, b"answer", 0.0)
        assert table.receive(1, FIRST, "ap", 0.0) is Seen.NEW

    def test_full_table_gives_up_the_oldest_answer(self) -> None:
        """Pending requests are never pushed out: their answers would be lost."""
        table = Duplicates(max_entries=3)
        table.receive("pending", FIRST, "a", 0.0)
        for number in range(2):
            table.receive(number, FIRST, "b", 0.0)
            table.answer(number, FIRST, b"answer", 0.0)
        assert table.receive("new", FIRST, "c", 1.0) is Seen.NEW
        assert table.is_pending("pending", FIRST)
        assert table.receive(1, FIRST, "b", 1.0) == b"answer"
        assert len(table) == 3

    def test_flooder_gives_up_its_own_answers(self) -> None:
        """Who fills the table makes room for itself: another's older answer is still there for a repeat."""
        table = Duplicates(max_entries=40)
        table.receive("honest", FIRST, "honest", 0.0)
        table.answer("honest", FIRST, b"answer", 0.0)
        for number in range(500):
            assert table.receive(number, FIRST, "flooder", 1.0) is Seen.NEW
            table.answer(number, FIRST, b"answer", 1.0)
        assert len(table) == 40
        assert table.receive("honest", FIRST, "honest", 2.0) == b"answer"

    def test_newcomer_finds_room_in_a_flooded_table(self) -> None:
        """It has no answer of its own to give up: the oldest goes."""
        table = Duplicates(max_entries=40)
        for number in range(40):
            table.receive(number, FIRST, "flooder", 1.0 + number / 100)
            table.answer(number, FIRST, b"answer", 2.0)
        assert table.receive("honest", FIRST, "honest", 2.0) is Seen.NEW
        assert len(table) == 40
        assert table.receive(0, FIRST, "flooder", 2.0) is Seen.NEW  # it had been given up

    def test_table_full_of_pending_requests_takes_no_more(self) -> None:
        """When nothing can be given up the new request is refused."""
        table = Duplicates(max_entries=2)
        for number in range(2):
            table.receive(number, FIRST, str(number), 0.0)
        assert table.receive(2, FIRST, "2", 1.0) is Seen.FULL

    def test_full_table_first_forgets_what_is_too_old(self) -> None:
        """What has outlived its window makes room before anything else does."""
        table = Duplicates(max_entries=1)
        table.receive(0, FIRST, "a", 0.0)
        table.answer(0, FIRST, b"answer", 0.0)
        assert table.receive(1, FIRST, "a", WINDOW_SECONDS + 1) is Seen.NEW

    def test_replaced_answer_is_not_given_up(self) -> None:
        """Its client has asked anew, and waits."""
        table = Duplicates(max_entries=2)
        table.receive(0, FIRST, "a", 0.0)
        table.answer(0, FIRST, b"answer", 0.0)
        table.receive(0, SECOND, "a", 0.0)
        table.receive(1, FIRST, "a", 0.0)
        assert table.receive(2, FIRST, "a", 0.0) is Seen.FULL
        assert table.is_pending(0, SECOND)

    def test_client_beyond_its_share_loses_what_it_replaces(self) -> None:
        """It has moved on from its earlier request; the new one is not taken, and may be tried again."""
        table = Duplicates(max_pending_per_source=1)
        table.receive(0, FIRST, "ap", 0.0)
        table.answer(0, FIRST, b"answer", 0.0)
        table.receive(1, FIRST, "ap", 0.0)
        assert table.receive(0, SECOND, "ap", 0.0) is Seen.FULL
        assert len(table) == 1
        table.answer(1, FIRST, b"answer", 0.0)
        assert table.receive(0, SECOND, "ap", 0.0) is Seen.NEW

    def test_many_old_pending_requests_are_not_all_looked_at_at_once(self) -> None:
        """A request costs no more when the table is full of others that wait; the next one finds the answer."""
        table = Duplicates(max_entries=100)
        for number in range(99):
            table.receive(number, FIRST, "silent", 0.0)
        table.receive(99, FIRST, "ap", 1.0)
        table.answer(99, FIRST, b"answer", 1.0)
        found = [table.receive(200 + number, FIRST, "ap", 2.0) for number in range(5)]
        assert found == [Seen.FULL, Seen.FULL, Seen.FULL, Seen.NEW, Seen.FULL]

    def test_reused_keys_leave_nothing_behind(self) -> None:
        """A client that uses its 256 identifiers again and again costs the memory of 256 requests."""
        table = Duplicates()
        table.receive("waits", FIRST, "slow", 0.0)
        for number in range(20_000):
            authenticator = number.to_bytes(16)
            table.receive(number % 256, authenticator, "ap", 0.0)
            table.answer(number % 256, authenticator, b"answer", 0.0)
        assert len(table) == 257
        assert len(table._schedule.take_due(1e9)) == 257  # pyright: ignore[reportPrivateUsage] - memory is no answer

    def test_garbage_collector_has_nothing_to_walk_through(self) -> None:
        """A hundred thousand remembered requests would be a pause of the packet path else."""
        table = Duplicates()
        table.receive(b"key", FIRST, "ap", 0.0)
        table.answer(b"key", FIRST, b"answer", 0.0)
        gc.collect()
        entries = [entry for part in table._parts for entry in part.values()]  # pyright: ignore[reportPrivateUsage] - as above
        assert len(entries) == len(table) > 0
        assert not any(map(gc.is_tracked, entries))


class TestTimer:
    def test_empty_table_needs_no_timer(self) -> None:
        """Nothing is to be forgotten."""
        assert Duplicates().next_timer() is None

    def test_pending_request_has_a_hard_lifetime(self) -> None:
        """A request that nobody settles is forgotten all the same."""
        table = Duplicates()
        table.receive(KEY, FIRST, "ap", 0.0)
        table.on_timer(PENDING_SECONDS - 0.1)
        assert table.is_pending(KEY, FIRST)
        timer = table.next_timer()
        assert timer is not None
        assert PENDING_SECONDS < timer <= PENDING_SECONDS + SLACK
        table.on_timer(timer)
        assert len(table) == 0
        assert table.pending_of("ap") == 0

    def test_answers_are_forgotten_in_their_time(self) -> None:
        """The timer takes what is too old and leaves the rest."""
        table = Duplicates()
        for number in range(3):
            table.receive(number, FIRST, "ap", 0.0)
            table.answer(number, FIRST, b"answer", float(number))
        table.on_timer(WINDOW_SECONDS + 1 + SLACK)
        assert len(table) == 1
        assert table.receive(2, FIRST, "ap", WINDOW_SECONDS + 1.5) == b"answer"
        table.on_timer(WINDOW_SECONDS + 2 + SLACK)
        assert len(table) == 0
        assert table.next_timer() is None

    def test_each_new_request_takes_some_with_it_that_are_too_old(self) -> None:
        """What is forgotten is spread as evenly as requests are; the timer comes later, and finds nothing to do."""
        table = Duplicates()
        sizes: list[int] = []
        for number in range(1000):
            now = number * 3 * WINDOW_SECONDS / 1000
            timer = table.next_timer()
            assert timer is None or timer > now
            assert table.receive(number, FIRST, "ap", now) is Seen.NEW
            table.answer(number, FIRST, b"answer", now)
            table.forget_old(now)
            sizes.append(len(table))
        assert max(sizes) <= 1000 / 3 + 10
        assert all(after >= before - 3 for before, after in itertools.pairwise(sizes))

    def test_repeat_takes_nothing_with_it(self) -> None:
        """A flood of repeats is no more work for the others' entries."""
        table = Duplicates()
        for number in range(10):
            table.receive(number, FIRST, "ap", 0.0)
            table.answer(number, FIRST, b"answer", 0.0)
        table.receive("new", FIRST, "ap", 5.0)
        table.forget_old(5.0)
        assert table.receive("new", FIRST, "ap", WINDOW_SECONDS + 1) is Seen.PENDING
        table.forget_old(WINDOW_SECONDS + 1)
        assert len(table) == 11


class TestModel:
    @given(
        st.lists(
            st.tuples(st.sampled_from("rafct"), st.integers(0, 3), st.sampled_from([FIRST, SECOND]), st.integers(0, 7)),
            max_size=60,
        )
    )
    def test_table_behaves_as_a_plain_dictionary(self, steps: list[tuple[str, int, bytes, int]]) -> None:
        """Whatever the order of events, the table knows what a naive one knows."""
        table = Duplicates()
        naive: dict[int, tuple[bytes, bytes | None, float]] = {}
        now = 0.0
        for step, key, authenticator, seconds in steps:
            now += seconds
            known = naive.get(key)
            if known is not None and now >= known[2]:
                known = None
                naive.pop(key)
            is_same = known is not None and known[0] == authenticator
            if step == "r":
                expected: object = Seen.NEW
                if known is not None and is_same:
                    expected = Seen.PENDING if known[1] is None else known[1]
                else:
                    naive[key] = (authenticator, None, now + PENDING_SECONDS)
                assert table.receive(key, authenticator, "ap", now) == expected
            elif step == "a":
                table.on_timer(now + SLACK)
                assert table.answer(key, authenticator, b"%d" % key, now) == bool(
                    known is not None and is_same and known[1] is None
                )
                if known is not None and is_same and known[1] is None:
                    naive[key] = (authenticator, b"%d" % key, now + WINDOW_SECONDS)
            elif step == "f":
                table.forget(key, authenticator)
                if known is not None and is_same and known[1] is None:
                    naive.pop(key)
            elif step == "t":
                table.on_timer(now)
        table.on_timer(now + 3 * SLACK)  # once for each time that the timer may have been late above, and for itself
        assert len(table) == sum(1 for _, _, expires_at in naive.values() if expires_at > now)
        assert table.pending_of("ap") == sum(1 for _, answer, at in naive.values() if answer is None and at > now)

    def test_no_part_is_large(self) -> None:
        """A dict that is written anew, since what it holds comes and goes, is a pause of the packet path."""
        table = Duplicates()
        for number in range(10_000):
            table.receive(number.to_bytes(8), FIRST, "ap", 0.0)
            table.answer(number.to_bytes(8), FIRST, b"answer", 0.0)
        assert len(table) == 10_000
        assert max(map(len, table._parts)) < 100  # pyright: ignore[reportPrivateUsage] - as above
        while len(table):
            before = len(table)
            table.on_timer(100.0)
            assert before - FORGOTTEN_AT_ONCE <= len(table) < before  # no call is a pause
        assert not any(table._parts)  # pyright: ignore[reportPrivateUsage] - as above
