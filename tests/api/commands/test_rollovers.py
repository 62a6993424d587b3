"""`biebroam cert rollover` over a real data directory."""

import json
from pathlib import Path

import pytest

from tests.support.biebroam import DataDirectory

pytestmark = pytest.mark.system

FILE = """
[federation]
name = "test"
country = "NL"
eap_server_name = "login.test.example"

[[libraries]]
id = "boekenburg"
name = "Bibliotheek Boekenburg"
realms = ["boekenburg.example"]

[[libraries.access_points]]
name = "radius"
certificate = "radius.boekenburg.example"
"""


def test_root_is_rolled_over_step_by_step(tmp_path: Path) -> None:
    """Each command knows what the one before it did: the state is the registry's. Who would break is printed."""
    data = DataDirectory(tmp_path / "data")
    data.initialise()
    data.apply(FILE)
    rollover = ("cert", "rollover")
    assert data.run_process(*rollover, "status", check=False).returncode == 1
    assert "next: publish" in data.run(*rollover, "plan").stdout
    assert json.loads(data.run(*rollover, "advance", "--json").stdout)["state"] == "overlap"
    refused = data.run_process(*rollover, "advance", check=False)
    assert refused.returncode == 1
    assert "library/boekenburg: nothing says that boekenburg/radius knows the new root" in refused.stderr
    assert "boekenburg has the new root" in data.run(*rollover, "confirm", "boekenburg").stdout
    status = data.run(*rollover, "status", check=False)
    assert (status.returncode, "1 would break by it" in status.stdout) == (1, True)  # caches, for an hour
    assert json.loads(data.run(*rollover, "advance", "--force", "--json").stdout)["state"] == "switched"
    assert json.loads(data.run(*rollover, "revert", "--json").stdout)["state"] == "overlap"
    assert "aborted" in data.run(*rollover, "abort").stdout
    ended = data.run(*rollover, "advance", check=False)
    assert (ended.returncode, "plan another" in ended.stderr) == (1, True)
