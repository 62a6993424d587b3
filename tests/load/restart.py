"""What it costs when a RADIUS/TLS home server is killed under load and is back at once.

    generator ──UDP──▶ proxy ──TLS──▶ radsecproxy, killed and started again ──UDP──▶ home server

The generator sends 2,000 requests a second and repeats none: what the proxy loses is lost. radsecproxy as the proxy is
measured in turns with Biebroam. `python -m tests.load.restart`, after `make compiled`.
"""

import argparse
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from tests.load.laboratory import Laboratory, Load, build_tools
from tests.load.peers import COMPILED, Job
from tests.load.radsec import Outward
from tests.support.biebroam import COMMAND
from tests.support.processes import Program, free_port

SETTLED_SECONDS: Final = 1.0  # that the connection has stood when the load begins
PATIENCE_MS: Final = 20_000  # of the generator, for each answer


def measure(peer: str, load: Load, laboratory: Laboratory, kill_after: float) -> dict[str, Any]:
    """The generator's report, with `away_ms`: from the kill until the far end listens again."""
    with tempfile.TemporaryDirectory(prefix="restart-") as folder, ExitStack() as stack:
        home_port = stack.enter_context(laboratory.home())
        job = Job(Path(folder), free_port(), home_port, load.realms)
        outward = Outward(job, COMPILED if COMPILED.exists() else COMMAND)
        far = [outward.start_far()]
        stack.callback(lambda: [program.stop() for program in far])
        stack.enter_context(outward.start_proxy(is_ours=peer == "biebroam"))
        laboratory.wait_answering(job.port)
        time.sleep(SETTLED_SECONDS)
        away: list[float] = []
        killer = threading.Thread(target=_kill_and_start, args=(outward, far, kill_after, away))
        killer.start()
        report = laboratory.generate(job.port, load, "--timeout-ms", str(PATIENCE_MS))
        killer.join()
        return {**report, "away_ms": round(away[0])}


def _kill_and_start(outward: Outward, far: list[Program], seconds: float, away: list[float]) -> None:
    time.sleep(seconds)
    began = time.monotonic()
    far[0].process.kill()
    far[0].process.wait()
    far.append(outward.start_far())
    away.append((time.monotonic() - began) * 1000)


def main() -> int:
    """Measure and print; 1 when Biebroam lost a request."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.restart", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=2000)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--output", type=Path, default=Path("bench-results"), help="folder for tools")
    options = parser.parse_args()
    load = Load(realms=10, window=60_000, seconds=options.seconds, rate=options.rate)
    lost = 0
    print("| proxy | sent | accepted | lost | refused | away ms | longest wait ms |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="restart-logs-") as logs:
        laboratory = Laboratory(build_tools(options.output / "tools"), Path(logs))
        for _ in range(options.rounds):
            for peer in ("biebroam", "radsecproxy"):
                found = measure(peer, load, laboratory, options.seconds / 3)
                lost += found["lost"] + found["rejects"] if peer == "biebroam" else 0
                print(
                    f"| {peer} | {found['sent']} | {found['accepts']} | {found['lost']} | {found['rejects']} "
                    f"| {found['away_ms']} | {found['max_us'] / 1000:.0f} |",
                    flush=True,
                )
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
