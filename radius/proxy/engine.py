"""The proxy's engine: packets in, packets out, one timer; no socket, no clock and no log of its own.

A request goes through structure, authenticity, duplicates, the pipeline and the choice of a home server, and waits as
an `Exchange` on an identifier. Its answer is verified before anything else looks at it, rewritten for the client and
kept for repeats. What is not here: how packets travel (`service`), what may travel (`pipeline`), how octets are edited
(`radius.wire`).
"""

from collections.abc import Callable
from typing import Final

from federation.events import Outcome, SignIn
from federation.reasons import RefusalReason
from federation.snapshot import HomeServer, Realm, Snapshot, Transport
from radius.errors import DropReason
from radius.exchange.duplicates import Duplicates, Seen
from radius.exchange.liveness import HopEvent, HopState
from radius.exchange.outstanding import DEFAULT_POLICY, RetransmissionPolicy, first_interval, next_interval
from radius.exchange.schedule import Schedule
from radius.proxy.clients import (
    REQUEST_WITHIN_LIBRARY,
    RESPONSE_FROM_MEMBER,
    RESPONSE_WITHIN_LIBRARY,
    Clients,
    ClientState,
)
from radius.proxy.exchange import Exchange
from radius.proxy.loops import NONCE_OCTETS, LoopGuard
from radius.proxy.notices import Notices
from radius.proxy.pipeline import Routes, decide_request
from radius.proxy.ports import Address, Flow, FlowOpener, Listener
from radius.proxy.replies import answer_accounting, answer_dynamic_authorization, answer_status, refuse
from radius.proxy.upstreams import CHECK_IDENTIFIER, Pins, Upstream, select_upstream
from radius.wire.authenticators import decide_request_authenticity, decide_response_authenticity, sign_request
from radius.wire.codes import AttributeType, Code
from radius.wire.packet import Packet, build_attribute, parse_packet
from radius.wire.rewrite import collect_proxy_states, rewrite_request, rewrite_response

AUTHENTICATOR_OCTETS: Final = 16
_ACCESS_REQUEST: Final = int(Code.ACCESS_REQUEST)
_ACCESS_ACCEPT: Final = int(Code.ACCESS_ACCEPT)
_ACCESS_CHALLENGE: Final = int(Code.ACCESS_CHALLENGE)
_ACCESS_REJECT: Final = int(Code.ACCESS_REJECT)
_EXPECTED_ANSWERS: Final = frozenset((_ACCESS_ACCEPT, _ACCESS_REJECT, _ACCESS_CHALLENGE))
_CHECK_ANSWERS: Final = frozenset((_ACCESS_ACCEPT, _ACCESS_REJECT, int(Code.ACCOUNTING_RESPONSE)))
_AUTHENTICATION_CODES: Final = frozenset((_ACCESS_REQUEST, int(Code.STATUS_SERVER)))
_ACCOUNTING_CODES: Final = frozenset((int(Code.ACCOUNTING_REQUEST), int(Code.STATUS_SERVER)))
_DYNAMIC_CODES: Final = frozenset((int(Code.DISCONNECT_REQUEST), int(Code.COA_REQUEST)))
_STATE: Final = int(AttributeType.STATE)
_OPERATOR_NAME: Final = int(AttributeType.OPERATOR_NAME)
_CUI: Final = int(AttributeType.CHARGEABLE_USER_IDENTITY)
_CALLING_STATION_ID: Final = int(AttributeType.CALLING_STATION_ID)
_CUI_REQUEST: Final = build_attribute(_CUI, b"\x00")  # RFC 4372 §2.1
_CODE_NAMES: Final = {int(code): code.name.lower() for code in Code}


class Engine:
    """Routes requests of clients to home servers, and their answers back."""

    def __init__(
        self,
        *,
        notices: Notices,
        open_flow: FlowOpener,
        random_octets: Callable[[int], bytes],
        random_fraction: Callable[[], float],
        wall_clock: Callable[[], float],
        emit: Callable[[SignIn], None],
        loop_guard: LoopGuard,
        policy: RetransmissionPolicy = DEFAULT_POLICY,
    ) -> None:
        """It drops everything until `swap` gives it a snapshot.

        Args:
            notices: the counters, and the log behind them.
            open_flow: opens source ports towards home servers.
            random_octets: so many unpredictable octets.
            random_fraction: uniform in 0 to 1, for jitter.
            wall_clock: seconds since the epoch, for events.
            emit: takes what happened; must not wait.
            loop_guard: knows this node's own Proxy-States.
            policy: how requests without an answer are sent again.
        """
        self.notices = notices
        self.routes: Routes | None = None
        self.upstreams: dict[str, Upstream] = {}
        self.clients = Clients(())
        self.duplicates = Duplicates()
        self.outstanding = 0
        self._pins = Pins()
        self._draining: list[Upstream] = []
        self._watched: dict[str, Upstream] = {}  # those that are not simply up
        self._schedule: Schedule[Exchange] = Schedule()
        self._open_flow = open_flow
        self._random_octets = random_octets
        self._random_fraction = random_fraction
        self._wall_clock = wall_clock
        self._emit = emit
        self._loop_guard = loop_guard
        self._policy = policy

    @property
    def revision(self) -> int:
        """The revision of the snapshot that new requests meet; 0 before the first."""
        return self.routes.snapshot.revision if self.routes else 0

    def swap(self, snapshot: Snapshot) -> None:
        """New requests meet this snapshot; those on their way keep what they began with.

        Clients and home servers that are the same keep their computed state, their ports and what is known of them.
        """
        self.clients = Clients(snapshot.clients, self.clients.states)
        upstreams: dict[str, Upstream] = {}
        for key, server in snapshot.home_servers.items():
            earlier = self.upstreams.get(key)
            upstreams[key] = earlier if earlier is not None and earlier.server == server else self._add(server)
        kept = set(map(id, upstreams.values()))
        for upstream in self.upstreams.values():
            if id(upstream) not in kept:
                upstream.is_removed = True
                self._draining.append(upstream)
        self.upstreams = upstreams
        self.routes = Routes(snapshot)
        self._close_drained()

    def _add(self, server: HomeServer) -> Upstream:
        return Upstream(server, self._open_flow, self.receive_response)

    # From clients.

    def receive_request(self, datagram: bytes, source: Address, listener: Listener, now: float) -> None:
        """Take one datagram of the listener's; every answer leaves through it, at once or later."""
        client = self.clients.find(source[0])
        if client is None:
            self.notices.drop(DropReason.UNKNOWN_CLIENT, source[0], now)
            return
        packet = parse_packet(datagram)
        if not isinstance(packet, Packet):
            self.notices.drop(packet, client.key, now)
            return
        code = packet.code
        allowed = _ACCOUNTING_CODES if listener.is_accounting else _AUTHENTICATION_CODES
        if code not in allowed and code not in _DYNAMIC_CODES:
            self.notices.drop(DropReason.CODE_NOT_EXPECTED, client.key, now)
            return
        reason = decide_request_authenticity(
            packet, client.keyed, requires_message_authenticator=client.requires_message_authenticator
        )
        if reason is not None:
            self.notices.drop(reason, client.key, now)
            return
        self.notices.requests[_CODE_NAMES[code]] += 1
        key = (source, packet.octets[:2], listener)
        seen = self.duplicates.receive(key, packet.authenticator, client.key, now)
        if seen is Seen.NEW:
            if code == _ACCESS_REQUEST:
                self._take_access_request(packet, client, key, source, listener, now)
            else:
                self._answer_locally(packet, client, key, source, listener, now)
        elif isinstance(seen, bytes):
            listener.send(seen, source)
        elif seen is Seen.PENDING:
            self.notices.drop(DropReason.DUPLICATE_PENDING, client.key, now)
        else:
            self.notices.drop(DropReason.QUEUE_FULL, client.key, now)

    def _answer_locally(
        self, packet: Packet, client: ClientState, key: object, source: Address, listener: Listener, now: float
    ) -> None:
        if packet.code == Code.STATUS_SERVER:
            if self.routes is None:  # not fit for work, so better not believed to be (RFC 5997 §4.2)
                self.duplicates.forget(key, packet.authenticator)
                self.notices.drop(DropReason.NOT_READY, client.key, now)
                return
            octets = answer_status(packet, client.keyed, is_accounting=listener.is_accounting)
        elif packet.code == Code.ACCOUNTING_REQUEST:
            self._emit_event(client, None, None, Outcome.ACCOUNTED, None, 0.0, self.revision)
            octets = answer_accounting(packet, client.keyed)
        else:
            octets = answer_dynamic_authorization(packet, client.keyed)
        self._send_answer(packet, key, octets, source, listener, now)

    def _take_access_request(
        self, packet: Packet, client: ClientState, key: object, source: Address, listener: Listener, now: float
    ) -> None:
        routes = self.routes
        if routes is None:
            self.duplicates.forget(key, packet.authenticator)
            self.notices.drop(DropReason.NOT_READY, client.key, now)
            return
        decision = decide_request(packet, client, routes)
        if isinstance(decision, Realm) and packet.proxy_states and self._loop_guard.has_been_here(packet):
            decision = RefusalReason.LOOP
        if not isinstance(decision, Realm):
            self._refuse(packet, client, key, source, listener, decision, None, now)
            return
        exchange = Exchange(
            client=client,
            packet=packet,
            realm=decision,
            listener=listener,
            source=source,
            key=key,
            revision=routes.snapshot.revision,
            now=now,
        )
        refusal = self._forward(exchange, now)
        if refusal is not None:
            self._refuse(packet, client, key, source, listener, refusal, decision, now)

    def _forward(self, exchange: Exchange, now: float) -> RefusalReason | None:
        """The request is on its way to a home server; or why it can not be."""
        packet, client, realm = exchange.packet, exchange.client, exchange.realm
        pinned, affinity = None, b""
        if len(realm.home_servers) > 1:
            pinned = self._pins.find(packet.value_of(_STATE))
            affinity = packet.value_of(_CALLING_STATION_ID) + realm.name.encode()
        upstream = select_upstream(realm, self.upstreams, pinned=pinned, affinity=affinity)
        if upstream is None or upstream.server.transport is not Transport.UDP:
            return RefusalReason.NO_LIVE_HOME_SERVER
        if upstream.server.library == client.library and client.is_proxy:
            return RefusalReason.LOOP_BACK
        slot = upstream.take(exchange)
        if slot is None:
            return RefusalReason.REALM_OVERLOAD if upstream.address else RefusalReason.NO_LIVE_HOME_SERVER
        random = self._random_octets(AUTHENTICATOR_OCTETS + NONCE_OCTETS)
        exchange.authenticator = random[:AUTHENTICATOR_OCTETS]
        exchange.proxy_state = self._loop_guard.make(random[AUTHENTICATOR_OCTETS:])
        appended = b"" if client.is_proxy and _OPERATOR_NAME in packet.types else client.operator_name
        if client.client.requests_cui and _CUI not in packet.types:
            appended += _CUI_REQUEST
        octets = rewrite_request(
            packet,
            identifier=slot.identifier,
            authenticator=exchange.authenticator,
            downstream=client.keyed,
            upstream=upstream.keyed,
            attribute_filter=REQUEST_WITHIN_LIBRARY if client.library == realm.library else client.request_filter,
            appended=appended,
            proxy_state=exchange.proxy_state,
        )
        if not isinstance(octets, bytes):
            upstream.identifiers.release(slot)
            return RefusalReason(octets) if octets in RefusalReason else RefusalReason.TOO_MANY_HOPS
        exchange.octets, exchange.slot, exchange.upstream = octets, slot, upstream
        exchange.interval = first_interval(self._policy, self._random_fraction())
        exchange.deadline = now + self._policy.duration_seconds
        exchange.attempts = 1
        self.outstanding += 1
        self._schedule.add(exchange, now + exchange.interval)
        slot.flow.send(octets)
        return None

    def _refuse(
        self,
        packet: Packet,
        client: ClientState,
        key: object,
        source: Address,
        listener: Listener,
        reason: RefusalReason,
        realm: Realm | None,
        now: float,
    ) -> None:
        self.notices.refuse(reason, client.key, now, realm.name if realm else "")
        self._emit_event(client, realm, None, Outcome.REJECTED, reason, 0.0, self.revision)
        self._send_answer(packet, key, refuse(packet, client.keyed, reason), source, listener, now)

    def _send_answer(
        self, packet: Packet, key: object, octets: bytes | None, source: Address, listener: Listener, now: float
    ) -> None:
        if octets is None:  # so full of Proxy-State that no answer has room for them
            self.duplicates.forget(key, packet.authenticator)
            self.notices.drop(RefusalReason.TOO_LARGE, source[0], now)
            return
        if self.duplicates.answer(key, packet.authenticator, octets, now):
            self.notices.answers[_CODE_NAMES[octets[0]]] += 1
            listener.send(octets, source)

    # From home servers.

    def receive_response(self, upstream: Upstream, flow: Flow, datagram: bytes, now: float) -> None:
        """Take one datagram that came to a flow of the home server's."""
        packet = parse_packet(datagram)
        if not isinstance(packet, Packet):
            self.notices.drop(packet, upstream.key, now)
            return
        if packet.identifier == CHECK_IDENTIFIER:
            self._take_check_answer(upstream, packet, now)
            return
        slot = upstream.identifiers.find(flow, packet.identifier)
        exchange = slot.exchange if slot is not None else None
        if slot is None or exchange is None:
            self.notices.drop(DropReason.UNMATCHED_RESPONSE, upstream.key, now)
            return
        if packet.code not in _EXPECTED_ANSWERS:
            self.notices.drop(DropReason.CODE_NOT_EXPECTED, upstream.key, now)
            return
        reason = decide_response_authenticity(
            packet,
            upstream.keyed,
            exchange.authenticator,
            requires_message_authenticator=upstream.requires_message_authenticator,
        )
        if reason is not None:  # anybody can send such a packet: timers and liveness stay as they are
            self.notices.drop(reason, upstream.key, now)
            return
        if upstream.liveness.state is not HopState.UP:
            self._see(upstream, HopEvent.ANSWERED, now)
        octets = self._rewrite_answer(exchange, upstream, packet)
        if not isinstance(octets, bytes):
            self.notices.drop(octets, upstream.key, now)
            return
        self._finish(exchange)
        self._relay(exchange, upstream, packet, octets, now)

    def _rewrite_answer(self, exchange: Exchange, upstream: Upstream, packet: Packet) -> bytes | str:
        client, request = exchange.client, exchange.packet
        is_visitor = client.library != exchange.realm.library
        return rewrite_response(
            packet,
            identifier=request.identifier,
            request_authenticator=request.authenticator,
            own_request_authenticator=exchange.authenticator,
            downstream=client.keyed,
            upstream=upstream.keyed,
            attribute_filter=RESPONSE_FROM_MEMBER if is_visitor else RESPONSE_WITHIN_LIBRARY,
            proxy_states=collect_proxy_states(request),
            proxy_state=exchange.proxy_state,
            appended=client.guest_attributes if is_visitor and packet.code == _ACCESS_ACCEPT else b"",
        )

    def _relay(self, exchange: Exchange, upstream: Upstream, packet: Packet, octets: bytes, now: float) -> None:
        code = packet.code
        seconds = now - exchange.started_at
        if code == _ACCESS_CHALLENGE:
            if len(exchange.realm.home_servers) > 1:
                self._pins.pin(packet.value_of(_STATE), upstream.key)
        elif code == _ACCESS_ACCEPT:
            self._emit_event(
                exchange.client, exchange.realm, upstream, Outcome.ACCEPTED, None, seconds, exchange.revision
            )
        else:
            self.notices.refusals[RefusalReason.REFUSED_BY_HOME] += 1
            self._emit_event(
                exchange.client,
                exchange.realm,
                upstream,
                Outcome.REJECTED,
                RefusalReason.REFUSED_BY_HOME,
                seconds,
                exchange.revision,
            )
        if self.duplicates.answer(exchange.key, exchange.packet.authenticator, octets, now):
            self.notices.answers[_CODE_NAMES[code]] += 1
            exchange.listener.send(octets, exchange.source)

    def _take_check_answer(self, upstream: Upstream, packet: Packet, now: float) -> None:
        authenticator = upstream.check_authenticator
        if not authenticator or packet.code not in _CHECK_ANSWERS:
            self.notices.drop(DropReason.UNMATCHED_RESPONSE, upstream.key, now)
            return
        reason = decide_response_authenticity(
            packet, upstream.keyed, authenticator, requires_message_authenticator=False
        )
        if reason is not None:
            self.notices.drop(reason, upstream.key, now)
            return
        upstream.check_authenticator = b""
        self._see(upstream, HopEvent.CHECK_ANSWERED, now)

    def _see(self, upstream: Upstream, event: HopEvent, now: float) -> None:
        """Take note; a hop that is not simply up is looked after by the timer."""
        before = upstream.liveness.state
        state = upstream.liveness.see(event, now)
        if state is not HopState.UP:
            self._watched[upstream.key] = upstream
        if state is not before:
            self.notices.tell_hop(upstream.key, str(state.value))

    # Time.

    def next_timer(self) -> float | None:
        """When `on_timer` is to be called next; None while there is nothing to wait for."""
        times = [self._schedule.next_timer(), self.duplicates.next_timer()]
        times += [upstream.liveness.next_timer() for upstream in self._watched.values()]
        due = [time for time in times if time is not None]
        return min(due) if due else None

    def on_timer(self, now: float) -> None:
        """What is due is done: requests sent again or given up, home servers asked, what is old forgotten."""
        for exchange in self._schedule.take_due(now):
            if exchange.slot is not None:
                self._repeat(exchange, now)
        self.duplicates.on_timer(now)
        for upstream in list(self._watched.values()):
            if upstream.liveness.on_timer(now):
                self._check(upstream)
            if upstream.liveness.state is HopState.UP or self.upstreams.get(upstream.key) is not upstream:
                del self._watched[upstream.key]
        if self._draining:
            self._close_drained()

    def _repeat(self, exchange: Exchange, now: float) -> None:
        if not self.duplicates.is_pending(exchange.key, exchange.packet.authenticator):
            self._finish(exchange)  # the client has moved on (RFC 5080 §2.2.2)
            return
        if now >= exchange.deadline:
            self._give_up(exchange, now)
            return
        upstream = exchange.upstream
        if exchange.slot is not None and exchange.attempts < self._policy.maximum_count and upstream is not None:
            exchange.attempts += 1
            self._see(upstream, HopEvent.UNANSWERED, now)
            exchange.interval = next_interval(self._policy, exchange.interval, self._random_fraction())
            exchange.slot.flow.send(exchange.octets)
        self._schedule.add(exchange, min(now + exchange.interval, exchange.deadline))

    def _give_up(self, exchange: Exchange, now: float) -> None:
        """A client that is an access point gets a no; a proxy gets silence, since it may know another way."""
        upstream = exchange.upstream
        self._finish(exchange)
        reason = RefusalReason.HOME_SERVER_TIMEOUT
        client, packet, key = exchange.client, exchange.packet, exchange.key
        if client.is_proxy:
            self.duplicates.forget(key, packet.authenticator)
            self.notices.drop(DropReason.HOP_TIMEOUT_SILENT, client.key, now)
            seconds = now - exchange.started_at
            self._emit_event(client, exchange.realm, upstream, Outcome.UNANSWERED, reason, seconds, exchange.revision)
            return
        self._refuse(packet, client, key, exchange.source, exchange.listener, reason, exchange.realm, now)

    def _check(self, upstream: Upstream) -> None:
        """Send Status-Server: only Message-Authenticator in it, new each time (RFC 5997 §3 and §4.1)."""
        flow = upstream.check_flow()
        if flow is not None and upstream.server.transport is Transport.UDP:
            upstream.check_authenticator = self._random_octets(AUTHENTICATOR_OCTETS)
            flow.send(
                sign_request(Code.STATUS_SERVER, CHECK_IDENTIFIER, upstream.check_authenticator, b"", upstream.keyed)
            )

    def _finish(self, exchange: Exchange) -> None:
        """Nothing waits for an answer to it any more."""
        slot, upstream = exchange.slot, exchange.upstream
        if slot is not None and upstream is not None:
            exchange.slot = None
            self.outstanding -= 1
            upstream.identifiers.release(slot)

    def _close_drained(self) -> None:
        waiting: list[Upstream] = []
        for upstream in self._draining:
            if upstream.identifiers.outstanding:
                waiting.append(upstream)
            else:
                upstream.close()
        self._draining = waiting

    def close(self) -> None:
        """Every port towards home servers is closed."""
        for upstream in (*self.upstreams.values(), *self._draining):
            upstream.close()
        self.upstreams, self._draining = {}, []

    def _emit_event(
        self,
        client: ClientState,
        realm: Realm | None,
        upstream: Upstream | None,
        outcome: Outcome,
        reason: RefusalReason | None,
        seconds: float,
        revision: int,
    ) -> None:
        self._emit(
            SignIn(
                at=self._wall_clock(),
                client=client.key,
                visited=client.library,
                realm=realm.name if realm else "",
                home=realm.library if realm else "",
                home_server=upstream.key if upstream else "",
                outcome=outcome,
                reason=reason,
                seconds=seconds,
                revision=revision,
            )
        )
