"""The recorder: takes the sign-ins of this node's workers, keeps them for some days, and writes F-Ticks.

Nobody waits for it. What it can not write now, since the database is away, it keeps up to a bound and counts what goes
beyond. It also renews what is due (`federation.services.renewal`) and watches whom the proxies see and what other
authorities have revoked (`federation.services.trust_watch`).
"""

import asyncio
import hashlib
import hmac
import logging
import os
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Final, Self

from federation.events import SignIn
from federation.services.registry import Registry
from federation.services.renewal import Renewals
from federation.services.settings import show_settings
from federation.services.sign_ins import PURGE_ROWS, load_operator_names, purge_sign_ins, record_sign_ins
from federation.services.trust_watch import TrustWatch
from federation.statistics.fticks import TickFormat, Ticks, TickSettings, build_sink
from federation.statistics.outlet import RECORDER_SOCKET, decode_events
from federation.statistics.reports import read_reports
from federation.statistics.stations import DailyKey, StationForm
from federation.store.announcements import short_path
from federation.store.compile import read_revision

WRITE_SECONDS: Final = 0.5
RETRY_SECONDS: Final = 5.0  # after a database that could not be written
PURGE_SECONDS: Final = 600.0
MAX_HELD: Final = 100_000  # events that wait for the database; some 50 MiB
BATCH_EVENTS: Final = 2_000  # in one transaction: a change of the registry waits some milliseconds for it
KEPT_DAYS: Final = 7
_RECEIVE_OCTETS: Final = 262_144  # one more than the kernel takes in a datagram of ours
_DATAGRAMS_AT_ONCE: Final = 64  # then the loop does something else first
_BUFFER_OCTETS: Final = 4 * 1024 * 1024

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecorderSettings:
    """What an operator has said about what is kept and told."""

    kept_days: int = KEPT_DAYS  # 0: nothing is kept
    ticks: TickSettings = field(default_factory=TickSettings)

    @classmethod
    def parse(cls, kept_days: int, destination: str, prefix: str, station_form: str) -> Self:
        """The settings as they are written.

        Raises:
            ValueError: F-Ticks can not go there, or there is no such form of a device's address.
        """
        if destination:
            build_sink(destination)
        return cls(kept_days, TickSettings(destination, prefix, StationForm(station_form)))


class Recorder:
    """The recorder of a node: one process, whatever the number of workers."""

    revision = 0  # it reads the registry itself
    refused: Sequence[str] = ()

    def __init__(self, registry: Registry, run_directory: Path, settings: RecorderSettings | None = None) -> None:
        self._registry = registry
        self._settings = settings or RecorderSettings()
        self._path = run_directory / RECORDER_SOCKET
        self._renewals = Renewals(registry)
        self._trust_watch = TrustWatch(registry, lambda: read_reports(run_directory))
        self._held: deque[SignIn] = deque()
        self._key = DailyKey()
        self._socket: socket.socket | None = None
        self._inode = 0
        self._task: asyncio.Task[None] | None = None
        self._recorded = self._dropped = self._purged = self._malformed = 0
        self._is_failing = False
        self._writing = Lock()
        self._ticks: Ticks | None = None
        self._operator_names: Mapping[str, str] = {}
        self._names_revision = -1
        self._tick_root = registry.sealer.derive(b"f-ticks")

    def counters(self) -> Mapping[str, object]:
        """What was recorded, waits, was dropped and purged since the start, and what was renewed."""
        counters: dict[str, object] = {
            **self._renewals.counters(),
            **self._trust_watch.counters(),
            "sign_ins_recorded": self._recorded,
            "sign_ins_queued": len(self._held),
            "sign_ins_dropped": self._dropped,
            "sign_ins_purged": self._purged,
            "event_datagrams_malformed": self._malformed,
        }
        if self._ticks is not None:
            counters |= {"fticks_written": self._ticks.written, "fticks_lost": self._ticks.lost}
        return counters

    async def start(self) -> None:
        """It receives and writes from now on."""
        self._socket = self._bind()
        asyncio.get_running_loop().add_reader(self._socket, self._receive)
        self._task = asyncio.create_task(self._keep_writing(), name="record sign-ins")
        await self._renewals.start()
        await self._trust_watch.start()

    async def drain(self) -> None:
        """What has arrived is written, if the database takes it, and the socket is gone."""
        await self._renewals.drain()
        await self._trust_watch.drain()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._socket is not None:
            self._receive()
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            with suppress(OSError):
                if self._path.stat().st_ino == self._inode:  # a successor's stays
                    self._path.unlink()
        try:
            await asyncio.to_thread(self._write_all)
        except Exception as error:  # noqa: BLE001 - it ends, and what could not be kept is said
            _log.warning("sign_ins_lost", extra={"error": type(error).__name__, "count": len(self._held)})
        if self._ticks is not None:
            self._ticks.close()

    # Receiving, in the event loop

    def _bind(self) -> socket.socket:
        """A socket at the path, in the place of what an earlier recorder left."""
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_OCTETS)
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        with short_path(self._path.parent) as directory:
            bound.bind(f"{directory}/{temporary.name}")
        temporary.chmod(0o600)
        self._inode = temporary.stat().st_ino
        temporary.replace(self._path)  # at no moment is there none: a worker that looks finds the one or the other
        return bound

    def _receive(self) -> None:
        """What waits in the socket is held; never waits."""
        assert self._socket is not None  # it is what calls
        for _ in range(_DATAGRAMS_AT_ONCE):
            try:
                datagram = self._socket.recv(_RECEIVE_OCTETS)
            except OSError:
                return
            try:
                self._hold(decode_events(datagram))
            except ValueError:  # a worker of another version
                self._malformed += 1

    def _hold(self, events: Sequence[SignIn]) -> None:
        self._held.extend(events)
        while len(self._held) > MAX_HELD:
            self._held.popleft()
            self._dropped += 1

    # Writing, in a thread

    async def _keep_writing(self) -> None:
        purge_at = 0.0
        loop = asyncio.get_running_loop()
        while True:
            wait = WRITE_SECONDS
            try:
                if self._held:
                    await asyncio.to_thread(self._write_all)
                if loop.time() >= purge_at:
                    await asyncio.to_thread(self._purge)
                    purge_at = loop.time() + PURGE_SECONDS
                self._is_failing = False
            except Exception as error:  # noqa: BLE001 - the top of a task: the database may be back in a moment
                if not self._is_failing:
                    _log.warning("sign_ins_not_recorded", extra={"error": type(error).__name__})
                self._is_failing = True
                wait = RETRY_SECONDS
            await asyncio.sleep(wait)

    def _write_all(self) -> None:
        """All that is held is written; what a failing database does not take is held on."""
        with self._writing:  # the last write, at the end, may meet the one that was under way
            while self._held:
                batch = [self._held.popleft() for _ in range(min(BATCH_EVENTS, len(self._held)))]
                try:
                    self._write(batch)
                except BaseException:
                    self._held.extendleft(reversed(batch))
                    raise

    def _write(self, batch: Sequence[SignIn]) -> None:
        if self._settings.ticks.destination:
            self._prepare_ticks()
        if self._settings.kept_days:
            with self._registry.store.write() as session:
                record_sign_ins(session, batch, self._key)
            self._recorded += len(batch)
        if self._ticks is not None:
            for event in batch:
                self._ticks.write(event, self._operator_names)

    def _prepare_ticks(self) -> None:
        """The names that lines need are those of the registry's revision."""
        with self._registry.read() as session:
            revision = read_revision(session)
            if revision == self._names_revision:
                return
            self._operator_names = load_operator_names(session)
            federation = show_settings(session)
        wanted = self._settings.ticks
        sink = build_sink(wanted.destination)
        shape = TickFormat(wanted.prefix or f"F-TICKS/{federation.name}/1.0", federation.country, wanted.station_form)
        before = self._ticks
        self._ticks = Ticks(sink, shape, self._tick_key)
        if before is not None:
            before.close()
            self._ticks.written, self._ticks.lost = before.written, before.lost
        self._names_revision = revision

    def _tick_key(self, at: datetime) -> bytes:
        """The key of that day: the same on every node, so that a device is counted once, and another the next day."""
        return hmac.new(self._tick_root, at.astimezone(UTC).date().isoformat().encode(), hashlib.sha256).digest()

    def _purge(self) -> None:
        """What is older than it may be is gone; all of it when nothing is to be kept."""
        before = self._registry.now() - timedelta(days=self._settings.kept_days)
        while True:
            with self._registry.store.write() as session:
                purged = purge_sign_ins(session, before)
            self._purged += purged
            if purged < PURGE_ROWS:
                return
