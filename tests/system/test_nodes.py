"""Two nodes with one PostgreSQL: what is changed at one is in force at the other, also when the database goes."""

import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from radius.wire.codes import Code
from tests.support.biebroam import DataDirectory
from tests.support.postgresql import PostgreSQL, running_postgresql
from tests.support.processes import wait_until
from tests.support.traffic import SimulatedHome, Traffic
from tests.system.federations import CLIENT_SECRET, HEAD, HOME_SECRET, WEST_CLIENT, library

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("postgresql")]


@pytest.fixture(scope="module")
def server() -> Generator[PostgreSQL]:
    with running_postgresql() as running:
        yield running


def proxy_revision(node: DataDirectory) -> int:
    body: Any  # JSON
    status, body = node.request("GET", "/v1/snapshot")
    assert status == 200, body
    return min(worker["revision"] for worker in body["workers"] if worker["role"] == "proxy")


def test_second_node_follows_the_first(server: PostgreSQL, tmp_path: Path) -> None:
    """A realm added at one node is answered by the other's proxy; both route on while the database is away."""
    name = server.create()
    first, second = (
        DataDirectory(tmp_path / node, settings={"BIEBROAM_DATABASE_URL": server.url(name)}) for node in ("one", "two")
    )
    first.initialise()
    second.folder.mkdir(mode=0o700)
    shutil.copy2(first.folder / "node.key", second.folder / "node.key")
    second.token = first.token
    with SimulatedHome(secret=HOME_SECRET) as home:
        first.apply(HEAD + library("west", home.port, client=WEST_CLIENT) + library("east", home.port))
        with first.start("serve", "--workers", "1"), second.start("serve", "--workers", "1"):
            status, body = first.request("POST", "/v1/libraries/east/realms", {"name": "new.example"})
            assert status == 201, body
            wait_until(lambda: proxy_revision(second) == proxy_revision(first) > 2, "the second node to follow", 10)
            server.allow(name, connections=False)
            server.disconnect(name)
            with Traffic(
                port=int(second.ports["auth"]), secret=CLIENT_SECRET, realms=["new.example"], rate=50
            ) as traffic:
                wait_until(lambda: traffic.report.count(Code.ACCESS_ACCEPT) > 20, "logins without a database")
                traffic.stop()
            assert first.request("GET", "/v1/libraries")[0] == 503
            server.allow(name, connections=True)
            wait_until(lambda: first.request("GET", "/v1/libraries")[0] == 200, "the API to be back", 10)
    server.drop(name)
