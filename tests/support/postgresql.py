"""A real PostgreSQL of one's own: on loopback, on a free port, in a temporary directory, as an unprivileged user."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.support.processes import Program, find_program, free_port, require_program

_USER = "biebroam"
_LOCALE = "C.UTF-8"
_MEMORY = Path("/dev/shm")  # a database is some hundred files, and a disk takes longer to make them than to fill them
_MEMORY_OCTETS = 1 << 30  # what has to be free there; a server with one test's database needs a tenth


def find_server_programs() -> Path:
    """The folder of the server's programs, which Debian keeps out of the PATH; without it the test is left out."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    for folder in reversed(folders):
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    return Path(require_program("initdb", "postgresql")).parent


class PostgreSQL:
    """A running server, and databases in it."""

    def __init__(self, port: int, password: str) -> None:
        self.port = port
        self.password = password
        self._count = 0

    def url(self, database: str) -> str:
        """The database as SQLAlchemy names it."""
        return f"postgresql+psycopg://{_USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def create(self, template: str = "template1") -> str:
        """A new database, a copy of the template's files; its name."""
        self._count += 1
        name = f"test_{self._count}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        self._execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def drop(self, name: str) -> None:
        """The database is gone, whoever was connected to it."""
        self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def disconnect(self, name: str) -> None:
        """Every connection to the database is ended by the server, as a restart would."""
        self._execute(
            sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}").format(
                sql.Literal(name)
            )
        )

    def allow(self, name: str, *, connections: bool) -> None:
        """New connections to the database are taken, or refused."""
        self._execute(
            sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(sql.Identifier(name), sql.Literal(connections))
        )

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            self._execute(sql.SQL("SELECT 1"))
        except psycopg.OperationalError:
            return False
        return True

    def _execute(self, statement: sql.SQL | sql.Composed) -> None:
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user=_USER, password=self.password, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement)


@contextmanager
def running_postgresql() -> Generator[PostgreSQL]:
    """A server until the end of the block, then nothing of it."""
    programs = find_server_programs()
    folder = Path(tempfile.mkdtemp(prefix="biebroam-postgresql-", dir=_find_memory()))  # only root may enter pytest's
    try:
        data, password = folder / "data", secrets.token_hex(16)
        (folder / "password").write_text(password)
        as_user = _become_unprivileged(folder)
        command = [*as_user, str(programs / "initdb"), "-D", str(data), "-U", _USER, "--no-sync", "-E", "UTF8"]
        command += [f"--locale={_LOCALE}", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}"]
        made = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
        if made.returncode:
            pytest.fail(f"initdb: {made.stdout}{made.stderr}")
        server = PostgreSQL(free_port(), password)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(server.port),
            "unix_socket_directories": "",
            "max_connections": "40",
            # A crash may lose everything, there is no replica, and no database lives long enough to be vacuumed.
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "wal_level": "minimal",
            "max_wal_senders": "0",
            "autovacuum": "off",
            "jit": "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        program = Program([*as_user, programs / "postgres", "-D", data, *options], folder / "log", folder=folder)
        try:
            program.wait_ready(server.is_ready)
            yield server
        finally:
            program.process.send_signal(signal.SIGINT)  # "fast": it ends its connections
            program.stop()
    finally:
        shutil.rmtree(folder)


def _find_memory() -> Path | None:
    """A folder in memory with enough room; None where there is none (a container's may have 64 MB)."""
    has_room = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _MEMORY_OCTETS
    return _MEMORY if has_room else None


def _become_unprivileged(folder: Path) -> Sequence[str]:
    """What to put before a command; PostgreSQL refuses to run as root. The folder is the user's."""
    if os.geteuid() != 0:
        return ()
    user = next(entry for entry in map(_find_user, ("postgres", "nobody")) if entry is not None)
    for path in (folder, *folder.iterdir()):
        os.chown(path, user.pw_uid, user.pw_gid)
    setpriv = find_program("setpriv")
    assert setpriv is not None  # util-linux is essential on Debian
    return (setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")


def _find_user(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None
