"""Requests for realms of the DNS through a whole proxy worker: a real nameserver, real TLS, real time."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from socket import SOCK_STREAM
from time import monotonic
from typing import cast

import pytest

from federation.events import Outcome
from federation.reasons import RefusalReason
from federation.snapshot import DiscoveryAuthority, DiscoveryPolicy, Snapshot
from radius.proxy.service import ProxyService, ProxySockets
from radius.transport.nameservers import Nameserver
from radius.wire.codes import Code
from tests.interop.zones import LAB, ZONE, realm, server
from tests.radius.proxy.streams import (
    CLIENT_NAME,
    HOME_NAME,
    OWN_NAME,
    RADSEC,
    TlsDevice,
    TlsHome,
    issue,
    listen_for_streams,
    peer_trust,
    snapshot_of,
    tls_home_server,
    trust_of,
    until,
)
from tests.radius.proxy.world import access_request, read_sign_in
from tests.radius.transport.tls.members import Authority, nai_realm, names_of
from tests.support.nameserver import scripted_nameserver, start_knot
from tests.support.processes import free_port

pytestmark = pytest.mark.interop

ELSEWHERE = "127.0.0.9"  # where the servers of the DNS are; the client asks from 127.0.0.1
POLICY = DiscoveryPolicy(("x-biebroam:radius.tls",), allowed_networks=LAB)
STRICT = replace(POLICY, allowed_networks=())


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {name: free_port(SOCK_STREAM) for name in ("proxy", "good", "other", "dead")}


@pytest.fixture(scope="module")
def nameserver(tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int]) -> Generator[Nameserver]:
    """Knot, with the zone of bad realms and realms whose servers are on this machine."""
    zone = ZONE + "".join(
        (
            realm("mirror", "mirror"),
            server("mirror", ELSEWHERE, port=ports["proxy"]),
            realm("back", "back"),
            server("back", "127.0.0.1", port=ports["good"]),
            realm("good", "good"),
            server("good", ELSEWHERE, port=ports["good"]),
            realm("multi", "multi"),
            server("multi", "127.0.0.8", ELSEWHERE, "127.0.0.7", port=ports["good"]),
            realm("neighbour", "good"),  # another realm that leads to the same server, by its own records
            realm("two", "two"),
            f"_radsec._tcp.two SRV 10 0 {ports['other']} one.two\n_radsec._tcp.two SRV 20 0 {ports['good']} two.two\n",
            f"one.two A {ELSEWHERE}\ntwo.two A {ELSEWHERE}\n",
            realm("gone", "gone"),
            server("gone", ELSEWHERE, port=ports["dead"]),
            realm("shortlived", "shortlived", ttl=0),
            server("shortlived", ELSEWHERE, port=ports["good"], ttl=0),
            realm("longlived", "longlived", ttl=2**31 - 1),
            server("longlived", ELSEWHERE, port=ports["good"], ttl=2**31 - 1),
        )
    )
    port = free_port()
    with start_knot(tmp_path_factory.mktemp("knot"), port=port, zones={"example": zone, "broken.test": None}):
        yield "127.0.0.1", port


class Path7585:
    """A proxy worker with discovery between a client and servers that only the DNS knows."""

    def __init__(self, authority: Authority, ports: dict[str, int], nameserver: Nameserver) -> None:
        self.authority = authority
        self.ports = ports
        self.nameserver = nameserver
        self.own = issue(authority, OWN_NAME)
        self.member_home = TlsHome(
            trust_of(authority, authority.issue([nai_realm("home.example"), *names_of(HOME_NAME)]))
        )
        self.homes: dict[str, TlsHome] = {}

    async def start(self, stack: AsyncExitStack, policy: DiscoveryPolicy | None) -> None:
        await self.member_home.start()
        stack.callback(self.member_home.stop)
        listener = listen_for_streams()
        stack.callback(listener.close)
        self.service = ProxyService(ProxySockets([], [], [listener]), loop_key=b"k" * 32, nameservers=[self.nameserver])
        self.service.start()
        stack.push_async_callback(self.service.stop, 0.0)
        self.swap(policy)
        device = TlsDevice(trust_of(self.authority, issue(self.authority, CLIENT_NAME)), listener.getsockname()[1])
        stack.callback(device.link.close)
        await device.connect()
        self.device = device

    def snapshot(self, policy: DiscoveryPolicy | None, revision: int = 1) -> Snapshot:
        trust = peer_trust(self.authority, self.own)
        made = snapshot_of(trust, tls_home_server(self.member_home.port), revision=revision)
        return replace(made, discovery=policy)

    def swap(self, policy: DiscoveryPolicy | None, revision: int = 1) -> None:
        self.service.swap(self.snapshot(policy, revision))

    async def serve(self, stack: AsyncExitStack, name: str, *realms: str, signer: Authority | None = None) -> TlsHome:
        """A server at that port whose certificate holds these realms."""
        member = (signer or self.authority).issue([*map(nai_realm, realms), *names_of("radius.somewhere.example")])
        home = TlsHome(trust_of(signer or self.authority, member, self.authority), self.ports[name], ELSEWHERE)
        await home.start()
        stack.callback(home.stop)
        self.homes[name] = home
        return home

    async def ask(self, realm_name: str, identifier: int = 7, seconds: float = 10.0) -> int:
        """The code of the answer to a patron of that realm."""
        authenticator = identifier.to_bytes(16)
        octets = access_request(
            keyed=RADSEC, name=f"anonymous@{realm_name}".encode(), identifier=identifier, authenticator=authenticator
        )
        return (await self.device.ask(octets, seconds)).code

    def refusals(self) -> dict[str, int]:
        return dict(self.service.notices.refusals)

    def counter(self, name: str) -> int:
        return cast("int", self.service.counters()[name])


@asynccontextmanager
async def running(
    authority: Authority, ports: dict[str, int], nameserver: Nameserver, policy: DiscoveryPolicy | None = POLICY
) -> AsyncGenerator[tuple[Path7585, AsyncExitStack]]:
    async with AsyncExitStack() as stack:
        made = Path7585(authority, ports, nameserver)
        await made.start(stack, policy)
        yield made, stack


@pytest.fixture
async def path(
    authority: Authority, ports: dict[str, int], nameserver: Nameserver
) -> AsyncIterator[tuple[Path7585, AsyncExitStack]]:
    async with running(authority, ports, nameserver) as made:
        yield made


class TestFound:
    async def test_request_waits_goes_and_the_next_one_knows_the_way(
        self, path: tuple[Path7585, AsyncExitStack]
    ) -> None:
        """The first request waits for the DNS, the next uses what was found (RFC 7585 §3.4.3); sign-ins show where."""
        proxy, stack = path
        home = await proxy.serve(stack, "good", "good.example")
        assert await proxy.ask("good.example") == Code.ACCESS_ACCEPT
        assert await proxy.ask("good.example", 8) == Code.ACCESS_ACCEPT
        assert len(home.requests) == 2
        assert len(home.connections) == 1
        counters = [proxy.counter(f"discovery_{name}") for name in ("found", "waits", "hits", "held", "learned")]
        assert counters == [1, 1, 1, 0, 1]
        event = read_sign_in(proxy.service.take_events()[-1])
        place = f"discovered:good.example/radius.good.example:{proxy.ports['good']}"
        assert (event.realm, event.home, event.home_server) == ("good.example", "", place)
        assert event.outcome is Outcome.ACCEPTED

    async def test_members_realm_is_not_looked_for(self, path: tuple[Path7585, AsyncExitStack]) -> None:
        """A realm that a library has goes to its own home server, whatever the DNS says (R4.4)."""
        proxy, _ = path
        assert await proxy.ask("home.example") == Code.ACCESS_ACCEPT
        assert proxy.counter("discovery_waits") == 0

    async def test_next_server_is_asked_when_the_first_is_away(self, path: tuple[Path7585, AsyncExitStack]) -> None:
        """Of two servers the one that can be connected to gets the request, within seconds (RFC 2782)."""
        proxy, stack = path
        home = await proxy.serve(stack, "good", "two.example")
        began = monotonic()
        assert await proxy.ask("two.example") == Code.ACCESS_ACCEPT
        assert monotonic() - began < 4
        assert len(home.requests) == 1

    async def test_every_address_of_a_server_is_tried(self, path: tuple[Path7585, AsyncExitStack]) -> None:
        """Of one server's addresses, those that were judged are dialled in turn; two of the three refuse here."""
        proxy, stack = path
        await proxy.serve(stack, "good", "multi.example")
        assert await proxy.ask("multi.example") == Code.ACCESS_ACCEPT

    async def test_ttl_zero_holds_a_minute_and_the_longest_an_hour(self, path: tuple[Path7585, AsyncExitStack]) -> None:
        """Effective TTLs are bounded (RFC 7585 §3.4.2); an unused server is closed when its records are over."""
        proxy, stack = path
        home = await proxy.serve(stack, "good", "shortlived.example", "longlived.example")
        assert await proxy.ask("shortlived.example") == Code.ACCESS_ACCEPT
        assert await proxy.ask("longlived.example", 8) == Code.ACCESS_ACCEPT
        learning = proxy.service.engine.learning
        assert learning is not None
        learning.tidy(monotonic() + 55)
        assert proxy.counter("discovery_learned") == 2
        learning.tidy(monotonic() + 62)
        assert proxy.counter("discovery_learned") == 1
        learning.tidy(monotonic() + 601)
        assert proxy.counter("discovery_learned") == 0
        await until(lambda: not home.connections)

    async def test_other_rules_close_what_was_found(self, path: tuple[Path7585, AsyncExitStack]) -> None:
        """When discovery is switched off its servers are left at once, and its realms are unroutable."""
        proxy, stack = path
        home = await proxy.serve(stack, "good", "good.example")
        assert await proxy.ask("good.example") == Code.ACCESS_ACCEPT
        proxy.swap(None, 2)
        await until(lambda: not home.connections)
        assert await proxy.ask("good.example", 8) == Code.ACCESS_REJECT
        assert proxy.refusals() == {RefusalReason.UNROUTABLE: 1}
        assert "discovery_found" not in proxy.service.counters()


class TestBelief:
    async def test_server_that_does_not_hold_the_realm_is_not_asked(
        self, path: tuple[Path7585, AsyncExitStack]
    ) -> None:
        """A certificate of the federation for another realm proves nothing (RFC 7585 §2.2); nothing is sent to it."""
        proxy, stack = path
        home = await proxy.serve(stack, "good", "good.example")
        assert await proxy.ask("neighbour.example") == Code.ACCESS_REJECT
        assert await proxy.ask("neighbour.example", 8) == Code.ACCESS_REJECT
        assert proxy.refusals() == {RefusalReason.DISCOVERY_CERTIFICATE: 2}
        assert await proxy.ask("good.example", 9) == Code.ACCESS_ACCEPT
        assert [request.identifier for request in home.requests] != []
        assert len(home.requests) == 1

    async def test_name_of_the_host_proves_nothing(self, path: tuple[Path7585, AsyncExitStack]) -> None:
        """The host's name came from the DNS: a certificate for it is none for the realm."""
        proxy, stack = path
        member = proxy.authority.issue(names_of("radius.good.example"))
        home = TlsHome(trust_of(proxy.authority, member), proxy.ports["good"], ELSEWHERE)
        await home.start()
        stack.callback(home.stop)
        assert await proxy.ask("good.example") == Code.ACCESS_REJECT
        assert proxy.refusals() == {RefusalReason.DISCOVERY_CERTIFICATE: 1}

    async def test_other_authority_is_not_believed(self, path: tuple[Path7585, AsyncExitStack]) -> None:
        """A chain that ends elsewhere is refused in the handshake, and the realm is not tried again for long."""
        proxy, stack = path
        home = await proxy.serve(stack, "good", "good.example", signer=Authority("stranger"))
        assert await proxy.ask("good.example") == Code.ACCESS_REJECT
        assert await proxy.ask("good.example", 8) == Code.ACCESS_REJECT
        assert proxy.refusals() == {RefusalReason.DISCOVERY_CERTIFICATE: 2}
        assert home.requests == []

    async def test_policy_of_the_federation_is_asked_for(
        self, authority: Authority, ports: dict[str, int], nameserver: Nameserver
    ) -> None:
        """Where the policy names object identifiers, the realm alone is not enough."""
        policy = replace(POLICY, own_authority=DiscoveryAuthority(frozenset({"1.2.3.4"})))
        async with running(authority, ports, nameserver, policy) as (proxy, stack):
            await proxy.serve(stack, "good", "good.example")
            assert await proxy.ask("good.example") == Code.ACCESS_REJECT
            assert proxy.refusals() == {RefusalReason.DISCOVERY_CERTIFICATE: 1}

    async def test_server_that_nobody_can_connect_to_is_refused_in_seconds(
        self, path: tuple[Path7585, AsyncExitStack]
    ) -> None:
        """Requests wait for the grace of any lost connection, later ones are refused at once for a while."""
        proxy, _ = path
        began = monotonic()
        assert await proxy.ask("gone.example") == Code.ACCESS_REJECT
        assert monotonic() - began < 6
        await until(lambda: proxy.counter("discovery_learned") == 0)
        assert await proxy.ask("gone.example", 8) == Code.ACCESS_REJECT
        assert proxy.refusals() == {
            RefusalReason.NO_LIVE_HOME_SERVER: 1,
            RefusalReason.DISCOVERY_UNREACHABLE: 1,
        }


class TestBadRealms:
    """Group 18 of the bad input: what each is worth on the packet path."""

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("loopback.example", RefusalReason.DISCOVERY_ADDRESS_NOT_ALLOWED),
            ("private.example", RefusalReason.DISCOVERY_ADDRESS_NOT_ALLOWED),
            ("nosrv.example", RefusalReason.DISCOVERY_NO_NAME),
            ("closed.example", RefusalReason.DISCOVERY_NOT_OFFERED),
            ("shell.example", RefusalReason.DISCOVERY_RECORD_MALFORMED),
            ("shell2.example", RefusalReason.DISCOVERY_RECORD_MALFORMED),
            ("cname1.example", RefusalReason.DISCOVERY_CHAIN_TOO_LONG),
            ("crowd.example", RefusalReason.DISCOVERY_TOO_MANY_RECORDS),
            ("silent.example", RefusalReason.DISCOVERY_NO_SERVICE),
            ("missing.example", RefusalReason.DISCOVERY_NO_NAME),
            ("lib.broken.test", RefusalReason.DISCOVERY_NAMESERVER_FAILED),
        ],
    )
    async def test_realm_is_refused_with_its_reason(
        self, authority: Authority, ports: dict[str, int], nameserver: Nameserver, name: str, reason: RefusalReason
    ) -> None:
        """Nothing is connected to, and the client gets an Access-Reject: at once the second time."""
        async with running(authority, ports, nameserver, STRICT) as (proxy, _):
            assert await proxy.ask(name) == Code.ACCESS_REJECT
            assert await proxy.ask(name, 8) == Code.ACCESS_REJECT
            assert proxy.refusals() == {reason: 2}
            assert proxy.counter("discovery_learned") == 0
            assert (proxy.counter("discovery_waits"), proxy.counter("discovery_hits")) == (1, 1)

    async def test_realm_that_leads_to_this_proxy_is_a_loop(
        self, authority: Authority, ports: dict[str, int], nameserver: Nameserver
    ) -> None:
        """An own address at the port where this worker takes RADIUS/TLS is itself (RFC 7585 §3.4.4)."""
        async with running(authority, ports, nameserver) as (proxy, _):
            rules = proxy.service.discovering
            assert proxy.ports["proxy"] not in rules.own_ports
            rules.own_ports = frozenset({proxy.ports["proxy"]})
            proxy.swap(replace(POLICY, realms=("mirror.example",)), 2)
            assert await proxy.ask("mirror.example") == Code.ACCESS_REJECT
            assert proxy.refusals() == {RefusalReason.DISCOVERY_LOOP_TO_SELF: 1}

    async def test_realm_that_leads_to_who_asks_is_a_loop(self, path: tuple[Path7585, AsyncExitStack]) -> None:
        """The client at 127.0.0.1 is not sent its own request back."""
        proxy, _ = path
        assert await proxy.ask("back.example") == Code.ACCESS_REJECT
        assert proxy.refusals() == {RefusalReason.DISCOVERY_LOOP_TO_ASKER: 1}

    async def test_only_realms_of_the_policy_are_looked_for(
        self, authority: Authority, ports: dict[str, int], nameserver: Nameserver
    ) -> None:
        """Where the federation names realms, others are unroutable, and the DNS is not asked."""
        policy = replace(POLICY, realms=("*.other.example",))
        async with running(authority, ports, nameserver, policy) as (proxy, _):
            assert await proxy.ask("good.example") == Code.ACCESS_REJECT
            assert proxy.refusals() == {RefusalReason.UNROUTABLE: 1}
            assert proxy.counter("discovery_waits") == 0


class TestHangingDns:
    async def test_others_are_not_kept_waiting_while_look_ups_hang(
        self, authority: Authority, ports: dict[str, int]
    ) -> None:
        """While a nameserver takes ten seconds, patrons of members sign in; the others get a no within three."""
        async with (
            scripted_nameserver(lambda _: None) as silent,
            running(authority, ports, silent.nameserver) as (proxy, _),
        ):
            for identifier in range(100, 116):
                octets = access_request(
                    keyed=RADSEC,
                    name=f"anonymous@r{identifier}.example".encode(),
                    identifier=identifier,
                    authenticator=identifier.to_bytes(16),
                )
                assert proxy.device.link.send(octets)
            began = monotonic()
            await until(lambda: proxy.counter("discovery_held") == 16)
            times: list[float] = []
            for identifier in range(20):
                asked = monotonic()
                assert await proxy.ask("home.example", identifier) == Code.ACCESS_ACCEPT
                times.append(monotonic() - asked)
            assert sorted(times)[10] < 0.1
            assert await proxy.ask("r200.example", 200) == Code.ACCESS_REJECT  # one more than one asker may have
            await until(lambda: proxy.counter("discovery_held") == 0)
            assert monotonic() - began < 5
            await until(lambda: len(proxy.device.packets) == 16 + 20 + 1)
            assert proxy.refusals() == {RefusalReason.DISCOVERY_TIMED_OUT: 16, RefusalReason.DISCOVERY_BUSY: 1}

    async def test_repeat_of_a_request_that_waits_meets_what_was_found(
        self, authority: Authority, ports: dict[str, int]
    ) -> None:
        """A repeat while its first copy waits is a duplicate (RFC 5080 §2.2.2), and gets the same answer later."""
        async with (
            scripted_nameserver(lambda _: None) as silent,
            running(authority, ports, silent.nameserver) as (proxy, _),
        ):
            octets = access_request(keyed=RADSEC, name=b"anonymous@slow.example")
            assert proxy.device.link.send(octets)
            assert proxy.device.link.send(octets)
            await until(lambda: len(proxy.device.packets) == 1)
            first = proxy.device.packets[0].octets
            assert (await proxy.device.ask(octets)).octets == first
            assert proxy.counter("discovery_waits") == 1
            await asyncio.sleep(0)

    async def test_stop_answers_what_waits(self, authority: Authority, ports: dict[str, int]) -> None:
        """A worker that ends tells who waits for the DNS, and does not wait for it."""
        async with (
            scripted_nameserver(lambda _: None) as silent,
            running(authority, ports, silent.nameserver) as (proxy, _),
        ):
            octets = access_request(keyed=RADSEC, name=b"anonymous@slow.example")
            assert proxy.device.link.send(octets)
            await until(lambda: proxy.counter("discovery_held") == 1)
            began = monotonic()
            await proxy.service.stop(1.0)
            assert monotonic() - began < 1.0
            assert proxy.refusals() == {RefusalReason.DISCOVERY_NAMESERVER_FAILED: 1}
