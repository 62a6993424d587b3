"""What has come to a worker's listeners and waits, and how it is worked off: a slice at a time, the most worth first.

It is the same for a proxy and for a home server. Between two slices the loop turns, so that answers, timers and what
came meanwhile have their part of the time. While a worker keeps up, nothing waits here.
"""

from collections.abc import Callable
from typing import Any, Final, Generic, TypeAlias, TypeVar

from radius.errors import DropReason
from radius.exchange.admission import Admission, KnownStates, classify_request

PORTIONS_PER_TURN: Final = 16  # of 64 datagrams: about 3 ms, so that a flood leaves half of the time for work
MAX_TAKEN: Final = 1024  # in one turn, with those that are dropped: about 2 ms where a flood has left nothing else

Origin = TypeVar("Origin")
Source: TypeAlias = tuple[Any, ...]  # as recvfrom gives it: the host stands first


class Intake(Generic[Origin]):
    """The requests that wait for their turn; `Origin` is what they came to, such as a listener."""

    def __init__(
        self,
        states: KnownStates,
        *,
        find_client: Callable[[str], str | None],
        take: Callable[[Origin, bytes, Source, float], None],
        drop: Callable[[DropReason, str, float], None],
        slice_size: int,
    ) -> None:
        """Nothing waits.

        `find_client` knows who asks from a host, or counts that nobody may; `take` works on a request; `drop` hears why
        one is not worked on and whose it was; `slice_size` is how many requests one turn works on.
        """
        self._states = states
        self._find_client = find_client
        self._take = take
        self._drop = drop
        self._slice_size = slice_size
        self._waiting: Admission[tuple[Origin, bytes, Source]] = Admission()

    def __len__(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    def collect(self, reads: Callable[[], bool]) -> None:
        """Read until a portion is not full, or long enough."""
        for _ in range(PORTIONS_PER_TURN):
            if not reads():
                return

    def put(self, origin: Origin, datagram: bytes, source: Source, arrived_at: float) -> None:
        """The datagram waits for its turn, or is dropped, or makes another one be dropped."""
        client = self._find_client(source[0])
        if client is None:
            self._drop(DropReason.UNKNOWN_CLIENT, source[0], arrived_at)
            return
        work = classify_request(datagram, client, self._states)
        dropped = self._waiting.put((origin, datagram, source), work, client, arrived_at)
        if dropped is not None:
            self._drop(dropped[0], dropped[1], arrived_at)

    def work_off(self, now: float) -> None:
        """A slice of what waits is worked on; what has waited too long is dropped, which costs next to nothing."""
        left = self._slice_size
        for _ in range(MAX_TAKEN):
            turn = self._waiting.take(now)
            if turn is None:
                return
            if turn.is_stale(now):
                self._drop(DropReason.WAITED_TOO_LONG, turn.client, now)
                continue
            origin, datagram, source = turn.item
            self._take(origin, datagram, source, now)
            left -= 1
            if not left:
                return
