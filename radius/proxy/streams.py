"""The proxy's RADIUS/TLS: clients that come in, connections to home servers, and whom of both to believe now.

Trust comes with each snapshot. What stands is judged again then: a connection whose certificate was revoked, whose
anchor is gone or whose name is nobody's any more ends at once (radiusdtls-bis, "Connection Management").
"""

import asyncio
import logging
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import monotonic, time
from typing import Final, Protocol

from federation.snapshot import HomeServer, PeerTrust
from radius.errors import BREAKS_STREAM, DropReason
from radius.proxy.clients import Clients, ClientState
from radius.proxy.engine import Engine
from radius.proxy.ports import Address, Stream, StreamOwner
from radius.transport.tls.connection import Closing, TlsConnection
from radius.transport.tls.contexts import Credentials, Trust, is_believed
from radius.transport.tls.identity import PeerIdentity, ServerName
from radius.transport.tls.link import Link, Target
from radius.transport.tls.listener import Arrivals, TlsListener

CHECK_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class Net(Protocol):
    """What stands under each call into the engine."""

    def catch(self, error: Exception, /) -> None:
        """A bug was met: it is counted, and told."""
        ...

    def keep_time(self) -> None:
        """The engine's timer is armed for its next deadline."""
        ...


class Streams:
    """Every RADIUS/TLS connection of one proxy worker."""

    def __init__(self, sockets: Sequence[socket.socket], net: Net) -> None:
        """`net` is what stands under each call into the engine."""
        self.net = net
        self.trust: Trust | None = None
        self._engine: Engine | None = None
        self._links: dict[Link, _HomeStream] = {}
        self._clients: dict[TlsConnection, _ClientStream] = {}
        self._servers: Mapping[str, HomeServer] = {}
        self._listener = TlsListener(
            sockets, Arrivals(self._is_client, self._take_client, self._take_request, self._lose_client)
        )
        self._opening: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_running = False

    def attach(self, engine: Engine) -> None:
        """Packets go to that engine."""
        self._engine = engine

    def start(self) -> None:
        """Connections are made and taken from now on, in the running loop, as soon as there is trust."""
        self._is_running = True
        self._check()
        self._open()

    def prepare(self, trust: PeerTrust | None) -> Trust | None:
        """What that trust comes to; the same object while it is the same.

        Raises:
            ValueError: a certificate, a key or a list can not be read.
        """
        if trust is None:
            return None
        credentials = Credentials(
            trust.certificate_chain_pem,
            trust.private_key_pem,
            trust.anchors_pem,
            trust.revoked_serials,
            trust.revocation_lists_pem,
        )
        if self.trust is not None and self.trust.credentials == credentials:
            return self.trust
        return Trust(credentials)

    def swap(self, trust: Trust | None, servers: Mapping[str, HomeServer]) -> None:
        """This is believed now, and these are the home servers; the engine has its clients already."""
        earlier, self.trust = self.trust, trust
        self._servers = servers
        self._judge_again()
        if trust is not None and earlier is not None and trust.credentials.chain_pem != earlier.credentials.chain_pem:
            for link in self._links:
                link.renew()  # peers are to see the new certificate, not to lose anything by it
        self._open()

    async def stop(self) -> None:
        """Nothing new comes in."""
        self._listener.shut()
        if self._opening is not None:
            self._opening.cancel()
            with suppress(asyncio.CancelledError):
                await self._opening

    def close(self) -> None:
        """Every connection is over, in order."""
        self._is_running = False
        if self._timer is not None:
            self._timer.cancel()
        self._listener.close()
        for link in list(self._links):
            link.close()

    def open_stream(self, owner: StreamOwner) -> Stream | None:
        """A connection to a home server, dialled from now on."""
        if not self._is_running:
            return None
        stream = _HomeStream(self, owner)
        self._links[stream.link] = stream
        stream.link.start()
        return stream

    def counters(self) -> dict[str, object]:
        """What a status report tells of connections, and of each peer that has one."""
        return {
            "tls_handshakes": self._listener.handshakes,
            "tls_refused": dict(self._listener.refusals),
            "tls_connections": len(self._clients),
            "tls_links": len(self._links),
            "tls_links_up": sum(link.is_up for link in self._links),
        }

    def peers(self) -> dict[str, dict[str, object]]:
        """For each peer with a connection: which certificate it shows, and which of ours it has accepted."""
        seen: dict[str, dict[str, object]] = {}
        now = time()
        standing = [(client.state.key, client.shown) for client in self._clients.values()]
        standing += [(stream.owner.server.key, stream.shown) for link, stream in self._links.items() if link.is_up]
        for key, shown in standing:
            before = seen.get(key, {"connections": 0})["connections"]
            seen[key] = {**shown, "connections": int(str(before)) + 1, "seen_at": now}
        return seen

    # Clients.

    def _find_client(self, identity: PeerIdentity) -> ClientState | None:
        clients: Clients | None = self._engine.clients if self._engine is not None else None
        if clients is None:
            return None
        for name in (*identity.names, *identity.addresses, *identity.nai_realms):
            state = clients.by_name.get(name)
            if state is not None:
                return state
        return None

    def _is_client(self, identity: PeerIdentity) -> bool:
        return self._find_client(identity) is not None

    def _take_client(self, connection: TlsConnection) -> bool:
        identity, met = connection.identity, self._listener.trust_of(connection)
        state = self._find_client(identity) if identity is not None else None
        # Both may have changed during its handshake.
        if state is None or self.trust is None or not is_believed(self.trust, connection.chain, identity, met):
            return False
        self._clients[connection] = _ClientStream(connection, state, self.trust)
        for link, stream in self._links.items():  # a library that comes in has restarted, often enough
            if not link.is_up and stream.owner.server.library == state.library:
                link.hurry()
        return True

    def _take_request(self, connection: TlsConnection, octets: bytes, now: float) -> DropReason | None:
        client = self._clients.get(connection)
        if client is None or self._engine is None:
            return None
        try:
            verdict = self._engine.receive_from(client.state, client, octets, client.source, now)
        except Exception as error:  # noqa: BLE001 - the top of the loop's callbacks: a bug costs one packet
            self.net.catch(error)
            verdict = None
        self.net.keep_time()
        return verdict if verdict in BREAKS_STREAM else None

    def _lose_client(self, connection: TlsConnection) -> None:
        self._clients.pop(connection, None)

    # Judging, and the time.

    def _judge_again(self) -> None:
        trust = self.trust
        for connection, client in list(self._clients.items()):
            identity = connection.identity
            state = self._find_client(identity) if identity is not None else None
            if state is None or not is_believed(trust, connection.chain, identity, client.trust):
                connection.close(Closing.NOT_TRUSTED)
            else:
                client.state = state
        for link in list(self._links):
            connection = link.connection
            link.target = self.target_of(self._links[link].owner.server)
            if connection is not None and connection.identity is not None:
                is_right = link.target.name.matches(connection.identity)
                if not is_right or not is_believed(trust, connection.chain, connection.identity, link.trust):
                    link.restart(Closing.NOT_TRUSTED)

    def target_of(self, server: HomeServer) -> Target:
        """Where that home server is, and who it has to be."""
        realms = self._servers.get(server.key, server).realms
        name = ServerName(server.host, frozenset(realms))
        return Target(server.key, server.host, server.port, name)

    def forget(self, link: Link) -> None:
        """It is closed."""
        self._links.pop(link, None)

    def _open(self) -> None:
        if self._is_running and self.trust is not None and self._engine is not None:
            self._engine.forwarding.dial(monotonic())
            trust = self.trust
            self._opening = asyncio.get_running_loop().create_task(self._listen(trust), name="radius/tls listener")

    async def _listen(self, trust: Trust) -> None:
        try:
            await self._listener.open(trust)
        except OSError as error:
            _log.error("radsec_not_listening", extra={"error": str(error)})

    def _check(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(CHECK_SECONDS, self._check)
        self.look(monotonic(), time())

    def look(self, now: float, wall_clock: float) -> None:
        """End what is over its time; done each second."""
        self._listener.check(now, wall_clock)
        for link in list(self._links):
            link.check(now, wall_clock)


class _ClientStream:
    """One client's connection, as the engine sees it: where its requests come from and its answers go."""

    __slots__ = ("connection", "is_accounting", "shown", "source", "state", "trust")

    def __init__(self, connection: TlsConnection, state: ClientState, trust: Trust) -> None:
        self.connection = connection
        self.state = state
        self.trust = trust
        self.shown = _describe("client", connection, trust)
        self.is_accounting = False
        self.source: Address = connection.address

    @property
    def is_closed(self) -> bool:
        return self.connection.is_closed

    def send(self, octets: bytes, _address: Address, /) -> bool:
        return self.connection.send(octets)


class _HomeStream:
    """A connection to a home server, as the engine sees it."""

    __slots__ = ("_streams", "link", "owner", "shown")

    def __init__(self, streams: Streams, owner: StreamOwner) -> None:
        self._streams = streams
        self.owner = owner
        self.shown: dict[str, object] = {}
        self.link = Link(streams.target_of(owner.server), self, lambda: streams.trust)

    def send(self, octets: bytes, /) -> bool:
        return self.link.send(octets)

    def restart(self) -> None:
        self.link.restart(Closing.DEADLINE)

    def close(self) -> None:
        self.link.close()
        self._streams.forget(self.link)

    # What the link tells.

    def on_up(self, link: Link, now: float) -> None:
        net = self._streams.net
        if link.connection is not None and link.trust is not None:
            self.shown = _describe("server", link.connection, link.trust)
        try:
            self.owner.resume(self, now)
        except Exception as error:  # noqa: BLE001 - the top of the loop's callbacks
            net.catch(error)
        net.keep_time()

    def on_packet(self, _link: Link, octets: bytes, now: float) -> DropReason | None:
        net = self._streams.net
        try:
            verdict = self.owner.receive(self, octets, now)
        except Exception as error:  # noqa: BLE001 - the top of the loop's callbacks: a bug costs one packet
            net.catch(error)
            verdict = None
        net.keep_time()
        return verdict if verdict in BREAKS_STREAM else None

    def on_down(self, _link: Link, now: float) -> None:
        net = self._streams.net
        try:
            self.owner.interrupt(self, now)
        except Exception as error:  # noqa: BLE001 - the top of the loop's callbacks
            net.catch(error)
        net.keep_time()


def _describe(end: str, connection: TlsConnection, trust: Trust) -> dict[str, object]:
    """What a connection shows of its peer, and which anchor of ours the peer has believed."""
    if not connection.chain or connection.identity is None:
        return {}
    return {
        "end": end,
        "anchor": connection.identity.anchor,
        "presented": connection.identity.fingerprint,
        "serial": connection.identity.serials[0][1],
        "not_after": connection.identity.not_after,
        "own_anchor": trust.own_anchor,
    }
