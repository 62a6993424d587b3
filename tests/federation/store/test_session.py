"""The database: its schema, its transactions, two writers at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import URL, text
from sqlalchemy.exc import IntegrityError, OperationalError

from federation.errors import Conflict
from federation.services.authorities import list_authorities
from federation.store.session import MIGRATIONS, Store
from federation.store.tables.base import Base
from federation.store.tables.registry import LibraryRow
from federation.trust.rows import open_authority
from tests.federation.members import START, Members


def migrate(url: str) -> bool:
    store = Store(url, makes_file=True)
    try:
        store.migrate()
        return store.is_migrated()
    finally:
        store.close()


class TestMigrations:
    def test_lead_to_the_tables_that_the_code_has(self, members: Members) -> None:
        """A database made by the migrations differs in nothing from the tables of the code."""
        with members.store.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, Base.metadata) == []

    def test_authorities_of_an_earlier_version_stay_as_they_were(self, members: Members) -> None:
        """Back before roll-overs and up again, the same authorities are the first generation and their keys open."""
        with members.registry.read() as session:
            before = {row.key_context: row.certificate_pem for row in list_authorities(session)}
        configuration = Config()
        configuration.set_main_option("script_location", str(MIGRATIONS))
        configuration.set_main_option("path_separator", "os")
        with members.store.engine.connect() as connection:
            configuration.attributes["connection"] = connection
            command.downgrade(configuration, "0004")
            connection.commit()
        assert not members.store.is_migrated()
        members.store.migrate()
        with members.registry.read() as session:
            rows = list_authorities(session)
            assert {row.key_context: row.certificate_pem for row in rows} == before
            assert {(row.generation, row.standing) for row in rows} == {(1, "current")}
            for row in rows:
                open_authority(row, members.sealer)
        assert len(before) == 4

    def test_again_changes_nothing(self, tmp_path: Path) -> None:
        """A database that is up to date stays as it is; a new one is not."""
        store = Store(f"sqlite:///{tmp_path / 'new.db'}", makes_file=True)
        assert not store.is_migrated()
        store.migrate()
        store.migrate()
        assert store.is_migrated()
        store.close()

    def test_database_of_a_newer_version_is_left_alone(self, members: Members) -> None:
        """A schema that this version does not know is refused in words, not by a trace."""
        with members.store.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        assert not members.store.is_migrated()
        with pytest.raises(Conflict, match="newer version"):
            members.store.migrate()

    def test_two_at_once_make_one_schema(self, tmp_path: Path) -> None:
        """Processes that begin together wait for each other; none fails."""
        url = f"sqlite:///{tmp_path / 'new.db'}"
        with ThreadPoolExecutor(4) as executor:
            assert list(executor.map(migrate, [url] * 4)) == [True] * 4


class TestSqlite:
    def test_file_that_is_gone_is_not_made_anew(self, tmp_path: Path) -> None:
        """A registry with nothing in it in the place of the one that is away would be served as if it were true."""
        path = tmp_path / "biebroam.db"
        store = Store(f"sqlite:///{path}")
        for use in (store.migrate, store.is_migrated):
            with pytest.raises(OperationalError):
                use()
        assert not path.exists()

    def test_path_may_have_any_characters(self, tmp_path: Path) -> None:
        """What a URL would read as its query is part of the name."""
        path = tmp_path / "a b?mode=ro#%41.db"
        path.touch()
        store = Store(URL.create("sqlite", database=str(path)).render_as_string())
        store.migrate()
        assert store.is_migrated()
        store.close()
        assert path.stat().st_size
        assert {each.name for each in tmp_path.iterdir()} == {path.name}

    def test_keeps_foreign_keys_and_lets_readers_go_on(self, members: Members) -> None:
        """References are checked, and a reader does not wait for a writer."""
        with members.store.read() as session:
            assert session.scalar(text("PRAGMA foreign_keys")) == 1
            assert session.scalar(text("PRAGMA journal_mode")) == "wal"
        with members.store.write() as writer:
            writer.execute(text("UPDATE libraries SET name = 'x'"))
            with members.store.read() as reader:
                assert reader.scalar(text("SELECT count(*) FROM libraries WHERE name = 'x'")) == 0

    def test_dangling_reference_is_refused(self, members: Members) -> None:
        """A realm without its library cannot be."""
        with pytest.raises(IntegrityError), members.store.write() as session:
            session.execute(
                text(
                    "INSERT INTO realms (name, library_id, position, includes_subrealms, version) "
                    "VALUES ('a.b', 'none', 0, 0, 1)"
                )
            )

    def test_writers_follow_one_another(self, members: Members) -> None:
        """Twenty changes at once from four threads all happen, none on an old state."""

        def count_up() -> None:
            for _ in range(5):
                with members.store.write() as session:
                    row = session.get(LibraryRow, "boekenburg", populate_existing=True)
                    assert row is not None
                    row.version += 1

        threads = [threading.Thread(target=count_up) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        with members.store.read() as session:
            row = session.get(LibraryRow, "boekenburg")
            assert row is not None
            assert row.version == 21


class TestMoments:
    def test_come_back_aware(self, members: Members) -> None:
        """A moment that was kept is read in UTC with its zone."""
        with members.store.read() as session:
            row = session.get(LibraryRow, "boekenburg")
            assert row is not None
            assert row.created_at == START

    def test_naive_one_is_refused(self, members: Members) -> None:
        """Nobody could say when it was."""
        with pytest.raises(Exception, match="zone"), members.store.write() as session:
            row = session.get(LibraryRow, "boekenburg")
            assert row is not None
            row.changed_at = START.replace(tzinfo=None)
