"""A proxy without sockets or clock: an engine, clients and home servers in memory, time as a number."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from itertools import count
from typing import Any

from federation.events import Outcome, SignIn, SignInFields
from federation.policy import DEFAULT_DENIED_REALMS
from federation.snapshot import Client, Federation, HomeServer, Realm, SharedSecret, Snapshot
from radius.errors import DropReason
from radius.proxy.engine import Engine
from radius.proxy.loops import LoopGuard
from radius.proxy.notices import Notices
from radius.proxy.ports import Address, Flow
from radius.wire.authenticators import KeyedSecret, Verdict, sign_request, sign_response, verify_message_authenticator
from radius.wire.codes import AttributeType, Code, ErrorCause
from radius.wire.hiding import hide_salted
from radius.wire.packet import Packet, build_attribute, build_fragments, build_vendor_attribute, parse_packet

AP_SECRET = SharedSecret(b"secret of the access point")
PROXY_SECRET = SharedSecret(b"secret of the other proxy!")
HOME_SECRET = SharedSecret(b"secret of the home server")
AP = KeyedSecret(AP_SECRET)
PROXY = KeyedSecret(PROXY_SECRET)
HOME = KeyedSecret(HOME_SECRET)
AP_ADDRESS: Address = ("192.0.2.1", 50000)
PROXY_ADDRESS: Address = ("198.51.100.1", 50000)
UNAVAILABLE = build_attribute(AttributeType.ERROR_CAUSE, ErrorCause.RESOURCES_UNAVAILABLE.to_bytes(4))
EAP_RESPONSE = b"\x02\x01\x00\x0d\x01anon@x.y"
KEY = bytes(range(32))
MICROSOFT = 311

ACCESS_POINT = Client(
    "visited/ap", "visited", "visited.example", (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")), AP_SECRET
)
OTHER_PROXY = Client(
    "other/proxy", "other", "other.example", (ip_network("198.51.100.1/32"),), PROXY_SECRET, is_proxy=True
)


def home_server(
    key: str = "home/1", host: str = "203.0.113.1", **options: Any
) -> HomeServer:  # Any: fields of HomeServer
    options.setdefault("library", key.partition("/")[0])
    return HomeServer(key, host=host, port=1812, secret=HOME_SECRET, **options)


def make_snapshot(
    *servers: HomeServer, revision: int = 1, clients: tuple[Client, ...] = (ACCESS_POINT, OTHER_PROXY), **options: Any
) -> Snapshot:
    """A federation in which home.example belongs to the library `home`, with these servers in their order."""
    servers = servers or (home_server(),)
    keys = tuple(server.key for server in servers)
    options.setdefault("realms", {"home.example": Realm("home.example", "home", keys)})
    return Snapshot(
        revision,
        Federation("biebroam", "NL", "login.example"),
        clients,
        {server.key: server for server in servers},
        denied_realms=DEFAULT_DENIED_REALMS,
        **options,
    )


@dataclass(eq=False)
class FakeFlow:
    """A source port in memory."""

    host: str
    port: int
    receive: Callable[[Flow, bytes, float], object]
    sent: list[bytes] = field(default_factory=list[bytes])
    is_closed: bool = False
    watched_again: int = 0

    def send(self, octets: bytes, /) -> bool:
        self.sent.append(octets)
        return True

    def watch_again(self) -> None:
        self.watched_again += 1

    def close(self) -> None:
        self.is_closed = True


@dataclass(eq=False)
class FakeListener:
    """A bound socket in memory."""

    is_accounting: bool = False
    is_closed: bool = False
    requires_errors: bool = False
    sent: list[tuple[bytes, Address]] = field(default_factory=list[tuple[bytes, Address]])

    def send(self, octets: bytes, address: Address, /) -> bool:
        self.sent.append((octets, address))
        return not self.is_closed


def read_sign_in(fields: SignInFields) -> SignIn:
    """What was told, as a value."""
    told = SignIn._make(fields)
    return told._replace(outcome=Outcome(told.outcome))


class World:
    """An engine and everything around it."""

    def __init__(self, snapshot: Snapshot | None = None, *, node_key: bytes = b"k" * 32) -> None:
        self.now = 1000.0
        self.listener = FakeListener()
        self.accounting = FakeListener(is_accounting=True)
        self.flows: list[FakeFlow] = []
        self.told: list[SignInFields] = []
        self.lines: list[tuple[str, Mapping[str, object]]] = []
        self.is_network_up = True
        self._numbers = count(1)
        self.notices = Notices(lambda event, fields: self.lines.append((event, fields)))
        self.engine = Engine(
            notices=self.notices,
            open_flow=self._open,
            random_octets=self._random,
            random_fraction=lambda: 0.5,
            wall_clock=lambda: 1.7e9,
            emit=self.told.append,
            loop_guard=LoopGuard(node_key),
        )
        if snapshot is not None:
            self.engine.swap(snapshot)

    @property
    def events(self) -> list[SignIn]:
        """What was told, the oldest first."""
        return [read_sign_in(fields) for fields in self.told]

    def _open(self, host: str, port: int, receive: Callable[[Flow, bytes, float], object], /) -> FakeFlow | None:
        if not self.is_network_up:
            return None
        flow = FakeFlow(host, port, receive)
        self.flows.append(flow)
        return flow

    def _random(self, octets: int) -> bytes:
        return next(self._numbers).to_bytes(4) * (octets // 4)

    # Clients.

    def send(self, datagram: bytes, source: Address = AP_ADDRESS, listener: FakeListener | None = None) -> None:
        self.engine.receive_request(listener or self.listener, datagram, source, self.now)
        self.end_turn()

    def end_turn(self) -> None:
        """What a turn of the loop leaves for its end, and for the next ones."""
        self.engine.end_turn(self.now)
        while self.engine.refused:
            self.engine.turn_away(self.now)

    def take_answers(self, listener: FakeListener | None = None) -> list[bytes]:
        """What the clients got since the last time."""
        sent = (listener or self.listener).sent
        taken = [octets for octets, _ in sent]
        sent.clear()
        return taken

    # Home servers.

    def take_forwarded(self) -> list[tuple[FakeFlow, bytes]]:
        """What the home servers got since the last time."""
        taken = [(flow, octets) for flow in self.flows for octets in flow.sent]
        for flow in self.flows:
            flow.sent.clear()
        return taken

    def take_requests(self) -> list[tuple[FakeFlow, bytes]]:
        """The same without Status-Server."""
        return [(flow, octets) for flow, octets in self.take_forwarded() if octets[0] != Code.STATUS_SERVER]

    def forward_one(self) -> tuple[FakeFlow, Packet]:
        """The one request that a home server got."""
        ((flow, octets),) = self.take_forwarded()
        return flow, parse(octets)

    def answer(self, flow: FakeFlow, octets: bytes) -> None:
        flow.receive(flow, octets, self.now)

    # Time.

    def run(self, seconds: float) -> None:
        """Let time pass: the timer fires when the engine asked for it."""
        end = self.now + seconds
        while (due := self.engine.next_timer()) is not None and due <= end:
            self.now = max(self.now, due)
            self.engine.on_timer(self.now)
        self.now = end


def parse(octets: bytes) -> Packet:
    packet = parse_packet(octets)
    assert not isinstance(packet, DropReason), packet
    return packet


def user_name(name: bytes = b"anonymous@home.example") -> bytes:
    return build_attribute(AttributeType.USER_NAME, name)


def eap(octets: bytes = EAP_RESPONSE) -> bytes:
    return build_fragments(AttributeType.EAP_MESSAGE, octets)


def access_request(
    attributes: bytes | None = None,
    *,
    name: bytes = b"anonymous@home.example",
    identifier: int = 7,
    authenticator: bytes = bytes(range(16)),
    keyed: KeyedSecret = AP,
    **options: bool,
) -> bytes:
    """A request as an access point sends it."""
    body = user_name(name) + (eap() if attributes is None else attributes)
    return sign_request(Code.ACCESS_REQUEST, identifier, authenticator, body, keyed, **options)


def proxy_states_of(packet: Packet) -> bytes:
    return b"".join(packet.octets[at : at + packet.octets[at + 1]] for at in packet.proxy_states)


def mppe_keys(request_authenticator: bytes, keyed: KeyedSecret = HOME) -> bytes:
    """The two keys of the radio link, hidden for the proxy."""
    return b"".join(
        build_vendor_attribute(MICROSOFT, kind, hide_salted(KEY, 0x8000 + kind, keyed, request_authenticator))
        for kind in (16, 17)
    )


def respond(
    request: Packet, code: int = Code.ACCESS_ACCEPT, attributes: bytes = b"", *, keyed: KeyedSecret = HOME
) -> bytes:
    """The answer of a home server, which returns the Proxy-States as it should."""
    return sign_response(code, request.identifier, request.authenticator, attributes + proxy_states_of(request), keyed)


def is_signed(octets: bytes, keyed: KeyedSecret, request_authenticator: bytes) -> bool:
    """Whether a client can believe this answer: Message-Authenticator is right, and first."""
    packet = parse(octets)
    is_first = packet.message_authenticator == 20
    return is_first and verify_message_authenticator(packet, keyed, request_authenticator) is Verdict.VALID


def error_causes(packet: Packet) -> list[int]:
    return [int.from_bytes(packet.octets[at + 2 : at + 6]) for at in packet.offsets_of(AttributeType.ERROR_CAUSE)]
