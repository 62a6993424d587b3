"""`biebroam demo`: a federation of two libraries in a temporary directory, and real roaming logins through it.

Every process is a real one, started as its users start it: the federation's `serve`, and for the library with a home
server of its own a second data directory and `home`, as it would stand in that library's network.
"""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from api.commands.client import OpenApplication, Place, fail, open_api
from radius.supplicant.client import LoginRequest, LoginResult, Outcome, log_in

READY_SECONDS = 30.0
STOP_SECONDS = 10.0
LOG_SECONDS = 3.0  # a line that is to come may come this much later
FEDERATION_SERVER_NAME = "login.biebroam.example"
DUINLEZEN_SERVER_NAME = "radius.duinlezen.example"

_SECRETS = {name: secrets.token_hex(16) for name in ("boekenburg", "duinlezen", "home")}

FEDERATION_FILE = """
[federation]
name = "biebroam-demo"
country = "NL"
eap_server_name = "{federation_server_name}"

[[libraries]]
id = "boekenburg"
name = "Bibliotheek Boekenburg"
realms = ["boekenburg.example"]
[[libraries.access_points]]
name = "hal"
address = "127.0.0.2"
secret = "{boekenburg}"
[libraries.identity]
kind = "local"

[[libraries]]
id = "duinlezen"
name = "Bibliotheek Duinlezen"
realms = ["duinlezen.example"]
[[libraries.access_points]]
name = "leeszaal"
address = "127.0.0.3"
secret = "{duinlezen}"
[[libraries.home_servers]]
name = "radius1"
host = "127.0.0.1"
port = {home_port}
secret = "{home}"
"""

OWN_FILE = """
[federation]
name = "duinlezen"
country = "NL"
eap_server_name = "{server_name}"

[[libraries]]
id = "duinlezen"
name = "Bibliotheek Duinlezen"
realms = ["duinlezen.example"]
[[libraries.access_points]]
name = "biebroam"
address = "127.0.0.1"
kind = "proxy"
secret = "{home}"
[libraries.identity]
kind = "local"
"""


class DemoError(Exception):
    """The demo can not go on; the text says why."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One login, and what it should come to."""

    title: str
    user: str
    password: str
    visited: str  # library id
    access_point: str
    source: str
    route: str
    expected: Outcome
    reason: str = ""  # the stable code that the log has to show


SCENES = (
    Scene(
        "Wieke of Boekenburg reads at Duinlezen",
        "wieke@boekenburg.example",
        "zomer-aan-zee",
        "duinlezen",
        "leeszaal",
        "127.0.0.3",
        "boekenburg.example → hosted by Biebroam",
        Outcome.ACCEPTED,
    ),
    Scene(
        "Joris of Duinlezen visits Boekenburg",
        "joris@duinlezen.example",
        "helmgras-42",
        "boekenburg",
        "hal",
        "127.0.0.2",
        "duinlezen.example → Duinlezen's own home server",
        Outcome.ACCEPTED,
    ),
    Scene(
        "Wieke mistypes her PIN",
        "wieke@boekenburg.example",
        "winter-aan-zee",
        "duinlezen",
        "leeszaal",
        "127.0.0.3",
        "boekenburg.example → hosted by Biebroam",
        Outcome.REJECTED,
        "wrong_credentials",
    ),
    Scene(
        "Somebody of a library that is no member",
        "lezer@elders.example",
        "doet-er-niet-toe",
        "boekenburg",
        "hal",
        "127.0.0.2",
        "elders.example → nobody owns it",
        Outcome.REJECTED,
        "unroutable",
    ),
)


def run_demo(open_application: OpenApplication, *, once: bool) -> None:
    """Show the demo; ends the command with status 0 when all went as it should, with 1 when not."""
    signal.signal(signal.SIGTERM, _end)
    try:
        with tempfile.TemporaryDirectory(prefix="biebroam-demo-") as folder:
            is_as_expected = _Demo(Path(folder), open_application).run(stays=not once)
    except DemoError as error:
        fail(str(error))
    except KeyboardInterrupt:
        is_as_expected = True
    if not is_as_expected:
        raise typer.Exit(1)


def _end(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends the demo as an exception, so that everything is cleaned up."""
    del frame
    sys.exit(128 + number)


class _Demo:
    def __init__(self, folder: Path, open_application: OpenApplication) -> None:
        self._folder = folder
        self._open_application = open_application
        self._console = Console(highlight=False)
        self._federation = folder / "federation"
        self._own = folder / "duinlezen"

    def run(self, *, stays: bool) -> bool:
        """Everything; returns whether each login came to what it should."""
        console = self._console
        console.print(Text("\nBiebroam: eduroam for public libraries\n", style="bold"))
        with ExitStack() as running:
            started = time.monotonic()
            self._say("Duinlezen has a home server of its own, in a second process")
            self._initialise(self._own)
            self._apply(self._own, OWN_FILE.format(server_name=DUINLEZEN_SERVER_NAME, **_SECRETS))
            self._add_patron(self._own, "joris@duinlezen.example", "helmgras-42")
            running.enter_context(self._start(self._own, "home"))
            self._say("the federation knows both; Boekenburg's patrons are kept by Biebroam")
            token = self._initialise(self._federation)
            file = FEDERATION_FILE.format(
                home_port=self._ports(self._own)["auth"], federation_server_name=FEDERATION_SERVER_NAME, **_SECRETS
            )
            self._apply(self._federation, file)
            self._add_patron(self._federation, "wieke@boekenburg.example", "zomer-aan-zee")
            running.enter_context(self._start(self._federation, "serve", "--workers", "1"))
            ports = self._ports(self._federation)
            self._wait_ready(ports["api"])
            self._say(f"proxy on UDP port {ports['auth']}, ready after {time.monotonic() - started:.1f} s\n")
            anchors = {
                "boekenburg.example": self._anchors(self._federation),
                "duinlezen.example": self._anchors(self._own),
            }
            verdicts = [self._play(scene, int(ports["auth"]), anchors) for scene in SCENES]
            if all(verdicts):
                console.print(Text("Everything went as it should.", style="bold green"))
            else:
                console.print(Text(f"{verdicts.count(False)} of {len(verdicts)} did not.", style="bold red"))
                self._show_logs()
            if stays:
                self._stay(f"http://127.0.0.1:{ports['api']}", token)
        return all(verdicts)

    def _say(self, text: str) -> None:
        self._console.print(Text.assemble(("  · ", "dim"), text))

    def _play(self, scene: Scene, port: int, anchors: dict[str, bytes]) -> bool:
        realm = scene.user.rpartition("@")[2]
        request = LoginRequest(
            host="127.0.0.1",
            port=port,
            secret=_SECRETS[scene.visited].encode(),
            user=scene.user,
            password=scene.password,
            ca_pem=anchors.get(realm, anchors["boekenburg.example"]),
            server_name=DUINLEZEN_SERVER_NAME if realm == "duinlezen.example" else FEDERATION_SERVER_NAME,
            source=scene.source,
        )
        result = asyncio.run(log_in(request))
        reason_is_seen = not scene.reason or self._is_logged(scene.reason)
        if scene.expected is Outcome.ACCEPTED:
            is_right = result.is_accepted
        else:
            is_right = result.outcome is scene.expected and reason_is_seen
        self._show(scene, result, is_right=is_right, reason=scene.reason if reason_is_seen else "")
        return is_right

    def _show(self, scene: Scene, result: LoginResult, *, is_right: bool, reason: str) -> None:
        console = self._console
        mark = ("✓ ", "bold green") if is_right else ("✗ ", "bold red")
        console.print(Text.assemble(mark, (scene.title, "bold")))
        rows = [
            (
                "who asks",
                f"access point {scene.visited}/{scene.access_point}, for anonymous@{scene.user.partition('@')[2]}",
            ),
            ("route", scene.route),
        ]
        rounds = ", ".join(f"{step.seconds * 1000:.0f}" for step in result.steps)
        rows.append(("rounds", f"{len(result.steps)} of EAP, in ms: {rounds}"))
        if result.server is not None:
            rows.append(("tunnel", f"{result.server.tls_version} to {', '.join(result.server.names)}, verified"))
        if result.is_accepted:
            rows.append(("outcome", f"on the Wi-Fi in {result.seconds * 1000:.0f} ms; both ends hold the same keys"))
        else:
            because = f": {reason}" if reason else f": {result.reason}"
            rows.append(("outcome", f"{result.outcome} after {result.seconds * 1000:.0f} ms{because}"))
        for name, text in rows:
            console.print(Text.assemble((f"    {name:<9}", "dim"), text), soft_wrap=True)
        console.print()

    def _stay(self, url: str, token: str) -> None:
        console = self._console
        console.print(Text("\nIt goes on running. Try, in another terminal:", style="bold"))
        for line in (
            f"open {url}/docs",
            f"export BIEBROAM_TOKEN={token}",
            f"biebroam library list --api {url}",
            f"biebroam explain wieke@boekenburg.example --client duinlezen/leeszaal --api {url}",
        ):
            console.print(f"  {line}", soft_wrap=True)
        console.print(Text("\nCtrl-C ends it and removes everything.", style="dim"))
        threading.Event().wait()

    # The processes.

    def _environment(self, data: Path) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BIEBROAM_")}
        ports = dict.fromkeys(("AUTH", "ACCT", "RADSEC", "API"), "0")
        return {
            **kept,
            "BIEBROAM_DATA": str(data),
            "BIEBROAM_LISTEN": "127.0.0.1",
            "BIEBROAM_LOG_FORMAT": "json",
            **{f"BIEBROAM_{name}_PORT": port for name, port in ports.items()},
        }

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "biebroam", *arguments]

    def _run(self, data: Path, *arguments: str, text: str = "") -> str:
        run = subprocess.run(  # noqa: S603 - our own program
            self._command(*arguments),
            input=text,
            capture_output=True,
            text=True,
            env=self._environment(data),
            timeout=READY_SECONDS,
            check=False,
        )
        if run.returncode:
            raise DemoError(f"`biebroam {' '.join(arguments)}` failed: {run.stderr.strip() or run.stdout.strip()}")
        return run.stdout

    def _initialise(self, data: Path) -> str:
        token: str = json.loads(self._run(data, "init", "--json"))["token"]
        return token

    def _apply(self, data: Path, document: str) -> None:
        file = data.with_suffix(".toml")
        file.touch(mode=0o600)
        file.write_text(document)
        self._run(data, "apply", str(file))

    def _add_patron(self, data: Path, name: str, password: str) -> None:
        self._run(data, "patron", "add", name, "--password-file", "-", text=password)

    def _anchors(self, data: Path) -> bytes:
        with open_api(Place(self._open_application, data)) as api:
            return api.get_text("/v1/trust/eap.pem").encode()

    @contextmanager
    def _start(self, data: Path, *arguments: str) -> Generator[None]:
        with data.with_suffix(".log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603
                self._command(*arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(data),
                start_new_session=True,  # Ctrl-C is ours; we end it in order
            )
            try:
                ports = data / "ports.json"
                self._wait(lambda: process.poll() is not None or ports.exists(), f"biebroam {arguments[0]}")
                if process.poll() is not None:
                    raise DemoError(f"biebroam {arguments[0]} ended:\n{self._log(data)[-2000:]}")
                yield
            finally:
                process.terminate()
                try:
                    process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def _ports(self, data: Path) -> dict[str, Any]:
        ports: dict[str, Any] = json.loads((data / "ports.json").read_text())
        return ports

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise DemoError(f"waited {READY_SECONDS:.0f} s for {what}")
            time.sleep(0.05)

    def _wait_ready(self, port: int) -> None:
        def is_ready() -> bool:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
                    return bool(answer.status == 200)
            except (urllib.error.URLError, OSError):
                return False

        self._wait(is_ready, "the service to be ready")

    def _log(self, data: Path) -> str:
        return data.with_suffix(".log").read_text(errors="replace")

    def _is_logged(self, reason: str) -> bool:
        deadline = time.monotonic() + LOG_SECONDS
        while time.monotonic() < deadline:
            if f'"{reason}"' in self._log(self._federation) + self._log(self._own):
                return True
            time.sleep(0.05)
        return False

    def _show_logs(self) -> None:
        for data in (self._federation, self._own):
            typer.echo(f"--- the log of {data.name}\n{self._log(data)[-4000:]}", err=True)
