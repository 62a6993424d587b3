"""Bound sockets as the engine sees them."""

import socket

from radius.transport.outbox import Outbox, Waiting
from radius.transport.udp import Address


class UdpListener:
    """Where requests come from, and their answers go."""

    __slots__ = ("_outbox", "is_accounting", "is_closed", "requires_errors", "udp")

    def __init__(self, udp: socket.socket, queue: list[Waiting], *, is_accounting: bool) -> None:
        """Who owns the queue flushes it at the end of each turn."""
        self.udp = udp
        self.is_accounting = is_accounting
        self.is_closed = False
        self.requires_errors = False
        self._outbox = Outbox(udp, queue, is_addressed=True)

    def send(self, octets: bytes, address: Address, /) -> bool:
        """Whether the octets are on their way, which they are at the end of the turn."""
        self._outbox.put(octets, address)
        return True
