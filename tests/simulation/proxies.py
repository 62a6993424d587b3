"""A proxy: the real engine in the network, with somebody looking over its shoulder at everything it does.

Looked at after each event: every answer that leaves (is it this client's, did a home server say so, is there nothing
in it that may not be there, does a repeat get the same octets), and whether the engine's tables agree with each other.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from federation.events import Outcome, SignIn
from federation.reasons import RefusalReason
from federation.snapshot import Snapshot
from radius.errors import DropReason
from radius.exchange.duplicates import FORGOTTEN_AT_ONCE
from radius.proxy.engine import Engine
from radius.proxy.forwarding import DUE_AT_ONCE
from radius.proxy.loops import LoopGuard
from radius.proxy.notices import Notices
from radius.proxy.ports import Flow
from radius.proxy.upstreams import Upstream
from tests.radius.proxy.world import read_sign_in
from tests.simulation import octets
from tests.simulation.federations import ACCOUNTING_PORT, PORT, Registry
from tests.simulation.ledger import Ledger, Violation, demand
from tests.simulation.network import Address, Datagram, Network
from tests.simulation.octets import Read

ANSWERED_SECONDS: Final = 22.0  # an access point waits no longer for any answer, be it a refusal
WINDOW_SECONDS: Final = 9.9  # a repeat gets the same octets for as long (RFC 5080 §2.2.2)
MAY_COME_BACK: Final = frozenset((1, 18, 24, 25, 26, 27, 28, 29, 33, 79, 80, 85, 89, 101, 102, 126))
GUEST_VLAN: Final = frozenset((64, 65, 81))
LONGEST_SESSION: Final = 28_800
KNOWN_CODES: Final = {*map(str, DropReason), *map(str, RefusalReason)}

Tamper = Callable[[str, bytes], bytes | None]
"""For tests of the tests: what an unfaithful proxy makes of the octets that it sends; None: nothing is sent."""


@dataclass
class Asked:
    """A request that came, and what was answered."""

    packet: Read
    secret: bytes
    is_owed: bool
    """Whether it is an access point's login, which has to get some answer."""
    came_at: float
    answer: bytes = b""
    answered_at: float = 0.0
    sent_at: float = 0.0
    earlier: bytes = b""
    """What the same request was answered with before the window closed, as far as one can see from outside."""
    earlier_at: float = 0.0


@dataclass(eq=False)
class Port:
    """A source port towards a home server."""

    proxy: "Proxy"
    number: int
    target: Address
    receive: Callable[[Flow, bytes, float], object]
    is_deaf: bool = False  # what comes is not read, until the port is watched again
    is_lost: bool = False  # nothing gets through, in either direction
    unread: list[Datagram] = field(default_factory=list[Datagram])

    def send(self, octets: bytes, /) -> bool:
        """The octets are on their way."""
        demand(self.number in self.proxy.ports, f"{self.proxy.host} sends from port {self.number}, which is closed")
        if not self.is_lost:
            self.proxy.emit_datagram("request", Datagram((self.proxy.host, self.number), self.target, octets))
        return True

    def watch_again(self) -> None:
        """What has come is read, in the next turn of the loop."""
        unread, self.unread, self.is_deaf = self.unread, [], False
        for datagram in unread:
            self.proxy.network.bring(datagram, 0.0)

    def close(self) -> None:
        """The port is free."""
        del self.proxy.ports[self.number]


@dataclass(eq=False)
class Listener:
    """Where requests come from."""

    proxy: "Proxy"
    is_accounting: bool
    is_closed: bool = False
    requires_errors: bool = False

    def send(self, octets: bytes, address: Address, /) -> bool:
        """The octets are on their way."""
        port = ACCOUNTING_PORT if self.is_accounting else PORT
        self.proxy.emit_datagram("answer", Datagram((self.proxy.host, port), address, octets))
        return True


@dataclass
class Proxy:
    """One proxy of the chain."""

    network: Network
    registry: Registry
    ledger: Ledger
    number: int
    tamper: Tamper | None = None
    ports: dict[int, Port] = field(default_factory=dict[int, Port])
    accepted: int = 0
    events: list[SignIn] = field(default_factory=list[SignIn])
    clock_offset: float = 1.7e9

    def __post_init__(self) -> None:
        self.host = self.registry.proxy_host(self.number)
        self.unreachable: set[str] = set()
        self.asked: dict[tuple[Address, int, int], Asked] = {}
        self.heard: set[bytes] = set()
        self.upstreams: dict[int, Upstream] = {}
        self._clients: dict[str, tuple[bytes, bool]] = {}
        self._armed_at: float | None = None
        self._turn_began = 0.0
        self._turns_left = 0
        self._next_port = 30_000
        random = self.network.random(f"proxy {self.number}")
        self.notices = Notices(self._write)
        self.engine = Engine(
            notices=self.notices,
            open_flow=self._open,
            random_octets=random.randbytes,
            random_fraction=random.random,
            wall_clock=lambda: self.network.now + self.clock_offset,
            emit=lambda fields: self.events.append(read_sign_in(fields)),
            loop_guard=LoopGuard(f"the key of proxy number {self.number}".encode()),
        )
        self._listeners = {
            PORT: Listener(self, is_accounting=False),
            ACCOUNTING_PORT: Listener(self, is_accounting=True),
        }
        self.network.attach(self.host, self.receive)

    def _write(self, event: str, fields: Mapping[str, object]) -> None:
        self.network.note(f"{self.host} {event} {dict(fields)}")

    def _open(self, host: str, port: int, receive: Callable[[Flow, bytes, float], object], /) -> Port | None:
        if host in self.unreachable:
            return None
        self._next_port += 1
        opened = self.ports[self._next_port] = Port(self, self._next_port, (host, port), receive)
        return opened

    def swap(self, snapshot: Snapshot) -> None:
        """It knows this from now on."""
        self.network.note(f"{self.host} takes snapshot {snapshot.revision}")
        self.engine.swap(snapshot)
        self._clients = {
            str(client.networks[0].network_address): (bytes(client.secret or b""), client.is_proxy)
            for client in snapshot.clients
        }
        self._arm()

    def spoil_ports(self, what: str, number: int) -> None:
        """Some of the ports towards home servers that are open now are deaf or lost for good."""
        for port in list(self.ports.values())[:: number % 2 + 1]:
            port.is_deaf |= what == "deaf"
            port.is_lost |= what == "lost"

    # What comes.

    def receive(self, datagram: Datagram) -> None:
        """Take one datagram, as the system's sockets would."""
        listener = self._listeners.get(datagram.target[1])
        if listener is not None:
            repeated = self._expect(datagram, listener)
            self.engine.receive_request(listener, datagram.octets, datagram.source, self.network.now)
            self.engine.end_turn(self.network.now)
            while self.engine.refused:
                self.engine.turn_away(self.network.now)
            if repeated is not None and repeated.sent_at != self.network.now:
                raise Violation(
                    f"{self.host} did not answer a repeat of an answered request {datagram.octets[:8].hex()}"
                )
        else:
            port = self.ports.get(datagram.target[1])
            if port is None or port.target != datagram.source:  # a connected socket takes from its peer only
                return
            if port.is_deaf:
                port.unread.append(datagram)
            if port.is_deaf or port.is_lost:
                return
            if datagram.is_genuine:
                answer = octets.read(datagram.octets)
                if answer is not None:
                    self.heard.add(answer.first(octets.CLASS))
            port.receive(port, datagram.octets, self.network.now)
        self._arm()

    def _expect(self, datagram: Datagram, listener: Listener) -> Asked | None:
        """Remember a request that is right; returns it if its answer has to be sent once more, at once."""
        packet = octets.read(datagram.octets)
        secret, is_proxy = self._clients.get(datagram.source[0], (None, False))
        if packet is None or secret is None or not octets.is_request_right(packet, secret):
            return None
        key = (datagram.source, packet.code, packet.identifier)
        known = self.asked.get(key)
        now = self.network.now
        if known is not None and known.packet.authenticator == packet.authenticator:
            if known.answer and now < known.answered_at + WINDOW_SECONDS:
                return known
            if not known.answer:
                return None
        is_login = packet.code == octets.ACCESS_REQUEST and packet.first(octets.ACCT_SESSION_ID) in self.ledger.sent
        is_owed = is_login and not is_proxy and not listener.is_accounting
        asked = self.asked[key] = Asked(packet, secret, is_owed, now)
        if known is not None and known.packet.authenticator == packet.authenticator:
            asked.earlier, asked.earlier_at = known.answer, known.answered_at
        return None

    # What goes.

    def emit_datagram(self, kind: str, datagram: Datagram) -> None:
        """Look at what the engine sends, and send it."""
        if self.tamper is not None:
            tampered = self.tamper(kind, datagram.octets)
            if tampered is None:
                return
            datagram = datagram._replace(octets=tampered)
        if kind == "answer":
            self._look_at_answer(datagram)
        self.network.send(datagram)

    def _look_at_answer(self, datagram: Datagram) -> None:
        packet = octets.read(datagram.octets)
        if packet is None:
            raise Violation(f"{self.host} sent an answer that is no packet")
        found = [
            asked
            for (source, _, identifier), asked in self.asked.items()
            if source == datagram.target
            and identifier == packet.identifier
            and octets.is_answer_right(packet, asked.packet.authenticator, asked.secret)
        ]
        demand(len(found) == 1, f"{self.host} sent {datagram.target} an answer to nothing that it asked")
        asked = found[0]
        now = self.network.now
        if asked.answer and now < asked.answered_at + WINDOW_SECONDS:
            demand(asked.answer == packet.octets, f"{self.host} gave two answers to one request")
        if packet.octets == asked.earlier:
            asked.answer, asked.answered_at = asked.earlier, asked.earlier_at
        elif asked.answer != packet.octets:
            asked.answer, asked.answered_at = packet.octets, now
            self.accepted += packet.code == octets.ACCESS_ACCEPT and asked.packet.code == octets.ACCESS_REQUEST
        asked.sent_at = now
        states = packet.all(octets.PROXY_STATE)
        demand(states == asked.packet.all(octets.PROXY_STATE), f"{self.host} did not give back the Proxy-States")
        if packet.code != octets.ACCOUNTING_RESPONSE:
            demand(packet.attributes[0][0] == octets.MESSAGE_AUTHENTICATOR, "Message-Authenticator is not first")
        if asked.packet.code == octets.ACCESS_REQUEST:
            self._look_at_login(packet, asked)

    def _look_at_login(self, packet: Read, asked: Asked) -> None:
        token = packet.first(octets.CLASS)
        marker = asked.packet.first(octets.ACCT_SESSION_ID)
        has_eap = bool(asked.packet.first(octets.EAP_MESSAGE))
        if not token:
            demand(packet.code == octets.ACCESS_REJECT, f"{self.host} said {packet.code} where no home server did")
            kinds = {kind for kind, _ in packet.attributes}
            demand(kinds <= {octets.MESSAGE_AUTHENTICATOR, octets.PROXY_STATE, octets.EAP_MESSAGE, 101}, f"{kinds}")
            demand(not has_eap or packet.first(octets.EAP_MESSAGE)[:1] == b"\x04", "a refusal without EAP-Failure")
            return
        given = self.ledger.given.get(token)
        if given is None or token not in self.heard:
            raise Violation(f"{self.host} answered what no home server told it: {token!r}")
        demand(given.marker == marker, f"{self.host} gave {marker!r} the answer to {given.marker!r}")
        demand(given.code == packet.code, f"{self.host} made code {packet.code} of {given.code}")
        demand(packet.first(octets.STATE) == given.state, f"{self.host} changed the State of {marker!r}")
        for header in (octets.MPPE_SEND_KEY, octets.MPPE_RECV_KEY):
            key = octets.find_key(packet, header, asked.secret, asked.packet.authenticator)
            demand(key == given.key, f"the key of {marker!r} did not arrive intact")
        self._look_at_attributes(packet, marker)

    def _look_at_attributes(self, packet: Read, marker: bytes) -> None:
        sent = self.ledger.sent[marker]
        eap = packet.first(octets.EAP_MESSAGE)
        demand(not eap or octets.REPLY_MESSAGE not in dict(packet.attributes), "Reply-Message beside EAP")
        depth = self.registry.plan.realms[sent.realm].depth
        site = self.registry.asker_at(sent.source[0])
        is_first = self.number == 0
        if is_first and depth == 1 and sent.library == self.registry.library(sent.realm):
            return  # a patron at home: the library may tell its own network what it likes
        allowed = set(MAY_COME_BACK)
        is_default = self.registry.plan.has_default_route and depth > 1  # whose patron it is, nobody here may know
        is_visitor = is_first and sent.library != self.registry.library(sent.realm)
        vlan = site.guest_vlan if is_first and site is not None and packet.code == octets.ACCESS_ACCEPT else None
        if vlan is not None and (is_visitor or is_default):
            allowed |= GUEST_VLAN
            demand(not is_visitor or packet.all(81) == [str(vlan).encode()], f"a visitor got the VLAN {packet.all(81)}")
        leaked = {kind for kind, _ in packet.attributes} - allowed
        demand(not leaked, f"attributes {leaked} came back to {marker!r}")
        for value in packet.all(octets.VENDOR_SPECIFIC):
            demand(value[:5] in (octets.MPPE_SEND_KEY, octets.MPPE_RECV_KEY), f"vendor attribute {value[:5].hex()}")
        for value in packet.all(octets.SESSION_TIMEOUT):
            demand(int.from_bytes(value) <= LONGEST_SESSION, "a session without end came back")

    # Time.

    def _arm(self) -> None:
        due = self.engine.next_timer()
        if due is None or (self._armed_at is not None and self._armed_at <= due):
            return
        self._armed_at = due
        self.network.at(due, lambda: self._on_time(due))

    def _on_time(self, due: float) -> None:
        if self._armed_at != due:
            return
        self._armed_at = None
        now = self.network.now
        if now != self._turn_began:  # some deadlines at a turn: each turn of one moment leaves fewer
            self._turn_began = now
            self._turns_left = (
                self.engine.outstanding // DUE_AT_ONCE + len(self.engine.duplicates) // FORGOTTEN_AT_ONCE + 2
            )
        self.engine.on_timer(now)
        after = self.engine.next_timer()
        self._turns_left -= 1
        is_over = after is None or after > now
        demand(is_over or self._turns_left >= 0, f"{self.host} asks for the timer at {after}, and has just had it")
        self._arm()

    # What always holds.

    def check(self) -> None:
        """The tables agree with each other."""
        engine = self.engine
        for upstream in engine.upstreams.values():
            self.upstreams[id(upstream)] = upstream
        waiting = sum(upstream.identifiers.outstanding for upstream in self.upstreams.values())
        demand(
            engine.outstanding == waiting, f"{self.host}: {engine.outstanding} outstanding, {waiting} identifiers used"
        )

    def check_slowly(self) -> None:
        """What takes longer to look at: once a second."""
        now = self.network.now
        for asked in self.asked.values():
            if asked.is_owed and not asked.answer and now > asked.came_at + ANSWERED_SECONDS:
                raise Violation(f"{self.host} never answered {asked.packet.first(octets.ACCT_SESSION_ID)!r}")
        unknown = ({*self.notices.drops, *self.notices.refusals}) - KNOWN_CODES
        demand(not unknown, f"{self.host} has reasons that nobody knows: {unknown}")
        protection = self.engine.protection
        names = {upstream.key for upstream in self.upstreams.values()}
        clients = [state.key for state in self.engine.clients.states.values()]
        held = sum(protection.clients.count_of(key) for key in clients)
        demand(held <= self.engine.outstanding, f"{self.host}: the bulkheads hold {held}")
        demand(len(protection.breakers) <= len(names) * 64, f"{self.host} has {len(protection.breakers)} breakers")

    def check_quiet(self) -> None:
        """After a long quiet time nothing is left of all that happened."""
        engine = self.engine
        demand(engine.outstanding == 0, f"{self.host}: {engine.outstanding} outstanding in the end")
        checks = sum(asked.packet.code == octets.STATUS_SERVER for asked in self.asked.values())  # they go on for ever
        demand(len(engine.duplicates) <= checks, f"{self.host} still remembers {len(engine.duplicates)} requests")
        protection = engine.protection
        for site in self.registry.askers:
            demand(protection.clients.count_of(site.key) == 0, f"{self.host}: the bulkhead of {site.key} leaks")
            demand(engine.duplicates.pending_of(site.key) == 0, f"{self.host}: pending requests of {site.key} leak")
        for realm in self.registry.realms:
            demand(protection.realms.count_of(realm) == 0, f"{self.host}: the bulkhead of {realm} leaks")
        kept = {flow for upstream in engine.upstreams.values() for flow in upstream.identifiers.flows}
        demand(
            set(self.ports.values()) == kept, f"{self.host}: {len(self.ports)} ports are open, of {len(kept)} in use"
        )
        for upstream in engine.upstreams.values():
            identifiers = upstream.identifiers
            used = [flow for flow in identifiers.flows if not identifiers.is_retired(flow)]
            demand(len(used) <= 1, f"{self.host}: ports of a burst towards {upstream.key} stay")
        told = sum(event.outcome is Outcome.ACCEPTED for event in self.events)
        demand(told == self.accepted, f"{self.host} told of {told} acceptances, and {self.accepted} left")
