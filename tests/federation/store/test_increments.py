"""Snapshots made from the ones before them: whatever happened, they are what a compilation of everything gives."""

import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, insert

from federation.errors import FederationError, SnapshotRejected
from federation.model import MemberRole
from federation.services import access_points, home_servers, libraries, realms
from federation.services.access_points import AccessPointValues
from federation.services.home_servers import HomeServerValues
from federation.services.registry import Change, Registry
from federation.services.settings import change_settings
from federation.shards import Shards
from federation.snapshot import HomeServer, SharedSecret, Snapshot
from federation.store.compile import compile_snapshot
from federation.store.increments import FEW, SnapshotCompiler
from federation.store.saved import load_snapshot, save_snapshot
from federation.store.session import Store
from federation.store.tables.registry import LibraryRow, RealmRow
from federation.trust.keystore import Sealer, load_sealer
from tests.federation.members import OPERATOR, START, open_members
from tests.support.cycles import count_cycles

HOSTED = (HomeServer("hosted/0", None, "127.0.0.1", 4000, secret=SharedSecret(b"h" * 16), is_hosted=True),)
LIBRARIES = ("boekenburg", "leesstad", "nieuw", "later")
NAMES = st.sampled_from([f"r{number}.test" for number in range(6)] + ["sub.r1.test", "boekenburg.test", "oud.test"])
LIBRARY = st.sampled_from(LIBRARIES)
ITEM = st.sampled_from(("one", "two"))
NUMBER = st.integers(0, 5)

Step = Callable[[Change], object]


class World:
    """A registry of its own, and one compiler that follows it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sealer: Sealer = load_sealer(folder / "node.key")
        self.store = Store(f"sqlite:///{folder / 'biebroam.db'}")
        self.registry = Registry(self.store, self.sealer, lambda _: None, lambda: START)
        self.compiler = SnapshotCompiler(self.sealer, HOSTED)

    def make(self, step: Step) -> None:
        """The change, if it can be: what services refuse leaves nothing behind."""
        with suppress(FederationError), self.registry.change(OPERATOR) as change:
            step(change)

    def follow(self) -> Snapshot:
        with self.registry.read() as session:
            return self.compiler.compile(session)

    def restart(self, snapshot: Snapshot) -> None:
        """The process was killed, and goes on from what was saved."""
        save_snapshot(self.folder / "kept", snapshot, self.sealer)
        saved = load_snapshot(self.folder / "kept", Snapshot, self.sealer)
        assert saved is not None
        assert saved == snapshot
        self.compiler = SnapshotCompiler(self.sealer, HOSTED)
        assert self.compiler.resume(saved) == snapshot

    def compile_all(self) -> Snapshot:
        with self.registry.read() as session:
            return compile_snapshot(session, self.sealer, HOSTED)

    @contextmanager
    def statements(self) -> Generator[list[str]]:
        """What is said to the database inside the block."""
        said: list[str] = []

        def note(*arguments: object) -> None:
            said.append(str(arguments[2]))

        event.listen(self.store.engine, "before_cursor_execute", note)
        yield said
        event.remove(self.store.engine, "before_cursor_execute", note)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("increments")
    with open_members(folder):
        pass
    return folder


@contextmanager
def open_world(template: Path) -> Generator[World]:
    with tempfile.TemporaryDirectory() as name:
        shutil.copytree(template, name, dirs_exist_ok=True)
        world = World(Path(name))
        try:
            yield world
        finally:
            world.store.close()


@pytest.fixture
def world(template: Path) -> Generator[World]:
    with open_world(template) as opened:
        yield opened


def add_library(library: str) -> Step:
    return lambda change: libraries.add_library(change, OPERATOR, library_id=library, name=library)


def turn_library(library: str, roles: Sequence[MemberRole], *, active: bool) -> Step:
    return lambda change: libraries.change_library(
        change, OPERATOR, library, name=library, roles=roles, operator_name="", is_active=active
    )


def add_server(library: str, name: str, number: int) -> Step:
    values = HomeServerValues(f"192.0.2.{number}", accounting_port=1813 if number % 2 else None, position=number)
    secret = f"secret-of-the-server-{number}"
    return lambda change: home_servers.add_home_server(
        change, OPERATOR, library, name=name, values=values, secret=secret
    )


def add_point(library: str, name: str, number: int) -> Step:
    values = AccessPointValues(
        address=f"198.51.{100 + number // 250}.{number % 250}", coa_port=3799 if number > 3 else None
    )
    secret = f"secret-of-the-point-{number}"
    return lambda change: access_points.add_access_point(
        change, OPERATOR, library, name=name, values=values, secret=secret
    )


def move_realm(name: str, library: str) -> Step:
    def step(change: Change) -> None:
        row = change.session.get(RealmRow, name)
        if row is not None:
            realms.remove_realm(change, OPERATOR, row.library_id, name)
        realms.add_realm(change, OPERATOR, library, name=name)

    return step


def deny(pattern: str) -> Step:
    return lambda change: change_settings(
        change, OPERATOR, name="t", country="NL", eap_server_name="l.test", denied_realms=(pattern,)
    )


def remove_library(library: str) -> Step:
    return lambda change: libraries.remove_library(change, OPERATOR, library)


def turn_subrealms(library: str, name: str, below: object) -> Step:
    return lambda change: realms.change_realm(change, OPERATOR, library, name, includes_subrealms=bool(below))


def order(library: str, names: Sequence[str]) -> Step:
    return lambda change: realms.order_realms(change, OPERATOR, library, names)


def remove_realm(library: str, name: str) -> Step:
    return lambda change: realms.remove_realm(change, OPERATOR, library, name)


def remove_server(library: str, name: str) -> Step:
    return lambda change: home_servers.remove_home_server(change, OPERATOR, library, name)


def remove_point(library: str, name: str) -> Step:
    return lambda change: access_points.remove_access_point(change, OPERATOR, library, name)


def turn(library: str, roles: Sequence[MemberRole], active: object) -> Step:
    return turn_library(library, roles, active=bool(active))


ROLES = st.sampled_from(((MemberRole.HOME,), (MemberRole.VISITED,), tuple(MemberRole)))
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.builds(add_library, LIBRARY),
    st.builds(remove_library, LIBRARY),
    st.builds(turn, LIBRARY, ROLES, st.booleans()),
    st.builds(move_realm, NAMES, LIBRARY),
    st.builds(turn_subrealms, LIBRARY, NAMES, st.booleans()),
    st.builds(order, LIBRARY, st.lists(NAMES, unique=True)),
    st.builds(remove_realm, LIBRARY, NAMES),
    st.builds(add_server, LIBRARY, ITEM, NUMBER),
    st.builds(remove_server, LIBRARY, ITEM),
    st.builds(add_point, LIBRARY, ITEM, NUMBER),
    st.builds(remove_point, LIBRARY, ITEM),
    st.builds(deny, st.sampled_from(("gmail.com", "*.local"))),
)


def fill(world: World, count: int) -> None:
    """So many libraries of 100 realms each, written past the services: the next compilation reads everything."""
    with world.store.write() as session:
        for number in range(count):
            library = f"fill{number}"
            common = {"roles": ["home", "visited"], "operator_name": "", "is_active": True, "version": 1}
            session.add(LibraryRow(id=library, name=library, created_at=START, changed_at=START, revision=1, **common))
            session.flush()
            session.execute(
                insert(RealmRow),
                [
                    {"name": f"r{realm}.{library}.test", "library_id": library, "position": realm, "version": 1}
                    for realm in range(100)
                ],
            )
    world.compiler = SnapshotCompiler(world.sealer, HOSTED)


def count_calls(work: Callable[[], object]) -> int:
    """How many calls of Python's functions that takes, in this thread."""
    found: list[str] = []

    def profile(frame: FrameType, event: str, argument: object) -> None:
        del argument
        if event == "call":
            found.append(frame.f_code.co_qualname)

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return len(found)


def realms_of_servers(snapshot: Snapshot) -> dict[str, tuple[str, ...]]:
    """What the comparison of home servers leaves out."""
    return {key: server.realms for key, server in snapshot.home_servers.items()}


class TestCompiler:
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(steps=st.lists(st.tuples(st.lists(STEPS, min_size=1, max_size=3), st.booleans()), min_size=3, max_size=12))
    def test_snapshots_are_what_a_whole_compilation_gives(
        self, template: Path, steps: list[tuple[list[Step], bool]]
    ) -> None:
        """After any changes, removals and moves, with the process killed between them, nothing differs."""
        with open_world(template) as world:
            for changes, is_killed in steps:
                for change in changes:
                    world.make(change)
                snapshot, whole = world.follow(), world.compile_all()
                assert snapshot == whole
                assert realms_of_servers(snapshot) == realms_of_servers(whole)
                if is_killed:
                    world.restart(snapshot)

    def test_registry_that_was_restored_is_read_whole(self, world: World) -> None:
        """A trail that says otherwise than what was followed is another registry's: nothing of before is believed."""
        world.follow()
        backup = world.folder / "backup.db"
        with closing(sqlite3.connect(world.folder / "biebroam.db")) as connection:
            connection.execute("VACUUM INTO ?", (str(backup),))
        world.make(add_library("lost"))
        world.make(move_realm("lost.test", "lost"))
        lost = world.follow()
        assert "lost.test" in lost.realms
        world.store.close()
        shutil.copy(backup, world.folder / "biebroam.db")
        for suffix in ("-wal", "-shm"):
            (world.folder / f"biebroam.db{suffix}").unlink(missing_ok=True)
        for number in range(4):
            world.make(move_realm(f"r{number}.test", "leesstad"))
        snapshot = world.follow()
        assert snapshot == world.compile_all()
        assert snapshot.revision > lost.revision
        assert "lost.test" not in snapshot.realms

    def test_cost_of_a_change_does_not_grow_with_the_realms(self, world: World) -> None:
        """One realm among 10,000 more is read with as many statements, and its library is all that is read."""
        costs: list[tuple[int, int]] = []
        for count in (0, 100):
            fill(world, count)
            world.follow()
            read = world.compiler.libraries_read
            world.make(move_realm(f"new{count}.test", "boekenburg"))
            with world.statements() as said:
                snapshot = world.follow()
            costs.append((len(said), world.compiler.libraries_read - read))
            assert f"new{count}.test" in snapshot.realms
            assert len(snapshot.realms) > count * 100
        assert costs[0] == costs[1]
        assert costs[0][1] == 1
        assert costs[0][0] < 10

    def test_first_change_after_a_start_costs_what_any_other_does(self, world: World) -> None:
        """What is sorted by libraries for it was sorted before, in time that nobody waits for."""
        totals: list[int] = []
        for count in (0, 30):
            fill(world, count)
            world.restart(world.follow())
            world.compiler.prepare()
            world.make(move_realm(f"first{count}.test", "boekenburg"))
            with world.registry.read() as session:
                totals.append(count_calls(lambda: world.compiler.compile(session)))
            assert world.compile_all() == world.follow()
        assert totals[1] < totals[0] + 100

    def test_change_leaves_nothing_to_the_collector(self, world: World) -> None:
        """Whatever it is: a worker that follows a change each second would grow until the collector looks."""
        steps: dict[str, Step] = {
            "a library": add_library("nieuw"),
            "its realm": move_realm("nieuw.test", "nieuw"),
            "its home server": add_server("nieuw", "one", 1),
            "its access point": add_point("nieuw", "one", 5),
            "two at once": lambda change: (move_realm("r1.test", "leesstad")(change), deny("gmail.com")(change)),
            "no realm": remove_realm("nieuw", "nieuw.test"),
            "no home server": remove_server("nieuw", "one"),
            "no access point": remove_point("nieuw", "one"),
            "no library": remove_library("nieuw"),
        }
        world.follow()
        world.make(move_realm("first.test", "boekenburg"))
        world.follow()  # SQLAlchemy has compiled its statements
        left: dict[str, int] = {}
        for name, step in steps.items():
            before = world.follow().revision
            world.make(step)
            left[name] = count_cycles(world.follow)
            assert world.follow().revision == before + 1, name
        assert left == dict.fromkeys(steps, 0)

    def test_what_did_not_change_is_the_same_object(self, world: World) -> None:
        """Another realm leaves home servers, clients, and all but one part of the realms where they were."""
        fill(world, 10)
        world.make(add_point("leesstad", "one", 1))
        world.make(add_server("leesstad", "one", 1))
        before = world.follow()
        world.make(move_realm("new.test", "boekenburg"))
        after = world.follow()
        assert after.clients is before.clients
        assert after.home_servers is before.home_servers
        assert isinstance(before.realms, Shards)
        assert isinstance(after.realms, Shards)
        assert sum(mine is not its for mine, its in zip(before.realms.parts, after.realms.parts, strict=True)) == 1

    def test_difference_names_what_changed(self, world: World) -> None:
        """Who has the snapshot before in force takes over only these."""
        for step in (
            add_point("leesstad", "one", 1),
            add_point("leesstad", "two", 2),
            add_server("leesstad", "one", 2),
        ):
            world.make(step)
        before = world.follow()
        assert before.difference is None
        world.make(remove_point("leesstad", "one"))
        world.make(add_point("leesstad", "three", 3))
        world.make(remove_server("leesstad", "one"))
        world.make(add_server("boekenburg", "two", 4))
        difference = world.follow().difference
        assert difference is not None
        assert difference.clients is before.clients
        assert difference.home_servers is before.home_servers
        assert difference.removed_clients == ("leesstad/one",)
        assert [client.key for client in difference.changed_clients] == ["leesstad/three"]
        assert difference.removed_home_servers == ("leesstad/one",)
        assert [server.key for server in difference.changed_home_servers] == ["boekenburg/two"]

    def test_hosted_home_servers_are_where_they_are_now(self, world: World) -> None:
        """A saved snapshot says where they were; with another number of them, every route is made anew."""
        saved = world.follow()
        moved = replace(HOSTED[0], port=5000)
        compiler = SnapshotCompiler(world.sealer, (moved,))
        resumed = compiler.resume(saved)
        assert resumed.home_servers["hosted/0"].port == 5000
        assert resumed.trail == saved.trail
        second = replace(moved, key="hosted/1", port=5001)
        compiler = SnapshotCompiler(world.sealer, (moved, second))
        assert compiler.resume(saved).trail != saved.trail
        with world.registry.read() as session:
            assert compiler.compile(session) == compile_snapshot(session, world.sealer, (moved, second))

    def test_many_changed_libraries_are_read_together(self, world: World) -> None:
        """A document that changes hundreds of libraries, with their clients, is followed in one go."""
        world.follow()
        with world.registry.change(OPERATOR) as change:
            for number in range(FEW + 20):
                libraries.add_library(change, OPERATOR, library_id=f"m{number}", name="Many")
                add_point(f"m{number}", "one", number)(change)
        assert world.follow() == world.compile_all()

    def test_what_can_not_be_followed_is_left_out_until_it_can(self, world: World) -> None:
        """A registry that was changed past its services is refused, and followed again once it is right."""
        world.make(add_point("leesstad", "one", 1))
        before = world.follow()
        world.make(add_point("boekenburg", "one", 2))
        with world.store.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE access_points SET address = '198.51.100.1/32'")
        with pytest.raises(SnapshotRejected, match="belongs to 2 clients"):
            world.follow()
        with world.store.engine.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE access_points SET address = '198.51.100.2/32' WHERE library_id = 'boekenburg'"
            )
        after = world.follow()
        assert after == world.compile_all()
        assert len(after.clients) == len(before.clients) + 1
