"""Dynamic discovery in the registry: which settings can be, what they come to, and what libraries publish."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from federation.errors import Conflict, Forbidden, InvalidDocument, NotFound
from federation.services import foreign_anchors, home_servers, realms
from federation.services.apply import Applied, apply_document, export_document
from federation.services.authorities import load_peer_trust
from federation.services.dns_records import list_dns_records
from federation.services.document import parse_document
from federation.services.home_servers import HomeServerValues
from federation.snapshot import DiscoveryAuthority, Snapshot, Transport
from federation.store.compile import compile_snapshot
from federation.trust.profiles import POLICY_HOME
from tests.federation.members import BOEKENBURG, LEESSTAD, OPERATOR, Members
from tests.federation.trust.authorities import OtherAuthority
from tests.federation.trust.certificates import pem

POLICY = "1.3.6.1.4.1.25178.3.1.1"
FULL: Mapping[str, Any] = {  # Any: JSON
    "enabled": True,
    "services": ["x-biebroam:radius.tls", "x-eduroam:radius.tls"],
    "realms": ["*.lib.test"],
    "allowed_networks": ["127.0.0.0/8"],
    "authorities": [{"anchor": "surf", "policies": [POLICY], "require_realm": False}],
}


@pytest.fixture
def surf(members: Members) -> OtherAuthority:
    """A root that no library has."""
    authority = OtherAuthority("SURF root")
    with members.change() as change:
        foreign_anchors.add_anchor(
            change, OPERATOR, name="surf", certificates_pem=pem(authority.certificate), libraries=[]
        )
    return authority


def apply(members: Members, discovery: Mapping[str, Any]) -> Applied:  # Any: JSON
    document = parse_document({"federation": {"discovery": dict(discovery)}})
    return apply_document(members.registry, OPERATOR, document)


def compiled(members: Members) -> Snapshot:
    with members.registry.read() as session:
        return compile_snapshot(session, members.sealer, ())


class TestSettings:
    def test_it_is_off_until_somebody_switches_it_on(self, members: Members) -> None:
        """A registry as `init` leaves it looks for nobody in the DNS, and its export does not speak of it."""
        assert compiled(members).discovery is None
        with members.registry.read() as session:
            assert "discovery" not in export_document(session)["federation"]

    def test_settings_come_to_the_proxies(self, members: Members, surf: OtherAuthority) -> None:
        """What the document says is in the snapshot, the other authority by the fingerprint of its root."""
        apply(members, FULL)
        policy = compiled(members).discovery
        assert policy is not None
        assert (policy.services, policy.realms) == (("x-biebroam:radius.tls", "x-eduroam:radius.tls"), ("*.lib.test",))
        assert policy.allowed_networks == (ip_network("127.0.0.0/8"),)
        assert policy.own_authority == DiscoveryAuthority(frozenset({POLICY_HOME.dotted_string}))
        assert list(policy.authorities.values()) == [DiscoveryAuthority(frozenset({POLICY}), requires_realm=False)]
        with members.registry.read() as session:
            trust = load_peer_trust(session, members.sealer)
        (fingerprint,) = policy.authorities
        assert trust.foreign_anchors[fingerprint].certificate_pem == pem(surf.certificate)
        assert not trust.admits(fingerprint, "boekenburg", (), 0.0)
        assert trust.find_authority(policy, fingerprint, (), 0.0) == policy.authorities[fingerprint]
        assert trust.find_authority(policy, "own", (), 0.0) == policy.own_authority

    def test_export_applied_again_changes_nothing(self, members: Members, surf: OtherAuthority) -> None:
        """The document is the whole of it, and stays as it is when it is left out."""
        del surf
        apply(members, FULL)
        with members.registry.read() as session:
            exported = export_document(session)
        assert exported["federation"]["discovery"] == FULL
        document = parse_document(exported)
        assert apply_document(members.registry, OPERATOR, document).steps == ()
        nothing = parse_document({"federation": {"country": "BE"}})
        apply_document(members.registry, OPERATOR, nothing)
        assert compiled(members).discovery is not None

    def test_switched_off_it_believes_nobody(self, members: Members, surf: OtherAuthority) -> None:
        """An anchor that only discovery names is not trusted at all while discovery is off."""
        del surf
        apply(members, {**FULL, "enabled": False})
        assert compiled(members).discovery is None
        with members.registry.read() as session:
            assert load_peer_trust(session, members.sealer).foreign_anchors == {}

    def test_anchor_that_discovery_names_stays(self, members: Members, surf: OtherAuthority) -> None:
        """It is taken out of the settings first: an export would not apply any more."""
        del surf
        apply(members, FULL)
        with members.change() as change, pytest.raises(Conflict, match="discovery names"):
            foreign_anchors.remove_anchor(change, OPERATOR, "surf")

    @pytest.mark.parametrize(
        ("change", "place"),
        [
            ({"services": []}, "services"),
            ({"services": ["x-biebroam"]}, "services/0"),
            ({"services": ['x"y:radius.tls']}, "services/0"),
            ({"realms": ["a.*.b"]}, "realms"),
            ({"realms": [""]}, "realms"),
            ({"allowed_networks": ["10.0.0.1/8"]}, "allowed_networks/0"),
            ({"allowed_networks": ["lan"]}, "allowed_networks/0"),
            ({"authorities": [{"anchor": "nobody"}]}, "authorities/0/anchor"),
            ({"authorities": [{"anchor": "surf", "policies": ["1.2.x"]}]}, "authorities/0/policies"),
            ({"authorities": [{"anchor": "surf", "require_realm": False}]}, "authorities/0/require_realm"),
            ({"authorities": [{"anchor": "surf"}, {"anchor": "surf"}]}, "authorities"),
            ({"authorities": [{"anchor": "surf", "policies": ["1.2"] * 17}]}, "authorities/0/policies"),
            ({"allowed_networks": [f"10.0.0.{number}" for number in range(65)]}, "allowed_networks"),
        ],
    )
    def test_what_can_not_be_is_refused_with_its_place(
        self, members: Members, surf: OtherAuthority, change: dict[str, Any], place: str
    ) -> None:
        """A value that can not be, or an authority whose certificates would be every realm, changes nothing."""
        del surf
        with pytest.raises(InvalidDocument) as refused:
            apply(members, {**FULL, **change})
        assert [problem.field for problem in refused.value.problems] == [f"/federation/discovery/{place}"]
        assert compiled(members).discovery is None

    def test_library_may_not_switch_it_on(self, members: Members) -> None:
        """Whom the federation believes is the operator's to say."""
        document = parse_document({"federation": {"discovery": {"enabled": True}}})
        with pytest.raises(Forbidden):
            apply_document(members.registry, BOEKENBURG, document)


class TestListsOfOthers:
    def test_hard_policy_without_a_list_in_force_vouches_for_nobody(
        self, members: Members, surf: OtherAuthority
    ) -> None:
        """What holds for an authority's members holds for servers of the DNS: no list, no belief."""
        del surf
        apply(members, FULL)
        policy = compiled(members).discovery
        assert policy is not None
        with members.registry.read() as session:
            trust = load_peer_trust(session, members.sealer)
        ((fingerprint, anchor),) = trust.foreign_anchors.items()
        hard = replace(trust, foreign_anchors={fingerprint: replace(anchor, requires_list=True)})
        assert hard.find_authority(policy, fingerprint, (b"issuer",), 10.0) is None


class TestDnsRecords:
    def records(self, members: Members, library: str = "boekenburg") -> list[str]:
        with members.registry.read() as session:
            return [record.text for record in list_dns_records(session, OPERATOR, library)]

    def test_hosted_library_leads_to_the_federations_proxy(self, members: Members) -> None:
        """Each realm has a NAPTR record of each tag, and one SRV record to the proxy (RFC 7585 §2.1.1)."""
        assert self.records(members, "leesstad") == [
            'leesstad.test. 3600 IN NAPTR 100 10 "s" "x-biebroam:radius.tls" "" _radiustls._tcp.leesstad.test.',
            'leesstad.test. 3600 IN NAPTR 200 10 "s" "aaa+auth:radius.tls.tcp" "" _radiustls._tcp.leesstad.test.',
            "_radiustls._tcp.leesstad.test. 3600 IN SRV 0 0 2083 login.biebroam.example.",
        ]

    def test_own_servers_are_led_to_in_their_order(self, members: Members) -> None:
        """Servers that speak RADIUS/TLS, by priority or weight; an address gets a name; UDP is not published."""
        servers = (
            ("udp1", HomeServerValues("192.0.2.1")),
            ("tls1", HomeServerValues("radius.boekenburg.test", transport=Transport.TLS, position=1)),
            ("tls2", HomeServerValues("192.0.2.2", port=2084, transport=Transport.TLS, position=2, weight=3)),
            ("tls3", HomeServerValues("2001:db8::3", transport=Transport.TLS, position=3, weight=1)),
        )
        with members.change() as change:
            for name, values in servers:
                home_servers.add_home_server(change, OPERATOR, "boekenburg", name=name, values=values)
            realms.remove_realm(change, OPERATOR, "boekenburg", "oud.test")
            realms.change_realm(change, OPERATOR, "boekenburg", "boekenburg.test", includes_subrealms=True)
        found = self.records(members)
        assert [line for line in found if "NAPTR" in line and line.startswith("*.boekenburg.test. ")] != []
        assert [line for line in found if "NAPTR" not in line] == [
            "_radiustls._tcp.boekenburg.test. 3600 IN SRV 1 0 2083 radius.boekenburg.test.",
            "_radiustls._tcp.boekenburg.test. 3600 IN SRV 2 3 2084 tls2.boekenburg.test.",
            "tls2.boekenburg.test. 3600 IN A 192.0.2.2",
            "_radiustls._tcp.boekenburg.test. 3600 IN SRV 2 1 2083 tls3.boekenburg.test.",
            "tls3.boekenburg.test. 3600 IN AAAA 2001:db8::3",
        ]

    def test_library_sees_its_own_alone(self, members: Members) -> None:
        """Another library's records are nobody's to a library's token."""
        with members.registry.read() as session:
            assert list_dns_records(session, LEESSTAD, "leesstad")
            with pytest.raises(NotFound):
                list_dns_records(session, LEESSTAD, "boekenburg")
