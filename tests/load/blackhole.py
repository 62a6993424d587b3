"""`make blackhole`: what the patrons of all other libraries feel while one library does not answer.

A normal load over healthy realms goes through one proxy process: alone; then beside a library that is asked 2,000 times
a second and answers; then beside the same library when it has fallen silent, flaps, or answers late. Each round is a
new proxy, and its three stages are compared with each other: ratios hold on a machine that drifts, milliseconds do not.
The last beside the second is what the silence does; the last beside the first is what that load does, too. Each stage
has two parts, of which the worse one counts; those of the last are while the library is asked and while what it did not
answer meets its deadline. Of a part counts the middle one of the 99th percentiles of its seconds: what a virtual
machine's host takes for a moment is then no part of the figure, and what comes back each second is. The proxy, and the
access points and home servers of the healthy realms, run before all else on their processors, so that they wait for
each other alone, not for the tools that make the trouble; and no processor sleeps, as one that wakes up late would make
the stage with the least work the slowest.
"""

import argparse
import json
import os
import signal
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

from radius.wire.authenticators import KeyedSecret, sign_request
from radius.wire.codes import Code
from tests.load.laboratory import (
    CLIENT_SECRET,
    HOME_SECRET,
    SETTLING_SECONDS,
    TOOLS_CPU,
    Laboratory,
    Load,
    build_tools,
    kept_awake,
    may_be_urgent,
    pinned,
    realm_names,
    urgent,
)
from tests.load.peers import COMPILED, PROXY_CPU
from tests.support.biebroam import COMMAND, DataDirectory
from tests.support.processes import Program, free_port

REALMS: Final = 20
NORMAL_PER_SECOND: Final = 1000.0
TROUBLE_PER_SECOND: Final = 2000.0
TROUBLE_REALM: Final = "trouble.bench.example"
SAME_CLIENT, OTHER_CLIENT = "127.0.0.1", "127.0.0.2"
DEADLINE_SECONDS: Final = 22  # the proxy's own is 20
MARKED_DEAD_SECONDS: Final = 3.0  # a neighbour that waits longer for Status-Server counts it as missed
PROBE_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Case:
    """What is wrong with the one library, and how it is reached."""

    trouble: tuple[str, ...] | None = ()
    """What becomes of its answers, as options of a simulated home server: none at all; None: it goes on to answer."""
    is_shared: bool = False
    """It stands behind the next hop that the healthy realms use, too."""
    source: str = SAME_CLIENT
    """Which client asks for it: the one that the normal load comes from, or another."""
    rate: float = TROUBLE_PER_SECOND
    normal: float = NORMAL_PER_SECOND
    window: int = 6000


CASES: Final[dict[str, Case]] = {
    "silent, own home server": Case(),
    "silent, own home server, other client": Case(source=OTHER_CLIENT),
    "silent, shared next hop": Case(is_shared=True),
    "silent, one of many": Case(normal=1900.0, rate=100.0),
    "flapping 10 s, shared next hop": Case(trouble=("--flap-ms", "10000"), is_shared=True),
    "answers after 3 s, shared next hop": Case(trouble=("--slow-ms", "3000"), is_shared=True),
    "flood of another client": Case(trouble=None, source=OTHER_CLIENT, rate=0.0),
}


@dataclass(frozen=True, slots=True)
class Round:
    """One proxy's three stages."""

    alone_p99_us: int
    answered_p99_us: int
    troubled_p99_us: int
    whole_beside_answered: float  # the same of whole parts, whatever the machine's host did meanwhile
    whole_beside_alone: float
    worst_realm_ratio: float  # of the last to the second; each has a twentieth of the requests, so that much is chance
    worst_realm_answered_ratio: float  # of the second to the first, in which nothing is wrong: what chance does
    lost: int  # of the normal load
    refused: int  # of the normal load
    trouble_sent: int
    trouble_unanswered: int  # within the deadline
    trouble_accepts: int
    checks: int  # Status-Server that were asked in the last stage
    checks_missed: int
    slowest_check_ms: float
    lost_by_part: list[int]  # two parts of each stage
    wrong: int  # answers of the normal load that were none, or nobody's who waits
    without_room: int  # datagrams that some socket of this machine had no room for, the trouble's among them

    @property
    def beside_answered(self) -> float:
        """How much longer the slowest hundredth waits than beside the same load that is answered."""
        return self.troubled_p99_us / max(1, self.answered_p99_us)

    @property
    def beside_alone(self) -> float:
        """How much longer the slowest hundredth waits than without that load."""
        return self.troubled_p99_us / max(1, self.alone_p99_us)


class Neighbour:
    """Asks the proxy with Status-Server, as neighbours do who want to know whether it lives."""

    def __init__(self, port: int) -> None:
        """Nothing is asked before it is entered."""
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.connect(("127.0.0.1", port))
        self._udp.settimeout(MARKED_DEAD_SECONDS)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.seconds: list[float] = []
        self.missed = 0

    def _ask(self) -> None:
        keyed = KeyedSecret(CLIENT_SECRET.encode())
        number = 0
        while not self._stopping.wait(PROBE_SECONDS):
            number += 1
            began = time.monotonic()
            octets = sign_request(Code.STATUS_SERVER, number % 256, number.to_bytes(16), b"", keyed)
            self._udp.send(octets)
            try:
                while self._udp.recv(4096)[1] != number % 256:
                    pass
            except TimeoutError:
                self.missed += 1
            else:
                self.seconds.append(time.monotonic() - began)

    def __enter__(self) -> Self:
        """It asks from now on."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """It asks no more."""
        self._stopping.set()
        self._thread.join()
        self._udp.close()


def start_proxy(folder: Path, port: int, home_port: int, trouble_port: int, command: Path) -> Program:
    """One `biebroam proxy` with the healthy realms, and the troubled one at a home server or a shared one."""
    data = DataDirectory(folder / "biebroam", command=command)
    data.initialise()
    names = realm_names(REALMS)
    is_shared = trouble_port == home_port
    healthy = ", ".join(f'"{name}"' for name in ([*names, TROUBLE_REALM] if is_shared else names))
    troubled = "" if is_shared else _library("troubled", f'"{TROUBLE_REALM}"', trouble_port)
    data.apply(f"""
[federation]
name = "bench"
country = "NL"
eap_server_name = "login.bench.example"
{_library("visited", '"visited.example"', home_port)}
[[libraries.access_points]]
name = "ap"
address = "{SAME_CLIENT}/32"
secret = "{CLIENT_SECRET}"
[[libraries.access_points]]
name = "other-ap"
address = "{OTHER_CLIENT}/32"
secret = "{CLIENT_SECRET}"
{_library("healthy", healthy, home_port)}
{troubled}
""")
    return data.start("proxy", port=port, wrap=lambda arguments: pinned(PROXY_CPU, urgent(arguments)))


def _library(name: str, realms: str, port: int) -> str:
    return f"""
[[libraries]]
id = "{name}"
name = "{name}"
realms = [{realms}]
[[libraries.home_servers]]
name = "home"
host = "127.0.0.1"
port = {port}
secret = "{HOME_SECRET}"
"""


@contextmanager
def start_homes(case: Case, laboratory: Laboratory) -> Generator[tuple[int, int, Callable[[], None]]]:
    """The healthy home server and the troubled one: their ports, and what brings the trouble."""
    trouble = () if case.trouble is None else ("--silent", "trouble", *case.trouble, "--answers-first")
    with ExitStack() as stack:
        options = trouble if case.is_shared else ()
        port, home = stack.enter_context(laboratory.start_home(*options, is_urgent=True))
        other_port, other = (port, home) if case.is_shared else stack.enter_context(laboratory.start_home(*trouble))
        yield port, other_port, lambda: other.process.send_signal(signal.SIGUSR1)


def run_round(case: Case, seconds: float, command: Path, laboratory: Laboratory) -> Round:
    """A new proxy and its three stages; the last is over when the last request of the trouble has met its deadline."""
    normal = Load(realms=REALMS, window=1000, rate=case.normal, seconds=seconds)
    deadline = ("--timeout-ms", str(DEADLINE_SECONDS * 1000))
    trouble = Load(realms=1, window=case.window, rate=case.rate, seconds=seconds, realm_format=TROUBLE_REALM)
    with (
        tempfile.TemporaryDirectory(prefix="blackhole-") as folder,
        start_homes(case, laboratory) as (home_port, trouble_port, fall),
        ThreadPoolExecutor() as threads,
    ):
        port, without_room = free_port(), count_without_room()

        def ask(*loads: Load) -> list[dict[str, Any]]:
            return [laboratory.generate(port, load, is_urgent=True) for load in loads]

        def ask_it(load: Load) -> Future[dict[str, Any]]:
            return threads.submit(laboratory.generate, port, load, "--source", case.source, *deadline)

        with start_proxy(Path(folder), port, home_port, trouble_port, command):
            laboratory.wait_answering(port)
            ask(replace(normal, seconds=SETTLING_SECONDS))
            alone = ask(normal, normal)
            answered = alone
            if case.trouble is not None:
                answering = ask_it(replace(trouble, seconds=2 * seconds))
                answered = ask(normal, normal)
                answering.result()
                fall()
            with Neighbour(port) as neighbour:
                troubling = ask_it(trouble)
                troubled = ask(normal, replace(normal, seconds=DEADLINE_SECONDS))
                other = troubling.result()
    return judge(alone, answered, troubled, other, neighbour, count_without_room() - without_room)


def count_without_room() -> int:
    """How many datagrams the kernel has dropped so far since a socket's buffer was full (RcvbufErrors)."""
    names, values = (
        line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Udp:")
    )
    return int(dict(zip(names, values, strict=True))["RcvbufErrors"])


def judge(
    alone: Sequence[dict[str, Any]],
    answered: Sequence[dict[str, Any]],
    troubled: Sequence[dict[str, Any]],
    other: dict[str, Any],
    neighbour: Neighbour,
    without_room: int,
) -> Round:
    """What the generators' reports say."""
    stages = (alone, answered, troubled)
    first, before, after = (
        [max(each) for each in zip(*(part["realms_p99_us"] for part in stage), strict=True)] for stage in stages
    )
    worst = [max(round(statistics.median(part["seconds_p99_us"])) for part in stage) for stage in stages]
    alone_us, answered_us, troubled_us = (max(1, *(part["p99_us"] for part in stage)) for stage in stages)
    every = [part for stage in stages for part in stage]
    return Round(
        *worst,
        whole_beside_answered=troubled_us / answered_us,
        whole_beside_alone=troubled_us / alone_us,
        worst_realm_ratio=find_worst(before, after),
        worst_realm_answered_ratio=find_worst(first, before),
        lost=sum(part["lost"] for part in every),
        refused=sum(part["rejects"] for part in every),
        trouble_sent=other["sent"],
        trouble_unanswered=other["lost"],
        trouble_accepts=other["accepts"],
        checks=len(neighbour.seconds) + neighbour.missed,
        checks_missed=neighbour.missed,
        slowest_check_ms=1000 * max(neighbour.seconds, default=MARKED_DEAD_SECONDS),
        lost_by_part=[part["lost"] for part in every],
        wrong=sum(part["wrong_authenticator"] + part["wrong_keys"] + part["strays"] for part in every),
        without_room=without_room,
    )


def find_worst(before: Sequence[int], after: Sequence[int]) -> float:
    """The largest ratio of the second figure of a realm to its first."""
    return max(there / max(1, here) for here, there in zip(before, after, strict=True))


def spread(values: Sequence[float]) -> str:
    """The middle one, the least and the largest."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def print_case(name: str, rounds: Sequence[Round]) -> None:
    """One line of the table."""
    middles = [
        f"{statistics.median(values):.0f}"
        for values in zip(
            *((each.alone_p99_us, each.answered_p99_us, each.troubled_p99_us) for each in rounds), strict=True
        )
    ]
    print(
        f"| {name} | {' | '.join(middles)} "
        f"| {spread([each.beside_answered for each in rounds])} | {spread([each.beside_alone for each in rounds])} "
        f"| {spread([each.whole_beside_answered for each in rounds])} "
        f"| {spread([each.whole_beside_alone for each in rounds])} "
        f"| {spread([each.worst_realm_ratio for each in rounds])} "
        f"| {spread([each.worst_realm_answered_ratio for each in rounds])} "
        f"| {sum(each.lost for each in rounds)} + {sum(each.refused for each in rounds)} "
        f"| {sum(each.trouble_unanswered for each in rounds)} of {sum(each.trouble_sent for each in rounds)} "
        f"| {sum(each.checks_missed for each in rounds)} of {sum(each.checks for each in rounds)} "
        f"| {max(each.slowest_check_ms for each in rounds):.0f} |",
        flush=True,
    )


def main() -> int:
    """Measure and print; 1 when a healthy realm lost a request, or a neighbour would believe the proxy dead."""
    parser = argparse.ArgumentParser(prog="make blackhole ARGS=…", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=12.0, help="of each part, and of the trouble")
    parser.add_argument("--cases", nargs="*", default=(), help="names of cases, or what the names of some contain")
    parser.add_argument("--interpreted", action="store_true", help="the proxy of .venv, not the compiled one")
    parser.add_argument("--output", type=Path, default=Path("bench-results"), help="folder for tools and figures")
    options = parser.parse_args()
    os.sched_setaffinity(0, {TOOLS_CPU % (os.cpu_count() or 1)})  # what else is done here is not on the proxy's
    tools = build_tools(options.output / "tools")
    command = COMMAND if options.interpreted or not COMPILED.exists() else COMPILED
    cases = {
        name: case for name, case in CASES.items() if not options.cases or any(part in name for part in options.cases)
    }
    found: dict[str, list[Round]] = {name: [] for name in cases}
    with tempfile.TemporaryDirectory(prefix="blackhole-logs-") as logs, ExitStack() as stack:
        if may_be_urgent():  # else what keeps them awake takes a part of them from what is measured
            stack.enter_context(kept_awake())
        laboratory = Laboratory(tools, Path(logs))
        for number in range(1, options.rounds + 1):
            for name, case in cases.items():
                print(f"\r\033[Kround {number} of {options.rounds}: {name}", end="", file=sys.stderr, flush=True)
                found[name].append(run_round(case, options.seconds, command, laboratory))
    print("\r\033[K", end="", file=sys.stderr)
    if not may_be_urgent():
        print("What measures did not run as real-time, which only root may: it waited for the tools, too.")
    print(f"Requests of {REALMS} healthy realms, alone, beside one library that answers, and beside it in trouble.\n")
    print("| the one library | p99 us alone | beside answers | beside trouble | beside answers, ratio ", end="")
    print("| beside none | of whole parts, beside answers | beside none ", end="")
    print("| worst realm beside answers | the same of answers beside none ", end="")
    print("| healthy: lost + refused | its own, unanswered | Status-Server missed | slowest ms |")
    print("|---" * 14 + "|")
    for name, rounds in found.items():
        print_case(name, rounds)
    figures = {name: [asdict(each) for each in rounds] for name, rounds in found.items()}
    (options.output / "blackhole.json").write_text(json.dumps(figures, indent=1))
    every = [each for rounds in found.values() for each in rounds]
    return 1 if any(each.lost or each.refused or each.checks_missed for each in every) else 0


if __name__ == "__main__":
    sys.exit(main())
