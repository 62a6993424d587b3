"""`backup` while the service runs, `restore`, and the same federation again."""

import json
from pathlib import Path

import pytest

from tests.support.biebroam import DataDirectory

pytestmark = pytest.mark.system

FEDERATION = """
[federation]
name = "test"
country = "NL"
eap_server_name = "login.biebroam.example"

[[libraries]]
id = "boekenburg"
name = "Bibliotheek Boekenburg"
realms = ["boekenburg.example"]
[[libraries.access_points]]
name = "hal"
address = "127.0.0.1"
secret = "a secret of this test only"
"""


class TestBackup:
    def test_restored_node_is_the_same(self, tmp_path: Path) -> None:
        """Registry, tokens and patrons' passwords of before hold; a login through the restored service succeeds."""
        data = DataDirectory(tmp_path / "data")
        data.initialise()
        data.apply(FEDERATION)
        data.add_patron("wieke@boekenburg.example", "4711 pin")
        file = tmp_path / "node.backup"
        with data.start("serve"):
            made = json.loads(data.run("backup", file, "--json").stdout)
            refused = data.run("restore", file, "--force", check=False)
            assert refused.returncode == 1
            assert "stop it first" in refused.stderr
        assert set(made["members"]) == {"biebroam.db", "node.key"}
        exported = data.run("export").stdout

        other = DataDirectory(tmp_path / "other")
        other.token = data.token
        assert json.loads(other.run("restore", file, "--json").stdout)["earlier"] is None
        assert other.run("export").stdout == exported
        with other.start("serve"):
            assert other.request("GET", "/v1/libraries/boekenburg")[0] == 200
            login = other.run("probe", "wieke@boekenburg.example", "--password-file", "-", text="4711 pin", check=False)
            assert login.returncode == 0, login.stdout + login.stderr

    def test_refusals_are_plain(self, tmp_path: Path) -> None:
        """A file that is no backup, and a directory that is not empty, end with status 1 and a sentence."""
        data = DataDirectory(tmp_path / "data")
        data.initialise()
        (tmp_path / "text").write_text("no backup")
        for arguments, words in (
            (("restore", tmp_path / "text", "--force"), "no backup"),
            (("restore", tmp_path / "missing", "--force"), "No such file"),
            (("backup", tmp_path / "text"), "exists"),
            (("backup", tmp_path / "no" / "folder"), "No such file"),
        ):
            run = data.run(*arguments, check=False)
            assert run.returncode == 1, arguments
            assert words in run.stderr
            assert "Traceback" not in run.stderr
