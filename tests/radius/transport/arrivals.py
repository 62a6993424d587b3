"""What arrives of what is sent."""

import socket
import sys

from radius.transport.outbox import Outbox, Waiting, flush_all
from radius.transport.udp import bind_udp, connect_udp
from tests.support.processes import free_port


def received(bound: socket.socket) -> list[bytes]:
    datagrams: list[bytes] = []
    while True:
        try:
            datagrams.append(bound.recv(5000))
        except BlockingIOError:
            return datagrams


def received_uncut(bound: socket.socket) -> list[tuple[int, int]]:
    """What came, uncut: octets altogether, and octets of each of its datagrams (0: it is one)."""
    pieces: list[tuple[int, int]] = []
    while True:
        try:
            octets, notes, _, _ = bound.recvmsg(70_000, socket.CMSG_SPACE(4))
        except BlockingIOError:
            return pieces
        pieces.append((len(octets), int.from_bytes(notes[0][2], sys.byteorder) if notes else 0))


def send_after_an_error(*datagrams: bytes) -> tuple[list[bytes], int]:
    """What arrives of these at a port that nobody had when one was sent there before, and how often that was told."""
    told: list[int] = []
    queue: list[Waiting] = []
    port = free_port()
    with connect_udp("127.0.0.1", port) as connected:
        box = Outbox(connected, queue, is_addressed=False, told=lambda: told.append(1))
        box.put(b"nobody hears")
        flush_all(queue)
        with bind_udp("127.0.0.1", port) as back:
            for octets in datagrams:
                box.put(octets)
            flush_all(queue)
            return received(back), len(told)
