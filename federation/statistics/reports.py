"""Worker reports: each worker writes one small file a second, and whoever wants to know reads them.

A file is replaced by a rename, so a reader sees a whole one; it outlives its writer, so what a killed worker last said
can still be read, marked as not fresh. Nothing here is shared memory or a socket: a worker that reports costs nobody
else anything.
"""

import asyncio
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, cast

FRESH_SECONDS = 5.0  # reports come each second; a loaded machine may be late
MAX_REPORT_OCTETS = 32_000_000  # a hundred thousand clients
SLICE = 200  # of a mapping that are encoded at once
PATIENCE_SECONDS = 0.5  # for a disk; a report that takes longer goes on by itself
_PATTERN = "worker-*.json"

# Numbers, and mappings of numbers by label (see federation.statistics.metrics), or in them functions that give those.
Counters = Mapping[str, object]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What one worker last said about itself."""

    role: str  # "proxy", "home", "api", "recorder"
    number: int
    pid: int
    revision: int  # of the snapshot that it works with; 0: it has none
    reported_at: datetime
    refused: tuple[str, ...] = ()  # why it keeps its snapshot instead of a newer one
    counters: Counters = field(default_factory=dict[str, object])

    def is_fresh(self, now: datetime) -> bool:
        """Whether it was written within the last few seconds, by a process that still runs."""
        age = now - self.reported_at
        return abs(age) < timedelta(seconds=FRESH_SECONDS) and _runs(self.pid)


class ReportFile:
    """The place where one worker reports; a directory that can not be written is logged once and changes nothing."""

    def __init__(self, run_directory: Path, role: str, number: int) -> None:
        self._path = run_directory / f"worker-{role}-{number}.json"
        self._temporary = run_directory / f".worker-{role}-{number}.{os.getpid()}"
        self._role = role
        self._number = number
        self._failed = False
        self._writing: asyncio.Future[None] | None = None

    def write(self, revision: int, counters: Counters, refused: Sequence[str] = ()) -> None:
        """The report of this moment replaces the one before."""
        self._replace("".join(self._encode(revision, counters, refused)))

    async def write_in_turns(self, revision: int, counters: Counters, refused: Sequence[str] = ()) -> None:
        """The same, with a turn of the event loop after each slice: ten thousand clients are no pause of the others.

        A disk is none either: a rename alone can wait for it for half a second. While it has not taken the report
        before, there is no new one.
        """
        if self._writing is not None and not self._writing.done():
            return
        pieces: list[str] = []
        for piece in self._encode(revision, counters, refused):
            pieces.append(piece)
            await asyncio.sleep(0)
        self._writing = asyncio.get_running_loop().run_in_executor(None, self._replace, "".join(pieces))
        await asyncio.wait((self._writing,), timeout=PATIENCE_SECONDS)

    def _encode(self, revision: int, counters: Counters, refused: Sequence[str]) -> Iterator[str]:
        """The pieces of a JSON object; none takes long."""
        head = {
            "role": self._role,
            "number": self._number,
            "pid": os.getpid(),
            "revision": revision,
            "reported_at": datetime.now(UTC),
            "refused": tuple(refused),
        }
        yield json.dumps(head, default=str)[:-1] + ', "counters": {'
        between = ""
        for name, value in counters.items():
            if isinstance(value, Mapping) and len(cast("Counters", value)) > SLICE:
                yield f"{between}{json.dumps(name)}: {{"
                yield from _slices(cast("Counters", value))
                yield "}"
            else:
                counted = _now(cast("Counters", value)) if isinstance(value, Mapping) else value
                yield f"{between}{json.dumps(name)}: {json.dumps(counted, default=str)}"
            between = ", "
        yield "}}"

    def _replace(self, text: str) -> None:
        try:
            self._temporary.write_text(text)
            self._temporary.replace(self._path)
        except OSError as error:
            if not self._failed:
                self._failed = True
                _log.warning("worker_report_not_written", extra={"error": error.strerror})
        else:
            self._failed = False

    def remove(self) -> None:
        """The worker is gone, as it should be; a successor's report stays."""
        report = read_report(self._path)
        if report is not None and report.pid == os.getpid():
            with suppress(OSError):
                self._path.unlink()


def _now(values: Counters) -> Counters:
    """The values, those that are still to be counted counted now."""
    return {key: value() if callable(value) else value for key, value in values.items()}


def _slices(values: Counters) -> Iterator[str]:
    """The inside of a JSON object of many values."""
    items = iter(values.items())
    between = ""
    while some := dict(islice(items, SLICE)):
        yield between + json.dumps(_now(some), default=str)[1:-1]
        between = ", "


def read_reports(run_directory: Path) -> list[WorkerReport]:
    """Every report that can be read, by role and number."""
    reports = [report for path in run_directory.glob(_PATTERN) if (report := read_report(path)) is not None]
    return sorted(reports, key=lambda report: (report.role, report.number))


def read_report(path: Path) -> WorkerReport | None:
    """The report in a file; None when there is none, or it is none of ours."""
    try:
        with path.open("rb") as file:
            values: Any = json.loads(file.read(MAX_REPORT_OCTETS))  # Any: JSON; checked below
        reported_at = datetime.fromisoformat(str(values["reported_at"]))
        return WorkerReport(
            role=str(values["role"]),
            number=int(values["number"]),
            pid=int(values["pid"]),
            revision=int(values["revision"]),
            reported_at=reported_at if reported_at.tzinfo else reported_at.replace(tzinfo=UTC),
            refused=tuple(str(reason) for reason in values["refused"]),
            counters=cast("dict[str, object]", dict(values["counters"])),  # JSON objects have text for keys
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def clear_reports(run_directory: Path) -> None:
    """The reports of an earlier start are gone."""
    for path in (*run_directory.glob(_PATTERN), *run_directory.glob(".worker-*")):
        with suppress(OSError):
            path.unlink()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
