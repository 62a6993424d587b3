import json
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.biebroam import COMMAND, DataDirectory
from tests.support.costs import processor_seconds
from tests.support.processes import wait_until

pytestmark = pytest.mark.system


@pytest.fixture
def data(tmp_path: Path) -> DataDirectory:
    return DataDirectory(tmp_path / "data")


class TestInit:
    def test_prints_the_token_once(self, data: DataDirectory) -> None:
        """With --json the token is the only output; it is nowhere in the data directory."""
        token = json.loads(data.run_process("init", "--json").stdout)["token"]
        assert token.startswith("bbr_")
        secret = token.rpartition("_")[2].encode()
        for path in data.folder.rglob("*"):
            assert not path.is_file() or secret not in path.read_bytes(), path

    def test_files_are_for_the_owner(self, data: DataDirectory) -> None:
        """Directory, database and node key can not be read by others."""
        data.initialise()
        for path in (data.folder, data.folder / "biebroam.db", data.folder / "node.key"):
            assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path

    def test_second_time_is_refused(self, data: DataDirectory) -> None:
        """What is there is never overwritten; the exit status says that nothing was done."""
        data.initialise()
        before = (data.folder / "node.key").read_bytes()
        run = data.run("init", check=False)
        assert run.returncode == 1
        assert "already" in run.stderr
        assert "Traceback" not in run.stderr
        assert (data.folder / "node.key").read_bytes() == before

    def test_bad_settings_are_named(self, data: DataDirectory) -> None:
        """A setting that can not be ends the command with its name, without a traceback."""
        data.environment["BIEBROAM_AUTH_PORT"] = "x"
        run = data.run_process("init", check=False)
        assert run.returncode == 1
        assert "BIEBROAM_AUTH_PORT" in run.stderr
        assert "Traceback" not in run.stderr
        assert not data.folder.exists()


class TestCommands:
    def test_help_comes_quickly(self) -> None:
        """`--help` loads no part of the service."""
        before = processor_seconds()
        subprocess.run([str(COMMAND), "--help"], check=True, capture_output=True)
        used = processor_seconds() - before
        modules = subprocess.run(
            [sys.executable, "-c", "import sys, biebroam; biebroam.build_command_line(); print(*sys.modules)"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        assert not {"sqlalchemy", "fastapi", "OpenSSL", "uvloop", "alembic"} & set(modules)
        assert used < 1.5  # processor time, a third of that on a machine that does nothing else

    def test_lone_role_begins_without_the_command_line(self, data: DataDirectory) -> None:
        """Neither what parses commands nor the database is loaded before it, and for a proxy not the DNS either."""
        begin = "import os, sys, biebroam; os.execve = lambda *_: print(*sys.modules); biebroam.main(['proxy'])"
        work = "import sys, biebroam_roles, radius.proxy.service, federation.services.feed; print(*sys.modules)"
        for program, unwanted in ((begin, {"typer", "rich"}), (work, {"dns", "pydantic", "typer"})):
            modules = subprocess.run(
                [sys.executable, "-c", program],
                check=True,
                capture_output=True,
                text=True,
                env={**os.environ, **data.environment},
            ).stdout.split()
            assert "biebroam_roles" in modules
            assert not ({"sqlalchemy", *unwanted}) & set(modules)

    def test_version_is_printed(self, data: DataDirectory) -> None:
        """`version` prints the version and needs no data directory."""
        assert data.run_process("version").stdout.strip() == "0.1.0"

    def test_wrong_usage_has_its_own_status(self, data: DataDirectory) -> None:
        """An option that is none ends with status 2."""
        assert data.run_process("serve", "--bananas", check=False).returncode == 2

    @pytest.mark.parametrize("role", ["proxy", "home", "api", "recorder"])
    def test_role_without_a_data_directory_says_what_to_do(self, data: DataDirectory, role: str) -> None:
        """A role that finds nothing names `init`."""
        run = data.run(role, check=False)
        assert run.returncode == 1
        assert "biebroam init" in run.stderr

    @pytest.mark.parametrize("role", ["serve", "proxy", "home", "api", "recorder"])
    def test_missing_node_key_is_named_and_never_made_anew(self, data: DataDirectory, role: str) -> None:
        """A new one would open nothing of what is sealed: the service says which file it wants, and changes nothing."""
        data.take_initialised()
        key = data.folder / "node.key"
        key.rename(data.folder / "elsewhere")
        run = data.run(role, check=False)
        assert run.returncode == 1
        assert str(key) in run.stderr
        assert "Traceback" not in run.stderr
        assert not key.exists()

    def test_doctor_finds_nothing_wrong_after_init(self, data: DataDirectory) -> None:
        """Every finding about the data directory passes."""
        data.initialise()
        findings = {each["check"]: each for each in json.loads(data.run("doctor", "--json", check=False).stdout)}
        checks = ("data directory", "permissions of node.key", "database", "snapshot", "environment")
        for check in (*checks, "certificates", "other authorities"):
            assert findings[check]["passes"], findings[check]

    def test_doctor_names_what_is_wrong(self, data: DataDirectory) -> None:
        """An open key file and a misspelt variable are found, each with what to do."""
        data.initialise()
        (data.folder / "node.key").chmod(0o644)
        data.environment["BIEBROAM_AUTHPORT"] = "1"
        run = data.run_process("doctor", check=False)
        assert run.returncode == 1
        assert "chmod" in run.stdout
        assert "BIEBROAM_AUTHPORT" in run.stdout


class TestServe:
    @pytest.mark.parametrize("arguments", [["--workers", "2"], ["--single"]])
    def test_is_ready_and_ends_cleanly(self, data: DataDirectory, arguments: list[str]) -> None:
        """It makes what is missing, takes free ports, is ready when ports.json is there, and ends with status 0."""
        with data.start("serve", *arguments) as service:
            data.token = re.findall(r"bbr_\w+", service.output)[0]
            status, body = data.request("GET", "/readyz")
            assert status == 200, body
            assert {"auth", "acct", "api"} <= set(data.ports)
            assert service.stop() == 0, service.output[-2000:]
        assert "Traceback" not in service.output

    def test_proxy_worker_stays_small(self, data: DataDirectory) -> None:
        """A proxy worker needs less than 80 MB."""
        data.initialise()
        with data.start("proxy"):
            report = json.loads((data.folder / "run" / "worker-proxy-0.json").read_text())
            lines = Path(f"/proc/{report['pid']}/status").read_text().splitlines()
            (resident,) = (int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
        assert resident < 80_000

    def test_taken_port_is_named(self, data: DataDirectory, tmp_path: Path) -> None:
        """A second service on the same port is refused with the port, also when it would share it among workers."""
        data.initialise()
        other = DataDirectory(tmp_path / "other")
        other.initialise()
        with data.start("serve", "--workers", "2"):
            port = str(data.ports["auth"])
            other.environment["BIEBROAM_AUTH_PORT"] = port
            run = other.run("serve", "--workers", "2", check=False)
        assert run.returncode == 1
        assert port in run.stderr
        assert "Traceback" not in run.stderr

    def test_starts_with_the_database_away(self, data: DataDirectory) -> None:
        """A proxy that has a saved snapshot routes without the database."""
        data.initialise()
        with data.start("proxy"):
            wait_until((data.folder / "snapshot.sealed").exists, "the saved snapshot")
        (data.folder / "biebroam.db").rename(data.folder / "gone")
        (data.folder / "biebroam.db").mkdir()
        with data.start("proxy"):
            report = json.loads((data.folder / "run" / "worker-proxy-0.json").read_text())
            assert report["revision"] == 1

    def test_workers_end_with_a_killed_supervisor(self, data: DataDirectory) -> None:
        """SIGKILL on the supervisor leaves no worker behind on the ports."""
        data.initialise()
        with data.start("serve", "--workers", "1") as service:
            pids = [json.loads(path.read_text())["pid"] for path in (data.folder / "run").glob("worker-*.json")]
            service.process.send_signal(signal.SIGKILL)
            wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "the workers to end")
