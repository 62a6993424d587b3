import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from federation.services import recorder as recorder_module
from federation.services import sign_ins
from federation.services.recorder import Recorder, RecorderSettings
from federation.services.sign_ins import count_sign_ins
from federation.statistics.outlet import RECORDER_SOCKET, Outlet
from tests.federation.members import OPERATOR, START, Members
from tests.federation.statistics.events import make_event

NOW = START.timestamp()
SECONDS = 20


@asynccontextmanager
async def recording(recorder: Recorder) -> AsyncGenerator[Recorder]:
    await recorder.start()
    try:
        yield recorder
    finally:
        await recorder.drain()


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - what another process would see has no event
            await asyncio.sleep(0.02)


def count(members: Members) -> int:
    with members.store.read() as session:
        return count_sign_ins(session)


def send(folder: Path, number: int = 1, at: float = NOW) -> None:
    outlet = Outlet(lambda: [make_event(at=at)] * number, folder)
    outlet.forward()
    assert outlet.counters()["events_sent"] == number


class TestRecorder:
    async def test_keeps_what_workers_send(self, members: Members, tmp_path: Path) -> None:
        """A sign-in is in the list of sign-ins a moment later."""
        async with recording(Recorder(members.registry, tmp_path)) as recorder:
            send(tmp_path, 3)
            await eventually(lambda: recorder.counters()["sign_ins_recorded"] == 3)
        with members.store.read() as session:
            assert len(sign_ins.list_sign_ins(session, OPERATOR).items) == 3

    async def test_end_loses_nothing(self, members: Members, tmp_path: Path) -> None:
        """What arrived just before the end is written, and the socket is gone."""
        async with recording(Recorder(members.registry, tmp_path)):
            send(tmp_path, 5)
        assert count(members) == 5
        assert not (tmp_path / RECORDER_SOCKET).exists()

    async def test_successor_takes_over_while_the_first_still_runs(self, members: Members, tmp_path: Path) -> None:
        """In a rolling restart both have the socket in turn; neither takes it from the other at its end."""
        first, second = Recorder(members.registry, tmp_path), Recorder(members.registry, tmp_path)
        await first.start()
        send(tmp_path)
        await second.start()
        send(tmp_path)
        await first.drain()
        send(tmp_path)
        await second.drain()
        assert count(members) == 3

    async def test_database_that_is_locked_delays_and_loses_nothing(
        self, members: Members, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Sign-ins that can not be written are held and written later, once each."""
        monkeypatch.setattr(recorder_module, "RETRY_SECONDS", 0.05)
        async with recording(Recorder(members.registry, tmp_path)) as recorder:
            with members.store.engine.begin() as connection:
                connection.exec_driver_sql("ALTER TABLE sign_ins RENAME TO gone")
            send(tmp_path, 4)
            await eventually(lambda: recorder.counters()["sign_ins_queued"] == 4)
            await asyncio.sleep(0.2)  # it has tried
            assert recorder.counters()["sign_ins_recorded"] == 0
            with members.store.engine.begin() as connection:
                connection.exec_driver_sql("ALTER TABLE gone RENAME TO sign_ins")
            await eventually(lambda: recorder.counters()["sign_ins_recorded"] == 4)
        assert count(members) == 4

    async def test_memory_is_bounded_and_the_loss_is_counted(
        self, members: Members, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without a database the oldest go beyond the bound."""
        monkeypatch.setattr(recorder_module, "MAX_HELD", 10)
        monkeypatch.setattr(recorder_module, "WRITE_SECONDS", 60.0)
        async with recording(Recorder(members.registry, tmp_path)) as recorder:
            await asyncio.sleep(0.1)  # its first look is over
            send(tmp_path, 15)
            await eventually(lambda: recorder.counters()["sign_ins_queued"] == 10)
            assert recorder.counters()["sign_ins_dropped"] == 5

    async def test_rubbish_on_the_socket_is_counted(self, members: Members, tmp_path: Path) -> None:
        """A worker of another version stops nobody's sign-ins."""
        async with recording(Recorder(members.registry, tmp_path)) as recorder:
            outlet = Outlet(lambda: [make_event()._replace(realm=5)], tmp_path)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - as it must not be
            outlet.forward()
            send(tmp_path)
            await eventually(lambda: recorder.counters()["sign_ins_recorded"] == 1)
            assert recorder.counters()["event_datagrams_malformed"] == 1

    async def test_what_is_too_old_goes(self, members: Members, tmp_path: Path) -> None:
        """With its start the recorder purges what is older than the days to keep."""
        async with recording(Recorder(members.registry, tmp_path)):
            send(tmp_path, at=NOW - timedelta(days=8).total_seconds())
            send(tmp_path, at=NOW - timedelta(days=6).total_seconds())
        async with recording(Recorder(members.registry, tmp_path)) as recorder:
            await eventually(lambda: recorder.counters()["sign_ins_purged"] == 1)
        assert count(members) == 1

    async def test_nothing_is_kept_when_no_day_is(self, members: Members, tmp_path: Path) -> None:
        """`sign_in_days = 0` writes none, and F-Ticks go on."""
        lines = tmp_path / "fticks.log"
        settings = RecorderSettings.parse(0, f"file:{lines}", "", "static")
        async with recording(Recorder(members.registry, tmp_path, settings)):
            send(tmp_path)
        assert count(members) == 0
        assert lines.read_text() == (
            "F-TICKS/biebroam/1.0#REALM=boekenburg.test#VISCOUNTRY=NL#VISINST=1leesstad.test#CSI=undisclosed"
            "#RESULT=OK#\n"
        )

    async def test_ticks_are_off_by_default(self, members: Members, tmp_path: Path) -> None:
        """Nothing leaves the node unless somebody said so."""
        async with recording(Recorder(members.registry, tmp_path)) as recorder:
            send(tmp_path)
        assert "fticks_written" not in recorder.counters()

    async def test_lines_follow_the_registry(self, members: Members, tmp_path: Path) -> None:
        """A library's new operator name stands in the next line, without a restart; counts go on."""
        lines = tmp_path / "fticks.log"
        settings = RecorderSettings.parse(7, f"file:{lines}", "F-TICKS/eduroam/1.0", "static")
        async with recording(Recorder(members.registry, tmp_path, settings)) as recorder:
            send(tmp_path)
            await eventually(lambda: recorder.counters().get("fticks_written") == 1)
            with members.store.engine.begin() as connection:
                connection.exec_driver_sql("UPDATE libraries SET operator_name = 'x.test' WHERE id = 'leesstad'")
                connection.exec_driver_sql("UPDATE federation SET revision = revision + 1")
            send(tmp_path)
            await eventually(lambda: recorder.counters().get("fticks_written") == 2)
        assert [line.split("#")[3] for line in lines.read_text().splitlines()] == [
            "VISINST=1leesstad.test",
            "VISINST=1x.test",
        ]
        assert lines.read_text().startswith("F-TICKS/eduroam/1.0#")


class TestSqlite:
    async def test_database_lock_is_waited_for(self, members: Members, tmp_path: Path) -> None:
        """Another process that holds the write lock for a moment costs a moment."""
        async with recording(Recorder(members.registry, tmp_path)) as recorder:
            other = sqlite3.connect(str(members.store.url.database), isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            send(tmp_path)
            await asyncio.sleep(0.7)  # it has begun to write, and waits
            other.execute("ROLLBACK")
            other.close()
            await eventually(lambda: recorder.counters()["sign_ins_recorded"] == 1)


class TestSettings:
    @pytest.mark.parametrize(("destination", "form"), [("nowhere", "static"), ("file:/x", "clear")])
    def test_what_can_not_be_is_refused(self, destination: str, form: str) -> None:
        """A slip is said at the start, not at the first line."""
        with pytest.raises(ValueError, match=destination if destination == "nowhere" else form):
            RecorderSettings.parse(7, destination, "", form)
