"""The life of a process of the service: its roles start, say each second how they are, and drain at a signal."""

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from federation.statistics.reports import ReportFile

REPORT_SECONDS = 1.0
LOOK_SECONDS = 0.1  # a new snapshot is reported this soon


class Role(Protocol):
    """A part of the service; several may share a process."""

    @property
    def revision(self) -> int:
        """Of the snapshot that it works with; 0: it has none."""
        ...

    @property
    def refused(self) -> Sequence[str]:
        """Why it does not work with a newer snapshot."""
        ...

    def counters(self) -> Mapping[str, object]:
        """What it has counted; see federation.statistics.metrics."""
        ...

    async def start(self) -> None:
        """It works."""
        ...

    async def drain(self) -> None:
        """It takes nothing new, has answered what was outstanding, and has ended."""
        ...


async def live(
    roles: Mapping[str, Role], run_directory: Path, *, beat: Callable[[], None], on_ready: Callable[[], None]
) -> None:
    """Run the roles until SIGTERM or SIGINT, and drain them in their order.

    `roles` by name: "proxy-0", or "proxy" when it stands alone. `beat` is called each second from the loop, for whoever
    watches this process; `on_ready` once, when every role works.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # for the supervisor; it must not end a role that stands alone
    reports = {name: ReportFile(run_directory, *split_name(name)) for name in roles}
    for role in roles.values():
        await role.start()
    await _report(roles, reports)
    on_ready()
    said: dict[str, tuple[int, tuple[str, ...]]] = {}
    due = 0.0
    while not stop.is_set():
        says = {name: (role.revision, tuple(role.refused)) for name, role in roles.items()}
        if loop.time() >= due or says != said:
            if loop.time() >= due:
                beat()
                due = loop.time() + REPORT_SECONDS
            said = says
            await _report(roles, reports)
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await stop.wait()
    for role in roles.values():
        await role.drain()
    for report in reports.values():
        report.remove()


def split_name(name: str) -> tuple[str, int]:
    """The role and the number in a worker's name; one that stands alone is number 0."""
    kind, _, number = name.partition("-")
    return kind, int(number or 0)


async def _report(roles: Mapping[str, Role], reports: Mapping[str, ReportFile]) -> None:
    for name, role in roles.items():
        await reports[name].write_in_turns(role.revision, role.counters(), role.refused)
