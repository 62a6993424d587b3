"""The proxy's RADIUS/TLS: clients that come in, connections to home servers, and whom of both to believe now.

Trust comes with each snapshot. What stands is judged again then: a connection whose certificate was revoked, whose
anchor is gone or whose name is nobody's any more ends at once (radiusdtls-bis, "Connection Management"). When what we
show changes, connections are made anew within a bound (`radius.transport.tls.turnover`).
"""

import asyncio
import logging
import os
import random
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic, time
from typing import Final

from federation.snapshot import Difference, DiscoveryPolicy, HomeServer, PeerTrust
from radius.errors import DropReason
from radius.exchange.edges import NONCE_OCTETS, ServerEdge
from radius.proxy.clients import Clients, ClientState
from radius.proxy.engine import Engine
from radius.proxy.intake import take_each, take_requests
from radius.proxy.ports import Address, Stream, StreamOwner
from radius.proxy.trunks import Net, Trunk, describe_peer
from radius.transport.tls.connection import Closing, TlsConnection
from radius.transport.tls.contexts import Trust, is_believed
from radius.transport.tls.identity import DiscoveredName, PeerIdentity, ServerName, holds_realm
from radius.transport.tls.link import Target
from radius.transport.tls.listener import Arrivals, TlsListener
from radius.transport.tls.material import admits, read_trust
from radius.transport.tls.turnover import Departures, spread_over
from radius.transport.tls.versions import RadiusVersion

CHECK_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class Streams:
    """Every RADIUS/TLS connection of one proxy worker."""

    def __init__(self, sockets: Sequence[socket.socket], net: Net) -> None:
        """`net` is what stands under each call into the engine."""
        self.net = net
        self.trust: Trust | None = None
        self.discovery: DiscoveryPolicy | None = None  # by which servers that the DNS names are judged
        self._judged_by: DiscoveryPolicy | None = None  # those that stand
        self._engine: Engine | None = None
        self._peer_trust: PeerTrust | None = None
        self._trunks: dict[str, list[Trunk]] = {}  # by home server
        self._clients: dict[TlsConnection, _ClientStream] = {}
        self._servers: Mapping[str, HomeServer] = {}
        self.departures: Departures[TlsConnection] = Departures()
        self._listener = TlsListener(
            sockets,
            Arrivals(self._is_client, self._take_client, self._take_requests, self._lose_client),
            turn=net.outboxes,
        )
        self._opening: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_running = False

    @property
    def connections(self) -> tuple[TlsConnection, ...]:
        """Those that clients made, the oldest first."""
        return tuple(self._clients)

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
        return read_trust(trust, self.trust)

    def swap(
        self,
        trust: Trust | None,
        peer_trust: PeerTrust | None,
        servers: Mapping[str, HomeServer],
        difference: Difference | None = None,
    ) -> None:
        """This is believed now, and these are the home servers; the engine has its clients already.

        `trust` is what `prepare` made of `peer_trust`. With a *difference* to what was in force before, nobody looks at
        those whom it is not about.
        """
        earlier, self.trust = self.trust, trust
        is_same = trust is earlier and (peer_trust, self.discovery) == (self._peer_trust, self._judged_by)
        self._peer_trust, self._judged_by = peer_trust, self.discovery
        self._servers = servers
        if is_same and difference is not None and self._is_running:
            if difference.removed_clients or difference.changed_clients:
                self._judge_clients()
            keys = (*(server.key for server in difference.changed_home_servers), *difference.removed_home_servers)
            self._judge_trunks(trunk for key in keys for trunk in self._trunks.get(key, ()))
            self._open(keys)
            return
        self._judge_again()
        if trust is not None and earlier is not None and not trust.shows_the_same(earlier):
            self._turn_over(trust)
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
        for trunk in self._all_trunks():
            trunk.link.close()

    def open_stream(self, owner: StreamOwner) -> Stream | None:
        """A connection to a home server, dialled from now on; or more of one that tells requests apart by Tokens."""
        if not self._is_running:
            return None
        trunks = self._trunks.setdefault(owner.server.key, [])
        for trunk in trunks:
            if trunk.owner is owner and trunk.is_shared:
                return trunk.add()
        trunk = Trunk(self, owner)
        trunks.append(trunk)
        stream = trunk.add()
        trunk.start()
        return stream

    def counters(self) -> dict[str, object]:
        """What a status report tells of connections, and of each peer that has one."""
        return {
            "tls_handshakes": self._listener.handshakes,
            "tls_refused": dict(self._listener.refusals),
            "tls_connections": len(self._clients),
            "tls_links": len(self._all_trunks()),
            "tls_links_up": sum(trunk.link.is_up for trunk in self._all_trunks()),
        }

    def peers(self) -> dict[str, dict[str, object]]:
        """For each peer with a connection: which certificate it shows, and which of ours it has accepted."""
        seen: dict[str, dict[str, object]] = {}
        now = time()
        standing = [(client.state.key, client.shown) for client in self._clients.values()]
        standing += [(trunk.owner.server.key, trunk.shown) for trunk in self._all_trunks() if trunk.link.is_up]
        for key, shown in standing:
            before = seen.get(key, {"connections": 0})["connections"]
            seen[key] = {**shown, "connections": int(str(before)) + 1, "seen_at": now}
        return seen

    def _turn_over(self, trust: Trust) -> None:
        """Peers get to see the new chain, and lose nothing by it."""
        trunks = self._all_trunks()
        spread = spread_over(len(trunks))
        for trunk in trunks:
            trunk.link.renew(spread * random.random())  # noqa: S311 - jitter, no secret
        earlier = [each for each, client in self._clients.items() if not trust.shows_the_same(client.trust)]
        self.departures.begin({each: each.ready_at for each in earlier}, random.random, monotonic())

    def _find_busy(self) -> frozenset[TlsConnection]:
        """Clients' connections on which something is outstanding."""
        assert self._engine is not None  # there are clients
        asking = self._engine.waiting_listeners()
        return frozenset(each for each, client in self._clients.items() if client in asking or each.is_mid_packet)

    # Clients.

    def _candidates(self, identity: PeerIdentity) -> list[ClientState]:
        """The clients that a certificate's names are of."""
        clients: Clients | None = self._engine.clients if self._engine is not None else None
        names = (*identity.names, *identity.addresses, *identity.nai_realms)
        return [] if clients is None else [clients.by_name[name] for name in names if name in clients.by_name]

    def _find_client(self, identity: PeerIdentity) -> ClientState | None:
        """The client of a verified chain: one of its names, whose library the chain's anchor may speak for."""
        now = time()
        return next((each for each in self._candidates(identity) if self.admits(identity, each.library, now)), None)

    def admits(self, identity: PeerIdentity, library: str, now: float) -> bool:
        """Whether a verified chain may stand for a peer of that library (CVE-2012-4523)."""
        return admits(self._peer_trust, identity, library, now)

    def admits_server(self, identity: PeerIdentity, server: HomeServer, now: float) -> bool:
        """Whether a verified chain may stand for that home server: for its library, or for its realm in the DNS."""
        if not server.addresses:
            return self.admits(identity, server.library or "", now)
        trust, policy = self._peer_trust, self.discovery
        if trust is None or policy is None:
            return False
        issuers = {issuer for issuer, _ in identity.serials}
        authority = trust.find_authority(policy, identity.anchor, issuers, now)
        holds = all(holds_realm(identity, realm) for realm in server.realms)
        return authority is not None and authority.admits(identity.policies, holds_realm=holds)

    def refuse(self, server: HomeServer, now: float) -> bool:
        """Whether a server whose certificate is not believed is given up: one of the DNS is, members' are not."""
        learning = self._engine.learning if self._engine is not None else None
        return learning is not None and learning.refuse(server, now)

    def _is_client(self, identity: PeerIdentity) -> bool:
        """Asked inside the handshake, where the anchor is not known yet."""
        return bool(self._candidates(identity))

    def _take_client(self, connection: TlsConnection) -> bool:
        identity, met = connection.identity, self._listener.trust_of(connection)
        state = self._find_client(identity) if identity is not None else None
        # Both may have changed during its handshake.
        if state is None or self.trust is None or not is_believed(self.trust, connection.chain, identity, met):
            return False
        assert met is not None  # it came in through the listener
        self._clients[connection] = _ClientStream(connection, state, self.trust, met)
        if not self.trust.shows_the_same(met):  # the chain changed during its handshake
            self.departures.begin({connection: connection.ready_at}, random.random, monotonic())
        for trunk in self._all_trunks():  # a library that comes in has restarted, often enough
            if not trunk.link.is_up and trunk.owner.server.library == state.library:
                trunk.link.hurry()
        return True

    def _take_requests(self, connection: TlsConnection, packets: list[bytes], now: float) -> DropReason | None:
        client, engine, net = self._clients.get(connection), self._engine, self.net
        if client is None or engine is None:
            return None
        if self.departures.refuses(connection, now):
            for _ in packets:
                engine.notices.drop(DropReason.CONNECTION_ENDING, client.state.key, now)
            return None
        edge = client.edge
        if edge is None:
            verdict = take_requests(packets, engine, client.state, client, client.source, now, net.catch)
        else:
            take = partial(_take_with_token, engine, client, edge)
            verdict = take_each(packets, take, now, net.catch)
        net.keep_time()
        return verdict

    def _lose_client(self, connection: TlsConnection) -> None:
        client = self._clients.pop(connection, None)
        if client is not None:
            client.is_closed = True
        self.departures.forget(connection)

    # Judging, and the time.

    def _judge_again(self) -> None:
        self._judge_clients()
        self._judge_trunks(self._all_trunks())

    def _judge_clients(self) -> None:
        trust = self.trust
        for connection, client in list(self._clients.items()):
            identity = connection.identity
            state = self._find_client(identity) if identity is not None else None
            if state is None or not is_believed(trust, connection.chain, identity, client.trust):
                connection.close(Closing.NOT_TRUSTED)
            else:
                client.state = state

    def _judge_trunks(self, trunks: Iterable[Trunk]) -> None:
        for trunk in list(trunks):
            trunk.link.target = self.target_of(trunk.owner.server)
            trunk.link.judge(partial(self._is_good, trunk))

    def _is_good(self, trunk: Trunk, connection: TlsConnection, met: Trust | None) -> bool:
        """Whether the other end of a connection that we dialled may be that home server still."""
        identity = connection.identity
        if identity is None or not trunk.link.target.name.matches(identity) or not trunk.admits(identity):
            return False
        return is_believed(self.trust, connection.chain, identity, met)

    def target_of(self, server: HomeServer) -> Target:
        """Where that home server is, and who it has to be."""
        if server.addresses:
            return Target(server.key, server.host, server.port, DiscoveredName(server.host), server.addresses)
        realms = self._servers.get(server.key, server).realms
        name = ServerName(server.host, frozenset(realms))
        return Target(server.key, server.host, server.port, name)

    def forget(self, trunk: Trunk) -> None:
        """It is closed."""
        key = trunk.owner.server.key
        self._trunks[key] = [each for each in self._trunks.get(key, ()) if each is not trunk]
        if not self._trunks[key]:
            del self._trunks[key]

    def _all_trunks(self) -> list[Trunk]:
        return [trunk for trunks in self._trunks.values() for trunk in trunks]

    def _open(self, keys: Iterable[str] | None = None) -> None:
        if self._is_running and self.trust is not None and self._engine is not None:
            self._engine.forwarding.dial(monotonic(), keys)
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
        for trunk in self._all_trunks():
            trunk.link.check(now, wall_clock)
        for connection in self.departures.take_due(self._find_busy, now):
            connection.close(Closing.SUPERSEDED)
        if self._peer_trust is not None and self._peer_trust.foreign_anchors:
            self._judge_again()  # a foreign authority's list may have run out, which no snapshot tells


class _ClientStream:
    """One client's connection, as the engine sees it: where its requests come from and its answers go."""

    __slots__ = (
        "connection",
        "edge",
        "is_accounting",
        "is_closed",
        "requires_errors",
        "shown",
        "source",
        "state",
        "trust",
    )

    def __init__(self, connection: TlsConnection, state: ClientState, trust: Trust, met: Trust) -> None:
        """`trust` has judged it, and `met` is that of its handshake."""
        self.connection = connection
        self.state = state
        self.trust = trust
        self.shown = describe_peer("client", connection, met)
        self.is_accounting = False
        self.is_closed = False
        self.source: Address = connection.address
        is_1_1 = connection.version is RadiusVersion.V1_1
        self.edge = ServerEdge(state.keyed, os.urandom(NONCE_OCTETS)) if is_1_1 else None
        self.requires_errors = is_1_1

    def send(self, octets: bytes, address: Address, /) -> bool:
        if self.edge is None:
            return self.connection.send(octets)
        answer = self.edge.answer(int(address[-1]), octets)
        return isinstance(answer, bytes) and self.connection.send(answer)


def _take_with_token(
    engine: Engine, client: _ClientStream, edge: ServerEdge, octets: bytes, now: float
) -> DropReason | None:
    """Take a request of RADIUS/1.1, whose Token is in its answer too."""
    if client.is_closed:
        return None
    received = edge.receive(octets, now)
    if isinstance(received, DropReason):
        engine.notices.drop(received, client.state.key, now)
        return received
    number, octets = received
    return engine.receive_from(client.state, client, octets, (*client.source, number), now)
