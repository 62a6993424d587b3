"""`explain`: the packet path's decisions, told without a packet."""

from dataclasses import replace

import pytest

from federation.errors import NotFound
from federation.model import ClientKind
from federation.reasons import RefusalReason
from federation.services import access_points, home_servers
from federation.services.access_points import AccessPointValues
from federation.services.explain import Explanation, RealmLookup, explain
from federation.services.home_servers import HomeServerValues
from federation.snapshot import DiscoveryPolicy, Snapshot
from federation.store.compile import compile_snapshot
from tests.federation.members import BOEKENBURG, LEESSTAD, OPERATOR, Members


@pytest.fixture
def snapshot(members: Members) -> Snapshot:
    """Both libraries with a home server and an access point; Boekenburg's is a proxy."""
    with members.change() as change:
        for number, library in enumerate(("boekenburg", "leesstad")):
            home_servers.add_home_server(
                change, OPERATOR, library, name="radius1", values=HomeServerValues(f"192.0.2.{number + 1}")
            )
        kind = ClientKind.PROXY
        proxy = AccessPointValues(kind=kind, address="198.51.100.1", guest_vlan=40)
        access_points.add_access_point(change, OPERATOR, "boekenburg", name="proxy", values=proxy)
        hall = AccessPointValues(address="198.51.100.2", allow_pap=True, coa_port=3799)
        access_points.add_access_point(change, OPERATOR, "leesstad", name="hal", values=hall)
    with members.registry.read() as session:
        return compile_snapshot(session, members.sealer, ())


def reasons_of(found: Explanation) -> list[RefusalReason]:
    return [step.reason for step in found.steps if step.reason is not None]


class TestRoute:
    def test_visitor_is_forwarded_to_the_home_server(self, snapshot: Snapshot) -> None:
        """The route names realm, library and home servers; a readable password would not go."""
        found = explain(snapshot, OPERATOR, name="a@leesstad.test", client="boekenburg/proxy")
        assert found.outcome == "forward"
        assert (found.realm, found.library, found.home_servers) == ("leesstad.test", "leesstad", ("leesstad/radius1",))
        assert reasons_of(found) == [RefusalReason.PAP_ACROSS_LIBRARIES]
        assert any("VLAN 40" in step.text for step in found.steps)

    def test_says_where_sessions_may_be_changed(self, snapshot: Snapshot) -> None:
        """A visitor's library may end a session where the access point takes that, and nowhere else."""
        for client, may in (("leesstad/hal", True), ("boekenburg/proxy", False)):
            name = "a@boekenburg.test" if may else "a@leesstad.test"
            found = explain(snapshot, OPERATOR, name=name, client=client)
            assert any("end the session" in step.text for step in found.steps) is may

    def test_says_where_accounting_goes(self, members: Members, snapshot: Snapshot) -> None:
        """Whether a library hears of its patrons' sessions elsewhere is no secret of anybody's."""
        assert "accounting is answered here" in explain(snapshot, OPERATOR, name="a@leesstad.test").steps[-1].text
        with members.change() as change:
            values = HomeServerValues("192.0.2.2", accounting_port=1813)
            home_servers.change_home_server(change, OPERATOR, "leesstad", "radius1", values=values)
        with members.registry.read() as session:
            changed = compile_snapshot(session, members.sealer, ())
        assert "leesstad/radius1/acct" in explain(changed, OPERATOR, name="a@leesstad.test").steps[-1].text

    def test_at_home_a_readable_password_may_be_allowed(self, snapshot: Snapshot) -> None:
        """Inside one library, where its access point allows it, nothing would be refused."""
        found = explain(snapshot, OPERATOR, name="a@leesstad.test", client="leesstad/hal")
        assert reasons_of(found) == []

    @pytest.mark.parametrize(
        ("name", "client", "reason"),
        [
            ("nobody", None, RefusalReason.REALM_MISSING),
            ("a@b@leesstad.test", None, RefusalReason.MULTIPLE_AT),
            ("a@gmail.com", None, RefusalReason.REALM_DENIED),
            ("a@elders.test", None, RefusalReason.UNROUTABLE),
            ("a@sub.leesstad.test", None, RefusalReason.UNROUTABLE),
            ("a@boekenburg.test", "boekenburg/proxy", RefusalReason.OWN_REALM_UPSTREAM),
        ],
    )
    def test_refusal_has_the_packet_paths_reason(
        self, snapshot: Snapshot, name: str, client: str | None, reason: RefusalReason
    ) -> None:
        """Each refusal carries the code that log and metrics would show."""
        found = explain(snapshot, OPERATOR, name=name, client=client)
        assert (found.outcome, found.reason, found.home_servers) == ("refuse", reason, ())


class TestRights:
    def test_library_asks_about_its_own_clients_only(self, snapshot: Snapshot) -> None:
        """Another library's access point does not exist for a library's token."""
        assert explain(snapshot, BOEKENBURG, name="a@leesstad.test", client="boekenburg/proxy").outcome == "forward"
        for client in ("boekenburg/proxy", "never/there"):
            with pytest.raises(NotFound):
                explain(snapshot, LEESSTAD, name="a@leesstad.test", client=client)


class TestDiscovery:
    """A realm that no library has, where the federation looks for such realms in the DNS."""

    FOUND = RealmLookup(("elsewhere.test NAPTR …",), ("radius.elsewhere.test:2083",), ("198.51.100.1",), 300, None)

    def ask(
        self, snapshot: Snapshot, found: RealmLookup | None, client: str | None = None, realms: tuple[str, ...] = ()
    ) -> Explanation:
        discovering = replace(snapshot, discovery=DiscoveryPolicy(("x-biebroam:radius.tls",), realms))

        def look_up(_snapshot: Snapshot, _realm: str) -> RealmLookup:
            assert found is not None
            return found

        asking = None if found is None else look_up
        return explain(discovering, OPERATOR, name="a@elsewhere.test", client=client, look_up=asking)

    def test_records_and_servers_are_told(self, snapshot: Snapshot) -> None:
        """The records stand before the verdict, and the servers where they came from."""
        found = self.ask(snapshot, self.FOUND, "leesstad/hal")
        assert (found.outcome, found.realm) == ("forward", None)
        assert found.home_servers == ("discovered:elsewhere.test/radius.elsewhere.test:2083",)
        assert next(step.text for step in found.steps if step.step == "discovery") == "elsewhere.test NAPTR …"

    def test_refusal_of_the_dns_is_the_refusal(self, snapshot: Snapshot) -> None:
        """What the DNS is refused for is what a request would be refused for."""
        refused = replace(self.FOUND, servers=(), addresses=(), refusal=RefusalReason.DISCOVERY_NO_SERVICE)
        found = self.ask(snapshot, refused)
        assert (found.outcome, found.reason) == ("refuse", RefusalReason.DISCOVERY_NO_SERVICE)
        assert found.home_servers == ()

    def test_client_is_not_sent_to_itself(self, snapshot: Snapshot) -> None:
        """For the proxy at that address it is a loop, for another client it is not."""
        assert self.ask(snapshot, self.FOUND, "boekenburg/proxy").reason is RefusalReason.DISCOVERY_LOOP_TO_ASKER
        assert self.ask(snapshot, self.FOUND, "leesstad/hal").reason is None

    def test_realm_outside_the_policy_is_unroutable(self, snapshot: Snapshot) -> None:
        """Where the federation names realms, the DNS is not asked for others."""
        assert self.ask(snapshot, self.FOUND, realms=("*.lib.test",)).reason is RefusalReason.UNROUTABLE

    def test_without_the_dns_it_says_that_it_would_look(self, snapshot: Snapshot) -> None:
        """Who can not ask the DNS says that the proxy would."""
        found = self.ask(snapshot, None)
        assert found.steps[-1].text == "no library owns elsewhere.test: it is looked for in the DNS"
