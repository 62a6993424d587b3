"""The way from a realm to its servers."""

from collections import Counter
from ipaddress import ip_address
from random import Random

import pytest

from radius.discovery.guards import Refusal, Rules, Target
from radius.discovery.records import Answer, Kind, Question, Status
from radius.discovery.walk import (
    MAX_ADDRESSES,
    MAX_BRANCHES,
    MAX_RECORDS,
    MAX_STEPS,
    MAX_TARGETS,
    Found,
    choose_naptr,
    order_servers,
)
from tests.radius.discovery.maps import GOOD, SERVICE, addresses, follow, found, naptr, srv


class TestGoodRealm:
    """A realm as it should be."""

    def test_naptr_leads_to_servers_and_addresses(self) -> None:
        """NAPTR, SRV and addresses give a name, a port and where to connect; the shortest TTL of the chain holds."""
        target = Target("radius.lib.example", 2083, (ip_address("2620:fe::9"), ip_address("9.9.9.9")))
        assert follow(GOOD) == Found((target,), 300)

    def test_each_round_is_asked_at_once(self) -> None:
        """A realm takes three rounds: NAPTR, all SRV, all addresses."""
        asked: list[Question] = []
        follow(GOOD, asked=asked)
        assert asked == [
            Question("lib.example", Kind.NAPTR),
            Question("_radsec._tcp.lib.example", Kind.SRV),
            Question("radius.lib.example", Kind.AAAA),
            Question("radius.lib.example", Kind.A),
        ]

    def test_flag_a_leads_to_addresses_at_the_usual_port(self) -> None:
        """A NAPTR record with flag "a" names the host itself; RADIUS/TLS is at port 2083 (RFC 6614 §2.1)."""
        zone = {**GOOD, ("lib.example", Kind.NAPTR): found(naptr("Radius.lib.example.", flags="A"))}
        finding = follow(zone)
        assert isinstance(finding, Found)
        assert [(target.host, target.port) for target in finding.targets] == [("radius.lib.example", 2083)]

    def test_no_flag_leads_to_another_naptr(self) -> None:
        """A NAPTR record without flag is asked on at its replacement (RFC 3958 §2.2.2)."""
        zone = {
            **GOOD,
            ("sub.lib.example", Kind.NAPTR): found(naptr("lib.example.", flags=""), ttl=120),
        }
        finding = follow(zone, realm="sub.lib.example")
        assert isinstance(finding, Found)
        assert finding.seconds == 120

    def test_host_with_one_family_is_enough(self) -> None:
        """A server without IPv6, or without IPv4, is a server."""
        zone = {**GOOD, ("radius.lib.example", Kind.AAAA): Answer(Status.NO_DATA)}
        finding = follow(zone)
        assert isinstance(finding, Found)
        assert finding.targets[0].addresses == (ip_address("9.9.9.9"),)

    def test_order_is_that_of_naptr_then_of_srv(self) -> None:
        """Lower order, then lower preference, then lower priority comes first; flags may be mixed."""
        zone = {
            ("lib.example", Kind.NAPTR): found(
                naptr("elsewhere.example.", order=30, flags=""),  # the way ends with the first that ends it
                naptr("_late._tcp.lib.example.", order=20),
                naptr("host.lib.example.", order=10, preference=20, flags="a"),
                naptr("_early._tcp.lib.example.", order=10, preference=10),
            ),
            ("_early._tcp.lib.example", Kind.SRV): found(
                srv("b.lib.example.", priority=2), srv("a.lib.example.", priority=1, port=3000)
            ),
            ("_late._tcp.lib.example", Kind.SRV): found(srv("c.lib.example.")),
            **{(f"{host}.lib.example", Kind.A): addresses("9.9.9.9") for host in ("a", "b", "c", "host")},
        }
        finding = follow(zone)
        assert isinstance(finding, Found)
        assert [(target.host, target.port) for target in finding.targets] == [
            ("a.lib.example", 3000),
            ("b.lib.example", 2083),
            ("host.lib.example", 2083),
            ("c.lib.example", 2083),
        ]


class TestService:
    """Which NAPTR records are ours."""

    def test_first_configured_tag_wins(self) -> None:
        """The realm's records for our own federation come before those for others, whatever their order says."""
        records = [
            naptr("other.example.", order=1, service="aaa+auth:radius.tls.tcp"),
            naptr("ours.example.", order=2, service="X-BiebRoam:RADIUS.tls"),
        ]
        chosen = choose_naptr(records, (SERVICE, "aaa+auth:radius.tls.tcp"))
        assert [record.replacement for record in chosen] == ["ours.example."]

    def test_tag_of_others_is_not_followed(self) -> None:
        """Records for another federation, or for SIP, are as none."""
        zone = {**GOOD, ("lib.example", Kind.NAPTR): found(naptr(service="x-eduroam:radius.tls"), naptr(service="SIP"))}
        assert follow(zone) is Refusal.NO_SERVICE
        assert isinstance(follow(zone, rules=Rules(services=(SERVICE, "x-eduroam:radius.tls"))), Found)


class TestSeconds:
    """For how long a finding holds."""

    @pytest.mark.parametrize(
        ("ttl", "seconds"), [(0, 60), (59, 60), (61, 61), (3601, 3600), (2**31 - 1, 3600), (2**31, 60), (2**32 - 1, 60)]
    )
    def test_ttl_is_kept_within_bounds(self, ttl: int, seconds: int) -> None:
        """A TTL below a minute counts as one (RFC 7585 §3.4.2); 2^31 and more count as 0 (RFC 2181 §8)."""
        zone = {key: Answer(answer.status, answer.records, ttl) for key, answer in GOOD.items()}
        finding = follow(zone)
        assert isinstance(finding, Found)
        assert finding.seconds == seconds

    def test_half_a_picture_holds_shortly(self) -> None:
        """Where a part of the DNS failed, what was found is looked at again after the shortest time."""
        zone = {**GOOD, ("radius.lib.example", Kind.AAAA): Answer(Status.FAILED)}
        finding = follow(zone)
        assert isinstance(finding, Found)
        assert finding.seconds == 60


class TestRefusals:
    """Realms that give no server."""

    @pytest.mark.parametrize(
        ("status", "refusal"),
        [
            (Status.NO_NAME, Refusal.NO_NAME),
            (Status.NO_DATA, Refusal.NO_SERVICE),
            (Status.FAILED, Refusal.NAMESERVER_FAILED),
            (Status.TIMED_OUT, Refusal.TIMED_OUT),
            (Status.CHAIN_TOO_LONG, Refusal.CHAIN_TOO_LONG),
            (Status.TOO_LARGE, Refusal.TOO_MANY_RECORDS),
        ],
    )
    def test_status_of_the_first_answer_is_told(self, status: Status, refusal: Refusal) -> None:
        """What the DNS said to the first question is the reason."""
        assert follow({("lib.example", Kind.NAPTR): Answer(status)}) is refusal

    def test_empty_answers_are_as_none(self) -> None:
        """A FOUND without records leads nowhere, at each step."""
        assert follow({**GOOD, ("lib.example", Kind.NAPTR): found()}) is Refusal.NO_SERVICE
        assert follow({**GOOD, ("_radsec._tcp.lib.example", Kind.SRV): found()}) is Refusal.NO_SERVER
        empty = {("radius.lib.example", kind): found() for kind in (Kind.A, Kind.AAAA)}
        assert follow({**GOOD, **empty}) is Refusal.NO_ADDRESS

    def test_missing_srv_is_no_server(self) -> None:
        """A tag that leads to no SRV record leads to no server."""
        zone = {**GOOD, ("_radsec._tcp.lib.example", Kind.SRV): Answer(Status.NO_DATA)}
        assert follow(zone) is Refusal.NO_SERVER

    def test_missing_addresses_are_no_address(self) -> None:
        """A server without any address can not be reached."""
        empty = {("radius.lib.example", kind): Answer(Status.NO_DATA) for kind in (Kind.A, Kind.AAAA)}
        assert follow({**GOOD, **empty}) is Refusal.NO_ADDRESS

    def test_root_as_target_is_a_plain_no(self) -> None:
        """An SRV record with the target "." says that the service is not offered (RFC 2782)."""
        zone = {**GOOD, ("_radsec._tcp.lib.example", Kind.SRV): found(srv(".", port=0))}
        assert follow(zone) is Refusal.NOT_OFFERED

    @pytest.mark.parametrize(
        "record",
        [srv("radius;reboot.lib.example."), srv("127.0.0.1."), srv("localhost."), srv(port=0), srv(port=65536)],
    )
    def test_malformed_srv_is_not_followed(self, record: object) -> None:
        """A target that is no host name, or a port that is none, is refused before it is used (CVE-2021-32642)."""
        asked: list[Question] = []
        zone = {**GOOD, ("_radsec._tcp.lib.example", Kind.SRV): found(record)}  # type: ignore[arg-type] - one of ours
        assert follow(zone, asked=asked) is Refusal.RECORD_MALFORMED
        assert {question.kind for question in asked} == {Kind.NAPTR, Kind.SRV}

    @pytest.mark.parametrize(
        "record",
        [
            naptr("$(id)._tcp.lib.example."),
            naptr("."),
            naptr(flags="u"),
            naptr(flags="sa"),
            naptr(regexp="!.*!radius.evil.example!"),
            naptr("_radsec._tcp.lib.example.", flags="a"),
        ],
    )
    def test_malformed_naptr_is_not_followed(self, record: object) -> None:
        """Expressions, unknown flags and names that are none are refused (RFC 3958 §2.2)."""
        asked: list[Question] = []
        zone = {**GOOD, ("lib.example", Kind.NAPTR): found(record)}  # type: ignore[arg-type] - one of ours
        assert follow(zone, asked=asked) is Refusal.RECORD_MALFORMED
        assert [question.kind for question in asked] == [Kind.NAPTR]

    def test_one_good_record_among_malformed_ones_is_enough(self) -> None:
        """A record that can not be is passed over; the others are used."""
        zone = {
            **GOOD,
            ("lib.example", Kind.NAPTR): found(naptr("a b.", order=1), naptr()),
            ("_radsec._tcp.lib.example", Kind.SRV): found(srv("`id`.lib.example."), srv()),
        }
        assert isinstance(follow(zone), Found)

    @pytest.mark.parametrize("realm", ["", "lib", "a;b.example", "lib..example", "127.0.0.1", "a" * 300 + ".example"])
    def test_realm_that_is_no_name_is_never_asked_for(self, realm: str) -> None:
        """A realm is checked before the first question, also when the caller has."""
        asked: list[Question] = []
        assert follow(GOOD, realm=realm, asked=asked) is Refusal.RECORD_MALFORMED
        assert not asked

    def test_own_name_is_a_loop(self) -> None:
        """A server with this node's name is this node, wherever the name points today."""
        assert follow(GOOD, rules=Rules(own_names=frozenset({"radius.lib.example"}))) is Refusal.LOOP_TO_SELF

    def test_own_address_is_a_loop_beside_a_good_one(self) -> None:
        """One server that is this node refuses the realm (RFC 7585 §3.4.4)."""
        rules = Rules(is_own=frozenset({ip_address("9.9.9.9")}).__contains__)
        assert follow(GOOD, rules=rules) is Refusal.LOOP_TO_SELF

    def test_private_addresses_are_left_out(self) -> None:
        """Addresses that may not be connected to are passed over, and refuse the realm when there are no others."""
        zone = {**GOOD, ("radius.lib.example", Kind.A): addresses("10.0.0.1")}
        finding = follow(zone)
        assert isinstance(finding, Found)
        assert finding.targets[0].addresses == (ip_address("2620:fe::9"),)
        zone = {**zone, ("radius.lib.example", Kind.AAAA): addresses("::1")}
        assert follow(zone) is Refusal.ADDRESS_NOT_ALLOWED

    def test_a_hiccup_is_told_before_the_realms_own_faults(self) -> None:
        """Where one branch failed for now and another for good, the realm may be asked for again soon."""
        zone = {
            ("lib.example", Kind.NAPTR): found(naptr("_a._tcp.lib.example."), naptr("_b._tcp.lib.example.")),
            ("_a._tcp.lib.example", Kind.SRV): Answer(Status.TIMED_OUT),
            ("_b._tcp.lib.example", Kind.SRV): found(srv(".")),
        }
        assert follow(zone) is Refusal.TIMED_OUT


class TestBounds:
    """How much of a map is followed."""

    def test_thousand_records_are_refused(self) -> None:
        """An answer with more records than a realm can need is not looked into."""
        records = [naptr(f"_r{n}._tcp.lib.example.") for n in range(1000)]
        asked: list[Question] = []
        assert follow({("lib.example", Kind.NAPTR): found(*records)}, asked=asked) is Refusal.TOO_MANY_RECORDS
        assert len(asked) == 1

    def test_naptr_loop_ends(self) -> None:
        """NAPTR records that lead to each other are given up after a few steps."""
        asked: list[Question] = []
        zone = {
            ("lib.example", Kind.NAPTR): found(naptr("b.example.", flags="")),
            ("b.example", Kind.NAPTR): found(naptr("lib.example.", flags="")),
        }
        assert follow(zone, asked=asked) is Refusal.CHAIN_TOO_LONG
        assert len(asked) == MAX_STEPS

    def test_branches_targets_and_addresses_are_bounded(self) -> None:
        """However many records there are, a realm costs a bounded number of questions and gives bounded answers."""
        services = [f"_r{n}._tcp.lib.example" for n in range(MAX_RECORDS)]
        many = [f"9.9.9.{n}" for n in range(MAX_RECORDS)]
        zone = {
            ("lib.example", Kind.NAPTR): found(*map(naptr, services)),
            **{
                (service, Kind.SRV): found(*[srv(f"h{n}-{i}.lib.example.") for i in range(MAX_RECORDS)])
                for n, service in enumerate(services)
            },
            **{
                (f"h{n}-{i}.lib.example", Kind.A): addresses(*many)
                for n in range(MAX_RECORDS)
                for i in range(MAX_RECORDS)
            },
        }
        asked: list[Question] = []
        finding = follow(zone, asked=asked)
        assert isinstance(finding, Found)
        assert len(asked) == 1 + MAX_BRANCHES + 2 * MAX_TARGETS
        assert len(finding.targets) == MAX_TARGETS
        assert {len(target.addresses) for target in finding.targets} == {MAX_ADDRESSES}

    def test_same_place_twice_is_one(self) -> None:
        """Records that say the same twice give one target."""
        zone = {
            **GOOD,
            ("lib.example", Kind.NAPTR): found(naptr(), naptr("radius.lib.example.", flags="a", order=200), naptr()),
        }
        finding = follow(zone)
        assert isinstance(finding, Found)
        assert len(finding.targets) == 1


class TestOrderServers:
    """RFC 2782's order."""

    def test_priority_rules_over_weight(self) -> None:
        """A lower priority always comes first."""
        servers = [srv("b.example.", priority=2, weight=65535), srv("a.example.", priority=1, weight=0)]
        assert [server.target for server in order_servers(servers, Random(1).random)] == ["a.example.", "b.example."]

    def test_weight_is_the_share_of_first_places(self) -> None:
        """A server with three times the weight comes first three times as often; one of weight 0 hardly ever."""
        servers = [srv("a.example.", weight=10), srv("b.example.", weight=30), srv("c.example.", weight=0)]
        random = Random(7)
        first = Counter(order_servers(servers, random.random)[0].target for _ in range(4000))
        assert 0.70 < first["b.example."] / 4000 < 0.80
        assert first["c.example."] < 10

    @pytest.mark.parametrize("fraction", [0.0, 0.5, 0.999999, 1.0])
    def test_every_server_comes_once(self, fraction: float) -> None:
        """Whatever is drawn, each server is in the order once."""
        servers = [srv(f"h{n}.example.", weight=n % 3) for n in range(9)]
        ordered = order_servers(servers, lambda: fraction)
        assert sorted(server.target for server in ordered) == [server.target for server in servers]
