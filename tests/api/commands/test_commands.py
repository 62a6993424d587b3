"""The command line as its users have it: a data directory, exit statuses, what is printed where."""

import json
import stat
from pathlib import Path

import pytest

from tests.support.biebroam import DataDirectory
from tests.support.processes import Program, wait_until

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
name = "hal"
address = "192.0.2.0/24"
[libraries.identity]
kind = "local"
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataDirectory:
    """A data directory with one library."""
    directory = DataDirectory(tmp_path_factory.mktemp("commands") / "data")
    directory.initialise()
    directory.apply(FILE)
    return directory


class TestApply:
    def test_again_has_nothing_to_change(self, data: DataDirectory, tmp_path: Path) -> None:
        """The same file a second time changes nothing and shows no secret."""
        file = tmp_path / "same.toml"
        file.write_text(FILE)
        run = data.run("apply", file)
        assert run.stdout == "nothing to change\n"

    def test_dry_run_changes_nothing(self, data: DataDirectory, tmp_path: Path) -> None:
        """A dry run prints the difference; the export is as before."""
        before = data.run("export").stdout
        file = tmp_path / "more.toml"
        file.write_text(FILE.replace('"boekenburg.example"', '"boekenburg.example", "nieuw.example"'))
        run = data.run("apply", file, "--dry-run")
        assert "+ library/boekenburg/realm/nieuw.example" in run.stdout
        assert "none was made" in run.stdout
        assert data.run("export").stdout == before

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (FILE.replace("192.0.2.0/24", "192.0.2.1/24"), ["line 13", "host bits"]),
            (FILE.replace('kind = "local"', 'kind = "magic"'), ["line 15", "/libraries/0/identity/kind"]),
            (FILE.replace('id = "boekenburg"', "id = "), ["line 8"]),
            (FILE.replace('name = "hal"', 'nam = "hal"'), ["/libraries/0/access_points/0/nam"]),
        ],
    )
    def test_bad_file_names_the_place(self, data: DataDirectory, tmp_path: Path, text: str, words: list[str]) -> None:
        """File, line and key are named on standard error; status 1; nothing is changed."""
        before = data.run("export").stdout
        file = tmp_path / "bad.toml"
        file.write_text(text)
        run = data.run("apply", file, check=False)
        assert run.returncode == 1
        assert "bad.toml" in run.stderr
        assert all(word in run.stderr for word in words), run.stderr
        assert "Traceback" not in run.stderr
        assert data.run("export").stdout == before

    def test_file_that_is_not_there(self, data: DataDirectory) -> None:
        """The file and the reason are named."""
        run = data.run_process("apply", "/nowhere/f.toml", check=False)
        assert run.returncode == 1
        assert "/nowhere/f.toml" in run.stderr

    def test_exported_file_applies(self, data: DataDirectory, tmp_path: Path) -> None:
        """What `export` prints is a file for `apply`."""
        file = tmp_path / "exported.toml"
        file.write_text(data.run_process("export").stdout)
        assert data.run("apply", file, "--prune").stdout == "nothing to change\n"


class TestThings:
    def test_access_point_is_added_shown_changed_and_removed(self, data: DataDirectory) -> None:
        """The secret is in the answer that made it, and in none after."""
        made = json.loads(
            data.run("access-point", "add", "boekenburg", "zaal", "--address", "198.51.100.7", "--json").stdout
        )
        assert len(made["secret"]) == 32
        shown = data.run("access-point", "show", "boekenburg", "zaal", "--json").stdout
        assert made["secret"] not in shown
        data.run("access-point", "change", "boekenburg", "zaal", "--guest-vlan", "40", "--allow-pap")
        changed = json.loads(data.run("access-point", "show", "boekenburg", "zaal", "--json").stdout)
        assert (changed["guest_vlan"], changed["allow_pap"], changed["address"]) == (40, True, "198.51.100.7")
        data.run("access-point", "remove", "boekenburg", "zaal")
        assert data.run("access-point", "show", "boekenburg", "zaal", check=False).returncode == 1

    def test_home_server_takes_accounting_and_gives_it_up(self, data: DataDirectory) -> None:
        """A port for accounting by command; 0 takes it away again."""

        def port_of(*arguments: str) -> int | None:
            data.run("home-server", *arguments)
            port: int | None = json.loads(data.run("home-server", "show", "zeeland", "r1", "--json").stdout)[
                "accounting_port"
            ]
            return port

        data.run("library", "add", "zeeland", "--name", "Zeeland")
        assert port_of("add", "zeeland", "r1", "--host", "192.0.2.10", "--accounting-port", "1813") == 1813
        assert port_of("change", "zeeland", "r1", "--position", "0") == 1813
        assert port_of("change", "zeeland", "r1", "--accounting-port", "0") is None
        data.run("library", "remove", "zeeland")

    def test_library_and_realm_by_command(self, data: DataDirectory) -> None:
        """A library with realms, listed as a table and as JSON."""
        data.run("library", "add", "leesstad", "--name", "Leesstad", "--realms", "leesstad.example")
        data.run("realm", "add", "leesstad", "kinder.example", "--subrealms")
        rows = json.loads(data.run("realm", "list", "leesstad", "--json").stdout)
        assert {row["name"]: row["includes_subrealms"] for row in rows} == {
            "kinder.example": True,
            "leesstad.example": False,
        }
        table = data.run("library", "list").stdout
        assert "leesstad" in table
        assert "\x1b[" not in table
        data.run("library", "remove", "leesstad")

    def test_token_is_shown_once_and_revoked(self, data: DataDirectory) -> None:
        """A token's secret is in the answer that made it."""
        made = json.loads(
            data.run("token", "add", "--name", "t", "--role", "library", "--library", "boekenburg", "--json").stdout
        )
        assert made["token"].startswith("bbr_")
        assert made["token"] not in data.run("token", "list", "--json").stdout
        data.run("token", "revoke", made["id"])
        assert json.loads(data.run("token", "show", made["id"], "--json").stdout)["revoked_at"] is not None

    @pytest.mark.parametrize(
        ("arguments", "status"),
        [
            (("library", "show", "never"), 1),
            (("library", "add", "Bad Id", "--name", "x"), 1),
            (("access-point", "add", "boekenburg", "x", "--address", "0.0.0.0/0"), 1),
            (("home-server", "add", "boekenburg", "x", "--host", "no host"), 1),
            (("library", "frobnicate"), 2),
            (("library", "add"), 2),
            (("apply",), 2),
            (("patron", "add", "nobody", "--password-file", "-"), 2),
            (("library", "list", "--api", "ftp://x"), 2),
        ],
    )
    def test_refusal_says_why(self, data: DataDirectory, arguments: tuple[str, ...], status: int) -> None:
        """1 for what is refused, 2 for wrong usage; a sentence on standard error, and no traceback."""
        run = data.run(*arguments, text="secret-word\n", check=False)
        assert run.returncode == status, run.stderr
        assert run.stderr.strip()
        assert "Traceback" not in run.stderr


class TestPatrons:
    def test_password_comes_from_a_file_and_is_never_printed(self, data: DataDirectory, tmp_path: Path) -> None:
        """Added, listed, blocked, removed; the password appears nowhere."""
        file = tmp_path / "pin"
        file.write_text("zomer-aan-zee\n")
        added = data.run("patron", "add", "wieke@boekenburg.example", "--password-file", file)
        data.run("patron", "block", "wieke@boekenburg.example")
        listed = data.run("patron", "list", "boekenburg", "--json")
        assert json.loads(listed.stdout)[0]["is_blocked"] is True
        assert "zomer-aan-zee" not in added.stdout + listed.stdout
        data.run("patron", "remove", "wieke@boekenburg.example")

    def test_password_comes_through_a_pipe(self, data: DataDirectory) -> None:
        """A real process reads it from its standard input."""
        data.run_process("patron", "add", "daan@boekenburg.example", "--password-file", "-", text="duin-en-zand\n")
        listed = data.run("patron", "list", "boekenburg", "--json").stdout
        assert "daan" in {row["user"] for row in json.loads(listed)}
        data.run("patron", "remove", "daan@boekenburg.example")

    def test_import_reads_a_file(self, data: DataDirectory, tmp_path: Path) -> None:
        """Many patrons at once; a wrong line is named with its number, and nothing of its piece is kept."""
        file = tmp_path / "patrons.csv"
        file.write_text("user,password\njan,een-lang-wachtwoord\npiet,nog-een-wachtwoord\n")
        assert "added 2" in data.run("patron", "import", file, "--library", "boekenburg").stdout
        file.write_text("user,password\nklaas,goed-wachtwoord\njoris,\n")
        run = data.run("patron", "import", file, "--library", "boekenburg", check=False)
        assert run.returncode == 1
        assert "line 3" in run.stderr
        names = {row["user"] for row in json.loads(data.run("patron", "list", "boekenburg", "--json").stdout)}
        assert names == {"jan", "piet"}


class TestInit:
    def test_makes_a_private_directory_once(self, tmp_path: Path) -> None:
        """Keys and database are its owner's; a second init refuses and changes nothing."""
        directory = DataDirectory(tmp_path / "data")
        directory.initialise()
        assert directory.token.startswith("bbr_")
        for name in ("node.key", "biebroam.db"):
            assert stat.S_IMODE((directory.folder / name).stat().st_mode) == 0o600
        again = directory.run("init", check=False)
        assert again.returncode == 1
        assert "already" in again.stderr


class TestRemote:
    def test_same_commands_over_http(self, data: DataDirectory, tmp_path: Path) -> None:
        """With `--api` and a token the commands do the same; without a token, or with a wrong one, they say so."""
        del tmp_path
        with data.start("api") as service:
            assert isinstance(service, Program)
            url = f"http://127.0.0.1:{data.ports['api']}"
            wait_until(lambda: data.request("GET", "/livez")[0] == 200, "the API")
            elsewhere = DataDirectory(Path("/nonexistent"), settings={"BIEBROAM_TOKEN": data.token})
            rows = json.loads(elsewhere.run("library", "list", "--api", url, "--json").stdout)
            assert [row["id"] for row in rows] == ["boekenburg"]
            assert elsewhere.run("--api", url, "export").stdout == data.run("export").stdout
            refused = elsewhere.run("library", "remove", "never", "--api", url, check=False)
            assert refused.returncode == 1
            nobody = DataDirectory(Path("/nonexistent"), settings={"BIEBROAM_TOKEN": "bbr_wrong"})
            wrong = nobody.run("library", "list", "--api", url, check=False)
            assert wrong.returncode == 1
            assert "BIEBROAM_TOKEN" in wrong.stderr
        gone = elsewhere.run("library", "list", "--api", url, check=False)
        assert gone.returncode == 1
        assert url in gone.stderr


class TestDemo:
    def test_ends_well(self, tmp_path: Path) -> None:
        """`demo --once` does every login as it should, in plain text for a pipe, and leaves nothing behind."""
        directory = DataDirectory(tmp_path / "unused", settings={"TMPDIR": str(tmp_path)})
        run = directory.run("demo", "--once", seconds=110)
        assert run.stdout.count("✓") == 4
        assert "wrong_credentials" in run.stdout
        assert "unroutable" in run.stdout
        assert "\x1b[" not in run.stdout
        assert list(tmp_path.iterdir()) == []
