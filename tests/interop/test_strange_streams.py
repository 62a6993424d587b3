"""Streams and handshakes that no good peer makes, against the real listener and the real dialler.

What is not here: plain RADIUS and HTTP on the TLS port, a thousand half handshakes while patrons sign in, and no
certificate at all (`test_radsec`); all of it is listed in docs/security-tests.md.
"""

import asyncio
import socket
import ssl
import subprocess
import warnings
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from federation.snapshot import PeerTrust
from radius.proxy.service import ProxyService, ProxySockets
from radius.transport.udp import bind_udp
from radius.wire.authenticators import sign_request
from radius.wire.codes import AttributeType, Code
from radius.wire.packet import build_attribute
from tests.interop.certificate_shapes import Issued, Issuer, Shape, build_context
from tests.interop.strange_tls import SECONDS, STATUS_SERVER, Home, dns, is_answered, keeps, proxy_with, trust_with
from tests.radius.proxy.streams import CLIENT_NAME, HOME_NAME, LOOPBACK, OWN_NAME, RADSEC, check_all, until
from tests.radius.proxy.world import ACCESS_POINT, AP, access_request, make_snapshot
from tests.radius.transport.tls.members import nai_realm
from tests.support.processes import require_program

REALM = "home.example"
ANSWER_OCTETS = 38  # an Access-Accept with Message-Authenticator alone
CLIENT, SERVER = ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLS_SERVER
OpenStream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Place:
    """A proxy, and what a member needs to come in."""

    service: ProxyService
    port: int
    member: Issued
    anchors_pem: bytes
    folder: Path

    def context(self) -> ssl.SSLContext:
        """The member's own, good in every way."""
        return build_context(CLIENT, self.member, self.anchors_pem, self.folder)

    async def connect(self, octets: bytes = b"") -> OpenStream:
        """A connection of the member's, with these octets sent."""
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(LOOPBACK, self.port, ssl=self.context())
            writer.write(octets)
        await until(lambda: self.service.streams.counters()["tls_connections"] == 1)
        return reader, writer

    async def is_well(self) -> bool:
        """Whether the member is served on another connection."""
        return await is_answered(self.port, self.context())


@pytest.fixture(scope="module")
def authority() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def own(authority: Issuer) -> Issued:
    return authority.issue(Shape(dns(OWN_NAME)))


@pytest.fixture(scope="module")
def trust(authority: Issuer, own: Issued) -> PeerTrust:
    return trust_with(authority, own)


@pytest.fixture
async def place(authority: Issuer, trust: PeerTrust, tmp_path: Path) -> AsyncGenerator[Place]:
    async with proxy_with(trust) as (service, port):
        yield Place(service, port, authority.issue(Shape(dns(CLIENT_NAME))), authority.pem, tmp_path)


async def read_to_end(stream: OpenStream) -> bytes:
    """All that still comes; the connection has to end."""
    reader, writer = stream
    received = b""
    async with asyncio.timeout(SECONDS):
        with suppress(ssl.SSLError, ConnectionError):
            while octets := await reader.read(4096):
                received += octets
    writer.transport.abort()
    return received


class TestStreams:
    async def test_two_packets_in_one_record(self, place: Place) -> None:
        """Each is answered: a record is no packet (RFC 6614 §2.5, RFC 6613 §2.6.4)."""
        reader, writer = await place.connect(
            STATUS_SERVER + sign_request(Code.STATUS_SERVER, 4, bytes(16), b"", RADSEC)
        )
        async with asyncio.timeout(SECONDS):
            await reader.readexactly(2 * ANSWER_OCTETS)
        writer.transport.abort()

    async def test_one_packet_over_forty_records(self, place: Place) -> None:
        """It is put together, however small the pieces."""
        name = build_attribute(AttributeType.NAS_IDENTIFIER, bytes(42))
        packet = sign_request(Code.STATUS_SERVER, 4, bytes(16), name, RADSEC)
        reader, writer = await place.connect()
        records = [packet[at : at + 2] for at in range(0, len(packet), 2)]
        assert len(records) >= 40
        for record in records:
            writer.write(record)
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(SECONDS):
            answer = await reader.readexactly(ANSWER_OCTETS)
        assert answer[:2] == bytes((Code.ACCESS_ACCEPT, 4))
        writer.transport.abort()

    @pytest.mark.parametrize(
        "garbage", [b"\xff" * 64, bytes(64), b"GET / HTTP/1.1\r\n\r\n"], ids=["ones", "zeros", "http"]
    )
    async def test_garbage_behind_a_packet_ends_the_connection(self, place: Place, garbage: bytes) -> None:
        """Nothing behind it can be found again, and nobody else is hurt (RFC 6613 §2.6.4)."""
        stream = await place.connect(STATUS_SERVER)
        async with asyncio.timeout(SECONDS):
            await stream[0].readexactly(ANSWER_OCTETS)
        stream[1].write(STATUS_SERVER + garbage)
        assert len(await read_to_end(stream)) in {0, ANSWER_OCTETS}
        assert await place.is_well()

    async def test_handshake_then_silence(self, place: Place) -> None:
        """Who sends no first packet within 30 s is cut off."""
        stream = await place.connect()
        check_all(place.service, 29)
        assert place.service.streams.counters()["tls_connections"] == 1
        check_all(place.service, 31)
        assert await read_to_end(stream) == b""
        assert place.service.streams.counters()["tls_connections"] == 0

    async def test_length_of_4096_then_nothing(self, place: Place) -> None:
        """A packet that is announced has to be there ten seconds after its first octet."""
        stream = await place.connect(b"\x01\x07" + (4096).to_bytes(2) + bytes(100))
        await asyncio.sleep(0.1)  # until it is there
        check_all(place.service, 9)
        assert place.service.streams.counters()["tls_connections"] == 1
        check_all(place.service, 11)
        assert await read_to_end(stream) == b""

    async def test_an_octet_now_and_then_buys_no_time(self, place: Place) -> None:
        """Each octet is in time for the one before, and the packet is late all the same."""
        reader, writer = await place.connect(STATUS_SERVER[:1])
        for number in range(1, 4):
            await asyncio.sleep(0.1)
            check_all(place.service, 9)
            assert place.service.streams.counters()["tls_connections"] == 1
            writer.write(STATUS_SERVER[number : number + 1])
        await asyncio.sleep(0.1)
        check_all(place.service, 10.2)  # that after the first octet, less than 10 after the last
        assert await read_to_end((reader, writer)) == b""

    async def test_client_that_never_reads(self, place: Place) -> None:
        """Its answers fill a bounded queue; then it is cut off, and others are served all the while."""
        flood = asyncio.create_task(asyncio.to_thread(self.flood, place))
        assert await place.is_well()
        async with asyncio.timeout(60):
            assert await flood > 256
        assert place.service.streams.counters()["tls_connections"] == 0
        assert await place.is_well()

    def flood(self, place: Place) -> int:
        """Requests whose refusals are large, until the proxy hangs up; returns how many were sent."""
        states = b"".join(build_attribute(AttributeType.PROXY_STATE, bytes(250)) for _ in range(14))
        with socket.socket() as plain:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plain.connect((LOOPBACK, place.port))
            plain.settimeout(SECONDS)
            with place.context().wrap_socket(plain) as tls:
                for number in range(20_000):
                    request = access_request(
                        states,
                        name=b"nobody@nowhere.example",
                        identifier=number % 256,
                        authenticator=number.to_bytes(16),
                        keyed=RADSEC,
                    )
                    try:
                        tls.sendall(request)
                    except (ssl.SSLError, ConnectionError):
                        return number
        return -1


class TestOtherTransport:
    async def test_tls_on_the_udp_port(self) -> None:
        """A ClientHello in a datagram is no RADIUS: silence, counted, and the next packet is answered."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.SSLContext(CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with suppress(ssl.SSLWantReadError):
            context.wrap_bio(incoming, outgoing).do_handshake()
        hello = outgoing.read()
        assert hello[:2] == b"\x16\x03"
        bound, client = bind_udp(LOOPBACK, 0), bind_udp(LOOPBACK, 0)
        service = ProxyService(ProxySockets([bound], [], []), loop_key=b"k" * 32)
        service.start()
        try:
            service.swap(make_snapshot(clients=(replace(ACCESS_POINT, networks=(ip_network("127.0.0.1/32"),)),)))
            loop = asyncio.get_running_loop()
            for octets in (hello, sign_request(Code.STATUS_SERVER, 9, bytes(16), b"", AP)):
                await loop.sock_sendto(client, octets, bound.getsockname())
            async with asyncio.timeout(SECONDS):
                answer = await loop.sock_recv(client, 4096)
            assert answer[:2] == bytes((Code.ACCESS_ACCEPT, 9))
            assert sum(service.notices.drops.values()) == 1
        finally:
            await service.stop(0.0)
            for each in (bound, client):
                each.close()


def limit_versions(highest: ssl.TLSVersion) -> Callable[[ssl.SSLContext], None]:
    def limit(context: ssl.SSLContext) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that it is old is the point
            context.minimum_version = highest
            context.maximum_version = highest

    return limit


def limit_ciphers(ciphers: str) -> Callable[[ssl.SSLContext], None]:
    def limit(context: ssl.SSLContext) -> None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(f"{ciphers}:@SECLEVEL=0")

    return limit


WEAK = {
    "TLS 1.0": (limit_versions(ssl.TLSVersion.TLSv1), False),
    "TLS 1.1": (limit_versions(ssl.TLSVersion.TLSv1_1), False),
    "TLS 1.2": (limit_versions(ssl.TLSVersion.TLSv1_2), True),
    "TLS 1.3": (limit_versions(ssl.TLSVersion.TLSv1_3), True),
    "no encryption": (limit_ciphers("eNULL"), False),
    "anonymous": (limit_ciphers("ADH"), False),
    "no forward secrecy": (limit_ciphers("AES128-GCM-SHA256"), False),
    "CBC": (limit_ciphers("ECDHE-ECDSA-AES128-SHA"), False),
    "AEAD with forward secrecy": (limit_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256"), True),
}


class TestHandshakes:
    @pytest.mark.parametrize(("limit", "is_taken"), WEAK.values(), ids=WEAK)
    async def test_what_a_client_offers(
        self, place: Place, limit: Callable[[ssl.SSLContext], None], *, is_taken: bool
    ) -> None:
        """TLS 1.2 with forward secrecy and AEAD, or 1.3; else an alert (RFC 9325 §3.1.1, §4.2)."""
        context = place.context()
        limit(context)
        assert await is_answered(place.port, context) is is_taken

    @pytest.mark.parametrize(("limit", "is_taken"), WEAK.values(), ids=WEAK)
    async def test_what_a_home_server_offers(
        self,
        authority: Issuer,
        trust: PeerTrust,
        tmp_path: Path,
        limit: Callable[[ssl.SSLContext], None],
        *,
        is_taken: bool,
    ) -> None:
        """The same holds for whom the proxy dials."""
        issued = authority.issue(Shape([nai_realm(REALM), *dns(HOME_NAME)]))
        context = build_context(SERVER, issued, authority.pem, tmp_path)
        limit(context)
        assert await keeps(Home(context), LOOPBACK, trust, REALM) is is_taken

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    async def test_no_session_is_resumed(self, place: Place, version: ssl.TLSVersion) -> None:
        """Whoever comes back shows its certificate again, whatever it kept from before (CVE-2017-9148)."""
        context = place.context()
        context.minimum_version = context.maximum_version = version
        assert await asyncio.to_thread(self.come_twice, place.port, context) is False
        assert place.service.streams.counters()["tls_handshakes"] == 2

    def come_twice(self, port: int, context: ssl.SSLContext) -> bool | None:
        """Whether a second connection was let resume the session of the first."""
        with socket.create_connection((LOOPBACK, port), SECONDS) as plain, context.wrap_socket(plain) as tls:
            tls.sendall(STATUS_SERVER)
            assert tls.recv(4096)  # tickets, if there are any, come before
            session = tls.session
        with (
            socket.create_connection((LOOPBACK, port), SECONDS) as plain,
            context.wrap_socket(plain, session=session) as tls,
        ):
            tls.sendall(STATUS_SERVER)
            assert tls.recv(4096)
            return tls.session_reused

    @pytest.mark.interop
    async def test_early_data_is_not_taken(self, place: Place) -> None:
        """A packet in front of the handshake could be replayed: no ticket allows it (RFC 8446 §8, RFC 9325 §3.4)."""
        packet, session = place.folder / "packet", place.folder / "session.pem"
        packet.write_bytes(STATUS_SERVER)
        first = await self.knock(place, "-tls1_3", "-sess_out", session, asks=STATUS_SERVER)
        assert "New, TLSv1.3" in first
        assert session.exists()
        second = await self.knock(place, "-tls1_3", "-sess_in", session, "-early_data", packet)
        assert "Early data was not sent" in second, second[-2000:]
        assert "New, TLSv1.3" in second

    @pytest.mark.interop
    async def test_renegotiation_is_refused(self, place: Place) -> None:
        """A client that asks for another handshake on its TLS 1.2 connection gets none (RFC 9325 §3.5)."""
        output = await self.knock(place, "-tls1_2", says=b"R\n")  # s_client(1): renegotiate
        assert "RENEGOTIATING" in output
        assert "no renegotiation" in output, output[-2000:]
        assert place.service.streams.counters()["tls_handshakes"] == 1
        assert await place.is_well()

    async def knock(self, place: Place, *options: str | Path, asks: bytes = b"", says: bytes = b"") -> str:
        """What `openssl s_client` prints of a connection of the member's; it is told something, and then to end.

        What it `asks` is answered by then.
        """
        before = place.service.streams.counters()["tls_handshakes"]
        process = await asyncio.to_thread(start_openssl, place, *options)
        try:
            await until(lambda: place.service.streams.counters()["tls_handshakes"] != before, SECONDS)
            if asks:
                assert process.stdin is not None
                process.stdin.write(asks)
                process.stdin.flush()
            await asyncio.sleep(0.3)  # until it has taken what comes with the handshake
        finally:
            output, _ = await asyncio.to_thread(process.communicate, says, SECONDS)
        return output.decode(errors="replace")


def start_openssl(place: Place, *options: str | Path) -> subprocess.Popen[bytes]:
    chain, key = place.member.save(place.folder)
    return subprocess.Popen(
        [
            require_program("openssl", "openssl"),
            *("s_client", "-connect", f"{LOOPBACK}:{place.port}", "-cert", chain, "-key", key),
            *options,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
