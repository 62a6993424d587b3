"""A source port survives the absences of its home server, in both event loops and with both readers."""

import asyncio
import socket
import weakref
from collections.abc import Callable
from contextlib import ExitStack

import pytest
import uvloop

from radius.transport import udp
from radius.transport.flows import UdpFlow
from radius.transport.outbox import Waiting, flush_all
from radius.transport.udp import Address, bind_udp, connect_udp, make_flow_reader
from tests.radius.wire.kernels import HAS_COMPILER, load_batch
from tests.support.cycles import without_collector
from tests.support.processes import free_port

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Runs a coroutine in one event loop and the other."""

    def in_loop(main: Callable[[], object]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(main())  # type: ignore[arg-type] - a coroutine

    return in_loop


@pytest.fixture(params=["one by one", "batch"], autouse=True)
def readers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs with the native reader of many datagrams and without."""
    if request.param == "batch" and not HAS_COMPILER:
        pytest.skip("the native reader is optional; it needs gcc and python3-dev")
    monkeypatch.setattr(udp, "batch", load_batch() if request.param == "batch" else None)


QUEUE: list[Waiting] = []


def ask(flow: UdpFlow, octets: bytes = b"question") -> None:
    """One turn of a loop in which something is sent."""
    assert flow.send(octets)
    flush_all(QUEUE)


def open_flow(port: int) -> tuple[UdpFlow, asyncio.Queue[bytes], Address]:
    """A flow in the running loop, what comes to it, and where its peer knows it from."""
    connected = connect_udp("127.0.0.1", port)
    flow = UdpFlow(connected, asyncio.get_running_loop(), QUEUE)
    came: asyncio.Queue[bytes] = asyncio.Queue()
    flow.watch(make_flow_reader(connected, lambda datagram, _now: came.put_nowait(datagram), flow.watch_again))
    return flow, came, connected.getsockname()


async def answer(home: socket.socket, flow: UdpFlow, came: asyncio.Queue[bytes]) -> bytes:
    """What the flow hears when the home server answers it."""
    ask(flow)
    async with asyncio.timeout(5):
        while True:
            try:
                datagram, sender = home.recvfrom(100)
            except BlockingIOError:
                await asyncio.sleep(0.01)
            else:
                home.sendto(b"answer to " + datagram, sender)
                return await came.get()


class TestHomeServerThatWasAway:
    @pytest.mark.parametrize("tries", [1, 3])
    def test_is_heard_when_it_is_back(self, run: Callable[..., None], tries: int) -> None:
        """Each refusal through ICMP is an error at the socket; libuv gives a socket up at the first one."""

        async def main() -> None:
            port = free_port()
            flow, came, _ = open_flow(port)
            for _ in range(tries):
                ask(flow, b"nobody there")
                await asyncio.sleep(0.02)  # the loop is told
            with bind_udp("127.0.0.1", port) as home:
                assert await answer(home, flow, came) == b"answer to question"
            flow.close()

        run(main)

    @pytest.mark.parametrize("answers_at_once", [False, True])
    def test_is_heard_when_the_sender_was_told_of_the_error(
        self, run: Callable[..., None], *, answers_at_once: bool
    ) -> None:
        """Between the loop's wake-up and the reader a request may go out: it takes the error away from the reader."""

        async def main() -> None:
            port = free_port()
            flow, came, _ = open_flow(port)
            loop = asyncio.get_running_loop()
            with ExitStack() as stack:
                waker, awake = (stack.enter_context(each) for each in socket.socketpair())
                homes: list[socket.socket] = []

                def send() -> None:
                    loop.remove_reader(awake)
                    homes.append(stack.enter_context(bind_udp("127.0.0.1", port)))
                    ask(flow, b"first")
                    if answers_at_once:
                        homes[0].sendto(b"answer", homes[0].recvfrom(100)[1])

                loop.add_reader(awake, send)
                await asyncio.sleep(0.02)
                waker.send(b".")  # the loop finds this first, and then the error
                ask(flow, b"nobody there")
                await asyncio.sleep(0.02)
                if answers_at_once:
                    assert await came.get() == b"answer"
                else:
                    homes[0].recvfrom(100)
                assert await answer(homes[0], flow, came) == b"answer to question"
            flow.close()

        run(main)

    def test_answer_behind_the_error_is_heard(self, run: Callable[..., None]) -> None:
        """An answer that came before the loop looked is read after the error."""

        async def main() -> None:
            port = free_port()
            flow, came, address = open_flow(port)
            ask(flow, b"nobody there")  # the error is there at once on loopback
            with bind_udp("127.0.0.1", port) as home:
                home.sendto(b"late", address)
                async with asyncio.timeout(5):
                    assert await came.get() == b"late"
                assert await answer(home, flow, came) == b"answer to question"
            flow.close()

        run(main)


class TestClosedFlow:
    def test_is_watched_no_more(self, run: Callable[..., None]) -> None:
        """Closed between the error and the new watch, it stays closed."""

        async def main() -> None:
            flow, _, _ = open_flow(free_port())
            ask(flow, b"nobody there")
            flow.watch_again()
            flow.close()
            await asyncio.sleep(0.02)

        run(main)

    def test_leaves_no_garbage(self, run: Callable[..., None]) -> None:
        """Ports come and go: a closed one is let go of at once, and does not wait for the collector."""

        async def main() -> None:
            flow, _, _ = open_flow(free_port())
            ask(flow)
            socket_of = weakref.ref(flow.udp)
            flow.close()
            del flow
            await asyncio.sleep(0.02)  # the loop has forgotten the reader
            assert socket_of() is None

        with without_collector():
            run(main)
