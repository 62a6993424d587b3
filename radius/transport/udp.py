"""RADIUS over UDP: sockets that are drained by a reader callback, and nothing of asyncio's datagram transport.

A callback takes what waits, up to a bound, and returns: a flood on one socket cannot keep the loop from the others.
"""

import logging
import socket
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, TypeAlias

from radius.wire.packet import MAX_PACKET_OCTETS

Address: TypeAlias = tuple[Any, ...]  # as recvfrom gives it: (host, port) or (host, port, flow, scope)

RECEIVE_BUFFER_OCTETS: Final = 4 << 20  # the kernel's usual 208 KiB lose the end of a burst of 256
DATAGRAMS_PER_WAKE_UP: Final = 64  # about 2 ms of work; then the other sockets have their turn
_READ_OCTETS: Final = MAX_PACKET_OCTETS + 1  # padding beyond Length is ignored anyway (RFC 2865 §3)

_log = logging.getLogger(__name__)


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


def make_reader(udp: socket.socket, receive: Callable[[bytes, Address, float], None]) -> Callable[[], None]:
    """A callback for `loop.add_reader` that hands each waiting datagram, its sender and the time to `receive`."""
    recvfrom = udp.recvfrom

    def read() -> None:
        now = monotonic()
        for _ in range(DATAGRAMS_PER_WAKE_UP):
            try:
                datagram, address = recvfrom(_READ_OCTETS)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # an ICMP error of an earlier answer, reported here
                continue
            receive(datagram, address, now)

    return read


def make_flow_reader(udp: socket.socket, receive: Callable[[bytes, float], None]) -> Callable[[], None]:
    """The same for a connected socket; an ICMP error is not heard, since anybody can send one."""
    recv = udp.recv

    def read() -> None:
        now = monotonic()
        for _ in range(DATAGRAMS_PER_WAKE_UP):
            try:
                datagram = recv(_READ_OCTETS)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue
            receive(datagram, now)

    return read
