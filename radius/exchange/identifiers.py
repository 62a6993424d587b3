"""Identifiers towards one next hop: as many as there are source ports, times 255.

An Identifier is one octet (RFC 2865 §3), so one source port can have 256 requests outstanding; the next port gives 256
more. 0 is kept for Status-Server. They are used in turn over all ports, so that one comes again as late as can be, and
is not used again before it was answered or given up (RFC 5080 §2.2.1).

A port is opened with nothing made for its identifiers: with a thousand home servers they were a quarter of a million
objects, most of them never used, and a pause of the packet path for each thousand that the garbage collector found.
"""

from collections import deque
from typing import Final, Generic, TypeVar

FIRST_IDENTIFIER: Final = 1  # 0 is Status-Server's
IDENTIFIERS_PER_FLOW: Final = 255

Flow = TypeVar("Flow")  # a source port towards the next hop
Exchange = TypeVar("Exchange")  # what waits for the answer


class Slot(Generic[Flow, Exchange]):
    """One identifier of one flow, and what waits on it; made once and used again."""

    __slots__ = ("exchange", "flow", "given_up", "identifier")

    def __init__(self, flow: Flow, identifier: int) -> None:
        self.flow = flow
        self.identifier = identifier
        self.exchange: Exchange | None = None
        self.given_up: Exchange | None = None  # the last, if nobody waits for its answer any more


class Identifiers(Generic[Flow, Exchange]):
    """All identifiers of all flows to one next hop."""

    __slots__ = ("_flows", "_free", "_made", "_next", "_unused", "max_flows")

    def __init__(self, max_flows: int) -> None:
        """No flow yet; at most `max_flows` of them."""
        self.max_flows = max_flows
        self._free: deque[Slot[Flow, Exchange]] = deque()
        self._flows: dict[Flow, list[Slot[Flow, Exchange] | None]] = {}  # by identifier; None: never used
        self._unused: deque[Flow] = deque()  # flows that have such
        self._next = FIRST_IDENTIFIER  # of the first of them
        self._made = 0

    @property
    def flows(self) -> tuple[Flow, ...]:
        """The flows, the oldest first."""
        return tuple(self._flows)

    @property
    def outstanding(self) -> int:
        """How many identifiers are in use."""
        return self._made - len(self._free)

    @property
    def may_grow(self) -> bool:
        """Whether another flow may be added."""
        return len(self._flows) < self.max_flows

    def add_flow(self, flow: Flow) -> None:
        """The flow's identifiers are free for use."""
        self._flows[flow] = [None] * (FIRST_IDENTIFIER + IDENTIFIERS_PER_FLOW)
        self._unused.append(flow)

    def remove_flow(self, flow: Flow) -> list[Exchange]:
        """The flow and its identifiers are gone; returns what waited on them."""
        slots = [slot for slot in self._flows.pop(flow) if slot is not None]
        self._made -= len(slots)
        if len(slots) < IDENTIFIERS_PER_FLOW:
            if self._unused[0] is flow:
                self._next = FIRST_IDENTIFIER
            self._unused.remove(flow)
        self._free = deque(slot for slot in self._free if slot.flow is not flow)
        return [slot.exchange for slot in slots if slot.exchange is not None]

    def waiting_on(self, flow: Flow) -> list[Exchange]:
        """What waits for an answer on that flow."""
        slots = self._flows.get(flow, ())
        return [slot.exchange for slot in slots if slot is not None and slot.exchange is not None]

    def shrink(self) -> Flow | None:
        """Remove and return a flow that can be spared: nothing waits on it, and the others stay half free.

        The first flow stays. None: there is no such flow now.
        """
        flows = len(self._flows) - 1
        if flows < 1 or self.outstanding * 2 > flows * IDENTIFIERS_PER_FLOW:
            return None
        for flow in reversed(self.flows[1:]):
            if not self.waiting_on(flow):
                self.remove_flow(flow)
                return flow
        return None

    def take(self, exchange: Exchange) -> Slot[Flow, Exchange] | None:
        """Return one that never was used, or has been free the longest, now the exchange's; None: all are in use."""
        if self._unused:
            slot = self._make()
        elif self._free:
            slot = self._free.popleft()
        else:
            return None
        slot.exchange = exchange
        slot.given_up = None
        return slot

    def _make(self) -> Slot[Flow, Exchange]:
        flow = self._unused[0]
        slot = self._flows[flow][self._next] = Slot[Flow, Exchange](flow, self._next)
        self._made += 1
        self._next += 1
        if self._next == FIRST_IDENTIFIER + IDENTIFIERS_PER_FLOW:
            self._unused.popleft()
            self._next = FIRST_IDENTIFIER
        return slot

    def release(self, slot: Slot[Flow, Exchange]) -> None:
        """The identifier is free again. Only who took it may call this, and once."""
        slot.exchange = None
        self._free.append(slot)

    def give_up(self, slot: Slot[Flow, Exchange]) -> None:
        """The same for an exchange without an answer; should one come late, `find_late` knows what it answers."""
        slot.given_up = slot.exchange
        self.release(slot)

    def find(self, flow: Flow, identifier: int) -> Slot[Flow, Exchange] | None:
        """Return the slot on which something waits for an answer with that identifier on that flow."""
        slots = self._flows.get(flow)
        slot = slots[identifier] if slots is not None else None
        return slot if slot is not None and slot.exchange is not None else None

    def find_late(self, flow: Flow, identifier: int) -> Exchange | None:
        """Return what was given up on that identifier, if it was not used since."""
        slots = self._flows.get(flow)
        slot = slots[identifier] if slots is not None else None
        return slot.given_up if slot is not None else None
