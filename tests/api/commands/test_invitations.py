"""`biebroam cert invite` over a real data directory."""

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
"""


def test_invitation_is_printed_once(tmp_path: Path) -> None:
    """The secret alone is printed, to be handed on; with --json what it is beside it; for nobody it is refused."""
    data = DataDirectory(tmp_path / "data")
    data.initialise()
    data.apply(FILE)
    assert data.run("cert", "invite", "boekenburg").stdout.startswith("bbi_")
    made = json.loads(data.run("cert", "invite", "boekenburg", "--profile", "access-point", "--json").stdout)
    assert (made["library"], made["profile"]) == ("boekenburg", "access-point")
    refused = data.run("cert", "invite", "nobody", check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
