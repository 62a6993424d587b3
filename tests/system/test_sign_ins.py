"""From the packet to the list: what happens at a running proxy is in the list of sign-ins, and in F-Ticks."""

import json
from pathlib import Path

import pytest

from tests.support.processes import wait_until
from tests.system.federations import running_pair

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("load")]


def test_sign_ins_are_listed_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each accept and reject of the proxies is in the list, with the reason's code, and is an F-Ticks line."""
    lines = tmp_path / "fticks.log"
    monkeypatch.setenv("BIEBROAM_FTICKS", f"file:{lines}")
    with running_pair(tmp_path, workers=2) as pair:
        with pair.traffic("east.example", "nobody.example", rate=50) as traffic:
            wait_until(lambda: traffic.report.sent > 40, "some requests")
            traffic.stop()
        answered = traffic.report.sent - traffic.report.lost

        def listed() -> int:
            return len(json.loads(pair.data.run("sign-ins", "--limit", "10000", "--json").stdout))

        wait_until(lambda: listed() == answered, "all sign-ins to be listed")
        refused = json.loads(pair.data.run("sign-ins", "--reason", "unroutable", "--json").stdout)
        assert refused
        assert {(item["visited"], item["outcome"], item["home"]) for item in refused} == {("west", "rejected", None)}
        accepted = json.loads(pair.data.run("sign-ins", "--outcome", "accepted", "--json").stdout)
        assert {(item["home"], item["home_server"]) for item in accepted} == {("east", "east/radius1")}
        wait_until(lambda: lines.read_text().count("\n") == answered, "all lines of F-Ticks")
    line = next(line for line in lines.read_text().splitlines() if "RESULT=OK" in line)
    assert line.startswith("F-TICKS/test/1.0#REALM=east.example#VISCOUNTRY=NL#VISINST=1west.example#CSI=")
