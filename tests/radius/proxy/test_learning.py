"""Requests for realms of the DNS, without DNS, sockets or clock: the real rules and cache, time as a number."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network

import pytest

from federation.reasons import RefusalReason
from federation.snapshot import DiscoveryPolicy, SharedSecret, Snapshot
from radius.discovery.cache import DiscoveryCache, Outcome, Pending, Resume
from radius.discovery.guards import Asker, Refusal, Rules
from radius.discovery.records import Answer, Kind
from radius.exchange.bulkheads import Bulkhead
from radius.proxy.engine import Engine
from radius.proxy.learning import MAX_UNPROVEN_PER_ASKER, REFUSALS, Learning
from radius.proxy.loops import LoopGuard
from radius.proxy.ports import Stream, StreamOwner
from radius.wire.authenticators import KeyedSecret, sign_request
from radius.wire.codes import Code, ErrorCause
from tests.radius.discovery.maps import GOOD, addresses, follow, found, naptr, srv
from tests.radius.proxy import world
from tests.radius.proxy.world import (
    ACCESS_POINT,
    OTHER_PROXY,
    PROXY,
    PROXY_ADDRESS,
    World,
    access_request,
    error_causes,
    home_server,
    make_snapshot,
    parse,
    respond,
)

RADSEC = KeyedSecret(SharedSecret(b"radsec"))
POLICY = DiscoveryPolicy(("x-biebroam:radius.tls",))
REALM = "lib.example"
Zone = Mapping[tuple[str, Kind], Answer]
TWO: Zone = {
    **GOOD,
    ("_radsec._tcp.lib.example", Kind.SRV): found(srv("one.lib.example."), srv("two.lib.example.", priority=1)),
    ("one.lib.example", Kind.A): addresses("9.9.9.1"),
    ("two.lib.example", Kind.A): addresses("9.9.9.2"),
}


class DnsInMemory:
    """The cache and the walk as they are, over a zone of the test's; look-ups end when the test says so."""

    def __init__(self) -> None:
        self.zone: Zone = GOOD
        self.cache = DiscoveryCache()
        self.waiting: list[str] = []

    def find(self, realm: str, asker: Asker, now: float, resume: Resume) -> Outcome | Pending:
        outcome = self.cache.find(realm, asker, now, resume)
        self.waiting += self.cache.take_lookups()
        return outcome

    def report(self, realm: str, refusal: Refusal, now: float) -> None:
        self.cache.report(realm, refusal, now)

    def end(self, now: float) -> None:
        """Every look-up that is under way has ended."""
        waiting, self.waiting = self.waiting, []
        for realm in waiting:
            for resume, outcome in self.cache.finish(realm, follow(self.zone, realm, Rules()), now):
                resume(outcome, now)


class FakeStream:
    """A connection in memory."""

    def __init__(self, owner: StreamOwner) -> None:
        self.owner = owner
        self.sent: list[bytes] = []
        self.is_closed = False

    def send(self, octets: bytes, /) -> bool:
        self.sent.append(octets)
        return True

    def restart(self) -> None:
        """It comes again by itself."""

    def close(self) -> None:
        self.is_closed = True


class Outside(World):
    """A federation, and the libraries that are in the DNS alone."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        super().__init__()
        self.streams: list[FakeStream] = []
        self.dns = DnsInMemory()
        self.turns = 0
        self.asked = 0
        self.engine = Engine(
            notices=self.notices,
            open_flow=self._open,
            open_stream=self._open_stream,
            random_octets=self._random,
            random_fraction=lambda: 0.5,
            wall_clock=lambda: 1.7e9,
            emit=self.told.append,
            loop_guard=LoopGuard(b"k" * 32),
        )
        self.engine.swap(snapshot or make_snapshot(discovery=POLICY))
        self.learning = self.engine.learning = Learning(self.engine, self.dns, self._turn)

    def _open_stream(self, owner: StreamOwner, /) -> Stream | None:
        stream = FakeStream(owner)
        self.streams.append(stream)
        return stream

    def _turn(self) -> None:
        self.turns += 1

    def ask(self, realm: str = REALM, identifier: int = 7) -> None:
        """A new request, also where its identifier was used before."""
        self.asked += 1
        name = f"anonymous@{realm}".encode()
        self.send(access_request(name=name, identifier=identifier, authenticator=self.asked.to_bytes(16)))

    def stand(self, stream: FakeStream) -> None:
        stream.owner.resume(stream, self.now)

    def reply(self, stream: FakeStream) -> None:
        """The home server accepts what it was sent."""
        stream.owner.receive(stream, respond(parse(stream.sent[-1]), keyed=RADSEC), self.now)

    def answers(self) -> list[int]:
        return [octets[0] for octets in self.take_answers()]

    def refusals(self) -> dict[str, int]:
        return dict(self.notices.refusals)


class TestWaiting:
    def test_request_waits_and_goes_to_what_was_found(self) -> None:
        """Nothing is dialled and nobody answered before the DNS has answered; then the request goes its way."""
        outside = Outside()
        outside.ask()
        assert (outside.learning.held, outside.streams, outside.take_answers()) == (1, [], [])
        outside.dns.end(outside.now)
        assert (outside.learning.held, outside.turns) == (0, 1)
        (stream,) = outside.streams
        outside.stand(stream)
        outside.reply(stream)
        assert outside.answers() == [Code.ACCESS_ACCEPT]

    def test_client_that_moved_on_costs_nothing(self) -> None:
        """A request that its client has replaced meanwhile is not sent (RFC 5080 §2.2.2)."""
        outside = Outside()
        outside.ask()
        outside.send(
            access_request(name=b"anonymous@lib.example", identifier=7, authenticator=bytes(range(16)))
        )  # the same identifier, another request
        outside.dns.end(outside.now)
        (stream,) = outside.streams
        assert len(stream.sent) == 1
        assert outside.engine.outstanding == 1

    def test_refusal_is_told_with_its_reason_and_may_be_routed_elsewhere(self) -> None:
        """The client gets an Access-Reject that says that the realm is not routable (Error-Cause 502)."""
        outside = Outside()
        outside.dns.zone = {}
        outside.ask()
        outside.dns.end(outside.now)
        (answer,) = outside.take_answers()
        assert answer[0] == Code.ACCESS_REJECT
        assert error_causes(parse(answer)) == [ErrorCause.REQUEST_NOT_ROUTABLE]
        outside.ask(identifier=8)  # from memory now
        assert outside.refusals() == {RefusalReason.DISCOVERY_NO_NAME: 2}

    def test_default_route_is_the_way_for_what_is_not_found(self) -> None:
        """Discovery comes before the default route, and the default route after it (R4.4)."""
        snapshot = make_snapshot(home_server("up/1"), discovery=POLICY, default_home_servers=("up/1",))
        outside = Outside(snapshot)
        outside.dns.zone = {}
        outside.ask()
        assert outside.take_forwarded() == []
        outside.dns.end(outside.now)
        assert len(outside.take_requests()) == 1

    def test_client_with_too_much_outstanding_is_refused_after_its_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is true of a client is asked again when its request goes on."""
        outside = Outside()
        outside.ask()
        monkeypatch.setattr(outside.engine.protection, "clients", Bulkhead(0))
        outside.dns.end(outside.now)
        assert outside.refusals() == {RefusalReason.CLIENT_OVERLOAD: 1}

    def test_accounting_is_answered_here(self) -> None:
        """Accounting asks no DNS: no library has asked for it (RFC 7593 §5)."""
        outside = Outside()
        body = world.user_name(b"anonymous@lib.example")
        octets = sign_request(Code.ACCOUNTING_REQUEST, 7, bytes(16), body, world.AP)
        outside.send(octets, listener=outside.accounting)
        assert [octets[0] for octets in outside.take_answers(outside.accounting)] == [Code.ACCOUNTING_RESPONSE]
        assert outside.learning.waits == 0


class TestAskers:
    def test_proxy_is_not_sent_into_its_own_network(self) -> None:
        """A library's proxy may be reached at another address than it asks from, in the network that is its own."""
        proxy = replace(OTHER_PROXY, networks=(ip_network("9.9.9.0/24"), *OTHER_PROXY.networks))
        outside = Outside(make_snapshot(clients=(ACCESS_POINT, proxy), discovery=POLICY))
        octets = access_request(name=b"anonymous@lib.example", keyed=PROXY)
        outside.send(octets, PROXY_ADDRESS)
        outside.dns.end(outside.now)
        outside.ask(identifier=8)
        assert outside.refusals() == {RefusalReason.DISCOVERY_LOOP_TO_ASKER: 1}
        assert len(outside.streams) == 1

    def test_access_points_network_may_hold_a_home_server(self) -> None:
        """An access point's network is wide: only the address that it asks from is the asker."""
        point = replace(ACCESS_POINT, networks=(*ACCESS_POINT.networks, ip_network("9.9.9.0/24")))
        outside = Outside(make_snapshot(clients=(point,), discovery=POLICY))
        outside.ask()
        outside.dns.end(outside.now)
        assert outside.refusals() == {}


class TestServers:
    def learned(self, zone: Zone = GOOD) -> Outside:
        outside = Outside()
        outside.dns.zone = zone
        outside.ask()
        outside.dns.end(outside.now)
        return outside

    def test_certificate_that_is_no_good_moves_requests_to_the_next_server(self) -> None:
        """Of several servers the others are asked; when all are no good the realm is refused for long."""
        outside = self.learned(TWO)
        one = outside.streams[0]
        outside.learning.refuse(one.owner.server, outside.now)
        assert one.is_closed
        two = outside.streams[1]
        outside.stand(two)
        assert len(two.sent) >= 1
        assert outside.take_answers() == []
        outside.learning.refuse(two.owner.server, outside.now)
        assert outside.answers() == [Code.ACCESS_REJECT]
        outside.now += 599
        outside.ask(identifier=8)
        assert outside.refusals() == {RefusalReason.DISCOVERY_CERTIFICATE: 2}
        assert len(outside.learning.servers) == 0

    def test_one_that_was_refused_does_not_come_back_with_a_snapshot(self) -> None:
        """What was learned stays when the federation changes, and what was refused stays away."""
        outside = self.learned(TWO)
        one = outside.streams[0].owner.server
        outside.learning.refuse(one, outside.now)
        (left,) = outside.learning.servers
        assert left != one.key
        assert outside.engine.routes is not None
        outside.engine.swap(outside.engine.routes.snapshot)
        assert one.key not in outside.engine.upstreams
        assert left in outside.engine.upstreams

    def test_members_server_is_not_refused_so(self) -> None:
        """A member's home server is dialled again, whatever it shows: its registry entry stands."""
        outside = self.learned()
        assert not outside.learning.refuse(home_server(), outside.now)

    def test_server_that_moved_is_another_one(self) -> None:
        """Where the addresses changed a new connection is made, and the old one ends when it has answered."""
        outside = self.learned()
        (before,) = outside.streams
        outside.stand(before)
        outside.dns.zone = {**GOOD, ("radius.lib.example", Kind.A): addresses("9.9.9.10")}
        outside.dns.cache.forget(REALM)
        outside.ask(identifier=8)
        outside.dns.end(outside.now)
        _, after = outside.streams
        assert after.owner.server.addresses == ("2620:fe::9", "9.9.9.10")
        assert not before.is_closed
        outside.reply(before)
        outside.run(60)
        assert before.is_closed

    def test_addresses_in_another_order_are_the_same_server(self) -> None:
        """Nameservers turn the order of addresses: that closes no connection."""
        zone = {**GOOD, ("radius.lib.example", Kind.A): addresses("9.9.9.9", "9.9.9.8")}
        outside = self.learned(zone)
        outside.dns.zone = {**GOOD, ("radius.lib.example", Kind.A): addresses("9.9.9.8", "9.9.9.9")}
        outside.dns.cache.forget(REALM)
        outside.ask(identifier=8)
        outside.dns.end(outside.now)
        assert len(outside.streams) == 1

    def test_one_of_two_that_stays_keeps_its_connection(self) -> None:
        """Only what changed of a realm's servers changes."""
        outside = self.learned(TWO)
        outside.stand(outside.streams[0])
        kept = outside.streams[0].owner.server
        outside.dns.zone = {**TWO, ("two.lib.example", Kind.A): addresses("9.9.9.3")}
        outside.dns.cache.forget(REALM)
        outside.ask(identifier=8)
        outside.dns.end(outside.now)
        assert outside.learning.servers[kept.key] is kept
        assert len(outside.streams) == 1

    def test_snapshot_that_changes_keeps_what_was_learned(self) -> None:
        """A change of the registry costs no connection to a server of the DNS."""
        outside = self.learned()
        (stream,) = outside.streams
        outside.engine.swap(make_snapshot(discovery=POLICY, revision=2))
        assert not stream.is_closed
        outside.ask(identifier=8)
        assert len(stream.sent) == 2

    def test_servers_out_of_reach_are_looked_up_again_soon(self) -> None:
        """When no connection comes about the realm is refused for seconds, then the DNS is asked again."""
        outside = self.learned()
        (stream,) = outside.streams
        stream.owner.interrupt([stream], outside.now)
        outside.run(4)
        stream.owner.interrupt([stream], outside.now)
        assert outside.refusals() == {RefusalReason.NO_LIVE_HOME_SERVER: 1}
        outside.learning.tidy(outside.now)
        assert stream.is_closed
        outside.ask(identifier=8)
        assert outside.refusals()[RefusalReason.DISCOVERY_UNREACHABLE] == 1
        outside.now += 6
        outside.ask(identifier=9)
        assert outside.learning.held == 1

    def test_unused_servers_are_forgotten_and_busy_ones_are_not(self) -> None:
        """A server goes when its records are over and nothing waits for it, or after ten minutes."""
        outside = self.learned()
        (stream,) = outside.streams
        outside.stand(stream)
        outside.learning.tidy(outside.now + 10_000)
        assert len(outside.learning.servers) == 1
        outside.reply(stream)
        outside.learning.tidy(outside.now + 301)  # the records say 300 s
        assert outside.learning.servers == {}
        assert stream.is_closed

    def test_close_leaves_nothing(self) -> None:
        """When discovery ends its servers are no home servers any more."""
        outside = self.learned()
        outside.learning.close()
        assert set(outside.engine.upstreams) == {"home/1"}
        assert outside.learning.counters()["discovery_learned"] == 0


class TestBounds:
    def flood(self, outside: Outside, names: Iterable[str]) -> None:
        for number, name in enumerate(names):
            outside.ask(name, number % 256)
            outside.dns.end(outside.now)
            outside.now += 0.1

    def zone_of(self, names: Sequence[str]) -> Zone:
        return {**GOOD, **{(name, Kind.NAPTR): found(naptr()) for name in names}}

    def test_one_asker_has_few_servers_that_have_proved_nothing(self) -> None:
        """Who invents realms that lead to servers makes this proxy dial a few of them at a time, not hundreds."""
        names = [f"r{number}.example" for number in range(40)]
        outside = Outside()
        outside.dns.zone = self.zone_of(names)
        self.flood(outside, names)
        assert len(outside.streams) == MAX_UNPROVEN_PER_ASKER
        assert outside.refusals()[RefusalReason.DISCOVERY_BUSY] == 40 - MAX_UNPROVEN_PER_ASKER

    def test_full_table_gives_up_an_unused_realm_of_who_has_most(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A realm of another client stays; one with requests outstanding stays, too; else the new one is refused."""
        monkeypatch.setattr("radius.proxy.learning.MAX_LEARNED", 3)
        names = [f"r{number}.example" for number in range(6)]
        outside = Outside()
        outside.dns.zone = self.zone_of(names)
        octets = access_request(name=b"anonymous@r0.example", keyed=PROXY)
        outside.send(octets, PROXY_ADDRESS)
        outside.dns.end(outside.now)
        self.flood(outside, names[1:3])
        for stream in outside.streams:
            outside.stand(stream)
            outside.reply(stream)
        self.flood(outside, names[3:4])
        assert {key.split("/")[0] for key in outside.learning.servers} == {
            "discovered:r0.example",
            "discovered:r2.example",
            "discovered:r3.example",
        }
        for number, name in enumerate(("r0.example", "r2.example")):
            outside.ask(name, 100 + number)
        self.flood(outside, names[4:5])
        assert outside.refusals() == {RefusalReason.DISCOVERY_BUSY: 1}

    def test_flood_of_invented_realms_leaves_members_alone(self) -> None:
        """Ten thousand names in a second begin a bounded number of look-ups, and a member's patron gets through."""
        outside = Outside()
        outside.dns.zone = {}
        for number in range(10_000):
            outside.ask(f"r{number}.example", number % 256)
        assert outside.learning.held <= 16
        assert outside.refusals()[RefusalReason.DISCOVERY_BUSY] >= 9_900
        outside.send(access_request(identifier=3, authenticator=b"m" * 16))
        assert len(outside.take_requests()) == 1


def test_every_refusal_of_discovery_has_its_reason() -> None:
    """The code of a refusal is the same in discovery's own counters and in the answers that are recorded."""
    assert {refusal: reason.value for refusal, reason in REFUSALS.items()} == {each: each.value for each in Refusal}
