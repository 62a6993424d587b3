"""RADIUS/1.1 between two proxies of ours, on real sockets of the loopback (RFC 9765)."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from time import monotonic

import pytest

from radius.errors import DropReason
from radius.exchange.liveness import HopEvent, HopState
from radius.proxy.service import ProxyService
from radius.wire.attributes import find_vendor
from radius.wire.authenticators import sign_request
from radius.wire.codes import Code
from radius.wire.hiding import hide_salted, reveal_salted
from radius.wire.packet import Packet, build_vendor_attribute
from tests.radius.proxy.streams import (
    CLIENT_NAME,
    HOME_NAME,
    OWN_NAME,
    RADSEC,
    TLS_CLIENT,
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
from tests.radius.proxy.world import KEY, MICROSOFT, access_request, error_causes, respond
from tests.radius.transport.tls.members import Authority, nai_realm, names_of

AUTHENTICATOR = bytes(range(16))
DEVICE_NAME = "device.visited.example"


@dataclass
class Chain:
    """device ──1.0──▶ front ──1.1──▶ behind ──1.0──▶ home, all over TLS."""

    front: ProxyService
    behind: ProxyService
    home: TlsHome
    device: TlsDevice
    renew: Callable[[], None]  # the front's certificate


def accept_with_keys(request: Packet) -> bytes:
    """An Access-Accept with the two keys of the radio link, hidden for who asked."""
    keys = b"".join(
        build_vendor_attribute(MICROSOFT, kind, hide_salted(KEY, 0x8000 + kind, RADSEC, request.authenticator))
        for kind in (16, 17)
    )
    return respond(request, attributes=keys, keyed=RADSEC)


@pytest.fixture
async def chain() -> AsyncIterator[Chain]:
    authority = Authority()
    async with AsyncExitStack() as stack:

        def known_by(realm: str, name: str) -> Member:
            return authority.issue([nai_realm(realm), *names_of(name)])

        home = TlsHome(trust_of(authority, known_by("home.example", HOME_NAME)), answer=accept_with_keys)
        await home.start()
        stack.callback(home.stop)
        listeners = listen_for_streams(), listen_for_streams()
        front = await stack.enter_async_context(running_proxy(listeners[0], b"f" * 32))
        behind = await stack.enter_async_context(running_proxy(listeners[1]))
        behind.swap(
            snapshot_of(
                peer_trust(authority, known_by("fed.example", OWN_NAME)),
                tls_home_server(home.port),
                clients=(replace(TLS_CLIENT, key="visited/proxy", is_proxy=True),),
            )
        )

        def show_another() -> None:
            front.swap(
                snapshot_of(
                    peer_trust(authority, issue(authority, CLIENT_NAME, OWN_NAME)),
                    tls_home_server(listeners[1].getsockname()[1], "fed/proxy", ("fed.example",)),
                    clients=(replace(TLS_CLIENT, certificate_name=DEVICE_NAME),),
                )
            )

        show_another()
        device = TlsDevice(trust_of(authority, issue(authority, DEVICE_NAME)), listeners[0].getsockname()[1])
        stack.callback(device.link.close)
        await device.connect()
        await until(lambda: "fed/proxy" in front.streams.peers() and "home/tls" in behind.streams.peers())
        yield Chain(front, behind, home, device, show_another)


class TestChain:
    async def test_two_of_us_speak_it(self, chain: Chain) -> None:
        """Where both ends know RADIUS/1.1, TLS 1.3 carries it; to others it stays RADIUS/1.0 (RFC 9765 §3.3)."""
        assert chain.front.streams.peers()["fed/proxy"]["radius"] == "1.1"
        assert chain.behind.streams.peers()["visited/proxy"]["radius"] == "1.1"
        assert chain.behind.streams.peers()["home/tls"]["radius"] == "1.0"

    async def test_keys_arrive(self, chain: Chain) -> None:
        """What is hidden in RADIUS/1.0 travels as it is in RADIUS/1.1, and is hidden again behind it (§5.1)."""
        answer = await chain.device.ask(access_request(keyed=RADSEC))
        assert answer.code == Code.ACCESS_ACCEPT
        hidden = find_vendor(answer, MICROSOFT, 16)
        assert hidden is not None
        assert reveal_salted(hidden, RADSEC, AUTHENTICATOR) == KEY

    async def test_hundreds_are_on_their_way_over_one_connection(self, chain: Chain) -> None:
        """Tokens tell apart more requests than identifiers could: no second connection is made (§4.2)."""
        waiting: list[Packet] = []
        chain.home.answer = waiting.append
        devices = [chain.device]
        for number, identifier in ((number, identifier) for number in range(3) for identifier in range(256)):
            if number == len(devices):
                assert chain.device.link.trust is not None
                more = TlsDevice(chain.device.link.trust, chain.device.link.target.port)
                await more.connect()
                devices.append(more)
            octets = access_request(keyed=RADSEC, identifier=identifier, authenticator=bytes((number,)) * 16)
            assert devices[number].link.send(octets)
        await until(lambda: len(waiting) == 768)
        assert chain.front.streams.counters()["tls_links_up"] == 1
        assert chain.behind.streams.counters()["tls_connections"] == 1
        chain.home.answer = accept_with_keys
        chain.home.release(waiting)
        await until(lambda: sum(len(each.packets) for each in devices) == 768)
        for more in devices[1:]:
            more.link.close()

    async def test_status_server_and_accounting_pass(self, chain: Chain) -> None:
        """An idle connection is asked how it is, and a report is answered where it arrives."""
        upstream = chain.front.engine.upstreams["fed/proxy"]
        upstream.liveness.ask(0.0)
        chain.front.engine.forwarding.watch.see(upstream, HopEvent.UNANSWERED, monotonic())
        chain.front.keep_time()
        await until(lambda: upstream.liveness.state is HopState.UP)
        report = sign_request(Code.ACCOUNTING_REQUEST, 4, b"", b"\x28\x06\x00\x00\x00\x01", RADSEC)
        assert (await chain.device.ask(report)).code == Code.ACCOUNTING_RESPONSE

    async def test_lost_connection_loses_nothing(self, chain: Chain) -> None:
        """What waits on any of its streams is asked again on the next connection."""
        waiting: list[Packet] = []
        chain.home.answer = waiting.append
        for identifier in range(256):
            assert chain.device.link.send(access_request(keyed=RADSEC, identifier=identifier))
        await until(lambda: len(waiting) == 256)
        chain.home.answer = accept_with_keys
        for stream in chain.front.engine.upstreams["fed/proxy"].standing:
            stream.restart()
        await until(lambda: len(chain.device.packets) == 256)
        assert {packet.code for packet in chain.device.packets} == {Code.ACCESS_ACCEPT}

    async def test_what_can_not_be_forwarded_is_a_protocol_error(self, chain: Chain) -> None:
        """Between the two of us it needs no setting; the device, which knows none of it, gets a no (RFC 9765 §6.1)."""
        chain.home.stop()
        answer = await chain.device.ask(access_request(keyed=RADSEC))
        assert answer.code == Code.ACCESS_REJECT
        assert error_causes(answer) == [502]
        assert chain.behind.notices.answers["protocol_error"] == 1
        assert chain.front.notices.drops[DropReason.PROTOCOL_ERROR] == 1

    async def test_renewed_certificate_moves_streams_and_loses_nothing(self, chain: Chain) -> None:
        """What waits on any stream is answered on the connection that it was sent on; Tokens of the two do not meet."""
        waiting: list[Packet] = []
        chain.home.answer = waiting.append
        for identifier in range(256):
            assert chain.device.link.send(access_request(keyed=RADSEC, identifier=identifier))
        await until(lambda: len(waiting) == 256)
        before = chain.behind.streams.peers()["visited/proxy"]["serial"]
        chain.renew()
        await until(lambda: chain.behind.streams.counters()["tls_connections"] == 2)
        await until(lambda: chain.behind.streams.peers()["visited/proxy"]["serial"] != before)
        chain.home.answer = accept_with_keys
        chain.home.release(waiting)
        await until(lambda: len(chain.device.packets) == 256)
        assert {packet.code for packet in chain.device.packets} == {Code.ACCESS_ACCEPT}
        assert len(chain.home.requests) == 256
        assert chain.front.engine.upstreams["fed/proxy"].repeats == 0
        await until(lambda: chain.behind.streams.counters()["tls_connections"] == 1)
        await until(lambda: chain.device.link.is_up)
        assert (await chain.device.ask(access_request(keyed=RADSEC))).code == Code.ACCESS_ACCEPT
