"""Biebroam itself, as its users run it: the command line, real processes, real ports."""

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.commands import ROLES, run_here
from tests.support.processes import Program, free_port, wait_until

COMMAND = Path(sys.executable).parent / "biebroam"  # the console script of this environment
LOOPBACK = "127.0.0.1"


class DataDirectory:
    """A data directory of Biebroam's, and the commands on it."""

    def __init__(self, folder: Path, *, settings: dict[str, str] | None = None, command: Path = COMMAND) -> None:
        """The folder need not exist; settings are environment variables over the tests' own."""
        self.folder = folder
        self.command = command
        self.token = ""
        self.environment = {
            "BIEBROAM_DATA": str(folder),
            "BIEBROAM_LISTEN": LOOPBACK,
            "BIEBROAM_AUTH_PORT": "0",
            "BIEBROAM_ACCT_PORT": "0",
            "BIEBROAM_RADSEC_PORT": "0",
            "BIEBROAM_API_PORT": "0",
            "BIEBROAM_LOG_FORMAT": "json",
            **(settings or {}),
        }

    def run(
        self, *arguments: str | Path, text: str = "", check: bool = True, seconds: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """One command, to its end; in this process, when it is a command on the registry and of this environment."""
        if self.command != COMMAND or arguments[0] in ROLES:
            return self.run_process(*arguments, text=text, check=check, seconds=seconds)
        words = [str(argument) for argument in arguments]
        return _checked(run_here(words, self.environment, text, seconds), check=check)

    def run_process(
        self, *arguments: str | Path, text: str = "", check: bool = True, seconds: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """One command, to its end, as a process of its own."""
        run = subprocess.run(
            [str(self.command), *(str(argument) for argument in arguments)],
            input=text,
            capture_output=True,
            text=True,
            env={**os.environ, **self.environment},
            timeout=seconds,
            check=False,
        )
        return _checked(run, check=check)

    def initialise(self) -> None:
        """`init`; keeps the operator's token."""
        self.token = json.loads(self.run("init", "--json").stdout)["token"]

    def take_initialised(self) -> None:
        """A copy of a directory that `init` made once for all tests of this process; they share its keys and token."""
        template, self.token = _initialised_directory(self.command)
        shutil.copytree(template, self.folder, dirs_exist_ok=True)

    def apply(self, federation: str) -> None:
        """`apply` of a federation file with this text."""
        file = self.folder.parent / f"{self.folder.name}-federation.toml"
        file.write_text(federation)
        self.run("apply", file)

    def apply_live(self, federation: str) -> None:
        """`apply` while the service runs; returns when all its proxy workers follow the file."""
        self.apply(federation)
        self.wait_in_force()

    def wait_in_force(self) -> None:
        """Return when all proxy workers of the service follow what was changed."""
        wait_until(self._is_in_force, "the proxy workers to follow", 20)

    def _is_in_force(self) -> bool:
        status, view = self.request("GET", "/v1/snapshot")
        return status == 200 and all(
            worker["revision"] == view["revision"] for worker in view["workers"] if worker["role"] == "proxy"
        )

    def add_patron(self, name: str, password: str) -> None:
        """`patron add`, the password from standard input."""
        self.run("patron", "add", name, "--password-file", "-", text=password)

    def import_patrons(self, library: str, passwords: Mapping[str, str]) -> None:
        """`patron import` of all of them at once."""
        file = self.folder.parent / f"{self.folder.name}-{library}.csv"
        lines = (f"{name},{password}\n" for name, password in passwords.items())
        file.write_text("user,password\n" + "".join(lines))
        self.run("patron", "import", file, "--library", library)

    def start(
        self,
        *arguments: str,
        port: int | None = None,
        wrap: Callable[[Sequence[str | Path]], Sequence[str | Path]] = lambda command: command,
    ) -> Program:
        """A role (`serve`, `proxy`, `home`, `api`) as a process of its own, when it has said which ports it took."""
        ports_file = self.folder / "ports.json"
        ports_file.unlink(missing_ok=True)
        environment = dict(self.environment)
        if port is not None:
            environment["BIEBROAM_AUTH_PORT"] = str(port)
        log = self.folder.parent / f"{self.folder.name}-{arguments[0]}-{free_port()}.log"
        program = Program(wrap([self.command, *arguments]), log, environment=environment)
        return program.wait_ready(ports_file.exists)

    @property
    def ports(self) -> dict[str, Any]:
        """The ports that the running service took."""
        return json.loads((self.folder / "ports.json").read_text())

    def request(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """One call of the HTTP API with the operator's token: status and JSON."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://{LOOPBACK}:{self.ports['api']}{path}",
            method=method,
            data=data,
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        return status, json.loads(text) if text else None

    def fetch_text(self, path: str) -> str:
        """One public document of the HTTP API."""
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.ports['api']}{path}", timeout=20) as answer:
            text: str = answer.read().decode()
        return text


def _checked(run: subprocess.CompletedProcess[str], *, check: bool) -> subprocess.CompletedProcess[str]:
    if check:
        assert run.returncode == 0, f"{run.args}: {run.returncode}\n{run.stdout}\n{run.stderr}"
    return run


@cache
def _initialised_directory(command: Path) -> tuple[Path, str]:
    """A data directory that nobody works in, and its token; gone when the tests are."""
    parent = Path(tempfile.mkdtemp(prefix="biebroam-tests-"))
    atexit.register(shutil.rmtree, parent, ignore_errors=True)
    data = DataDirectory(parent / "data", command=command)
    data.initialise()
    return data.folder, data.token
