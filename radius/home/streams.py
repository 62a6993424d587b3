"""The home server's RADIUS/TLS: who comes in by certificate, and whom to believe now.

Only one that stands alone in a library's network has any: behind a proxy of its own node there is nothing to protect.
What it shows and whom it believes come with each snapshot, and what stands is judged again then: a connection whose
certificate was revoked, whose anchor is gone or whose name is nobody's any more ends at once. When what it shows
changes, connections are made anew within a bound (`radius.transport.tls.turnover`).
"""

import asyncio
import logging
import os
import random
from collections.abc import Callable, Hashable, Iterator, Sequence
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
from radius.transport.tls.contexts import Trust, is_believed
from radius.transport.tls.identity import PeerIdentity
from radius.transport.tls.listener import Arrivals, TlsListener
from radius.transport.tls.material import admits, read_trust
from radius.transport.tls.turnover import Departures
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
    outstanding: int = 0  # requests that wait; one that is ignored stays among them, and costs only patience


class Streams:
    """Every RADIUS/TLS connection of one home server."""

    def __init__(self, sockets: Sequence[socket], receive: Receive) -> None:
        """`receive` takes packet, client, where it came from, the way back, and the time; see `HomeService.receive`.

        Who made the sockets closes them.
        """
        self._receive = receive
        self._has_sockets = bool(sockets)
        self._trust: Trust | None = None
        self._peer_trust: PeerTrust | None = None
        self._peers = Peers(())
        self._clients: dict[TlsConnection, _Client] = {}
        self._made = 0
        self.departures: Departures[TlsConnection] = Departures()
        self._listener = TlsListener(
            sockets, Arrivals(self._is_client, self._take_client, one_by_one(self._take), self._lose)
        )
        self._opening: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_running = False

    @property
    def connections(self) -> tuple[TlsConnection, ...]:
        """Those that clients made, the oldest first."""
        return tuple(self._clients)

    def prepare(self, trust: PeerTrust | None) -> Trust | None:
        """What that trust comes to; the same object while it is the same.

        Raises:
            ValueError: a certificate, a key or a list can not be read.
        """
        return read_trust(trust if self._has_sockets else None, self._trust)

    def swap(self, trust: Trust | None, peer_trust: PeerTrust | None, peers: Peers) -> None:
        """This is believed now, and these may ask; `trust` is what `prepare` made of `peer_trust`."""
        earlier, self._trust = self._trust, trust
        self._peer_trust = peer_trust
        self._peers = peers
        self._judge_again()
        if trust is not None and earlier is not None and not trust.shows_the_same(earlier):
            earlier = [each for each, client in self._clients.items() if not trust.shows_the_same(client.trust)]
            self.departures.begin({each: each.ready_at for each in earlier}, random.random, monotonic())
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
        for connection in self.departures.take_due(self._find_busy, now):
            connection.close(Closing.SUPERSEDED)
        if self._peer_trust is not None and self._peer_trust.foreign_anchors:
            self._judge_again()  # a foreign authority's list may have run out, which no snapshot tells

    def _find_busy(self) -> frozenset[TlsConnection]:
        return frozenset(each for each, client in self._clients.items() if client.outstanding or each.is_mid_packet)

    def _judge_again(self) -> None:
        for connection, client in list(self._clients.items()):
            peer = self._find(connection.identity)
            if peer is None or not is_believed(self._trust, connection.chain, connection.identity, client.trust):
                connection.close(Closing.NOT_TRUSTED)
            else:
                client.peer = peer

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

    def _candidates(self, identity: PeerIdentity) -> Iterator[Peer]:
        return self._peers.find_by_certificate((*identity.names, *identity.addresses, *identity.nai_realms))

    def _find(self, identity: PeerIdentity | None) -> Peer | None:
        """Who a verified chain stands for: one of its names, whose library the chain's anchor may speak for."""
        if identity is None:
            return None
        now = time()
        peers = self._candidates(identity)
        return next((peer for peer in peers if admits(self._peer_trust, identity, peer.library, now)), None)

    def _is_client(self, identity: PeerIdentity) -> bool:
        """Asked inside the handshake, where the anchor is not known yet."""
        return any(self._candidates(identity))

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
        assert met is not None  # it came in through the listener
        self._clients[connection] = _Client(peer, met, self._made, edge)
        if not self._trust.shows_the_same(met):  # the chain changed during its handshake
            self.departures.begin({connection: connection.ready_at}, random.random, monotonic())
        return True

    def _take(self, connection: TlsConnection, octets: bytes, now: float) -> DropReason | None:
        client = self._clients.get(connection)
        if client is None:
            return None

        if self.departures.refuses(connection, now):
            return None  # the peer asks again on its next connection
        edge, source = client.edge, 0
        if edge is not None:
            received = edge.receive(octets, now)
            if isinstance(received, DropReason):
                return received if received in BREAKS_STREAM else None
            source, octets = received

        is_answered = False

        def send(answer: bytes) -> None:
            nonlocal is_answered
            is_answered = True
            client.outstanding -= 1
            travelling = answer if edge is None else edge.answer(source, answer)
            if isinstance(travelling, bytes):
                connection.send(travelling)  # one that has ended since takes nothing

        client.outstanding += 1
        place = ("tls", client.number, source)
        reason = self._receive(octets, client.peer, place, send, now, requires_errors=edge is not None)
        client.outstanding -= reason is not None and not is_answered
        return reason if reason in BREAKS_STREAM else None

    def _lose(self, connection: TlsConnection) -> None:
        self._clients.pop(connection, None)
        self.departures.forget(connection)
