"""When datagrams came, in monotonic time, though the kernel notes that by a wall clock, which people and programs set.

A wall clock that is set two seconds ahead makes all that waits in a socket look two seconds older, and what looks too
old is not answered. So it is compared with the monotonic clock each time that a socket is read: what came before it was
set is younger by that much.
"""

from math import inf
from typing import Final

SET_SECONDS: Final = 0.25  # apart from each other by more since the last look: it was set; less is how clocks drift
MAX_AGE_SECONDS: Final = 60.0  # nothing waits for so long


class Arrivals:
    """The arrival times at one socket."""

    __slots__ = ("_ahead", "_now", "_offset", "_set_at")

    def __init__(self, now: float, wall: float) -> None:
        """The two clocks, as they stand before anything comes."""
        self._now = now
        self._offset = wall - now
        self._ahead = 0.0  # by how many seconds the wall clock was set, last
        self._set_at = -inf  # when that was noticed

    def look(self, now: float, wall: float) -> None:
        """The socket was read at these times of the two clocks; `time_of` is about what was read."""
        self._now = now
        ahead = wall - now - self._offset
        self._offset = wall - now
        if abs(ahead) > SET_SECONDS:
            self._ahead, self._set_at = ahead, now

    def time_of(self, age: float) -> float:
        """When a datagram came that is so many seconds old by the wall clock; 0: nobody noted it, and it is new."""
        now = self._now
        if now - age < self._set_at:  # it may have come before that, and its age is of two clocks
            age -= self._ahead
        return now - age if 0.0 < age < MAX_AGE_SECONDS else now
