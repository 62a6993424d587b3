"""Many deadlines, one timer.

Deadlines are kept in buckets of 20 ms: to add one costs a dictionary look-up, whatever their number, and the timer has
only to know the next bucket. A deadline is therefore met up to one bucket late, never early.
"""

from heapq import heappop, heappush
from typing import Final, Generic, TypeVar

BUCKETS_PER_SECOND: Final = 50

Item = TypeVar("Item")


class Schedule(Generic[Item]):
    """Items by the time at which something is to be done about them."""

    __slots__ = ("_buckets", "_heap")

    def __init__(self) -> None:
        """Nothing is scheduled."""
        self._buckets: dict[int, list[Item]] = {}
        self._heap: list[int] = []

    def add(self, item: Item, due: float) -> None:
        """The item comes out of `take_due` once `due` has passed."""
        number = int(due * BUCKETS_PER_SECOND) + 1
        bucket = self._buckets.get(number)
        if bucket is None:
            self._buckets[number] = [item]
            heappush(self._heap, number)
        else:
            bucket.append(item)

    def next_timer(self) -> float | None:
        """When `take_due` has something to give; None while nothing is scheduled."""
        return self._heap[0] / BUCKETS_PER_SECOND if self._heap else None

    def take_due(self, now: float) -> list[Item]:
        """Return the items whose time has come; they are no longer scheduled."""
        limit = now * BUCKETS_PER_SECOND
        due: list[Item] = []
        while self._heap and self._heap[0] <= limit:
            due.extend(self._buckets.pop(heappop(self._heap)))
        return due
