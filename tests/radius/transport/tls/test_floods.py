"""Records that carry no packets, one after the other: they cost the connection that they come by, and little else.

All are made by hand (`hand_made`), since no library lets a good peer make them; each towards a connection that came in
and towards one that we dialled. What OpenSSL itself refuses is here too: that it goes on doing so is what we rely on.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from time import monotonic, time
from typing import cast

import pytest
from OpenSSL import SSL

from radius.transport.outbox import Waiting
from radius.transport.tls.connection import (
    FORGIVEN_OCTETS,
    MAX_QUEUED_OCTETS,
    MAX_WASTE_OCTETS,
    Closing,
    Deadlines,
    Events,
    TlsConnection,
    one_by_one,
)
from radius.transport.tls.contexts import Credentials, Trust
from tests.radius.transport.tls.hand_made import (
    CERTIFICATE_REQUEST,
    CLIENT_HELLO,
    HELLO_REQUEST,
    KEY_UPDATE,
    KEY_UPDATE_FOR_BOTH,
    NEW_SESSION_TICKET,
    NO_RENEGOTIATION,
    USER_CANCELED,
    Content,
    HandMadeEnd,
)
from tests.radius.transport.tls.members import Authority, names_of, split_records

PACKET = bytes((1, 7)) + (20).to_bytes(2) + bytes(16)
LARGEST = bytes((1, 7)) + (4096).to_bytes(2) + bytes(4092)
READ_OCTETS = 16_384  # what comes at once

pytestmark = pytest.mark.usefixtures("kind_of_records")


@pytest.fixture(scope="module")
def members() -> tuple[Credentials, Credentials]:
    """A server's credentials, and a client's."""
    authority = Authority()
    server, client = authority.issue(names_of("fed.example.org")), authority.issue(names_of("ap.lib.example"))
    return authority.credentials(server), authority.credentials(client)


class Wire(asyncio.Transport):
    """What a connection writes to: it keeps the octets until somebody reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.octets = bytearray()
        self.written = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.octets += data
        self.written += len(data)

    def get_write_buffer_size(self) -> int:
        return len(self.octets)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass

    def read(self) -> bytes:
        taken = bytes(self.octets)
        self.octets.clear()
        return taken


@dataclass
class Meeting:
    """A connection of ours, and the hand-made other end."""

    ours: TlsConnection
    theirs: HandMadeEnd
    wire: Wire
    packets: list[bytes]
    closings: list[Closing]
    fed: int = 0

    def feed(self, made: Iterator[bytes], most: int) -> None:
        """Give it what is made, as much at once as a read brings, until it has closed or had the most octets."""
        while self.fed < most and not self.ours.is_closed:
            read = bytearray()
            while len(read) < READ_OCTETS:
                read += next(made)
            self.fed += len(read)
            self.ours.data_received(bytes(read))

    def repeat(self, content: Content, octets: bytes) -> Iterator[bytes]:
        while True:
            yield self.theirs.make(content, octets)


@dataclass(frozen=True)
class Ends:
    members: tuple[Credentials, Credentials]

    def meet(self, *, dialled: bool, is_1_3: bool) -> Meeting:
        """Our end is one that we dialled, or one that came in."""
        server, client = self.members
        theirs = HandMadeEnd(server if dialled else client, is_server=dialled, is_1_3=is_1_3)
        trust = Trust(client if dialled else server)
        tls = trust.dial(lambda _: True, "fed.example.org") if dialled else trust.accept(lambda _: True)
        packets: list[bytes] = []
        closings: list[Closing] = []
        events = Events(
            lambda _: None,
            one_by_one(lambda _, packet, __: packets.append(packet)),
            lambda _, reason: closings.append(reason),
        )
        ours, wire = TlsConnection(tls, events, Deadlines(), list[Waiting]()), Wire()
        ours.connection_made(wire)
        while not (theirs.receive(wire.read()) and ours.is_ready):
            said = theirs.take()
            if said:
                ours.data_received(said)
        left = theirs.take()
        if left:
            ours.data_received(left)
        theirs.take_over()
        ours.send(PACKET)  # with it go a server's tickets
        ours.flush()
        wire.read()
        wire.written = 0
        return Meeting(ours, theirs, wire, packets, closings)


@pytest.fixture
def ends(members: tuple[Credentials, Credentials]) -> Ends:
    return Ends(members)


def in_loop(test: Callable[[], None]) -> None:
    async def run() -> None:
        test()

    with asyncio.Runner() as runner:
        runner.run(cast("Coroutine[None, None, None]", run()))


# What OpenSSL lets a peer send without end: its content, whether to a dialled end, and in TLS 1.3.
UNBOUNDED = {
    "KeyUpdate from a client": (Content.HANDSHAKE, KEY_UPDATE, False, True),
    "KeyUpdate from a server": (Content.HANDSHAKE, KEY_UPDATE, True, True),
    "KeyUpdate from a client, and ours": (Content.HANDSHAKE, KEY_UPDATE_FOR_BOTH, False, True),
    "KeyUpdate from a server, and ours": (Content.HANDSHAKE, KEY_UPDATE_FOR_BOTH, True, True),
    "tickets": (Content.HANDSHAKE, NEW_SESSION_TICKET, True, True),
    "HelloRequest": (Content.HANDSHAKE, HELLO_REQUEST, True, False),
    "ClientHello": (Content.HANDSHAKE, CLIENT_HELLO, False, False),
}
# What it refuses: at once, or after a few.
REFUSED = {
    "CertificateRequest": (Content.HANDSHAKE, CERTIFICATE_REQUEST, 1, True, True),
    "CertificateRequest from a client": (Content.HANDSHAKE, CERTIFICATE_REQUEST, 1, False, True),
    "empty records from a client": (Content.APPLICATION, b"", 33, False, True),
    "empty records from a server": (Content.APPLICATION, b"", 33, True, True),
    "empty records, TLS 1.2": (Content.APPLICATION, b"", 33, False, False),
    "empty records of a handshake": (Content.HANDSHAKE, b"", 1, False, True),
    "warnings from a client": (Content.ALERT, USER_CANCELED, 5, False, True),
    "warnings from a server": (Content.ALERT, USER_CANCELED, 5, True, True),
    "warnings, TLS 1.2": (Content.ALERT, USER_CANCELED, 5, False, False),
    "no_renegotiation": (Content.ALERT, NO_RENEGOTIATION, 1, False, False),
    "HelloRequest from a client": (Content.HANDSHAKE, HELLO_REQUEST, 1, False, False),
}


class TestUnbounded:
    @pytest.mark.parametrize(("content", "octets", "dialled", "is_1_3"), UNBOUNDED.values(), ids=UNBOUNDED)
    def test_flood_ends_its_connection(
        self, ends: Ends, content: Content, octets: bytes, *, dialled: bool, is_1_3: bool
    ) -> None:
        """A bound to what came in, and no more goes out than came in."""

        def run() -> None:
            meeting = ends.meet(dialled=dialled, is_1_3=is_1_3)
            meeting.feed(meeting.repeat(content, octets), 2 * MAX_WASTE_OCTETS)
            assert meeting.closings == [Closing.NO_PACKETS]
            assert meeting.fed <= MAX_WASTE_OCTETS + 2 * READ_OCTETS
            assert meeting.wire.written <= meeting.fed

        in_loop(run)

    @pytest.mark.parametrize(("content", "octets", "dialled", "is_1_3"), UNBOUNDED.values(), ids=UNBOUNDED)
    def test_one_of_them_costs_nothing(
        self, ends: Ends, content: Content, octets: bytes, *, dialled: bool, is_1_3: bool
    ) -> None:
        """TLS goes on, and so do packets, under the new keys or the old (RFC 8446 §4.6.3, RFC 9325 §3.5)."""

        def run() -> None:
            meeting = ends.meet(dialled=dialled, is_1_3=is_1_3)
            for _ in range(3):
                meeting.ours.data_received(meeting.theirs.make(content, octets))
                meeting.ours.data_received(meeting.theirs.make(Content.APPLICATION, PACKET))
            assert meeting.packets == [PACKET] * 3
            assert not meeting.closings

        in_loop(run)

    def test_our_keys_change_before_our_next_packet(self, ends: Ends) -> None:
        """That is when a peer that has asked for it has to see it (RFC 8446 §4.6.3)."""

        def run() -> None:
            meeting = ends.meet(dialled=False, is_1_3=True)
            meeting.ours.data_received(meeting.theirs.make(Content.HANDSHAKE, KEY_UPDATE_FOR_BOTH))
            meeting.ours.send(PACKET)
            meeting.ours.flush()
            update, packet = split_records(meeting.wire.read())
            assert (len(update), len(packet)) == (5 + 5 + 17, 5 + 20 + 17)

        in_loop(run)

    def test_packets_between_them_buy_little(self, ends: Ends) -> None:
        """A packet now and then is no reason to be let go on."""

        def run() -> None:
            meeting = ends.meet(dialled=False, is_1_3=True)

            def flood() -> Iterator[bytes]:
                while True:
                    yield meeting.theirs.make(Content.APPLICATION, PACKET)
                    for _ in range(10):
                        yield meeting.theirs.make(Content.HANDSHAKE, KEY_UPDATE)

            meeting.feed(flood(), 4 * MAX_WASTE_OCTETS)
            assert meeting.closings == [Closing.NO_PACKETS]
            assert meeting.fed < 2 * MAX_WASTE_OCTETS

        in_loop(run)

    def test_what_tls_says_to_who_does_not_read_is_bounded(self, ends: Ends) -> None:
        """Our own KeyUpdates are no packets that could wait in the queue: a bound holds for them too."""

        def run() -> None:
            meeting = ends.meet(dialled=False, is_1_3=True)
            meeting.ours.pause_writing()

            def flood() -> Iterator[bytes]:
                while True:
                    yield meeting.theirs.make(Content.APPLICATION, LARGEST)
                    for _ in range(300):
                        yield meeting.theirs.make(Content.HANDSHAKE, KEY_UPDATE_FOR_BOTH)

            meeting.feed(flood(), 4 * MAX_QUEUED_OCTETS)
            assert meeting.closings == [Closing.NOT_READING]
            assert len(meeting.wire.octets) < MAX_QUEUED_OCTETS + 2 * READ_OCTETS

        in_loop(run)


class TestSmall:
    @pytest.mark.parametrize("is_1_3", [True, False])
    def test_largest_packet_octet_by_octet_is_taken(self, ends: Ends, *, is_1_3: bool) -> None:
        """Each of its octets in a record of its own: strange, and no harm."""

        def run() -> None:
            meeting = ends.meet(dialled=False, is_1_3=is_1_3)
            for octet in LARGEST:
                meeting.ours.data_received(meeting.theirs.make(Content.APPLICATION, bytes((octet,))))
            assert meeting.packets == [LARGEST]
            assert not meeting.closings

        in_loop(run)

    def test_octet_by_octet_for_ever_is_not(self, ends: Ends) -> None:
        """A packet has to be whole at some time, and the next one too."""

        def run() -> None:
            meeting = ends.meet(dialled=True, is_1_3=True)

            def flood() -> Iterator[bytes]:
                while True:
                    for octet in LARGEST:
                        yield meeting.theirs.make(Content.APPLICATION, bytes((octet,)))

            meeting.feed(flood(), 4 * MAX_WASTE_OCTETS)
            assert meeting.closings == [Closing.NO_PACKETS]
            assert len(meeting.packets) == 1

        in_loop(run)

    def test_smallest_packets_in_small_pieces_go_on_for_ever(self, ends: Ends) -> None:
        """Two records for each packet of 20 octets: nobody has to write better than that."""

        def run() -> None:
            meeting = ends.meet(dialled=False, is_1_3=True)

            def stream() -> Iterator[bytes]:
                while True:
                    yield meeting.theirs.make(Content.APPLICATION, PACKET[:4])
                    yield meeting.theirs.make(Content.APPLICATION, PACKET[4:])

            meeting.feed(stream(), 4 * MAX_WASTE_OCTETS)
            assert not meeting.closings

        in_loop(run)

    def test_time_forgives(self, ends: Ends) -> None:
        """A KeyUpdate now and then, for years, on a connection with nothing to say is no flood."""

        def run() -> None:
            meeting = ends.meet(dialled=True, is_1_3=True)
            updates = meeting.repeat(Content.HANDSHAKE, KEY_UPDATE)
            for _ in range(2 * MAX_WASTE_OCTETS // FORGIVEN_OCTETS):
                taken = 0
                while taken < FORGIVEN_OCTETS - 100:
                    record = next(updates)
                    taken += len(record)
                    meeting.ours.data_received(record)
                meeting.ours.check(monotonic(), time())
            assert not meeting.closings

        in_loop(run)


class TestRefused:
    @pytest.mark.parametrize(("content", "octets", "number", "dialled", "is_1_3"), REFUSED.values(), ids=REFUSED)
    def test_openssl_bounds_it(
        self, ends: Ends, content: Content, octets: bytes, number: int, *, dialled: bool, is_1_3: bool
    ) -> None:
        """The connection ends with an alert; post-handshake authentication was not offered (RFC 8446 §4.6.2)."""

        def run() -> None:
            meeting = ends.meet(dialled=dialled, is_1_3=is_1_3)
            meeting.ours.data_received(meeting.theirs.make(Content.APPLICATION, PACKET))
            for sent in range(number):
                assert not meeting.closings, sent
                meeting.ours.data_received(meeting.theirs.make(content, octets))
            assert meeting.closings == [Closing.MALFORMED]
            assert meeting.packets == [PACKET]

        in_loop(run)


def test_versions_are_what_they_are_called(ends: Ends) -> None:
    """The hand-made end speaks the version that the tests say."""
    for is_1_3, version in ((True, SSL.TLS1_3_VERSION), (False, SSL.TLS1_2_VERSION)):
        assert ends.meet(dialled=False, is_1_3=is_1_3).theirs.tls.get_protocol_version() == version
