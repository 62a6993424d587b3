"""Records after the handshake that no good peer sends, at a real proxy: from OpenSSL's own programs, and by hand.

What is here is that nobody else notices. Each kind of record by itself, towards either end, and the bounds are in
`tests/radius/transport/tls/test_floods.py`.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from federation.snapshot import HomeServer, PeerTrust, Transport
from radius.transport.tls.contexts import Credentials
from tests.interop.certificate_shapes import Issued, Issuer, Shape, build_context
from tests.interop.strange_tls import SECONDS, dns, is_answered, proxy_with, trust_with
from tests.interop.test_strange_streams import CLIENT, REALM
from tests.radius.proxy.streams import CLIENT_NAME, HOME_NAME, LOOPBACK, OWN_NAME, until
from tests.radius.transport.tls.hand_made import (
    HELLO_REQUEST,
    KEY_UPDATE_FOR_BOTH,
    NEW_SESSION_TICKET,
    Content,
    HandMadeEnd,
)
from tests.radius.transport.tls.members import nai_realm
from tests.support.processes import Program, free_port, require_program

RECORDS_AT_ONCE = 400


class Members:
    """An authority, the proxy's trust below it, a home server and a client."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        authority = Issuer()
        self.anchors_pem = authority.pem
        self.trust: PeerTrust = trust_with(authority, authority.issue(Shape(dns(OWN_NAME))))
        self.home = authority.issue(Shape([nai_realm(REALM), *dns(HOME_NAME)]))
        self.client = authority.issue(Shape(dns(CLIENT_NAME)))
        (folder / "anchors.pem").write_bytes(authority.pem)

    def server(self, port: int) -> HomeServer:
        return HomeServer("home/tls", "home", LOOPBACK, port, Transport.TLS, realms=(REALM,))

    def credentials(self, issued: Issued) -> Credentials:
        return Credentials(issued.chain_pem, issued.key_pem, self.anchors_pem)

    async def is_served(self, port: int) -> bool:
        """Whether the client is, at a proxy's port."""
        return await is_answered(port, build_context(CLIENT, self.client, self.anchors_pem, self.folder))


@pytest.fixture
def members(tmp_path: Path) -> Members:
    return Members(tmp_path)


def start_s_server(members: Members, port: int, *options: str) -> Program:
    """OpenSSL's server with the home server's certificate, which wants ours; it takes commands."""
    chain, key = members.home.save(members.folder / "home")
    program = Program(
        [
            *(require_program("openssl", "openssl"), "s_server", "-accept", f"{LOOPBACK}:{port}", "-Verify", "2"),
            *("-cert", chain, "-key", key, "-CAfile", members.folder / "anchors.pem", *options),
        ],
        members.folder / "s_server.log",
        takes_input=True,
    )
    return program.wait_ready(lambda: "ACCEPT" in program.output)


# What s_server is told, in which version, what it says of the messages then, and whether it goes on itself.
UPDATED = ">>> TLS 1.3, Handshake [length 0005], KeyUpdate"
COMMANDS = {
    "HelloRequest": ("r", "-tls1_2", "warning no_renegotiation", False),
    "HelloRequest for a certificate": ("R", "-tls1_2", "warning no_renegotiation", False),
    "KeyUpdate": ("k", "-tls1_3", UPDATED, True),
    "KeyUpdate, and ours": ("K", "-tls1_3", UPDATED, True),
    "post-handshake authentication": ("c", "-tls1_3", "extension not received", True),
}


@pytest.mark.interop
class TestOpenssl:
    @pytest.mark.parametrize(("command", "version", "says", "stands"), COMMANDS.values(), ids=COMMANDS)
    async def test_what_a_home_server_asks_for(
        self, members: Members, command: str, version: str, says: str, *, stands: bool
    ) -> None:
        """No second handshake, no second certificate (RFC 9325 §3.5, RFC 8446 §4.6.2); keys change, and all goes on."""
        port = free_port()
        with start_s_server(members, port, version, "-msg") as server:
            async with proxy_with(members.trust, members.server(port)) as (service, own_port):
                await until(lambda: service.streams.counters()["tls_links_up"] == 1, SECONDS)
                server.say(command)
                await until(lambda: says in server.output, SECONDS)
                if not stands:  # OpenSSL gives up a connection when it is told no; it comes again
                    await until(lambda: server.output.count("ClientHello") == 2, SECONDS)
                await asyncio.sleep(0.3)
                assert await members.is_served(own_port)
                assert service.streams.counters()["tls_links_up"] == 1
                assert server.output.count("ClientHello") == 2 - stands

    async def test_client_that_changes_its_keys(self, members: Members) -> None:
        """`openssl s_client` asks for ours too, and its connection stands."""
        chain, key = members.client.save(members.folder / "client")
        async with proxy_with(members.trust) as (service, port):
            arguments = ("s_client", "-connect", f"{LOOPBACK}:{port}", "-cert", chain, "-key", key, "-tls1_3", "-msg")
            program = [require_program("openssl", "openssl"), *arguments]
            with Program(program, members.folder / "s_client.log", takes_input=True) as client:
                await until(lambda: service.streams.counters()["tls_connections"] == 1, SECONDS)
                await until(lambda: "Verify return code" in client.output, SECONDS)
                client.say("K")
                await until(lambda: UPDATED in client.output, SECONDS)
                await asyncio.sleep(0.3)
                assert service.streams.counters()["tls_connections"] == 1
                assert await members.is_served(port)


FLOODS = {
    "KeyUpdate": (KEY_UPDATE_FOR_BOTH, True),
    "HelloRequest": (HELLO_REQUEST, False),
    "tickets": (NEW_SESSION_TICKET, True),
}


class Flooding:
    """A home server that says one thing for ever, and counts how often it was dialled."""

    def __init__(self, members: Members, octets: bytes, *, is_1_3: bool) -> None:
        self.dialled = 0
        self.ended = 0
        self._make = lambda: HandMadeEnd(members.credentials(members.home), is_server=True, is_1_3=is_1_3)
        self._octets = octets

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[int]:
        server = await asyncio.start_server(self._take, LOOPBACK, 0)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.dialled += 1
        end = self._make()
        with suppress(ConnectionError):
            await shake_hands(end, reader, writer)
            await flood(end, self._octets, writer)
        self.ended += 1
        writer.transport.abort()


async def shake_hands(end: HandMadeEnd, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    octets = b""
    while not end.receive(octets):
        writer.write(end.take())
        octets = await reader.read(1 << 16)
    writer.write(end.take())
    end.take_over()


async def flood(end: HandMadeEnd, octets: bytes, writer: asyncio.StreamWriter) -> int:
    """Send these until the other end hangs up, and return how many octets it took."""
    sent = 0
    while not writer.transport.is_closing():
        made = b"".join(end.make(Content.HANDSHAKE, octets) for _ in range(RECORDS_AT_ONCE))
        try:
            writer.write(made)
            await writer.drain()
        except ConnectionError:
            break
        sent += len(made)
        await asyncio.sleep(0)  # until the other end, in this loop, has had its turn
    return sent


class TestFloods:
    @pytest.mark.parametrize(("octets", "is_1_3"), FLOODS.values(), ids=FLOODS)
    async def test_home_server_that_floods(self, members: Members, octets: bytes, *, is_1_3: bool) -> None:
        """Its connection ends, it is dialled later and later, and clients are served all the while."""
        home = Flooding(members, octets, is_1_3=is_1_3)
        async with (
            home.listening() as port,
            proxy_with(members.trust, members.server(port)) as (_, own_port),
        ):
            await until(lambda: home.ended >= 1, SECONDS)
            assert await members.is_served(own_port)
            await until(lambda: home.ended >= 5, SECONDS)
            dialled = home.dialled
            assert await members.is_served(own_port)
            await asyncio.sleep(0.4)  # the pause after a fifth failure is 0.8 s and more
            assert home.dialled == dialled

    async def test_client_that_floods(self, members: Members) -> None:
        """Its connection ends, and others are served."""
        async with proxy_with(members.trust) as (service, port):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            end = HandMadeEnd(members.credentials(members.client), is_server=False, is_1_3=True)
            await shake_hands(end, reader, writer)
            async with asyncio.timeout(SECONDS):
                assert await flood(end, KEY_UPDATE_FOR_BOTH, writer) < 8_000_000  # most of it in buffers of the kernel
            writer.transport.abort()
            assert service.streams.counters()["tls_connections"] == 0
            assert await members.is_served(port)
