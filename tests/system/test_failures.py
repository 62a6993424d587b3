"""Children that are killed under load come back, and access points that retransmit lose nothing."""

import os
import signal
import time
from pathlib import Path

import pytest

from radius.wire.codes import Code
from tests.support.eapol import log_in_with_eapol
from tests.support.processes import wait_until
from tests.system.federations import CLIENT_SECRET, RunningPair, library, running_pair

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("load")]


def process_of(pair: RunningPair, role: str) -> int:
    """The process id of the first worker of that role, as the service reports it."""
    return next(worker["pid"] for worker in pair.snapshot()["workers"] if worker["role"] == role)


def kill_and_wait(pair: RunningPair, role: str) -> None:
    """SIGKILL the worker; return when another runs in its place."""
    old = process_of(pair, role)
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: process_of(pair, role) != old, f"a new {role}")


class TestProxyKilled:
    @pytest.mark.parametrize("workers", [1, 2])
    def test_nothing_is_lost(self, tmp_path: Path, workers: int) -> None:
        """A killed proxy worker comes back within a second or two; every request is answered in the end."""
        with running_pair(tmp_path, workers=workers) as pair:
            with pair.traffic("east.example") as traffic:
                wait_until(lambda: traffic.report.count(Code.ACCESS_ACCEPT) > 100, "logins")
                kill_and_wait(pair, "proxy")
                time.sleep(1)
                traffic.stop()
            report = traffic.report
        assert report.lost == 0
        assert report.count(Code.ACCESS_ACCEPT) == report.sent


class TestApiKilled:
    def test_logins_go_on(self, tmp_path: Path) -> None:
        """Without the API the proxy works as before, and the API comes back on the same port."""
        with running_pair(tmp_path) as pair:
            with pair.traffic("east.example") as traffic:
                status, body = pair.data.request("GET", "/v1/snapshot")
                assert status == 200
                api = next(worker["pid"] for worker in body["workers"] if worker["role"] == "api")
                os.kill(api, signal.SIGKILL)

                def is_back() -> bool:
                    try:
                        return pair.data.request("GET", "/livez")[0] == 200
                    except OSError:
                        return False

                wait_until(is_back, "the API to be back")
                traffic.stop()
            report = traffic.report
        assert report.lost == 0
        assert report.retransmitted == 0


class TestHomeKilled:
    def test_next_login_succeeds(self, tmp_path: Path) -> None:
        """A killed hosted home server comes back, and a device that asks again gets in."""
        with running_pair(tmp_path) as pair:
            hosted = """
[[libraries]]
id = "hosted"
name = "Bibliotheek Hosted"
realms = ["hosted.example"]
[libraries.identity]
kind = "local"
"""
            pair.data.apply(pair.document(library("east", pair.home.port), hosted))
            pair.data.add_patron("anna@hosted.example", "Strandlezer-1")
            ca = tmp_path / "eap.pem"
            ca.write_text(pair.data.fetch_text("/v1/trust/eap.pem"))
            kill_and_wait(pair, "home")
            result = log_in_with_eapol(
                tmp_path,
                port=int(pair.data.ports["auth"]),
                secret=CLIENT_SECRET,
                user="anna@hosted.example",
                password="Strandlezer-1",
                ca=ca,
                server_name="login.test.example",
            )
            assert result.is_complete, result.output[-2000:]


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
