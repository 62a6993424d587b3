"""A proxy worker that watches its own event loop: what `tests.load.changes` measures, in a process of its own.

    python -m tests.load.observed FOLDER

It runs the role of a data directory as `biebroam proxy` does, beside a probe of its loop, and imports nothing but that.
The first line that it prints is the port that it reads. To each line of standard input it prints, as JSON, what was
seen since the line before; with the end of the input it ends.
"""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Final

import uvloop

from biebroam import load_settings
from biebroam_roles import build_role
from config.logging import configure_logging
from federation.statistics.worker import Role, live
from radius.transport.udp import ask_for_buffer

PROBE_SECONDS: Final = 0.001


class Probe:
    """How late an event loop comes to a callback that is due each millisecond, and which revisions it had when.

    Late by the wall clock is late for the packets. What the machine and other programs did to it is not in the
    processor time of the process that passed meanwhile, and what other threads had of that not in the loop's own.
    """

    def __init__(self, role: Role) -> None:
        """It looks from now on, in the running loop."""
        self._role = role
        self._loop = asyncio.get_running_loop()
        self._late: dict[str, list[float]] = {"wall": [], "processor": [], "own": []}
        self._revisions: list[tuple[int, float]] = []
        self._revision = role.revision
        self._arm()

    def _arm(self) -> None:
        self._due = time.perf_counter() + PROBE_SECONDS
        self._spent, self._spent_here = time.process_time(), time.thread_time()
        self._loop.call_later(PROBE_SECONDS, self._look)

    def _look(self) -> None:
        self._late["wall"].append(max(0.0, time.perf_counter() - self._due))
        self._late["processor"].append(time.process_time() - self._spent)
        self._late["own"].append(time.thread_time() - self._spent_here)
        if self._role.revision != self._revision:
            self._revision = self._role.revision
            self._revisions.append((self._revision, time.monotonic()))
        self._arm()

    def take(self) -> dict[str, object]:
        """What was seen since the last time: revisions with the clock's seconds, and stalls in milliseconds."""
        found: dict[str, object] = {"revisions": self._revisions}
        self._revisions = []
        for name, values in self._late.items():
            ordered = sorted(values)
            found[f"stall_{name}_p999_ms"] = round(1000 * ordered[int(0.999 * len(ordered))], 2)
            found[f"stall_{name}_max_ms"] = round(1000 * ordered[-1], 2)
            values.clear()
        return found


async def observe(folder: Path) -> None:
    """The worker runs until standard input ends."""
    settings = load_settings(folder)
    configure_logging(settings.log_level, settings.log_format, fields={"worker": "observed"})
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    udp.setblocking(False)
    ask_for_buffer(udp)
    role = build_role("proxy", settings, {"auth": [udp], "acct": [], "radsec": []}, is_alone=True)
    tasks: list[asyncio.Task[None]] = []

    async def answer() -> None:
        probe = Probe(role)
        print(udp.getsockname()[1], flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(probe.take()), flush=True)
        os.kill(os.getpid(), signal.SIGTERM)

    await live(
        {"proxy": role},
        settings.directory.run,
        beat=lambda: None,
        on_ready=lambda: tasks.append(asyncio.get_running_loop().create_task(answer())),
    )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(observe(Path(sys.argv[1])))
