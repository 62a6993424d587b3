"""Two ends of a connection over loopback."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic, time

import pytest
import uvloop
from OpenSSL import SSL

from radius.errors import DropReason
from radius.transport.outbox import Waiting, flush_all
from radius.transport.tls.connection import Closing, Deadlines, Events, TlsConnection, one_by_one
from radius.transport.tls.contexts import Judge, Trust
from radius.transport.tls.identity import PeerIdentity
from tests.radius.transport.tls.members import Authority, names_of, split_records

PACKET = bytes((1, 7)) + (20).to_bytes(2) + bytes(16)
SECONDS = 5.0

pytestmark = pytest.mark.usefixtures("kind_of_records")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def server(authority: Authority) -> Trust:
    return Trust(authority.credentials(authority.issue(names_of("fed.example.org"))))


@pytest.fixture(scope="module")
def client(authority: Authority) -> Trust:
    return Trust(authority.credentials(authority.issue(names_of("ap.lib.example"))))


@dataclass
class End:
    """What one end has seen."""

    verdict: DropReason | None = None
    packets: list[bytes] = field(default_factory=list[bytes])
    closings: list[Closing] = field(default_factory=list[Closing])
    connections: list[TlsConnection] = field(default_factory=list[TlsConnection])

    def events(self) -> Events:
        return Events(self.connections.append, one_by_one(self._take), lambda _, reason: self.closings.append(reason))

    def _take(self, _connection: TlsConnection, packet: bytes, _now: float) -> DropReason | None:
        self.packets.append(packet)
        return self.verdict


def anybody(_identity: PeerIdentity) -> bool:
    return True


def nobody(_identity: PeerIdentity) -> bool:
    return False


def run_in_loop(test: Coroutine[None, None, None]) -> None:
    """Run it in the loop of the service's workers."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - a look now and then, once
            await asyncio.sleep(0.005)


@asynccontextmanager
async def listening(
    trust: Trust, end: End, judge: Judge = anybody, deadlines: Deadlines | None = None
) -> AsyncGenerator[int]:
    """The port of a listener; its connections are kept in `end` once they are ready."""
    loop = asyncio.get_running_loop()
    made: list[TlsConnection] = []

    def make() -> TlsConnection:
        made.append(TlsConnection(trust.accept(judge), end.events(), deadlines or Deadlines()))
        return made[-1]

    server = await loop.create_server(make, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for connection in made:
            connection.abort(Closing.BY_US)
        server.close()
        await server.wait_closed()


async def dial(trust: Trust, end: End, port: int, judge: Judge = anybody) -> TlsConnection:
    connection = TlsConnection(trust.dial(judge, "fed.example.org"), end.events(), Deadlines())
    await asyncio.get_running_loop().create_connection(lambda: connection, "127.0.0.1", port)
    return connection


def test_packets_travel_both_ways(server: Trust, client: Trust) -> None:
    """Packets sent before the handshake wait for it, and a thousand at once arrive whole and in order."""

    async def run() -> None:
        here, there = End(), End()
        sent = [bytes((1, number % 256)) + (20).to_bytes(2) + number.to_bytes(16) for number in range(1000)]
        async with listening(server, here) as port:
            connection = await dial(client, there, port)
            for packet in sent:
                assert connection.send(packet)
            await until(lambda: len(here.packets) == len(sent))
            assert here.packets == sent
            identity = here.connections[0].identity
            assert identity is not None
            assert identity.names == ("ap.lib.example",)
            here.connections[0].send(PACKET)
            await until(lambda: there.packets == [PACKET])
            connection.close()
            await until(lambda: here.closings == [Closing.BY_PEER])
            assert there.closings == [Closing.BY_US]
            assert not connection.send(PACKET)

    run_in_loop(run())


@pytest.mark.parametrize("refuses", ["server", "client"])
def test_refused_peer_gets_no_connection(server: Trust, client: Trust, refuses: str) -> None:
    """Whoever refuses the other, both ends close, and no packet is read."""

    async def run() -> None:
        here, there = End(), End()
        async with listening(server, here, nobody if refuses == "server" else anybody) as port:
            connection = await dial(client, there, port, nobody if refuses == "client" else anybody)
            connection.send(PACKET)
            await until(lambda: bool(here.closings and there.closings))
            assert here.closings == [Closing.HANDSHAKE_FAILED]
            assert not here.packets

    run_in_loop(run())


@pytest.mark.parametrize(
    ("octets", "verdict"),
    [(b"\x01\x07\x00\x13" + bytes(16), None), (b"GET / HTTP/1.1\r\n\r\n", None), (PACKET, DropReason.ATTRIBUTE_LENGTH)],
    ids=["length 19", "http", "packet that is refused"],
)
def test_malformed_costs_the_connection(
    server: Trust, client: Trust, octets: bytes, verdict: DropReason | None
) -> None:
    """After a bad Length or a malformed packet nothing that follows is read (RFC 6613 §2.6.4)."""

    async def run() -> None:
        here, there = End(verdict), End()
        async with listening(server, here) as port:
            connection = await dial(client, there, port)
            connection.send(octets + PACKET)
            await until(lambda: bool(here.closings and there.closings))
            assert here.closings == [Closing.MALFORMED]
            assert len(here.packets) == (verdict is not None)

    run_in_loop(run())


class TestDeadlines:
    def test_silence_before_the_handshake(self, server: Trust) -> None:
        """Who connects and says nothing is cut off after the handshake's time."""

        async def run() -> None:
            here = End()
            connection = TlsConnection(server.accept(anybody), here.events(), Deadlines())
            connection.check(monotonic() + 9, time())
            assert not here.closings
            connection.check(monotonic() + 11, time())
            assert here.closings == [Closing.DEADLINE]

        run_in_loop(run())

    @pytest.mark.parametrize(
        ("octets", "seconds", "is_over"),
        [
            (b"", 29, False),
            (b"", 31, True),
            (PACKET, 599, False),
            (PACKET, 601, True),
            (PACKET[:5], 9, False),
            (PACKET[:5], 11, True),
            (PACKET + PACKET[:5], 11, True),
        ],
    )
    def test_silence_after_it(
        self, server: Trust, client: Trust, octets: bytes, seconds: int, *, is_over: bool
    ) -> None:
        """A first packet within 30 s, a packet whole within 10 s of its first octet, something every 600 s."""

        async def run() -> None:
            here, there = End(), End()
            async with listening(server, here) as port:
                connection = await dial(client, there, port)
                if octets:
                    connection.send(octets)
                await until(lambda: bool(here.connections and connection.is_ready))
                await asyncio.sleep(0.05)
                here.connections[0].check(monotonic() + seconds, time())
                assert here.connections[0].is_closed is is_over

        run_in_loop(run())

    def test_certificate_ends(self, server: Trust, client: Trust) -> None:
        """A connection ends with the first certificate of its chain, on both ends."""

        async def run() -> None:
            here, there = End(), End()
            async with listening(server, here) as port:
                await dial(client, there, port)
                await until(lambda: bool(here.connections))
                identity = here.connections[0].identity
                assert identity is not None
                here.connections[0].check(monotonic(), identity.not_after - 1)
                assert not here.connections[0].is_closed
                here.connections[0].check(monotonic(), identity.not_after)
                assert here.closings == [Closing.NOT_TRUSTED]
                await until(lambda: there.closings == [Closing.BY_PEER])

        run_in_loop(run())

    def test_peer_that_does_not_read(self, server: Trust, client: Trust) -> None:
        """What waits for it is bounded: the connection ends, the memory does not."""

        async def run() -> None:
            here, there = End(), End()
            async with listening(server, here) as port:
                connection = await dial(client, there, port)
                await until(lambda: bool(here.connections and connection.is_ready))
                here.connections[0].pause_writing()
                packet = bytes((2, 1)) + (4096).to_bytes(2) + bytes(4092)
                assert all(here.connections[0].send(packet) for _ in range(256))
                assert not here.connections[0].send(packet)
                assert here.closings == [Closing.NOT_READING]

        run_in_loop(run())

    def test_peer_that_reads_too_late(self, server: Trust, client: Trust) -> None:
        """It has ten seconds to begin to read again, and then gets what waited."""

        async def run() -> None:
            here, there = End(), End()
            async with listening(server, here) as port:
                await dial(client, there, port)
                await until(lambda: bool(here.connections))
                end = here.connections[0]
                end.pause_writing()
                end.send(PACKET)
                end.check(monotonic() + 9, time())
                end.resume_writing()
                await until(lambda: there.packets == [PACKET])
                end.pause_writing()
                end.check(monotonic() + 11, time())
                assert here.closings == [Closing.NOT_READING]

        run_in_loop(run())


class TestBatches:
    """What comes at once is given at once, and what is sent in one turn travels together."""

    def test_what_one_read_brings_is_one_call(self, server: Trust, client: Trust) -> None:
        """Packets of many records that arrive together are told together, the connection counts each."""

        async def run() -> None:
            batches: list[list[bytes]] = []
            here, there = End(), End()
            events = Events(here.connections.append, lambda _, packets, __: batches.append(packets), lambda _, __: None)
            tls = client.dial(anybody, "fed.example.org")
            end = TlsConnection(server.accept(anybody), events, Deadlines())
            join(end, tls)
            for _ in range(40):
                tls.sendall(PACKET)
            end.data_received(tls.bio_read(1 << 16))
            assert batches == [[PACKET] * 40]
            assert end.received == 40
            tls.sendall(PACKET[:7])
            end.data_received(tls.bio_read(1 << 16))
            assert batches == [[PACKET] * 40]
            end.check(monotonic() + 11, time())
            assert end.is_closed  # the rest of it did not come in time
            assert not there.packets

        run_in_loop(run())

    def test_nothing_is_read_after_a_packet_that_is_refused(self, server: Trust, client: Trust) -> None:
        """The connection ends with it, though others stood behind it in the same read."""

        async def run() -> None:
            here, there = End(DropReason.ATTRIBUTE_LENGTH), End()
            async with listening(server, here) as port:
                connection = await dial(client, there, port)
                for _ in range(3):
                    connection.send(PACKET)
                await until(lambda: bool(here.closings and there.closings))
                assert here.packets == [PACKET]
                assert here.closings == [Closing.MALFORMED]

        run_in_loop(run())

    def test_connection_that_ends_in_the_middle(self, server: Trust, client: Trust) -> None:
        """Who ends the connection while it looks at a packet is given none of those behind it."""

        async def run() -> None:
            seen: list[bytes] = []

            def take(connection: TlsConnection, packet: bytes, _now: float) -> None:
                seen.append(packet)
                connection.abort(Closing.NOT_READING)

            here, there = End(), End()
            events = Events(here.connections.append, one_by_one(take), lambda _, reason: here.closings.append(reason))
            tls = client.dial(anybody, "fed.example.org")
            end = TlsConnection(server.accept(anybody), events, Deadlines())
            join(end, tls)
            for _ in range(3):
                tls.sendall(PACKET)
            tls.shutdown()
            end.data_received(tls.bio_read(1 << 16))
            assert seen == [PACKET]
            assert here.closings == [Closing.NOT_READING]
            assert not there.closings

        run_in_loop(run())

    def test_last_words_are_heard(self, server: Trust, client: Trust) -> None:
        """Packets that came with the end of the stream are given before it is told."""

        async def run() -> None:
            here = End()
            tls = client.dial(anybody, "fed.example.org")
            end = TlsConnection(server.accept(anybody), here.events(), Deadlines())
            join(end, tls)
            tls.sendall(PACKET * 2)
            tls.shutdown()
            end.data_received(tls.bio_read(1 << 16))
            assert here.packets == [PACKET] * 2
            assert here.closings == [Closing.BY_PEER]

        run_in_loop(run())

    def test_much_does_not_wait(self, server: Trust, client: Trust) -> None:
        """In a long turn each four of the largest packets are written at once, the rest at its end, all in order."""

        async def run() -> None:
            here, turn = End(), list[Waiting]()
            tls = client.dial(anybody, "fed.example.org")
            end = TlsConnection(server.accept(anybody), here.events(), Deadlines(), turn)
            wire = join(end, tls)
            sent = [bytes((2, 1)) + (4096).to_bytes(2) + number.to_bytes(4092) for number in range(9)]
            for packet in sent:
                assert end.send(packet)
            assert len(wire.written) == 2
            assert turn == [end]
            flush_all(turn)
            assert len(wire.written) == 3
            tls.bio_write(b"".join(wire.written))
            assert [tls.recv(65_536) for _ in sent] == sent

        run_in_loop(run())

    def test_turn_is_one_write(self, server: Trust, client: Trust) -> None:
        """With somebody who flushes at the end of the turn, nothing is written before, and then all of it at once."""

        async def run() -> None:
            here, turn = End(), list[Waiting]()
            tls = client.dial(anybody, "fed.example.org")
            end = TlsConnection(server.accept(anybody), here.events(), Deadlines(), turn)
            wire = join(end, tls)
            wire.written.clear()
            for _ in range(30):
                assert end.send(PACKET)
            assert turn == [end]
            assert wire.written == []
            flush_all(turn)
            assert turn == []
            (octets,) = wire.written
            tls.bio_write(octets)
            assert [tls.recv(65_536) for _ in range(30)] == [PACKET] * 30
            end.pause_writing()
            assert end.send(PACKET)
            flush_all(turn)
            assert len(wire.written) == 1  # it waits for the peer
            end.resume_writing()
            assert len(wire.written) == 2
            assert end.send(PACKET)
            end.close()
            flush_all(turn)
            assert len(wire.written) == 4  # the packet and close_notify, once

        run_in_loop(run())

    @pytest.mark.parametrize("ends_with_packet", [True, False])
    def test_tickets_go_with_the_first_packet(self, server: Trust, client: Trust, *, ends_with_packet: bool) -> None:
        """Alone they would make a FreeRADIUS wait; they may come at any time (RFC 8446 §4.6.1)."""

        async def run() -> None:
            here, turn = End(), list[Waiting]()
            tls = client.dial(anybody, "fed.example.org")
            end = TlsConnection(server.accept(anybody), here.events(), Deadlines(), turn)
            wire = join(end, tls)
            tls.sendall(PACKET)
            end.data_received(tls.bio_read(1 << 16))
            assert here.packets == [PACKET]
            assert wire.written == []
            if ends_with_packet:
                assert end.send(PACKET)
                flush_all(turn)
            else:
                end.close()
            (octets,) = wire.written
            assert len(split_records(octets)) == 3  # two tickets, and what they came with
            tls.bio_write(octets)
            if ends_with_packet:
                assert tls.recv(65_536) == PACKET
                assert end.send(PACKET)
                flush_all(turn)
                assert len(split_records(wire.written[1])) == 1
            else:
                with pytest.raises(SSL.ZeroReturnError):
                    tls.recv(1)

        run_in_loop(run())


class Wire(asyncio.Transport):
    """A network that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


def join(end: TlsConnection, tls: SSL.Connection) -> Wire:
    """The end's handshake with that other end is done."""
    wire = Wire()
    end.connection_made(wire)
    while not end.is_ready:
        with suppress(SSL.WantReadError):
            tls.do_handshake()
        with suppress(SSL.WantReadError):
            end.data_received(tls.bio_read(1 << 16))
        for octets in wire.written:
            tls.bio_write(octets)
        wire.written.clear()
    return wire
