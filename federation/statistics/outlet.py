"""The way of sign-ins out of a worker: datagrams on a Unix socket in the run directory, to this node's recorder.

The packet path never waits for it. What the recorder can not take now is kept here, up to a bound; beyond it the oldest
goes and is counted. Without a recorder nothing else of the worker changes.
"""

import asyncio
import json
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

from federation.events import Outcome, SignIn, SignInFields
from federation.reasons import RefusalReason
from federation.store.announcements import short_path

RECORDER_SOCKET: Final = "recorder.sock"
EVENTS_IN_DATAGRAM: Final = 100  # some 25 KiB; the kernel takes 200 KiB in one
MAX_WAITING: Final = 20_000  # about ten seconds of a busy worker; what a recorder that restarts takes
FORWARD_SECONDS: Final = 0.25
MAX_STATION_OCTETS: Final = 253  # RFC 2865 §5: of any attribute's value
_FINAL: Final = (Outcome.ACCEPTED, Outcome.REJECTED, Outcome.UNANSWERED)  # no set: they hash by their names
_OUTCOME: Final = SignIn._fields.index("outcome")

TakeEvents = Callable[[], Sequence[SignInFields]]


class Outlet:
    """Takes the events of one worker and sends them on; challenges and accounting are no sign-ins and end here."""

    def __init__(self, take: TakeEvents, run_directory: Path) -> None:
        """`take` returns what happened since it was last called."""
        self._take = take
        self._directory = run_directory
        self._waiting: deque[SignInFields] = deque(maxlen=MAX_WAITING)
        self._sent = 0
        self._dropped = 0
        self._task: asyncio.Task[None] | None = None

    def counters(self) -> Mapping[str, object]:
        """How many sign-ins went to the recorder, wait for it, and were dropped."""
        return {"events_sent": self._sent, "events_queued": len(self._waiting), "events_dropped": self._dropped}

    def start(self) -> None:
        """Events are forwarded from now on, in the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._keep_forwarding(), name="forward events")

    async def stop(self) -> None:
        """What could still be sent was sent; what could not is lost and counted no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        while self.forward():
            pass

    def forward(self) -> bool:
        """One datagram of events is sent, if the recorder takes it now; returns whether to go on. Never waits."""
        events = [event for event in self._take() if event[_OUTCOME] in _FINAL]
        excess = len(self._waiting) + len(events) - MAX_WAITING
        if excess > 0:
            self._dropped += excess
        self._waiting.extend(events)  # bounded: the oldest go
        count = min(EVENTS_IN_DATAGRAM, len(self._waiting))
        if not count:
            return False
        try:
            with (
                short_path(self._directory) as directory,
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender,
            ):
                sender.connect(f"{directory}/{RECORDER_SOCKET}")  # before anything is encoded for nobody
                sender.send(encode_events([self._waiting[index] for index in range(count)]))
        except OSError:  # no recorder, or one whose socket is full: later
            return False
        for _ in range(count):
            self._waiting.popleft()
        self._sent += count
        return bool(self._waiting)

    async def _keep_forwarding(self) -> None:
        while True:  # noqa: ASYNC110 - one datagram a turn of the loop: packets do not wait for all of them
            await asyncio.sleep(0 if self.forward() else FORWARD_SECONDS)


def encode_events(events: Sequence[SignInFields]) -> bytes:
    """The events as one datagram: a JSON list of lists, in the order of `SignIn`'s fields."""
    return json.dumps(
        [[*event[:-1], event[-1][:MAX_STATION_OCTETS].decode("latin-1")] for event in events],
        separators=(",", ":"),
    ).encode()


def decode_events(datagram: bytes) -> list[SignIn]:
    """The events of a datagram.

    Raises:
        ValueError: it is none that `encode_events` wrote.
    """
    rows: object = json.loads(datagram)
    if isinstance(rows, list):
        return [_decode(row) for row in cast("list[object]", rows)]
    raise ValueError("no list of events")


def _decode(row: object) -> SignIn:
    match row:
        case [
            float(at) | int(at),
            str(client),
            str(visited),
            str(realm),
            str(home),
            str(home_server),
            str(outcome),
            (str() | None) as reason,
            float(seconds) | int(seconds),
            int(revision),
            str(station),
        ]:
            return SignIn(
                float(at),
                client,
                visited,
                realm,
                home,
                home_server,
                Outcome(outcome),
                None if reason is None else RefusalReason(reason),
                float(seconds),
                revision,
                station.encode("latin-1"),
            )
        case _:
            raise ValueError("no event")
