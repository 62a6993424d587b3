"""`make bench`: what a proxied Access-Request costs, beside the peers that are installed.

Peers run in turn, round after round, on the same load, each pinned to one processor with the generator and the home
server on the other. Machines differ and drift: the ratios of one call are what counts, printed with their spread.
"""

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path

from tests.load.laboratory import Laboratory, Load, Measurement, build_tools
from tests.load.peers import PEERS, Job, installed_peers
from tests.support.processes import free_port

ROWS: dict[str, Load] = {
    "50 realms, 225 octets": Load(),
    "50 realms, 1131 octets": Load(octets=1131),
    "1000 realms, 225 octets": Load(realms=1000),
    "50 realms, 225 octets, 512 in flight": Load(window=512),
    "50 realms, 225 octets, 2000 a second": Load(rate=2000),
}


def measure_row(
    name: str, load: Load, peers: list[str], rounds: int, laboratory: Laboratory
) -> dict[str, list[Measurement]]:
    """Each peer's measurements, the peers taken in turn in every round."""
    found: dict[str, list[Measurement]] = {peer: [] for peer in peers}
    with laboratory.home() as home_port:
        for round_number in range(1, rounds + 1):
            for peer in peers:
                print(f"\r\033[K{name}: round {round_number} of {rounds}, {peer}", end="", file=sys.stderr, flush=True)
                with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                    job = Job(Path(folder), free_port(), home_port, load.realms)
                    found[peer].append(laboratory.measure(peer, partial(PEERS[peer], job), job.port, load))
    print("\r\033[K", end="", file=sys.stderr)
    return found


def print_row(name: str, found: dict[str, list[Measurement]]) -> None:
    """A table of one load: medians of each peer, and Biebroam's cost as a ratio to it, with its spread."""
    print(f"\n### {name}\n")
    print("| proxy | CPU us/request | ours/its (min to max) | requests/s | p50 us | p99 us | lost | wrong | MiB |")
    print("|---|---|---|---|---|---|---|---|---|")
    ours = found.get("biebroam", [])
    for peer, runs in found.items():

        def median(figure: str, runs: list[Measurement] = runs) -> float:
            return statistics.median(getattr(run, figure) for run in runs)

        ratios = [mine.cpu_us / its.cpu_us for mine, its in zip(ours, runs, strict=False) if its.cpu_us]
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else "-"
        print(
            f"| {peer} | {median('cpu_us'):.1f} | {ratio} "
            f"| {median('per_second'):.0f} "
            f"| {median('p50_us'):.0f} | {median('p99_us'):.0f} "
            f"| {sum(run.lost for run in runs)} | {sum(run.wrong for run in runs)} "
            f"| {max(run.resident_mib for run in runs):.0f} |",
            flush=True,
        )


def main() -> int:
    """Measure, print, and write the raw figures as JSON; 1 when a request was lost or answered wrongly by us."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("--peers", default=",".join(installed_peers()), help="of: %(default)s")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run")
    parser.add_argument("--rows", default="", help="only the rows whose name contains this")
    parser.add_argument("--output", type=Path, default=Path("bench-results"), help="folder for tools and figures")
    options = parser.parse_args()
    peers = [peer for peer in options.peers.split(",") if peer in PEERS]
    tools = build_tools(options.output / "tools")
    everything: list[dict[str, object]] = []
    faults = 0
    print(
        "CPU microseconds of the proxy's processes per answered request; each answer's authenticators and keys checked."
    )
    with tempfile.TemporaryDirectory(prefix="bench-logs-") as logs:
        laboratory = Laboratory(tools, Path(logs))
        for name, row in ROWS.items():
            if options.rows not in name:
                continue
            load = Load(row.octets, row.realms, row.window, options.seconds, row.rate)
            found = measure_row(name, load, peers, options.rounds, laboratory)
            print_row(name, found)
            everything += [dict[str, object](row=name, **asdict(run)) for runs in found.values() for run in runs]
            faults += sum(run.wrong + run.lost for run in found.get("biebroam", []))
    (options.output / "bench.json").write_text(json.dumps(everything, indent=1))
    print(f"\nRaw figures: {options.output / 'bench.json'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
