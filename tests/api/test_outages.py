"""The database locked, gone, broken or full: said as such, and over when it is back."""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.pool import ConnectionPoolEntry

from api.outages import RETRY_SECONDS, is_outage
from tests.api.federation import LibraryFederation


@pytest.fixture(name="impatient")
def a_federation_that_waits_little_for_locks(federation: LibraryFederation) -> LibraryFederation:
    """The same database, with a tenth of a second for a lock instead of ten."""

    def shorten(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        del record
        cursor = connection.cursor()
        cursor.execute("PRAGMA busy_timeout = 100")
        cursor.close()

    federation.registry.store.engine.dispose()
    event.listen(federation.registry.store.engine, "connect", shorten)
    return federation


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Another process's write transaction, or as good as one."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def test_locked_database_is_503_for_changes_only(impatient: LibraryFederation, tmp_path: Path) -> None:
    """While another holds the write lock a change is refused and nothing done; reading goes on; then it works."""
    operator = impatient.client("operator")
    body = {"id": "north", "name": "Noord"}
    with locked(tmp_path / "biebroam.db"):
        answer = operator.post("/v1/libraries", json=body)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == str(RETRY_SECONDS)
        assert answer.json()["type"].endswith("/unavailable")
        assert "sqlite" not in answer.text.lower()
        assert operator.get("/v1/libraries").status_code == 200
    assert operator.post("/v1/libraries", json=body).status_code == 201


def test_database_that_is_gone_is_503_until_it_is_back(federation: LibraryFederation, tmp_path: Path) -> None:
    """A folder that is not mounted, say: who asks is told so before anybody knows whether the token is good."""
    operator = federation.client("operator")
    federation.registry.store.engine.dispose()
    away = tmp_path / "away"
    away.mkdir()
    for path in tmp_path.glob("biebroam.db*"):
        path.rename(away / path.name)
    (tmp_path / "biebroam.db").mkdir()  # nothing can be opened there
    answer = operator.get("/v1/libraries")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, str(RETRY_SECONDS))
    assert federation.client(None, address="127.0.0.1").get("/livez").status_code == 200
    (tmp_path / "biebroam.db").rmdir()
    for path in away.iterdir():
        path.rename(tmp_path / path.name)
    assert operator.get("/v1/libraries").status_code == 200


def test_file_that_is_no_database_is_503(federation: LibraryFederation, tmp_path: Path) -> None:
    """What a failing disk left is not the asker's fault, nor worth a trace for each request."""
    federation.registry.store.engine.dispose()
    for path in tmp_path.glob("biebroam.db-*"):
        path.unlink()
    (tmp_path / "biebroam.db").write_bytes(b"no database at all" * 1000)
    assert federation.client("operator").get("/v1/libraries").status_code == 503


def test_full_database_is_503_and_changes_nothing(impatient: LibraryFederation) -> None:
    """Without room for another page a change is refused whole."""
    operator = impatient.client("operator")
    with impatient.registry.store.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    impatient.registry.store.engine.dispose()

    def limit(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        del record
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA max_page_count = {pages}")
        cursor.close()

    event.listen(impatient.registry.store.engine, "connect", limit)
    before = impatient.rows()
    body = {"id": "north", "name": "Noord", "realms": [f"r{number}.{'x' * 60}.example" for number in range(200)]}
    assert operator.post("/v1/libraries", json=body).status_code == 503
    assert impatient.rows() == before


@pytest.mark.parametrize(
    "error", [IntegrityError("s", {}, Exception()), ProgrammingError("s", {}, Exception()), OSError()]
)
def test_other_errors_are_none(error: Exception) -> None:
    """A statement that is wrong is our bug, and stays one."""
    assert not is_outage(error)
