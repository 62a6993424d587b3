"""What one turn of the event loop sends, sent together."""

import socket
from typing import Any

import pytest

from radius.transport import udp
from radius.transport.outbox import MAX_WAITING, Outbox, Waiting, flush_all
from radius.transport.udp import connect_udp
from tests.radius.transport.arrivals import received, send_after_an_error
from tests.radius.wire.kernels import HAS_COMPILER, load_batch


@pytest.fixture(params=["one by one", "batch"], autouse=True)
def _senders(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - pytest's
    """Every test runs with the native sender of many datagrams and without."""
    if request.param == "batch" and not HAS_COMPILER:
        pytest.skip("the native sender is optional; it needs gcc and python3-dev")
    monkeypatch.setattr(udp, "batch", load_batch() if request.param == "batch" else None)


class TestOutbox:
    def test_waits_for_the_end_of_the_turn(self, receiver: socket.socket, sender: socket.socket) -> None:
        """Nothing leaves before the flush, then everything does, in its order and to its receiver."""
        queue: list[Waiting] = []
        box = Outbox(sender, queue, is_addressed=True)
        for number in range(5):
            box.put(b"%d" % number, receiver.getsockname())
        assert received(receiver) == []
        assert queue == [box]
        flush_all(queue)
        assert received(receiver) == [b"0", b"1", b"2", b"3", b"4"]
        assert queue == []

    def test_full_box_goes_at_once(self, receiver: socket.socket, sender: socket.socket) -> None:
        """A long turn keeps no datagram for its whole length, and loses none."""
        queue: list[Waiting] = []
        box = Outbox(sender, queue, is_addressed=True)
        for number in range(2 * MAX_WAITING + 1):
            box.put(b"%d" % number, receiver.getsockname())
        assert len(received(receiver)) == 2 * MAX_WAITING
        flush_all(queue)
        assert received(receiver) == [b"%d" % (2 * MAX_WAITING)]

    def test_connected_socket_needs_no_address(self, receiver: socket.socket) -> None:
        """A flow has one receiver."""
        queue: list[Waiting] = []
        with connect_udp(*receiver.getsockname()[:2]) as connected:
            box = Outbox(connected, queue, is_addressed=False)
            box.put(b"first")
            box.put(b"x" * 4096)
            flush_all(queue)
        assert received(receiver) == [b"first", b"x" * 4096]

    def test_what_goes_on_goes_before_what_goes_back(self, receiver: socket.socket, sender: socket.socket) -> None:
        """A request of one patron does not wait for the refusals of others that came with it."""
        queue: list[Waiting] = []
        with connect_udp(*receiver.getsockname()[:2]) as connected:
            back = Outbox(sender, queue, is_addressed=True)
            on = Outbox(connected, queue, is_addressed=False)
            back.put(b"refusal", receiver.getsockname())
            on.put(b"request")
            flush_all(queue)
        assert received(receiver) == [b"request", b"refusal"]

    def test_told_error_costs_no_datagram(self) -> None:
        """An ICMP error of an earlier datagram is told instead of sending: it is sent once more."""
        assert send_after_an_error(b"first", b"second") == ([b"first", b"second"], 1)

    def test_datagram_that_can_not_be_sent_is_lost_alone(self, receiver: socket.socket, sender: socket.socket) -> None:
        """Those behind it arrive."""
        queue: list[Waiting] = []
        box = Outbox(sender, queue, is_addressed=True)
        address: Any = receiver.getsockname()
        for octets in (b"first", b"x" * 70_000, b"last"):
            box.put(octets, address)
        flush_all(queue)
        assert received(receiver) == [b"first", b"last"]

    def test_closed_socket_is_let_be(self, receiver: socket.socket) -> None:
        """What waited in it is lost, and the descriptor may be somebody else's."""
        queue: list[Waiting] = []
        connected = connect_udp(*receiver.getsockname()[:2])
        box = Outbox(connected, queue, is_addressed=False)
        box.put(b"late")
        connected.close()
        flush_all(queue)
        assert received(receiver) == []


@pytest.mark.skipif(not HAS_COMPILER, reason="the native sender is optional; it needs gcc and python3-dev")
class TestNativeArguments:
    @pytest.mark.parametrize(
        ("datagrams", "error"),
        [
            ([b"x", ("localhost", 1)], ValueError),
            ([b"x", "127.0.0.1"], TypeError),
            ([b"x", ("127.0.0.1", "1")], TypeError),
            (["x", ("127.0.0.1", 1)], TypeError),
        ],
    )
    def test_what_is_no_datagram_is_refused(
        self, sender: socket.socket, datagrams: list[Any], error: type[Exception]
    ) -> None:
        """A bug of ours is told, and nothing is read that is not there."""
        with pytest.raises(error):
            load_batch().send_many(sender.fileno(), datagrams, True)

    def test_octets_without_receiver_are_left(self, sender: socket.socket) -> None:
        """A list that ends too early is no reason to read on."""
        assert load_batch().send_many(sender.fileno(), [b"x"], True) == 0
