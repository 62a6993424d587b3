"""What a second worker adds: the same load on one and on two, the generator's own cost taken out.

The generator and the home server run on the same processors as the workers, so requests a second say little. What
counts is the CPU time that the busiest worker spends on each request of all: its processor is the first to be full. Two
workers that shared the work evenly and cost nothing for each other would halve it. `python -m tests.load.workers`.
"""

import argparse
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.load.laboratory import Laboratory, Load, build_tools, cpu_seconds, descendants, resident_mib
from tests.load.peers import COMPILED, Job, apply_federation
from tests.support.biebroam import COMMAND, DataDirectory
from tests.support.processes import free_port

WINDOW: Final = 512
SOCKETS: Final = (
    "--sockets",
    "256",
)  # the kernel deals workers by port: sixteen are seldom dealt in halves


@dataclass(frozen=True, slots=True)
class Share:
    """One run: CPU microseconds for each request of all, of all workers and of the busiest; and what it lost."""

    all_us: float
    busiest_us: float
    per_second: float
    lost: int
    resident_mib: float


def worker_processes(serve: int) -> list[int]:
    """The proxy workers among what `serve` has started."""
    return [
        process
        for process in descendants(serve)
        if Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")[2:3] == [b"proxy"]
    ]


def measure(workers: int, load: Load, laboratory: Laboratory) -> Share:
    """One run of `serve` with so many workers."""
    with tempfile.TemporaryDirectory(prefix="workers-") as folder, laboratory.home() as home_port:
        job = Job(Path(folder), free_port(), home_port, load.realms)
        data = DataDirectory(job.folder / "biebroam", command=COMPILED if COMPILED.exists() else COMMAND)
        apply_federation(data, job)
        with data.start("serve", "--workers", str(workers), port=job.port) as program:
            laboratory.wait_answering(job.port)
            laboratory.generate(job.port, Load(load.octets, load.realms, load.window, 1.0), *SOCKETS, is_pinned=False)
            processes = worker_processes(program.process.pid)
            before = [cpu_seconds([process]) for process in processes]
            report = laboratory.generate(job.port, load, *SOCKETS, is_pinned=False)
            spent = [cpu_seconds([process]) - began for process, began in zip(processes, before, strict=True)]
            answered = max(1, report["accepts"])
            return Share(
                all_us=sum(spent) * 1e6 / answered,
                busiest_us=max(spent) * 1e6 / answered,
                per_second=report["per_second"],
                lost=int(report["lost"]),
                resident_mib=resident_mib(processes),
            )


def main() -> int:
    """Measure and print; 1 when a request was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.workers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--output", type=Path, default=Path("bench-results"), help="folder for tools")
    options = parser.parse_args()
    load = Load(window=WINDOW, seconds=options.seconds)
    ratios: list[float] = []
    lost = 0
    print("| workers | CPU us/request | of the busiest | requests/s | lost | MiB |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="workers-logs-") as logs:
        laboratory = Laboratory(build_tools(options.output / "tools"), Path(logs))
        for _ in range(options.rounds):
            one, two = (measure(number, load, laboratory) for number in (1, 2))
            for number, share in ((1, one), (2, two)):
                lost += share.lost
                print(
                    f"| {number} | {share.all_us:.1f} | {share.busiest_us:.1f} | {share.per_second:.0f} | {share.lost} "
                    f"| {share.resident_mib:.0f} |",
                    flush=True,
                )
            ratios.append(one.busiest_us / two.busiest_us)
    print(
        f"\nTwo workers bear {statistics.median(ratios):.2f} times as much as one "
        f"({min(ratios):.2f} to {max(ratios):.2f})."
    )
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
