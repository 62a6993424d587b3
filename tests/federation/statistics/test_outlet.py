import asyncio
import json
import socket
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.events import Outcome, SignIn
from federation.reasons import RefusalReason
from federation.statistics.outlet import (
    EVENTS_IN_DATAGRAM,
    MAX_WAITING,
    RECORDER_SOCKET,
    Outlet,
    decode_events,
    encode_events,
)
from tests.federation.statistics.events import NOON, make_event


class Worker:
    """Emits what a test puts in."""

    def __init__(self) -> None:
        self.events: list[SignIn] = []

    def take(self) -> list[SignIn]:
        taken, self.events = self.events, []
        return taken


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def recorder(tmp_path: Path) -> Generator[socket.socket]:
    """The recorder's socket, which nobody reads unless the test does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as bound:
        bound.bind(str(tmp_path / RECORDER_SOCKET))
        yield bound


def received(recorder: socket.socket) -> list[SignIn]:
    events: list[SignIn] = []
    while True:
        try:
            events += decode_events(recorder.recv(1_000_000))
        except BlockingIOError:
            return events


class TestOutlet:
    def test_sends_what_happened(self, worker: Worker, tmp_path: Path, recorder: socket.socket) -> None:
        """A sign-in is with the recorder as it was, and counted."""
        worker.events = [make_event(), make_event(Outcome.REJECTED, RefusalReason.REFUSED_BY_HOME)]
        outlet = Outlet(worker.take, tmp_path)
        expected = list(worker.events)
        outlet.forward()
        assert received(recorder) == expected
        assert outlet.counters() == {"events_sent": 2, "events_queued": 0, "events_dropped": 0}

    def test_sends_no_challenge_and_no_accounting(
        self, worker: Worker, tmp_path: Path, recorder: socket.socket
    ) -> None:
        """A round of EAP is no sign-in, nor is an Accounting-Request."""
        worker.events = [make_event(Outcome.CHALLENGED), make_event(Outcome.ACCOUNTED)]
        Outlet(worker.take, tmp_path).forward()
        assert received(recorder) == []

    def test_keeps_what_nobody_takes_until_somebody_does(self, worker: Worker, tmp_path: Path) -> None:
        """Sign-ins from before the recorder's start reach it."""
        worker.events = [make_event()]
        outlet = Outlet(worker.take, tmp_path)
        outlet.forward()
        assert outlet.counters()["events_queued"] == 1
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as bound:
            bound.bind(str(tmp_path / RECORDER_SOCKET))
            outlet.forward()
            assert len(received(bound)) == 1

    def test_drops_the_oldest_and_counts_them(self, worker: Worker, tmp_path: Path) -> None:
        """Without a recorder the memory is bounded, and every lost sign-in is counted."""
        outlet = Outlet(worker.take, tmp_path)
        worker.events = [make_event()] * (MAX_WAITING + 5)
        outlet.forward()
        assert outlet.counters() == {"events_sent": 0, "events_queued": MAX_WAITING, "events_dropped": 5}

    def test_recorder_that_hangs_costs_no_time(self, worker: Worker, tmp_path: Path, recorder: socket.socket) -> None:
        """A socket that is full takes no more; the rest waits, and arrives in order when it is read again."""
        outlet = Outlet(worker.take, tmp_path)
        worker.events = [make_event(at=NOON + number) for number in range(MAX_WAITING)]
        while outlet.forward():  # a blocking send would hang here
            pass
        queued = outlet.counters()["events_queued"]
        assert isinstance(queued, int)
        assert 0 < queued < MAX_WAITING
        events = received(recorder)
        while outlet.counters()["events_queued"]:
            outlet.forward()
            events += received(recorder)
        assert [event.at - NOON for event in events] == list(range(MAX_WAITING))

    def test_a_datagram_holds_a_bounded_number(self, worker: Worker, tmp_path: Path, recorder: socket.socket) -> None:
        """Many at once come in several datagrams, one at a turn: packets are not kept waiting for all of them."""
        worker.events = [make_event()] * (EVENTS_IN_DATAGRAM + 1)
        outlet = Outlet(worker.take, tmp_path)
        assert [outlet.forward(), outlet.forward(), outlet.forward()] == [True, False, False]
        assert len(decode_events(recorder.recv(1_000_000))) == EVENTS_IN_DATAGRAM
        assert len(decode_events(recorder.recv(1_000_000))) == 1

    def test_works_in_a_directory_of_any_depth(self, worker: Worker, tmp_path: Path) -> None:
        """A path longer than a Unix address reaches the recorder all the same."""
        deep = tmp_path / ("d" * 100) / ("e" * 100)
        deep.mkdir(parents=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as bound:
            bound.bind(str(tmp_path / "short"))
            (tmp_path / "short").rename(deep / RECORDER_SOCKET)
            worker.events = [make_event()]
            Outlet(worker.take, deep).forward()
            assert len(received(bound)) == 1

    async def test_forwards_while_it_runs_and_once_at_the_end(
        self, worker: Worker, tmp_path: Path, recorder: socket.socket
    ) -> None:
        """Nobody has to ask; what happened last is sent when it stops."""
        outlet = Outlet(worker.take, tmp_path)
        outlet.start()
        worker.events = [make_event()]
        async with asyncio.timeout(5):
            while outlet.counters()["events_sent"] != 1:  # noqa: ASYNC110 - a counter has no event
                await asyncio.sleep(0.02)
        worker.events = [make_event()]
        await outlet.stop()
        assert len(received(recorder)) == 2


class TestDatagrams:
    @given(st.binary(max_size=300), st.text(max_size=50), st.floats(0, 4e9))
    def test_come_back_as_they_were(self, station: bytes, realm: str, at: float) -> None:
        """Whatever a client sent, the recorder reads what the worker wrote."""
        event = make_event(realm=realm, station=station[:253], at=at)
        assert decode_events(encode_events([event])) == [event]

    @pytest.mark.parametrize(
        "datagram",
        [
            b"",
            b"\xff\xfe",
            b"{}",
            b"[1]",
            b"[[1,2,3]]",
            json.dumps([[*make_event()[:-1], None]]).encode(),
            json.dumps([[*make_event()[:6], "asleep", None, 0.1, 1, ""]]).encode(),
            json.dumps([[*make_event()[:6], "accepted", "no_such_reason", 0.1, 1, ""]]).encode(),
            json.dumps([[*make_event()[:6], "accepted", None, 0.1, 1, "\u1234"]]).encode(),
        ],
    )
    def test_of_another_kind_are_refused(self, datagram: bytes) -> None:
        """What is no list of events raises ValueError and nothing else."""
        with pytest.raises(ValueError):  # noqa: PT011 - the kinds of error have nothing but that in common
            decode_events(datagram)
