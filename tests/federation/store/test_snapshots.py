"""Snapshots compiled from rows, kept on disk, and told of."""

import gc
import stat
from dataclasses import replace
from enum import Enum
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from federation.errors import NotFound
from federation.model import MemberRole
from federation.services import access_points, home_servers, libraries, realms
from federation.services.access_points import AccessPointValues
from federation.services.authorities import load_eap_credentials
from federation.services.home_servers import HomeServerValues
from federation.shards import Shards
from federation.snapshot import (
    Client,
    EapMethod,
    HomeServer,
    HomeSnapshot,
    OnTimeout,
    SharedSecret,
    Snapshot,
    Transport,
)
from federation.store.announcements import (
    announce,
    bind_announcements,
    close_announcements,
    drain_announcements,
)
from federation.store.compile import compile_home_snapshot, compile_snapshot, validate_snapshot
from federation.store.saved import WEIGHT, load_snapshot, save_snapshot
from federation.store.session import Store
from federation.trust.keystore import create_node_key
from tests.federation.members import OPERATOR, Members
from tests.support.tampering import tamper

HOSTED = (HomeServer("hosted/0", None, "127.0.0.1", 4000, secret=SharedSecret(b"h" * 16), is_hosted=True),)


def compiled(members: Members) -> Snapshot:
    with members.registry.read() as session:
        return compile_snapshot(session, members.sealer, HOSTED)


def compiled_home(members: Members) -> HomeSnapshot:
    with members.registry.read() as session:
        return compile_home_snapshot(session, members.sealer, load_eap_credentials(session, members.sealer))


class TestCompile:
    def test_library_without_home_servers_is_hosted(self, members: Members) -> None:
        """Its realms go to the hosted home servers, like any other next hop."""
        snapshot = compiled(members)
        assert snapshot.realms["boekenburg.test"].home_servers == ("hosted/0",)
        assert snapshot.home_servers["hosted/0"].is_hosted

    def test_own_home_servers_take_its_place_in_their_order(self, members: Members) -> None:
        """A library's own servers stand in their order, with their secrets opened."""
        with members.change() as change:
            for name, position in (("second", 1), ("first", 0)):
                home_servers.add_home_server(
                    change,
                    OPERATOR,
                    "boekenburg",
                    name=name,
                    values=HomeServerValues("192.0.2.1", position=position, weight=5),
                    secret=f"the-secret-of-{name}-server",
                )
        snapshot = compiled(members)
        assert snapshot.realms["boekenburg.test"].home_servers == ("boekenburg/first", "boekenburg/second")
        assert snapshot.home_servers["boekenburg/first"].secret == b"the-secret-of-first-server"
        assert snapshot.home_servers["boekenburg/first"].weight == 5

    def test_accounting_goes_where_a_library_has_asked_for_it(self, members: Members) -> None:
        """A port for accounting makes a next hop of its own, with the server's secret; without one there is none."""
        assert compiled(members).realms["boekenburg.test"].accounting_servers == ()
        with members.change() as change:
            for name, port in (("first", None), ("second", 1813)):
                values = HomeServerValues("192.0.2.1", accounting_port=port)
                home_servers.add_home_server(
                    change, OPERATOR, "boekenburg", name=name, values=values, secret=f"the-secret-of-{name}-server"
                )
        snapshot = compiled(members)
        assert snapshot.realms["boekenburg.test"].accounting_servers == ("boekenburg/second/acct",)
        server = snapshot.home_servers["boekenburg/second/acct"]
        assert (server.port, server.secret, server.library) == (1813, b"the-secret-of-second-server", "boekenburg")
        assert not server.requires_message_authenticator

    def test_access_point_takes_changes_where_it_says(self, members: Members) -> None:
        """A port for changes makes a server with the access point's secret, and a name that tells nobody anything."""
        assert compiled(members).dynamic_authorization_servers == {}
        with members.change() as change:
            for name, values in (
                ("hal", AccessPointValues(address="192.0.2.7", coa_port=3799)),
                ("zaal", AccessPointValues(address="192.0.3.0/24", coa_port=1700, coa_host="192.0.2.9")),
                ("kelder", AccessPointValues(address="192.0.2.8", require_event_timestamp=False)),
            ):
                secret = f"the-secret-of-the-{name}"
                access_points.add_access_point(change, OPERATOR, "leesstad", name=name, values=values, secret=secret)
        snapshot = compiled(members)
        servers = snapshot.dynamic_authorization_servers
        assert {key: (each.host, each.port, each.library) for key, each in servers.items()} == {
            "leesstad/hal/coa": ("192.0.2.7", 3799, None),
            "leesstad/zaal/coa": ("192.0.2.9", 1700, None),
        }
        assert servers["leesstad/hal/coa"].secret == b"the-secret-of-the-hal"
        assert not servers["leesstad/hal/coa"].answers_status
        clients = {client.key: client for client in snapshot.clients}
        assert clients["leesstad/hal"].dynamic_authorization_server == "leesstad/hal/coa"
        names = [clients[f"leesstad/{name}"].operator_nas_identifier for name in ("hal", "zaal", "kelder")]
        assert [len(name) for name in names] == [16, 16, 0]
        assert names[0] != names[1]
        assert names[0] == compiled(members).clients[0].operator_nas_identifier
        assert not clients["leesstad/kelder"].requires_event_timestamp

    def test_home_servers_may_change_sessions_where_somebody_takes_changes(self, members: Members) -> None:
        """By their own address; one in a client's network, or that two of them share, is not theirs."""
        with members.change() as change:
            for library, name, host in (
                ("boekenburg", "one", "192.0.2.1"),
                ("boekenburg", "named", "radius.boekenburg.test"),
                ("boekenburg", "shared", "192.0.2.3"),
                ("leesstad", "shared", "192.0.2.3"),
                ("leesstad", "proxy", "192.0.2.4"),
                ("boekenburg", "in-leesstads-place", "198.51.100.9"),
                ("boekenburg", "six", "2001:db8::1"),
            ):
                values = HomeServerValues(host)
                home_servers.add_home_server(change, OPERATOR, library, name=name, values=values, secret="s" * 16)
            proxy = AccessPointValues(address="192.0.2.4")
            access_points.add_access_point(change, OPERATOR, "leesstad", name="proxy", values=proxy)
            places = AccessPointValues(address="198.51.100.0/24")
            access_points.add_access_point(change, OPERATOR, "leesstad", name="network", values=places)
        assert compiled(members).dynamic_authorization_clients == ()
        with members.change() as change:
            taking = AccessPointValues(address="192.0.2.7", coa_port=3799)
            access_points.add_access_point(change, OPERATOR, "leesstad", name="hal", values=taking)
        changer, six = compiled(members).dynamic_authorization_clients
        assert (six.key, six.networks) == ("boekenburg/six/coa", (ip_network("2001:db8::1/128"),))
        assert (changer.key, changer.library, changer.is_home_server) == ("boekenburg/one/coa", "boekenburg", True)
        assert changer.networks == (ip_network("192.0.2.1/32"),)
        assert changer.secret == b"s" * 16

    def test_client_has_prefix_and_operator_name(self, members: Members) -> None:
        """A client is what its row says; its Operator-Name is the library's first realm."""
        with members.change() as change:
            values = AccessPointValues(
                address="2001:db8::/64",
                guest_vlan=7,
                request_cui=True,
                protocol_errors=True,
                on_timeout=OnTimeout.REJECT,
            )
            access_points.add_access_point(change, OPERATOR, "boekenburg", name="hal", values=values)
        (client,) = compiled(members).clients
        assert client.networks == (ip_network("2001:db8::/64"),)
        assert (client.operator_name, client.guest_vlan, client.requests_cui) == ("boekenburg.test", 7, True)
        assert (client.takes_protocol_errors, client.on_timeout) == (True, OnTimeout.REJECT)

    @pytest.mark.parametrize(
        ("roles", "is_active", "has_realm", "has_client"),
        [
            ((MemberRole.HOME,), True, True, False),
            ((MemberRole.VISITED,), True, False, True),
            ((MemberRole.HOME, MemberRole.VISITED), False, False, False),
        ],
    )
    def test_roles_and_activity_decide(
        self,
        members: Members,
        *,
        roles: tuple[MemberRole, ...],
        is_active: bool,
        has_realm: bool,
        has_client: bool,
    ) -> None:
        """A visited-only library has no patrons, a home-only one no clients, a suspended one neither."""
        with members.change() as change:
            values = AccessPointValues(address="192.0.2.7")
            access_points.add_access_point(change, OPERATOR, "boekenburg", name="hal", values=values)
            libraries.change_library(
                change, OPERATOR, "boekenburg", name="B", roles=roles, operator_name="", is_active=is_active
            )
        snapshot = compiled(members)
        assert ("boekenburg.test" in snapshot.realms) is has_realm
        assert bool(snapshot.clients) is has_client

    def test_node_without_hosted_servers_routes_the_others(self, members: Members) -> None:
        """Realms of hosted libraries have nowhere to go there; that is no reason to refuse the rest."""
        with members.registry.read() as session:
            snapshot = compile_snapshot(session, members.sealer, ())
        assert snapshot.realms["boekenburg.test"].home_servers == ()

    def test_empty_registry_says_what_to_do(self, tmp_path: Path) -> None:
        """Before `init` there is nothing to compile."""
        store = Store(f"sqlite:///{tmp_path / 'empty.db'}", makes_file=True)
        store.migrate()
        with store.read() as session, pytest.raises(NotFound, match="init"):
            compile_snapshot(session, create_node_key(tmp_path / "key"), HOSTED)
        store.close()

    def test_home_snapshot_has_the_hosted_realms(self, members: Members) -> None:
        """Only what is hosted, with the methods of its store."""
        members.turn_mschapv2("leesstad", on=False)
        with members.change() as change:
            home_servers.add_home_server(
                change, OPERATOR, "boekenburg", name="own", values=HomeServerValues("192.0.2.1")
            )
        home = compiled_home(members)
        assert set(home.realms) == {"leesstad.test"}
        assert home.realms["leesstad.test"].methods == (EapMethod.TTLS_PAP,)
        assert not home.realms["leesstad.test"].includes_subrealms
        with members.change() as change:
            realms.change_realm(change, OPERATOR, "leesstad", "leesstad.test", includes_subrealms=True)
        assert compiled_home(members).realms["leesstad.test"].includes_subrealms


class TestValidate:
    def test_each_fault_is_named(self, members: Members) -> None:
        """Two clients of one prefix, a client without secret, a server that is not there, a rule that cannot be."""
        snapshot = compiled(members)
        network = (ip_network("192.0.2.0/24"),)
        twin = Client("a/x", "a", "a.test", network, SharedSecret(b"s" * 16))
        realm = snapshot.realms["boekenburg.test"]._replace(home_servers=("gone/1",))
        broken = replace(
            snapshot,
            clients=(twin, replace(twin, key="b/y"), replace(twin, key="c/z", networks=(), secret=None)),
            realms={**snapshot.realms, realm.name: realm},
            denied_realms=("a*b",),
        )
        reasons = "\n".join(validate_snapshot(broken))
        for words in ("a/x, b/y", "c/z", "gone/1", "star"):
            assert words in reasons
        assert validate_snapshot(snapshot) == []


class TestSaved:
    def test_comes_back_as_it_was(self, members: Members, tmp_path: Path) -> None:
        """Both kinds of snapshot are read as they were saved, from a file that only its owner reads."""
        path = tmp_path / "snapshot.sealed"
        save_snapshot(path, compiled(members), members.sealer)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert b"boekenburg" not in path.read_bytes()
        assert load_snapshot(path, Snapshot, members.sealer) == compiled(members)
        save_snapshot(path, compiled_home(members), members.sealer)
        assert load_snapshot(path, HomeSnapshot, members.sealer) == compiled_home(members)

    @pytest.mark.parametrize("enum", [Transport, EapMethod])
    def test_comes_back_whatever_this_python_writes_for_enums(
        self, members: Members, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enum: type[Enum]
    ) -> None:
        """Python 3.11.2, which is Debian 12's, writes calls of `getattr`, which who reads a snapshot may not make."""

        def reduce(member: Enum, _protocol: int) -> tuple[object, tuple[object, ...]]:
            return getattr, (type(member), member.name)

        with monkeypatch.context() as patched:
            patched.setattr(enum, "__reduce_ex__", reduce)
            save_snapshot(tmp_path / "proxy", compiled(members), members.sealer)
            save_snapshot(tmp_path / "home", compiled_home(members), members.sealer)
        assert load_snapshot(tmp_path / "proxy", Snapshot, members.sealer) == compiled(members)
        assert load_snapshot(tmp_path / "home", HomeSnapshot, members.sealer) == compiled_home(members)

    def test_pieces_are_small_where_home_servers_have_many_realms(self, members: Members, tmp_path: Path) -> None:
        """A server brings the names of its realms along, and a piece is what nobody else has the interpreter for."""
        names = tuple(f"r{number}.example" for number in range(100))
        servers = [HomeServer(f"l{number}/r", f"l{number}", "192.0.2.1", 1812, realms=names) for number in range(60)]
        large = replace(compiled(members), home_servers=Shards((server.key, server) for server in servers))
        pauses: list[int] = []
        save_snapshot(tmp_path / "snapshot.sealed", large, members.sealer, pause=lambda: pauses.append(1))
        assert len(pauses) > len(servers) * len(names) // WEIGHT
        loaded = load_snapshot(tmp_path / "snapshot.sealed", Snapshot, members.sealer)
        assert loaded == large
        assert loaded is not None
        assert [server.realms for server in loaded.home_servers.values()] == [names] * len(servers)

    def test_no_table_is_in_one_new_list(self, members: Members, tmp_path: Path) -> None:
        """The collector would walk through all of it, and nobody else of the process would run meanwhile."""
        servers = [HomeServer(f"l{number}/r", f"l{number}", "192.0.2.1", 1812) for number in range(8 * WEIGHT)]
        large = replace(compiled(members), home_servers=Shards((server.key, server) for server in servers))
        known = set(map(id, gc.get_objects()))
        longest: list[int] = []

        def look() -> None:
            if len(longest) < 3:
                made: list[Any] = [each for each in gc.get_objects() if type(each) is list]  # Any: of anything
                longest.append(max((len(each) for each in made if id(each) not in known), default=0))

        save_snapshot(tmp_path / "snapshot.sealed", large, members.sealer, pause=look)
        assert max(longest) <= WEIGHT

    def test_damaged_or_foreign_file_is_none(self, members: Members, tmp_path: Path) -> None:
        """What was cut, changed, sealed elsewhere, of the other kind, or never there is as if it were not there."""
        path = tmp_path / "snapshot.sealed"
        assert load_snapshot(path, Snapshot, members.sealer) is None
        save_snapshot(path, compiled(members), members.sealer)
        octets = path.read_bytes()
        assert load_snapshot(path, HomeSnapshot, members.sealer) is None
        assert load_snapshot(path, Snapshot, create_node_key(tmp_path / "other.key")) is None
        for damaged in (octets[:-1], octets[:20], b"", tamper(octets)):
            path.write_bytes(damaged)
            assert load_snapshot(path, Snapshot, members.sealer) is None

    def test_failed_save_leaves_the_earlier_one(self, members: Members, tmp_path: Path) -> None:
        """A disk that refuses leaves the last good file, and no litter."""
        folder = tmp_path / "run"
        folder.mkdir()
        path = folder / "snapshot.sealed"
        save_snapshot(path, compiled(members), members.sealer)
        with pytest.raises(OSError, match="directory"):
            save_snapshot(folder / "none" / "snapshot.sealed", compiled(members), members.sealer)
        assert [each.name for each in folder.iterdir()] == ["snapshot.sealed"]


class TestAnnouncements:
    def test_everybody_on_the_node_hears(self, tmp_path: Path) -> None:
        """Each listener gets the revision; several are drained to the highest."""
        names = ("proxy-1", "home-1")
        listeners = [bind_announcements(tmp_path, name) for name in names]
        assert announce(tmp_path, 7) == 2
        assert announce(tmp_path, 8) == 2
        assert [drain_announcements(each) for each in listeners] == [8, 8]
        assert drain_announcements(listeners[0]) is None
        for each, name in zip(listeners, names, strict=True):
            close_announcements(each, tmp_path, name)
        assert list(tmp_path.iterdir()) == []

    def test_dead_listeners_file_is_swept(self, tmp_path: Path) -> None:
        """A process that was killed leaves a socket file; the next announcement removes it."""
        listener = bind_announcements(tmp_path, "killed")
        listener.close()
        assert announce(tmp_path, 1) == 0
        assert list(tmp_path.iterdir()) == []

    def test_nonsense_is_not_a_revision(self, tmp_path: Path) -> None:
        """Whoever may write to the socket can wake the process and no more."""
        import socket  # noqa: PLC0415 - here only

        listener = bind_announcements(tmp_path, "proxy-1")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"-1; DROP", str(tmp_path / "announce-proxy-1.sock"))
        assert drain_announcements(listener) is None
        close_announcements(listener, tmp_path, "proxy-1")

    def test_deep_directory_is_heard_too(self, tmp_path: Path) -> None:
        """A data directory may lie deeper than a Unix address is long (unix(7): 107 octets)."""
        deep = tmp_path / ("d" * 100) / "run"
        deep.mkdir(parents=True)
        listener = bind_announcements(deep, "proxy-1")
        assert announce(deep, 9) == 1
        assert drain_announcements(listener) == 9
        close_announcements(listener, deep, "proxy-1")
        assert list(deep.iterdir()) == []
