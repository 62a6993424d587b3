"""A worker's listeners, read in the loop: what comes faster than it is worked on is sorted and worked off in slices."""

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Generic, TypeVar

from radius.exchange.intake import Intake
from radius.transport.udp import Address, make_aged_reader, make_reader, stamp_arrivals

Origin = TypeVar("Origin")


class Backlog(Generic[Origin]):
    """The intake of one worker, in its loop."""

    def __init__(self, intake: Intake[Origin], guard: Callable[[Callable[[], None]], Callable[[], None]]) -> None:
        """`guard` puts a net under a callback of the loop."""
        self._intake = intake
        self._work_off_guarded = guard(self._work_off)
        self._next: asyncio.Handle | None = None

    def __len__(self) -> int:
        """How many requests wait."""
        return len(self._intake)

    def make_reader(
        self,
        udp: socket.socket,
        origin: Origin,
        receive: Callable[[bytes, Address, float], None] | None = None,
    ) -> Callable[[], None]:
        """A callback for `loop.add_reader`: what came is sorted and worked off, beginning at once.

        With `receive`, what comes is handed to it as it is read while there is no backlog, one portion for each call.
        """
        intake = self._intake
        reads = None if receive is None else make_reader(udp, receive)
        stamp_arrivals(udp)
        collects = make_aged_reader(udp, partial(intake.put, origin))

        def take() -> None:
            if self._next is None and reads is not None and not reads():
                return
            intake.collect(collects)
            if self._next is None:
                self._work_off()

        return take

    def cancel(self) -> None:
        """What waits is not worked on any more."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _work_off(self) -> None:
        """A slice now, and the next one, if anything still waits, after the loop has turned."""
        self._next = None
        try:
            self._intake.work_off(monotonic())
        finally:  # whatever became of this slice, the others wait
            if self._intake:
                self._next = asyncio.get_running_loop().call_soon(self._work_off_guarded)
