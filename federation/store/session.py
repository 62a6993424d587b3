"""The database: one engine, its schema brought up to date, and sessions on it."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, TypeVarTuple
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, Row, Select, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from federation.errors import Conflict
from federation.store.tables import (
    foreign,
    patrons,
    registry,
    sign_ins,
    tokens,
    trust,
)  # all tables are known once this module is

if TYPE_CHECKING:
    from alembic.config import Config

Columns = TypeVarTuple("Columns")

MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_SECONDS = 10.0  # a writer waits this long for another; changes take a few milliseconds each

TABLES = (registry, patrons, tokens, trust, foreign, sign_ins)


_MIGRATING = Lock()  # Alembic keeps its context in a global: one migration at a time in a process


class Store:
    """The registry's database. Sessions are for one thread each; the store itself is for all."""

    def __init__(self, url: str, *, makes_file: bool = False) -> None:
        """`url` as SQLAlchemy writes it, such as `sqlite:////var/lib/biebroam/biebroam.db`; nothing is opened yet.

        A file of SQLite's that is not there is an error, as a server that is away is, and no reason to begin anew with
        nothing in it: the volume may come back. `makes_file` is for who makes a registry.
        """
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = (
            _create_sqlite_engine(self.url, makes_file=makes_file)
            if self.is_sqlite
            else create_engine(url, pool_pre_ping=True, hide_parameters=True)
        )
        self._single = self.engine.execution_options(sqlite_begin=None)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    def migrate(self) -> None:
        """The schema is the newest one; nothing happens when it is already.

        Raises:
            Conflict: a newer version of Biebroam made the schema; nothing is changed.
        """
        from alembic import command  # noqa: PLC0415 - 10 MB that a proxy worker, which only reads, does without
        from alembic.util import CommandError  # noqa: PLC0415

        configuration = _configuration()
        with _MIGRATING, self.engine.connect() as connection:
            if self.is_sqlite:  # of two that begin together, the second waits and finds everything done
                connection.execution_options(sqlite_begin="IMMEDIATE")
            configuration.attributes["connection"] = connection
            try:
                command.upgrade(configuration, "head")
            except CommandError:  # it knows no such schema
                raise Conflict("a newer version of Biebroam made this database: install that one") from None
            connection.commit()

    def is_migrated(self) -> bool:
        """Whether the schema is the newest one."""
        from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - 10 MB that a proxy worker, which only reads, does without
        from alembic.script import ScriptDirectory  # noqa: PLC0415

        head = ScriptDirectory.from_config(_configuration()).get_current_head()
        with self.engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision() == head

    @contextmanager
    def read(self) -> Generator[Session]:
        """A session that sees one state of the database and leaves nothing behind."""
        with self._sessions() as session:
            yield session

    def look_up(self, statement: "Select[*Columns]", values: Mapping[str, object]) -> "Row[*Columns] | None":
        """The one row that there may be; a single statement sees one state of the database without a transaction."""
        with self._single.connect() as connection:
            return connection.execute(statement, values).one_or_none()

    @contextmanager
    def write(self, *, keep: bool = True) -> Generator[Session]:
        """A session whose changes are all kept at the end of the block, or none when it raises or `keep` is False.

        Writers follow one another: on SQLite the write lock is taken at the beginning, so that what was read in the
        block still holds when it is written.
        """
        with self._sessions() as session:
            if self.is_sqlite:
                session.connection(execution_options={"sqlite_begin": "IMMEDIATE"})
            yield session
            if keep:
                session.commit()

    def close(self) -> None:
        """All connections are closed."""
        self.engine.dispose()


def _configuration() -> "Config":
    from alembic.config import Config  # noqa: PLC0415 - as above

    configuration = Config()
    configuration.set_main_option("script_location", str(MIGRATIONS))
    configuration.set_main_option("path_separator", "os")
    return configuration


def build_file_uri(path: str) -> str:
    """SQLite's name of a file, whatever characters are in its path; "?mode=rw" and the like may follow."""
    return f"file:{quote(path)}"


def _create_sqlite_engine(url: URL, *, makes_file: bool) -> Engine:
    if url.database and not makes_file:
        url = url.set(database=build_file_uri(url.database), query={"mode": "rw", "uri": "true"})
    # hide_parameters: an error's text must not carry the values that were to be written.
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    del record
    # Python's sqlite3 begins transactions late and by its own rules; None leaves that to _begin_sqlite.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")  # readers go on while one writes
    cursor.execute("PRAGMA foreign_keys = ON")  # off unless asked for, on each connection
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    if mode is not None:
        connection.exec_driver_sql(f"BEGIN {mode}")
