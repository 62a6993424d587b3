"""`make soak`: many requests for a long time, while everything around the proxy changes; it must not grow.

2,000 requests a second through the one proxy worker of a `serve`, the compiled one where that is there, each answer
verified by the generator. Meanwhile a realm is added and removed each second over HTTP, home servers of other libraries
die and return, and 200 datagrams a second are garbage: noise, and packets that were changed in a few places, some from
a client and some from nobody.
Memory, descriptors and what the proxy remembers are read each second. After a warm-up the medians of the first and the
last third are compared: 1 when the proxy grew, or lost or falsified a request.
"""

import argparse
import random
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from federation.statistics.reports import read_reports
from tests.fuzz.files import load_corpus
from tests.fuzz.mutations import mutate
from tests.load.laboratory import CLIENT_SECRET, HOME_SECRET, Laboratory, Load, build_tools, realm_names
from tests.load.peers import COMPILED
from tests.support.biebroam import COMMAND, DataDirectory
from tests.support.processes import Program, free_port
from tests.support.traffic import Traffic
from tests.support.usage import usage_of

REALMS: Final = 50
RATE: Final = 2000.0
CHURN_RATE: Final = 20.0  # requests a second for libraries whose home servers come and go
GARBAGE_RATE: Final = 200
WARM_UP: Final = 0.2  # of the time: tables fill, and the allocator finds its size
WINDOW: Final = 4000
GROWTH_KIB: Final = 4096  # between the thirds; one request that is never let go of costs 2 KiB, and there are a million
GROWTH_DESCRIPTORS: Final = 8
STRANGER: Final = "127.0.0.77"  # no client


@dataclass(frozen=True, slots=True)
class Sample:
    """The proxy at one second."""

    at: float
    resident_kib: int
    descriptors: int
    outstanding: int
    remembered: int


@dataclass(frozen=True, slots=True)
class Trend:
    """How a figure went."""

    first: float  # median of the first third
    last: float
    slope: float  # a minute, of the straight line through all
    last_slope: float  # the same through the last third

    @property
    def growth(self) -> float:
        """From the first third to the last."""
        return self.last - self.first


def find_trend(times: Sequence[float], values: Sequence[float]) -> Trend:
    """The trend of values at those times, three at least."""
    third = max(1, len(values) // 3)
    slopes = [_slope(times, values), _slope(times[-third:], values[-third:])]
    return Trend(statistics.median(values[:third]), statistics.median(values[-third:]), *slopes)


def _slope(times: Sequence[float], values: Sequence[float]) -> float:
    return 60 * statistics.linear_regression(times, values).slope if len(set(times)) > 1 else 0.0


def judge(samples: Sequence[Sample]) -> list[str]:
    """What grew, in words; none if nothing did. The warm-up is not looked at."""
    began, ended = samples[0].at, samples[-1].at
    looked = [sample for sample in samples if sample.at >= began + (ended - began) * WARM_UP]
    times = [sample.at for sample in looked]
    troubles: list[str] = []
    for name, bound, values in (
        ("resident KiB", GROWTH_KIB, [float(sample.resident_kib) for sample in looked]),
        ("descriptors", GROWTH_DESCRIPTORS, [float(sample.descriptors) for sample in looked]),
        ("outstanding", None, [float(sample.outstanding) for sample in looked]),
        ("remembered requests", None, [float(sample.remembered) for sample in looked]),
    ):
        trend = find_trend(times, values)
        print(
            f"{name}: {trend.first:.0f} in the first third, {trend.last:.0f} in the last, {trend.slope:+.1f} a minute, "
            f"{trend.last_slope:+.1f} in the last"
        )
        if bound is not None and trend.growth > bound:
            troubles.append(f"{name} grew by {trend.growth:.0f}")
    return troubles


def federation_file(ports: dict[str, int]) -> str:
    """Where the load comes from, the many realms that are steady, and those that are not."""
    realms = ", ".join(f'"{name}"' for name in realm_names(REALMS))

    def library(name: str, realms: str, client: str = "") -> str:
        return (
            f'\n[[libraries]]\nid = "{name}"\nname = "{name}"\nrealms = [{realms}]\n{client}'
            f'[[libraries.home_servers]]\nname = "radius1"\nhost = "127.0.0.1"\nport = {ports[name]}\n'
            f'secret = "{HOME_SECRET}"\n'
        )

    client = f'[[libraries.access_points]]\nname = "all"\naddress = "127.0.0.1/32"\nsecret = "{CLIENT_SECRET}"\n'
    return (
        '[federation]\nname = "soak"\ncountry = "NL"\neap_server_name = "login.soak.example"\n'
        + library("visited", '"visited.example"', client)
        + library("steady", realms)
        + library("mortal", '"mortal.example"')
        + library("restless", '"restless.example"')
    )


@contextmanager
def repeatedly(work: Callable[[], None], seconds: float) -> Generator[None]:
    """Inside the context `work` is done every so many seconds; what it raises is raised at the end."""
    stopping = threading.Event()

    def keep_on() -> None:
        while not stopping.wait(seconds):
            work()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(keep_on)
        try:
            yield
        finally:
            stopping.set()
            done.result()


class Mortal:
    """A home server that is killed, and started again at the next turn."""

    def __init__(self, laboratory: Laboratory, name: str, port: int) -> None:
        self._command = [laboratory.tools / "homesim", "--port", str(port), "--secret", HOME_SECRET]
        self._log = laboratory.folder / f"{name}.log"
        self._running: Program | None = None

    def turn(self) -> None:
        """It dies, or is back."""
        if self._running is None:
            self._running = Program(self._command, self._log)
        else:
            self.stop()

    def stop(self) -> None:
        """It is dead."""
        if self._running is not None:
            self._running.process.kill()
            self._running.stop()
            self._running = None


class Garbage:
    """Datagrams that are no good requests, from a client and from a stranger."""

    def __init__(self, port: int) -> None:
        self._dice = random.Random(port)
        self._packets = list(load_corpus("packets").values())
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for each, source in zip(self._sockets, ("127.0.0.1", STRANGER), strict=True):
            each.bind((source, 0))
            each.connect(("127.0.0.1", port))

    def throw(self) -> None:
        """A tenth of a second's worth."""
        for number in range(GARBAGE_RATE // 10):
            noise = self._dice.randbytes(self._dice.randrange(300))
            changed = mutate(self._dice.choice(self._packets), self._packets, self._dice)[:4000]
            with suppress(OSError):
                self._sockets[number % 4 == 0].send(noise if number % 2 else changed)

    def close(self) -> None:
        """The ports are free."""
        for each in self._sockets:
            each.close()


class Churn:
    """A realm comes, and goes again at the next turn."""

    def __init__(self, data: DataDirectory) -> None:
        self._data = data
        self._number = 0
        self.refused = 0

    def turn(self) -> None:
        """One change over HTTP."""
        path, name = "/v1/libraries/steady/realms", f"churn{self._number // 2}.soak.example"
        if self._number % 2:
            status, _ = self._data.request("DELETE", f"{path}/{name}", If_Match="*")
        else:
            status, _ = self._data.request("POST", path, {"name": name})
        self._number += 1
        self.refused += status not in {201, 204}


def soak(seconds: float, rate: float, laboratory: Laboratory, command: Path) -> int:
    """Run it; 1 when something grew or was lost."""
    ports = {name: free_port() for name in ("visited", "steady", "mortal", "restless")}
    data = DataDirectory(laboratory.folder / "data", settings={"BIEBROAM_SIGN_IN_DAYS": "0"}, command=command)
    data.initialise()
    with ExitStack() as stack:
        homesim = [laboratory.tools / "homesim", "--port", str(ports["steady"]), "--secret", HOME_SECRET]
        stack.enter_context(Program(homesim, laboratory.folder / "steady.log"))
        data.apply(federation_file(ports))
        stack.enter_context(data.start("serve", "--workers", "1"))
        port = int(data.ports["auth"])
        (proxy,) = (report.pid for report in read_reports(data.folder / "run") if report.role == "proxy")
        mortal, restless = (Mortal(laboratory, name, ports[name]) for name in ("mortal", "restless"))
        garbage, churn = Garbage(port), Churn(data)
        stack.callback(garbage.close)
        for each in (mortal, restless):
            stack.callback(each.stop)
        stack.enter_context(repeatedly(churn.turn, 1.0))
        stack.enter_context(repeatedly(garbage.throw, 0.1))
        stack.enter_context(repeatedly(mortal.turn, 7.0))
        stack.enter_context(repeatedly(restless.turn, 1.0))
        realms = ["mortal.example", "restless.example"]
        traffic = stack.enter_context(
            Traffic(port=port, secret=CLIENT_SECRET, realms=realms, rate=CHURN_RATE, timeout_seconds=30)
        )
        pool = stack.enter_context(ThreadPoolExecutor(1))
        load = Load(realms=REALMS, window=WINDOW, seconds=seconds, rate=rate)
        options = ("--retransmit-ms", "2000", "--timeout-ms", "30000")
        generated = pool.submit(laboratory.generate, port, load, *options)
        samples: list[Sample] = []
        began = time.monotonic()
        while not generated.done():
            samples.append(take_sample(data, proxy, time.monotonic() - began))
            print_sample(samples[-1])
            time.sleep(1)
        traffic.stop()
        return conclude(samples, generated.result(), traffic, churn)


def take_sample(data: DataDirectory, proxy: int, at: float) -> Sample:
    """The worker now, by the system's account and by its own."""
    usage = usage_of(proxy)
    counters: dict[str, Any] = {}  # Any: numbers by label
    for report in read_reports(data.folder / "run"):
        if report.role == "proxy":
            counters = dict(report.counters)
    return Sample(
        at,
        usage.resident_kib,
        usage.descriptors,
        int(counters.get("outstanding", 0)),
        int(counters.get("duplicates_remembered", 0)),
    )


def print_sample(sample: Sample) -> None:
    """One line that the next one overwrites at a terminal; elsewhere one a minute."""
    held = f"{sample.resident_kib} KiB, {sample.descriptors} descriptors, {sample.outstanding} outstanding"
    line = f"{sample.at:5.0f} s: {held}"
    if sys.stdout.isatty():
        print(f"\r\033[K{line}", end="", flush=True)
    elif int(sample.at) % 60 == 0:
        print(line, flush=True)


def conclude(samples: Sequence[Sample], report: dict[str, float], traffic: Traffic, churn: Churn) -> int:
    """Print what came out; 1 when something grew or was lost."""
    changing = traffic.report
    print(
        f"\n{report['accepts']:.0f} of {report['sent']:.0f} requests accepted, {report['per_second']:.0f} a second, "
        f"p99 {report['p99_us'] / 1000:.1f} ms; {report['retransmitted']:.0f} sent again, {report['lost']:.0f} lost"
    )
    answers = ", ".join(f"{count} of code {code}" for (_, code), count in sorted(changing.answers.items()))
    print(f"behind home servers that come and go: {changing.sent} requests, {answers}, {changing.lost} lost")
    troubles = judge(samples)
    wrong = sum(report[name] for name in ("rejects", "lost", "wrong_keys", "leaked_proxy_state"))
    if wrong:
        troubles.append(f"{wrong:.0f} requests were lost, refused or answered wrongly")
    if changing.lost or changing.contradicted:
        troubles.append(
            f"{changing.lost + changing.contradicted} requests behind home servers that come and go were lost"
        )
    if churn.refused:
        troubles.append(f"{churn.refused} changes were refused")
    for trouble in troubles:
        print(trouble, file=sys.stderr)
    return 1 if troubles else 0


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="make soak ARGS=…", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=RATE, help="requests a second (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("build/load"), help="folder for tools")
    parser.add_argument("--interpreted", action="store_true", help="the proxy of .venv, not the compiled one")
    options = parser.parse_args()
    command = COMMAND if options.interpreted or not COMPILED.exists() else COMPILED
    tools = build_tools(options.output / "tools")
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        return soak(options.seconds, options.rate, Laboratory(tools.absolute(), Path(folder)), command)


if __name__ == "__main__":
    sys.exit(main())
