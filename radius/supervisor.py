"""A process supervisor: spawns children that inherit sockets, and keeps them running. It knows no RADIUS.

The parent binds every socket and keeps it open, so what arrives while a child is dead waits in the socket for its
successor. Parent and child share a *lifeline*, a socket pair. The child writes an octet when it is ready and one a
second from its event loop; the parent kills a child that is silent for too long. Its end tells the parent at once that
the child is gone, and tells the child that the parent is.

A child is in one of these states:

    STARTING  ──ready──▶ RUNNING ──asked to end──▶ ENDING ──gone──▶ (the slot waits, or is empty for good)
        │                   │
        └──gone, or silent──┴──▶ the slot waits for its next start: at once, then with a growing delay

SIGTERM and SIGINT end the children in the order of their stages, each with its time to drain; a second one ends them
at once. SIGHUP starts them anew one after the other.
"""

import errno
import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from types import FrameType

CHILD_VARIABLE = "BIEBROAM_CHILD"  # tells a child what it inherited
BEAT_SECONDS = 1.0
SILENCE_SECONDS = 10.0  # without a beat: its loop hangs
START_SECONDS = 30.0  # twice as long after each start that failed: what is slow is not made quicker by starting anew
MAX_START_SECONDS = 240.0
SETTLED_SECONDS = 10.0  # a child that lived this long is started again without delay
RESTART_DELAYS = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
ORPHAN_SECONDS = 8.0  # what a child whose parent is gone has to end by itself
_BACKLOG = 128
_NO_FAMILY = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChildPlan:
    """One child: what runs, and what it inherits."""

    name: str  # "proxy-0"
    command: Sequence[str]
    sockets: Mapping[str, Sequence[socket.socket]] = field(default_factory=dict[str, Sequence[socket.socket]])
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    stage: int = 0  # ends when the lower stages have ended
    drain_seconds: float = 5.0  # from being asked to end until it is killed
    overlaps: bool = True  # at a rolling restart the successor may run beside it


class _State(Enum):
    STARTING = auto()
    RUNNING = auto()
    ENDING = auto()


@dataclass(slots=True, eq=False)
class _Child:
    plan: ChildPlan
    process: subprocess.Popen[bytes]
    lifeline: socket.socket
    started_at: float
    heard_at: float
    start_seconds: float  # that it may take to be ready
    state: _State = _State.STARTING
    deadline: float = 0.0  # of ENDING


@dataclass(slots=True)
class _Slot:
    """The place of a child: who is in it, who leaves it, and when the next one comes."""

    plan: ChildPlan
    child: _Child | None = None
    start_at: float | None = 0.0  # None: not again
    failures: int = 0
    is_renewed: bool = False  # a rolling restart waits for the child to be replaced


class Supervisor:
    """Runs the children of `plans` until a signal ends them."""

    def __init__(self, plans: Sequence[ChildPlan], *, on_ready: Callable[[], None] | None = None) -> None:
        """`on_ready` is called once, when every child has been ready for the first time."""
        self._slots = [_Slot(plan) for plan in plans]
        self._on_ready = on_ready
        self._leaving: list[_Child] = []  # ending, with a successor or without
        self._selector = selectors.DefaultSelector()
        self._was_ready: set[str] = set()
        self._renewing: list[_Slot] = []
        self._ends = False
        self._signals: list[int] = []

    @property
    def process_ids(self) -> dict[str, int]:
        """The processes that are in their places now, by name."""
        return {slot.plan.name: slot.child.process.pid for slot in self._slots if slot.child is not None}

    def run(self) -> int:
        """Return the exit status when every child has ended: 0 after a drain, 1 when one had to be killed in it."""
        killed = False
        with self._signals_caught():
            while self._slots_are_needed() or self._leaving:
                now = time.monotonic()
                self._answer_signals(now)
                killed |= self._enforce(now)
                self._start_due(now)
                self._renew(now)
                self._end_stage(now)
                for key, _ in self._selector.select(self._next_timer(time.monotonic())):
                    self._hear(key, time.monotonic())
        self._selector.close()
        return 1 if killed else 0

    def end(self) -> None:
        """End the children as SIGTERM does; may be called from a signal handler or another thread."""
        self._signals.append(signal.SIGTERM)

    def _slots_are_needed(self) -> bool:
        return not self._ends or any(slot.child is not None for slot in self._slots)

    # Signals

    @contextmanager
    def _signals_caught(self) -> Generator[None]:
        """Signals wake the loop through a socket; what was there before is put back."""
        awake, wake = socket.socketpair()
        awake.setblocking(False)
        wake.setblocking(False)
        self._selector.register(awake, selectors.EVENT_READ, None)
        before_fd = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        before = {
            number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(before_fd)
            self._selector.unregister(awake)
            awake.close()
            wake.close()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def _answer_signals(self, now: float) -> None:
        while self._signals:
            number = self._signals.pop(0)
            if number == signal.SIGHUP:
                if not self._ends:
                    self._renewing = list(self._slots)
            elif self._ends:
                for child in self._all_children():
                    child.deadline = now
            else:
                self._begin_end()

    def _begin_end(self) -> None:
        _log.info("service_ends")
        self._ends = True
        self._renewing = []
        for slot in self._slots:
            slot.start_at = None
            for sockets in slot.plan.sockets.values():
                for inherited in sockets:
                    inherited.close()  # with the children's own the door is shut

    # Children

    def _all_children(self) -> list[_Child]:
        return [slot.child for slot in self._slots if slot.child is not None] + self._leaving

    def _start_due(self, now: float) -> None:
        for slot in self._slots:
            if slot.child is None and slot.start_at is not None and slot.start_at <= now:
                slot.start_at = None
                slot.child = self._spawn(slot, now)

    def _spawn(self, slot: _Slot, now: float) -> _Child | None:
        plan = slot.plan
        ours, theirs = socket.socketpair()
        inherited = {name: [item.fileno() for item in sockets] for name, sockets in plan.sockets.items()}
        description = json.dumps({"name": plan.name, "lifeline": theirs.fileno(), "sockets": inherited})
        descriptors = [theirs.fileno(), *(number for numbers in inherited.values() for number in numbers)]
        try:
            process = subprocess.Popen(  # noqa: S603 - the command is our own
                list(plan.command),
                env={**os.environ, **plan.environment, CHILD_VARIABLE: description},
                stdin=subprocess.DEVNULL,
                pass_fds=descriptors,
                process_group=0,  # a Control-C at the terminal is for the parent, which ends its children in order
            )
        except OSError as error:  # no memory, no process: it will be tried again
            _log.error("child_not_started", extra={"child": plan.name, "error": error.strerror})
            ours.close()
            self._wait_before_restart(slot, now)
            return None
        finally:
            theirs.close()
        ours.setblocking(False)
        patience = min(START_SECONDS * 2.0**slot.failures, MAX_START_SECONDS)
        child = _Child(plan, process, ours, started_at=now, heard_at=now, start_seconds=patience)
        self._selector.register(ours, selectors.EVENT_READ, child)
        _log.debug("child_started", extra={"child": plan.name, "child_pid": process.pid})
        return child

    def _hear(self, key: selectors.SelectorKey, now: float) -> None:
        child: _Child | None = key.data
        if child is None:
            with suppress(BlockingIOError):
                key.fileobj.recv(4096)  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] - a socket
            return
        try:
            octets = child.lifeline.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            octets = b""
        if not octets:
            self._bury(child, now)
            return
        child.heard_at = now
        if child.state is _State.STARTING:
            child.state = _State.RUNNING
            self._was_ready.add(child.plan.name)
            _log.info("child_ready", extra={"child": child.plan.name, "child_pid": child.process.pid})
            if self._on_ready is not None and len(self._was_ready) == len(self._slots):
                ready, self._on_ready = self._on_ready, None
                ready()

    def _bury(self, child: _Child, now: float) -> None:
        """The lifeline is cut: the process is gone, or as good as that."""
        self._selector.unregister(child.lifeline)
        child.lifeline.close()
        try:
            status = child.process.wait(0.5)
        except subprocess.TimeoutExpired:
            child.process.kill()
            status = child.process.wait()
        if child in self._leaving:
            self._leaving.remove(child)
        expected = child.state is _State.ENDING
        _log.log(
            logging.DEBUG if expected else logging.ERROR,
            "child_ended",
            extra={"child": child.plan.name, "child_pid": child.process.pid, "status": status},
        )
        for slot in self._slots:
            if slot.child is child:
                slot.child = None
                if self._ends:
                    continue
                if expected:
                    slot.start_at = now
                else:
                    lived_long = child.state is _State.RUNNING and now - child.started_at >= SETTLED_SECONDS
                    slot.failures = 0 if lived_long else slot.failures
                    self._wait_before_restart(slot, now)

    @staticmethod
    def _wait_before_restart(slot: _Slot, now: float) -> None:
        slot.start_at = now + RESTART_DELAYS[min(slot.failures, len(RESTART_DELAYS) - 1)]
        slot.failures += 1

    def _enforce(self, now: float) -> bool:
        """Kill the silent and those whose time to end is over; whether the end of the service was cut short by it."""
        killed = False
        for child in self._all_children():
            if child.process.poll() is not None:
                continue  # its lifeline tells
            limit = {_State.STARTING: child.start_seconds, _State.RUNNING: SILENCE_SECONDS}.get(child.state)
            if limit is not None and now - child.heard_at > limit:
                _log.error("child_hangs", extra={"child": child.plan.name, "seconds": round(now - child.heard_at)})
                child.process.kill()
                child.heard_at = now
            elif child.state is _State.ENDING and now >= child.deadline:
                _log.warning("child_killed", extra={"child": child.plan.name})
                child.process.kill()
                child.deadline = now + BEAT_SECONDS
                killed = self._ends
        return killed

    def _ask_to_end(self, child: _Child, now: float) -> None:
        if child.state is not _State.ENDING:
            child.state = _State.ENDING
            child.deadline = now + child.plan.drain_seconds
            child.process.terminate()

    def _end_stage(self, now: float) -> None:
        children = self._all_children()
        if self._ends and children:
            stage = min(child.plan.stage for child in children)
            for child in children:
                if child.plan.stage == stage:
                    self._ask_to_end(child, now)

    def _renew(self, now: float) -> None:
        """One step of a rolling restart: the next child is replaced when the one before has its successor ready."""
        if not self._renewing or self._ends:
            return
        slot = self._renewing[0]
        if not slot.is_renewed:
            slot.is_renewed = True
            if slot.child is not None:
                leaving = slot.child
                if not slot.plan.overlaps:
                    self._ask_to_end(leaving, now)  # its successor starts when it is gone
                    return
                slot.child = self._spawn(slot, now)
                self._leaving.append(leaving)
        if slot.child is not None and slot.child.state is _State.RUNNING:
            for child in self._leaving:
                self._ask_to_end(child, now)
            slot.is_renewed = False
            self._renewing.pop(0)

    def _next_timer(self, now: float) -> float:
        """Seconds until there is something to do without being woken."""
        times = [now + BEAT_SECONDS]
        times += [slot.start_at for slot in self._slots if slot.start_at is not None and slot.child is None]
        times += [child.deadline for child in self._all_children() if child.state is _State.ENDING]
        if self._signals:
            return 0.0
        return max(0.0, min(times) - now)


class Lifeline:
    """The child's end: what it inherited, and how it says that it lives."""

    def __init__(self, name: str, lifeline: socket.socket, sockets: Mapping[str, Sequence[socket.socket]]) -> None:
        self.name = name
        self.sockets = sockets
        self._lifeline = lifeline

    def beat(self) -> None:
        """Say that the child is ready, and, each second from then on, that its loop turns; never waits."""
        with suppress(OSError):
            self._lifeline.send(b".", socket.MSG_DONTWAIT)

    def watch_parent(self) -> None:
        """From now on this process ends when its parent does: asked first, then by itself."""
        threading.Thread(target=self._await_parent_end, name="lifeline", daemon=True).start()

    def _await_parent_end(self) -> None:
        with suppress(OSError):
            while self._lifeline.recv(64):
                pass
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(ORPHAN_SECONDS)  # not a sleep, which a clock that is played with can make fail
        os._exit(1)


def adopt_lifeline() -> Lifeline | None:
    """What this process inherited from a supervisor; None when it was started by somebody else."""
    text = os.environ.pop(CHILD_VARIABLE, None)
    if text is None:
        return None
    description = json.loads(text)
    sockets = {name: [socket.socket(fileno=n) for n in numbers] for name, numbers in description["sockets"].items()}
    for inherited in (item for group in sockets.values() for item in group):
        inherited.set_inheritable(False)
    lifeline = socket.socket(fileno=description["lifeline"])
    lifeline.set_inheritable(False)
    return Lifeline(description["name"], lifeline, sockets)


@dataclass(frozen=True, slots=True)
class BoundGroup:
    """Sockets on one port: for each worker, one for each address."""

    port: int
    by_worker: tuple[tuple[socket.socket, ...], ...]


def bind_group(
    addresses: Sequence[str],
    port: int,
    *,
    kind: socket.SocketKind,
    workers: int = 1,
    skips_missing_families: bool = False,
) -> BoundGroup:
    """Bound sockets on the same port of every address; port 0 takes one that is free on all of them.

    With several workers each has sockets of its own, among which the kernel deals (SO_REUSEPORT). A port that another
    program has is refused even then. `skips_missing_families` leaves out IPv6 where the kernel has none.

    Raises:
        OSError: the port is taken, or an address is not of this machine; it names both.
    """
    attempts = 20 if port == 0 else 1
    while True:
        attempts -= 1
        opened: list[socket.socket] = []
        try:
            return _bind_once(addresses, port, kind, workers, skips_missing_families, opened)
        except OSError as error:
            for item in opened:
                item.close()
            if not attempts or error.errno != errno.EADDRINUSE:
                raise


def _bind_once(
    addresses: Sequence[str],
    port: int,
    kind: socket.SocketKind,
    workers: int,
    skips_missing_families: bool,  # noqa: FBT001 - handed on by bind_group, which takes it by name
    opened: list[socket.socket],
) -> BoundGroup:
    by_worker: list[list[socket.socket]] = [[] for _ in range(workers)]
    for address in addresses:
        try:
            first = _bind(address, port, kind, shares=False)
        except OSError as error:
            if skips_missing_families and error.errno in _NO_FAMILY:
                _log.warning("address_family_missing", extra={"address": address})
                continue
            raise OSError(error.errno, f"can not listen on {address} port {port}: {error.strerror}") from None
        port = first.getsockname()[1]
        if workers == 1:
            opened.append(first)
            by_worker[0].append(first)
            continue
        first.close()  # it has shown that nobody else has the port; shared ones could not
        for group in by_worker:
            group.append(_bind(address, port, kind, shares=True))
            opened.append(group[-1])
    if not opened:
        raise OSError(errno.EADDRNOTAVAIL, f"none of {', '.join(addresses)} is an address of this machine")
    return BoundGroup(port, tuple(tuple(group) for group in by_worker))


def _bind(address: str, port: int, kind: socket.SocketKind, *, shares: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    bound = socket.socket(family, kind)
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # IPv4 has a socket of its own
        if kind == socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier run may linger
        if shares:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.setblocking(False)
        bound.bind((address, port))
        if kind == socket.SOCK_STREAM:
            bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound
