"""Children killed under load come back and access points that retransmit lose nothing, with and without a database."""

import os
import signal
import statistics
from collections import Counter
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from federation.statistics.reports import read_reports
from radius.wire.codes import Code
from tests.support.eapol import EapolResult, log_in_with_eapol
from tests.support.processes import wait_until
from tests.support.traffic import TrafficReport
from tests.support.usage import usage_of
from tests.system.federations import CLIENT_SECRET, HOSTED, RunningPair, running_pair

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("load")]

ROLES = ("proxy", "home", "api", "recorder")
PATIENCE_SECONDS = 40.0


@dataclass
class Hosting:
    """The pair with a hosted library beside it."""

    pair: RunningPair
    ca: Path
    stack: ExitStack

    def pid(self, role: str) -> int:
        """The process of the first worker of that role, as it reports itself."""
        return next(each.pid for each in read_reports(self.pair.data.folder / "run") if each.role == role)

    def kill(self, role: str) -> None:
        """SIGKILL the worker; another runs in its place."""
        old = self.pid(role)
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: self.pid(role) != old, f"a new {role}")

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """What the API says; status 0 while nobody is there."""
        try:
            return self.pair.data.request(method, path, body)
        except OSError:
            return 0, None

    def wait_for_api(self, status: int) -> None:
        """Return when the list of libraries is answered with that status."""
        wait_until(lambda: self.ask("GET", "/v1/libraries")[0] == status, f"the API to answer with {status}")

    def restart(self) -> None:
        """The service runs again; it ends with the module's tests."""
        self.pair.service = self.stack.enter_context(self.pair.data.start("serve", "--workers", "2"))

    def log_in(self) -> EapolResult:
        """A patron of the hosted library."""
        return log_in_with_eapol(
            self.ca.parent,
            port=int(self.pair.data.ports["auth"]),
            secret=CLIENT_SECRET,
            user="anna@hosted.example",
            password="Strandlezer-1",
            ca=self.ca,
            server_name="login.test.example",
        )

    @contextmanager
    def traffic(self, *realms: str) -> Generator[TrafficReport]:
        """Requests while something happens; each of them gets exactly one Accept in the end."""
        with self.pair.traffic(*(realms or ("east.example",)), rate=200, timeout_seconds=PATIENCE_SECONDS) as traffic:
            report = traffic.report
            wait_until(lambda: report.count(Code.ACCESS_ACCEPT) > 50, "logins")
            yield report
            traffic.stop()
        assert (report.lost, report.unauthentic, report.contradicted) == (0, 0, 0)
        assert report.count(Code.ACCESS_ACCEPT) == report.sent

    @contextmanager
    def database_away(self) -> Generator[None]:
        """The files of the database are elsewhere, as when a volume is not mounted."""
        folder = self.pair.data.folder
        away = folder / "away"
        away.mkdir()
        for path in folder.glob("biebroam.db*"):
            path.rename(away / path.name)
        try:
            yield
        finally:
            for path in away.iterdir():
                path.rename(folder / path.name)
            away.rmdir()


@pytest.fixture(scope="module")
def hosting(tmp_path_factory: pytest.TempPathFactory) -> Generator[Hosting]:
    """`serve` with two proxy workers, which the tests of this module treat one after another."""
    folder = tmp_path_factory.mktemp("hosting")
    with running_pair(folder, workers=2, libraries=(HOSTED,)) as pair, ExitStack() as stack:
        pair.data.add_patron("anna@hosted.example", "Strandlezer-1")
        ca = folder / "eap.pem"
        ca.write_text(pair.data.fetch_text("/v1/trust/eap.pem"))
        yield Hosting(pair, ca, stack)


class TestKilled:
    @pytest.mark.parametrize("role", ROLES)
    def test_nothing_is_lost(self, hosting: Hosting, role: str) -> None:
        """Whoever is killed under load comes back, and every request is answered, by the right one, once."""
        supervisor = hosting.pair.service.process.pid
        descriptors = usage_of(supervisor).descriptors
        with hosting.traffic() as report:
            hosting.kill(role)
            count = report.count(Code.ACCESS_ACCEPT)
            wait_until(lambda: report.count(Code.ACCESS_ACCEPT) > count + 100, "logins to go on")
        assert usage_of(supervisor).descriptors <= descriptors

    def test_everything_works_afterwards(self, hosting: Hosting) -> None:
        """The hosted home server lets its patrons in, the API answers, and the recorder records."""
        assert hosting.log_in().is_complete
        hosting.wait_for_api(200)
        wait_until(
            lambda: any(item["realm"] == "hosted.example" for item in hosting.ask("GET", "/v1/sign-ins")[1]["items"]),
            "the sign-in to be recorded",
        )


class TestApiHammered:
    def test_proxies_feel_nothing(self, hosting: Hosting) -> None:
        """While the API has as much to do as it can, with right tokens and without, patrons get in as before."""
        paths = ("/v1/libraries", "/v1/snapshot", "/v1/sign-ins", "/v1/nothing", "/v1/tokens")
        with hosting.traffic() as report, ThreadPoolExecutor(8) as pool:
            began = len(report.seconds)
            asking = [pool.submit(hosting.ask, "GET", paths[number % 5]) for number in range(300)]
            statuses = Counter(each.result()[0] for each in asking)
            seconds = report.seconds[began:]
        assert statuses[200] == 240
        assert statuses[404] == 60
        assert statistics.median(seconds) < 0.1


class TestDatabaseAway:
    def test_proxies_route_and_the_api_says_so(self, hosting: Hosting) -> None:
        """Without its file the registry is not there: it is not made anew, and is used again when it is back."""
        database = hosting.pair.data.folder / "biebroam.db"
        with hosting.database_away():
            with hosting.traffic():
                hosting.kill("api")  # the one before has the file open still
                hosting.kill("proxy")
                hosting.wait_for_api(503)
                assert "live" in hosting.pair.data.fetch_text("/livez")
                assert hosting.ask("POST", "/v1/libraries", {"id": "north", "name": "Noord"})[0] == 503
            assert not database.exists()
        hosting.wait_for_api(200)
        status, body = hosting.ask("POST", "/v1/libraries/east/realms", {"name": "back.example"})
        assert status == 201, body

        def is_in_force() -> bool:
            view = hosting.pair.snapshot()
            return all(each["revision"] == view["revision"] for each in view["workers"] if each["role"] == "proxy")

        wait_until(is_in_force, "the change to be in force")
        with hosting.traffic("back.example"):
            pass


class TestSupervisorKilled:
    def test_children_end_and_the_next_start_works(self, hosting: Hosting) -> None:
        """SIGKILL on the supervisor leaves nobody on the ports; the next start routes, even without the database."""
        data = hosting.pair.data
        pids = [each.pid for each in read_reports(data.folder / "run")]
        for kind, port in data.ports.items():
            if kind != "home":
                data.environment[f"BIEBROAM_{kind.upper()}_PORT"] = str(port)
        with hosting.traffic() as report:
            hosting.pair.service.process.kill()
            hosting.pair.service.process.wait()
            wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "the workers to end")
            with hosting.database_away():
                hosting.restart()
                count = report.count(Code.ACCESS_ACCEPT)
                wait_until(lambda: report.count(Code.ACCESS_ACCEPT) > count + 100, "logins to go on")
                assert not (data.folder / "biebroam.db").exists()
            hosting.wait_for_api(200)
        assert hosting.pair.service.stop() == 0


class TestStop:
    def test_outstanding_requests_are_answered(self, tmp_path: Path) -> None:
        """SIGTERM closes the door, answers what is outstanding, and ends with status 0."""
        with running_pair(tmp_path, delay_seconds=0.4) as pair:
            with pair.traffic("east.example", rate=200) as traffic:
                wait_until(lambda: traffic.report.count(Code.ACCESS_ACCEPT) > 50, "logins")
                traffic.stop_sending()
                status = pair.service.stop()
                traffic.stop()
            assert status == 0, pair.service.output[-2000:]
            assert traffic.report.lost == 0
            assert traffic.report.count(Code.ACCESS_ACCEPT) == traffic.report.sent
