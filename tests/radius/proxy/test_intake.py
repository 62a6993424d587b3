"""What a worker does with more than it can do: in memory, and on real sockets of the loopback."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from ipaddress import ip_network
from time import monotonic

import pytest

from federation.snapshot import Snapshot
from radius.errors import DropReason
from radius.exchange.admission import MAX_WAIT_SECONDS
from radius.proxy.intake import SLICE, make_intake
from radius.proxy.service import ProxyService, ProxySockets
from radius.transport import backlog
from radius.transport.outbox import MAX_WAITING
from radius.transport.udp import DATAGRAMS_PER_WAKE_UP, bind_udp, connect_udp
from radius.wire.authenticators import sign_request
from radius.wire.codes import AttributeType, Code
from radius.wire.packet import build_attribute
from tests.radius.proxy.world import (
    ACCESS_POINT,
    AP,
    AP_ADDRESS,
    OTHER_PROXY,
    PROXY,
    World,
    access_request,
    eap,
    home_server,
    make_snapshot,
    parse,
    respond,
)

STATE = build_attribute(AttributeType.STATE, b"round 2")


class TestIntake:
    def test_round_of_a_conversation_overtakes_new_requests(self) -> None:
        """The State that was relayed in an Access-Challenge comes back, and goes first."""
        world = World(make_snapshot())
        world.send(access_request())
        flow, forwarded = world.forward_one()
        world.answer(flow, respond(forwarded, Code.ACCESS_CHALLENGE, STATE + eap()))
        intake = make_intake(world.engine)
        for number in range(3):
            octets = access_request(identifier=number, authenticator=b"n" * 16)
            intake.put(world.listener, octets, AP_ADDRESS, world.now)
        intake.put(world.listener, access_request(eap() + STATE, identifier=9), AP_ADDRESS, world.now)
        intake.work_off(world.now)
        first = parse(world.take_forwarded()[0][1])
        assert first.value_of(AttributeType.STATE) == b"round 2"
        assert len(intake) == 0

    def test_unknown_client_takes_no_place(self) -> None:
        """It would get no answer anyway (RFC 2865 §3)."""
        world = World(make_snapshot())
        intake = make_intake(world.engine)
        intake.put(world.listener, access_request(), ("192.168.0.1", 1), world.now)
        assert len(intake) == 0
        assert world.notices.drops == {DropReason.UNKNOWN_CLIENT: 1}

    def test_what_waited_too_long_is_dropped_with_its_reason(self) -> None:
        """The client repeats it; it would be answered too late."""
        world = World(make_snapshot())
        intake = make_intake(world.engine)
        intake.put(world.listener, access_request(), AP_ADDRESS, world.now)
        intake.work_off(world.now + MAX_WAIT_SECONDS + 0.1)
        assert world.notices.drops == {DropReason.WAITED_TOO_LONG: 1}
        assert world.take_forwarded() == []

    def test_status_server_beyond_a_few_is_dropped_with_its_reason(self) -> None:
        """The others of the same client are answered."""
        world = World(make_snapshot())
        intake = make_intake(world.engine)
        for number in range(6):
            octets = sign_request(Code.STATUS_SERVER, number, number.to_bytes(16), b"", AP)
            intake.put(world.listener, octets, AP_ADDRESS, world.now)
        intake.work_off(world.now)
        assert world.notices.drops == {DropReason.RATE_LIMITED: 2}
        assert [octets[0] for octets in world.take_answers()] == [Code.ACCESS_ACCEPT] * 4

    def test_work_is_done_in_slices(self) -> None:
        """Between two of them the answers of home servers are read."""
        world = World(make_snapshot())
        intake = make_intake(world.engine)
        for number in range(SLICE + 5):
            intake.put(world.listener, access_request(identifier=number), AP_ADDRESS, world.now)
        intake.work_off(world.now)
        assert len(intake) == 5


class Flooded:
    """A proxy whose home server is a socket, and what its two clients have sent before it first looks."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.home = stack.enter_context(bind_udp("127.0.0.1", 0))
        self.listener = stack.enter_context(bind_udp("127.0.0.1", 0))
        port = self.listener.getsockname()[1]
        self.flooder = stack.enter_context(connect_udp("127.0.0.1", port))
        self.other = stack.enter_context(connect_udp("127.0.0.1", port, source="127.0.0.2"))
        self.service = ProxyService(ProxySockets([self.listener]), loop_key=b"k" * 32)
        self.service.swap(self._snapshot())
        self.seen: dict[bytes, None] = {}  # in order
        stack.push_async_callback(self.service.stop, 0.0)

    def _snapshot(self) -> Snapshot:
        server = replace(home_server(host="127.0.0.1"), port=self.home.getsockname()[1])
        clients = (
            replace(ACCESS_POINT, networks=(ip_network("127.0.0.1"),)),
            replace(OTHER_PROXY, networks=(ip_network("127.0.0.2"),)),
        )
        return make_snapshot(server, clients=clients)

    def flood(self, count: int) -> None:
        """New requests, each with another identifier or authenticator."""
        for number in range(count):
            self.flooder.send(access_request(identifier=number % 256, authenticator=number.to_bytes(16)))

    def ask(self, count: int) -> None:
        """New requests of the other client."""
        for number in range(count):
            self.other.send(access_request(identifier=number, authenticator=number.to_bytes(16), keyed=PROXY))

    def read_home(self) -> None:
        """The home server answers everything once: on a slow machine the proxy asks a second time meanwhile."""
        while True:
            try:
                octets, address = self.home.recvfrom(4096)
            except BlockingIOError:
                return
            if octets[0] == Code.ACCESS_REQUEST and octets not in self.seen:
                self.seen[octets] = None
                self.home.sendto(respond(parse(octets)), address)

    def answers_to(self, client: socket.socket) -> int:
        """How many answers wait at the client."""
        count = 0
        while True:
            try:
                client.recv(4096)
            except BlockingIOError:
                return count
            count += 1


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until the condition holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in sockets
            await asyncio.sleep(0.01)


class TestOverload:
    @pytest.mark.usefixtures("patient")
    async def test_flood_of_one_client_does_not_keep_another_waiting(self) -> None:
        """Requests that came behind four hundred of another client go out among the first, and all are answered."""
        async with AsyncExitStack() as stack:
            flooded = Flooded(stack)
            flooded.flood(400)
            flooded.ask(20)
            flooded.service.start()
            asyncio.get_running_loop().add_reader(flooded.home, flooded.read_home)
            stack.callback(asyncio.get_running_loop().remove_reader, flooded.home)
            await until(lambda: len(flooded.seen) == 420)
            operators = [parse(octets).value_of(AttributeType.OPERATOR_NAME) for octets in flooded.seen]
            places = [place for place, name in enumerate(operators) if name == b"1other.example"]
            assert len(places) == 20
            # Behind one portion that was read at once, and in the next, which leaves together and in any order.
            assert max(places) < 2 * MAX_WAITING
            await until(lambda: flooded.service.notices.answers["access_accept"] == 420)
            assert flooded.answers_to(flooded.other) == 20

    @pytest.mark.usefixtures("patient")
    async def test_nothing_is_dropped_of_a_burst_that_is_worked_off_in_time(self) -> None:
        """A backlog is no reason to lose what can still be answered."""
        async with AsyncExitStack() as stack:
            flooded = Flooded(stack)
            flooded.flood(250)
            flooded.service.start()
            asyncio.get_running_loop().add_reader(flooded.home, flooded.read_home)
            stack.callback(asyncio.get_running_loop().remove_reader, flooded.home)
            await until(lambda: flooded.service.notices.answers["access_accept"] == 250)
            assert flooded.answers_to(flooded.flooder) == 250
            assert flooded.service.notices.drops == {}

    async def test_request_of_a_worker_that_was_held_up_is_dropped_when_it_is_too_old(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The portion that was read at once is answered; of the rest nobody waits any more, and it is counted."""
        late = MAX_WAIT_SECONDS + 0.5
        monkeypatch.setattr(backlog, "monotonic", lambda: monotonic() + late)
        async with AsyncExitStack() as stack:
            flooded = Flooded(stack)
            flooded.flood(200)
            flooded.service.start()
            asyncio.get_running_loop().add_reader(flooded.home, flooded.read_home)
            stack.callback(asyncio.get_running_loop().remove_reader, flooded.home)
            await until(lambda: len(flooded.seen) + flooded.service.notices.drops.total() == 200)
            assert len(flooded.seen) == DATAGRAMS_PER_WAKE_UP
            assert flooded.service.notices.drops == {DropReason.WAITED_TOO_LONG: 200 - DATAGRAMS_PER_WAKE_UP}
