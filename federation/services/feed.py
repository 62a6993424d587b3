"""Snapshots for a service on an event loop: the saved one at once, then each new one while the service runs."""

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from federation.errors import SnapshotRejected, TrustError
from federation.snapshot import HomeServer, HomeSnapshot, SharedSecret, Snapshot
from federation.statistics.outlet import Outlet
from federation.store.follower import SnapshotFollower
from federation.store.saved import AnySnapshot, load_snapshot, move_hosted
from federation.trust.keystore import Sealer

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from federation.store.increments import SnapshotCompiler
    from federation.store.session import Store
    from federation.trust.folder import TrustFolder

Made = TypeVar("Made")

FIRST_LOOK_SECONDS = 5.0  # a service that knows nothing by then starts all the same, and goes on looking
SWAP_SECONDS = 5.0
DRAIN_SECONDS = 5.0
HOSTED_SECRET = b"hosted-home-server"
# The collector looks when there are so many more objects than at its last look: a pause of 0.1 to 0.2 ms for every
# packet, while 20,000 were one of 4 to 12. Each tenth look takes those that were there at the last ten (1 to 2 ms).
# Under steady load as many objects go as come, so that it hardly ever looks by itself: `radius.transport.garbage` has
# it look, in small portions. At everything it looks each quarter of an hour at most, 4 to 7 ms.
COLLECTOR_THRESHOLDS = (1_000, 10, 5_000)
FROZEN_OBJECTS = 20_000  # what a compilation made is frozen if it is more; a change makes some hundred
GIVE_WAY_SECONDS = 0.0001
INTERPRETER_SECONDS = 0.0005  # that the event loop waits for the follower's thread to let go; Python's own is 5 ms


class SnapshotFeed(Generic[AnySnapshot]):
    """Hands a service each snapshot of one kind, in the event loop.

    SQLAlchemy is loaded in the follower's thread, when packets are served from the saved snapshot already: a worker
    that was killed is back before it could have read the database.
    """

    def __init__(
        self,
        kind: type[AnySnapshot],
        *,
        name: str,
        store_url: str,
        run_directory: Path,
        saved_path: Path,
        sealer: Sealer,
        swap: Callable[[AnySnapshot], None],
        compile_newest: "Callable[[Session], AnySnapshot]",
        saves: bool,
        is_stale: Callable[[], bool] = lambda: False,
        resume: Callable[[AnySnapshot], AnySnapshot] = lambda saved: saved,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        """`swap` puts a snapshot in force, or raises ValueError; `saves`: this process keeps the last good one.

        `is_stale` says that a snapshot has to be made anew though the registry is the same. `resume` gets the saved
        one before it is put in force, and returns it as it is to be. `prepare` is called once, in the follower's
        thread, when that is in force and the registry has been looked at.
        """
        self.refused: tuple[str, ...] = ()
        self.revision = 0
        self._kind = kind
        self._store_url = store_url
        self._saved_path = saved_path
        self._sealer = sealer
        self._swap_in_service = swap
        self._compile_in_session = compile_newest
        self._resume = resume
        self._store: Store | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._looked = asyncio.Event()
        self._follower: SnapshotFollower[AnySnapshot] = SnapshotFollower(
            name=f"{name}-{os.getpid()}",
            run_directory=run_directory,
            read_revision=self._read_revision,
            compile_newest=self._compile,
            hand_on=self._hand_on,
            refuse=lambda reasons: self._in_loop(lambda: self._note_refusal(reasons)),
            looked=lambda: self._in_loop(self._looked.set),
            saved=(saved_path, sealer) if saves else None,
            is_stale=is_stale,
            prepare=_made_for_long()(prepare),
        )

    @property
    def swap_seconds(self) -> float:
        """From the wake-up for a change to its snapshot in force, the last time."""
        return self._follower.swap_seconds

    def load_saved(self) -> None:
        """The last good snapshot is in force, if there is one that can be used."""
        with _made_for_long():
            saved = load_snapshot(self._saved_path, self._kind, self._sealer)
            if saved is None:
                return
            saved = self._resume(saved)
            with suppress(ValueError):  # such as a certificate that can not be used; the registry has another
                self._swap(saved)
                self._follower.revision = saved.revision if saved.is_up_to_date else -1

    async def start(self) -> None:
        """The registry has been looked at, or could not be within some seconds; from now on it is followed."""
        self._loop = asyncio.get_running_loop()
        sys.setswitchinterval(INTERPRETER_SECONDS)
        gc.set_threshold(*COLLECTOR_THRESHOLDS)
        self._follower.start()
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_LOOK_SECONDS):
                await self._looked.wait()
        # What is there now, modules and the first snapshot, stays for long: the collector looks at what comes later.
        # Frozen with each change, too, a cycle would stay for ever that goes later, or that nobody needs any more.
        gc.freeze()

    async def stop(self) -> None:
        """It is followed no more."""
        await asyncio.to_thread(self._follower.stop)
        if self._store is not None:
            self._store.close()

    # In the follower's thread

    def _read_revision(self) -> int:
        from sqlalchemy import event  # noqa: PLC0415 - see the class

        from federation.store.compile import read_revision  # noqa: PLC0415 - loads SQLAlchemy; see the class
        from federation.store.session import Store  # noqa: PLC0415

        if self._store is None:
            self._store = Store(self._store_url)
            event.listen(self._store.engine, "before_cursor_execute", _give_way)
        with self._store.engine.connect() as connection:  # each second: a session costs twice that
            return read_revision(connection)

    def _compile(self) -> AnySnapshot:
        assert self._store is not None  # the revision is read first
        store = self._store

        def compile_newest() -> AnySnapshot:
            with store.read() as session:
                return self._compile_in_session(session)

        return _without_collector(compile_newest)

    def _hand_on(self, snapshot: AnySnapshot) -> None:
        done: Future[None] = Future()

        def swap() -> None:
            try:
                self._swap(snapshot)
            except Exception as error:  # noqa: BLE001 - handed to the thread that waits for it
                done.set_exception(error)
            else:
                done.set_result(None)

        self._in_loop(swap)
        try:
            done.result(SWAP_SECONDS)
        except ValueError as error:
            raise SnapshotRejected((str(error),)) from error

    # In the event loop

    def _swap(self, snapshot: AnySnapshot) -> None:
        self._swap_in_service(snapshot)
        self.revision = snapshot.revision

    def _note_refusal(self, reasons: tuple[str, ...]) -> None:
        self.refused = reasons

    def _in_loop(self, call: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop has ended; so has everybody who would care
            if self._loop is not None:
                self._loop.call_soon_threadsafe(call)


def _give_way(*_: object) -> None:
    """Before each statement in the follower's thread: whoever waits for the interpreter gets it now.

    A driver that lets go of it for microseconds, as SQLite's does for each row, is quick to have it back: whoever
    waited wakes up too late, and begins to wait anew without having asked for it (CPython's `take_gil`). So the event
    loop waited for a change as a whole, 4 to 5 ms, whatever the interpreter's switch interval.
    """
    sleep(GIVE_WAY_SECONDS)


@contextmanager
def _made_for_long() -> Generator[None]:
    """What is made meanwhile is there to the end, however little it is: the collector never walks through it."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # or the next new object begins that walk
        gc.enable()


def _without_collector(work: Callable[[], Made]) -> Made:
    """What the work makes is in use to the end, and the collector's walk through it would find nothing.

    It would last a tenth of a second with 100,000 realms, and nobody else of the process has the interpreter meanwhile.
    """
    before = gc.get_count()[0]
    gc.disable()
    try:
        return work()
    finally:
        if gc.get_count()[0] - before > FROZEN_OBJECTS:
            gc.freeze()  # or the next new object begins that walk
        gc.enable()


class SnapshotService(Protocol):
    """A proxy or a home server."""

    def counters(self) -> Mapping[str, object]:
        """What it has counted."""
        ...

    def start(self) -> None:
        """It reads its sockets."""
        ...

    async def stop(self, drain_seconds: float, /) -> None:
        """It takes nothing new, and has answered what was outstanding."""
        ...


class SnapshotRole(Generic[AnySnapshot]):
    """Such a service with the feed that brings it each new snapshot: a role of a worker."""

    def __init__(self, service: SnapshotService, feed: SnapshotFeed[AnySnapshot], outlet: Outlet | None = None) -> None:
        """`outlet` takes the events of the service to the recorder; None for one that has none."""
        self._service = service
        self._feed = feed
        self._outlet = outlet

    @property
    def revision(self) -> int:
        """Of the snapshot in force."""
        return self._feed.revision

    @property
    def refused(self) -> Sequence[str]:
        """Why a newer one is not."""
        return self._feed.refused

    def counters(self) -> Mapping[str, object]:
        """Those of the service, and how long the last swap took."""
        counters: dict[str, object] = {**self._service.counters(), "swap_seconds": self._feed.swap_seconds}
        return counters if self._outlet is None else {**counters, **self._outlet.counters()}

    async def start(self) -> None:
        """It works: from the saved snapshot at once, from the registry as soon as that has been read."""
        self._feed.load_saved()
        self._service.start()
        if self._outlet is not None:
            self._outlet.start()
        await self._feed.start()

    async def drain(self) -> None:
        """It has answered what was outstanding."""
        await self._feed.stop()
        await self._service.stop(DRAIN_SECONDS)
        if self._outlet is not None:
            await self._outlet.stop()


def build_hosted(addresses: tuple[tuple[str, int], ...], sealer: Sealer) -> tuple[HomeServer, ...]:
    """Biebroam's own home servers as next hops; their secret follows from the node key and is kept nowhere."""
    secret = hosted_secret(sealer)
    return tuple(
        HomeServer(f"hosted/{number}", None, host, port, secret=secret, is_hosted=True)
        for number, (host, port) in enumerate(addresses)
    )


def hosted_secret(sealer: Sealer) -> SharedSecret:
    """What proxies and home servers of one node share."""
    return SharedSecret(sealer.derive(HOSTED_SECRET))


def compile_for_proxy(session: "Session", sealer: Sealer, addresses: tuple[tuple[str, int], ...]) -> Snapshot:
    """The snapshot of a proxy of this node, whose own home servers listen at `addresses`."""
    from federation.services.authorities import load_peer_trust  # noqa: PLC0415 - loads SQLAlchemy; see SnapshotFeed
    from federation.store.compile import compile_snapshot  # noqa: PLC0415 - as above

    snapshot = compile_snapshot(session, sealer, build_hosted(addresses, sealer))
    with suppress(TrustError):  # a registry of an earlier version, whose first renewal is still to come
        snapshot = replace(snapshot, peer_trust=load_peer_trust(session, sealer))
    return snapshot


def compile_for_home(session: "Session", sealer: Sealer, folder: "TrustFolder | None" = None) -> HomeSnapshot:
    """The snapshot of a home server of this node, with the certificate in force.

    `folder` has what one that stands alone shows over RADIUS/TLS.
    """
    from federation.services.authorities import load_eap_credentials  # noqa: PLC0415 - as above
    from federation.store.compile import compile_home_snapshot  # noqa: PLC0415

    snapshot = compile_home_snapshot(session, sealer, load_eap_credentials(session, sealer))
    return snapshot if folder is None else replace(snapshot, peer_trust=folder.read())


class ProxyCompiler:
    """Makes the snapshots of a proxy of this node, whose own home servers listen at `addresses`, one from the other."""

    def __init__(self, sealer: Sealer, addresses: tuple[tuple[str, int], ...]) -> None:
        """Nothing is read yet, and SQLAlchemy not loaded; see SnapshotFeed."""
        self._sealer = sealer
        self._hosted = {server.key: server for server in build_hosted(addresses, sealer)}
        self._resumed: Snapshot | None = None
        self._compiler: SnapshotCompiler | None = None

    def resume(self, saved: Snapshot) -> Snapshot:
        """The first one is made from this; returns it with this node's own home servers where they are now."""
        self._resumed = move_hosted(saved, self._hosted)
        return self._resumed

    def prepare(self) -> None:
        """What the first change is compared with is sorted."""
        self._find_compiler().prepare()

    def _find_compiler(self) -> "SnapshotCompiler":
        from federation.store.increments import SnapshotCompiler  # noqa: PLC0415 - as above

        if self._compiler is None:
            self._compiler = SnapshotCompiler(self._sealer, self._hosted.values())
            if self._resumed is not None:
                self._compiler.resume(self._resumed)
                self._resumed = None
        return self._compiler

    def compile(self, session: "Session") -> Snapshot:
        """The snapshot of what the session sees; raises as `compile_for_proxy` does."""
        from federation.services.authorities import load_peer_trust  # noqa: PLC0415 - as above

        snapshot = self._find_compiler().compile(session)
        with suppress(TrustError):  # as in compile_for_proxy
            snapshot = replace(snapshot, peer_trust=load_peer_trust(session, self._sealer))
        return snapshot


def find_client_secret(snapshot: Snapshot, address: str) -> SharedSecret | None:
    """The secret of a client that may ask from that address; None when there is none."""
    parsed = ip_address(address)
    secrets = ((network, client.secret) for client in snapshot.clients for network in client.networks)
    found = sorted(
        ((network.prefixlen, secret) for network, secret in secrets if secret is not None and parsed in network),
        key=lambda entry: entry[0],
    )
    return found[-1][1] if found else None
