"""Connections that end at the worst moment, names that move, clocks that jump: over RADIUS/TLS, on the loopback."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from federation.events import Outcome
from radius.errors import DropReason
from radius.transport.tls.connection import Closing
from radius.wire.codes import Code
from tests.radius.proxy.streams import (
    HOME_NAME,
    RADSEC,
    TlsHome,
    check_all,
    peer_trust,
    snapshot_of,
    tls_home_server,
    until,
)
from tests.radius.proxy.test_streams import Federation
from tests.radius.proxy.world import access_request, read_sign_in
from tests.radius.transport.tls.members import Authority

PENDING = 200


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def federation(authority: Authority) -> AsyncIterator[Federation]:
    async with AsyncExitStack() as stack:
        made = Federation(authority, stack)
        await made.start()
        yield made


class TestConnectionThatClosesWithRequestsPending:
    async def test_of_a_client_all_are_given_up(self, federation: Federation) -> None:
        """200 wait, nobody hears their answers, and none of them is told of or kept; another client is served."""
        federation.home.answer = lambda _: None
        device, other = await federation.device(), await federation.device()
        for identifier in range(PENDING):
            assert device.link.send(access_request(keyed=RADSEC, identifier=identifier))
        await until(lambda: len(federation.home.requests) == PENDING)
        device.link.close()
        engine = federation.service.engine
        await until(lambda: engine.outstanding == 0)
        federation.home.answer = TlsHome(federation.home.trust).answer
        federation.home.release(list(federation.home.requests))
        assert (await other.ask(access_request(keyed=RADSEC))).code == Code.ACCESS_ACCEPT
        assert engine.notices.drops[DropReason.LATE_RESPONSE] == PENDING
        assert [read_sign_in(each).outcome for each in federation.service.take_events()] == [Outcome.ACCEPTED]

    async def test_of_a_home_server_all_are_asked_again(self, federation: Federation) -> None:
        """200 wait on it: on the next connection they are new requests, and each is answered (RFC 6613 §2.6.1)."""
        federation.home.answer = lambda _: None
        device = await federation.device()
        for identifier in range(PENDING):
            assert device.link.send(access_request(keyed=RADSEC, identifier=identifier))
        await until(lambda: len(federation.home.requests) == PENDING)
        federation.home.answer = TlsHome(federation.home.trust).answer
        for connection in list(federation.home.connections):
            connection.abort(Closing.BY_US)
        await until(lambda: len(device.packets) == PENDING)
        assert {packet.code for packet in device.packets} == {Code.ACCESS_ACCEPT}
        assert len({request.authenticator for request in federation.home.requests}) == 2 * PENDING


class TestPeerThatResets:
    async def test_home_server_again_and_again_leaves_nobody_without_an_answer(self, federation: Federation) -> None:
        """Each request is answered once: by the home server, or with a no when it was away for three seconds."""
        device = await federation.device()
        for identifier in range(5):
            assert device.link.send(access_request(keyed=RADSEC, identifier=identifier))
            for connection in list(federation.home.connections):
                connection.abort(Closing.BY_US)
            await until(lambda: bool(federation.home.connections))
        await until(lambda: len(device.packets) == 5)
        assert sorted(packet.identifier for packet in device.packets) == list(range(5))
        assert {packet.code for packet in device.packets} <= {Code.ACCESS_ACCEPT, Code.ACCESS_REJECT}
        engine = federation.service.engine
        await until(lambda: not engine.upstreams["home/tls"].is_down)
        assert (await device.ask(access_request(keyed=RADSEC, identifier=9))).code == Code.ACCESS_ACCEPT
        assert engine.outstanding == 0

    async def test_client_again_and_again_leaves_nothing_behind(self, federation: Federation) -> None:
        """Twenty connections that break off with a request pending: none is kept, nor what came by it."""
        federation.home.answer = lambda _: None
        for _ in range(20):
            device = await federation.device()
            assert device.link.send(access_request(keyed=RADSEC))
            device.link.restart(Closing.BY_US)
            device.link.close()
        await until(lambda: federation.service.streams.counters()["tls_connections"] == 0)
        await until(lambda: federation.service.engine.outstanding == 0)
        device = await federation.device()
        federation.home.answer = TlsHome(federation.home.trust).answer
        assert (await device.ask(access_request(keyed=RADSEC))).code == Code.ACCESS_ACCEPT


class TestNameThatMoves:
    async def test_next_connection_goes_where_the_name_leads_now(
        self, federation: Federation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The name is looked up for each attempt; whoever answers there has to prove that name (RFC 9525)."""
        addresses = ["127.0.0.1"]
        loop = asyncio.get_running_loop()
        real = loop.getaddrinfo

        async def look_up(host: str, port: int, **options: Any) -> list[Any]:  # Any: as the loop has it
            if host == HOME_NAME:
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (addresses[0], port))]
            return await real(host, port, **options)

        monkeypatch.setattr(loop, "getaddrinfo", look_up)
        server = replace(tls_home_server(federation.home.port), host=HOME_NAME)
        trust = peer_trust(federation.authority, federation.own)
        federation.service.swap(snapshot_of(trust, server, revision=2))
        device = await federation.device()
        assert (await device.ask(access_request(keyed=RADSEC))).code == Code.ACCESS_ACCEPT
        moved = TlsHome(federation.home.trust, federation.home.port, host="127.0.0.2")
        await moved.start()
        federation.stack.callback(moved.stop)
        addresses[0] = "127.0.0.2"
        federation.home.stop()
        await until(lambda: bool(moved.connections))
        assert (await device.ask(access_request(keyed=RADSEC, identifier=8))).code == Code.ACCESS_ACCEPT
        assert any(request.code == Code.ACCESS_REQUEST for request in moved.requests)


class TestClockThatJumps:
    @pytest.mark.parametrize("days", [0.95, -1.0])  # their certificates are good for one
    async def test_connections_stand(self, federation: Federation, days: float) -> None:
        """A day forward or back ends no connection, and no deadline: those are of the clock that nobody sets."""
        device = await federation.device()
        check_all(federation.service, days_later=days)
        assert (await device.ask(access_request(keyed=RADSEC))).code == Code.ACCESS_ACCEPT
        assert device.downs == 0
