"""The home server's RADIUS/TLS: who comes in by certificate, and whom to believe now.

Only one that stands alone in a library's network has any: behind a proxy of its own node there is nothing to protect.
What it shows and whom it believes come with each snapshot, and what stands is judged again then: a connection whose
certificate was revoked, whose anchor is gone or whose name is nobody's any more ends at once.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from socket import socket
from time import monotonic, time
from typing import Final, Protocol

from federation.snapshot import RADSEC_SECRET, PeerTrust
from radius.errors import BREAKS_STREAM, DropReason
from radius.exchange.edges import NONCE_OCTETS, ServerEdge
from radius.home.clients import Peer, Peers
from radius.transport.tls.connection import Closing, TlsConnection, one_by_one
from radius.transport.tls.contexts import Credentials, Trust, is_believed
from radius.transport.tls.identity import PeerIdentity
from radius.transport.tls.listener import Arrivals, TlsListener
from radius.transport.tls.versions import RadiusVersion
from radius.wire.authenticators import KeyedSecret

CHECK_SECONDS: Final = 1.0


class Receive(Protocol):
    """Takes packets; see `HomeService.receive`."""

    def __call__(
        self,
        octets: bytes,
        peer: Peer,
        source: Hashable,
        send: Callable[[bytes], None],
        now: float,
        *,
        requires_errors: bool,
    ) -> DropReason | None:
        """Take one packet of a client that is known."""
        ...


_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Client:
    """Who is at the other end of a connection, and by which trust it came in."""

    peer: Peer
    trust: Trust
    number: int  # of the connection: what its requests come from, and no other's
    edge: ServerEdge | None  # over RADIUS/1.1


class Streams:
    """Every RADIUS/TLS connection of one home server."""

    def __init__(self, sockets: Sequence[socket], receive: Receive) -> None:
        """`receive` takes packet, client, where it came from, the way back, and the time; see `HomeService.receive`.

        Who made the sockets closes them.
        """
        self._receive = receive
        self._has_sockets = bool(sockets)
        self._trust: Trust | None = None
        self._peers = Peers(())
        self._clients: dict[TlsConnection, _Client] = {}
        self._made = 0
        self._listener = TlsListener(
            sockets, Arrivals(self._is_client, self._take_client, one_by_one(self._take), self._lose)
        )
        self._opening: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_running = False

    def prepare(self, trust: PeerTrust | None) -> Trust | None:
        """What that trust comes to; the same object while it is the same.

        Raises:
            ValueError: a certificate, a key or a list can not be read.
        """
        if trust is None or not self._has_sockets:
            return None
        credentials = Credentials(
            trust.certificate_chain_pem,
            trust.private_key_pem,
            trust.anchors_pem,
            trust.revoked_serials,
            trust.revocation_lists_pem,
        )
        if self._trust is not None and self._trust.credentials == credentials:
            return self._trust
        return Trust(credentials)

    def swap(self, trust: Trust | None, peers: Peers) -> None:
        """This is believed now, and these may ask."""
        self._trust = trust
        self._peers = peers
        for connection, client in list(self._clients.items()):
            peer = self._find(connection.identity)
            if peer is None or not is_believed(trust, connection.chain, connection.identity, client.trust):
                connection.close(Closing.NOT_TRUSTED)
            else:
                client.peer = peer
        self._open()

    def start(self) -> None:
        """Connections are taken from now on, in the running loop, as soon as there is trust."""
        self._is_running = True
        self._check()
        self._open()

    async def stop(self) -> None:
        """Nothing new comes in."""
        self._is_running = False
        self._listener.shut()
        if self._opening is not None:
            self._opening.cancel()
            with suppress(asyncio.CancelledError):
                await self._opening

    def close(self) -> None:
        """Every connection is over, in order: what waits goes out."""
        if self._timer is not None:
            self._timer.cancel()
        self._listener.close()

    def counters(self) -> dict[str, object]:
        """What a status report tells of connections."""
        return {
            "handshakes": self._listener.handshakes,
            "refused": dict(self._listener.refusals),
            "connections": len(self._clients),
        }

    def look(self, now: float, wall_clock: float) -> None:
        """End what is over its time; done each second."""
        self._listener.check(now, wall_clock)

    def _check(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(CHECK_SECONDS, self._check)
        self.look(monotonic(), time())

    def _open(self) -> None:
        if self._is_running and self._trust is not None:
            listening = self._listen(self._trust)
            self._opening = asyncio.get_running_loop().create_task(listening, name="radius/tls listener")

    async def _listen(self, trust: Trust) -> None:
        try:
            await self._listener.open(trust)
        except OSError as error:
            _log.error("radsec_not_listening", extra={"error": str(error)})

    # What the listener asks and tells.

    def _find(self, identity: PeerIdentity | None) -> Peer | None:
        if identity is None:
            return None
        return self._peers.find_by_certificate((*identity.names, *identity.addresses, *identity.nai_realms))

    def _is_client(self, identity: PeerIdentity) -> bool:
        return self._find(identity) is not None

    def _take_client(self, connection: TlsConnection) -> bool:
        peer, met = self._find(connection.identity), self._listener.trust_of(connection)
        # Both may have changed during its handshake.
        if (
            peer is None
            or self._trust is None
            or not is_believed(self._trust, connection.chain, connection.identity, met)
        ):
            return False
        self._made += 1
        is_1_1 = connection.version is RadiusVersion.V1_1
        edge = ServerEdge(KeyedSecret(RADSEC_SECRET), os.urandom(NONCE_OCTETS)) if is_1_1 else None
        self._clients[connection] = _Client(peer, self._trust, self._made, edge)
        return True

    def _take(self, connection: TlsConnection, octets: bytes, now: float) -> DropReason | None:
        client = self._clients.get(connection)
        if client is None:
            return None

        edge, source = client.edge, 0
        if edge is not None:
            received = edge.receive(octets, now)
            if isinstance(received, DropReason):
                return received if received in BREAKS_STREAM else None
            source, octets = received

        def send(answer: bytes) -> None:
            travelling = answer if edge is None else edge.answer(source, answer)
            if isinstance(travelling, bytes):
                connection.send(travelling)  # one that has ended since takes nothing

        place = ("tls", client.number, source)
        reason = self._receive(octets, client.peer, place, send, now, requires_errors=edge is not None)
        return reason if reason in BREAKS_STREAM else None

    def _lose(self, connection: TlsConnection) -> None:
        self._clients.pop(connection, None)
