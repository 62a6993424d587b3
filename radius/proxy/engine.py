"""The proxy's engine: packets in, packets out, one timer; no socket, no clock and no log of its own.

A request goes through structure, authenticity, duplicates, the pipeline and the choice of a home server, and waits as
an `Exchange` on an identifier. Its answer is verified before anything else looks at it, rewritten for the client and
kept for repeats. What is not here: how packets travel (`service`), what may travel (`pipeline`), how octets are edited
(`radius.wire`), whether a home server lives (`watch`).
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from federation.events import Outcome, SignInFields
from federation.reasons import RefusalReason
from federation.snapshot import Difference, Realm, Snapshot
from radius.errors import DropReason
from radius.exchange.admission import KnownStates
from radius.exchange.duplicates import Duplicates, Seen
from radius.exchange.liveness import HopEvent, HopState
from radius.exchange.outstanding import DEFAULT_POLICY, RetransmissionPolicy
from radius.proxy.accounting import accounting_passage, decide_accounting
from radius.proxy.answers import Answers
from radius.proxy.clients import (
    RESPONSE_FROM_MEMBER,
    RESPONSE_WITHIN_LIBRARY,
    Clients,
    ClientState,
)
from radius.proxy.dynamic_authorization import Operators, decide_change
from radius.proxy.exchange import Exchange
from radius.proxy.forwarding import Forwarding
from radius.proxy.learning import Learning
from radius.proxy.loops import LoopGuard
from radius.proxy.notices import Notices
from radius.proxy.pipeline import Routes, decide_request
from radius.proxy.ports import Address, Flow, FlowOpener, Listener, StreamOpener
from radius.proxy.replies import answer_status, read_error_cause, report_error
from radius.proxy.requests import REWRITE_REFUSALS
from radius.proxy.upstreams import Upstream
from radius.proxy.watch import CHECK_IDENTIFIER
from radius.wire.authenticators import decide_request_authenticity, decide_response_authenticity
from radius.wire.codes import EXPECTED_RESPONSES, AttributeType, Code
from radius.wire.packet import HEADER_OCTETS, Packet, parse_packet
from radius.wire.rewrite import RewriteRefusal, collect_proxy_states, rewrite_response

REFUSED_AT_ONCE: Final = 2  # in one turn of the loop, some 30 us; more where many wait
REFUSED_SHARE: Final = 4  # of what waits, one in so many goes in a turn at least
MAX_SOURCES: Final = 4096  # of one listener, client addresses with their ports; beyond, they are learnt anew
_ACCESS_REQUEST: Final = int(Code.ACCESS_REQUEST)
_ACCESS_ACCEPT: Final = int(Code.ACCESS_ACCEPT)
_ACCESS_CHALLENGE: Final = int(Code.ACCESS_CHALLENGE)
_PROTOCOL_ERROR: Final = int(Code.PROTOCOL_ERROR)
_STATUS_SERVER: Final = int(Code.STATUS_SERVER)
_ACCOUNTING_REQUEST: Final = int(Code.ACCOUNTING_REQUEST)
_ACCOUNTING_RESPONSE: Final = int(Code.ACCOUNTING_RESPONSE)
_DYNAMIC_CODES: Final = frozenset((int(Code.DISCONNECT_REQUEST), int(Code.COA_REQUEST)))
# Changes of sessions have no port of their own here: they are taken wherever they come.
_AUTHENTICATION_CODES: Final = frozenset((_ACCESS_REQUEST, _STATUS_SERVER)) | _DYNAMIC_CODES
_ACCOUNTING_CODES: Final = frozenset((_ACCOUNTING_REQUEST, _STATUS_SERVER)) | _DYNAMIC_CODES
_NEVER_IN_SILENCE: Final = frozenset((_ACCESS_REQUEST, _ACCOUNTING_REQUEST))  # over RADIUS/1.1 (RFC 9765 §6.1)
_STREAM_CODES: Final = _AUTHENTICATION_CODES | _ACCOUNTING_CODES  # RADIUS/TLS has one port (RFC 6614 §2.5)
# Members of enums that are looked at for every packet: each look-up in its class costs 900 instructions.
_NEW: Final = Seen.NEW
_UP: Final = HopState.UP
_ACCEPTED: Final = Outcome.ACCEPTED.value
_USER_NAME_MISSING: Final = RefusalReason.USER_NAME_MISSING
_STATE: Final = int(AttributeType.STATE)
_PROXY_STATE: Final = int(AttributeType.PROXY_STATE)


class Engine:
    """Routes requests of clients to home servers, and their answers back."""

    def __init__(
        self,
        *,
        notices: Notices,
        open_flow: FlowOpener,
        open_stream: StreamOpener | None = None,
        random_octets: Callable[[int], bytes],
        random_fraction: Callable[[], float],
        wall_clock: Callable[[], float],
        emit: Callable[[SignInFields], None],
        loop_guard: LoopGuard,
        policy: RetransmissionPolicy = DEFAULT_POLICY,
    ) -> None:
        """It drops everything until `swap` gives it a snapshot.

        Args:
            notices: the counters, and the log behind them.
            open_flow: opens source ports towards home servers.
            open_stream: opens connections to those that are reached by RADIUS/TLS; None: they are not.
            random_octets: so many unpredictable octets.
            random_fraction: uniform in 0 to 1, for jitter.
            wall_clock: seconds since the epoch, for events.
            emit: takes what happened; must not wait.
            loop_guard: knows this node's own Proxy-States.
            policy: how requests without an answer are sent again.
        """
        self.notices = notices
        self.routes: Routes | None = None
        self.learning: Learning | None = None  # of home servers in the DNS; None: nobody is looked for there
        self.clients = Clients(())
        self.duplicates = Duplicates()
        self.known_states = KnownStates()
        self._refused: deque[tuple[Exchange, RefusalReason]] = deque()  # they wait until the others are on their way
        self._answers = Answers(notices, self.duplicates, wall_clock, emit)
        self._operators: Operators | None = None
        self._listener: Listener | None = None  # that was read last, and the names of its ports
        self._names: dict[Address, bytes] = {}
        self._names_by_listener: dict[int, dict[Address, bytes]] = {}
        self._loop_guard = loop_guard
        self.forwarding = Forwarding(
            self._answers,
            open_flow=open_flow,
            open_stream=open_stream,
            receive=self.receive_response,
            random_octets=random_octets,
            random_fraction=random_fraction,
            loop_guard=loop_guard,
            policy=policy,
        )
        self.protection = self.forwarding.protection

    @property
    def upstreams(self) -> dict[str, Upstream]:
        """The home servers of the snapshot, by their keys."""
        return self.forwarding.upstreams

    @property
    def outstanding(self) -> int:
        """How many requests wait for an answer."""
        return self.forwarding.outstanding

    def waiting_listeners(self) -> frozenset[Listener]:
        """Through which of them somebody waits for an answer."""
        return self.forwarding.waiting_listeners().union(exchange.listener for exchange, _ in self._refused)

    @property
    def revision(self) -> int:
        """The revision of the snapshot that new requests meet; 0 before the first."""
        return self.routes.snapshot.revision if self.routes else 0

    def swap(self, snapshot: Snapshot) -> Difference | None:
        """New requests meet this snapshot; those on their way keep what they began with.

        Clients and home servers that are the same keep their computed state, their ports and what is known of them.
        Returns what differs from the snapshot before, when only that was looked at.
        """
        earlier, difference = self.routes.snapshot if self.routes is not None else None, snapshot.difference
        if earlier is not None and difference is not None and _is_from(snapshot, earlier, difference):
            self._change(snapshot, difference)
            return difference
        clients = Clients((*snapshot.clients, *snapshot.dynamic_authorization_clients), self.clients.states)
        routes = Routes(snapshot)
        operators = Operators(snapshot)
        learned = self.learning.servers if self.learning is not None else {}
        self.forwarding.swap({**snapshot.home_servers, **snapshot.dynamic_authorization_servers, **learned})
        # Nothing above changed anything, so a snapshot that can not be used leaves the old one in force.
        self.clients, self.routes, self._operators = clients, routes, operators
        return None

    def _change(self, snapshot: Snapshot, difference: Difference) -> None:
        """The same, in steps for what differs: however large the federation is, nobody waits for all of it."""
        states = [ClientState(client) for client in difference.changed_clients]
        routes = Routes(snapshot)
        operators = self._operators
        assert operators is not None  # it came with the first snapshot
        keys = (*difference.removed_clients, *(state.key for state in states))
        gone = [known.client for known in map(self.clients.states.get, keys) if known is not None]
        self.forwarding.change(difference.removed_home_servers, difference.changed_home_servers)
        self.clients.change(difference.removed_clients, states)
        operators.follow(snapshot, gone, difference.changed_clients)
        self.routes = routes

    def move(self, upstream: Upstream, address: str) -> None:
        """The home server's name has this address now."""
        self.forwarding.move(upstream, address)

    def close(self) -> None:
        """Every port towards home servers is closed."""
        self.forwarding.close()

    # From clients.

    def receive_request(self, listener: Listener, datagram: bytes, source: Address, now: float) -> None:
        """Take one datagram of the listener's; every answer leaves through it, at once or later."""
        client = self.clients.find(source[0])
        if client is None:
            self.notices.drop(DropReason.UNKNOWN_CLIENT, source[0], now)
            return
        self.receive_from(client, listener, datagram, source, now)

    def receive_from(
        self, client: ClientState, listener: Listener, datagram: bytes, source: Address, now: float
    ) -> DropReason | None:
        """Take one packet of a client that is known, by its address or by its certificate.

        Returns why it could not be believed, if it could not; what is believed gets its answer through the listener.
        """
        packet = parse_packet(datagram)
        if not isinstance(packet, Packet):
            self.notices.drop(packet, client.key, now)
            return packet
        code = packet.code
        if code not in (
            _STREAM_CODES
            if client.is_stream
            else _DYNAMIC_CODES
            if client.is_home_server
            else _ACCOUNTING_CODES
            if listener.is_accounting
            else _AUTHENTICATION_CODES
        ):
            self.notices.drop(DropReason.CODE_NOT_EXPECTED, client.key, now)
            return DropReason.CODE_NOT_EXPECTED
        reason = decide_request_authenticity(
            packet,
            client.keyed,
            requires_message_authenticator=client.requires_message_authenticator,
            limits_proxy_state=not client.is_stream,
        )
        if reason is not None:
            client.unsigned += reason is DropReason.MESSAGE_AUTHENTICATOR_MISSING
            self.notices.drop(reason, client.key, now)
            return reason
        self.notices.requested[code] += 1
        key = self._name(source, listener) + packet.octets[:2]
        seen = self.duplicates.receive(key, packet.authenticator, client.key, now)
        if seen is _NEW:
            client.requests += 1
            routes = self.routes
            assert routes is not None  # a snapshot brings clients and routes together
            exchange = Exchange(client, packet, listener, source, key, routes.snapshot.revision, now)
            try:
                self._take(exchange, routes, now)
            except Exception:
                self.duplicates.forget(key, packet.authenticator)  # its repeat gets another chance
                raise
        elif isinstance(seen, bytes):
            listener.send(seen, source)
        else:
            self.notices.drop(
                DropReason.DUPLICATE_PENDING if seen is Seen.PENDING else DropReason.QUEUE_FULL, client.key, now
            )
            if seen is Seen.FULL and listener.requires_errors and code in _NEVER_IN_SILENCE:
                full = report_error(packet, client.keyed, RefusalReason.CLIENT_OVERLOAD, requires_errors=True)
                if full is not None:
                    listener.send(full, source)
        return None

    def _name(self, source: Address, listener: Listener) -> bytes:
        """What the keys of one port's requests at one listener begin with: the same octets each time."""
        if listener is not self._listener:
            self._listener = listener
            if len(self._names_by_listener) >= MAX_SOURCES:
                self._names_by_listener.clear()  # each connection is one
            self._names = self._names_by_listener.setdefault(id(listener), {})
        known = self._names.get(source)
        if known is None:
            if len(self._names) >= MAX_SOURCES:
                self._names.clear()  # a client may change its port with every request
            known = self._names[source] = f"{source} {id(listener)} ".encode()
        return known

    def _take(self, exchange: Exchange, routes: Routes, now: float) -> None:
        """A new request is on its way, or has its answer."""
        packet = exchange.packet
        decided: Realm | RefusalReason | DropReason | None
        if packet.code == _ACCESS_REQUEST:
            exchange.client.observe(packet)
            decided = decide_request(packet, exchange.client, routes)
            if decided is _USER_NAME_MISSING and not packet.message_authenticator:
                decided = DropReason.MESSAGE_AUTHENTICATOR_MISSING  # perhaps nobody of ours sent it
        else:
            decided = self._decide_other(exchange, routes, now)
        if isinstance(decided, Realm):
            exchange.realm = decided
            if packet.counts[_PROXY_STATE] and self._loop_guard.has_been_here(packet):
                decided = RefusalReason.LOOP
            else:
                refusal = self.protection.decide(exchange, exchange.realm, now)
                learning = self.learning
                if refusal is not None:
                    decided = refusal
                elif learning is None or not exchange.realm.is_discovered:
                    decided = self.forwarding.forward(exchange, exchange.realm, now)
                else:
                    decided = learning.forward(exchange, exchange.realm, now)
        if decided is not None:  # seldom: it is asked first, as what a reason is costs more to find out
            if isinstance(decided, RefusalReason):
                self._refused.append((exchange, decided))
            else:
                self._answers.drop(exchange, decided, now)

    def conclude(self, exchange: Exchange, decided: RefusalReason | DropReason, now: float) -> None:
        """A request that does not go on has its answer, or gets none."""
        if isinstance(decided, RefusalReason):
            self._answers.refuse(exchange, decided, now)
        else:
            self._answers.drop(exchange, decided, now)

    @property
    def refused(self) -> int:
        """How many requests wait for `turn_away`."""
        return len(self._refused)

    def turn_away(self, now: float) -> None:
        """Some of those that do not go on have their answers: it costs as much to say no as to send a request on.

        A library that is silent has all of its patrons refused, and the others' packets would wait for that.
        """
        refused = self._refused
        for _ in range(min(len(refused), max(REFUSED_AT_ONCE, len(refused) // REFUSED_SHARE))):
            exchange, reason = refused.popleft()
            try:
                self._answers.refuse(exchange, reason, now)
            except Exception:
                self.duplicates.forget(exchange.key, exchange.packet.authenticator)  # as where it came
                raise

    def _decide_other(
        self, exchange: Exchange, routes: Routes, now: float
    ) -> Realm | RefusalReason | DropReason | None:
        """Return where a request goes that asks for nobody to be let in; None: it is answered."""
        packet, client = exchange.packet, exchange.client
        if packet.code == _STATUS_SERVER:
            octets = answer_status(packet, client.keyed, is_accounting=exchange.listener.is_accounting)
            self._answers.answer(exchange, octets, now)
            return None
        if packet.code == _ACCOUNTING_REQUEST:
            realm = decide_accounting(packet, client, routes)
            if realm is None:
                self._answers.account(exchange, None, now)
            elif isinstance(realm, Realm):
                exchange.passage = accounting_passage(packet, client, realm)
            return realm
        assert self._operators is not None  # it came with the snapshot
        going = decide_change(packet, client, self._operators, self._answers.wall_clock())
        if isinstance(going, (RefusalReason, DropReason)):
            return going
        realm, exchange.passage = going
        return realm

    # From home servers.

    def receive_response(self, upstream: Upstream, flow: Flow, datagram: bytes, now: float) -> DropReason | None:
        """Take one packet that came to a flow of the home server's; returns why it was not used, if it was not."""
        packet = parse_packet(datagram)
        if not isinstance(packet, Packet):
            self.notices.drop(packet, upstream.key, now)
            return packet
        identifier = packet.identifier
        if identifier == CHECK_IDENTIFIER:
            was_down = upstream.is_down
            self.forwarding.watch.take_answer(upstream, flow, packet, now)
            if was_down and not upstream.is_down:
                self.protection.breakers.forget_hop(upstream.key)
            return None
        slot = upstream.identifiers.find(flow, identifier)
        exchange = slot.exchange if slot is not None else upstream.identifiers.find_late(flow, identifier)
        reason = _decide_response(packet, upstream, exchange)
        if reason is not None or exchange is None:  # anybody can send it: timers and liveness stay as they are
            reason = reason or DropReason.UNMATCHED_RESPONSE
            upstream.unsigned += reason is DropReason.MESSAGE_AUTHENTICATOR_MISSING
            self.notices.drop(reason, upstream.key, now)
            return reason
        if packet.message_authenticator == HEADER_OCTETS:
            upstream.signed_first += 1
        else:
            upstream.observe(packet)
        upstream.heard_at = now
        if slot is None:
            upstream.identifiers.hear(flow)  # else it is heard with its identifier
        self.protection.hear(exchange, upstream.key)
        if upstream.liveness.state is not _UP:
            self.forwarding.watch.see(upstream, HopEvent.ANSWERED, now)
        return self._take_answer(exchange, upstream, packet, now, is_late=slot is None)

    def _take_answer(
        self, exchange: Exchange, upstream: Upstream, packet: Packet, now: float, *, is_late: bool
    ) -> DropReason | None:
        """Take what is an answer to that request; returns why it is not passed on, if it is not."""
        if is_late:
            upstream.late += 1
            self.notices.drop(DropReason.LATE_RESPONSE, upstream.key, now)
            return DropReason.LATE_RESPONSE
        if packet.code == _PROTOCOL_ERROR:
            self.notices.drop(DropReason.PROTOCOL_ERROR, upstream.key, now)
            self.forwarding.divert(exchange, read_error_cause(packet), now)
            return None
        octets = self._rewrite_answer(exchange, upstream, packet)
        if isinstance(octets, DropReason):
            self.notices.drop(octets, upstream.key, now)
            return octets
        self.forwarding.finish(exchange)
        upstream.answers += 1
        if isinstance(octets, bytes):
            self._relay(exchange, packet, octets, now)
        else:
            self._answers.refuse(exchange, REWRITE_REFUSALS[octets], now)
        return None

    def _rewrite_answer(
        self, exchange: Exchange, upstream: Upstream, packet: Packet
    ) -> bytes | DropReason | RewriteRefusal:
        client, request, realm = exchange.client, exchange.packet, exchange.realm
        is_visitor = realm is None or client.library != realm.library
        attribute_filter = RESPONSE_FROM_MEMBER if is_visitor else RESPONSE_WITHIN_LIBRARY
        if exchange.passage is not None:
            attribute_filter = exchange.passage.response_filter
        return rewrite_response(
            packet,
            identifier=request.identifier,
            request_authenticator=request.authenticator,
            own_request_authenticator=exchange.authenticator,
            downstream=client.keyed,
            upstream=upstream.keyed,
            attribute_filter=attribute_filter,
            proxy_states=collect_proxy_states(request),
            proxy_state=exchange.proxy_state,
            appended=client.guest_attributes if is_visitor and packet.code == _ACCESS_ACCEPT else b"",
        )

    def _relay(self, exchange: Exchange, packet: Packet, octets: bytes, now: float) -> None:
        """The client gets what its home server said; only what somebody gets is counted and told."""
        is_delivered = self._answers.answer(exchange, octets, now)
        if packet.code == _ACCOUNTING_RESPONSE:
            self.notices.accounting["forwarded"] += 1
            self._answers.tell(exchange, Outcome.ACCOUNTED, None, now)  # recorded there, whoever hears of it
        elif exchange.passage is not None:
            pass  # a change of a session is counted as an answer, and is no sign-in
        elif packet.code == _ACCESS_CHALLENGE:
            state = packet.value_of(_STATE)
            self.forwarding.pin(exchange, state)
            self.known_states.add(exchange.client.key, state)
        elif packet.code == _ACCESS_ACCEPT:
            self.protection.accept(exchange)
            if is_delivered:
                exchange.client.accepts += 1
                self._answers.tell(exchange, _ACCEPTED, None, now)
        else:
            self.protection.reject(exchange, now)
            if is_delivered:
                exchange.client.rejects += 1
                self.notices.refusals[RefusalReason.REFUSED_BY_HOME] += 1
                self._answers.tell(exchange, Outcome.REJECTED, RefusalReason.REFUSED_BY_HOME, now)

    # Time.

    def end_turn(self, now: float) -> None:
        """What can wait until packets are on their way is done: what is old is forgotten."""
        self.duplicates.forget_old(now)

    def next_timer(self) -> float | None:
        """When `on_timer` is to be called next; None while there is nothing to wait for."""
        first, second = self.forwarding.next_timer(), self.duplicates.next_timer()
        return second if first is None else first if second is None else min(first, second)

    def on_timer(self, now: float) -> None:
        """What is due is done: requests sent again or given up, home servers asked, what is old forgotten."""
        self.forwarding.on_timer(now)
        due = self.duplicates.next_timer()
        if due is not None and due <= now:  # else new requests take with them what is old
            self.duplicates.on_timer(now)


def _is_from(snapshot: Snapshot, earlier: Snapshot, difference: Difference) -> bool:
    """Whether the difference is to exactly that snapshot, and only in clients and home servers."""
    return (
        difference.clients is earlier.clients
        and difference.home_servers is earlier.home_servers
        and snapshot.dynamic_authorization_servers is earlier.dynamic_authorization_servers
        and snapshot.dynamic_authorization_clients is earlier.dynamic_authorization_clients
    )


def _decide_response(packet: Packet, upstream: Upstream, exchange: Exchange | None) -> DropReason | None:
    """Why a packet is no answer to what the home server was asked; None when it is."""
    if exchange is None:
        return DropReason.UNMATCHED_RESPONSE
    if packet.code not in EXPECTED_RESPONSES[exchange.packet.code]:
        return DropReason.CODE_NOT_EXPECTED
    return decide_response_authenticity(
        packet,
        upstream.keyed,
        exchange.authenticator,
        requires_message_authenticator=upstream.requires_message_authenticator,
    )
