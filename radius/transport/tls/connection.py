"""One RADIUS/TLS connection, either end: handshake, packets in both directions, deadlines, a bounded way out.

What waits at a wake-up goes out in one write, a record for each packet, with Nagle's delay off. A peer that does not
read is cut off, and one whose stream can not be followed is too (RFC 6613 §2.6.4). So is one that sends many records
and hardly a packet: to KeyUpdates, HelloRequests, tickets and records of an octet OpenSSL sets no bound. What is not
here: who the peer may be (`contexts`), what its packets mean (`on_packets`), and when a lost connection is dialled
again.

The tickets of a TLS 1.3 server go with its first packet. FreeRADIUS 3.2.1 as a client (its issue 3501) reads from a
connection that has something for it until a packet comes, blocking, in its only thread for sockets, and with that
connection locked. Were it tickets, its own first request would wait for the read, and the read for the answer.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from time import monotonic
from typing import Final, cast

from cryptography import x509
from OpenSSL import SSL

from radius.errors import DropReason
from radius.tls.records import Records, State, describe, explain, open_records, take_records
from radius.transport.outbox import Waiting
from radius.transport.tls.contexts import has_tickets, read_chain, read_version
from radius.transport.tls.identity import PeerIdentity, read_identity
from radius.transport.tls.versions import RadiusVersion

FULL_OCTETS: Final = 16_384  # they do not wait for the end of a long turn
MAX_QUEUED_OCTETS: Final = 1 << 20  # 256 packets of the largest size: a peer that is so far behind does not read
MAX_WASTE_OCTETS: Final = 1 << 17  # of records beyond what packets account for; one packet octet by octet is less
FORGIVEN_OCTETS: Final = 1 << 13  # of them at each check
WORTH: Final = 4  # octets of records that each octet of a packet accounts for: two records for the smallest packet
KEEPALIVE_SECONDS: Final = 30  # an idle connection is asked this often whether its other end is there
UNVERIFIED: Final = "certificate verify failed"  # OpenSSL's words for a peer whose chain is not believed


class Closing(Enum):
    """Why a connection ended."""

    BY_PEER = "by_peer"
    BY_US = "by_us"
    HANDSHAKE_FAILED = "handshake_failed"
    DEADLINE = "deadline"
    MALFORMED = "malformed"
    NOT_READING = "not_reading"
    NO_PACKETS = "no_packets"  # records upon records, and hardly a packet in them
    NOT_TRUSTED = "not_trusted"
    SUPERSEDED = "superseded"  # we show another certificate now: the peer is to make it anew


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds that the peer has; an idle time of None is for ever."""

    handshake: float = 10.0
    first_packet: float | None = 30.0
    packet: float = 10.0  # from its first octet to its last
    idle: float | None = 600.0
    write: float = 10.0  # until it reads again


def one_by_one(
    on_packet: Callable[["TlsConnection", bytes, float], DropReason | None],
) -> Callable[["TlsConnection", list[bytes], float], DropReason | None]:
    """What takes many packets for who takes one at a time, until one is refused or the connection has ended."""

    def on_packets(connection: TlsConnection, packets: list[bytes], now: float) -> DropReason | None:
        for octets in packets:
            reason = on_packet(connection, octets, now)
            if reason or connection.is_closed:
                return reason
        return None

    return on_packets


@dataclass(frozen=True, slots=True)
class Events:
    """What a connection tells; all are called in the event loop."""

    on_ready: Callable[["TlsConnection"], None]
    on_packets: Callable[["TlsConnection", list[bytes], float], DropReason | None]  # a reason: one was malformed
    on_closed: Callable[["TlsConnection", Closing], None]


class TlsConnection(asyncio.Protocol):
    """One connection; `check` is to be called about once a second, for the deadlines."""

    def __init__(
        self, tls: SSL.Connection, events: Events, deadlines: Deadlines, turn: list[Waiting] | None = None
    ) -> None:
        """It begins when the loop connects it.

        What it sends waits in `turn`, which its owner flushes when a turn of the loop ends; None: it does so itself.
        """
        self.identity: PeerIdentity | None = None  # known after the handshake
        self.chain: tuple[x509.Certificate, ...] = ()
        self.version = RadiusVersion.V1_0  # of its packets; decided in the handshake
        self.address: tuple[object, ...] = ()
        self.is_ready = False
        self.ready_at = 0.0  # by the monotonic clock
        self.failure = ""  # why the handshake did not succeed, in OpenSSL's words
        self.received = 0
        self.sent = 0
        self._tls = tls
        self._events = events
        self._deadlines = deadlines
        self._records: Records | None = None  # after the handshake
        self._tickets = b""  # which wait for something that is said
        self._turn = turn
        self._transport: asyncio.Transport | None = None
        self._queue: list[bytes] = []
        self._queued_octets = 0
        self._is_waiting = False
        self._closing: Closing | None = None
        self._began_at = self._heard_at = monotonic()
        self._partial_since: float | None = None
        self._waste = 0  # octets of records that brought no packets
        self._paused_since: float | None = None

    @property
    def is_closed(self) -> bool:
        """Whether nothing travels any more."""
        return self._closing is not None

    @property
    def is_mid_packet(self) -> bool:
        """Whether the peer has sent the beginning of a packet, and not its end."""
        return self._partial_since is not None

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The TCP connection stands."""
        self._transport = cast("asyncio.Transport", transport)  # TCP's; uvloop's is one without saying so
        self.address = tuple(transport.get_extra_info("peername") or ())
        tcp = transport.get_extra_info("socket")
        if tcp is not None:
            _set_options(tcp, self._deadlines)
        self._began_at = self._heard_at = monotonic()
        if self._closing is not None:
            self._transport.abort()
        else:
            self._shake_hands()

    def data_received(self, data: bytes) -> None:
        """Octets came."""
        if self._closing is not None:
            return
        if self._records is None:
            self._tls.bio_write(data)
            if not self._shake_hands() or self._records is None:
                return
            data = b""  # what came behind the handshake is in there already
        self._read(self._records, data)

    def pause_writing(self) -> None:
        """The peer does not read as fast as we write."""
        self._paused_since = monotonic()

    def resume_writing(self) -> None:
        """It reads again."""
        self._paused_since = None
        self.flush()

    def eof_received(self) -> bool:
        """The peer sends nothing more: the connection is over."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The TCP connection is gone."""
        del exc  # resets and orderly ends are the same to us
        self._transport = None
        self._end(Closing.BY_PEER if self.is_ready else Closing.HANDSHAKE_FAILED)

    # What we call.

    def send(self, octets: bytes) -> bool:
        """Whether the packet is on its way, or waits for the handshake; with too many waiting the connection ends."""
        if self._closing is not None:
            return False
        self._queue.append(octets)
        self._queued_octets += len(octets)
        if self._queued_octets > MAX_QUEUED_OCTETS:
            self.abort(Closing.NOT_READING)
            return False
        if not self.is_ready:
            return True
        if not self._is_waiting:
            self._is_waiting = True
            if self._turn is not None:
                self._turn.append(self)
            else:
                asyncio.get_running_loop().call_soon(self.flush)
        if self._queued_octets >= FULL_OCTETS:
            self._flush()
        return self._closing is None

    @property
    def ends_blindly(self) -> bool:
        """Whether the end that dialled is through with its handshake before the other one has judged it (TLS 1.3)."""
        return self._tls.get_protocol_version() >= SSL.TLS1_3_VERSION

    def flush(self) -> None:
        """Everything that waits goes into one write, unless the peer is behind."""
        self._is_waiting = False
        self._flush()

    def close(self, reason: Closing = Closing.BY_US) -> None:
        """End it in order: what waits goes out, then close_notify."""
        if self._closing is None and self.is_ready:
            self.flush()
            with suppress(SSL.Error):
                self._tls.shutdown()
            self._pump()
        if self._transport is not None:
            self._transport.close()
        self._end(reason)

    def abort(self, reason: Closing) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()
        self._end(reason)

    def check(self, now: float, wall_clock: float) -> None:
        """End what is over its time; a connection never outlives a certificate of its chain."""
        if self._closing is not None:
            return
        self._waste = max(0, self._waste - FORGIVEN_OCTETS)
        limits = self._deadlines
        if not self.is_ready:
            if now - self._began_at > limits.handshake:
                self.abort(Closing.DEADLINE)
        elif self.identity is not None and wall_clock >= self.identity.not_after:
            self.close(Closing.NOT_TRUSTED)
        elif self._paused_since is not None and now - self._paused_since > limits.write:
            self.abort(Closing.NOT_READING)
        elif self._partial_since is not None and now - self._partial_since > limits.packet:
            self.abort(Closing.DEADLINE)
        else:
            allowed = limits.idle if self.received else limits.first_packet
            if allowed is not None and now - self._heard_at > allowed:
                self.close(Closing.DEADLINE)

    # How it works.

    def _shake_hands(self) -> bool:
        """Whether the handshake is done."""
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            self._pump()
            return False
        except SSL.Error as error:
            self.failure = describe(error)
            self._pump()  # the alert
            self._refuse()
            return False
        if has_tickets(self._tls):
            self._tickets = take_records(self._tls)
        self._pump()
        self.chain = read_chain(self._tls)
        try:
            self.identity = read_identity(self.chain)
        except (ValueError, StopIteration):  # no chain was verified: the handshake does not let this happen
            self._refuse()
            return False
        version = read_version(self._tls)
        if version is None:
            self.failure = "the two ends know no RADIUS in common"
            self._refuse()
            return False
        self.version = version
        self._records = open_records(self._tls)
        self.is_ready = True
        self.ready_at = self._heard_at = monotonic()
        self._events.on_ready(self)
        self._flush()
        return self._closing is None

    def _refuse(self) -> None:
        if self._transport is not None:
            self._transport.close()  # what was written still goes out
        self._end(Closing.HANDSHAKE_FAILED)

    def _read(self, records: Records, octets: bytes) -> None:
        """Take what has come out of the records; with a packet that is refused nothing that follows is looked at."""
        packets = records.receive(octets)
        now = monotonic()
        if not records.pending_octets:
            self._partial_since = None
        elif packets or self._partial_since is None:
            self._partial_since = now
        if packets:
            self._heard_at = now
            self.received += len(packets)
            if self._events.on_packets(self, packets, now):
                self.close(Closing.MALFORMED)
        self._waste = max(0, self._waste + len(octets) - WORTH * sum(map(len, packets)))
        if self._closing is None:
            self._pump()  # TLS itself may have something to say: an alert, for one
            self._look_at(records)

    def _look_at(self, records: Records) -> None:
        state = records.state
        if state == State.ENDED:
            self.close(Closing.BY_PEER)
        elif state == State.LOST:
            self.close(Closing.MALFORMED)
        elif state == State.BROKEN:
            self._queue.clear()  # nothing can be written any more either
            self.failure = explain(records, self._tls)  # in TLS 1.3 also the other end's no to our certificate
            self.close(Closing.MALFORMED if self.received else Closing.HANDSHAKE_FAILED)
        elif self._waste > MAX_WASTE_OCTETS:
            self.abort(Closing.NO_PACKETS)

    def _flush(self) -> None:
        records, queue = self._records, self._queue
        if not queue or records is None or self._paused_since is not None or self._closing is not None:
            return
        self._queue, self._queued_octets = [], 0
        self.sent += len(queue)
        octets = records.seal(queue)
        if octets is None:
            self.abort(Closing.BY_PEER)
        else:
            self._write(octets)

    def _pump(self) -> None:
        """Records that are nobody's packets go to the network."""
        self._write(take_records(self._tls) if self._records is None else self._records.take())
        if self._paused_since is None or self._transport is None:
            return
        if self._transport.get_write_buffer_size() > MAX_QUEUED_OCTETS:  # what TLS says does not wait in our own queue
            self.abort(Closing.NOT_READING)

    def _write(self, octets: bytes) -> None:
        transport = self._transport
        if octets and transport is not None and not transport.is_closing():
            if self._tickets:
                octets, self._tickets = self._tickets + octets, b""
            transport.write(octets)

    def _end(self, reason: Closing) -> None:
        if self._closing is None:
            self._closing = reason
            self._queue.clear()
            self._events.on_closed(self, reason)


def _set_options(tcp: socket.socket, limits: Deadlines) -> None:
    """No delay for small records, and an end to a connection whose other end has gone without a word."""
    with suppress(OSError):  # not every system has all of them
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_SECONDS)
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_SECONDS // 3)
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(limits.write * 1000))
