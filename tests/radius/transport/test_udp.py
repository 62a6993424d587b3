"""Sockets that are drained a bounded number of datagrams at a time."""

import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from time import monotonic, time

import pytest

from radius.transport import udp
from radius.transport.udp import (
    DATAGRAMS_PER_WAKE_UP,
    Address,
    ask_for_buffer,
    bind_udp,
    connect_udp,
    make_aged_reader,
    make_flow_reader,
    make_reader,
    stamp_arrivals,
)
from tests.radius.wire.kernels import HAS_COMPILER, load_batch
from tests.support.processes import free_port


@pytest.fixture(params=["one by one", "batch"], autouse=True)
def readers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs with the native reader of many datagrams and without."""
    if request.param == "batch":
        if not HAS_COMPILER:
            pytest.skip("the native reader is optional; it needs gcc and python3-dev")
        monkeypatch.setattr(udp, "batch", load_batch())
    else:
        monkeypatch.setattr(udp, "batch", None)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


class TestBind:
    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    def test_datagram_arrives_with_its_sender(self, stack: ExitStack, host: str) -> None:
        """Both families, non-blocking."""
        listener = stack.enter_context(bind_udp(host, 0))
        client = stack.enter_context(connect_udp(host, listener.getsockname()[1]))
        assert not listener.getblocking()
        client.send(b"octets")
        got: list[tuple[bytes, Address]] = []
        make_reader(listener, lambda datagram, address, _now: got.append((datagram, address)))()
        ((datagram, address),) = got
        assert datagram == b"octets"
        assert address == client.getsockname()

    def test_both_families_have_sockets_of_their_own(self, stack: ExitStack) -> None:
        """One port can be bound for each of IPv4 and IPv6."""
        first = stack.enter_context(bind_udp("0.0.0.0", 0))
        second = stack.enter_context(bind_udp("::", first.getsockname()[1]))
        assert second.getsockname()[1] == first.getsockname()[1]

    def test_shared_port_is_shared_by_wish_only(self, stack: ExitStack) -> None:
        """Workers share a port with SO_REUSEPORT; without it the second is an error that names the address in use."""
        first = stack.enter_context(bind_udp("127.0.0.1", 0, reuse_port=True))
        port = first.getsockname()[1]
        stack.enter_context(bind_udp("127.0.0.1", port, reuse_port=True))
        with pytest.raises(OSError, match="in use"):
            bind_udp("127.0.0.1", port)


class TestConnect:
    def test_flow_hears_from_its_peer_only(self, stack: ExitStack) -> None:
        """A datagram of anybody else never reaches the program."""
        peer = stack.enter_context(bind_udp("127.0.0.1", 0))
        other = stack.enter_context(bind_udp("127.0.0.1", 0))
        flow = stack.enter_context(connect_udp("127.0.0.1", peer.getsockname()[1], source="127.0.0.1"))
        other.sendto(b"forged", flow.getsockname())
        peer.sendto(b"right", flow.getsockname())
        got: list[bytes] = []
        make_flow_reader(flow, lambda datagram, _now: got.append(datagram))()
        assert got == [b"right"]

    def test_address_that_is_not_ours_is_an_error(self) -> None:
        """And no socket is left open."""
        with pytest.raises(OSError, match="assign"):
            connect_udp("127.0.0.1", 9, source="192.0.2.1")

    def test_refused_peer_is_no_error_of_the_reader(self, stack: ExitStack) -> None:
        """Anybody can send an ICMP message: it is not heard."""
        flow = stack.enter_context(connect_udp("127.0.0.1", free_port()))
        flow.send(b"octets")
        make_flow_reader(flow, lambda _datagram, _now: None)()


class TestReader:
    def test_flood_is_taken_in_portions(self, stack: ExitStack) -> None:
        """One wake-up takes a bounded number, so that other sockets have their turn."""
        listener = stack.enter_context(bind_udp("127.0.0.1", 0))
        client = stack.enter_context(connect_udp("127.0.0.1", listener.getsockname()[1]))
        for number in range(DATAGRAMS_PER_WAKE_UP + 10):
            client.send(b"%d" % number)
        got: list[bytes] = []
        read = make_reader(listener, lambda datagram, _address, _now: got.append(datagram))
        assert read()  # more may wait
        assert len(got) == DATAGRAMS_PER_WAKE_UP
        assert not read()
        assert got == [b"%d" % number for number in range(DATAGRAMS_PER_WAKE_UP + 10)]

    def test_flow_flood_is_taken_in_portions(self, stack: ExitStack) -> None:
        """The same for answers."""
        peer = stack.enter_context(bind_udp("127.0.0.1", 0))
        flow = stack.enter_context(connect_udp("127.0.0.1", peer.getsockname()[1]))
        for _ in range(DATAGRAMS_PER_WAKE_UP + 10):
            peer.sendto(b"octets", flow.getsockname())
        got: list[bytes] = []
        read = make_flow_reader(flow, lambda datagram, _now: got.append(datagram))
        read()
        assert len(got) == DATAGRAMS_PER_WAKE_UP

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    def test_senders_are_told_apart(self, stack: ExitStack, host: str) -> None:
        """Each datagram comes with the address of its own sender, also one that came before."""
        listener = stack.enter_context(bind_udp(host, 0))
        clients = [stack.enter_context(connect_udp(host, listener.getsockname()[1])) for _ in range(3)]
        for client in (*clients, clients[0]):
            client.send(b"octets")
        got: list[Address] = []
        make_reader(listener, lambda _datagram, address, _now: got.append(address))()
        assert got == [client.getsockname() for client in (*clients, clients[0])]

    def test_empty_and_large_datagrams_arrive_whole(self, stack: ExitStack) -> None:
        """No octet is lost up to one more than a packet may have; what is beyond is nobody's (RFC 2865 §3)."""
        listener = stack.enter_context(bind_udp("127.0.0.1", 0))
        client = stack.enter_context(connect_udp("127.0.0.1", listener.getsockname()[1]))
        for size in (0, 1, 4096, 4097, 9000):
            client.send(b"x" * size)
        got: list[bytes] = []
        make_reader(listener, lambda datagram, _address, _now: got.append(datagram))()
        assert [len(datagram) for datagram in got] == [0, 1, 4096, 4097, 4097]

    def test_bug_costs_one_datagram(self, stack: ExitStack) -> None:
        """What is raised for one is seen at the top of the loop; those behind it are handed on."""
        listener = stack.enter_context(bind_udp("127.0.0.1", 0))
        client = stack.enter_context(connect_udp("127.0.0.1", listener.getsockname()[1]))
        for octets in (b"first", b"bad", b"last"):
            client.send(octets)
        got: list[bytes] = []

        def receive(datagram: bytes) -> None:
            got.append(datagram)
            if datagram == b"bad":
                raise ValueError(datagram)

        read = make_reader(listener, lambda datagram, _address, _now: receive(datagram))
        with pytest.raises(ValueError, match="bad"):
            read()
        read()
        assert got == [b"first", b"bad", b"last"]

    def test_bug_costs_one_answer(self, stack: ExitStack) -> None:
        """The same on a connected socket."""
        peer = stack.enter_context(bind_udp("127.0.0.1", 0))
        flow = stack.enter_context(connect_udp("127.0.0.1", peer.getsockname()[1]))
        for octets in (b"bad", b"last"):
            peer.sendto(octets, flow.getsockname())
        got: list[bytes] = []

        def receive(datagram: bytes) -> None:
            got.append(datagram)
            if datagram == b"bad":
                raise ValueError(datagram)

        read = make_flow_reader(flow, lambda datagram, _now: receive(datagram))
        with pytest.raises(ValueError, match="bad"):
            read()
        read()
        assert got == [b"bad", b"last"]

    def test_burst_of_a_thousand_waits_in_the_buffer(self, stack: ExitStack) -> None:
        """The kernel's usual buffer loses the end of a burst of 256 requests."""
        listener = stack.enter_context(bind_udp("127.0.0.1", 0))
        if listener.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) < 4 << 20:
            return  # this machine gives less, and the next test looks at the warning
        client = stack.enter_context(connect_udp("127.0.0.1", listener.getsockname()[1]))
        for _ in range(1000):
            client.send(bytes(300))
        got: list[bytes] = []
        read = make_reader(listener, lambda datagram, _address, _now: got.append(datagram))
        for _ in range(20):
            read()
        assert len(got) == 1000


class TestAgedReader:
    def test_time_is_when_the_datagram_came(self, stack: ExitStack) -> None:
        """And not when it was read: a worker that was held up knows what is too old to be answered."""
        listener = stack.enter_context(bind_udp("127.0.0.1", 0))
        stamp_arrivals(listener)
        client = stack.enter_context(connect_udp("127.0.0.1", listener.getsockname()[1]))
        got: list[tuple[bytes, Address, float]] = []
        read = make_aged_reader(listener, lambda octets, address, came_at: got.append((octets, address, came_at)))
        for _ in range(100):  # the kernel begins to note the times a moment after it was asked to
            before = monotonic()
            client.send(b"octets")
            after = monotonic()
            while monotonic() < after + 0.03:
                pass
            read()
            datagram, address, arrived_at = got.pop()
            assert (datagram, address) == (b"octets", client.getsockname())
            if before - 0.01 <= arrived_at <= after + 0.01:  # two clocks, read one after the other
                return
        pytest.fail("the time is when it was read")

    def test_datagram_without_a_stamp_is_new(self, stack: ExitStack) -> None:
        """Where the kernel does not say when it came, it came now."""
        listener = stack.enter_context(bind_udp("127.0.0.1", 0))
        client = stack.enter_context(connect_udp("127.0.0.1", listener.getsockname()[1]))
        client.send(b"octets")
        before = monotonic()
        got: list[float] = []
        make_aged_reader(listener, lambda _datagram, _address, arrived_at: got.append(arrived_at))()
        assert got[0] >= before

    def test_wall_clock_that_was_set_makes_nothing_old(self, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
        """A jump of a day is no wait of a day."""
        monkeypatch.setattr(udp, "time", lambda: time() + 86_400.0)
        monkeypatch.setattr(udp, "batch", None)  # it asks the kernel's clock itself
        listener = stack.enter_context(bind_udp("127.0.0.1", 0))
        stamp_arrivals(listener)
        client = stack.enter_context(connect_udp("127.0.0.1", listener.getsockname()[1]))
        client.send(b"octets")
        before = monotonic()
        got: list[float] = []
        make_aged_reader(listener, lambda _datagram, _address, arrived_at: got.append(arrived_at))()
        assert got[0] >= before

    def test_wall_clock_that_is_set_while_it_waits(self, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two seconds ahead are no wait of two seconds, after which nobody would be answered."""
        monkeypatch.setattr(udp, "batch", None)  # it asks the kernel's clock itself
        listener = stack.enter_context(bind_udp("127.0.0.1", 0))
        stamp_arrivals(listener)
        client = stack.enter_context(connect_udp("127.0.0.1", listener.getsockname()[1]))
        got: list[float] = []
        read = make_aged_reader(listener, lambda _datagram, _address, arrived_at: got.append(arrived_at))
        for _ in range(100):  # the kernel begins to note the times a moment after it was asked to
            monkeypatch.setattr(udp, "time", time)
            read()
            before = monotonic()
            client.send(b"octets")
            while monotonic() < before + 0.01:
                pass
            monkeypatch.setattr(udp, "time", lambda: time() + 2.0)
            read()
            assert before - 0.01 <= got[-1]
            if got[-1] <= before + 0.005:  # it was noted
                return
        pytest.fail("the time is when it was read")

    def test_flood_is_taken_in_portions(self, stack: ExitStack) -> None:
        """It says whether more may wait, as the other reader does."""
        listener = stack.enter_context(bind_udp("127.0.0.1", 0))
        client = stack.enter_context(connect_udp("127.0.0.1", listener.getsockname()[1]))
        for number in range(DATAGRAMS_PER_WAKE_UP + 10):
            client.send(b"%d" % number)
        got: list[bytes] = []
        read = make_aged_reader(listener, lambda datagram, _address, _arrived_at: got.append(datagram))
        assert [read(), read()] == [True, False]
        assert got == [b"%d" % number for number in range(DATAGRAMS_PER_WAKE_UP + 10)]


class TestBuffer:
    def test_smaller_buffer_than_asked_for_is_a_warning_with_its_remedy(
        self, stack: ExitStack, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An operator can do something about it."""
        plain = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        with caplog.at_level(logging.WARNING):
            given = ask_for_buffer(plain, 1 << 30)
        if given < 1 << 30:
            (record,) = caplog.records
            assert record.message == "receive_buffer_small"
            assert "rmem_max" in vars(record)["remedy"]
        else:
            assert caplog.records == []
