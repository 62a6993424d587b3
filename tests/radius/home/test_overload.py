"""What a home server does with more than it can do, on real sockets of the loopback."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import cast

import pytest

from federation.snapshot import (
    Client,
    EapMethod,
    EapServerCredentials,
    Federation,
    HomeSnapshot,
    HostedRealm,
    SharedSecret,
)
from radius.errors import DropReason
from radius.exchange.admission import MAX_WAIT_SECONDS
from radius.home.service import SLICE, HomeService
from radius.supplicant.client import LoginRequest, log_in
from radius.transport import backlog
from radius.transport.udp import bind_udp, connect_udp
from radius.wire.attributes import find
from radius.wire.authenticators import KeyedSecret, sign_request
from radius.wire.codes import AttributeType, Code
from radius.wire.packet import Packet, build_attribute, build_fragments, parse_packet
from tests.radius.home.nobody import NoPatrons
from tests.support.certificates import ServerCertificate, make_server_certificate

SERVER_NAME = "login.test.example"
REALM = "west.example"
SECRET = b"secret of the access point"
KEYED = KeyedSecret(SECRET)
NAME = build_attribute(AttributeType.USER_NAME, b"anonymous@west.example")
EAP = build_fragments(AttributeType.EAP_MESSAGE, b"\x02\x01\x00\x1b\x01anonymous@west.example")
NAK = build_fragments(AttributeType.EAP_MESSAGE, b"\x02\x02\x00\x06\x03\x19")  # PEAP, instead of what is offered first
FLOODER, OTHER = "127.0.0.2", "127.0.0.1"


class Patrons(NoPatrons):
    """One patron."""

    def begin_password_check(self, realm: str, user: str, password: bytes) -> None:
        assert (realm, user, password) == (REALM, "anna", b"Strandlezer-1")


@dataclass
class Flooded:
    """A home server with two clients, one of which sends more than it can answer."""

    service: HomeService
    port: int
    certificate: ServerCertificate
    flooder: socket.socket
    sent: int = 0

    def begin(self, count: int) -> None:
        """So many logins of the flooder begin, each with another identifier or authenticator."""
        for _ in range(count):
            self.sent += 1
            octets = sign_request(Code.ACCESS_REQUEST, self.sent % 256, self.sent.to_bytes(16), NAME + EAP, KEYED)
            with suppress(BlockingIOError):
                self.flooder.send(octets)

    def answers(self) -> list[Packet]:
        """What the flooder got, in order."""
        got: list[Packet] = []
        while True:
            try:
                packet = parse_packet(self.flooder.recv(4096))
            except BlockingIOError:
                return got
            assert isinstance(packet, Packet)
            got.append(packet)

    def counted(self, kind: str) -> dict[str, int]:
        """What the service counted of one kind."""
        return cast("dict[str, int]", self.service.counters()[kind])


@pytest.fixture
async def flooded(tmp_path: Path) -> AsyncGenerator[Flooded]:
    """The home server runs."""
    certificate = make_server_certificate(tmp_path, SERVER_NAME)
    snapshot = HomeSnapshot(
        revision=1,
        federation=Federation("test", "NL", SERVER_NAME),
        realms={REALM: HostedRealm(REALM, "west", "local", (EapMethod.TTLS_PAP, EapMethod.PEAP_MSCHAPV2))},
        credentials=EapServerCredentials(certificate.certificate.read_bytes(), certificate.key.read_bytes()),
        clients=tuple(
            Client(f"west/{host}", "west", REALM, (ip_network(host),), SharedSecret(SECRET))
            for host in (FLOODER, OTHER)
        ),
    )
    async with AsyncExitStack() as stack:
        udp = bind_udp("127.0.0.1", 0)
        service = HomeService([udp], {"local": Patrons()}, alias_key=b"k" * 32, serves_access_points=True)
        service.swap(snapshot)
        port = udp.getsockname()[1]
        service.start()
        stack.push_async_callback(service.stop, 0.0)
        flooder = stack.enter_context(connect_udp("127.0.0.1", port, source=FLOODER))
        yield Flooded(service, port, certificate, flooder)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until the condition holds."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in sockets
            await asyncio.sleep(0.005)


async def test_round_of_a_conversation_overtakes_logins_that_begin(
    flooded: Flooded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind 200 that begin comes the second round of one that has begun: it is answered first."""
    monkeypatch.setattr(backlog, "monotonic", lambda: 0.0)  # a loaded machine makes nothing too old
    flooded.begin(1)
    answers: list[Packet] = []
    await until(lambda: bool(answers.extend(flooded.answers()) or answers))
    state = build_attribute(AttributeType.STATE, find(answers.pop(), AttributeType.STATE) or b"")
    flooded.begin(200)
    flooded.flooder.send(sign_request(Code.ACCESS_REQUEST, 250, b"second round....", NAME + NAK + state, KEYED))
    await until(lambda: bool(answers.extend(flooded.answers()) or len(answers) == 201))
    assert answers[0].identifier == 250
    assert {answer.code for answer in answers} == {Code.ACCESS_CHALLENGE}


async def test_logins_end_while_another_client_floods(flooded: Flooded) -> None:
    """A client begins thousands of logins in a second; each login by another ends well, at its first attempt."""

    async def flood() -> None:
        while True:
            flooded.begin(200)
            flooded.answers()
            await asyncio.sleep(0)

    async def sign_in(number: int) -> bool:
        request = LoginRequest(
            "127.0.0.1",
            flooded.port,
            SECRET,
            "anna@west.example",
            "Strandlezer-1",
            flooded.certificate.ca.read_bytes(),
            SERVER_NAME,
            calling_station_id=f"02-00-00-00-00-{number:02}",
            retransmit_seconds=30.0,
            tries=1,
            source=OTHER,
        )
        return (await log_in(request)).is_accepted

    flooding = asyncio.ensure_future(flood())
    try:
        late = {DropReason.WAITED_TOO_LONG, DropReason.QUEUE_FULL}
        await until(lambda: bool(late & flooded.counted("drops").keys()))  # it can not keep up
        assert await asyncio.gather(*map(sign_in, range(8))) == [True] * 8
    finally:
        flooding.cancel()


async def test_what_waited_too_long_is_dropped_with_its_reason(
    flooded: Flooded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked has asked again, or given up: the time is better spent on others."""
    real = backlog.monotonic
    monkeypatch.setattr(backlog, "monotonic", lambda: real() + MAX_WAIT_SECONDS + 0.5)
    flooded.begin(20)
    await until(lambda: flooded.counted("drops").get(DropReason.WAITED_TOO_LONG, 0) == 20)
    assert flooded.counted("answers") == {}


async def test_unknown_client_takes_no_place(flooded: Flooded) -> None:
    """It gets silence, with its reason."""
    with connect_udp("127.0.0.1", flooded.port, source="127.0.0.3") as stranger:
        stranger.send(sign_request(Code.ACCESS_REQUEST, 1, bytes(16), NAME + EAP, KEYED))
        await until(lambda: flooded.counted("drops") == {DropReason.UNKNOWN_CLIENT: 1})


async def test_stop_works_off_what_has_come(flooded: Flooded) -> None:
    """More than a slice was read before the stop: all of it is answered."""
    flooded.begin(5 * SLICE)
    await until(lambda: bool(flooded.counted("answers")))
    await flooded.service.stop(5.0)
    assert len(flooded.answers()) == 5 * SLICE
