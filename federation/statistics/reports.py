"""Worker reports: each worker writes one small file a second, and whoever wants to know reads them.

A file is replaced by a rename, so a reader sees a whole one; it outlives its writer, so what a killed worker last said
can still be read, marked as not fresh. Nothing here is shared memory or a socket: a worker that reports costs nobody
else anything.
"""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

FRESH_SECONDS = 5.0  # reports come each second; a loaded machine may be late
MAX_REPORT_OCTETS = 1_000_000
_PATTERN = "worker-*.json"

Counters = Mapping[str, object]  # numbers, and mappings of numbers by label; see federation.statistics.metrics

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

    def write(self, revision: int, counters: Counters, refused: Sequence[str] = ()) -> None:
        """The report of this moment replaces the one before."""
        report = WorkerReport(
            self._role, self._number, os.getpid(), revision, datetime.now(UTC), tuple(refused), counters
        )
        try:
            self._temporary.write_text(json.dumps(asdict(report), default=str))
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
