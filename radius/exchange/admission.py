"""What a worker that can not keep up takes first, and what it lets go (RFC 5080 §2.2.3).

While it keeps up, nothing is here: a packet is worked on as it comes. Once packets come faster than that, the kernel's
buffer would be the queue: seconds of work in the order of arrival, so that whoever sends the most gets the most, and
everybody gets answers that nobody waits for any more. Instead what has come is sorted by what it is worth:

    CONVERSATION   a round of a login that has begun: the work already done is lost without it
    STATUS         a neighbour asks whether we live: silence would send all its patrons away
    NEW            everything else

A class is served when those above it are empty; within one, clients have their turns, one packet each. What waits has
a bound in time, and one in number at which the client with the most gives way. Answers of home servers are worth more
than all of these and never wait here: they come on sockets of their own.
"""

from collections import deque
from enum import IntEnum
from typing import Final, Generic, TypeVar

from radius.errors import DropReason
from radius.wire.codes import AttributeType, Code
from radius.wire.packet import HEADER_OCTETS, MAX_ATTRIBUTES

MAX_WAIT_SECONDS: Final = 1.0  # later its sender repeats it, or has given up: access points wait 2 s and more
MAX_WAITING: Final = 16_384  # a second's work of a fast worker; 9 MB of usual packets
MAX_STATUS_WAITING: Final = 4  # of one client: a second one tells it nothing new
MAX_KNOWN_STATES: Final = 32_768  # rounds under way: some seconds of a full worker's
_ACCESS_REQUEST: Final = int(Code.ACCESS_REQUEST)
_STATUS_SERVER: Final = int(Code.STATUS_SERVER)
_STATE: Final = int(AttributeType.STATE)

Item = TypeVar("Item")


class Work(IntEnum):
    """What a packet is worth; the least number goes first."""

    CONVERSATION = 0
    STATUS = 1
    NEW = 2


class KnownStates:
    """The States that were handed out lately: who shows one goes on with a conversation.

    Kept as keyed hashes (Python's, whose key is of this process), so that a State is 8 octets whatever its length.
    """

    __slots__ = ("_max_known", "_states")

    def __init__(self, max_known: int = MAX_KNOWN_STATES) -> None:
        """None was handed out."""
        self._states: dict[int, None] = {}
        self._max_known = max_known

    def __len__(self) -> int:
        """How many are known."""
        return len(self._states)

    def add(self, client: str, state: bytes) -> None:
        """The client got this State in a challenge; the oldest is forgotten when there are too many."""
        if len(self._states) >= self._max_known:
            del self._states[next(iter(self._states))]
        self._states[hash((client, state))] = None

    def take(self, client: str, state: bytes) -> bool:
        """Whether the client got this State, which is then no longer known: one challenge buys one place in front."""
        key = hash((client, state))
        if key not in self._states:
            return False
        del self._states[key]
        return True


def classify_request(datagram: bytes, client: str, states: KnownStates) -> Work:
    """Return what a datagram of the client's is worth, before its authenticity is known.

    A forged State is worth nothing, and a State that was overheard buys one place once.
    """
    if len(datagram) < HEADER_OCTETS:
        return Work.NEW
    code = datagram[0]
    if code == _STATUS_SERVER:
        return Work.STATUS
    if code == _ACCESS_REQUEST:
        state = _find_state(datagram)
        if state and states.take(client, state):
            return Work.CONVERSATION
    return Work.NEW


def _find_state(octets: bytes) -> bytes:
    at, end = HEADER_OCTETS, len(octets)
    for _ in range(MAX_ATTRIBUTES):
        if at + 1 >= end or octets[at + 1] < 2:
            break
        if octets[at] == _STATE:
            return octets[at + 2 : at + octets[at + 1]]
        at += octets[at + 1]
    return b""


class Waiting(Generic[Item]):
    """One packet that waits for its turn."""

    __slots__ = ("arrived_at", "client", "item")

    def __init__(self, item: Item, client: str, arrived_at: float) -> None:
        self.item = item
        self.client = client
        self.arrived_at = arrived_at

    def is_stale(self, now: float) -> bool:
        """Whether it has waited for so long that its answer would be for nobody."""
        return now - self.arrived_at > MAX_WAIT_SECONDS


class _Turns(Generic[Item]):
    """One class: a queue for each client, and whose turn it is."""

    __slots__ = ("queues", "turns")

    def __init__(self) -> None:
        self.queues: dict[str, deque[Waiting[Item]]] = {}
        self.turns: deque[str] = deque()  # each client with a queue, once

    def put(self, waiting: Waiting[Item]) -> None:
        queue = self.queues.get(waiting.client)
        if queue is None:
            self.queues[waiting.client] = deque((waiting,))
            self.turns.append(waiting.client)
        else:
            queue.append(waiting)

    def take(self, now: float) -> Waiting[Item]:
        """The oldest of the client whose turn it is; what is stale costs it no turn."""
        client = self.turns.popleft()
        queue = self.queues[client]
        waiting = queue.popleft()
        if not queue:
            del self.queues[client]
        elif waiting.is_stale(now):
            self.turns.appendleft(client)
        else:
            self.turns.append(client)
        return waiting

    def displace(self, client: str) -> None:
        """The oldest of that client's is gone; the packet that it makes room for is put next."""
        queue = self.queues[client]
        queue.popleft()
        if not queue:
            del self.queues[client]
            self.turns.remove(client)


class Admission(Generic[Item]):
    """What has come to one worker and waits for its turn."""

    __slots__ = ("_classes", "_count", "_max_waiting")

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        """Nothing waits."""
        self._classes: list[_Turns[Item]] = [_Turns() for _ in Work]
        self._max_waiting = max_waiting
        self._count = 0

    def __len__(self) -> int:
        """How many wait."""
        return self._count

    def put(self, item: Item, work: Work, client: str, arrived_at: float) -> tuple[DropReason, str] | None:
        """The item waits; returns why another one does not any more and whose it was, or that this one may not.

        At the bound what is worth the least gives way, and of that the oldest of the client that has the most waiting.
        """
        turns = self._classes[work]
        if work is Work.STATUS and len(turns.queues.get(client, ())) >= MAX_STATUS_WAITING:
            return DropReason.RATE_LIMITED, client
        displaced: tuple[DropReason, str] | None = None
        if self._count >= self._max_waiting:
            loser = self._displace(work, client)
            if loser is None:
                return DropReason.QUEUE_FULL, client
            displaced = DropReason.QUEUE_FULL, loser
        turns.put(Waiting(item, client, arrived_at))
        self._count += 1
        return displaced

    def take(self, now: float) -> Waiting[Item] | None:
        """Return the one whose turn it is, stale or not; None when nothing waits."""
        for turns in self._classes:
            if turns.turns:
                self._count -= 1
                return turns.take(now)
        return None

    def _displace(self, work: Work, client: str) -> str | None:
        """Make room; returns at whose expense, or None when all that waits is worth more."""
        turns = next((turns for turns in reversed(self._classes[work:]) if turns.queues), None)
        if turns is None:
            return None
        queues = turns.queues
        own = queues.get(client)
        # Whoever has more than its share loses its own; only else are the others looked at.
        if own is not None and len(own) * len(queues) >= self._count:
            loser = client
        else:
            loser = max(queues, key=lambda name: len(queues[name]))
        turns.displace(loser)
        self._count -= 1
        return loser
