"""A federation of 100,000 realms: how soon it starts, and what one change among them costs.

    python -m tests.load.changes --realms 100000 --libraries 1000

Three measurements on one data directory, filled with `biebroam apply`: the time from starting `biebroam proxy` to its
first Access-Accept, once from the registry and once from the saved snapshot; the resident memory of that idle worker;
and changes of one realm each, while a generator asks. For the changes the proxy's service and its feed run in this
process beside a probe of their event loop: how late it comes to a callback each millisecond, by the wall clock and by
the processor time of the process. On a machine that others use, the second is what the program itself did.
"""

import argparse
import asyncio
import json
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from federation.model import Actor, Role
from federation.services.feed import ProxyCompiler, SnapshotFeed
from federation.services.realms import add_realm
from federation.services.registry import Registry
from federation.snapshot import Snapshot
from federation.store.announcements import announce
from federation.store.session import Store
from federation.trust.keystore import load_sealer
from radius.proxy.service import ProxyService, ProxySockets
from radius.transport.udp import ask_for_buffer
from tests.load.laboratory import CLIENT_SECRET, HOME_SECRET, Laboratory, Load, build_tools, cpu_seconds, descendants
from tests.load.peers import COMPILED
from tests.support.biebroam import COMMAND, DataDirectory
from tests.support.processes import free_port

PROBE_SECONDS: Final = 0.001
REALM_FORMAT: Final = "r%u.bench.example"
OPERATOR: Final = Actor("bench (local)", Role.OPERATOR)


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
    began = time.monotonic()
    with data.start("proxy", port=port) as program:
        probe = Load(realms=realms, window=1, seconds=0.2)
        while laboratory.generate(port, probe, "--count", "1", "--timeout-ms", "100")["accepts"] != 1:
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


class Probe:
    """How late an event loop comes to a callback that is due each millisecond."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """It looks from now on."""
        self.wall: list[float] = []
        self.processor: list[float] = []
        self._loop = loop
        self._arm()

    def _arm(self) -> None:
        self._due, self._spent = time.perf_counter() + PROBE_SECONDS, time.process_time()
        self._loop.call_later(PROBE_SECONDS, self._look)

    def _look(self) -> None:
        self.wall.append(max(0.0, time.perf_counter() - self._due))
        self.processor.append(time.process_time() - self._spent)
        self._arm()

    def report(self) -> dict[str, float]:
        """In milliseconds."""
        found: dict[str, float] = {}
        for name, values in (("wall", self.wall), ("processor", self.processor)):
            ordered = sorted(values)
            found[f"stall_{name}_p999_ms"] = round(1000 * ordered[int(0.999 * len(ordered))], 2)
            found[f"stall_{name}_max_ms"] = round(1000 * ordered[-1], 2)
        return found


async def measure_changes(
    data: DataDirectory, laboratory: Laboratory, changes: int, pause: float, rate: float
) -> dict[str, Any]:
    """From the commit of a change to its snapshot in force, the probe's figures, and what became of the requests."""
    sealer = load_sealer(data.folder / "node.key")
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 0))
    listener.setblocking(False)
    ask_for_buffer(listener)
    service = ProxyService(ProxySockets((listener,)), loop_key=sealer.derive(b"proxy-state"))
    compiler = ProxyCompiler(sealer, ())
    feed = SnapshotFeed(
        Snapshot,
        name="bench",
        store_url=f"sqlite:///{data.folder / 'biebroam.db'}",
        run_directory=data.folder / "run",
        saved_path=data.folder / "snapshot.sealed",
        sealer=sealer,
        swap=service.swap,
        compile_newest=compiler.compile,
        resume=compiler.resume,
        saves=True,
    )
    feed.load_saved()
    service.start()
    await feed.start()
    loop = asyncio.get_running_loop()
    load = Load(realms=1000, window=1000, seconds=changes * pause + 2, rate=rate)
    port = listener.getsockname()[1]
    generating = loop.run_in_executor(None, laboratory.generate, port, load, "--timeout-ms", "5000")
    await asyncio.sleep(1)
    probe = Probe(loop)
    arguments = [sys.executable, "-m", "tests.load.changes", "--change", str(data.folder)]
    writer = await asyncio.create_subprocess_exec(*arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdin is not None
    assert writer.stdout is not None
    took: list[float] = []
    spent: list[float] = []
    for number in range(changes):
        before = time.process_time()
        writer.stdin.write(f"new{number}-{int(time.time())}.test\n".encode())
        revision, committed = json.loads(await writer.stdout.readline())
        while feed.revision < revision:  # noqa: ASYNC110 - nobody tells of it but the feed itself
            await asyncio.sleep(0.0005)
        took.append(time.monotonic() - committed)
        spent.append(time.process_time() - before)
        await asyncio.sleep(pause)
    writer.stdin.close()
    await writer.wait()
    report = await generating
    await feed.stop()
    await service.stop(1.0)
    listener.close()
    took.sort()
    spent.sort()
    return {
        "changes": changes,
        "in_force_median_ms": round(1000 * took[len(took) // 2], 1),
        "in_force_max_ms": round(1000 * took[-1], 1),
        "in_force_median_cpu_ms": round(1000 * spent[len(spent) // 2], 1),  # with the requests of that time
        **probe.report(),
        **{name: report[name] for name in ("sent", "accepts", "rejects", "lost", "p99_us", "max_us")},
    }


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
            found |= asyncio.run(measure_changes(data, laboratory, options.changes, options.pause, options.rate))
    for figure, value in found.items():
        print(f"| {figure} | {value} |")
    (options.output / "changes.json").write_text(json.dumps(found, indent=1))
    return 1 if found["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
