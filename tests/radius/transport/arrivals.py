"""What has arrived at a socket that does not wait."""

import socket
import sys


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
