"""The registry on a real PostgreSQL: the same tests as on SQLite, and what only a server can do to its clients."""

import asyncio
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import OperationalError

from federation.services import realms
from federation.services.feed import SnapshotFeed, compile_for_proxy
from federation.snapshot import Snapshot
from federation.store.announcements import announce
from federation.store.tables.base import Base
from federation.store.tables.registry import LibraryRow
from tests.federation.members import OPERATOR, Members, open_members
from tests.federation.services import (
    test_cycles,
    test_document,
    test_patrons,
    test_recorder,
    test_registry,
    test_sign_ins,
    test_things,
)
from tests.federation.store import test_session, test_snapshots
from tests.support.postgresql import PostgreSQL, running_postgresql

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("postgresql")]  # one server for all of them


@dataclass(frozen=True)
class Twin:
    """A database that is copied for each test, and the folder of its key."""

    database: str
    folder: Path


@pytest.fixture(scope="module")
def server() -> Generator[PostgreSQL]:
    with running_postgresql() as running:
        yield running


@pytest.fixture(scope="module")
def twin(server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Twin:
    """The same two libraries as on SQLite, made once."""
    made = Twin(server.create(), tmp_path_factory.mktemp("twin"))
    with open_members(made.folder, server.url(made.database)):
        return made


@pytest.fixture
def database(server: PostgreSQL, twin: Twin) -> Generator[str]:
    """A database of this test's own, with the libraries in it."""
    name = server.create(twin.database)
    yield name
    server.drop(name)


@pytest.fixture
def members(server: PostgreSQL, database: str, twin: Twin, tmp_path: Path) -> Generator[Members]:
    """The libraries in that database."""
    with open_members(tmp_path, server.url(database), twin=twin.folder) as opened:
        yield opened


class TestMigrations:
    def test_lead_to_the_tables_that_the_code_has(self, members: Members) -> None:
        """The migrations make the same schema here."""
        assert members.store.is_migrated()
        with members.store.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, Base.metadata) == []


class TestWriters:
    def test_follow_one_another(self, members: Members) -> None:
        """Changes from many at once all happen, each on the one before; no revision is given twice."""
        before = len(members.announced)

        def change_ten(number: int) -> None:
            for each in range(10):
                with members.change() as change:
                    row = change.session.get(LibraryRow, "leesstad", populate_existing=True)
                    assert row is not None
                    row.version += 1
                    realms.add_realm(change, OPERATOR, "leesstad", name=f"r{number}-{each}.test")

        with ThreadPoolExecutor(4) as executor:
            list(executor.map(change_ten, range(4)))
        made = members.announced[before:]
        assert sorted(made) == list(range(min(made), min(made) + 40))
        with members.store.read() as session:
            row = session.get(LibraryRow, "leesstad")
            assert row is not None
            assert row.version >= 41


class TestServer:
    def test_lost_connections_are_made_anew(self, server: PostgreSQL, database: str, members: Members) -> None:
        """After the server ended all connections, as a restart does, the next question is answered."""
        with members.store.read() as session:
            assert session.get(LibraryRow, "leesstad") is not None
        server.disconnect(database)
        with members.store.read() as session:
            assert session.get(LibraryRow, "leesstad") is not None

    def test_feed_keeps_its_snapshot_while_the_server_is_away(
        self, server: PostgreSQL, database: str, members: Members, tmp_path: Path
    ) -> None:
        """A follower hears of a change, works on while the database refuses it, and catches up afterwards."""
        swapped: list[int] = []
        news = threading.Event()

        def swap(snapshot: Snapshot) -> None:
            swapped.append(snapshot.revision)
            news.set()

        feed = SnapshotFeed(
            Snapshot,
            name="proxy-0",
            store_url=server.url(database),
            run_directory=tmp_path,
            saved_path=tmp_path / "snapshot.sealed",
            sealer=members.sealer,
            swap=swap,
            compile_newest=lambda session: compile_for_proxy(session, members.sealer, ()),
            saves=False,
        )
        _follow(feed, lambda: _change_while_away(server, database, members, tmp_path, news, swapped))
        assert swapped == sorted(set(swapped))
        assert feed.revision == members.announced[-1]


def _follow(feed: SnapshotFeed[Snapshot], work: Callable[[], None]) -> None:
    async def run() -> None:
        await feed.start()
        await asyncio.to_thread(work)
        await feed.stop()

    asyncio.run(run())


def _change_while_away(
    server: PostgreSQL, database: str, members: Members, folder: Path, news: threading.Event, swapped: list[int]
) -> None:
    assert news.wait(10)
    news.clear()
    with members.change() as change:
        realms.add_realm(change, OPERATOR, "leesstad", name="eerst.test")
    announce(folder, members.announced[-1])
    assert news.wait(10)
    news.clear()
    seen = len(swapped)
    server.allow(database, connections=False)
    server.disconnect(database)
    with pytest.raises(OperationalError), members.change() as change:
        realms.add_realm(change, OPERATOR, "leesstad", name="nooit.test")
    assert not news.wait(2.5)  # it looks each second, and keeps what it has
    assert len(swapped) == seen
    server.allow(database, connections=True)
    with members.change() as change:
        realms.add_realm(change, OPERATOR, "leesstad", name="later.test")
    assert news.wait(10)


# The tests of the registry on SQLite, once more: what they say of it holds here.


class TestRegistryChange(test_registry.TestChange):
    pass


class TestRegistryAudit(test_registry.TestAudit):
    pass


class TestRegistryRights(test_registry.TestRights):
    pass


class TestThingsRealms(test_things.TestRealms):
    pass


class TestThingsAccessPoints(test_things.TestAccessPoints):
    pass


class TestThingsHomeServers(test_things.TestHomeServers):
    pass


class TestThingsRemoval(test_things.TestRemoval):
    pass


class TestDocumentApply(test_document.TestApply):
    pass


class TestDocumentExport(test_document.TestExport):
    pass


class TestCyclesSingleChanges(test_cycles.TestSingleChanges):
    pass


class TestCyclesApply(test_cycles.TestApply):
    pass


class TestSignInsRecord(test_sign_ins.TestRecord):
    pass


class TestSignInsTenants(test_sign_ins.TestTenants):
    pass


class TestSignInsFilters(test_sign_ins.TestFilters):
    pass


class TestSignInsPurge(test_sign_ins.TestPurge):
    pass


class TestRecorderRecorder(test_recorder.TestRecorder):
    pass


class TestPatronsAdd(test_patrons.TestAdd):
    pass


class TestPatronsImport(test_patrons.TestImport):
    pass


class TestSessionMoments(test_session.TestMoments):
    pass


class TestSnapshotsCompile(test_snapshots.TestCompile):
    pass


class TestSnapshotsSaved(test_snapshots.TestSaved):
    pass
