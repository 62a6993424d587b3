"""`serve` on a disk that fills up, and with a clock that jumps by a day: patrons sign in all the while.

The disk is a small file system in a mount namespace, the clock a library that is loaded before all others.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from federation.snapshot import Snapshot
from federation.statistics.reports import read_reports
from federation.store.saved import load_snapshot
from federation.trust.keystore import load_sealer
from radius.wire.codes import Code
from tests.support.biebroam import DataDirectory
from tests.support.conditions import Clock, SmallDisk, small_disk
from tests.support.eapol import log_in_with_eapol
from tests.support.processes import Program, wait_until
from tests.support.traffic import SimulatedHome, Traffic, TrafficReport
from tests.system.federations import CLIENT_SECRET, HEAD, HOME_SECRET, HOSTED, WEST_CLIENT, library

Wrap = Callable[[Sequence[str | Path]], Sequence[str | Path]]
pytestmark = [pytest.mark.system, pytest.mark.xdist_group("conditions")]

DISK_MEGABYTES = 24
RATE = 100
PATIENCE_SECONDS = 60.0
MAX_CHANGES = 50  # until one finds no room; the first may fit into what the database has already


@dataclass
class Conditions:
    """The service, its surroundings, and what was asked of it."""

    data: DataDirectory
    service: Program
    home: SimulatedHome
    ca: Path
    wrap: Wrap  # a command, so that it sees what the service sees
    signed_in: int = 0  # that the recorder has to know of

    def send(self, role: str, number: signal.Signals) -> None:
        """The role's first worker gets the signal; another takes its place."""

        def pids() -> list[int]:
            return [each.pid for each in read_reports(self.data.folder / "run") if each.role == role]

        wait_until(lambda: bool(pids()), f"a {role}")
        os.kill(pids()[0], number)

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """What the API says; status 0 while nobody is there."""
        try:
            return self.data.request(method, path, body)
        except OSError:
            return 0, None

    def add_realm(self, name: str) -> None:
        """East has another realm, and the proxy knows of it."""
        status, body = self.ask("POST", "/v1/libraries/east/realms", {"name": name})
        assert status == 201, body

        def is_in_force() -> bool:
            status, view = self.ask("GET", "/v1/snapshot")
            return status == 200 and [each["revision"] for each in view["workers"] if each["role"] == "proxy"] == [
                view["revision"]
            ]

        wait_until(is_in_force, f"{name} to be in force")

    def wait_until_ready(self) -> None:
        """The service says that it can do all its work."""
        wait_until(lambda: self.ask("GET", "/readyz")[0] == 200, "the service to be ready")

    def log_in(self) -> bool:
        """Whether a patron of the hosted library gets in, keys and all."""
        self.signed_in += 1
        return log_in_with_eapol(
            self.ca.parent,
            port=int(self.data.ports["auth"]),
            secret=CLIENT_SECRET,
            user="anna@hosted.example",
            password="Strandlezer-1",
            ca=self.ca,
            server_name="login.test.example",
        ).is_complete

    @contextmanager
    def traffic(self, realm: str = "east.example", *, is_asked_once: bool = True) -> Generator[TrafficReport]:
        """Requests while something happens: each gets one Accept, and for each the home server was asked once."""
        asked = len(self.home.asked)
        with Traffic(
            port=int(self.data.ports["auth"]),
            secret=CLIENT_SECRET,
            realms=[realm],
            rate=RATE,
            timeout_seconds=PATIENCE_SECONDS,
        ) as traffic:
            report = traffic.report
            wait_until(lambda: report.count(Code.ACCESS_ACCEPT) > 20, "logins")
            yield report
            traffic.stop()
        self.signed_in += report.sent
        assert (report.lost, report.unauthentic, report.contradicted) == (0, 0, 0)
        assert report.count(Code.ACCESS_ACCEPT) == report.sent
        assert not is_asked_once or len(self.home.asked) - asked == report.sent

    def query(self, statement: str) -> str:
        """The one value that the database gives, where the service sees it."""
        script = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0])"
        database = f"{self.data.environment['BIEBROAM_DATA']}/biebroam.db"
        command = self.wrap([sys.executable, "-c", script, database, statement])
        run = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60, check=True)
        return run.stdout.strip()

    def wait_until_recorded(self, lost: int = 0) -> None:
        """Every sign-in that there was is a row, but for so many at most, which were lost with a killed worker."""

        def count() -> int:
            return int(self.query("SELECT count(*) FROM sign_ins"))

        wait_until(lambda: count() >= self.signed_in - lost, f"{self.signed_in} sign-ins to be recorded")
        assert count() <= self.signed_in


@contextmanager
def serving(
    folder: Path,
    view: Path,
    seen_as: Path,
    environment: dict[str, str],
    wrap: Wrap = list,
    arguments: Sequence[str] = ("--workers", "1"),
) -> Generator[Conditions]:
    """`serve` with one proxy on a data directory in `view`, which the service sees as `seen_as`."""
    before = DataDirectory(folder / "prepared")
    before.take_initialised()
    with SimulatedHome(secret=HOME_SECRET) as home:
        west, east = library("west", home.port, client=WEST_CLIENT), library("east", home.port)
        before.apply(HEAD + west + east + HOSTED)
        before.add_patron("anna@hosted.example", "Strandlezer-1")
        shutil.copytree(before.folder, view / "data")
        data = DataDirectory(view / "data", settings={"BIEBROAM_DATA": str(seen_as / "data"), **environment})
        data.token = before.token
        with data.start("serve", *arguments, wrap=wrap) as service:
            ca = folder / "eap.pem"
            ca.write_text(data.fetch_text("/v1/trust/eap.pem"))
            wait_until((data.folder / "snapshot.sealed").exists, "the saved snapshot")
            yield Conditions(data, service, home, ca, wrap)


class TestFullDisk:
    def test_proxy_routes_on_and_all_recovers(self, tmp_path: Path) -> None:
        """Without an octet left patrons sign in, also through a proxy that starts anew; a change is refused with 503.

        When there is room again reports are fresh, changes are made and saved, nothing is corrupt, nothing lies about,
        and no sign-in is missing but those of the killed proxy's last moment.
        """
        with (
            small_disk(tmp_path / "disk", DISK_MEGABYTES) as disk,
            serving(tmp_path, disk.view, disk.folder, {}, disk.wrap) as conditions,
        ):
            self.fill_and_free(disk, conditions)
            self.check_files(conditions)

    def fill_and_free(self, disk: SmallDisk, conditions: Conditions) -> None:
        """What happens on the full disk, and afterwards."""
        with conditions.traffic(is_asked_once=False) as report:
            with disk.full():
                count = report.count(Code.ACCESS_ACCEPT)
                self.fill_database(conditions)
                assert conditions.ask("GET", "/v1/libraries")[0] == 200
                assert "live" in conditions.data.fetch_text("/livez")
                conditions.send("proxy", signal.SIGKILL)
                wait_until(lambda: report.count(Code.ACCESS_ACCEPT) > count + 300, "logins to go on")
            conditions.wait_until_ready()
            conditions.add_realm("room.example")
        with conditions.traffic("room.example"):
            pass
        conditions.wait_until_recorded(lost=RATE)

    def fill_database(self, conditions: Conditions) -> None:
        """Changes are made while the database has room in the files that it has, and then refused."""
        status, body = 201, None
        for number in range(MAX_CHANGES):
            realms = [f"r{each}.{'x' * 60}.n{number}.example" for each in range(20)]
            status, body = conditions.ask("POST", "/v1/libraries", {"id": f"n{number}", "name": "N", "realms": realms})
            if status != 201:
                break
        assert status == 503, body

    def check_files(self, conditions: Conditions) -> None:
        """What is on the disk is whole, and of the newest revision."""
        folder = conditions.data.folder
        revision = conditions.ask("GET", "/v1/snapshot")[1]["revision"]
        sealer = load_sealer(folder / "node.key")

        def is_saved() -> bool:
            saved = load_snapshot(folder / "snapshot.sealed", Snapshot, sealer)
            return saved is not None and saved.revision == revision

        wait_until(is_saved, "the newest snapshot to be saved")
        assert conditions.query("PRAGMA integrity_check") == "ok"
        assert [path.name for path in folder.iterdir() if path.name.startswith((".snapshot", ".ports"))] == []
        conditions.send("api", signal.SIGKILL)
        wait_until(lambda: '"child_ended"' in conditions.service.output[-2000:], "a line in the log")
        assert json.loads(conditions.service.output.splitlines()[-1])


@pytest.mark.long  # most of a minute where the machine has other things to do
class TestClock:
    def test_jumps_by_a_day_and_back_harm_nobody(self, tmp_path: Path) -> None:
        """Forward, backward, and right again, all roles in one process: logins, sign-ins, tokens and repeats hold."""
        clock = Clock(tmp_path / "clock")
        with serving(tmp_path, tmp_path, tmp_path, clock.environment, arguments=["--single"]) as conditions:
            self.jump(clock, conditions)
            assert conditions.log_in()

    def jump(self, clock: Clock, conditions: Conditions) -> None:
        """Patrons sign in all the while."""
        with conditions.traffic():
            for name, offset in (("ahead", "+1d"), ("behind", "-1d"), ("right", "+0")):
                clock.set(offset)
                time.sleep(1.1)
                assert conditions.log_in()
                conditions.wait_until_ready()
                conditions.add_realm(f"{name}.example")
        conditions.wait_until_recorded()
