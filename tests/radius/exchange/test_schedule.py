"""Deadlines come out in time and in order, and leave when they are taken back."""

from hypothesis import given
from hypothesis import strategies as st

from radius.exchange.schedule import BUCKETS_PER_SECOND, Schedule


class TestSchedule:
    def test_nothing_scheduled_needs_no_timer(self) -> None:
        """An empty schedule sleeps."""
        schedule: Schedule[str] = Schedule()
        assert schedule.next_timer() is None
        assert schedule.take_due(1e9) == []

    def test_items_are_those_that_neither_came_out_nor_were_taken_back(self) -> None:
        """Whatever their time."""
        schedule: Schedule[str] = Schedule()
        assert schedule.items() == []
        place = schedule.add("taken back", 1.0)
        for name, due in (("due", 1.0), ("later", 50.0), ("later too", 50.0)):
            schedule.add(name, due)
        schedule.remove("taken back", place)
        assert sorted(schedule.items()) == ["due", "later", "later too"]
        schedule.take_due(2.0)
        assert sorted(schedule.items()) == ["later", "later too"]

    def test_item_comes_out_after_its_time_and_once(self) -> None:
        """Never early, and at most one bucket late."""
        schedule: Schedule[str] = Schedule()
        schedule.add("a", 1.0)
        due = schedule.next_timer()
        assert due is not None
        assert 1.0 < due <= 1.0 + 1.01 / BUCKETS_PER_SECOND
        assert schedule.take_due(1.0) == []
        assert schedule.take_due(due) == ["a"]
        assert schedule.take_due(due) == []

    def test_items_of_one_time_share_a_bucket(self) -> None:
        """Ten thousand deadlines of one moment are one entry for the timer, in the order they came."""
        schedule: Schedule[int] = Schedule()
        for number in range(10_000):
            schedule.add(number, 2.0)
        assert schedule.take_due(2.1) == list(range(10_000))

    def test_nobody_comes_for_what_was_taken_back(self) -> None:
        """Requests are answered before they are sent again: the timer is for those that are not."""
        schedule: Schedule[int] = Schedule()
        places = [schedule.add(number, 1.0 + number) for number in range(5)]
        for number in (0, 1, 3):
            schedule.remove(number, places[number])
        due = schedule.next_timer()
        assert due is not None
        assert schedule.take_due(due) == [2]
        schedule.remove(4, places[4])
        assert schedule.next_timer() is None
        schedule.add(5, 2.0)
        assert schedule.take_due(9.0) == [5]

    def test_more_than_the_limit_stays_due(self) -> None:
        """A thousand deadlines of one moment are met in portions, and the timer asks for the next one at once."""
        schedule: Schedule[int] = Schedule()
        for number in range(10):
            schedule.add(number, 1.0 if number < 5 else 2.0)
        portions: list[list[int]] = []
        while (due := schedule.next_timer()) is not None:
            assert due <= 3.0
            portions.append(schedule.take_due(3.0, 4))
        assert portions == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]

    def test_removed_item_does_not_come_out(self) -> None:
        """What is answered is let go at once; to remove it again is harmless."""
        schedule: Schedule[str] = Schedule()
        place = schedule.add("a", 1.0)
        schedule.add("b", 1.0)
        schedule.remove("a", place)
        schedule.remove("a", place)
        assert schedule.take_due(2.0) == ["b"]
        schedule.remove("b", place)

    def test_first_is_of_the_earliest_bucket(self) -> None:
        """Whoever has to make room takes what would go next, whether or not it is due."""
        schedule: Schedule[str] = Schedule()
        schedule.add("later", 2.0)
        place = schedule.add("removed", 0.5)
        schedule.add("first", 1.0)
        schedule.remove("removed", place)
        assert [schedule.take_first() for _ in range(3)] == ["first", "later", None]
        assert schedule.next_timer() is None

    @given(st.floats(0, 1e6))
    def test_time_that_the_timer_names_gives_something(self, due: float) -> None:
        """Whatever the rounding, the timer is not asked for again at the moment at which it fires."""
        schedule: Schedule[str] = Schedule()
        schedule.add("a", due)
        timer = schedule.next_timer()
        assert timer is not None
        assert schedule.take_due(timer) == ["a"]

    @given(st.lists(st.floats(0, 100), max_size=40), st.floats(0, 100))
    def test_due_is_what_a_sorted_list_says(self, times: list[float], now: float) -> None:
        """Everything that is a bucket past its time is out, and nothing that is not due."""
        schedule: Schedule[int] = Schedule()
        for number, due in enumerate(times):
            schedule.add(number, due)
        taken = schedule.take_due(now)
        assert all(times[number] <= now for number in taken)
        left = set(range(len(times))) - set(taken)
        assert all(times[number] > now - 1.001 / BUCKETS_PER_SECOND for number in left)
