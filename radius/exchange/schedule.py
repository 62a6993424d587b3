"""Many deadlines, one timer.

Deadlines are kept in buckets of 20 ms: to add one or to take it back costs a dictionary look-up, whatever their number,
and the timer has only to know the next bucket. A deadline is therefore met up to one bucket late, never early.
"""

from heapq import heappop, heappush
from itertools import islice
from typing import Final, Generic, TypeVar

BUCKETS_PER_SECOND: Final = 50
NO_LIMIT: Final = 1 << 62

Item = TypeVar("Item")


class Schedule(Generic[Item]):
    """Items by the time at which something is to be done about them; each is in it once at most."""

    __slots__ = ("_buckets", "_heap")

    def __init__(self) -> None:
        """Nothing is scheduled."""
        self._buckets: dict[int, dict[Item, None]] = {}
        self._heap: list[int] = []

    def add(self, item: Item, due: float) -> int:
        """The item comes out of `take_due` once `due` has passed; returns its place, for `remove`."""
        place = int(due * BUCKETS_PER_SECOND) + 1
        bucket = self._buckets.get(place)
        if bucket is None:
            self._buckets[place] = {item: None}
            heappush(self._heap, place)
        else:
            bucket[item] = None
        return place

    def remove(self, item: Item, place: int) -> None:
        """The item is no longer scheduled, if it was: nothing keeps it in memory until its time."""
        bucket = self._buckets.get(place)
        if bucket is not None:
            bucket.pop(item, None)

    def items(self) -> list[Item]:
        """Return all that is scheduled, in no order."""
        return [item for bucket in self._buckets.values() for item in bucket]

    def next_timer(self) -> float | None:
        """When `take_due` will have something to give; None while nothing is scheduled.

        What was taken back leaves empty buckets: nobody has to come for those.
        """
        heap, buckets = self._heap, self._buckets
        while heap:
            first = heap[0]
            if buckets[first]:
                return first / BUCKETS_PER_SECOND
            del buckets[heappop(heap)]
        return None

    def take_first(self) -> Item | None:
        """Return an item of the earliest bucket, due or not, which is no longer scheduled; None when there is none."""
        while self._heap:
            bucket = self._buckets[self._heap[0]]
            if bucket:
                item = next(iter(bucket))
                del bucket[item]
                return item
            del self._buckets[heappop(self._heap)]
        return None

    def take_due(self, now: float, limit: int = NO_LIMIT) -> list[Item]:
        """Return the items whose time has come, the earliest first, at most so many; they are no longer scheduled."""
        due: list[Item] = []
        # The same division as in `next_timer`: at the time that it names, something is due, whatever the rounding.
        while self._heap and self._heap[0] / BUCKETS_PER_SECOND <= now:
            bucket = self._buckets[self._heap[0]]
            if len(due) + len(bucket) > limit:
                first = list(islice(bucket, limit - len(due)))
                for item in first:
                    del bucket[item]
                due.extend(first)
                break
            due.extend(bucket)
            del self._buckets[heappop(self._heap)]
        return due
