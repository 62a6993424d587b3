"""The proxy on real sockets of the loopback."""

import asyncio
import itertools
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from ipaddress import ip_network
from time import monotonic
from typing import Any

import pytest
import uvloop

from federation.events import Outcome
from federation.snapshot import Realm, Snapshot
from radius.codec.building import build_packet
from radius.errors import DropReason
from radius.proxy import naming
from radius.proxy.engine import Engine
from radius.proxy.randomness import RandomPool
from radius.proxy.service import LATE_SECONDS, PORTION_PAUSE_SECONDS, ProxyService, ProxySockets
from radius.proxy.upstreams import Upstream
from radius.transport.flows import UdpFlow
from radius.transport.garbage import YOUNG_SECONDS
from radius.transport.udp import bind_udp, connect_udp
from radius.wire.attributes import find_vendor
from radius.wire.authenticators import sign_request
from radius.wire.codes import Code
from radius.wire.hiding import reveal_salted
from radius.wire.packet import Packet
from tests.radius.codec.names import DICTIONARY
from tests.radius.proxy.world import (
    ACCESS_POINT,
    AP,
    HOME,
    KEY,
    MICROSOFT,
    FakeListener,
    access_request,
    home_server,
    is_signed,
    make_snapshot,
    mppe_keys,
    parse,
    read_sign_in,
    respond,
)
from tests.support.cycles import drop_cycle
from tests.support.processes import free_port

AUTHENTICATOR = bytes(range(16))


class HomeOnLoopback:
    """A home server that accepts everybody, on a port of its own."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.port = free_port(host=host)  # it comes back to it
        self.udp = bind_udp(host, self.port)
        self.seen: list[Packet] = []
        self.lost_ports: set[int] = set()  # of the proxy's, from which nothing gets through
        self.answer: Callable[[Packet], bytes | None] = lambda request: respond(
            request, attributes=mppe_keys(request.authenticator)
        )

    def start(self) -> None:
        if self.udp.fileno() < 0:
            self.udp = bind_udp(self.host, self.port)
        asyncio.get_running_loop().add_reader(self.udp, self.read)

    def stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self.udp)
        self.udp.close()

    def read(self) -> None:
        with suppress(BlockingIOError):
            while True:
                octets, address = self.udp.recvfrom(4096)
                if address[1] in self.lost_ports:
                    continue
                request = parse(octets)
                self.seen.append(request)
                answer = self.answer(request)
                if answer is not None:
                    self.udp.sendto(answer, address)


class Loopback:
    """A running proxy between a client's socket and a home server."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.home = HomeOnLoopback(host)
        self.listener = bind_udp(host, 0)
        self.accounting = bind_udp(host, 0)
        self.client = connect_udp(host, self.listener.getsockname()[1])
        self.sockets = ProxySockets([self.listener], [self.accounting])
        self.service = ProxyService(self.sockets, loop_key=b"k" * 32)
        self.server = replace(home_server(host=host), port=self.home.port)

    async def keep_events(self, most: int) -> None:
        """The service is another one, which keeps so many events."""
        await self.service.stop(0.0)
        self.service = ProxyService(self.sockets, loop_key=b"k" * 32, max_events=most)
        self.service.start()

    def snapshot(self, **options: object) -> Snapshot:
        client = replace(ACCESS_POINT, networks=(ip_network(self.host),))
        return replace(make_snapshot(self.server, clients=(client,)), **options)  # type: ignore[arg-type] # its fields

    async def open_port(self) -> tuple[Upstream, UdpFlow]:
        """The home server after a login, and the port through which that went."""
        self.service.swap(self.snapshot())
        await self.ask(access_request(identifier=1))
        upstream = self.service.engine.upstreams["home/1"]
        (flow,) = upstream.identifiers.flows
        assert isinstance(flow, UdpFlow)
        return upstream, flow

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - what is waited for happens in sockets and logs
                await asyncio.sleep(0.01)

    async def ask(self, octets: bytes, seconds: float = 5.0, client: socket.socket | None = None) -> bytes:
        udp = client or self.client
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(udp, octets)
        async with asyncio.timeout(seconds):
            return await loop.sock_recv(udp, 4096)


@pytest.fixture(params=["127.0.0.1", "::1"])
async def loopback(request: pytest.FixtureRequest) -> AsyncIterator[Loopback]:
    async with AsyncExitStack() as stack:
        made = Loopback(request.param)
        for udp in (made.listener, made.accounting, made.client):
            stack.callback(udp.close)
        made.home.start()
        stack.callback(made.home.stop)
        made.service.start()
        stack.push_async_callback(lambda: made.service.stop(0.0))
        yield made


class TestLogin:
    async def test_accept_and_its_keys_come_back(self, loopback: Loopback) -> None:
        """The whole way over real sockets, IPv4 and IPv6."""
        loopback.service.swap(loopback.snapshot())
        octets = await loopback.ask(access_request())
        assert octets[:2] == bytes((Code.ACCESS_ACCEPT, 7))
        assert is_signed(octets, AP, AUTHENTICATOR)
        hidden = find_vendor(parse(octets), MICROSOFT, 16)
        assert hidden is not None
        assert reveal_salted(hidden, AP, AUTHENTICATOR) == KEY
        counters = loopback.service.counters()
        assert counters["answers"] == {"access_accept": 1}
        assert counters["outstanding"] == 0
        assert [read_sign_in(event).outcome for event in loopback.service.take_events()] == [Outcome.ACCEPTED]

    async def test_packet_that_pyrad_builds_is_understood(self, loopback: Loopback) -> None:
        """A second implementation builds the request."""
        loopback.service.swap(loopback.snapshot())
        octets = build_packet(
            DICTIONARY,
            Code.ACCESS_REQUEST,
            identifier=7,
            authenticator=AUTHENTICATOR,
            attributes=[("User-Name", "anna@nobody.org"), ("NAS-Identifier", "ap")],
            keyed=AP,
        )
        answer = await loopback.ask(octets)
        assert answer[0] == Code.ACCESS_REJECT
        assert is_signed(answer, AP, AUTHENTICATOR)

    async def test_unroutable_realm_is_refused_within_50_ms(self, loopback: Loopback) -> None:
        """A no is an answer, and quick."""
        loopback.service.swap(loopback.snapshot())
        octets = await loopback.ask(access_request(name=b"anna@nobody.org"), seconds=0.05)
        assert octets[0] == Code.ACCESS_REJECT

    async def test_accounting_is_answered_on_its_port(self, loopback: Loopback) -> None:
        """Locally, on the other socket."""
        loopback.service.swap(loopback.snapshot())
        with connect_udp(loopback.host, loopback.accounting.getsockname()[1]) as client:
            octets = await loopback.ask(sign_request(4, 9, b"", b"\x28\x06\x00\x00\x00\x01", AP), client=client)
        assert octets[:2] == bytes((Code.ACCOUNTING_RESPONSE, 9))
        assert loopback.home.seen == []

    @pytest.mark.usefixtures("patient")
    async def test_burst_of_600_is_answered(self, loopback: Loopback) -> None:
        """More than one source port's worth at once, none lost."""
        loopback.service.swap(loopback.snapshot())
        loop = asyncio.get_running_loop()
        clients = [connect_udp(loopback.host, loopback.listener.getsockname()[1]) for _ in range(3)]
        try:
            for client in clients:
                for number in range(200):
                    client.send(access_request(identifier=number, authenticator=number.to_bytes(16)))
            async with asyncio.timeout(30):
                for client in clients:
                    got = {(await loop.sock_recv(client, 4096))[1] for _ in range(200)}
                    assert got == set(range(200))
        finally:
            for client in clients:
                client.close()

    async def test_silent_home_server_is_asked_again(self, loopback: Loopback) -> None:
        """The timer of the loop fires: the same octets come again after about two seconds."""
        loopback.home.answer = lambda request: respond(request) if len(loopback.home.seen) > 1 else None
        loopback.service.swap(loopback.snapshot())
        octets = await loopback.ask(access_request())
        assert octets[0] == Code.ACCESS_ACCEPT
        requests = [each.octets for each in loopback.home.seen if each.code == Code.ACCESS_REQUEST]
        assert requests[0] == requests[1]


class TestSourcePort:
    """The one towards the home server, of which nothing is heard any more."""

    async def test_that_is_no_longer_read_is_read_again(self, loopback: Loopback) -> None:
        """Its answers wait in the socket: they are found with the first request that is sent again."""
        upstream, flow = await loopback.open_port()
        asyncio.get_running_loop().remove_reader(flow.udp)
        octets = await loopback.ask(access_request(identifier=2, authenticator=b"2" * 16))
        assert octets[:2] == bytes((Code.ACCESS_ACCEPT, 2))
        assert upstream.counters()["source_ports_watched_again"] == 1
        began = monotonic()
        await loopback.ask(access_request(identifier=3, authenticator=b"3" * 16))
        assert monotonic() - began < 1.5

    @pytest.mark.parametrize("loopback", ["127.0.0.1"], indirect=True)
    async def test_that_is_lost_on_the_way_is_left(self, loopback: Loopback) -> None:
        """With one port and little to do nobody got in, until the proxy was started anew."""
        upstream, flow = await loopback.open_port()
        loopback.home.lost_ports = {flow.udp.getsockname()[1]}
        octets = await loopback.ask(access_request(identifier=2, authenticator=b"2" * 16), seconds=10.0)
        assert octets[:2] == bytes((Code.ACCESS_ACCEPT, 2))
        began = monotonic()
        await loopback.ask(access_request(identifier=3, authenticator=b"3" * 16))
        assert monotonic() - began < 1.5
        assert not upstream.is_down


class TestGarbage:
    async def test_is_looked_for_with_the_packets(self, loopback: Loopback) -> None:
        """The collector does not wait until ten seconds of packets have come together."""
        loopback.service.swap(loopback.snapshot())
        dropped = drop_cycle()
        await asyncio.sleep(YOUNG_SECONDS)
        assert (await loopback.ask(access_request()))[0] == Code.ACCESS_ACCEPT
        assert dropped() is None


class TestSwap:
    async def test_new_realm_is_in_force_with_the_call(self, loopback: Loopback) -> None:
        """The next datagram meets it, under the same sockets."""
        loopback.service.swap(loopback.snapshot(realms={}))
        assert (await loopback.ask(access_request()))[0] == Code.ACCESS_REJECT
        loopback.service.swap(loopback.snapshot(realms={"home.example": Realm("home.example", "home", ("home/1",))}))
        assert (await loopback.ask(access_request(authenticator=b"n" * 16)))[0] == Code.ACCESS_ACCEPT


class TestNames:
    async def test_home_server_with_a_name_is_found(self, loopback: Loopback) -> None:
        """The name is looked up in a thread; requests before that are refused, and later ones answered."""
        if loopback.host == "::1":
            return  # the name of this machine need not have an IPv6 address
        loopback.server = replace(loopback.server, host="localhost")
        loopback.service.swap(loopback.snapshot())
        assert (await loopback.ask(access_request()))[0] == Code.ACCESS_REJECT
        for number in range(100):
            await asyncio.sleep(0.01)
            octets = await loopback.ask(access_request(authenticator=number.to_bytes(16)))
            if octets[0] == Code.ACCESS_ACCEPT:
                return
        pytest.fail("the name was not found")

    async def test_name_that_does_not_resolve_stops_nobody_else(
        self, loopback: Loopback, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A start with DNS down is a start; the name is tried again and again."""
        monkeypatch.setattr(naming, "AGAIN_SECONDS", 0.01)
        lost = home_server("lost/1", "radius.invalid")
        snapshot = loopback.snapshot()
        servers = {**snapshot.home_servers, "lost/1": lost}
        loopback.service.swap(replace(snapshot, home_servers=servers))
        assert (await loopback.ask(access_request()))[0] == Code.ACCESS_ACCEPT
        await loopback.until(lambda: [record.message for record in caplog.records].count("name_not_resolved") >= 2)
        loopback.service.swap(snapshot)


class TestFaults:
    async def test_bug_costs_one_packet_and_is_seen(
        self, loopback: Loopback, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No exception reaches the event loop; the next packet is served."""
        loopback.service.swap(loopback.snapshot())
        with monkeypatch.context() as broken:
            broken.setattr(loopback.service.notices, "requested", [])  # to count fails
            for identifier in range(5):
                loopback.client.send(access_request(identifier=identifier))
            await loopback.until(lambda: loopback.service.notices.drops[DropReason.INTERNAL_ERROR] >= 1)
        (told,) = (record for record in caplog.records if record.message == "internal_error")
        assert told.exc_info
        assert (await loopback.ask(access_request()))[0] == Code.ACCESS_ACCEPT

    async def test_drop_is_told_in_the_log_with_peer_and_reason(
        self, loopback: Loopback, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Operators see which client sends what can not be taken."""
        loopback.service.swap(loopback.snapshot())
        with caplog.at_level(logging.WARNING):
            loopback.client.send(b"no RADIUS")
            assert (await loopback.ask(access_request()))[0] == Code.ACCESS_ACCEPT
        (record,) = [each for each in caplog.records if each.message == "packet_dropped"]
        assert vars(record)["reason"] == DropReason.TOO_SHORT
        assert vars(record)["peer"] == "visited/ap"

    async def test_home_server_without_a_listener_does_not_lose_the_next_request(self, loopback: Loopback) -> None:
        """An ICMP error is told on the next send; the datagram goes out all the same."""
        loopback.service.swap(loopback.snapshot())
        loopback.home.stop()
        loopback.client.send(access_request(identifier=1))
        await loopback.until(lambda: loopback.service.engine.outstanding == 1)
        loopback.home.start()
        octets = await loopback.ask(access_request(identifier=2), seconds=1.0)
        assert octets[:2] == bytes((Code.ACCESS_ACCEPT, 2))

    async def test_events_that_nobody_takes_are_bounded_and_counted(self, loopback: Loopback) -> None:
        """Statistics never hold up the packet path."""
        await loopback.keep_events(3)
        service = loopback.service
        service.swap(loopback.snapshot())
        for number in range(4):  # nobody takes them yet, so nobody misses one
            await loopback.ask(access_request(identifier=number))
        assert (service.events_lost, len(service.take_events())) == (0, 3)
        for number in range(4, 9):
            await loopback.ask(access_request(identifier=number))
        assert service.counters()["events_lost"] == 2
        assert (len(service.take_events()), service.events_lost) == (3, 2)
        await loopback.ask(access_request(identifier=9))
        assert (len(service.take_events()), service.take_events(), service.events_lost) == (1, [], 2)


class TestStop:
    async def test_what_is_outstanding_is_answered(self, loopback: Loopback) -> None:
        """A stop reads nothing new and waits for what is under way."""
        loopback.service.swap(loopback.snapshot())
        held: list[Packet] = []

        def hold(request: Packet) -> None:
            held.append(request)

        loopback.home.answer = hold
        loopback.client.send(access_request())
        await loopback.until(lambda: bool(held))
        loopback.home.answer = respond
        stopping = asyncio.create_task(loopback.service.stop(5.0))
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(5):
            octets = await loop.sock_recv(loopback.client, 4096)  # after its repeat
            await stopping
        assert octets[0] == Code.ACCESS_ACCEPT

    async def test_those_that_are_refused_are_answered(self, loopback: Loopback) -> None:
        """Refusals that wait for their turn are no silence."""
        service, listener = loopback.service, FakeListener()
        service.swap(loopback.snapshot(realms={}))
        for identifier in range(20):
            service.engine.receive_request(
                listener, access_request(identifier=identifier), (loopback.host, 1812), monotonic()
            )
        service.keep_time()
        await service.stop(5.0)
        assert [octets[:2] for octets, _ in listener.sent] == [bytes((Code.ACCESS_REJECT, each)) for each in range(20)]

    async def test_stop_does_not_wait_for_ever(self, loopback: Loopback) -> None:
        """A silent home server holds nobody up longer than the drain."""
        loopback.service.swap(loopback.snapshot())
        loopback.home.answer = lambda _request: None
        loopback.client.send(access_request())
        async with asyncio.timeout(5):
            await loopback.until(lambda: bool(loopback.home.seen))
            await loopback.service.stop(0.1)
        assert loopback.service.engine.upstreams == {}


class TestRandomPool:
    def test_octets_are_never_given_twice(self) -> None:
        """Request Authenticators are unpredictable and unique (RFC 2865 §3)."""
        pool = RandomPool()
        taken = [pool.take(20) for _ in range(1000)]
        assert len(set(taken)) == 1000
        assert {len(each) for each in taken} == {20}
        assert HOME.secret not in b"".join(taken)


@dataclass
class Late:
    """An engine with a deadline that has always passed already."""

    engine: Engine
    met: list[float]
    seconds: float = 0.1

    def next_timer(self) -> float:
        return monotonic() - self.seconds

    def on_timer(self, now: float) -> None:
        self.met.append(now)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)


def test_deadline_that_has_passed_is_met(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A deadline that has passed already, for which uvloop makes no timer, is met like any other, and again."""
    met: list[float] = []

    async def run() -> None:
        service = ProxyService(ProxySockets([]), loop_key=KEY)
        service.start()
        monkeypatch.setattr(service, "engine", Late(service.engine, met))
        service.keep_time()
        service.keep_time()  # the turn has not ended
        await asyncio.sleep(0.01)
        await service.stop(0.0)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
    assert len(met) > 1
    assert not caplog.records


def test_packets_go_between_portions_of_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is due is met in portions with a pause after each, unless it waits long already."""
    met: list[float] = []

    async def run() -> None:
        service = ProxyService(ProxySockets([]), loop_key=KEY)
        service.start()
        monkeypatch.setattr(service, "engine", Late(service.engine, met, LATE_SECONDS / 5))
        service.keep_time()
        await asyncio.sleep(0.05)
        await service.stop(0.0)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
    assert len(met) > 1
    gaps = [after - before for before, after in itertools.pairwise(met)]
    assert sum(gaps) / len(gaps) > PORTION_PAUSE_SECONDS / 3  # the loop's timer counts whole milliseconds
