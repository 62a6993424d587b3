"""A federation of 100,000 realms: how soon it starts, and what one change among them costs.

    python -m tests.load.changes --realms 100000 --libraries 1000

Three measurements on one data directory, filled with `biebroam apply`: the time from starting `biebroam proxy` to its
first Access-Accept, from the registry and from the saved snapshot; the resident memory of that idle worker; and changes
of one realm each, first with nothing else to do and then while a generator asks. The worker that follows the changes
is a process of its own, compiled where that is there, which watches its event loop (`tests.load.observed`); who
changes, the generator and this program are others. Without requests, what holds the loop up is the change; with them,
it is also what arrived meanwhile.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from federation.model import Actor, Role
from federation.services.realms import add_realm
from federation.services.registry import Registry
from federation.store.announcements import announce
from federation.store.session import Store
from federation.trust.keystore import load_sealer
from tests.load.laboratory import CLIENT_SECRET, HOME_SECRET, Laboratory, Load, build_tools, cpu_seconds, descendants
from tests.load.peers import COMPILED
from tests.support.biebroam import COMMAND, DataDirectory
from tests.support.processes import Program, free_port

ROOT: Final = Path(__file__).parents[2]
REALM_FORMAT: Final = "r%u.bench.example"
OPERATOR: Final = Actor("bench (local)", Role.OPERATOR)
REPORTED: Final = ("sent", "accepts", "rejects", "lost", "p99_us", "max_us")


def write_federation(realms: int, libraries: int, home_port: int) -> str:
    """The federation file: realms shared out among libraries with a home server each, and one access point."""
    head = f"""
[federation]
name = "bench"
country = "NL"
eap_server_name = "login.bench.example"

[[libraries]]
id = "visited"
name = "Where the load comes from"
realms = ["visited.example"]
[[libraries.access_points]]
name = "loadgen"
address = "127.0.0.1/32"
secret = "{CLIENT_SECRET}"
"""
    parts = [head]
    for library in range(libraries):
        names = ", ".join(f'"{REALM_FORMAT.replace("%u", str(n))}"' for n in range(library, realms, libraries))
        parts.append(f"""
[[libraries]]
id = "l{library}"
name = "Library {library}"
realms = [{names}]
[[libraries.home_servers]]
name = "homesim"
host = "127.0.0.1"
port = {home_port}
secret = "{HOME_SECRET}"
""")
    return "".join(parts)


def resident_mib(process: int) -> float:
    """The resident memory of a process now."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0) / 1024


def measure_start(data: DataDirectory, laboratory: Laboratory, realms: int) -> dict[str, float]:
    """Seconds from starting a worker to its first Accept, for a realm of the last library; its memory afterwards."""
    port = free_port()
    environment = {**data.environment, "BIEBROAM_AUTH_PORT": str(port)}
    began = time.monotonic()
    with Program([data.command, "proxy"], laboratory.folder / f"start-{port}.log", environment=environment) as program:
        probe = Load(realms=realms, window=1, seconds=0.05)
        while laboratory.generate(port, probe, "--count", "1", "--timeout-ms", "30")["accepts"] != 1:
            assert time.monotonic() - began < 300, "it does not answer"
        seconds = time.monotonic() - began
        spent = cpu_seconds(descendants(program.process.pid))
        path = data.folder / "snapshot.sealed"
        while not path.exists():
            time.sleep(0.05)
        time.sleep(2)
        return {
            "start_seconds": round(seconds, 2),
            "start_cpu_seconds": round(spent, 2),
            "idle_mib": round(resident_mib(program.process.pid)),
        }


@contextmanager
def started(
    command: Sequence[str | Path], folder: Path, environment: dict[str, str]
) -> Generator[subprocess.Popen[str]]:
    """A process that is spoken to line by line; it ends with its standard input."""
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        stream_to(process).close()
        process.wait(30)


def stream_to(process: subprocess.Popen[str]) -> IO[str]:
    """Its standard input."""
    assert process.stdin is not None
    return process.stdin


def ask(process: subprocess.Popen[str], line: str = "") -> Any:
    """Its answer to a line."""
    assert process.stdout is not None
    stream_to(process).write(line + "\n")
    stream_to(process).flush()
    return json.loads(process.stdout.readline())


def measure_changes(
    data: DataDirectory, laboratory: Laboratory, changes: int, pause: float, rate: float
) -> dict[str, Any]:
    """What was seen during changes alone ("quiet") and under load ("loaded"), and what became of the requests."""
    folder = laboratory.folder / "observed"
    folder.mkdir()
    (folder / "tests").symlink_to(ROOT / "tests")  # with the packages that the environment has, compiled or not
    python = (COMPILED if COMPILED.exists() else COMMAND).with_name("python")
    observe = [python, "-m", "tests.load.observed", data.folder]
    change = [sys.executable, "-m", "tests.load.changes", "--change", str(data.folder)]
    with started(observe, folder, data.environment) as observed, started(change, ROOT, {}) as writer:
        assert observed.stdout is not None
        port = int(observed.stdout.readline())
        names = (f"new{number}-{int(time.time())}.test" for number in range(2 * changes + 1))
        ask(writer, next(names))  # both have loaded what they need; this one is the worker's first, and counts below
        time.sleep(2)
        found = {f"first_{name}": value for name, value in ask(observed).items() if name != "revisions"}

        def follow(kind: str) -> None:
            commits: list[tuple[int, float]] = []
            for _ in range(changes):
                commits.append(ask(writer, next(names)))
                time.sleep(pause)
            time.sleep(1)
            seen = ask(observed)
            revisions: list[tuple[int, float]] = seen.pop("revisions")
            took = sorted(
                next(at for reached, at in revisions if reached >= revision) - committed
                for revision, committed in commits
            )
            seen["in_force_median_ms"] = round(1000 * took[len(took) // 2], 1)
            seen["in_force_max_ms"] = round(1000 * took[-1], 1)
            found.update({f"{kind}_{name}": value for name, value in seen.items()})

        follow("quiet")
        load = Load(realms=1000, window=1000, seconds=changes * pause + 3, rate=rate)
        report: dict[str, Any] = {}
        generating = threading.Thread(
            target=lambda: report.update(laboratory.generate(port, load, "--timeout-ms", "5000"))
        )
        generating.start()
        time.sleep(1)
        ask(observed)
        follow("loaded")
        generating.join()
    return {"changes": changes, **found, **{name: report[name] for name in REPORTED}}


def write_changes(folder: Path) -> int:
    """Add a realm for each line of standard input; tell the revision, and when it was committed."""

    def tell(revision: int) -> None:
        print(json.dumps((revision, time.monotonic())), flush=True)
        announce(folder / "run", revision)

    registry = Registry(Store(f"sqlite:///{folder / 'biebroam.db'}"), load_sealer(folder / "node.key"), tell)
    for line in sys.stdin:
        with registry.change(OPERATOR) as change:
            add_realm(change, OPERATOR, "l0", name=line.strip())
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write JSON; 1 when a request was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.changes", description=__doc__)
    parser.add_argument("--realms", type=int, default=100_000)
    parser.add_argument("--libraries", type=int, default=1000)
    parser.add_argument("--changes", type=int, default=20)
    parser.add_argument("--pause", type=float, default=0.2, help="seconds between two changes")
    parser.add_argument("--rate", type=float, default=500, help="requests a second meanwhile")
    parser.add_argument("--output", type=Path, default=Path("bench-results"), help="folder for tools and figures")
    parser.add_argument("--change", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.change is not None:
        return write_changes(options.change)
    with tempfile.TemporaryDirectory(prefix="changes-") as name:
        folder = Path(name)
        laboratory = Laboratory(build_tools(options.output / "tools"), folder)
        data = DataDirectory(folder / "data", command=COMPILED if COMPILED.exists() else COMMAND)
        with laboratory.home() as home_port:
            data.initialise()
            file = folder / "federation.toml"
            file.write_text(write_federation(options.realms, options.libraries, home_port))
            began = time.monotonic()
            data.run("apply", file, seconds=1800)
            found: dict[str, Any] = {"realms": options.realms, "libraries": options.libraries}
            found["apply_seconds"] = round(time.monotonic() - began, 1)
            found["apply_cpu_seconds"] = round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime, 1)  # with `init`
            for kind in ("registry", "saved"):
                figures = measure_start(data, laboratory, options.realms)
                found |= {f"{kind}_{figure}": value for figure, value in figures.items()}
            found |= measure_changes(data, laboratory, options.changes, options.pause, options.rate)
    for figure, value in found.items():
        print(f"| {figure} | {value} |")
    (options.output / "changes.json").write_text(json.dumps(found, indent=1))
    return 1 if found["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
