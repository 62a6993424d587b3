"""The bench: tools compiled, processes pinned, and what one run of a proxy cost."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.processes import Program, free_port

HERE = Path(__file__).resolve().parent
TOOLS = ("loadgen", "homesim")
CLIENT_SECRET, HOME_SECRET = "load-secret-of-the-laboratory", "home-secret-of-the-laboratory"
TOOLS_CPU = 1  # of generators and home servers; proxies have the first
REALM_FORMAT = "r%u.bench.example"
TICKS = os.sysconf("SC_CLK_TCK")
SETTLING_SECONDS = 5.0  # after a start, under load: by then a proxy has loaded what it needs later


@dataclass(frozen=True, slots=True)
class Load:
    """What the generator sends."""

    octets: int = 225  # of each Access-Request
    realms: int = 50
    window: int = 32  # requests in flight
    seconds: float = 4.0
    rate: float = 0.0  # new requests a second; 0: as many as the window allows
    realm_format: str = REALM_FORMAT
    spread: int = 0  # up to so many octets more: no two requests in a row need have the same length


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one run cost and gave."""

    peer: str
    load: Load
    cpu_us: float  # CPU microseconds of the proxy's processes for each answered request
    per_second: float
    p50_us: int
    p99_us: int
    max_us: int
    lost: int
    wrong: int  # answers with a wrong authenticator or wrong keys, or a Proxy-State that was not ours
    resident_mib: float  # the largest that the proxy's processes were, summed


def build_tools(folder: Path) -> Path:
    """Compile the generator and the home server into the folder; a message that says what is missing, else."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not Path("/usr/include/openssl/md5.h").exists():
        sys.exit("The load tools need a C compiler and OpenSSL's headers: apt-get install gcc libc6-dev libssl-dev")
    folder.mkdir(parents=True, exist_ok=True)
    for tool in TOOLS:
        subprocess.run(
            [compiler, "-O2", "-Wall", "-Wextra", "-o", folder / tool, HERE / f"{tool}.c", "-lcrypto"], check=True
        )
    return folder


def realm_names(count: int) -> list[str]:
    """The realms that the generator asks for."""
    return [REALM_FORMAT.replace("%u", str(number)) for number in range(count)]


def pinned(cpu: int, arguments: Sequence[str | Path]) -> list[str | Path]:
    """The command, kept to one processor (where there are two)."""
    return ["taskset", "-c", str(cpu % (os.cpu_count() or 1)), *arguments]


@cache
def may_be_urgent() -> bool:
    """Whether this user may run what measures as real-time: root, or with CAP_SYS_NICE."""
    return subprocess.run(["chrt", "--fifo", "1", "true"], capture_output=True, check=False).returncode == 0


def urgent(arguments: Sequence[str | Path]) -> list[str | Path]:
    """The command, run before all others on its processor where that is allowed: its figures have none of theirs."""
    return ["chrt", "--fifo", "1", *arguments] if may_be_urgent() else list(arguments)


@contextmanager
def kept_awake() -> Generator[None]:
    """No processor sleeps meanwhile: one of a virtual machine wakes up late, the later the less there is to do.

    What keeps them awake leaves them to whoever is real-time; of the others' time it has a part where sessions are
    scheduled as groups (autogroup).
    """
    spinning = [sys.executable, "-c", "while True: pass"]
    with ExitStack() as stack:
        for cpu in range(os.cpu_count() or 1):
            process = subprocess.Popen(["chrt", "--idle", "0", *pinned(cpu, spinning)])
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


def descendants(process_id: int) -> list[int]:
    """The process and all that it started, that live now."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = list[int](), [process_id]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def cpu_seconds(processes: Sequence[int]) -> float:
    """User and system time of all threads of the processes."""
    total = 0
    for process in processes:
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def resident_mib(processes: Sequence[int]) -> float:
    """The largest resident sizes of the processes, summed, in MiB."""
    total = 0
    for process in processes:
        try:
            lines = Path(f"/proc/{process}/status").read_text().splitlines()
        except OSError:
            continue
        total += next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)
    return total / 1024


class Laboratory:
    """Runs one proxy at a time between the generator and the home server."""

    def __init__(self, tools: Path, folder: Path) -> None:
        """Tools as `build_tools` left them; a folder for logs and configurations."""
        self.tools = tools
        self.folder = folder

    @contextmanager
    def home(self, *arguments: str, is_urgent: bool = False) -> Generator[int]:
        """A simulated home server; its port."""
        with self.start_home(*arguments, is_urgent=is_urgent) as (port, _):
            yield port

    @contextmanager
    def start_home(self, *arguments: str, is_urgent: bool = False) -> Generator[tuple[int, Program]]:
        """A simulated home server: its port, and what runs there."""
        port = free_port()
        command = pinned(TOOLS_CPU, [self.tools / "homesim", "--port", str(port), "--secret", HOME_SECRET, *arguments])
        with Program(urgent(command) if is_urgent else command, self.folder / "homesim.log") as program:
            time.sleep(0.1)
            yield port, program

    def generate(
        self, port: int, load: Load, *arguments: str, is_pinned: bool = True, is_urgent: bool = False
    ) -> dict[str, Any]:
        """Run the generator against the port; its report, numbers by name, `realms_p99_us` and `seconds_p99_us` lists.

        It is kept to the second processor unless both are shared with what is measured. One that is urgent does not
        wait for others there.
        """
        command: list[str | Path] = [
            *(self.tools / "loadgen", "--port", str(port), "--secret", CLIENT_SECRET),
            *(
                "--octets",
                str(load.octets),
                "--spread",
                str(load.spread),
                "--realms",
                str(load.realms),
                "--window",
                str(load.window),
            ),
            *("--seconds", str(load.seconds), "--rate", str(load.rate), "--realm-format", load.realm_format),
            *arguments,
        ]
        if is_pinned:
            command = pinned(TOOLS_CPU, command)
        run = subprocess.run(
            urgent(command) if is_urgent else command,
            capture_output=True,
            text=True,
            check=True,
            timeout=load.seconds + 60,
        )
        report: dict[str, Any] = json.loads(run.stdout)
        return report

    def wait_answering(self, port: int, seconds: float = 60) -> None:
        """Return when the proxy at the port answers."""
        probe = Load(realms=1, window=1, seconds=0.3)
        deadline = time.monotonic() + seconds
        while self.generate(port, probe, "--count", "1", "--timeout-ms", "400")["accepts"] != 1:
            if time.monotonic() > deadline:
                sys.exit(f"the proxy at port {port} does not answer; its logs are in {self.folder}")
            time.sleep(0.1)

    def measure(self, peer: str, proxy: Callable[[], Program], port: int, load: Load) -> Measurement:
        """Start the proxy, warm it, load it; what that cost. The proxy is ended."""
        with proxy() as program:
            self.wait_answering(port)
            self.generate(port, replace(load, window=min(load.window, 64), seconds=SETTLING_SECONDS))
            processes = descendants(program.process.pid)
            before = cpu_seconds(processes)
            report = self.generate(port, load)
            spent = cpu_seconds(processes) - before
            return Measurement(
                peer=peer,
                load=load,
                cpu_us=spent * 1e6 / max(1, report["accepts"]),
                per_second=report["per_second"],
                p50_us=int(report["p50_us"]),
                p99_us=int(report["p99_us"]),
                max_us=int(report["max_us"]),
                lost=int(report["lost"]),
                wrong=int(
                    report["wrong_authenticator"]
                    + report["wrong_keys"]
                    + report["leaked_proxy_state"]
                    + report["rejects"]
                ),
                resident_mib=resident_mib(processes),
            )
