"""More requests than one source port has identifiers, and a home server that says nothing, on real sockets."""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from socket import socket

import pytest

from federation.snapshot import Realm
from radius.exchange.bulkheads import MAX_OUTSTANDING_PER_REALM
from radius.transport.udp import connect_udp
from radius.wire.codes import Code
from tests.radius.proxy.test_service import HomeOnLoopback, Loopback
from tests.radius.proxy.world import access_request, home_server, respond

HOST = "127.0.0.1"
PORTS = 40  # of the access points: times 250 identifiers
AT_ONCE = 100  # sent before the proxy's loop has its turn


@pytest.fixture
async def loopback() -> AsyncIterator[Loopback]:
    """A running proxy and a home server that answers."""
    async with AsyncExitStack() as stack:
        made = Loopback(HOST)
        for udp in (made.listener, made.accounting, made.client):
            stack.callback(udp.close)
        made.home.start()
        stack.callback(made.home.stop)
        made.service.start()
        stack.push_async_callback(made.service.stop, 0.0)
        yield made


@pytest.fixture
def clients(loopback: Loopback) -> Iterator[list[socket]]:
    """Source ports of the access point."""
    with ExitStack() as stack:
        port = loopback.listener.getsockname()[1]
        yield [stack.enter_context(connect_udp(HOST, port)) for _ in range(PORTS)]


def take(clients: list[socket]) -> Counter[int]:
    """The codes of the answers that wait."""
    codes: Counter[int] = Counter()
    for client in clients:
        while True:
            try:
                codes[client.recv(4096)[0]] += 1
            except BlockingIOError:
                break
    return codes


async def test_more_requests_wait_than_a_port_has_identifiers(loopback: Loopback, clients: list[socket]) -> None:
    """300 that are outstanding to one home server are told apart, and each gets its answer (RFC 2865 §2.5)."""
    loopback.service.swap(loopback.snapshot())
    loopback.home.answer = lambda _request: None
    for number in range(300):
        clients[number % 2].send(access_request(identifier=number // 2, authenticator=number.to_bytes(16)))
    await loopback.until(lambda: len(loopback.home.seen) == 300)
    assert len({packet.authenticator for packet in loopback.home.seen}) == 300
    assert loopback.service.engine.outstanding == 300
    loopback.home.answer = respond  # to what the proxy asks again, as it does after two seconds
    got: Counter[int] = Counter()
    async with asyncio.timeout(10):
        while got.total() < 300:
            await asyncio.sleep(0.05)
            got += take(clients)
    assert got == {Code.ACCESS_ACCEPT: 300}


async def test_ten_thousand_to_a_silent_home_server_delay_nobody_else(
    loopback: Loopback, clients: list[socket]
) -> None:
    """Another library's patrons get in within a tenth of a second; what is too much for the silent one is refused."""
    silent = HomeOnLoopback(HOST)  # bound, and never read
    loopback.service.swap(
        loopback.snapshot(
            home_servers={
                "home/1": loopback.server,
                "silent/1": replace(home_server("silent/1", HOST), port=silent.port),
            },
            realms={
                "home.example": Realm("home.example", "home", ("home/1",)),
                "silent.example": Realm("silent.example", "silent", ("silent/1",)),
            },
        )
    )
    seconds: list[float] = []
    refused: Counter[int] = Counter()
    for number in range(250 * PORTS):
        name, authenticator = b"anna@silent.example", number.to_bytes(16)
        octets = access_request(identifier=number % 250, name=name, authenticator=authenticator)
        clients[number // 250].send(octets)
        if number % AT_ONCE == AT_ONCE - 1:
            began = time.perf_counter()
            answer = await loopback.ask(access_request(identifier=number // AT_ONCE))
            seconds.append(time.perf_counter() - began)
            assert answer[0] == Code.ACCESS_ACCEPT
            refused += take(clients)
    async with asyncio.timeout(10):
        while refused.total() < 250 * PORTS - MAX_OUTSTANDING_PER_REALM:
            await asyncio.sleep(0.01)
            refused += take(clients)
    assert refused == {Code.ACCESS_REJECT: 250 * PORTS - MAX_OUTSTANDING_PER_REALM}
    assert statistics.median(seconds) < 0.1
    silent.udp.close()
