"""Python's garbage collector, made to look at what is new before that is much.

It looks by itself when so many more objects have come than gone. Under steady load as many go as come, while all that
have come since its last look are still to be looked at: ten seconds of remembered requests, 5 to 15 ms for every packet
that waits meanwhile. Most of them are tuples of plain values, which a look takes off its list for good.
"""

import gc
from typing import Final

YOUNG_SECONDS: Final = 0.005  # between two looks
MIDDLE_LOOKS: Final = 40  # each so many takes what survived them, too


class YoungGarbage:
    """When the collector looked last; for one event loop."""

    __slots__ = ("_looks", "due")

    def __init__(self) -> None:
        """The first look is due at once."""
        self.due = 0.0  # in seconds of the clock that `collect` is given
        self._looks = 0

    def collect(self, now: float) -> None:
        """Look at what is new, and set the next time; nothing while the collector is switched off."""
        self.due = now + YOUNG_SECONDS
        if gc.isenabled():  # else another thread makes what is to stay, and wants it walked through once, or never
            self._looks += 1
            gc.collect(1 if self._looks % MIDDLE_LOOKS == 0 else 0)
