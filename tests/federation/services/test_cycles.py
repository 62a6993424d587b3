"""Circles in what is declared: found at the change that would make them, with their place."""

import pytest

from federation.errors import Conflict, InvalidDocument
from federation.model import ClientKind, MemberRole
from federation.services import access_points, home_servers, libraries
from federation.services.access_points import AccessPointValues
from federation.services.apply import apply_document
from federation.services.cycles import find_cycles
from federation.services.document import locate_problem, parse_document, parse_federation_file
from federation.services.home_servers import HomeServerValues
from federation.services.registry import Change
from federation.snapshot import Transport
from federation.store.tables.registry import AccessPointRow
from tests.federation.members import LEESSTAD, OPERATOR, Members

MACHINE = "192.0.2.7"
FILE = f"""
[[libraries]]
id = "boekenburg"
name = "Boekenburg"
[[libraries.access_points]]
name = "proxy"
kind = "proxy"
address = "192.0.2.0/29"

[[libraries]]
id = "leesstad"
name = "Leesstad"
[[libraries.home_servers]]
name = "radius1"
host = "192.0.2.200"
[[libraries.home_servers]]
name = "radius2"
host = "{MACHINE}"
"""


def add_proxy(change: Change, library: str, address: str | None = MACHINE, certificate: str | None = None) -> None:
    values = AccessPointValues(kind=ClientKind.PROXY, address=address, certificate=certificate)
    access_points.add_access_point(change, OPERATOR, library, name="proxy", values=values)


def add_server(change: Change, library: str, host: str = MACHINE, transport: Transport = Transport.UDP) -> None:
    values = HomeServerValues(host, transport=transport)
    home_servers.add_home_server(change, OPERATOR, library, name="radius1", values=values)


def activate(change: Change, library: str, *, is_active: bool) -> None:
    roles = (MemberRole.HOME, MemberRole.VISITED)
    libraries.change_library(
        change, OPERATOR, library, name=library.title(), roles=roles, operator_name="", is_active=is_active
    )


class TestSingleChanges:
    def test_home_server_that_is_another_library_s_proxy_is_refused(self, members: Members) -> None:
        """What the machine does not answer it would send back; nothing of the change is kept."""
        with members.change() as change:
            add_proxy(change, "boekenburg", "192.0.2.0/24")
        with (
            pytest.raises(Conflict, match=r"home-server/radius1 .*boekenburg/access-point/proxy .*patrons of leesstad"),
            members.change() as change,
        ):
            add_server(change, "leesstad")
        with members.store.read() as session:
            assert home_servers.list_home_servers(session, OPERATOR, "leesstad").items == ()

    def test_proxy_at_another_library_s_home_server_is_refused(self, members: Members) -> None:
        """The same circle, made from the other end."""
        with members.change() as change:
            add_server(change, "leesstad")
        with pytest.raises(Conflict, match="back to us"), members.change() as change:
            add_proxy(change, "boekenburg")

    def test_over_tls_the_name_is_what_counts(self, members: Members) -> None:
        """A home server with the name of another library's proxy is the same machine."""
        with members.change() as change:
            add_proxy(change, "boekenburg", None, "radius.boekenburg.test")
        with pytest.raises(Conflict, match="back to us"), members.change() as change:
            add_server(change, "leesstad", "radius.boekenburg.test", Transport.TLS)

    def test_a_library_s_own_machine_may_be_both(self, members: Members) -> None:
        """The usual case: a library's RADIUS server asks for its visitors and answers for its patrons."""
        with members.change() as change:
            add_proxy(change, "leesstad")
            add_server(change, "leesstad")

    def test_machine_that_serves_both_libraries_is_no_circle(self, members: Members) -> None:
        """A provider's server that is home server of both answers both itself."""
        with members.change() as change:
            add_proxy(change, "boekenburg")
            add_server(change, "boekenburg")
            add_server(change, "leesstad")

    @pytest.mark.parametrize(
        ("address", "host"),
        [
            ("192.0.2.0/28", "192.0.2.16"),
            ("127.0.0.1", "127.0.0.1"),
            (MACHINE, "radius.test"),
            ("2001:db8::/32", MACHINE),
        ],
        ids=["beside the prefix", "loopback", "a name", "another family"],
    )
    def test_other_machines_are_none(self, members: Members, address: str, host: str) -> None:
        """Only the same machine is a circle; loopback and names say nothing of that."""
        with members.change() as change:
            add_proxy(change, "boekenburg", address)
            add_server(change, "leesstad", host)

    def test_access_point_is_none(self, members: Members) -> None:
        """Only a proxy passes on what others asked."""
        with members.change() as change:
            values = AccessPointValues(address="192.0.2.0/24")
            access_points.add_access_point(change, OPERATOR, "boekenburg", name="hal", values=values)
            add_server(change, "leesstad")

    def test_circle_of_before_stops_no_other_change(self, members: Members) -> None:
        """What was there before this rule is not judged by a change of something else."""
        with members.change() as change:
            add_server(change, "leesstad")
        with members.store.write() as session:
            kind = str(ClientKind.PROXY)
            session.add(AccessPointRow(library_id="boekenburg", name="proxy", kind=kind, address=MACHINE))
        with members.change() as change:
            values = AccessPointValues(address="198.51.100.1")
            access_points.add_access_point(change, OPERATOR, "boekenburg", name="hal", values=values)
        with members.store.read() as session:
            assert len(find_cycles(session)) == 1

    def test_library_that_is_out_of_use_sends_nothing(self, members: Members) -> None:
        """Its proxy is no client and its servers are not asked."""
        with members.change() as change:
            add_proxy(change, "boekenburg")
            activate(change, "boekenburg", is_active=False)
        with members.change() as change:
            add_server(change, "leesstad")
        with pytest.raises(Conflict, match="back to us"), members.change() as change:
            activate(change, "boekenburg", is_active=True)

    def test_library_learns_nothing_of_another_s(self, members: Members) -> None:
        """Its own refused change does not tell it whose machine that is."""
        with members.change() as change:
            add_proxy(change, "boekenburg")
        with pytest.raises(Conflict) as caught, members.change(LEESSTAD) as change:
            add_server(change, "leesstad")
        assert "boekenburg" not in str(caught.value)


class TestApply:
    def test_circle_is_named_with_its_line(self, members: Members) -> None:
        """The file's error leads to the home server's place; nothing is changed, and a dry run says the same."""
        document = parse_document(parse_federation_file(FILE, file="federation.toml"))
        for dry_run in (True, False):
            with pytest.raises(InvalidDocument) as caught:
                apply_document(members.registry, OPERATOR, document, dry_run=dry_run)
            (problem,) = caught.value.problems
            assert problem.field == "/libraries/1/home_servers/1"
            line = 1 + FILE.splitlines().index('name = "radius2"')
            assert locate_problem(problem, FILE).field == f"line {line - 1}: /libraries/1/home_servers/1"
        with members.store.read() as session:
            assert home_servers.list_home_servers(session, OPERATOR, "leesstad").items == ()

    def test_two_peers_with_one_prefix_are_named(self, members: Members) -> None:
        """The second to have it is the one with the error."""
        again = FILE.replace(MACHINE, "192.0.2.9") + (
            '[[libraries.access_points]]\nname = "hal"\naddress = "192.0.2.0/29"\n'
        )
        with pytest.raises(InvalidDocument) as caught:
            apply_document(members.registry, OPERATOR, parse_document(parse_federation_file(again, file="f")))
        (problem,) = caught.value.problems
        assert problem.field == "/libraries/1/access_points/0"
        assert "192.0.2.0/29 belongs to another client" in problem.message

    def test_circle_that_the_same_file_ends_is_none(self, members: Members) -> None:
        """What counts is the whole afterwards, not the order in which it is made."""
        with members.change() as change:
            add_proxy(change, "boekenburg", "192.0.2.0/29")
        moved = FILE.replace('"192.0.2.0/29"', '"198.51.100.1"')
        apply_document(members.registry, OPERATOR, parse_document(parse_federation_file(moved, file="f")))
