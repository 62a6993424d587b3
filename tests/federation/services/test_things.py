"""Realms, access points, home servers, identity: what the registry takes, from whom, and what it keeps secret."""

from dataclasses import replace

import pytest

from federation.errors import Conflict, Forbidden, InvalidInput, NotFound, TrustError
from federation.model import Actor, StoreKind
from federation.services import access_points, home_servers, identity_settings, libraries, realms, settings
from federation.services.access_points import AccessPointValues
from federation.services.home_servers import HomeServerValues
from federation.snapshot import EapMethod, Transport
from federation.store.tables.registry import AccessPointRow
from tests.federation.members import BOEKENBURG, LEESSTAD, OPERATOR, READER, Members

SECRET = "a-secret-of-enough-octets"


class TestRealms:
    @pytest.mark.parametrize("name", ["", "nodot", "*.boekenburg.test", "a..b", "-a.b", "a_b.c", "x" * 64 + ".nl"])
    def test_what_is_no_realm_is_refused(self, members: Members, name: str) -> None:
        """A realm is a domain name of two labels or more, and no wildcard."""
        with pytest.raises(InvalidInput) as refused, members.change() as change:
            realms.add_realm(change, OPERATOR, "boekenburg", name=name)
        assert refused.value.field == "/name"

    def test_unicode_is_kept_as_a_labels(self, members: Members) -> None:
        """A realm written with umlauts is looked up as supplicants send it."""
        with members.change() as change:
            made = realms.add_realm(change, OPERATOR, "boekenburg", name="Bücherei.Example.ORG.test")
        assert made.name == "xn--bcherei-n2a.example.org.test"

    def test_realm_has_one_owner(self, members: Members) -> None:
        """A realm of another library cannot be had, nor one twice."""
        for realm in ("leesstad.test", "boekenburg.test"):
            with pytest.raises(Conflict), members.change() as change:
                realms.add_realm(change, OPERATOR, "boekenburg", name=realm)

    def test_denied_realm_can_not_be_owned(self, members: Members) -> None:
        """What the federation refuses nobody can own."""
        with pytest.raises(InvalidInput), members.change() as change:
            realms.add_realm(change, OPERATOR, "boekenburg", name="gmail.com")

    def test_nobody_wraps_a_realm_around_anothers(self, members: Members) -> None:
        """Sub-realms are included only where nothing under them is another library's, now and later."""
        with members.change() as change:
            realms.add_realm(change, OPERATOR, "leesstad", name="kinder.jeugd.test")
        with pytest.raises(Conflict), members.change() as change:
            realms.add_realm(change, OPERATOR, "boekenburg", name="jeugd.test", includes_subrealms=True)
        with members.change() as change:
            realms.change_realm(change, OPERATOR, "boekenburg", "boekenburg.test", includes_subrealms=True)
        with pytest.raises(Conflict), members.change() as change:
            realms.add_realm(change, OPERATOR, "leesstad", name="filiaal.boekenburg.test")

    def test_only_operators_give_realms(self, members: Members) -> None:
        """Who owns a realm receives its patrons' requests: a library cannot take one."""
        with pytest.raises(Forbidden), members.change(BOEKENBURG) as change:
            realms.add_realm(change, BOEKENBURG, "boekenburg", name="groot.test")
        with pytest.raises(NotFound), members.change(BOEKENBURG) as change:
            realms.remove_realm(change, BOEKENBURG, "leesstad", "leesstad.test")

    def test_list_shows_them_by_name(self, members: Members) -> None:
        """A library's realms, page by page."""
        with members.registry.read() as session:
            first = realms.list_realms(session, BOEKENBURG, "boekenburg", limit=1)
            second = realms.list_realms(session, BOEKENBURG, "boekenburg", limit=1, cursor=first.next_cursor)
        assert [realm.name for realm in (*first.items, *second.items)] == ["boekenburg.test", "oud.test"]
        assert second.next_cursor is None


class TestAccessPoints:
    def add(
        self,
        members: Members,
        values: AccessPointValues,
        *,
        actor: Actor = OPERATOR,
        name: str = "hal",
        secret: str | None = None,
        library: str = "boekenburg",
    ) -> str | None:
        with members.change(actor) as change:
            return access_points.add_access_point(
                change, actor, library, name=name, values=values, secret=secret
            ).secret

    def test_secret_is_generated_and_sealed(self, members: Members) -> None:
        """Without a secret one of 128 bits is made, shown once, and stands in the database sealed."""
        shown = self.add(members, AccessPointValues(address="192.0.2.7"))
        assert shown is not None
        assert len(bytes.fromhex(shown)) == 16
        with members.registry.read() as session:
            row = session.query(AccessPointRow).one()
            assert row.sealed_secret is not None
            assert shown.encode() not in row.sealed_secret
            assert members.sealer.open(row.sealed_secret, row.secret_context) == shown.encode()

    @pytest.mark.parametrize(
        ("values", "pointer"),
        [
            (AccessPointValues(address="192.0.2.7", coa_port=0), "/coa_port"),
            (AccessPointValues(certificate="ap.boekenburg.test", coa_port=3799), "/coa_port"),
            (AccessPointValues(address="192.0.2.0/24", coa_port=3799), "/coa_host"),
            (AccessPointValues(address="192.0.2.0/24", coa_port=3799, coa_host="no host"), "/coa_host"),
            (AccessPointValues(address="192.0.2.7", coa_port=3799, coa_host="255.255.255.255"), "/coa_host"),
            (AccessPointValues(address="192.0.2.7", coa_port=3799, coa_host="127.0.0.1"), "/coa_host"),
            (AccessPointValues(address="127.0.0.9", coa_port=3799), "/coa_host"),
        ],
    )
    def test_impossible_place_for_changes_is_refused(
        self, members: Members, values: AccessPointValues, pointer: str
    ) -> None:
        """Changes of sessions go over UDP to one host that is none of the proxies' own machines."""
        with pytest.raises(InvalidInput) as refused:
            self.add(members, values, actor=BOEKENBURG)
        assert refused.value.field == pointer

    @pytest.mark.parametrize(
        "values",
        [
            AccessPointValues(address="192.0.2.7", coa_port=3799),
            AccessPointValues(address="192.0.2.0/24", coa_port=3799, coa_host="controller.boekenburg.test"),
            AccessPointValues(address="192.0.2.0/24", coa_host="192.0.2.9", require_event_timestamp=False),
        ],
    )
    def test_place_for_changes_is_kept(self, members: Members, values: AccessPointValues) -> None:
        """Its own address, or the host that is named; a host alone says nothing yet."""
        self.add(members, values, actor=BOEKENBURG)
        with members.registry.read() as session:
            shown = access_points.show_access_point(session, BOEKENBURG, "boekenburg", "hal")
        assert (shown.coa_port, shown.coa_host, shown.require_event_timestamp) == (
            values.coa_port,
            values.coa_host,
            values.require_event_timestamp,
        )

    def test_place_that_an_operator_allowed_stays_allowed(self, members: Members) -> None:
        """A library may change the rest of an access point whose place for changes an operator has named."""
        values = AccessPointValues(address="192.0.2.7", coa_port=3799, coa_host="127.0.0.1")
        self.add(members, values)
        with members.change(BOEKENBURG) as change:
            access_points.change_access_point(
                change, BOEKENBURG, "boekenburg", "hal", values=replace(values, guest_vlan=7)
            )
        with pytest.raises(InvalidInput), members.change(BOEKENBURG) as change:
            access_points.change_access_point(
                change, BOEKENBURG, "boekenburg", "hal", values=replace(values, coa_host="127.0.0.2")
            )

    def test_given_secret_is_not_shown(self, members: Members) -> None:
        """Who gives a secret knows it."""
        assert self.add(members, AccessPointValues(address="192.0.2.7"), secret=SECRET) is None

    def test_secret_can_not_be_moved_to_another_row(self, members: Members) -> None:
        """A sealed secret is bound to its owner: copied to another client it does not open."""
        self.add(members, AccessPointValues(address="192.0.2.7"))
        with members.registry.read() as session:
            row = session.query(AccessPointRow).one()
            sealed, context = row.sealed_secret, row.secret_context
        assert sealed is not None
        with pytest.raises(TrustError):
            members.sealer.open(sealed, context.replace("hal", "zaal"))

    @pytest.mark.parametrize("secret", ["short", "x" * 129, "with\ncontrol-characters"])
    def test_bad_secret_is_refused(self, members: Members, secret: str) -> None:
        """Secrets that are guessed offline, or that products cannot type, are refused."""
        with pytest.raises(InvalidInput) as refused:
            self.add(members, AccessPointValues(address="192.0.2.7"), secret=secret)
        assert secret not in str(refused.value)

    @pytest.mark.parametrize(
        "values",
        [
            AccessPointValues(),
            AccessPointValues(address="192.0.2.7", certificate="ap.example"),
            AccessPointValues(address="192.0.2.7/24"),
            AccessPointValues(address="0.0.0.0/0"),
            AccessPointValues(address="::/0"),
            AccessPointValues(address="hal.example"),
            AccessPointValues(address="192.0.2.7", guest_vlan=0),
            AccessPointValues(address="192.0.2.7", guest_vlan=4095),
            AccessPointValues(certificate="not a name"),
        ],
    )
    def test_impossible_values_are_refused(self, members: Members, values: AccessPointValues) -> None:
        """Host bits, the whole internet, no such VLAN, no address at all: refused, and nothing is kept."""
        with pytest.raises(InvalidInput):
            self.add(members, values)
        with members.registry.read() as session:
            assert session.query(AccessPointRow).count() == 0

    def test_prefix_belongs_to_one_client(self, members: Members) -> None:
        """The same prefix twice would leave open whose packets these are, however it is written."""
        self.add(members, AccessPointValues(address="192.0.2.7/32"))
        with pytest.raises(Conflict):
            self.add(members, AccessPointValues(address="192.0.2.7"), name="zaal", library="leesstad")

    def test_library_can_not_cut_its_neighbour_off(self, members: Members) -> None:
        """A longer prefix inside another library's network would take its packets: only an operator may."""
        self.add(members, AccessPointValues(address="192.0.2.0/24"))
        inside = AccessPointValues(address="192.0.2.7")
        with pytest.raises(Conflict):
            self.add(members, inside, actor=LEESSTAD, library="leesstad")
        self.add(members, inside, library="leesstad")

    def test_change_keeps_the_secret_and_renewal_replaces_it(self, members: Members) -> None:
        """A change of other values leaves the secret; a renewal makes a new one and shows it."""
        first = self.add(members, AccessPointValues(address="192.0.2.7"))
        with members.change() as change:
            changed = access_points.change_access_point(
                change, OPERATOR, "boekenburg", "hal", values=AccessPointValues(address="192.0.2.8", guest_vlan=40)
            )
        assert changed.secret is None
        assert (changed.item.guest_vlan, changed.item.version) == (40, 2)
        with members.change() as change:
            renewed = access_points.renew_secret(change, OPERATOR, "boekenburg", "hal")
        assert renewed.secret not in (None, first)

    def test_radsec_client_has_no_secret(self, members: Members) -> None:
        """Over RADIUS/TLS certificates take the place of secrets."""
        assert self.add(members, AccessPointValues(certificate="ap.boekenburg.test")) is None
        with pytest.raises(InvalidInput), members.change() as change:
            access_points.renew_secret(change, OPERATOR, "boekenburg", "hal")

    def test_other_library_sees_and_changes_nothing(self, members: Members) -> None:
        """For another library the access point does not exist."""
        self.add(members, AccessPointValues(address="192.0.2.7"))
        with pytest.raises(NotFound), members.change(LEESSTAD) as change:
            access_points.remove_access_point(change, LEESSTAD, "boekenburg", "hal")
        with pytest.raises(NotFound), members.registry.read() as session:
            access_points.list_access_points(session, LEESSTAD, "boekenburg")
        with pytest.raises(Forbidden), members.change(READER) as change:
            access_points.remove_access_point(change, READER, "boekenburg", "hal")


class TestHomeServers:
    def test_ports_are_the_usual_ones(self, members: Members) -> None:
        """1812 over UDP, 2083 over TLS, in the order of their adding."""
        with members.change() as change:
            udp = home_servers.add_home_server(
                change, OPERATOR, "boekenburg", name="one", values=HomeServerValues("192.0.2.10"), secret=SECRET
            ).item
            tls = home_servers.add_home_server(
                change, OPERATOR, "boekenburg", name="two", values=HomeServerValues("r.test", transport=Transport.TLS)
            ).item
        assert (udp.port, udp.position) == (1812, 0)
        assert (tls.port, tls.position) == (2083, 1)

    @pytest.mark.parametrize("host", ["", "not a host", "999.1.1.1", "-a.test", "a" * 254])
    def test_impossible_host_is_refused(self, members: Members, host: str) -> None:
        """A host is an address or a DNS name."""
        with pytest.raises(InvalidInput), members.change() as change:
            home_servers.add_home_server(
                change, OPERATOR, "boekenburg", name="one", values=HomeServerValues(host), secret=SECRET
            )

    def test_library_with_home_servers_is_not_hosted(self, members: Members) -> None:
        """The first home server makes a library its own; without any it is hosted again."""
        with members.change() as change:
            home_servers.add_home_server(
                change, BOEKENBURG, "boekenburg", name="one", values=HomeServerValues("192.0.2.10"), secret=SECRET
            )
        with members.registry.read() as session:
            assert not libraries.show_library(session, OPERATOR, "boekenburg").is_hosted
        with members.change() as change:
            home_servers.remove_home_server(change, BOEKENBURG, "boekenburg", "one")
        with members.registry.read() as session:
            assert libraries.show_library(session, OPERATOR, "boekenburg").is_hosted


class TestIdentity:
    def test_mschapv2_offers_its_methods(self, members: Members) -> None:
        """PEAP and TTLS/MSCHAPv2 are offered only where the library turned them on; TTLS/PAP comes first."""
        with members.change() as change:
            on = identity_settings.change_identity(change, BOEKENBURG, "boekenburg", mschapv2=True)
        assert on.methods == (EapMethod.TTLS_PAP, EapMethod.TTLS_MSCHAPV2, EapMethod.PEAP_MSCHAPV2)
        with members.change() as change:
            off = identity_settings.change_identity(change, BOEKENBURG, "boekenburg", mschapv2=False)
        assert off.methods == (EapMethod.TTLS_PAP,)

    def test_store_that_is_not_there_yet_is_refused(self, members: Members) -> None:
        """A kind of store that this version does not have is named, not silently taken."""
        with pytest.raises(InvalidInput, match="sip2"), members.change() as change:
            identity_settings.change_identity(change, OPERATOR, "boekenburg", kind=StoreKind.SIP2)

    def test_same_settings_change_nothing(self, members: Members) -> None:
        """Saying again what holds makes no version and no entry."""
        with members.registry.read() as session:
            before = identity_settings.show_identity(session, OPERATOR, "boekenburg")
        with members.change() as change:
            after = identity_settings.change_identity(change, OPERATOR, "boekenburg")
            assert not change.records
        assert after == before


class TestSettings:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", "with space"),
            ("name", "a#b"),
            ("country", "Holland"),
            ("eap_server_name", "192.0.2.1"),
            ("eap_server_name", "nodot"),
            ("denied_realms", ["a*b.test"]),
        ],
    )
    def test_impossible_value_is_refused(self, members: Members, field: str, value: object) -> None:
        """Names that would break F-Ticks lines, certificates or look-ups are refused."""
        values: dict[str, object] = {
            "name": "biebroam",
            "country": "NL",
            "eap_server_name": "login.biebroam.example",
            "denied_realms": list[str](),
        } | {field: value}
        with pytest.raises(InvalidInput), members.change() as change:
            settings.change_settings(change, OPERATOR, **values)  # type: ignore[arg-type] - a table

    def test_only_operators_change_them(self, members: Members) -> None:
        """The federation's settings are an operator's."""
        with pytest.raises(Forbidden), members.change(BOEKENBURG) as change:
            settings.change_settings(
                change, BOEKENBURG, name="x", country="NL", eap_server_name="a.example", denied_realms=[]
            )


class TestRemoval:
    def test_library_takes_its_things_along(self, members: Members) -> None:
        """A library that leaves takes realms, access points and home servers with it; the others stay."""
        with members.change() as change:
            libraries.remove_library(change, OPERATOR, "boekenburg")
        with members.change() as change:
            realms.add_realm(change, OPERATOR, "leesstad", name="boekenburg.test")
        with members.registry.read() as session:
            assert [each.id for each in libraries.list_libraries(session, OPERATOR).items] == ["leesstad"]
