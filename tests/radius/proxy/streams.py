"""A federation on the loopback that speaks RADIUS/TLS: an authority, proxies, clients and home servers."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from socket import SOCK_STREAM, socket
from time import monotonic, time

from cryptography import x509

from federation.snapshot import Client, HomeServer, PeerTrust, Realm, SharedSecret, Snapshot, Transport
from radius.errors import DropReason
from radius.proxy.service import ProxyService, ProxySockets
from radius.supervisor import bind_group
from radius.transport.tls.connection import Closing, Deadlines, Events, TlsConnection, one_by_one
from radius.transport.tls.contexts import Trust
from radius.transport.tls.identity import PeerIdentity, ServerName
from radius.transport.tls.link import Link, Target
from radius.transport.tls.versions import RadiusVersion
from radius.wire.authenticators import KeyedSecret
from radius.wire.packet import Packet
from tests.radius.proxy.world import ACCESS_POINT, make_snapshot, parse, respond
from tests.radius.transport.tls.members import Authority, names_of

LOOPBACK = "127.0.0.1"
RADSEC = KeyedSecret(SharedSecret(b"radsec"))
OWN_NAME = "proxy.fed.example"
CLIENT_NAME = "ap.visited.example"
HOME_NAME = "radius.home.example"
TLS_CLIENT = replace(
    ACCESS_POINT, key="visited/tls", networks=(), secret=None, certificate_name=CLIENT_NAME, is_proxy=False
)
Member = tuple[x509.Certificate, bytes]


def peer_trust(
    authority: Authority, member: Member, *, anchors: tuple[Authority, ...] = (), revoked: frozenset[str] = frozenset()
) -> PeerTrust:
    """What a member shows, and whom it believes."""
    credentials = authority.credentials(member, anchors, revoked)
    return PeerTrust(credentials.chain_pem, credentials.key_pem, credentials.anchors_pem, credentials.revoked_serials)


def serial_of(member: Member) -> str:
    return f"{member[0].serial_number:x}"


def tls_home_server(port: int, key: str = "home/tls", realms: tuple[str, ...] = ("home.example",)) -> HomeServer:
    return HomeServer(key, key.partition("/")[0], LOOPBACK, port, Transport.TLS, realms=realms)


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in sockets
            await asyncio.sleep(0.005)


@dataclass
class TlsHome:
    """A home server over TLS that answers as it is told; it stands in for a member's own program."""

    trust: Trust
    port: int = 0
    host: str = LOOPBACK
    requests: list[Packet] = field(default_factory=list[Packet])
    connections: list[TlsConnection] = field(default_factory=list[TlsConnection])
    handshakes: int = 0  # that began
    answer: Callable[[Packet], bytes | None] = lambda request: respond(request, keyed=RADSEC)
    _server: asyncio.Server | None = None
    _came_by: dict[bytes, TlsConnection] = field(default_factory=dict[bytes, TlsConnection])

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        events = Events(self.connections.append, one_by_one(self._take), self._lose)

        def make() -> TlsConnection:
            self.handshakes += 1
            return TlsConnection(self.trust.accept(lambda _: True), events, Deadlines())

        self._server = await loop.create_server(make, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """It is gone as a killed process is."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.abort(Closing.BY_US)

    def release(self, requests: list[Packet]) -> None:
        """Answer what was held back, on the connection that it came by."""
        for request in requests:
            answer = self.answer(request)
            if answer is not None:
                self._came_by[request.octets].send(answer)

    def _take(self, connection: TlsConnection, octets: bytes, _now: float) -> DropReason | None:
        request = parse(octets)
        self.requests.append(request)
        self._came_by[octets] = connection
        answer = self.answer(request)
        if answer is not None:
            connection.send(answer)
        return None

    def _lose(self, connection: TlsConnection, _reason: Closing) -> None:
        if connection in self.connections:
            self.connections.remove(connection)


class TlsDevice:
    """A client over TLS, as an access point's program is."""

    def __init__(self, trust: Trust, port: int, *, name: str = OWN_NAME) -> None:
        self.packets: list[Packet] = []
        self.ups = 0
        self.downs = 0
        target = Target("proxy", LOOPBACK, port, ServerName(name))
        self.link = Link(target, self, lambda: trust)

    def admits(self, _identity: PeerIdentity) -> bool:
        return True

    def on_up(self, _link: Link, _now: float) -> None:
        self.ups += 1

    def on_down(self, _link: Link, _now: float) -> None:
        self.downs += 1

    def on_packets(
        self, _link: Link, _connection: TlsConnection, packets: list[bytes], _now: float
    ) -> DropReason | None:
        self.packets += map(parse, packets)
        return None

    def on_left(self, _link: Link, _connection: TlsConnection, _now: float) -> None:
        pass

    async def connect(self) -> None:
        self.link.start()
        await until(lambda: self.link.is_up)

    async def ask(self, octets: bytes, seconds: float = 10.0) -> Packet:
        before = len(self.packets)
        await until(lambda: self.link.is_up)  # it may just have been made anew
        assert self.link.send(octets)
        await until(lambda: len(self.packets) > before, seconds)
        return self.packets[-1]


def listen_for_streams() -> socket:
    return bind_group([LOOPBACK], 0, kind=SOCK_STREAM).by_worker[0][0]


@asynccontextmanager
async def running_proxy(listener: socket | None = None, loop_key: bytes = b"k" * 32) -> AsyncGenerator[ProxyService]:
    """A proxy worker with a listener for RADIUS/TLS and nothing else."""
    bound = listener or listen_for_streams()
    service = ProxyService(ProxySockets([], [], [bound]), loop_key=loop_key)
    service.start()
    try:
        yield service
    finally:
        await service.stop(0.0)
        bound.close()


def snapshot_of(
    trust: PeerTrust | None,
    *servers: HomeServer,
    clients: tuple[Client, ...] = (TLS_CLIENT,),
    revision: int = 1,
) -> Snapshot:
    keys = tuple(server.key for server in servers)
    realms = {"home.example": Realm("home.example", "home", keys)}
    return replace(make_snapshot(*servers, clients=clients, revision=revision, realms=realms), peer_trust=trust)


def issue(authority: Authority, *names: str) -> Member:
    return authority.issue(names_of(*names))


def trust_of(authority: Authority, member: Member, *anchors: Authority) -> Trust:
    """What a member's program that knows RADIUS/1.0 alone shows and believes."""
    return Trust(authority.credentials(member, anchors), frozenset({RadiusVersion.V1_0}))


def check_all(service: ProxyService, seconds_later: float = 0.0, days_later: float = 0.0) -> None:
    """What the service does each second, at another time."""
    streams = service.streams
    streams.look(monotonic() + seconds_later, time() + days_later * 86_400)
