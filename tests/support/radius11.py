"""A second RADIUS/1.1 (RFC 9765), to judge the first with: a client and a server over the standard library's TLS.

It shares no code with `radius`: the header is `struct`'s, the attributes are pyrad's, with a dictionary in which
nothing is hidden, as §5.1 says. It is strict where the RFC has a MUST: what another implementation may not send is a
`Violation`.
"""

import asyncio
import itertools
import secrets
import ssl
import struct
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

pyrad_packet: Any = import_module("pyrad.packet")  # Any: pyrad has no types
pyrad_dictionary: Any = import_module("pyrad.dictionary")

HEADER = struct.Struct("!BBHL12s")  # §4.1: Code, Reserved-1, Length, Token, Reserved-2
REQUEST_CODES = (1, 4, 12, 40, 43)
SECONDS = 10.0

# Nothing is hidden. A tag is in Tunnel-Password as in Tunnel-Client-Endpoint (§5.1.3).
OPEN_DICTIONARY = """
ATTRIBUTE User-Name 1 string
ATTRIBUTE User-Password 2 octets
ATTRIBUTE CHAP-Password 3 octets
ATTRIBUTE NAS-IP-Address 4 ipaddr
ATTRIBUTE Reply-Message 18 string
ATTRIBUTE State 24 octets
ATTRIBUTE Class 25 octets
ATTRIBUTE Calling-Station-Id 31 string
ATTRIBUTE NAS-Identifier 32 string
ATTRIBUTE Proxy-State 33 octets
ATTRIBUTE Acct-Status-Type 40 integer
ATTRIBUTE Acct-Session-Id 44 string
ATTRIBUTE CHAP-Challenge 60 octets
ATTRIBUTE Tunnel-Password 69 octets has_tag
ATTRIBUTE EAP-Message 79 octets
ATTRIBUTE Error-Cause 101 integer
VENDOR Microsoft 311
BEGIN-VENDOR Microsoft
ATTRIBUTE MS-CHAP-MPPE-Keys 12 octets
ATTRIBUTE MS-MPPE-Send-Key 16 octets
ATTRIBUTE MS-MPPE-Recv-Key 17 octets
END-VENDOR Microsoft
VENDOR Aruba 14823
BEGIN-VENDOR Aruba
ATTRIBUTE Aruba-MPSK-Passphrase 44 octets
END-VENDOR Aruba
"""
DICTIONARY: Any = pyrad_dictionary.Dictionary(StringIO(OPEN_DICTIONARY))

Values = Sequence[tuple[str, object]]


class Violation(AssertionError):  # noqa: N818 - the condition is the name
    """The other implementation did what RFC 9765 says it must not."""


@dataclass(frozen=True, slots=True)
class Message:
    """One packet: its attributes by name are `values[name]`, as pyrad reads them."""

    code: int
    token: int
    values: Any  # Any: pyrad's
    octets: bytes = b""

    def get(self, name: str) -> list[Any]:
        """The values of an attribute; those of Tunnel-Password without their tag."""
        found: list[Any] = self.values.get(name, [])
        return found


def encode(code: int, token: int, values: Values) -> bytes:
    """A packet; reserved octets are zero, and no authenticator of any kind is in it."""
    packet = pyrad_packet.Packet(code=code, id=0, secret=b"none", authenticator=bytes(16), dict=DICTIONARY)
    for name, value in values:
        packet.AddAttribute(name, value)
    body: bytes = packet._PktEncodeAttributes()
    return HEADER.pack(code, 0, HEADER.size + len(body), token, bytes(12)) + body


def decode(octets: bytes) -> Message:
    """What a packet says.

    Raises:
        Violation: it has what a packet of RADIUS/1.1 must not have.
    """
    code, reserved_1, length, token, reserved_2 = HEADER.unpack_from(octets)
    if length != len(octets):
        raise Violation(f"Length {length} of {len(octets)} octets")
    if reserved_1 or any(reserved_2):
        raise Violation("reserved octets are not zero (§4.1)")
    packet = pyrad_packet.Packet(packet=octets, secret=b"none", dict=DICTIONARY)
    if 80 in packet:
        raise Violation("Message-Authenticator was sent (§5.2)")
    if any(value[:1] == b"\4" for value in packet.get(241, [])):
        raise Violation("Original-Packet-Code was sent (§5.5)")
    if any(not 1 <= len(value) <= 128 for value in packet.get(2, [])):
        raise Violation("User-Password has not 1 to 128 octets (§5.1.1)")
    if code == 1 and 3 in packet and 60 not in packet:
        raise Violation("CHAP-Password without CHAP-Challenge (§5.1.2)")
    return Message(code, token, packet, octets)


@dataclass(frozen=True, slots=True)
class Identity:
    """PEM files: who one is, and whom one believes."""

    certificate: Path
    key: Path
    anchors: Path


def build_context(
    identity: Identity,
    *,
    is_server: bool,
    protocols: Sequence[str] = ("radius/1.1", "radius/1.0"),
    most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> ssl.SSLContext:
    """TLS with both certificates; `protocols` empty: no ALPN."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = most
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(identity.anchors)
    context.load_cert_chain(identity.certificate, identity.key)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def note_token(token: int, tokens: set[int]) -> None:
    """The Token is one of those that were used.

    Raises:
        Violation: it was before.
    """
    if token in tokens:
        raise Violation("a Token was used twice on one connection (§4.2.1)")
    tokens.add(token)


async def read_packet(reader: asyncio.StreamReader) -> bytes:
    """The next packet of a stream.

    Raises:
        asyncio.IncompleteReadError: the stream ends.
    """
    start = await reader.readexactly(4)
    return start + await reader.readexactly(int.from_bytes(start[2:]) - 4)


class Client:
    """One connection to a server; many requests may wait at once, and answers come in any order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._tokens = itertools.count(secrets.randbits(32))  # §4.2.1
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._task = asyncio.create_task(self._listen(), name="radius11 client")
        tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
        self.protocol = tls.selected_alpn_protocol()
        self.tls_version = tls.version()
        self.violations: list[Violation] = []
        self.unmatched: list[bytes] = []

    async def ask(self, code: int, values: Values, *, token: int | None = None) -> Message:
        """The answer to a request; `token` instead of the counter's next."""
        token = next(self._tokens) & 0xFFFF_FFFF if token is None else token
        answer = self._waiting[token] = asyncio.get_running_loop().create_future()
        self.write(encode(code, token, values))
        async with asyncio.timeout(SECONDS):
            return await answer

    def write(self, octets: bytes) -> None:
        """Send octets as they are."""
        self._writer.write(octets)

    async def wait_closed(self) -> None:
        """The server closed the connection."""
        async with asyncio.timeout(SECONDS):
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """The connection is over."""
        self._task.cancel()
        self._writer.close()
        await asyncio.wait([self._task])

    async def _listen(self) -> None:
        try:
            while True:
                octets = await read_packet(self._reader)
                try:
                    message = decode(octets)
                except Violation as violation:
                    self.violations.append(violation)
                    continue
                answer = self._waiting.pop(message.token, None)
                if answer is None:
                    self.unmatched.append(octets)
                else:
                    answer.set_result(message)
        except (asyncio.IncompleteReadError, OSError):
            return


@asynccontextmanager
async def connecting(port: int, context: ssl.SSLContext, server_name: str) -> AsyncGenerator[Client]:
    """A client of the server on that port of the loopback."""
    async with asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=server_name)
    client = Client(reader, writer)
    try:
        yield client
    finally:
        await client.close()
    if client.violations:
        raise client.violations[0]


@dataclass(slots=True)
class Server:
    """What a server has seen; `answer` gives code and attributes of the answer, or None for silence."""

    answer: Callable[[Message], tuple[int, Values] | None]
    port: int = 0
    requests: list[Message] = field(default_factory=list[Message])
    protocols: list[str | None] = field(default_factory=list[str | None])
    violations: list[Violation] = field(default_factory=list[Violation])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it ends."""
        tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
        self.protocols.append(tls.selected_alpn_protocol())
        tokens: set[int] = set()
        try:
            while True:
                message = decode(await read_packet(reader))
                note_token(message.token, tokens)
                self.requests.append(message)
                answered = self.answer(message)
                if answered is not None:
                    writer.write(encode(answered[0], message.token, answered[1]))
        except Violation as violation:
            self.violations.append(violation)
        except (asyncio.IncompleteReadError, OSError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def serving(
    answer: Callable[[Message], tuple[int, Values] | None], context: ssl.SSLContext
) -> AsyncGenerator[Server]:
    """A server on a free port of the loopback."""
    server = Server(answer)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
    if server.violations:
        raise server.violations[0]
