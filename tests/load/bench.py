"""`make bench`: what a proxied Access-Request costs, beside the peers that are installed.

Peers run in turn, round after round, on the same load, each pinned to one processor with the generator and the home
server on the other. Machines differ and drift: the ratios of one call are what counts, printed with their spread.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from tests.load.chart import Bar, draw_chart
from tests.load.laboratory import Laboratory, Load, Measurement, build_tools
from tests.load.peers import OURS, PEERS, Job, installed_peers
from tests.load.radsec import STARTERS
from tests.support.processes import free_port

REFERENCE: Final = "radsecproxy"
RADSEC_PEERS: Final = (*OURS, "radsecproxy")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a load, and who is asked to bear it."""

    load: Load
    peers: tuple[str, ...] = tuple(PEERS)
    is_half_load: bool = False
    """At half of what radsecproxy answers at most, which is measured first: latency is compared at equal load."""
    delay_ms: int = 0
    """What the home server waits: requests are in flight for that long."""
    tls: str = ""
    """Which side of the proxy is RADIUS/TLS: "out" towards the home server, "in" from the client, empty for neither."""


ROWS: dict[str, Row] = {
    "50 realms, 225 octets": Row(Load()),
    "50 realms, 1131 octets": Row(Load(octets=1131)),
    "50 realms, 225 to 480 octets": Row(Load(spread=255)),
    "10 realms, 225 octets": Row(Load(realms=10)),
    "1000 realms, 225 octets": Row(Load(realms=1000)),
    "10000 realms, 225 octets": Row(Load(realms=10_000)),
    "100000 realms, 225 octets": Row(Load(realms=100_000), OURS),  # the others take minutes to start
    "512 in flight": Row(Load(window=512)),
    "2000 in flight, homes take 100 ms": Row(Load(window=2000), delay_ms=100),
    "2000 a second": Row(Load(rate=2000)),
    "half of radsecproxy's maximum": Row(Load(), is_half_load=True),
    "UDP to RADIUS/TLS": Row(Load(), RADSEC_PEERS, tls="out"),
    "RADIUS/TLS to UDP": Row(Load(), RADSEC_PEERS, tls="in"),
}


def choose_rows(wanted: Sequence[str]) -> dict[str, Row]:
    """The rows of these names, and those whose names contain one that is no name; all if nothing is wanted."""
    return {
        name: row
        for name, row in ROWS.items()
        if not wanted or name in wanted or any(part in name for part in wanted if part not in ROWS)
    }


def measure_once(peer: str, load: Load, home_port: int, laboratory: Laboratory, tls: str = "") -> Measurement:
    """One run of one peer, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
        job = Job(Path(folder), free_port(), home_port, load.realms)
        if tls:
            return laboratory.measure(peer, partial(STARTERS[tls][peer], job, stack), job.port, load)
        return laboratory.measure(peer, partial(PEERS[peer], job), job.port, load)


def measure_row(
    name: str, row: Row, peers: Sequence[str], rounds: int, laboratory: Laboratory
) -> dict[str, list[Measurement]]:
    """Each peer's measurements, the peers taken in turn in every round."""
    found: dict[str, list[Measurement]] = {peer: [] for peer in peers if peer in row.peers}
    options = ("--delay-ms", str(row.delay_ms)) if row.delay_ms else ()
    with laboratory.home(*options) as home_port:
        load = row.load
        if row.is_half_load:
            reference = measure_once(REFERENCE, load, home_port, laboratory)
            load = replace(load, rate=round(reference.per_second / 2))
        for round_number in range(1, rounds + 1):
            for peer, runs in found.items():
                print(f"\r\033[K{name}: round {round_number} of {rounds}, {peer}", end="", file=sys.stderr, flush=True)
                runs.append(measure_once(peer, load, home_port, laboratory, row.tls))
    print("\r\033[K", end="", file=sys.stderr)
    return found


def median(runs: Sequence[Measurement], figure: str) -> float:
    """The middle one of that figure."""
    return statistics.median(getattr(run, figure) for run in runs)


def compare(ours: Sequence[Measurement], its: Sequence[Measurement], figure: str = "cpu_us") -> str:
    """Our figure as a ratio to its, round by round: the median, the least and the largest."""
    pairs = ((getattr(mine, figure), getattr(theirs, figure)) for mine, theirs in zip(ours, its, strict=False))
    ratios = [mine / theirs for mine, theirs in pairs if theirs]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else "-"


def print_row(name: str, found: dict[str, list[Measurement]]) -> None:
    """A table of one load: medians of each peer, and Biebroam's cost and latency as ratios to it, with their spread."""
    print(f"\n### {name}\n")
    print(
        "| proxy | CPU us/request | ours/its (min to max) | requests/s | p50 us | p99 us | ours/its (min to max) "
        "| max us | lost | wrong | MiB |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for peer, runs in found.items():
        print(
            f"| {peer} | {median(runs, 'cpu_us'):.1f} | {compare(found.get('biebroam', []), runs)} "
            f"| {median(runs, 'per_second'):.0f} "
            f"| {median(runs, 'p50_us'):.0f} | {median(runs, 'p99_us'):.0f} "
            f"| {compare(found.get('biebroam', []), runs, 'p99_us')} | {median(runs, 'max_us'):.0f} "
            f"| {sum(run.lost for run in runs)} | {sum(run.wrong for run in runs)} "
            f"| {max(run.resident_mib for run in runs):.0f} |",
            flush=True,
        )


def make_bars(found: dict[str, list[Measurement]]) -> list[Bar]:
    """One row of the chart."""
    ours = found.get("biebroam", [])
    return [
        Bar(peer, median(runs, "cpu_us"), "" if peer == "biebroam" or not ours else f"ours: {compare(ours, runs)}")
        for peer, runs in found.items()
    ]


def main() -> int:
    """Measure, print, and write JSON and a chart; 1 when a request was lost or answered wrongly by us."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("--peers", default=",".join(installed_peers()), help="of: %(default)s")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run")
    parser.add_argument("--rows", nargs="*", default=(), help="names of rows, or what the names of some contain")
    parser.add_argument("--output", type=Path, default=Path("bench-results"), help="folder for tools and figures")
    options = parser.parse_args()
    peers = [peer for peer in options.peers.split(",") if peer in PEERS]
    rows = choose_rows(options.rows)
    if REFERENCE not in installed_peers():
        rows = {name: row for name, row in rows.items() if not row.is_half_load}
    tools = build_tools(options.output / "tools")
    measured: dict[str, dict[str, list[Measurement]]] = {}
    print(
        "CPU microseconds of the proxy's processes per answered request; each answer's authenticators and keys checked."
    )
    with tempfile.TemporaryDirectory(prefix="bench-logs-") as logs:
        laboratory = Laboratory(tools, Path(logs))
        for name, row in rows.items():
            timed = replace(row, load=replace(row.load, seconds=options.seconds))
            measured[name] = measure_row(name, timed, peers, options.rounds, laboratory)
            print_row(name, measured[name])
            _write_results(options.output, measured)
    print(f"\nRaw figures: {options.output / 'bench.json'}; chart: {options.output / 'bench.svg'}")
    ours = [run for found in measured.values() for run in found.get("biebroam", [])]
    return 1 if any(run.wrong or run.lost for run in ours) else 0


def _write_results(folder: Path, measured: dict[str, dict[str, list[Measurement]]]) -> None:
    """All that is measured so far: a long bench that is stopped has written what it knows."""
    machine = {"machine": platform.machine(), "system": platform.platform(), "python": platform.python_version()}
    runs = [
        dict[str, object](row=name, **asdict(run))
        for name, found in measured.items()
        for its in found.values()
        for run in its
    ]
    (folder / "bench.json").write_text(json.dumps({"machine": machine, "runs": runs}, indent=1))
    title = "CPU microseconds for each proxied request: shorter is better (ours: Biebroam's cost as a ratio to it)"
    chart = draw_chart(title, {name: make_bars(found) for name, found in measured.items()})
    (folder / "bench.svg").write_text(chart)


if __name__ == "__main__":
    sys.exit(main())
