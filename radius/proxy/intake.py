"""What comes to a worker's listeners, while the worker keeps up and while it does not.

While it keeps up a datagram is worked on as it is read, and this costs a comparison for each wake-up of the loop. A
wake-up that finds a full portion is the sign of a backlog: from then on, until nothing waits any more, what comes is
read as fast as it can be, sorted (`radius.exchange.admission`), and worked off a slice at a time. Between two slices
the loop turns, and takes what home servers have answered.
"""

from collections.abc import Callable
from typing import Final

from radius.errors import DropReason
from radius.exchange.admission import Admission, classify_request
from radius.proxy.engine import Engine
from radius.proxy.ports import Address, Listener

PORTIONS_PER_TURN: Final = 16  # of 64 datagrams: about 3 ms, so that a flood leaves half of the time for work
SLICE: Final = 64  # requests worked on in one turn, about 2 ms: so long an answer waits

_Request = tuple[Listener, bytes, Address]


class Intake:
    """The requests that wait for their turn; there are none while the worker keeps up."""

    __slots__ = ("_engine", "_waiting")

    def __init__(self, engine: Engine) -> None:
        """Nothing waits."""
        self._engine = engine
        self._waiting: Admission[_Request] = Admission()

    def __len__(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    def collect(self, reads: Callable[[], bool]) -> None:
        """Read until a portion is not full, or long enough."""
        for _ in range(PORTIONS_PER_TURN):
            if not reads():
                return

    def put(self, listener: Listener, datagram: bytes, source: Address, arrived_at: float) -> None:
        """The datagram waits for its turn, or is dropped, or makes another one be dropped."""
        engine = self._engine
        client = engine.clients.find(source[0])
        if client is None:
            engine.notices.drop(DropReason.UNKNOWN_CLIENT, source[0], arrived_at)
            return
        work = classify_request(datagram, client.key, engine.known_states)
        dropped = self._waiting.put((listener, datagram, source), work, client.key, arrived_at)
        if dropped is not None:
            engine.notices.drop(*dropped, arrived_at)

    def work_off(self, now: float) -> None:
        """A slice of what waits is worked on; what has waited too long is dropped."""
        engine, waiting = self._engine, self._waiting
        for _ in range(SLICE):
            turn = waiting.take(now)
            if turn is None:
                return
            if turn.is_stale(now):
                engine.notices.drop(DropReason.WAITED_TOO_LONG, turn.client, now)
            else:
                listener, datagram, source = turn.item
                engine.receive_request(listener, datagram, source, now)
