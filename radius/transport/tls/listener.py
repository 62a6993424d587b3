"""Where RADIUS/TLS clients come in: who may knock, how many at once, and what becomes of those who only knock.

A handshake costs a signature before anybody is known, so connections that are not done with it are bounded, for each
address and in all: beyond, the oldest of them goes, those of the same address first. A flood displaces itself.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

from radius.errors import DropReason
from radius.transport.outbox import Waiting
from radius.transport.tls.connection import Closing, Deadlines, Events, TlsConnection
from radius.transport.tls.contexts import Judge, Trust

BACKLOG: Final = 512
REFUSAL_LINES_A_MINUTE: Final = 60

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections there may be."""

    half_open: int = 1024  # in all; an idle handshake holds about 20 KiB
    half_open_per_address: int = 64
    connections: int = 4096
    connections_per_peer: int = 64  # a proxy that opens one for each 256 requests has 16,384 outstanding


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Whom the listener tells, and asks."""

    judge: Judge  # inside the handshake
    on_ready: Callable[[TlsConnection], bool]  # False: it may not stay
    on_packets: Callable[[TlsConnection, list[bytes], float], DropReason | None]
    on_closed: Callable[[TlsConnection], None]  # of those that were ready


class TlsListener:
    """Bound listening sockets, and every connection that came through them."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        arrivals: Arrivals,
        *,
        limits: Limits | None = None,
        deadlines: Deadlines | None = None,
        turn: list[Waiting] | None = None,
    ) -> None:
        """Nothing is accepted before `open`; who made the sockets closes them. For `turn` see `TlsConnection`."""
        self.trust: Trust | None = None
        self.connections: dict[TlsConnection, str] = {}  # ready ones, with the fingerprint of their certificate
        self.handshakes = 0
        self.refusals: dict[str, int] = {}  # by Closing
        self._sockets = sockets
        self._arrivals = arrivals
        self._limits = limits or Limits()
        self._deadlines = deadlines or Deadlines()
        self._events = Events(self._on_ready, arrivals.on_packets, self._on_closed)
        self._turn = turn
        self._half_open: dict[TlsConnection, str] = {}  # the oldest first, with their addresses
        self._half_open_of: dict[str, int] = {}
        self._of_peer: dict[str, int] = {}
        self._servers: list[asyncio.Server] = []
        self._minute_began = 0.0
        self._lines = 0

    async def open(self, trust: Trust) -> None:
        """New connections meet this trust; the first call begins to accept them."""
        is_first = self.trust is None
        self.trust = trust
        if is_first:
            loop = asyncio.get_running_loop()
            for bound in self._sockets:
                self._servers.append(await loop.create_server(self._make, sock=bound.dup(), backlog=BACKLOG))

    def trust_of(self, connection: TlsConnection) -> Trust | None:
        """The trust that a connection's handshake met; there may be another by the time that it is done."""
        return connection.trust if isinstance(connection, _Arriving) else None

    def shut(self) -> None:
        """Nothing new is accepted; what stands goes on."""
        for server in self._servers:
            server.close()
        self._servers.clear()

    def close(self) -> None:
        """Every connection is over, in order."""
        self.shut()
        for connection in (*self._half_open, *self.connections):
            connection.close()

    def check(self, now: float, wall_clock: float) -> None:
        """End what is over its time; to be called about once a second."""
        for connection in (*self._half_open, *self.connections):
            connection.check(now, wall_clock)

    # What connections tell.

    def _make(self) -> TlsConnection:
        assert self.trust is not None  # else nothing would be accepted
        return _Arriving(self.trust, self._arrivals.judge, self._events, self._deadlines, self._on_made, self._turn)

    def _on_made(self, connection: TlsConnection) -> None:
        """A TCP connection stands; somebody else may have to go for it."""
        limits = self._limits
        address = str(connection.address[0]) if connection.address else ""
        if len(self.connections) >= limits.connections:
            connection.abort(Closing.NOT_TRUSTED)
            return
        if self._half_open_of.get(address, 0) >= limits.half_open_per_address:
            self._evict(address)
        elif len(self._half_open) >= limits.half_open:
            self._evict(None)
        self._half_open[connection] = address
        self._half_open_of[address] = self._half_open_of.get(address, 0) + 1

    def _evict(self, address: str | None) -> None:
        """The oldest of that address that has not finished its handshake goes; None: of any address."""
        oldest = next((each for each, its in self._half_open.items() if address in (None, its)), None)
        if oldest is not None:
            oldest.abort(Closing.HANDSHAKE_FAILED)

    def _on_ready(self, connection: TlsConnection) -> None:
        self._forget(connection)
        identity = connection.identity
        assert identity is not None  # it is ready
        peer = identity.fingerprint
        if self._of_peer.get(peer, 0) >= self._limits.connections_per_peer or not self._arrivals.on_ready(connection):
            connection.close(Closing.NOT_TRUSTED)
            return
        self.handshakes += 1
        self.connections[connection] = peer
        self._of_peer[peer] = self._of_peer.get(peer, 0) + 1

    def _on_closed(self, connection: TlsConnection, reason: Closing) -> None:
        peer = self.connections.pop(connection, None)
        if peer is None:
            self._forget(connection)
            self._tell_refusal(connection, reason)
            return
        _count_down(self._of_peer, peer)
        self._arrivals.on_closed(connection)

    def _forget(self, connection: TlsConnection) -> None:
        address = self._half_open.pop(connection, None)
        if address is not None:
            _count_down(self._half_open_of, address)

    def _tell_refusal(self, connection: TlsConnection, reason: Closing) -> None:
        """Count it, and write a line while there were few: anybody can connect."""
        self.refusals[reason.value] = self.refusals.get(reason.value, 0) + 1
        now = monotonic()
        if now - self._minute_began >= 60:
            self._minute_began, self._lines = now, 0
        self._lines += 1
        if self._lines <= REFUSAL_LINES_A_MINUTE:
            address = str(connection.address[0]) if connection.address else ""
            fields = {"address": address, "reason": reason.value, "error": connection.failure}
            _log.info("radsec_refused", extra=fields)


class _Arriving(TlsConnection):
    """A connection that was accepted, which says so before its handshake begins."""

    def __init__(
        self,
        trust: Trust,
        judge: Judge,
        events: Events,
        deadlines: Deadlines,
        on_made: Callable[[TlsConnection], None],
        turn: list[Waiting] | None,
    ) -> None:
        super().__init__(trust.accept(judge), events, deadlines, turn)
        self.trust = trust  # that its handshake meets
        self._on_made = on_made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The TCP connection stands."""
        self.address = tuple(transport.get_extra_info("peername") or ())
        self._on_made(self)
        super().connection_made(transport)


def _count_down(counts: dict[str, int], key: str) -> None:
    left = counts[key] - 1
    if left:
        counts[key] = left
    else:
        del counts[key]
