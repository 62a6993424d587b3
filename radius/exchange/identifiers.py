"""Identifiers towards one next hop: as many as there are source ports, times 255.

An Identifier is one octet (RFC 2865 §3), so one source port can have 256 requests outstanding; the next port gives 256
more. 0 is kept for Status-Server. They are used in turn over all ports, so that one comes again as late as can be, and
is not used again before it was answered or given up (RFC 5080 §2.2.1).

A port is opened with nothing made for its identifiers: with a thousand home servers they were a quarter of a million
objects, most of them never used, and a pause of the packet path for each thousand that the garbage collector found.
"""

from collections import deque
from typing import Final, Generic, TypeVar

from radius.exchange.silence import PortDoubt, Remedy

FIRST_IDENTIFIER: Final = 1  # 0 is Status-Server's
IDENTIFIERS_PER_FLOW: Final = 255

Flow = TypeVar("Flow")  # a source port towards the next hop
Exchange = TypeVar("Exchange")  # what waits for the answer


class Slot(Generic[Flow, Exchange]):
    """One identifier of one flow, and what waits on it; made once and used again."""

    __slots__ = ("exchange", "flow", "given_up", "heard_before", "identifier", "range")

    def __init__(self, flow: Flow, identifier: int, of: "Range[Flow, Exchange]") -> None:
        self.flow = flow
        self.identifier = identifier
        self.range = of
        self.heard_before = 0  # answers that the flow had brought when the exchange took it
        self.exchange: Exchange | None = None
        self.given_up: Exchange | None = None  # the last, if nobody waits for its answer any more


class Range(Generic[Flow, Exchange]):
    """The identifiers of one flow."""

    __slots__ = ("doubt", "heard", "is_retired", "slots", "was_idle")

    def __init__(self) -> None:
        self.slots: list[Slot[Flow, Exchange] | None] = [None] * (FIRST_IDENTIFIER + IDENTIFIERS_PER_FLOW)
        """By identifier; None: never used."""
        self.heard = 0  # valid answers that the flow has brought, in time or late
        self.doubt: PortDoubt | None = None  # of the flow, whether it brings any
        self.is_retired = False  # nothing new goes out on the flow
        self.was_idle = False  # nothing waited on it any more when it was last looked at

    @property
    def made(self) -> list[Slot[Flow, Exchange]]:
        """Those that have been used."""
        return [slot for slot in self.slots if slot is not None]

    @property
    def waiting(self) -> list[Exchange]:
        """What waits for an answer."""
        return [slot.exchange for slot in self.made if slot.exchange is not None]


class Identifiers(Generic[Flow, Exchange]):
    """All identifiers of all flows to one next hop."""

    __slots__ = ("_flows", "_free", "_made", "_next", "_unused", "max_flows")

    def __init__(self, max_flows: int) -> None:
        """No flow yet; at most `max_flows` of them."""
        self.max_flows = max_flows
        self._free: deque[Slot[Flow, Exchange]] = deque()
        self._flows: dict[Flow, Range[Flow, Exchange]] = {}
        self._unused: deque[Flow] = deque()  # flows that have identifiers that never were used
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
        self._flows[flow] = Range()
        self._unused.append(flow)

    def remove_flow(self, flow: Flow) -> list[Exchange]:
        """The flow and its identifiers are gone; returns what waited on them."""
        self._withhold(flow)
        waiting = self.waiting_on(flow)
        self._made -= len(waiting)
        self._forget(flow)
        return waiting

    def _forget(self, flow: Flow) -> None:
        self._flows.pop(flow).slots.clear()  # they know each other, and would wait for the garbage collector else

    def retire(self, flow: Flow) -> None:
        """Nothing new goes out on the flow; what waits on it may still be answered."""
        if not self.is_retired(flow):
            self._withhold(flow)
            self._flows[flow].is_retired = True

    def is_retired(self, flow: Flow) -> bool:
        """Whether nothing new goes out on that flow."""
        known = self._flows.get(flow)
        return known is not None and known.is_retired

    def hear(self, flow: Flow) -> None:
        """The flow has brought an answer to something that waits on no identifier any more, or to Status-Server."""
        known = self._flows.get(flow)
        if known is not None:
            known.heard += 1

    def is_silent(self, slot: Slot[Flow, Exchange]) -> bool:
        """Whether the flow has brought no answer to anything since that was taken."""
        return slot.range.heard == slot.heard_before

    def doubt(self, slot: Slot[Flow, Exchange], now: float, *, is_heard_elsewhere: bool) -> Remedy:
        """What waits there was not answered in time; returns what is to be done about its flow.

        `is_heard_elsewhere`: the next hop has answered something since it was sent, and not only others' requests.
        """
        port = slot.range
        if not self.is_silent(slot) or port.is_retired:
            return Remedy.NOTHING
        if port.doubt is None or port.doubt.heard != port.heard:
            port.doubt = PortDoubt(port.heard, now)
            return Remedy.LISTEN
        return port.doubt.miss(now, is_heard_elsewhere=is_heard_elsewhere)

    def _withhold(self, flow: Flow) -> None:
        """Its identifiers that are free are no longer given."""
        flow_range = self._flows[flow]
        if flow_range.is_retired:
            return
        before = len(self._free)
        self._free = deque(slot for slot in self._free if slot.flow is not flow)
        self._made -= before - len(self._free)
        if flow_range.slots[-1] is None:
            if self._unused[0] is flow:
                self._next = FIRST_IDENTIFIER
            self._unused.remove(flow)

    def waiting_on(self, flow: Flow) -> list[Exchange]:
        """What waits for an answer on that flow."""
        known = self._flows.get(flow)
        return known.waiting if known is not None else []

    def shrink(self) -> Flow | None:
        """Remove and return a flow that can be spared: nothing waits on it, and the others stay half free.

        The first flow that is in use stays. None: there is no such flow now.
        """
        kept = [flow for flow, flow_range in self._flows.items() if not flow_range.is_retired]
        flows = len(kept) - 1
        if flows < 1 or self.outstanding * 2 > flows * IDENTIFIERS_PER_FLOW:
            return None
        for flow in reversed(kept[1:]):
            if not self.waiting_on(flow):
                self.remove_flow(flow)
                return flow
        return None

    def remove_retired(self) -> list[Flow]:
        """Remove and return the retired flows on which nothing waits any more, and nothing did at the last call.

        What was given up on them may be answered late until then.
        """
        idle = [flow for flow, flow_range in self._flows.items() if flow_range.is_retired and not flow_range.waiting]
        removed = [flow for flow in idle if self._flows[flow].was_idle]
        for flow in idle:
            self._flows[flow].was_idle = True
        for flow in removed:
            self._forget(flow)
        return removed

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
        slot.heard_before = slot.range.heard
        return slot

    def _make(self) -> Slot[Flow, Exchange]:
        flow = self._unused[0]
        flow_range = self._flows[flow]
        slot = flow_range.slots[self._next] = Slot[Flow, Exchange](flow, self._next, flow_range)
        self._made += 1
        self._next += 1
        if self._next == FIRST_IDENTIFIER + IDENTIFIERS_PER_FLOW:
            self._unused.popleft()
            self._next = FIRST_IDENTIFIER
        return slot

    def release(self, slot: Slot[Flow, Exchange], *, is_answered: bool = False) -> None:
        """The identifier is free again. Only who took it may call this, or `give_up`, and once."""
        slot.exchange = None
        slot.range.heard += is_answered
        if slot.range.is_retired:
            self._made -= 1
        else:
            self._free.append(slot)

    def give_up(self, slot: Slot[Flow, Exchange]) -> None:
        """The same for an exchange without an answer; should one come late, `find_late` knows what it answers."""
        slot.given_up = slot.exchange
        self.release(slot)

    def find(self, flow: Flow, identifier: int) -> Slot[Flow, Exchange] | None:
        """Return the slot on which something waits for an answer with that identifier on that flow."""
        known = self._flows.get(flow)
        slot = known.slots[identifier] if known is not None else None
        return slot if slot is not None and slot.exchange is not None else None

    def find_late(self, flow: Flow, identifier: int) -> Exchange | None:
        """Return what was given up on that identifier, if it was not used since."""
        known = self._flows.get(flow)
        slot = known.slots[identifier] if known is not None else None
        return slot.given_up if slot is not None else None
