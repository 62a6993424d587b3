"""A chain of ours is tried on home servers before anybody depends on it: a connection, Status-Server, and its end.

Nothing that stands is touched. In TLS 1.3 our end of the handshake is done before the server has looked at our
certificate, so that a handshake alone proves nothing: an answer does, or a connection that is kept.
"""

import asyncio
import os
import socket
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from time import time
from typing import Final

from federation.snapshot import RADSEC_SECRET, HomeServer, PeerTrust
from radius.errors import DropReason
from radius.transport.tls.connection import Closing, Deadlines, Events, TlsConnection, one_by_one
from radius.transport.tls.contexts import Trust
from radius.transport.tls.identity import PeerIdentity, ServerName
from radius.transport.tls.material import admits, read_trust
from radius.transport.tls.versions import RadiusVersion
from radius.wire.authenticators import KeyedSecret, decide_response_authenticity, sign_request
from radius.wire.codes import EXPECTED_RESPONSES, Code
from radius.wire.packet import AUTHENTICATOR_OCTETS, Packet, parse_packet

CONNECT_SECONDS: Final = 5.0  # for a name, a TCP connection and a handshake
ANSWER_SECONDS: Final = 3.0  # to Status-Server; whoever refuses a certificate does so in one round trip
AT_ONCE: Final = 32


class Verdict(StrEnum):
    """What a server made of the chain."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # it could not be asked, or is not the one that it should be


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one connection."""

    peer: str  # the key of the home server
    verdict: Verdict
    detail: str
    own_anchor: str  # SHA-256 of the root of the chain that was tried
    # Of the server's certificate, where it was verified.
    anchor: str = ""
    serial: str = ""
    not_after: datetime | None = None


async def try_chain(material: PeerTrust, servers: Collection[HomeServer]) -> list[Trial]:
    """What each server makes of our chain in `material`, in their order; nothing is raised for what a server does.

    Raises:
        ValueError: a certificate, a key or a list can not be read.
    """
    trust = read_trust(material, None, frozenset({RadiusVersion.V1_0}))
    assert trust is not None  # there is material
    places = asyncio.Semaphore(AT_ONCE)

    async def take_turn(server: HomeServer) -> Trial:
        async with places:
            return await _Attempt(trust, material, server).run()

    return await asyncio.gather(*map(take_turn, servers))


class _Attempt:
    """One connection to one server."""

    def __init__(self, trust: Trust, material: PeerTrust, server: HomeServer) -> None:
        self._trust = trust
        self._material = material
        self._server = server
        self._name = ServerName(server.host, frozenset(server.realms))
        self._keyed = KeyedSecret(RADSEC_SECRET)
        self._authenticator = os.urandom(AUTHENTICATOR_OCTETS)
        self._ready = asyncio.Event()
        self._ended = asyncio.Event()
        self._is_answered = False
        self._events = Events(lambda _: self._ready.set(), one_by_one(self._take), self._close)

    async def run(self) -> Trial:
        connection = TlsConnection(self._trust.dial(self._name.matches, self._name.server_name), self._events, _LIMITS)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._connect(connection)
                await self._ready.wait()
        except (OSError, TimeoutError) as error:
            connection.abort(Closing.DEADLINE)
            return self._tell(Verdict.UNKNOWN, f"there is no connection: {str(error) or 'time-out'}")
        identity = connection.identity
        if identity is None:
            # An alert is the server's word; without one it is we who do not believe it.
            verdict = Verdict.REFUSED if "alert" in connection.failure else Verdict.UNKNOWN
            return self._tell(verdict, connection.failure or "it ended the handshake")
        if not admits(self._material, identity, self._server.library or "", time()):
            connection.abort(Closing.NOT_TRUSTED)
            return self._tell(Verdict.UNKNOWN, "the authority of its certificate may not speak for the library")
        connection.send(sign_request(Code.STATUS_SERVER, 0, self._authenticator, b"", self._keyed))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._ended.wait()
        except TimeoutError:
            pass
        failure = connection.failure
        is_kept = not connection.is_closed
        connection.close()
        if self._is_answered:
            return self._tell(Verdict.ACCEPTED, "it answered Status-Server", identity)
        if is_kept:
            return self._tell(Verdict.ACCEPTED, "it kept the connection; Status-Server was not answered", identity)
        return self._tell(Verdict.REFUSED, f"it ended the connection: {failure or 'without a word'}", identity)

    async def _connect(self, connection: TlsConnection) -> None:
        loop = asyncio.get_running_loop()
        host, port = self._server.host, self._server.port
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        await loop.create_connection(lambda: connection, str(found[0][4][0]), port)

    def _take(self, _connection: TlsConnection, octets: bytes, _now: float) -> DropReason | None:
        packet = parse_packet(octets)
        if isinstance(packet, Packet) and packet.code in EXPECTED_RESPONSES[Code.STATUS_SERVER]:
            reason = decide_response_authenticity(
                packet, self._keyed, self._authenticator, requires_message_authenticator=False
            )
            self._is_answered = reason is None
        self._ended.set()
        return None

    def _close(self, _connection: TlsConnection, _reason: Closing) -> None:
        self._ready.set()
        self._ended.set()

    def _tell(self, verdict: Verdict, detail: str, identity: PeerIdentity | None = None) -> Trial:
        key, own_anchor = self._server.key, self._trust.own_anchor
        if identity is None:
            return Trial(key, verdict, detail, own_anchor)
        end = datetime.fromtimestamp(identity.not_after, UTC)
        return Trial(key, verdict, detail, own_anchor, identity.anchor, identity.serials[0][1], end)


_LIMITS: Final = Deadlines(first_packet=None, idle=None)
