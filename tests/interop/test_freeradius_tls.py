"""A real FreeRADIUS at the other end of our RADIUS/TLS connections: what it takes in a record, and where it waits.

It is configured as a library is told to (docs/trust.md), and what it does not take here stops a library's patrons.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from federation.services.configurations import Place
from radius.transport.outbox import Waiting, flush_all
from radius.transport.tls.connection import Deadlines, Events, TlsConnection
from radius.transport.tls.contexts import Credentials, Trust
from radius.wire.authenticators import KeyedSecret, sign_request
from radius.wire.codes import AttributeType, Code
from radius.wire.packet import build_attribute
from tests.interop.generated import start_freeradius
from tests.interop.test_biebroam_home import Members
from tests.interop.test_configurations import HOME_NAME, OPERATOR_NAME, PEER_NAME
from tests.radius.proxy.streams import LOOPBACK, RADSEC, until
from tests.radius.proxy.world import parse, respond
from tests.support.certificates import make_server_certificate
from tests.support.processes import free_port

pytestmark = [pytest.mark.interop, pytest.mark.parametrize("tls", ["1.2", "1.3"])]

NAS_SECRET = "secret-of-the-test-access-point"
NAS = KeyedSecret(NAS_SECRET.encode())
AT_ONCE = 5
SECONDS = 20.0  # a busy machine's; FreeRADIUS needs none of them


@dataclass
class End:
    """The federation's end of connections, with the operator's certificate."""

    trust: Trust
    place: Place
    packets: list[bytes] = field(default_factory=list[bytes])
    connections: list[TlsConnection] = field(default_factory=list[TlsConnection])
    ended: list[TlsConnection] = field(default_factory=list[TlsConnection])
    turn: list[Waiting] = field(default_factory=list[Waiting])

    def dial(self) -> TlsConnection:
        return self._make(is_dialled=True)

    def accept(self) -> TlsConnection:
        return self._make(is_dialled=False)

    def _make(self, *, is_dialled: bool) -> TlsConnection:
        tls = self.trust.dial(lambda _: True, PEER_NAME) if is_dialled else self.trust.accept(lambda _: True)
        events = Events(self.connections.append, self._take, lambda connection, _: self.ended.append(connection))
        return TlsConnection(tls, events, Deadlines(), self.turn)

    def _take(self, _connection: TlsConnection, packets: list[bytes], _now: float) -> None:
        self.packets += packets


@pytest.fixture
def end(tmp_path: Path, tls: str) -> Generator[End]:
    """While it is used, the library's FreeRADIUS runs."""
    members = Members(tmp_path)
    own = members.fill_operator()
    place = Place(
        library="boekenburg",
        realms=("boekenburg.example",),
        server_name=OPERATOR_NAME,
        host=LOOPBACK,
        port=free_port(socket.SOCK_STREAM),
        folder=str(members.fill("library", members.issue(PEER_NAME))),
        listen=LOOPBACK,
        listen_port=free_port(socket.SOCK_STREAM),
        access_port=free_port(),
    )
    eap = make_server_certificate(tmp_path, HOME_NAME)
    versions = tuple((rf"tls_{bound}_version = .*", f'tls_{bound}_version = "{tls}"') for bound in ("min", "max"))
    chain, key, anchors = ((own / f"{name}.pem").read_bytes() for name in ("chain", "key", "anchors"))
    with start_freeradius(tmp_path / "freeradius", eap, place, *versions, users={}, secret=NAS_SECRET):
        yield End(Trust(Credentials(chain, key, anchors)), place)


@pytest.fixture
async def listening(end: End) -> AsyncGenerator[End]:
    """The federation, where FreeRADIUS looks for it."""
    server = await asyncio.get_running_loop().create_server(end.accept, LOOPBACK, end.place.port)
    yield end
    server.close()
    for connection in end.connections:
        connection.close()


async def test_requests_of_one_turn_are_answered(end: End) -> None:
    """It ends a connection over a record with two packets, and answers all that come in one write."""
    await asyncio.get_running_loop().create_connection(end.dial, LOOPBACK, end.place.listen_port)
    await until(lambda: bool(end.connections), SECONDS)
    (connection,) = end.connections
    for number in range(AT_ONCE):
        assert connection.send(sign_request(Code.STATUS_SERVER, number, number.to_bytes(16), b"", RADSEC))
    flush_all(end.turn)
    await until(lambda: len(end.packets) == AT_ONCE or bool(end.ended), SECONDS)
    assert not end.ended
    assert sorted(parse(octets).identifier for octets in end.packets) == list(range(AT_ONCE))
    connection.close()


async def test_request_without_answer_holds_nobody_up(listening: End) -> None:
    """It goes on while the first request on a connection waits, and takes answers that come in one write."""
    loop = asyncio.get_running_loop()
    name = build_attribute(AttributeType.USER_NAME, b"bram@leesstad.example")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as access_point:
        access_point.setblocking(False)
        await loop.sock_connect(access_point, (LOOPBACK, listening.place.access_port))
        for number in range(AT_ONCE):
            access_point.send(sign_request(Code.ACCESS_REQUEST, number, number.to_bytes(16), name, NAS))
            async with asyncio.timeout(SECONDS):
                while len(listening.packets) <= number:  # noqa: ASYNC110 - what is waited for happens in sockets
                    await asyncio.sleep(0.005)
        (connection,) = listening.connections
        for octets in listening.packets:
            assert connection.send(respond(parse(octets), keyed=RADSEC))
        flush_all(listening.turn)
        async with asyncio.timeout(SECONDS):
            answers = [await loop.sock_recv(access_point, 4096) for _ in range(AT_ONCE)]
    assert sorted((parse(octets).identifier, parse(octets).code) for octets in answers) == [
        (number, Code.ACCESS_ACCEPT) for number in range(AT_ONCE)
    ]
