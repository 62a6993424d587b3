"""Packets out of records and into them: the native part, and Python, which does the same."""

import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from radius.tls import records
from radius.tls.records import PythonRecords, Records, State, open_records, take_records
from radius.transport.tls.contexts import Trust
from radius.transport.tls.identity import PeerIdentity
from tests.radius.transport.tls.members import Authority, names_of, shake_hands
from tests.radius.wire.kernels import HAS_COMPILER, load_records
from tests.support.tampering import tamper

APPLICATION = 23  # the type of a record (RFC 8446 §5.1)
KINDS = ["python", "native"]
SKIP = pytest.mark.skipif(not HAS_COMPILER, reason="the native part is optional; it needs gcc and python3-dev")

_numbers = count()


def packet(length: int = 20) -> bytes:
    """A packet of that length, like no other."""
    return bytes((1, 7)) + length.to_bytes(2) + next(_numbers).to_bytes(16) + bytes(length - 20)


def anybody(_identity: PeerIdentity) -> bool:
    return True


class Ends:
    """The two ends of connections over memory."""

    def __init__(self) -> None:
        authority = Authority()
        self._server = Trust(authority.credentials(authority.issue(names_of("fed.example.org"))))
        self._client = Trust(authority.credentials(authority.issue(names_of("ap.lib.example"))))

    def begin(self) -> tuple[SSL.Connection, SSL.Connection]:
        """The client's end and the server's, which have said nothing yet."""
        return self._client.dial(anybody, "fed.example.org"), self._server.accept(anybody)

    def meet(self) -> tuple[SSL.Connection, SSL.Connection]:
        """The same when the handshake is done."""
        client, server = self.begin()
        assert shake_hands(client, server)
        return client, server


Open = Callable[[SSL.Connection], Records]


@pytest.fixture(scope="module")
def ends() -> Ends:
    return Ends()


@pytest.fixture(params=["python", pytest.param("native", marks=SKIP)])
def opened(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Every test runs with the native part and without."""
    monkeypatch.setattr(records, "native", load_records() if request.param == "native" else None)
    return open_records


def say(end: SSL.Connection) -> bytes:
    """What that end has to say in its handshake now."""
    with suppress(SSL.WantReadError):
        end.do_handshake()
    return take_records(end)


def cut(octets: bytes, size: int) -> list[bytes]:
    return [octets[at : at + size] for at in range(0, len(octets), size)]


def travelling(sender: SSL.Connection, *pieces: bytes) -> bytes:
    """Each piece as a record of its own."""
    for piece in pieces:
        sender.sendall(piece)
    return sender.bio_read(1 << 21)


def count_records(octets: bytes) -> int:
    """How many records with application data there are, and nothing else."""
    found = at = 0
    while at < len(octets):
        assert octets[at] == APPLICATION
        at += 5 + int.from_bytes(octets[at + 3 : at + 5])
        found += 1
    assert at == len(octets)
    return found


class TestShakeHands:
    @pytest.mark.parametrize("size", [1, 7, 1 << 16])
    def test_ends_established(self, ends: Ends, opened: Open, size: int) -> None:
        """However the flights are cut; then the two ends understand each other."""
        client, server = ends.begin()
        here = opened(server)
        assert not here.is_established
        for _ in range(2):  # ClientHello, and the client's last flight
            answer = b"".join(here.shake_hands(piece) for piece in cut(say(client), size))
            if answer:
                client.bio_write(answer)
        client.do_handshake()
        assert (here.is_established, here.state) == (True, State.OPEN)
        assert here.read(travelling(client, b"hello")) == b"hello"
        sealed = here.seal([b"good day"])
        assert sealed is not None
        client.bio_write(sealed)
        assert client.recv(99) == b"good day"

    @pytest.mark.parametrize(
        ("octets", "has_alert"),
        [(b"GET / HTTP/1.1\r\n\r\n", False), (bytes(99), False), (b"\x16\x03\x01\0\x04\x01\0\0\0", True)],
        ids=["http", "zeros", "empty hello"],
    )
    def test_what_is_no_handshake_ends_it(self, ends: Ends, opened: Open, octets: bytes, *, has_alert: bool) -> None:
        """With an alert where it was a record, once; what comes afterwards changes nothing."""
        client, server = ends.begin()
        here = opened(server)
        assert bool(here.shake_hands(octets)) is has_alert
        assert (here.is_established, here.state) == (False, State.BROKEN)
        assert here.shake_hands(say(client)) == b""
        assert here.read(b"") == b""
        assert (here.is_established, here.state) == (False, State.BROKEN)

    def test_failure_is_left_to_nobody(self, ends: Ends, opened: Open) -> None:
        """Another connection's handshake finds nothing of it in OpenSSL's queue of errors."""
        broken, sound = opened(ends.begin()[1]), opened(ends.begin()[1])
        assert broken.shake_hands(bytes(99)) == b""
        assert broken.state == State.BROKEN
        assert sound.shake_hands(b"") == b""
        assert sound.state == State.OPEN
        with pytest.raises(SSL.WantReadError):
            ends.meet()[0].recv(1)

    def test_octets_behind_the_last_flight_wait(self, ends: Ends, opened: Open) -> None:
        """What the peer says in one breath with its Finished is there to be read."""
        client, server = ends.begin()
        here = opened(server)
        client.bio_write(here.shake_hands(say(client)))
        here.shake_hands(say(client) + travelling(client, b"early"))
        assert here.is_established
        assert here.read(b"") == b"early"
        assert here.read(b"") == b""


class TestRead:
    def test_records_are_joined(self, ends: Ends, opened: Open) -> None:
        """What many records carry is one piece, however long."""
        client, server = ends.meet()
        pieces = [bytes((number,)) * 9_000 for number in range(5)]
        assert opened(server).read(travelling(client, *pieces)) == b"".join(pieces)

    def test_record_that_is_not_whole_waits(self, ends: Ends, opened: Open) -> None:
        """Until its last octet."""
        client, server = ends.meet()
        here, octets = opened(server), travelling(client, b"whole")
        assert [here.read(octets[:9]), here.read(octets[9:-1]), here.read(octets[-1:])] == [b"", b"", b"whole"]

    def test_close_notify_ends_it(self, ends: Ends, opened: Open) -> None:
        """What came before is given with it."""
        client, server = ends.meet()
        here = opened(server)
        client.sendall(b"last")
        client.shutdown()
        assert here.read(client.bio_read(1 << 16)) == b"last"
        assert here.state == State.ENDED

    def test_altered_record_breaks_it(self, ends: Ends, opened: Open) -> None:
        """What came before is given with it, and nothing afterwards."""
        client, server = ends.meet()
        here = opened(server)
        good, bad, later = (travelling(client, each) for each in (b"good", b"bad", b"later"))
        assert here.read(good + tamper(bad) + later) == b"good"
        assert here.state == State.BROKEN
        assert here.take()
        assert here.read(later) == b""


class TestReceive:
    def test_one_packet_in_one_record(self, ends: Ends, opened: Open) -> None:
        """What most peers send."""
        client, server = ends.meet()
        one = packet()
        here = opened(server)
        assert here.receive(travelling(client, one)) == [one]
        assert here.receive(b"") == []
        assert (here.state, here.pending_octets) == (State.OPEN, 0)

    def test_many_records_at_once(self, ends: Ends, opened: Open) -> None:
        """A hundred records that came together are a hundred packets, in their order."""
        client, server = ends.meet()
        packets = [packet(20 + number) for number in range(100)]
        assert opened(server).receive(travelling(client, *packets)) == packets

    def test_many_packets_in_a_record(self, ends: Ends, opened: Open) -> None:
        """What a peer that coalesces sends; the last packet comes with the next record."""
        client, server = ends.meet()
        packets = [packet(200) for _ in range(5)]
        stream = b"".join(packets)
        here = opened(server)
        assert here.receive(travelling(client, stream[:950])) == packets[:4]
        assert here.pending_octets == 150
        assert here.receive(travelling(client, stream[950:])) == packets[4:]
        assert here.pending_octets == 0

    def test_packet_of_many_records(self, ends: Ends, opened: Open) -> None:
        """The largest packet, octet by octet, each in a record of its own, and each read by itself."""
        client, server = ends.meet()
        here = opened(server)
        whole = packet(4096)
        for at in range(4095):
            assert here.receive(travelling(client, whole[at : at + 1])) == []
        assert here.pending_octets == 4095
        assert here.receive(travelling(client, whole[4095:])) == [whole]

    def test_record_that_is_not_whole(self, ends: Ends, opened: Open) -> None:
        """A record in pieces waits for its last octet."""
        client, server = ends.meet()
        here, one = opened(server), packet()
        octets = travelling(client, one)
        for at in range(len(octets) - 1):
            assert here.receive(octets[at : at + 1]) == []
        assert here.receive(octets[-1:]) == [one]

    def test_what_came_behind_the_handshake(self, ends: Ends, opened: Open) -> None:
        """Octets that TLS had before there were records of ours are not lost."""
        client, server = ends.meet()
        one = packet()
        server.bio_write(travelling(client, one))
        assert opened(server).receive(b"") == [one]

    @pytest.mark.parametrize("length", [0, 19, 4097, 65535])
    def test_bad_length(self, ends: Ends, opened: Open, length: int) -> None:
        """It ends the stream: what earlier records held is given, what is in the same record or behind it is not."""
        client, server = ends.meet()
        here, first = opened(server), packet()
        bad = packet() + bytes((1, 1)) + length.to_bytes(2) + bytes(16)
        assert here.receive(travelling(client, first, bad, packet())) == [first]
        assert (here.state, here.pending_octets) == (State.LOST, 0)
        assert here.receive(travelling(client, packet())) == []
        assert here.state == State.LOST

    def test_bad_length_behind_a_partial_packet(self, ends: Ends, opened: Open) -> None:
        """The same where the packet that stands before it had begun earlier."""
        client, server = ends.meet()
        here, first = opened(server), packet()
        assert here.receive(travelling(client, first[:7])) == []
        assert here.receive(travelling(client, first[7:] + bytes(20))) == []
        assert (here.state, here.pending_octets) == (State.LOST, 0)

    def test_close_notify(self, ends: Ends, opened: Open) -> None:
        """What came before the end is given with it."""
        client, server = ends.meet()
        here, one = opened(server), packet()
        client.sendall(one)
        client.shutdown()
        assert here.receive(client.bio_read(1 << 16)) == [one]
        assert here.state == State.ENDED

    def test_altered_record(self, ends: Ends, opened: Open) -> None:
        """It ends the connection, with an alert; what came before is given, and nothing else ever."""
        client, server = ends.meet()
        here, one = opened(server), packet()
        good, bad, later = (travelling(client, each) for each in (one, packet(), packet()))
        assert here.receive(good + tamper(bad) + later) == [one]
        assert here.state == State.BROKEN
        alert = here.take()
        assert alert
        assert here.receive(later) == []
        there = opened(client)
        assert there.receive(alert) == []
        assert there.state == State.BROKEN
        assert here.seal([one]) is None

    def test_no_error_is_left_to_others(self, ends: Ends, opened: Open) -> None:
        """A connection that broke leaves nothing behind in OpenSSL that another one would take for its own."""
        first, second = ends.meet(), ends.meet()
        broken, sound = opened(first[1]), opened(second[1])
        assert broken.receive(b"GET / HTTP/1.1\r\n\r\n") == []
        assert broken.state == State.BROKEN
        one = packet()
        assert sound.receive(travelling(second[0], one)) == [one]
        assert sound.receive(b"") == []
        assert sound.state == State.OPEN
        with pytest.raises(SSL.WantReadError):
            second[0].recv(1)


class TestSeal:
    @pytest.mark.parametrize(("amount", "length"), [(1, 20), (30, 225), (5, 4096), (256, 4096)])
    def test_each_packet_has_its_record(self, ends: Ends, opened: Open, amount: int, length: int) -> None:
        """FreeRADIUS ends a connection over a record with two; that goes for all that may wait for a peer."""
        client, server = ends.meet()
        packets = [packet(length) for _ in range(amount)]
        octets = opened(client).seal(packets)
        assert octets is not None
        assert count_records(octets) == amount
        assert opened(server).receive(octets) == packets

    def test_nothing(self, ends: Ends, opened: Open) -> None:
        """No packets are no record."""
        client, _ = ends.meet()
        here = opened(client)
        assert here.take() == b""
        assert here.seal([]) == b""

    def test_after_the_end(self, ends: Ends, opened: Open) -> None:
        """After our own close_notify nothing can be sent."""
        client, _ = ends.meet()
        here = opened(client)
        client.shutdown()
        assert here.take()
        assert here.seal([packet()]) is None


@SKIP
class TestNative:
    @given(data=st.data())
    @settings(max_examples=60, deadline=None)
    def test_agrees_with_python(self, data: st.DataObject) -> None:
        """Whatever the records and however they are read, both find the same packets, states and unfinished octets."""
        found: list[list[tuple[list[bytes], int, int]]] = []
        pieces = data.draw(st.lists(st.one_of(st.binary(max_size=60), PACKETS, st.binary(max_size=3)), max_size=12))
        sizes = data.draw(st.lists(st.integers(1, 400), max_size=12))
        for kind in KINDS:
            client, server = ENDS.meet()
            here = PythonRecords(server) if kind == "python" else open_native(server)
            octets = travelling(client, *pieces, b"\x01")
            steps: list[tuple[list[bytes], int, int]] = []
            for size in [*sizes, len(octets)]:
                packets = here.receive(octets[:size])
                steps.append((packets, int(here.state), here.pending_octets))
                octets = octets[size:]
            found.append(steps)
        assert found[0] == found[1]

    def test_refuses_what_are_no_octets(self, ends: Ends) -> None:
        """A mistake of ours is an exception, and nothing worse."""
        client, _ = ends.meet()
        here = open_native(client)
        with pytest.raises(TypeError):
            here.receive("octets")  # type: ignore[arg-type] - that is the point
        with pytest.raises(TypeError):
            here.shake_hands("octets")  # type: ignore[arg-type] - as above
        with pytest.raises(TypeError):
            here.read("octets")  # type: ignore[arg-type] - as above
        with pytest.raises(TypeError):
            here.seal((packet(),))  # type: ignore[arg-type] - as above
        with pytest.raises(TypeError):
            here.seal([packet(), 7])  # type: ignore[list-item] - as above
        with pytest.raises(ValueError, match="no connection"):
            load_records().Records(client, 0, 1, 1)
        with pytest.raises(ValueError, match="no address"):
            load_records().bind(1, 2, 3, 4, 5, 6, 0)

    def test_is_used_where_it_is(self, ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
        """The connection is alive as long as its records are."""
        monkeypatch.setattr(records, "native", load_records())
        client, server = ends.meet()
        here, one = open_records(server), packet()
        assert not isinstance(here, PythonRecords)
        del server
        assert here.receive(travelling(client, one)) == [one]

    def test_is_not_used_with_another_pyopenssl(self, ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where what it needs of pyOpenSSL is not there, or has other types, Python does the work."""
        monkeypatch.setattr(records, "native", load_records())
        client, _ = ends.meet()
        monkeypatch.setattr(client, "_into_ssl", None)
        assert isinstance(open_records(client), PythonRecords)
        monkeypatch.setitem(sys.modules, "cryptography.hazmat.bindings._rust", ModuleType("_rust"))
        assert not records.bind_native(load_records())


def open_native(tls: SSL.Connection) -> Records:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "native", load_records())
        return open_records(tls)


ENDS = Ends()
PACKETS = st.integers(20, 300).map(packet)
