"""RADIUS over UDP: sockets that are drained by a reader callback, and nothing of asyncio's datagram transport.

A callback takes what waits, up to a bound, and returns: a flood on one socket cannot keep the loop from the others.
"""

import logging
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import import_module
from struct import Struct
from time import monotonic, time
from typing import Any, Final, Protocol, TypeAlias, cast

from radius.transport.ages import Arrivals
from radius.wire.packet import MAX_PACKET_OCTETS

Address: TypeAlias = tuple[Any, ...]  # as recvfrom gives it: (host, port) or (host, port, flow, scope)

RECEIVE_BUFFER_OCTETS: Final = 4 << 20  # the kernel's usual 208 KiB lose the end of a burst of 256
DATAGRAMS_PER_WAKE_UP: Final = 64  # about 2 ms of work; then the other sockets have their turn
_MAX_KNOWN_SENDERS: Final = 4096
_READ_OCTETS: Final = MAX_PACKET_OCTETS + 1  # padding beyond Length is ignored anyway (RFC 2865 §3)
_SO_TIMESTAMPNS: Final = getattr(socket, "SO_TIMESTAMPNS", 35)  # asm-generic/socket.h
_TIMESPEC: Final = Struct("@ll")

_log = logging.getLogger(__name__)


class Batch(Protocol):
    """The extension module `_batch`, optional at installation."""

    def receive_many(
        self,
        descriptor: int,
        limit: int,
        senders: dict[bytes, Address] | None,
        aged: bool = False,  # noqa: FBT001, FBT002 - it takes no keywords
        /,
    ) -> list[Any]:
        """Return what waits at a socket: octets, and the sender after each where `senders` is a dict.

        Where `aged`, the seconds that the datagram has waited follow the sender.
        """
        ...  # Any: octets and addresses in turn, so that no pair is made for each

    def segment(self, wanted: bool | None, /) -> bool:  # noqa: FBT001 - it takes no keywords
        """Give datagrams of one length to one receiver to the kernel as one, or do not; None changes nothing.

        Returns whether it was done until now. It ends by itself when the kernel or a device refuses it.
        """
        ...

    def send_many(self, descriptor: int, datagrams: list[Any], addressed: bool, /) -> int:  # noqa: FBT001 - it takes no keywords
        """Send octets, with the receiver after each where `addressed`; returns how many earlier errors were told.

        Those of one length to one receiver may leave before others that stand before them.

        Raises:
            ValueError: an address is no address in numbers.
        """
        ...  # Any: as above


def _load_batch() -> Batch | None:
    try:
        module = import_module("radius.transport._batch")
    except ImportError:  # it was not asked for at installation
        return None
    return cast("Batch", module)  # an extension module has no types; the tests hold it to the protocol


batch: Batch | None = _load_batch()
"""None: there is none, and each datagram is a call of its own."""


def choose_segmentation(*, wanted: bool) -> None:
    """Whether datagrams of one length to one receiver are given to the kernel as one (UDP_SEGMENT, Linux 4.18).

    They are on the network as they always are; a capture on this machine may show them in one piece.
    """
    if batch is not None:
        batch.segment(wanted)


def bind_udp(host: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    """A non-blocking socket on that address, with a large receive buffer; with `reuse_port` others may share it.

    Raises:
        OSError: the address is not ours or is in use.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # IPv4 has a socket of its own
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    ask_for_buffer(listener)
    return listener


def connect_udp(host: str, port: int, *, source: str | None = None) -> socket.socket:
    """A non-blocking socket of its own source port that hears from that address only; `source` is our own address.

    Raises:
        OSError: there is no route, or no descriptor left.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    flow = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        if source is not None:
            flow.bind((source, 0))
        flow.connect((host, port))
    except OSError:
        flow.close()
        raise
    ask_for_buffer(flow)
    return flow


def ask_for_buffer(udp: socket.socket, octets: int = RECEIVE_BUFFER_OCTETS) -> int:
    """Ask the kernel for a receive buffer of that size; returns what it gave, and warns when that is less."""
    try:
        udp.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_RCVBUFFORCE", 33), octets)  # asm-generic/socket.h
    except OSError:  # only root may pass the limit
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, octets)
    given = udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # Linux counts its own bookkeeping in
    if given < octets:
        _log.warning(
            "receive_buffer_small",
            extra={"asked_octets": octets, "given_octets": given, "remedy": f"sysctl -w net.core.rmem_max={octets}"},
        )
    return given


def make_reader(udp: socket.socket, receive: Callable[[bytes, Address, float], None]) -> Callable[[], bool]:
    """A callback for `loop.add_reader` that hands each waiting datagram, its sender and the time to `receive`.

    It returns whether it took as many as it may, so that more may wait. What `receive` raises for one datagram is
    raised when the others have been handed on.
    """
    recvfrom = udp.recvfrom
    descriptor = udp.fileno()
    many = batch
    known: dict[bytes, Address] = {}

    def read() -> bool:
        now = monotonic()
        for _ in range(DATAGRAMS_PER_WAKE_UP):
            try:
                datagram, address = recvfrom(_READ_OCTETS)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:  # an ICMP error of an earlier answer, reported here
                continue
            receive(datagram, address, now)
        return True

    def read_batch() -> bool:
        assert many is not None  # else `read` is the callback
        if len(known) > _MAX_KNOWN_SENDERS:
            known.clear()  # senders can be forged: they must not fill the memory
        found = many.receive_many(descriptor, DATAGRAMS_PER_WAKE_UP, known)
        waiting = iter(found)
        now = monotonic()
        failure: Exception | None = None
        for datagram, address in zip(waiting, waiting, strict=True):
            try:
                receive(datagram, address, now)
            except Exception as error:  # noqa: BLE001 - a bug costs one datagram, not those behind it
                failure = error
        if failure is not None:
            raise failure
        return len(found) == 2 * DATAGRAMS_PER_WAKE_UP

    return read if many is None else read_batch


def stamp_arrivals(udp: socket.socket) -> None:
    """The kernel notes when each datagram comes, for `make_aged_reader`; where it can not, all are new."""
    with suppress(OSError):
        udp.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def make_aged_reader(udp: socket.socket, receive: Callable[[bytes, Address, float], None]) -> Callable[[], bool]:
    """The same as `make_reader`, but that the time is when the datagram came, and that `receive` must not raise."""
    descriptor = udp.fileno()
    many = batch
    known: dict[bytes, Address] = {}
    space = socket.CMSG_SPACE(_TIMESPEC.size)
    arrivals = Arrivals(monotonic(), time())

    def read() -> bool:
        now, wall = monotonic(), time()
        arrivals.look(now, wall)
        for _ in range(DATAGRAMS_PER_WAKE_UP):
            try:
                datagram, notes, _flags, address = udp.recvmsg(_READ_OCTETS, space)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                continue
            receive(datagram, address, arrivals.time_of(_age_in(notes, wall)))
        return True

    def read_batch() -> bool:
        assert many is not None  # else `read` is the callback
        if len(known) > _MAX_KNOWN_SENDERS:
            known.clear()
        found = many.receive_many(descriptor, DATAGRAMS_PER_WAKE_UP, known, True)
        waiting = iter(found)
        arrivals.look(monotonic(), time())
        for datagram, address, age in zip(waiting, waiting, waiting, strict=True):
            receive(datagram, address, arrivals.time_of(age))
        return len(found) == 3 * DATAGRAMS_PER_WAKE_UP

    return read if many is None else read_batch


def _age_in(notes: Iterable[tuple[int, int, bytes]], wall: float) -> float:
    for level, kind, octets in notes:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(octets) == _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack(octets)
            return wall - seconds - nanoseconds / 1e9
    return 0.0


def make_flow_reader(
    udp: socket.socket, receive: Callable[[bytes, float], object], disturbed: Callable[[], None] = lambda: None
) -> Callable[[], None]:
    """The same for a connected socket. An ICMP error says nothing of its peer, since anybody can send one.

    `disturbed` is called when there was one, or nothing at all, which is what is left of one that a sender was told;
    what waits behind it comes at the next call. See `flows`.
    """
    recv = udp.recv
    descriptor = udp.fileno()
    many = batch

    def read() -> None:
        now = monotonic()
        for number in range(DATAGRAMS_PER_WAKE_UP):
            try:
                datagram = recv(_READ_OCTETS)
            except OSError as error:
                if not number or not isinstance(error, BlockingIOError):
                    disturbed()
                return
            receive(datagram, now)

    def read_batch() -> None:
        assert many is not None  # else `read` is the callback
        waiting = many.receive_many(descriptor, DATAGRAMS_PER_WAKE_UP, None)
        if not waiting:
            disturbed()
            return
        now = monotonic()
        failure: Exception | None = None
        for datagram in waiting:
            try:
                receive(datagram, now)
            except Exception as error:  # noqa: BLE001 - a bug costs one datagram, not those behind it
                failure = error
        if failure is not None:
            raise failure

    return read if many is None else read_batch
