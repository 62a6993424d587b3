import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from federation.errors import SnapshotRejected
from federation.snapshot import Federation, Snapshot
from federation.store import follower as follower_module
from federation.store.announcements import announce
from federation.store.follower import SnapshotFollower
from federation.store.saved import load_snapshot, save_snapshot
from federation.trust.keystore import NodeKey, Sealer
from tests.support.processes import wait_until

FEDERATION = Federation("test", "NL", "login.test.example")


@dataclass
class Registry:
    """A registry as a follower sees it: a revision, and a compilation that may fail."""

    revision: int = 1
    error: Exception | None = None
    compilations: int = 0
    is_stale: bool = False
    prepared: list[int] = field(default_factory=list[int])  # after how many looks
    handed_on: list[int] = field(default_factory=list[int])
    refusals: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    looked: threading.Event = field(default_factory=threading.Event)

    def read_revision(self) -> int:
        return self.revision

    def compile(self) -> Snapshot:
        self.compilations += 1
        self.is_stale = False
        if self.error is not None:
            raise self.error
        return Snapshot(self.revision, FEDERATION)

    def prepare(self) -> None:
        self.prepared.append(self.compilations)
        raise ValueError("this can not be prepared")

    def hand_on(self, snapshot: Snapshot) -> None:
        self.handed_on.append(snapshot.revision)


Follow = Callable[[Registry], SnapshotFollower[Snapshot]]


@pytest.fixture
def sealer() -> Sealer:
    return Sealer([NodeKey.generate()])


@pytest.fixture
def follow(tmp_path: Path, sealer: Sealer) -> Generator[Follow]:
    """Starts a follower of a registry; stopped with the test."""
    started: list[SnapshotFollower[Snapshot]] = []

    def started_follower(registry: Registry) -> SnapshotFollower[Snapshot]:
        follower = SnapshotFollower(
            name=f"test-{len(started)}",
            run_directory=tmp_path,
            read_revision=registry.read_revision,
            compile_newest=registry.compile,
            hand_on=registry.hand_on,
            refuse=registry.refusals.append,
            looked=registry.looked.set,
            saved=(tmp_path / "snapshot.sealed", sealer),
            is_stale=lambda: registry.is_stale,
            prepare=registry.prepare,
        )
        started.append(follower)
        follower.start()
        assert registry.looked.wait(5)
        return follower

    yield started_follower
    for follower in started:
        follower.stop()


class TestFollower:
    def test_first_look_hands_on_what_there_is(self, follow: Follow) -> None:
        """The newest snapshot is in force as soon as the registry was looked at."""
        registry = Registry()
        assert follow(registry).revision == 1
        assert registry.handed_on == [1]

    def test_announced_change_is_in_force_at_once(self, follow: Follow, tmp_path: Path) -> None:
        """An announcement wakes the follower far before its next poll."""
        registry = Registry()
        follow(registry)
        time.sleep(0.05)
        registry.revision = 2
        began = time.monotonic()
        announce(tmp_path, 2)
        wait_until(lambda: 2 in registry.handed_on, "the announced revision", 0.9)
        assert time.monotonic() - began < 0.5

    def test_preparations_are_made_once_after_the_first_look(self, follow: Follow, tmp_path: Path) -> None:
        """What is wrong with them is no reason not to follow the next change."""
        registry = Registry()
        follow(registry)
        wait_until(lambda: registry.prepared == [1], "the preparations")
        registry.revision = 2
        announce(tmp_path, 2)
        wait_until(lambda: registry.handed_on == [1, 2], "the change")
        assert registry.prepared == [1]

    def test_poll_finds_what_was_not_announced(self, follow: Follow) -> None:
        """A lost announcement costs a second."""
        registry = Registry()
        follow(registry)
        registry.revision = 2
        wait_until(lambda: 2 in registry.handed_on, "the polled revision", 3)

    def test_nothing_is_compiled_without_a_change(self, follow: Follow, tmp_path: Path) -> None:
        """An announcement of what is in force already costs one look."""
        registry = Registry()
        follow(registry)
        registry.looked.clear()
        announce(tmp_path, 1)
        assert registry.looked.wait(2)
        assert registry.compilations == 1

    def test_change_beside_the_registry_is_followed_too(self, follow: Follow) -> None:
        """A snapshot that is made of more than the registry is made anew when that has changed."""
        registry = Registry()
        follow(registry)
        registry.is_stale = True
        wait_until(lambda: registry.handed_on == [1, 1], "the same revision again", 3)

    def test_refused_snapshot_leaves_the_one_in_force(self, follow: Follow, tmp_path: Path) -> None:
        """What can not be followed is refused with its reasons, once, until the registry has changed again."""
        registry = Registry()
        follower = follow(registry)
        registry.error = SnapshotRejected(("no home server",))
        registry.revision = 2
        announce(tmp_path, 2)
        wait_until(lambda: ("no home server",) in registry.refusals, "the refusal")
        time.sleep(1.2)
        assert registry.compilations == 2
        assert follower.revision == 1
        registry.error = None
        registry.revision = 3
        announce(tmp_path, 3)
        wait_until(lambda: 3 in registry.handed_on, "the mended revision")
        wait_until(lambda: registry.refusals[-1] == (), "the refusal to be over")

    def test_database_that_is_away_changes_nothing(self, follow: Follow, tmp_path: Path) -> None:
        """While the registry can not be read the snapshot stays; when it is back the follower is too."""
        registry = Registry()
        follower = follow(registry)
        registry.error = OSError("the database is away")
        registry.revision = 2
        announce(tmp_path, 2)
        wait_until(lambda: registry.compilations == 2, "a try")
        assert follower.revision == 1
        registry.error = None
        wait_until(lambda: follower.revision == 2, "the database to be back", 3)

    def test_last_good_snapshot_is_saved(self, follow: Follow, tmp_path: Path, sealer: Sealer) -> None:
        """What is in force is on disk, for a start without the database."""
        follow(Registry(revision=7))
        path = tmp_path / "snapshot.sealed"
        wait_until(path.exists, "the saved snapshot")
        saved = load_snapshot(path, Snapshot, sealer)
        assert saved is not None
        assert saved.revision == 7

    def test_change_does_not_wait_while_a_snapshot_is_saved(
        self, follow: Follow, tmp_path: Path, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is in force before the earlier one is on disk, and is saved after it."""
        registry = Registry(revision=7)
        seen: list[tuple[int, list[int]]] = []

        def save_slowly(path: Path, snapshot: Snapshot, sealer: Sealer, pause: Callable[[], None]) -> None:
            if snapshot.revision == 7:
                registry.revision = 8
                announce(tmp_path, 8)
                for _ in range(1000):  # pieces
                    pause()
            seen.append((snapshot.revision, registry.handed_on.copy()))
            save_snapshot(path, snapshot, sealer, pause)

        monkeypatch.setattr(follower_module, "save_snapshot", save_slowly)
        monkeypatch.setattr(follower_module, "POLL_SECONDS", 0.1)
        follow(registry)
        wait_until(lambda: len(seen) == 2, "both to be saved")
        assert seen == [(7, [7, 8]), (8, [7, 8])]

    def test_what_the_disk_did_not_take_is_saved_later(
        self, follow: Follow, tmp_path: Path, sealer: Sealer, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A disk that was full has room again: what is in force is saved, and was told of once."""
        path = tmp_path / "snapshot.sealed"
        (path / "in the way").mkdir(parents=True)
        registry = Registry(revision=7)
        follow(registry)
        for _ in range(2):
            registry.looked.clear()
            announce(tmp_path, 7)
            assert registry.looked.wait(5)
        (path / "in the way").rmdir()
        path.rmdir()
        announce(tmp_path, 7)
        wait_until(path.is_file, "the saved snapshot")
        saved = load_snapshot(path, Snapshot, sealer)
        assert saved is not None
        assert saved.revision == 7
        assert [record.message for record in caplog.records].count("snapshot_not_saved") == 1

    def test_end_takes_its_socket_away(self, follow: Follow, tmp_path: Path) -> None:
        """A follower that ended leaves no socket for announcements behind."""
        follower = follow(Registry())
        follower.stop()
        assert not list(tmp_path.glob("announce-*"))
