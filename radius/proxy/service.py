"""The proxy at work: the engine on real sockets, with real time, in one event loop."""

import asyncio
import logging
import random
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from time import monotonic, time
from typing import Final

from federation.events import SignInFields
from federation.snapshot import Snapshot
from radius.errors import DropReason
from radius.proxy.discovering import Discovering
from radius.proxy.engine import Engine
from radius.proxy.intake import make_intake
from radius.proxy.loops import LoopGuard
from radius.proxy.naming import Naming
from radius.proxy.notices import Notices
from radius.proxy.ports import Flow
from radius.proxy.randomness import RandomPool
from radius.proxy.streams import Streams
from radius.transport.backlog import Backlog
from radius.transport.faults import Faults
from radius.transport.flows import UdpFlow
from radius.transport.garbage import YoungGarbage
from radius.transport.listeners import UdpListener
from radius.transport.outbox import Waiting, flush_all
from radius.transport.udp import connect_udp, make_flow_reader

DRAIN_SECONDS: Final = 5.0
ARM_SLACK_SECONDS: Final = 0.1  # while the timer is due this soon, nobody looks for an earlier deadline
# Deadlines fall due in bunches and are met in portions, between which packets go, unless the deadlines wait for long.
PORTION_PAUSE_SECONDS: Final = 0.001
LATE_SECONDS: Final = 0.05
MAX_EVENTS: Final = 10_000  # what nobody has taken yet; the oldest goes, and is counted
_DRAIN_STEP_SECONDS: Final = 0.02

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProxySockets:
    """Bound, non-blocking sockets: the service reads them; who made them closes them."""

    authentication: Sequence[socket.socket]
    accounting: Sequence[socket.socket] = ()
    streams: Sequence[socket.socket] = ()  # listening, for RADIUS/TLS


class ProxyService:
    """One proxy worker."""

    def __init__(
        self,
        sockets: ProxySockets,
        *,
        loop_key: bytes,
        nameservers: Sequence[tuple[str, int]] = (),
        max_events: int = MAX_EVENTS,
    ) -> None:
        """Nothing is read before `start`; `loop_key` is this node's secret, the same for all its workers.

        `nameservers` are asked where realms are discovered; without any, those of this machine. `max_events` are kept
        until somebody takes them.
        """
        self.notices = Notices(_write_notice)
        self._events: deque[SignInFields] = deque(maxlen=max_events)
        self._events_lost = 0
        self._told_before: int | None = None  # when events were last taken; None: nobody has yet, so none is missed
        self.outboxes: list[Waiting] = []  # in which something waits for the end of the turn
        self.streams = Streams(sockets.streams, self)
        self.engine = Engine(
            notices=self.notices,
            open_flow=self._open_flow,
            open_stream=self.streams.open_stream,
            random_octets=RandomPool().take,
            random_fraction=random.random,  # jitter, no secret
            wall_clock=time,
            emit=self._events.append,
            loop_guard=LoopGuard(loop_key),
        )
        self.streams.attach(self.engine)
        ports = [int(each.getsockname()[1]) for each in sockets.streams]
        self.discovering = Discovering(self.engine, self.streams, self, nameservers, ports)
        self.naming = Naming(self.engine, self.keep_time)
        self._backlog = Backlog(make_intake(self.engine), self._guard)
        self._listeners = [UdpListener(each, self.outboxes, is_accounting=False) for each in sockets.authentication]
        self._listeners += [UdpListener(each, self.outboxes, is_accounting=True) for each in sockets.accounting]
        self._faults = Faults(_log)
        self._young = YoungGarbage()
        self._meet_deadlines = self._guard(self._on_time)
        self._refuse = self._guard(self._turn_away)
        self._is_refusing = False
        self._timer: asyncio.TimerHandle | None = None
        self._went_off_at = -inf
        self._due = inf  # when it goes off; uvloop's does not tell, if that is within half a millisecond
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """The sockets are read from now on, in the running loop."""
        self._loop = asyncio.get_running_loop()
        for listener in self._listeners:
            receive = partial(self.engine.receive_request, listener)
            reader = self._backlog.make_reader(listener.udp, listener, receive)
            self._loop.add_reader(listener.udp, self._guard(reader))
        self.streams.start()
        self.discovering.start()
        self.naming.start()

    def swap(self, snapshot: Snapshot) -> None:
        """New requests meet this snapshot; connections that it does not believe any more are over.

        Raises:
            ValueError: it can not be used; the earlier one stays in force.
        """
        trust = self.streams.prepare(snapshot.peer_trust)
        difference = self.engine.swap(snapshot)
        self.streams.discovery = snapshot.discovery
        self.streams.swap(trust, snapshot.peer_trust, snapshot.home_servers, difference)
        self.naming.look()
        self.discovering.swap(snapshot)
        self.keep_time()

    async def stop(self, drain_seconds: float = DRAIN_SECONDS) -> None:
        """Nothing new is read; what is outstanding is answered, for as long as that; then all ports are closed."""
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            loop.remove_reader(listener.udp)
        await self.streams.stop()
        await self.discovering.stop()
        deadline = monotonic() + drain_seconds
        while (self.engine.outstanding or self.engine.refused or self._backlog) and monotonic() < deadline:  # noqa: ASYNC110 - now and then, once
            await asyncio.sleep(_DRAIN_STEP_SECONDS)
        if self._timer is not None:
            self._timer.cancel()
        self._backlog.cancel()
        await self.naming.stop()
        self.engine.close()
        self.streams.close()

    def counters(self) -> dict[str, object]:
        """What a status report tells: plain numbers by stable codes; those of peers are still to be asked for."""
        engine = self.engine
        return {
            "requests": self.notices.requests,
            "answers": self.notices.answers,
            "drops": dict(self.notices.drops),
            "refusals": dict(self.notices.refusals),
            "accounting": dict(self.notices.accounting),
            "outstanding": engine.outstanding,
            "duplicates_remembered": len(engine.duplicates),
            "events_lost": self.events_lost,
            "clients": {key: client.counters for key, client in engine.clients.states.items()},
            "home_servers": {key: upstream.counters for key, upstream in engine.upstreams.items()},
            **self.streams.counters(),
            **self.discovering.counters(),
            "peers": self.streams.peers(),
        }

    @property
    def events_lost(self) -> int:
        """How many events were too many since somebody takes them."""
        if self._told_before is None:
            return 0
        return self._events_lost + self.notices.told - self._told_before - len(self._events)

    def take_events(self) -> list[SignInFields]:
        """Return what happened since the last time, the oldest first; what did not fit is counted."""
        self._events_lost, self._told_before = self.events_lost, self.notices.told
        events = list(self._events)
        self._events.clear()
        return events

    def _guard(self, work: Callable[[], None]) -> Callable[[], None]:
        """The callback with the one net under it: a bug costs one packet and is seen, and the timer is kept."""

        def guarded() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - the top of the loop's callbacks
                self.catch(error)
            self.keep_time()

        return guarded

    def catch(self, error: Exception) -> None:
        """A bug was met: it is counted, and told."""
        self.notices.drops[DropReason.INTERNAL_ERROR] += 1
        self._faults.tell("internal_error", error, monotonic())

    def keep_time(self) -> None:
        """What was put into outboxes is sent, and the timer is armed, unless it is due soon anyway: the turn ends."""
        if self.outboxes:
            flush_all(self.outboxes)
        now = monotonic()
        if self._due > now + ARM_SLACK_SECONDS:
            self._arm()
        self.engine.end_turn(now)
        if self.engine.refused and not self._is_refusing and self._loop is not None:
            self._is_refusing = True
            self._loop.call_soon(self._refuse)
        if self._young.due <= now:
            self._young.collect(now)

    def _turn_away(self) -> None:
        self._is_refusing = False
        self.engine.turn_away(monotonic())

    def _arm(self) -> None:
        due = self.engine.next_timer()
        if due is None or self._loop is None or self._due <= due:
            return
        if due > self._went_off_at - LATE_SECONDS:
            due = max(due, self._went_off_at + PORTION_PAUSE_SECONDS)
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = self._loop.call_at(due, self._meet_deadlines)

    def _on_time(self) -> None:
        self._timer, self._due = None, inf
        self._went_off_at = monotonic()
        self.engine.on_timer(self._went_off_at)

    def _open_flow(self, host: str, port: int, receive: Callable[[Flow, bytes, float], object]) -> UdpFlow | None:
        if self._loop is None:
            return None
        try:
            udp = connect_udp(host, port)
        except OSError as error:
            _log.warning("home_server_unreachable", extra={"host": host, "port": port, "error": str(error)})
            return None
        flow = UdpFlow(udp, self._loop, self.outboxes)
        flow.watch(self._guard(make_flow_reader(udp, partial(receive, flow), flow.watch_again)))
        return flow


def _write_notice(event: str, fields: Mapping[str, object]) -> None:
    _log.warning(event, extra=dict(fields))
