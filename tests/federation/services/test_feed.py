import asyncio
import gc
import weakref
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from threading import Event, current_thread

import pytest
from sqlalchemy import delete
from sqlalchemy.orm import Session

from federation.model import Actor, Role
from federation.services import feed as feed_module
from federation.services.certificates import issue_certificate, revoke_certificate
from federation.services.feed import (
    FROZEN_OBJECTS,
    ProxyCompiler,
    SnapshotFeed,
    build_hosted,
    compile_for_home,
    compile_for_proxy,
    find_client_secret,
    hosted_secret,
)
from federation.services.initialisation import initialise
from federation.services.registry import Registry
from federation.services.renewal import Renewals
from federation.snapshot import Client, Federation, HomeSnapshot, SharedSecret, Snapshot
from federation.store.announcements import announce
from federation.store.saved import load_snapshot, save_snapshot
from federation.store.session import Store
from federation.store.tables.trust import CertificateRow
from federation.trust.keystore import NodeKey, Sealer, load_sealer
from federation.trust.profiles import Profile
from tests.federation.members import OPERATOR, open_members
from tests.federation.trust.certificates import openssl_request
from tests.support.processes import wait_until

ACTOR = Actor("somebody (local)", Role.OPERATOR)
HOMES = (("127.0.0.1", 18120), ("127.0.0.1", 18121))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A registry as `init` leaves it."""
    store = Store(f"sqlite:///{tmp_path}/biebroam.db", makes_file=True)
    initialise(store, tmp_path / "node.key", ACTOR, name="test", country="NL", eap_server_name="login.test.example")

    def tell(revision: int) -> None:
        announce(tmp_path, revision)

    return Registry(store, load_sealer(tmp_path / "node.key"), tell)


class Service:
    """Takes snapshots as a proxy does."""

    def __init__(self) -> None:
        self.swapped: list[int] = []
        self.refuses = False
        self.prepared = Event()
        self.changed = asyncio.Event()

    def is_prepared(self) -> bool:
        """And the collector was let go on."""
        return self.prepared.is_set() and gc.isenabled()

    def swap(self, snapshot: Snapshot) -> None:
        if self.refuses:
            raise ValueError("the certificate can not be used")
        self.swapped.append(snapshot.revision)
        self.changed.set()


class Cycle:
    """Refers to itself, as what an event loop or a database's library makes often does."""

    def __init__(self) -> None:
        self.itself = self


def feed_for(
    registry: Registry, folder: Path, service: Service, compile_newest: Callable[[Session], Snapshot] | None = None
) -> SnapshotFeed[Snapshot]:
    return SnapshotFeed(
        Snapshot,
        name="proxy-0",
        store_url=f"sqlite:///{folder}/biebroam.db",
        run_directory=folder,
        saved_path=folder / "snapshot.sealed",
        sealer=registry.sealer,
        swap=service.swap,
        compile_newest=compile_newest or (lambda session: compile_for_proxy(session, registry.sealer, HOMES)),
        saves=True,
        prepare=service.prepared.set,
    )


def change(registry: Registry) -> None:
    with registry.change(ACTOR) as changing:
        changing.record("test.touch", "test")


class TestFeed:
    async def test_start_brings_the_newest(self, registry: Registry, tmp_path: Path) -> None:
        """When `start` returns, what the registry says is in force."""
        service = Service()
        feed = feed_for(registry, tmp_path, service)
        feed.load_saved()
        await feed.start()
        assert (feed.revision, service.swapped) == (1, [1])
        await feed.stop()

    async def test_change_is_in_force_within_a_tenth_of_a_second(self, registry: Registry, tmp_path: Path) -> None:
        """From the commit to the swap in the loop: of five changes the quickest keeps the promise."""
        service = Service()
        feed = feed_for(registry, tmp_path, service)
        await feed.start()
        loop = asyncio.get_running_loop()
        times: list[float] = []
        for _ in range(5):
            service.changed.clear()
            await asyncio.to_thread(change, registry)
            began = loop.time()
            async with asyncio.timeout(3):
                await service.changed.wait()
            times.append(loop.time() - began)
        assert min(times) < 0.1
        assert sorted(times)[2] < 0.6
        await feed.stop()

    async def test_follower_gives_way_before_each_statement(
        self, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The event loop gets the interpreter between any two, and never waits for a change as a whole."""
        pauses: list[tuple[str, float]] = []

        def note(seconds: float) -> None:
            pauses.append((current_thread().name, seconds))

        monkeypatch.setattr(feed_module, "sleep", note)
        service = Service()
        feed = feed_for(registry, tmp_path, service)
        await feed.start()
        pauses.clear()
        service.changed.clear()
        await asyncio.to_thread(change, registry)
        async with asyncio.timeout(3):
            await service.changed.wait()
        await feed.stop()
        assert len(pauses) > 3
        assert {name.partition("-")[0] for name, _ in pauses} == {"follower"}
        assert all(0 < seconds <= 0.001 for _, seconds in pauses)

    async def test_collector_leaves_alone_what_is_in_force(self, registry: Registry, tmp_path: Path) -> None:
        """Its walk through a snapshot would be a pause of the packet path, and a compilation leaves no cycles."""
        gc.unfreeze()
        feed = feed_for(registry, tmp_path, Service())
        await feed.start()
        assert gc.get_freeze_count() > 10_000
        assert gc.isenabled()
        with registry.read() as session:
            compile_for_proxy(session, registry.sealer, HOMES)  # SQLAlchemy has compiled its statements
            gc.collect()
            compile_for_proxy(session, registry.sealer, HOMES)
            assert gc.collect() == 0
        await feed.stop()
        gc.unfreeze()

    async def test_collector_does_not_walk_through_what_was_compiled(self, registry: Registry, tmp_path: Path) -> None:
        """Nor does it begin to when it is let go on: that would be a pause of everybody, once for each compilation."""
        made: list[list[int]] = []
        looks: list[int] = []

        def compile_much(session: Session) -> Snapshot:
            made.extend([] for _ in range(5 * FROZEN_OBJECTS))
            looks.append(gc.get_stats()[0]["collections"])
            return compile_for_proxy(session, registry.sealer, HOMES)

        service = Service()
        feed = feed_for(registry, tmp_path, service, compile_much)
        gc.collect()
        await feed.start()
        looks.append(gc.get_stats()[0]["collections"])
        assert service.swapped == [1]
        assert looks[0] == looks[1]
        await feed.stop()
        gc.unfreeze()

    async def test_change_hides_nothing_from_the_collector(self, registry: Registry, tmp_path: Path) -> None:
        """What is in a cycle while a change comes into force, and of no use then or later, is found and goes."""
        service = Service()
        left: list[weakref.ref[Cycle]] = []
        kept: list[list[int]] = []

        def compile_and_leave(session: Session) -> Snapshot:
            left.append(weakref.ref(Cycle()))
            kept.extend([] for _ in range(FROZEN_OBJECTS // 2))
            return compile_for_proxy(session, registry.sealer, HOMES)

        feed = feed_for(registry, tmp_path, service, compile_and_leave)
        await feed.start()
        await asyncio.to_thread(wait_until, service.is_prepared, "what is prepared to be frozen", 5)
        open_connection = Cycle()
        left.append(weakref.ref(open_connection))
        gc.collect()
        frozen = gc.get_freeze_count()
        kept.extend([] for _ in range(3 * FROZEN_OBJECTS // 4))  # of packets, so that it is about to look
        await asyncio.to_thread(change, registry)
        await asyncio.to_thread(wait_until, lambda: feed.revision == 2, "the change", 5)
        del open_connection
        gc.collect()
        assert len(left) == 3
        assert [reference() for reference in left[1:]] == [None, None]
        assert gc.get_freeze_count() <= frozen
        await feed.stop()
        gc.unfreeze()

    async def test_saved_snapshot_is_in_force_without_a_database(self, registry: Registry, tmp_path: Path) -> None:
        """With the database away a service works from what was saved, and says that the registry is not read."""
        federation = Federation("test", "NL", "login.test.example")
        save_snapshot(tmp_path / "snapshot.sealed", Snapshot(9, federation), registry.sealer)
        registry.store.close()
        (tmp_path / "biebroam.db").unlink()
        (tmp_path / "biebroam.db").mkdir()
        service = Service()
        feed = feed_for(registry, tmp_path, service)
        feed.load_saved()
        assert service.swapped == [9]
        await feed.start()
        assert feed.revision == 9
        await feed.stop()

    async def test_hosted_home_servers_are_where_they_listen_now(self, registry: Registry, tmp_path: Path) -> None:
        """They take other ports at each start; what was saved before routes to where they are."""
        with registry.read() as session:
            saved = compile_for_proxy(session, registry.sealer, (("127.0.0.1", 1), ("127.0.0.1", 2)))
        save_snapshot(tmp_path / "snapshot.sealed", saved, registry.sealer)
        compiler = ProxyCompiler(registry.sealer, HOMES)
        in_force: list[Snapshot] = []
        feed = SnapshotFeed(
            Snapshot,
            name="proxy-0",
            store_url=f"sqlite:///{tmp_path}/biebroam.db",
            run_directory=tmp_path,
            saved_path=tmp_path / "snapshot.sealed",
            sealer=registry.sealer,
            swap=in_force.append,
            compile_newest=compiler.compile,
            resume=compiler.resume,
            saves=True,
        )
        feed.load_saved()
        await feed.start()
        ports = [[server.port for server in snapshot.home_servers.values()] for snapshot in in_force]
        assert sorted(ports[0]) == sorted(port for _, port in HOMES)
        await asyncio.to_thread(change, registry)
        await asyncio.to_thread(wait_until, lambda: feed.revision == saved.revision + 1, "the change", 5)
        assert in_force[-1].peer_trust == saved.peer_trust
        assert sorted(server.port for server in in_force[-1].home_servers.values()) == sorted(ports[0])
        await feed.stop()

    async def test_snapshot_that_the_service_refuses_is_told(self, registry: Registry, tmp_path: Path) -> None:
        """What can not be put in force leaves the one before, and its reason can be read."""
        service = Service()
        feed = feed_for(registry, tmp_path, service)
        await feed.start()
        service.refuses = True
        await asyncio.to_thread(change, registry)
        await asyncio.to_thread(wait_until, lambda: bool(feed.refused), "the refusal", 3)
        assert feed.refused == ("the certificate can not be used",)
        assert feed.revision == 1
        await feed.stop()


class TestSnapshots:
    def test_hosted_home_servers_share_a_secret_that_is_kept_nowhere(self) -> None:
        """Proxies and home servers of one node derive the same secret; another node's is another."""
        sealer, other = Sealer([NodeKey.generate()]), Sealer([NodeKey.generate()])
        hosted = build_hosted(HOMES, sealer)
        assert [server.key for server in hosted] == ["hosted/0", "hosted/1"]
        assert {server.secret for server in hosted} == {hosted_secret(sealer)}
        assert hosted_secret(sealer) != hosted_secret(other)

    def test_home_snapshot_has_the_certificate(self, registry: Registry) -> None:
        """The home server's snapshot has the certificate that `init` made, with its key."""
        with registry.read() as session:
            snapshot = compile_for_home(session, registry.sealer)
        assert isinstance(snapshot, HomeSnapshot)
        assert b"BEGIN CERTIFICATE" in snapshot.credentials.certificate_chain_pem
        assert b"PRIVATE KEY" in snapshot.credentials.private_key_pem

    def test_secret_of_the_longest_prefix_is_found(self) -> None:
        """A probe from an address uses the secret that the proxy will expect from it."""
        federation = Federation("test", "NL", "login.test.example")
        clients = tuple(
            Client(network, "west", "west.example", (ip_network(network),), SharedSecret(network.encode()))
            for network in ("127.0.0.0/8", "127.0.0.1/32", "192.0.2.0/24")
        )
        snapshot = Snapshot(1, federation, clients)
        assert find_client_secret(snapshot, "127.0.0.1") == b"127.0.0.1/32"
        assert find_client_secret(snapshot, "127.0.0.2") == b"127.0.0.0/8"
        assert find_client_secret(snapshot, "198.51.100.1") is None


class TestRenewals:
    def test_nothing_is_due_after_init(self, registry: Registry) -> None:
        """A fresh federation needs no renewal, and looking changes nothing."""
        assert Renewals(registry).renew() == 0
        with registry.read() as session:
            assert compile_for_proxy(session, registry.sealer, HOMES).revision == 1

    async def test_looks_in_the_background(self, registry: Registry) -> None:
        """It starts, looks, and ends without having been asked."""
        renewals = Renewals(registry)
        await renewals.start()
        await asyncio.sleep(0)
        await renewals.drain()
        assert renewals.counters() == {"renewals": 0}


class TestPeerTrust:
    def test_revocation_is_in_the_next_snapshot(self, tmp_path: Path) -> None:
        """A proxy is told of a revoked serial number with the revision that the revocation makes."""
        with open_members(tmp_path) as members:
            with members.change() as change:
                csr = openssl_request(tmp_path, "DNS:radius1.boekenburg.test")
                serial = issue_certificate(change, OPERATOR, "boekenburg", csr).serial
            with members.registry.read() as session:
                before = compile_for_proxy(session, members.sealer, HOMES)
            with members.change() as change:
                revoke_certificate(change, OPERATOR, serial)
            with members.registry.read() as session:
                after = compile_for_proxy(session, members.sealer, HOMES)
        assert before.peer_trust is not None
        assert after.peer_trust is not None
        assert (before.peer_trust.revoked_serials, after.peer_trust.revoked_serials) == (frozenset(), {serial})
        assert after.revision == before.revision + 1
        assert members.announced[-1] == after.revision

    def test_saved_snapshot_has_it_and_no_text_shows_the_key(self, registry: Registry, tmp_path: Path) -> None:
        """A proxy that starts while the database is away serves RADIUS/TLS; the key is in no representation."""
        with registry.read() as session:
            snapshot = compile_for_proxy(session, registry.sealer, HOMES)
        save_snapshot(tmp_path / "kept", snapshot, registry.sealer)
        assert load_snapshot(tmp_path / "kept", Snapshot, registry.sealer) == snapshot
        assert "PRIVATE KEY" not in repr(snapshot)
        assert b"PRIVATE KEY" not in (tmp_path / "kept").read_bytes()

    def test_registry_of_an_earlier_version_has_none_yet(self, registry: Registry) -> None:
        """UDP goes on without; the hourly renewal makes the certificate, and then it is there."""
        with registry.store.write() as session:
            session.execute(delete(CertificateRow).where(CertificateRow.profile == Profile.OPERATOR))
        with registry.read() as session:
            assert compile_for_proxy(session, registry.sealer, HOMES).peer_trust is None
        assert Renewals(registry).renew() == 1
        with registry.read() as session:
            assert compile_for_proxy(session, registry.sealer, HOMES).peer_trust is not None
