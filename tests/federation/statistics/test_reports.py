import asyncio
import json
import os
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from federation.statistics.reports import PATIENCE_SECONDS, ReportFile, clear_reports, read_reports


class TestReports:
    def test_is_read_as_it_was_written(self, tmp_path: Path) -> None:
        """What a worker says is what others read, by role and number."""
        ReportFile(tmp_path, "proxy", 1).write(7, {"answers": {"access_accept": 3}}, ["no"])
        ReportFile(tmp_path, "home", 0).write(8, {})
        home, proxy = read_reports(tmp_path)
        assert (home.role, home.number, home.revision) == ("home", 0, 8)
        assert (proxy.role, proxy.number, proxy.revision, proxy.pid) == ("proxy", 1, 7, os.getpid())
        assert proxy.counters == {"answers": {"access_accept": 3}}
        assert proxy.refused == ("no",)
        assert proxy.is_fresh(datetime.now(UTC))

    async def test_many_clients_are_written_in_turns(self, tmp_path: Path) -> None:
        """The event loop turns between the slices of a large report, which is read as a small one is."""
        turns: list[int] = []

        async def count_turns() -> None:
            while True:
                turns.append(1)
                await asyncio.sleep(0)

        counting = asyncio.create_task(count_turns())
        clients = {f"library/{number}": {"requests": number} for number in range(2000)}
        late = {key: partial(dict[str, int], counters) for key, counters in clients.items()}
        report = ReportFile(tmp_path, "proxy", 0)
        await report.write_in_turns(1, {"answers": {"late": lambda: 5}, "clients": late, "outstanding": 3})
        counting.cancel()
        (read,) = read_reports(tmp_path)
        assert read.counters == {"answers": {"late": 5}, "clients": clients, "outstanding": 3}
        assert len(turns) >= 10

    async def test_slow_disk_stops_nobody(self, tmp_path: Path) -> None:
        """A report that the disk does not take is waited for no longer than a moment, and no other piles up behind."""
        disk = tmp_path / f".worker-proxy-0.{os.getpid()}"
        os.mkfifo(disk)  # opened for writing, it waits for a reader
        report = ReportFile(tmp_path, "proxy", 0)
        began = time.monotonic()
        await report.write_in_turns(1, {})
        given_up = time.monotonic()
        await report.write_in_turns(2, {})
        assert given_up - began < 4 * PATIENCE_SECONDS
        assert time.monotonic() - given_up < PATIENCE_SECONDS
        said = await asyncio.to_thread(disk.read_text)
        assert json.loads(said)["revision"] == 1
        async with asyncio.timeout(5):
            while disk.exists():  # noqa: ASYNC110 - another thread renames it
                await asyncio.sleep(0.001)
            (tmp_path / "worker-proxy-0.json").unlink()  # the pipe
            while not read_reports(tmp_path):
                await report.write_in_turns(3, {})  # at once, until the loop has heard that the first one is written
                await asyncio.sleep(0.001)
        assert [each.revision for each in read_reports(tmp_path)] == [3]

    def test_old_report_is_not_fresh(self, tmp_path: Path) -> None:
        """A report that was not renewed for some seconds is of a worker that hangs."""
        ReportFile(tmp_path, "proxy", 0).write(1, {})
        (report,) = read_reports(tmp_path)
        assert not report.is_fresh(datetime.now(UTC) + timedelta(seconds=6))

    def test_report_of_a_dead_process_is_not_fresh(self, tmp_path: Path) -> None:
        """A killed worker's last words do not pass for life."""
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        ReportFile(tmp_path, "proxy", 0).write(1, {})
        path = tmp_path / "worker-proxy-0.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "pid": child}))
        (report,) = read_reports(tmp_path)
        assert not report.is_fresh(datetime.now(UTC))

    @pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"role": "proxy"}', '{"pid": "x"}'])
    def test_broken_file_is_left_out(self, tmp_path: Path, text: str) -> None:
        """What is no report does not hide the others."""
        (tmp_path / "worker-proxy-9.json").write_text(text)
        ReportFile(tmp_path, "proxy", 0).write(1, {})
        assert [report.number for report in read_reports(tmp_path)] == [0]

    def test_missing_directory_stops_nobody(self, tmp_path: Path) -> None:
        """A report that can not be written is not an error of the worker's."""
        ReportFile(tmp_path / "none", "proxy", 0).write(1, {})
        assert read_reports(tmp_path / "none") == []

    def test_successor_keeps_its_report(self, tmp_path: Path) -> None:
        """A worker that leaves takes its own report with it, and not that of the one in its place."""
        report = ReportFile(tmp_path, "proxy", 0)
        report.write(1, {})
        path = tmp_path / "worker-proxy-0.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "pid": 1}))
        report.remove()
        assert path.exists()
        report.write(1, {})
        report.remove()
        assert not path.exists()

    def test_earlier_reports_are_cleared(self, tmp_path: Path) -> None:
        """A new start begins without what an earlier one left."""
        ReportFile(tmp_path, "proxy", 3).write(1, {})
        clear_reports(tmp_path)
        assert read_reports(tmp_path) == []
