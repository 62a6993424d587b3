"""Datagrams that are given to the kernel as one. A receiver with UDP_GRO sees which were."""

import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from radius.transport import udp
from radius.transport.outbox import MAX_WAITING, Outbox, Waiting, flush_all
from radius.transport.udp import bind_udp, connect_udp
from tests.radius.transport.arrivals import received, received_uncut, send_after_an_error
from tests.radius.wire.kernels import HAS_COMPILER, load_batch

# linux/udp.h, asm-generic/socket.h
UDP_GRO: Final = 104
UDP_NO_CHECK6_RX: Final = 102
NO_CHECKSUMS: Final = {
    socket.AF_INET: (socket.SOL_SOCKET, 11, 1),  # SO_NO_CHECK
    socket.AF_INET6: (socket.IPPROTO_UDP, 101, 1),  # UDP_NO_CHECK6_TX
}

pytestmark = pytest.mark.skipif(not HAS_COMPILER, reason="the native sender is optional; it needs gcc and python3-dev")


class TestSegments:
    @pytest.fixture(autouse=True)
    def _batch(self, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
        batch = load_batch()
        monkeypatch.setattr(udp, "batch", batch)
        batch.segment(True)
        yield
        batch.segment(True)

    @pytest.fixture
    def uncut(self, receiver: socket.socket) -> socket.socket:
        receiver.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
        return receiver

    def test_of_one_length_to_one_receiver(
        self, uncut: socket.socket, receiver: socket.socket, sender: socket.socket
    ) -> None:
        """The others are as they were."""
        queue: list[Waiting] = []
        box = Outbox(sender, queue, is_addressed=True)
        address = uncut.getsockname()
        for size in (200, 100, 200, 150, 100, 200, 200):
            box.put(bytes(size), address)
        flush_all(queue)
        assert received_uncut(uncut) == [(800, 200), (200, 100), (150, 0)]

    def test_each_receiver_gets_its_own(self, receiver: socket.socket, sender: socket.socket) -> None:
        """Whole, in their order, and nobody another's."""
        queue: list[Waiting] = []
        box = Outbox(sender, queue, is_addressed=True)
        with bind_udp(receiver.getsockname()[0], 0) as other:
            addresses = [receiver.getsockname(), other.getsockname()]
            for number in range(30):
                box.put(b"%02d" % number + bytes(300), addresses[number % 2])
            flush_all(queue)
            assert received(receiver) == [b"%02d" % number + bytes(300) for number in range(0, 30, 2)]
            assert received(other) == [b"%02d" % number + bytes(300) for number in range(1, 30, 2)]

    def test_connected_socket(self, uncut: socket.socket) -> None:
        """A flow has one receiver; more than one datagram can hold are several."""
        queue: list[Waiting] = []
        with connect_udp(*uncut.getsockname()[:2]) as connected:
            box = Outbox(connected, queue, is_addressed=False)
            for _ in range(MAX_WAITING):
                box.put(bytes(1200))
            flush_all(queue)
        assert received_uncut(uncut) == [(54 * 1200, 1200), (10 * 1200, 1200)]

    @pytest.mark.parametrize("octets", [0, 1201, 4096])
    def test_sizes_that_are_let_be(self, uncut: socket.socket, octets: int) -> None:
        """A path may have to cut the larger ones, which it could not; empty ones have no length."""
        queue: list[Waiting] = []
        with connect_udp(*uncut.getsockname()[:2]) as connected:
            box = Outbox(connected, queue, is_addressed=False)
            for _ in range(5):
                box.put(bytes(octets))
            flush_all(queue)
        assert received_uncut(uncut) == [(octets, 0)] * 5

    def test_told_error_costs_none_of_them(self) -> None:
        """The error of an earlier datagram is told instead of sending them, and once."""
        datagrams = [b"%d" % number for number in range(5)]
        assert send_after_an_error(*datagrams) == (datagrams, 1)
        assert load_batch().segment(None)

    def test_refusal_costs_none_of_them(self, receiver: socket.socket) -> None:
        """Nobody is told, all arrive, and from then on each is sent by itself: here a socket without checksums."""
        if receiver.family == socket.AF_INET6:
            receiver.setsockopt(socket.IPPROTO_UDP, UDP_NO_CHECK6_RX, 1)
        told: list[int] = []
        queue: list[Waiting] = []
        with connect_udp(*receiver.getsockname()[:2]) as connected:
            connected.setsockopt(*NO_CHECKSUMS[receiver.family])
            box = Outbox(connected, queue, is_addressed=False, told=lambda: told.append(1))
            for number in range(5):
                box.put(b"%d" % number)
            flush_all(queue)
        assert received(receiver) == [b"%d" % number for number in range(5)]
        assert (told, load_batch().segment(None)) == ([], False)

    def test_receiver_that_can_not_be_changes_nothing(self, uncut: socket.socket, sender: socket.socket) -> None:
        """Port 0 is refused with the same error, and by whom is not the kernel's inability."""
        queue: list[Waiting] = []
        box = Outbox(sender, queue, is_addressed=True)
        for _ in range(5):
            box.put(b"x", (uncut.getsockname()[0], 0))
        flush_all(queue)
        assert load_batch().segment(None)

    def test_may_be_turned_off(self, uncut: socket.socket) -> None:
        """For who captures on the same machine."""
        queue: list[Waiting] = []
        udp.choose_segmentation(wanted=False)
        with connect_udp(*uncut.getsockname()[:2]) as connected:
            box = Outbox(connected, queue, is_addressed=False)
            for _ in range(5):
                box.put(bytes(200))
            flush_all(queue)
        assert received_uncut(uncut) == [(200, 0)] * 5

    def test_many_receivers_get_what_is_theirs(self, sender: socket.socket) -> None:
        """Whoever comes and goes in the meantime: more of them than are remembered."""
        box = Outbox(sender, [], is_addressed=True)
        host = sender.getsockname()[0]
        with ExitStack() as bound:
            for number in range(600):
                own = bind_udp(host, 0) if number % 5 == 0 else None
                if own is not None:
                    bound.enter_context(own)
                box.put(b"%d" % number, own.getsockname() if own is not None else (host, 9))
                box.flush()
                if own is not None:
                    assert received(own) == [b"%d" % number]

    def test_setting_turns_it_off(self, tmp_path: Path) -> None:
        """A role does as its settings say before it opens anything."""
        script = (
            "import sys; from pathlib import Path; import biebroam_roles; from config.settings import Settings\n"
            "from radius.transport import udp\n"
            "class Told:\n"
            "    def segment(self, wanted): print(wanted)\n"
            "udp.batch = Told()\n"
            "biebroam_roles.run_roles(['proxy'], Settings(data=Path(sys.argv[1]), udp_segmentation=False), {})\n"
        )
        run = subprocess.run(
            [sys.executable, "-c", script, tmp_path / "nothing"], capture_output=True, text=True, check=True, timeout=60
        )
        assert run.stdout == "False\n"
