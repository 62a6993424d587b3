"""Our own certificate changes while requests are on their way: connections are made anew, and nothing is lost by it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from time import monotonic

import pytest
from cryptography.hazmat.primitives import hashes

from federation.snapshot import PeerTrust, Snapshot
from radius.proxy.service import ProxyService
from radius.transport.tls.turnover import LAST_CALL_SECONDS, OF_AGE_SECONDS, TURNOVER_SECONDS
from radius.wire.codes import Code
from radius.wire.packet import Packet
from tests.radius.proxy.streams import (
    CLIENT_NAME,
    HOME_NAME,
    OWN_NAME,
    RADSEC,
    Member,
    TlsDevice,
    TlsHome,
    issue,
    listen_for_streams,
    peer_trust,
    running_proxy,
    snapshot_of,
    tls_home_server,
    trust_of,
    until,
)
from tests.radius.proxy.world import access_request, respond
from tests.radius.transport.tls.members import Authority, nai_realm, names_of


@pytest.fixture(scope="module")
def authorities() -> tuple[Authority, Authority]:
    return Authority("old"), Authority("new")


class RollingOver:
    """A proxy between a client and a home server who believe two roots; the proxy changes from one to the other."""

    def __init__(self, authorities: tuple[Authority, Authority], stack: AsyncExitStack) -> None:
        self.old, self.new = authorities
        self.stack = stack
        self.own = issue(self.old, OWN_NAME)
        home_member: Member = self.old.issue([nai_realm("home.example"), *names_of(HOME_NAME)])
        self.home = TlsHome(trust_of(self.old, home_member, *authorities))
        self.device_trust = trust_of(self.old, issue(self.old, CLIENT_NAME), *authorities)
        self.listener = listen_for_streams()

    async def start(self) -> None:
        await self.home.start()
        self.stack.callback(self.home.stop)
        self.service: ProxyService = await self.stack.enter_async_context(running_proxy(self.listener))
        self.service.swap(self.snapshot(1))
        self.device = TlsDevice(self.device_trust, self.listener.getsockname()[1])
        self.stack.callback(self.device.link.close)
        await self.device.connect()
        await until(lambda: len(self.home.connections) == 1 and len(self.peers()) == 2)
        self.client_stands_for(OF_AGE_SECONDS)

    def client_stands_for(self, seconds: float) -> None:
        """The connection that came in is of that age."""
        (connection,) = self.service.streams.connections
        connection.ready_at = monotonic() - seconds

    def snapshot(self, revision: int, *, revoked: frozenset[str] = frozenset()) -> Snapshot:
        trust: PeerTrust = peer_trust(self.old, self.own, anchors=(self.old, self.new), revoked=revoked)
        return snapshot_of(trust, tls_home_server(self.home.port), revision=revision)

    def switch(self) -> None:
        """Our certificate comes from the new authority from now on."""
        self.own = issue(self.new, OWN_NAME)
        self.service.swap(self.snapshot(2))

    def peers(self) -> dict[str, dict[str, object]]:
        return self.service.streams.peers()

    def accepted(self) -> set[object]:
        """Below which of our anchors peers have accepted our chain."""
        return {peer["own_anchor"] for peer in self.peers().values()}

    def look(self, seconds_later: float) -> None:
        self.service.streams.look(monotonic() + seconds_later, 0.0)

    def asked(self) -> list[Packet]:
        return [request for request in self.home.requests if request.code == Code.ACCESS_REQUEST]


@pytest.fixture
async def rolling(authorities: tuple[Authority, Authority]) -> AsyncIterator[RollingOver]:
    async with AsyncExitStack() as stack:
        made = RollingOver(authorities, stack)
        await made.start()
        yield made


class TestDialled:
    """Connections that we made, to home servers."""

    async def hold(self, rolling: RollingOver) -> list[Packet]:
        """A request waits at the home server, and another connection has taken the place of the one it came by."""
        waiting: list[Packet] = []

        def keep(request: Packet) -> bytes | None:
            if request.code != Code.ACCESS_REQUEST:  # it may be asked how it is meanwhile
                return respond(request, keyed=RADSEC)
            waiting.append(request)
            return None

        rolling.home.answer = keep
        assert rolling.device.link.send(access_request(keyed=RADSEC, identifier=1))
        await until(lambda: len(waiting) == 1)
        rolling.switch()
        await until(lambda: len(rolling.home.connections) == 2)
        await until(lambda: rolling.peers()["home/tls"]["own_anchor"] == anchor_of(rolling.new))
        rolling.home.answer = lambda request: respond(request, keyed=RADSEC)
        return waiting

    async def test_outstanding_request_is_answered_where_it_was_asked(self, rolling: RollingOver) -> None:
        """It is not asked twice: in an EAP conversation the home server would have gone on without the device."""
        (waiting,) = await self.hold(rolling)
        await rolling.device.ask(access_request(keyed=RADSEC, identifier=2))  # over the new one
        rolling.home.release([waiting])
        await until(lambda: len(rolling.device.packets) == 2)
        assert {packet.code for packet in rolling.device.packets} == {Code.ACCESS_ACCEPT}
        assert len(rolling.asked()) == 2
        assert rolling.service.engine.upstreams["home/tls"].repeats == 0

    async def test_earlier_connection_ends_when_it_has_answered(self, rolling: RollingOver) -> None:
        """In order, within seconds, and the later one goes on."""
        (waiting,) = await self.hold(rolling)
        rolling.look(TURNOVER_SECONDS - 5)
        assert len(rolling.home.connections) == 2
        rolling.home.release([waiting])
        await until(lambda: len(rolling.device.packets) == 1)
        rolling.look(1.5)
        await until(lambda: len(rolling.home.connections) == 1)
        await until(lambda: rolling.device.downs == 1 and rolling.device.link.is_up)  # its own connection has gone too
        assert (await rolling.device.ask(access_request(keyed=RADSEC, identifier=2))).code == Code.ACCESS_ACCEPT

    async def test_request_that_is_never_answered_moves_at_the_bound(self, rolling: RollingOver) -> None:
        """The earlier connection ends half a minute after the change; what it did not answer is asked on the later."""
        await self.hold(rolling)
        for connection in rolling.service.streams.connections:
            rolling.service.streams.departures.forget(connection)  # the client waits longer than it would be let
        rolling.look(TURNOVER_SECONDS + 0.1)
        await until(lambda: len(rolling.device.packets) == 1)
        assert rolling.device.packets[0].code == Code.ACCESS_ACCEPT
        assert len(rolling.asked()) == 2
        assert len(rolling.home.connections) == 1

    async def test_earlier_connection_is_judged_too(self, rolling: RollingOver) -> None:
        """A home server that is revoked meanwhile answers nothing more, on either of the two."""
        await self.hold(rolling)
        revoked = str(rolling.peers()["home/tls"]["serial"])
        rolling.service.swap(rolling.snapshot(3, revoked=frozenset({revoked})))
        await until(lambda: not rolling.home.connections)
        assert not rolling.device.packets

    async def test_peer_that_refuses_the_new_chain_keeps_the_old_connection(self, rolling: RollingOver) -> None:
        """Patrons go on signing in; the report says which chain it has accepted."""
        rolling.home.trust = trust_of(rolling.old, rolling.old.issue([nai_realm("home.example")]))
        rolling.switch()
        await until(lambda: rolling.home.handshakes == 2)
        await asyncio.sleep(0.2)  # it has refused it by then
        assert rolling.peers()["home/tls"]["own_anchor"] == anchor_of(rolling.old)
        await until(lambda: rolling.device.downs == 1 and rolling.device.link.is_up)  # the device's own is new by then
        assert (await rolling.device.ask(access_request(keyed=RADSEC))).code == Code.ACCESS_ACCEPT


class TestTaken:
    """Connections that came in, from clients."""

    async def test_client_meets_the_new_chain(self, rolling: RollingOver) -> None:
        """Its connection is closed when it is quiet, and comes again; the report says what it has accepted then."""
        rolling.switch()
        await until(lambda: rolling.device.downs == 1 and rolling.device.link.is_up)
        await until(lambda: rolling.accepted() == {anchor_of(rolling.new)})
        assert (await rolling.device.ask(access_request(keyed=RADSEC))).code == Code.ACCESS_ACCEPT

    async def test_client_that_has_just_come_is_kept_for_a_while(self, rolling: RollingOver) -> None:
        """It would stay away for half a minute; when it is of age it goes like all others."""
        rolling.client_stands_for(OF_AGE_SECONDS - 20)
        rolling.switch()
        rolling.look(19)
        await rolling.device.ask(access_request(keyed=RADSEC))
        assert rolling.device.downs == 0
        rolling.look(22)
        await until(lambda: rolling.device.downs == 1)

    async def test_outstanding_request_is_answered_first(self, rolling: RollingOver) -> None:
        """The connection does not end while its client waits for something."""
        waiting: list[Packet] = []
        rolling.home.answer = waiting.append
        assert rolling.device.link.send(access_request(keyed=RADSEC))
        await until(lambda: len(waiting) == 1)
        rolling.switch()
        rolling.look(10.0)
        assert rolling.device.downs == 0
        rolling.home.answer = lambda request: respond(request, keyed=RADSEC)
        rolling.home.release(waiting)
        await until(lambda: len(rolling.device.packets) == 1)
        rolling.look(10.0)
        await until(lambda: rolling.device.downs == 1)

    async def test_nothing_new_is_taken_shortly_before_the_end(self, rolling: RollingOver) -> None:
        """What can not be answered any more reaches no home server, and is counted; the bound is kept."""
        rolling.home.answer = lambda _: None
        assert rolling.device.link.send(access_request(keyed=RADSEC, identifier=1))
        await until(lambda: len(rolling.asked()) == 1)
        streams = rolling.service.streams
        nearly = TURNOVER_SECONDS - LAST_CALL_SECONDS / 2
        streams.departures.begin(dict.fromkeys(streams.connections, 0.0), lambda: 0.0, monotonic() - nearly)
        rolling.switch()
        assert rolling.device.link.send(access_request(keyed=RADSEC, identifier=2))
        await until(lambda: rolling.service.notices.drops["connection_ending"] == 1)
        assert len(rolling.asked()) == 1
        await until(lambda: rolling.device.downs == 1)

    async def test_same_chain_ends_nothing(self, rolling: RollingOver) -> None:
        """New anchors, peers or lists are no reason to come again."""
        rolling.service.swap(rolling.snapshot(2, revoked=frozenset({"1a2b"})))
        rolling.look(20.0)
        await asyncio.sleep(0.05)
        assert rolling.device.downs == 0
        assert len(rolling.home.connections) == 1


def anchor_of(authority: Authority) -> str:
    return authority.certificate.fingerprint(hashes.SHA256()).hex()
