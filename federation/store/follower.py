"""Following the registry: whenever its revision changes, the newest snapshot is compiled, checked, and handed on.

A follower is one thread in a process that works from a snapshot. It wakes when a change is announced, and each second
as the net under that; the event loop of its process only ever receives a finished snapshot. While the database is away,
or what it holds can not be followed, the snapshot in force stays.
"""

import logging
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Generic

from federation.errors import SnapshotRejected
from federation.store.announcements import bind_announcements, close_announcements, drain_announcements
from federation.store.saved import AnySnapshot, save_snapshot
from federation.trust.keystore import Sealer

POLL_SECONDS = 1.0
# Between two times that a snapshot is saved passes so many times what the last one took of the processor: it is the
# packet path's too. What is in force and not yet on disk is in the registry, and read from there at a start.
SAVE_PAUSE = 20
# Between two pieces of it the processor is let go, too: who only lets the interpreter go is not interrupted for the
# packet path by the system's scheduler before a slice of some milliseconds is over, where the two share a processor.
PIECE_PAUSE_SECONDS = 0.0005
_log = logging.getLogger(__name__)


class SnapshotFollower(Generic[AnySnapshot]):
    """Hands on a snapshot of every revision that the registry reaches, or of the newest of several."""

    def __init__(
        self,
        *,
        name: str,
        run_directory: Path,
        read_revision: Callable[[], int],
        compile_newest: Callable[[], AnySnapshot],
        hand_on: Callable[[AnySnapshot], None],
        refuse: Callable[[tuple[str, ...]], None],
        looked: Callable[[], None],
        saved: tuple[Path, Sealer] | None = None,
        known_revision: int = -1,
        is_stale: Callable[[], bool] = lambda: False,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        """All functions are called in the follower's thread.

        `hand_on` gets a new snapshot and returns when it is in force, or raises SnapshotRejected; `refuse` gets the
        reasons why there is none (an empty tuple when there is again); `looked` is called after each look.
        `is_stale` says that something beside the registry has changed that a snapshot is made of.
        `prepare` is called once, after the first look: what can be done before there is a change to follow.
        `saved` says where the last good snapshot is kept; None when another process of the node keeps it.
        """
        self.revision = known_revision
        self.swap_seconds = 0.0  # from the wake-up to the snapshot handed on, the last time
        self._name = name
        self._run_directory = run_directory
        self._read_revision = read_revision
        self._compile = compile_newest
        self._hand_on = hand_on
        self._refuse = refuse
        self._looked = looked
        self._saved = saved
        self._is_stale = is_stale
        self._prepare: Callable[[], None] | None = prepare
        self._unsaved: AnySnapshot | None = None  # in force, and not on disk yet
        self._save_after = float("-inf")
        self._listener: socket.socket | None = None  # of announcements
        self._has_told = False
        self._refused_revision = -1
        self._failure = ""
        self._awake, self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._follow, name=f"follower-{name}", daemon=True)

    def start(self) -> None:
        """Follow from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Follow no more; a compilation that runs is waited for."""
        with suppress(OSError):  # stopped already
            self._wake.send(b".")
        if self._thread.is_alive():
            self._thread.join(5)
        self._awake.close()
        self._wake.close()

    def _follow(self) -> None:
        self._listener = listener = self._bind()
        try:
            while True:
                self._look()
                self._looked()
                self._prepare_once()
                if time.monotonic() >= self._save_after:
                    self._save()
                watched = [self._awake] if listener is None else [self._awake, listener]
                ready, _, _ = select.select(watched, [], [], POLL_SECONDS)
                if self._awake in ready:
                    self._save()
                    return
                if listener is not None and listener in ready:
                    drain_announcements(listener)
        finally:
            if listener is not None:
                close_announcements(listener, self._run_directory, self._name)

    def _bind(self) -> socket.socket | None:
        try:
            return bind_announcements(self._run_directory, self._name)
        except OSError as error:  # the poll finds every change, a second later
            _log.warning("announcements_not_heard", extra={"error": error.strerror or str(error)})
            return None

    def _prepare_once(self) -> None:
        prepare, self._prepare = self._prepare, None
        if prepare is not None:
            try:
                prepare()
            except Exception as error:  # noqa: BLE001 - as in `_look`; the first change finds out what is wrong
                self._note_failure(f"{type(error).__name__}: {error}")

    def _look(self) -> None:
        began = time.perf_counter()
        try:
            revision = self._read_revision()
            if revision in (self.revision, self._refused_revision) and not self._is_stale():
                self._note_failure("")
                return
            try:
                snapshot = self._compile()
                self._hand_on(snapshot)
            except SnapshotRejected as error:
                self._refused_revision = revision
                _log.error("snapshot_refused", extra={"revision": revision, "reasons": error.reasons})
                self._refuse(error.reasons)
                return
            self.swap_seconds = time.perf_counter() - began
            self.revision = snapshot.revision
            self._refused_revision = -1
            self._refuse(())
            self._note_failure("")
        except Exception as error:  # noqa: BLE001 - the top of a thread: whatever fails, the snapshot in force stays
            self._note_failure(f"{type(error).__name__}: {error}")
            return
        _log.info(
            "snapshot_in_force",
            extra={"revision": snapshot.revision, "milliseconds": round(1000 * self.swap_seconds, 1)},
        )
        self._unsaved = snapshot
        self._has_told = False

    def _save(self) -> None:
        """What is in force is on disk; what a full disk did not take is tried again at each look, and told of once."""
        if self._saved is None or self._unsaved is None:
            return
        path, sealer = self._saved
        snapshot, began = self._unsaved, time.thread_time()
        try:
            save_snapshot(path, snapshot, sealer, pause=self._look_aside)
        except OSError as error:
            if not self._has_told:
                self._has_told = True
                _log.warning("snapshot_not_saved", extra={"error": error.strerror or str(error)})
        else:
            if self._unsaved is snapshot:
                self._unsaved = None
            self._save_after = time.monotonic() + SAVE_PAUSE * (time.thread_time() - began)

    def _look_aside(self) -> None:
        """A pause while a snapshot is saved; what is announced meanwhile does not wait until that is done."""
        if self._listener is None:
            time.sleep(PIECE_PAUSE_SECONDS)
        elif select.select([self._listener], [], [], PIECE_PAUSE_SECONDS)[0]:
            drain_announcements(self._listener)
            self._look()
            self._looked()

    def _note_failure(self, failure: str) -> None:
        """One line when the registry goes away, one when it is back."""
        if failure and failure != self._failure:
            _log.warning("registry_unavailable", extra={"error": failure})
            if self.revision < 0:
                self._refuse(("the registry can not be read",))
        elif self._failure and not failure:
            _log.info("registry_available")
        self._failure = failure
