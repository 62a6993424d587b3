"""Requests on their way to home servers: an identifier each, sent again while no answer comes, then given up.

The one place that takes and releases identifiers, counts what waits, and moves a request to another home server. What
is not here: who may ask, and what an answer is worth (`engine`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import compress
from typing import Final

from federation.events import Outcome
from federation.reasons import RefusalReason
from federation.snapshot import HomeServer, Realm
from radius.errors import DropReason
from radius.exchange.identifiers import Slot
from radius.exchange.liveness import HopEvent
from radius.exchange.outstanding import RetransmissionPolicy, first_interval, next_interval
from radius.exchange.schedule import Schedule
from radius.exchange.selection import Pins, select_hop
from radius.exchange.silence import Remedy
from radius.proxy.answers import Answers
from radius.proxy.exchange import Exchange
from radius.proxy.loops import LoopGuard
from radius.proxy.pacing import Pacing
from radius.proxy.ports import Flow, FlowOpener, Listener, Stream, StreamOpener
from radius.proxy.protection import Protection
from radius.proxy.replies import DIVERTING_CAUSES
from radius.proxy.requests import RANDOM_OCTETS, write_request
from radius.proxy.upstreams import GRACE_SECONDS, Receive, Upstream
from radius.proxy.watch import Watch
from radius.wire.codes import AttributeType

DUE_AT_ONCE: Final = 2  # deadlines met in one turn of the loop, 20 to 80 us: those of a silent realm come by thousands
TIDY_SECONDS: Final = 30.0  # source ports of a burst are given back after this
_STATE: Final = int(AttributeType.STATE)
_CALLING_STATION_ID: Final = int(AttributeType.CALLING_STATION_ID)
MOVED_AT: Final = 3  # the third time that a request would go out from a port of which nothing is heard, after 6 s


class Forwarding:
    """The home servers, and the requests that wait for their answers."""

    __slots__ = (
        "_answers",
        "_draining",
        "_loop_guard",
        "_new_names",
        "_open_flow",
        "_open_stream",
        "_pacing",
        "_pins",
        "_policy",
        "_random_fraction",
        "_random_octets",
        "_receive",
        "_schedule",
        "_streams",
        "_tidy_at",
        "named",
        "outstanding",
        "protection",
        "upstreams",
        "watch",
    )

    def __init__(
        self,
        answers: Answers,
        *,
        open_flow: FlowOpener,
        open_stream: StreamOpener | None,
        receive: Receive,
        random_octets: Callable[[int], bytes],
        random_fraction: Callable[[], float],
        loop_guard: LoopGuard,
        policy: RetransmissionPolicy,
    ) -> None:
        """There is no home server before `swap`; `receive` gets what they send."""
        self.upstreams: dict[str, Upstream] = {}
        self.named: dict[str, Upstream] = {}  # those of them whose names are to be looked up
        self._new_names: list[Upstream] = []
        self._streams: dict[str, Upstream] = {}  # those that are reached by connections
        self.outstanding = 0
        self.protection = Protection(answers.notices)
        self.watch = Watch(answers.notices, random_octets, self._leave_port)
        self._answers = answers
        self._pacing: Pacing[Exchange] = Pacing(self._send_again)
        self._pins = Pins()
        self._draining: list[Upstream] = []
        self._schedule: Schedule[Exchange] = Schedule()
        self._tidy_at: float | None = None
        self._open_flow = open_flow
        self._open_stream = open_stream
        self._receive = receive
        self._random_octets = random_octets
        self._random_fraction = random_fraction
        self._loop_guard = loop_guard
        self._policy = policy

    def swap(self, servers: Mapping[str, HomeServer]) -> None:
        """These are the home servers now; those that are the same keep their ports and what is known of them."""
        upstreams: dict[str, Upstream] = {}
        for key, server in servers.items():
            earlier = self.upstreams.get(key)
            is_same = earlier is not None and earlier.server == server
            upstreams[key] = earlier if earlier is not None and is_same else self._make(server)
        removed = [upstream for key, upstream in self.upstreams.items() if upstreams.get(key) is not upstream]
        self.upstreams = upstreams
        self._streams = {key: upstream for key, upstream in upstreams.items() if upstream.is_stream}
        self.named = {key: upstream for key, upstream in upstreams.items() if upstream.is_named}
        self._new_names = [upstream for upstream in self.named.values() if upstream.address is None]
        self.watch.mind(upstreams.values())
        self._drain(removed)

    def change(self, removed: Iterable[str], changed: Iterable[HomeServer]) -> None:
        """The home servers of these keys are gone, and these are new, or in the place of another; the others stay."""
        upstreams = self.upstreams
        earlier = [(server, upstreams.get(server.key)) for server in changed]
        made = [self._make(server) for server, known in earlier if known is None or known.server != server]
        # Nothing above changed anything: a server that can not be used leaves all as it was.
        gone = [known for server, known in earlier if known is not None and known.server != server]
        gone += [upstreams.pop(key) for key in removed if key in upstreams]
        upstreams.update((upstream.key, upstream) for upstream in made)
        for upstream in gone:
            self._streams.pop(upstream.key, None)
            self.named.pop(upstream.key, None)
        self._streams.update((upstream.key, upstream) for upstream in made if upstream.is_stream)
        new_names = [upstream for upstream in made if upstream.is_named]
        self.named.update((upstream.key, upstream) for upstream in new_names)
        self._new_names += new_names
        if made or gone:
            self.watch.change(gone, made)
            self._drain(gone)

    def _make(self, server: HomeServer) -> Upstream:
        return Upstream(server, self._open_flow, self._receive, open_stream=self._open_stream, events=self)

    def refuse(self, upstream: Upstream, reason: RefusalReason, now: float) -> None:
        """It may not be asked: what waits for it goes to another of its realm, or is refused with that reason."""
        for flow in upstream.identifiers.flows:
            for exchange in upstream.identifiers.waiting_on(flow):
                if not self._fail_over(exchange, upstream, now):
                    self._give_up(exchange)
                    self._answers.refuse(exchange, reason, now)
        self.change([upstream.key], ())

    def dial(self, now: float, keys: Iterable[str] | None = None) -> None:
        """Every home server that is reached by connections has one, or is being dialled, before anybody asks for it.

        With *keys*, those of them among these.
        """
        streams = self._streams
        for upstream in list(streams.values()) if keys is None else [streams[key] for key in keys if key in streams]:
            if not upstream.identifiers.flows and upstream.open_flow() is not None:
                upstream.lost_at = now
                self.watch.begin(now)

    def take_new_names(self) -> list[Upstream]:
        """Return those whose names have come since the last time, and are to be looked up."""
        found, self._new_names = self._new_names, []
        return found

    def move(self, upstream: Upstream, address: str) -> None:
        """The home server's name has this address now; what is outstanding at the old one may still be answered."""
        if self.upstreams.get(upstream.key) is upstream and upstream.address != address:
            moved = Upstream(upstream.server, self._open_flow, self._receive, address)
            self.upstreams[upstream.key] = self.named[upstream.key] = moved
            self.watch.change([upstream], [moved])
            self._drain([upstream])

    def close(self) -> None:
        """Every port towards home servers is closed."""
        for upstream in (*self.upstreams.values(), *self._draining):
            upstream.close()
        self.upstreams, self._streams, self.named, self._draining = {}, {}, {}, []

    def forward(
        self, exchange: Exchange, realm: Realm, now: float, *, other_than: Upstream | None = None
    ) -> RefusalReason | DropReason | None:
        """The request is on its way to a home server; or why it can not be."""
        client = exchange.client
        upstream = self._select(exchange, realm, now, other_than=other_than)
        if upstream is None or upstream.address is None:
            return RefusalReason.NO_LIVE_HOME_SERVER
        if client.is_proxy and upstream.server.library == client.library:
            return RefusalReason.LOOP_BACK
        refusal = self.protection.decide_hop(realm, upstream.key, now)
        if refusal is not None:
            return refusal
        exchange.deadline = exchange.started_at + self._policy.duration_seconds
        slot = upstream.identifiers.take(exchange)
        if slot is None:
            grown = self._grow(upstream, exchange, now)
            if isinstance(grown, RefusalReason):
                return grown
            slot = grown
        random = self._random_octets(RANDOM_OCTETS)
        not_written = write_request(exchange, realm, upstream, slot.identifier, random, self._loop_guard)
        if not_written is not None:
            upstream.identifiers.release(slot)
            return not_written
        exchange.slot, exchange.upstream, exchange.attempts = slot, upstream, 1
        exchange.interval = first_interval(self._policy, self._random_fraction())
        exchange.place = self._schedule.add(exchange, now + exchange.interval)
        self.outstanding += 1
        self.protection.enter(exchange, realm)
        upstream.requests += 1
        slot.flow.send(exchange.octets)
        return None

    def _select(
        self, exchange: Exchange, realm: Realm, now: float, *, other_than: Upstream | None = None
    ) -> Upstream | None:
        upstreams = self.upstreams
        keys = realm.home_servers
        if len(keys) == 1:
            only = upstreams.get(keys[0])
            return None if only is other_than else only
        packet, client = exchange.packet, exchange.client
        pinned = self._pins.find(realm.name, packet.value_of(_STATE))
        candidates = [upstreams[key] for key in keys if key in upstreams and upstreams[key] is not other_than]
        if client.is_proxy:  # back to who asked only when there is no other, and then it is refused
            candidates = [each for each in candidates if each.server.library != client.library] or candidates
        breakers = self.protection.breakers
        if len(breakers):  # a server that is silent for this realm only when there is no other
            candidates = [each for each in candidates if breakers.would_admit(realm.name, each.key, now)] or candidates
        return select_hop(
            candidates,
            pinned=next((each for each in candidates if each.key == pinned), None) if pinned else None,
            affinity=packet.value_of(_CALLING_STATION_ID) + realm.name.encode(),
        )

    def _grow(self, upstream: Upstream, exchange: Exchange, now: float) -> Slot[Flow, Exchange] | RefusalReason:
        """All identifiers are in use: take one of another source port."""
        if not upstream.identifiers.may_grow:
            return RefusalReason.NO_IDENTIFIER
        if upstream.open_flow() is None:
            self.watch.see(upstream, HopEvent.TRANSPORT_FAILED, now)
            return RefusalReason.NO_LIVE_HOME_SERVER
        if upstream.is_stream and not upstream.standing and upstream.lost_at is None:
            upstream.lost_at = now  # requests wait no longer for the first connection than for another
        self.watch.begin(now)
        if self._tidy_at is None:
            self._tidy_at = now + TIDY_SECONDS
        slot = upstream.identifiers.take(exchange)
        assert slot is not None  # the new flow's are all free
        return slot

    def pin(self, exchange: Exchange, state: bytes) -> None:
        """The conversation goes on where it is."""
        realm, upstream = exchange.realm, exchange.upstream
        if realm is not None and upstream is not None and len(realm.home_servers) > 1:
            self._pins.pin(realm.name, state, upstream.key)

    def finish(self, exchange: Exchange) -> None:
        """It is answered: nothing waits for it any more."""
        slot, upstream = exchange.slot, exchange.upstream
        assert slot is not None  # it was found on it
        assert upstream is not None
        self._forget(exchange)
        upstream.identifiers.release(slot, is_answered=True)

    def _forget(self, exchange: Exchange) -> None:
        """It waits no more; what becomes of its identifier is the caller's to say."""
        exchange.slot = None
        self.outstanding -= 1
        self.protection.leave(exchange)
        self._schedule.remove(exchange, exchange.place)

    def waiting_listeners(self) -> frozenset[Listener]:
        """The listeners through which what is outstanding has come."""
        return frozenset(exchange.listener for exchange in self._schedule.items())

    # Connections to home servers, and what waits on them.

    def resume(self, upstream: Upstream, stream: Stream, now: float, answered_elsewhere: frozenset[int]) -> None:
        """A connection stands: what waits on it is sent, as new requests (RFC 6613 §2.6.1).

        What waits on those identifiers gets its answer on the connection that it was sent on.
        """
        if upstream.address is None:
            self.protection.breakers.forget_hop(upstream.key)
        upstream.address, upstream.lost_at = upstream.server.host, None
        upstream.standing.add(stream)
        self.watch.see(upstream, HopEvent.TRANSPORT_READY, now)
        waiting = upstream.identifiers.waiting_on(stream)
        is_asked = [each.slot is not None and each.slot.identifier not in answered_elsewhere for each in waiting]
        self._pacing.begin(stream, compress(waiting, is_asked), now)

    def _send_again(self, exchange: Exchange, stream: Stream) -> None:
        realm, upstream, slot = exchange.realm, exchange.upstream, exchange.slot
        if realm is None or upstream is None or slot is None or slot.flow is not stream:  # it waits there no more
            return
        random = self._random_octets(RANDOM_OCTETS)
        if write_request(exchange, realm, upstream, slot.identifier, random, self._loop_guard) is None:
            upstream.repeats += 1
            stream.send(exchange.octets)

    def interrupt(self, upstream: Upstream, streams: Sequence[Stream], now: float) -> None:
        """A connection was lost, or could not be made: what waits on it goes another way, or waits for the next one."""
        flows = upstream.identifiers.flows
        lost = [stream for stream in streams if stream in flows]
        upstream.standing.difference_update(lost)
        for stream in lost:
            self._pacing.forget(stream)
        if upstream.standing or upstream.is_draining:
            for stream in lost:
                self._leave(upstream, stream, now)
            return
        if upstream.lost_at is None:
            upstream.lost_at = now
        if now - upstream.lost_at >= GRACE_SECONDS:
            self._miss_connection(upstream, now)
            return
        for stream in lost:
            for exchange in upstream.identifiers.waiting_on(stream):
                self._fail_over(exchange, upstream, now)

    def _leave(self, upstream: Upstream, stream: Stream, now: float) -> None:
        """The stream is closed; what waited on it goes to another, or to another home server."""
        waiting = upstream.identifiers.remove_flow(stream)
        stream.close()
        for exchange in waiting:
            self._forget(exchange)
            if exchange.realm is not None:
                self._send_on(exchange, exchange.realm, now)

    def _miss_connection(self, upstream: Upstream, now: float) -> None:
        """No connection stands for so long that nobody waits for one any more."""
        if upstream.address is not None:
            upstream.address = None
            self.watch.see(upstream, HopEvent.TRANSPORT_FAILED, now)
        for flow in upstream.identifiers.flows:
            for exchange in upstream.identifiers.waiting_on(flow):
                if not self._fail_over(exchange, upstream, now):
                    self._give_up(exchange)
                    self._answers.refuse(exchange, RefusalReason.NO_LIVE_HOME_SERVER, now)

    # Time.

    def next_timer(self) -> float | None:
        """When `on_timer` is to be called next; None while there is nothing to wait for."""
        earliest = self._tidy_at
        for time in (self._schedule.next_timer(), self.watch.next_timer(), self._pacing.next_timer()):
            if time is not None and (earliest is None or time < earliest):
                earliest = time
        return earliest

    def on_timer(self, now: float) -> None:
        """What is due is done: requests sent again or given up, home servers asked, ports given back."""
        for exchange in self._schedule.take_due(now, DUE_AT_ONCE):
            self._repeat(exchange, now)
        self._pacing.on_timer(now)
        self.watch.on_timer(now)
        if self._tidy_at is not None and now >= self._tidy_at:
            grown = [upstream.shrink() for upstream in self.upstreams.values()]
            self._tidy_at = now + TIDY_SECONDS if any(grown) else None
        if self._draining:
            self._drain([])

    def _repeat(self, exchange: Exchange, now: float) -> None:
        upstream, slot = exchange.upstream, exchange.slot
        if upstream is None or slot is None:
            return
        if exchange.listener.is_closed or not self._answers.duplicates.is_pending(
            exchange.key, exchange.packet.authenticator
        ):
            self._give_up(exchange)  # the client has moved on (RFC 5080 §2.2.2), or has gone
            self.protection.fail(exchange, upstream.key, now)
            return
        if now >= exchange.deadline:
            self._time_out(exchange, upstream, now)
            return
        if upstream.lost_at is not None and now - upstream.lost_at >= GRACE_SECONDS:
            exchange.place = self._schedule.add(exchange, exchange.deadline)
            self._miss_connection(upstream, now)
            return
        is_alive = self._doubt(exchange, upstream, slot, now)
        is_lost = upstream.is_down or self.protection.is_silent(exchange, upstream.key, now)
        if is_lost and self._fail_over(exchange, upstream, now):
            return
        if exchange.attempts < self._policy.maximum_count:
            exchange.attempts += 1
            exchange.interval = next_interval(self._policy, exchange.interval, self._random_fraction())
            self.protection.miss(exchange, upstream.key, now)
            # Over a connection nothing is sent twice (RFC 6613 §2.6.1).
            if not upstream.is_stream and self.protection.may_repeat(exchange, upstream.key, now):
                if is_alive and self._has_moved(exchange, upstream, slot, now):
                    return
                upstream.repeats += 1
                slot.flow.send(exchange.octets)
        exchange.place = self._schedule.add(exchange, min(now + exchange.interval, exchange.deadline))

    def _doubt(self, exchange: Exchange, upstream: Upstream, slot: Slot[Flow, Exchange], now: float) -> bool:
        """A request was not answered in time; returns whether its home server has answered anything meanwhile."""
        # A hop that has answered others, or a check, lives: only the realm is silent (RFC 3539 §3.4.1).
        is_alive = upstream.heard_at >= now - exchange.interval
        if not is_alive:
            self.watch.see(upstream, HopEvent.UNANSWERED, now)
        if not upstream.is_stream:
            is_heard_elsewhere = is_alive and not self.protection.is_doubted(exchange, upstream.key)
            remedy = upstream.identifiers.doubt(slot, now, is_heard_elsewhere=is_heard_elsewhere)
            if remedy is Remedy.LISTEN:
                upstream.listen_again(slot.flow)
            elif remedy is Remedy.LEAVE and self._leave_port(upstream, slot.flow, now):
                upstream.ports_left += 1
                self._answers.notices.tell_port(upstream.key, now)
        return is_alive

    def _has_moved(self, exchange: Exchange, upstream: Upstream, slot: Slot[Flow, Exchange], now: float) -> bool:
        """Whether a request goes out from another port, as a new one: its home server lives, and its port was left.

        One that may only be slow stays: a round of EAP that is asked twice may be refused.
        """
        identifiers, realm = upstream.identifiers, exchange.realm
        is_lost = identifiers.is_retired(slot.flow) and identifiers.is_silent(slot)
        if realm is None or not is_lost or exchange.attempts < MOVED_AT:
            return False
        self._give_up(exchange)
        self._send_on(exchange, realm, now)
        return True

    def _leave_port(self, upstream: Upstream, flow: Flow, now: float) -> bool:
        """Whether new requests go out from another source port; that one is closed some time after the last answer."""
        is_left = upstream.leave(flow, now)
        if is_left and self._tidy_at is None:
            self._tidy_at = now + TIDY_SECONDS
        return is_left

    def _fail_over(self, exchange: Exchange, upstream: Upstream, now: float) -> bool:
        """Whether the request went on to another home server, since its own is down."""
        realm = exchange.realm
        other = self._select(exchange, realm, now, other_than=upstream) if realm is not None else None
        if realm is None or other is None or other.is_down:
            return False
        self._give_up(exchange)
        self._send_on(exchange, realm, now, other_than=upstream)
        return True

    def divert(self, exchange: Exchange, cause: int, now: float) -> None:
        """The home server can not answer, and says so: another one is asked, once, or the client gets a no.

        `cause` is its Error-Cause. None (0), or one that is not of the way, is for whoever asked (RFC 9765 §6.1).
        """
        realm, upstream = exchange.realm, exchange.upstream
        self.finish(exchange)
        if cause not in DIVERTING_CAUSES:
            self._answers.refuse(exchange, RefusalReason.HOP_ERROR, now, cause=cause)
            return
        if exchange.is_diverted or realm is None or self._select(exchange, realm, now, other_than=upstream) is None:
            self._answers.refuse(exchange, RefusalReason.HOP_ERROR, now)
            return
        exchange.is_diverted = True
        self._send_on(exchange, realm, now, other_than=upstream)

    def _send_on(self, exchange: Exchange, realm: Realm, now: float, *, other_than: Upstream | None = None) -> None:
        refusal = self.forward(exchange, realm, now, other_than=other_than)
        if isinstance(refusal, RefusalReason):
            self._answers.refuse(exchange, refusal, now)
        elif refusal is not None:
            self._answers.drop(exchange, refusal, now)

    def _time_out(self, exchange: Exchange, upstream: Upstream, now: float) -> None:
        """The client gets what its policy says: a no, a Protocol-Error, or nothing, since it may know another way."""
        self._give_up(exchange)
        upstream.timeouts += 1
        self.protection.fail(exchange, upstream.key, now)
        is_realm_silent = self.protection.is_silent(exchange, upstream.key, now)
        if exchange.passage is None and exchange.client.hears_nothing(
            is_realm_silent=is_realm_silent, requires_errors=exchange.listener.requires_errors
        ):
            self._answers.tell(exchange, Outcome.UNANSWERED, RefusalReason.HOME_SERVER_TIMEOUT, now)
            self._answers.drop(exchange, DropReason.HOP_TIMEOUT_SILENT, now)
        else:
            self._answers.refuse(exchange, RefusalReason.HOME_SERVER_TIMEOUT, now)

    def _give_up(self, exchange: Exchange) -> None:
        """Nobody waits for its answer any more."""
        slot, upstream = exchange.slot, exchange.upstream
        assert slot is not None  # else it would not have been in the schedule
        assert upstream is not None
        self._forget(exchange)
        upstream.identifiers.give_up(slot)

    def _drain(self, removed: list[Upstream]) -> None:
        for upstream in removed:
            self.watch.leave(upstream)
        waiting: list[Upstream] = []
        for upstream in (*self._draining, *removed):
            if upstream.identifiers.outstanding:
                waiting.append(upstream)
            else:
                upstream.close()
        self._draining = waiting
