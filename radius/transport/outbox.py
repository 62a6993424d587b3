"""What one turn of the event loop sends through a socket, sent together: a call of the kernel for many datagrams.

Who puts datagrams here flushes at the end of the turn, before the loop waits again; nothing stays here for longer.
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol

from radius.transport import udp
from radius.transport.udp import Address

MAX_WAITING: Final = 64  # datagrams; with more they go at once


class Waiting(Protocol):
    """In which something waits for the end of the turn."""

    def flush(self) -> None:
        """Nothing waits any more."""
        ...


class Outbox:
    """The datagrams of one socket that wait for the end of the turn."""

    __slots__ = ("_datagrams", "_descriptor", "_is_addressed", "_queue", "_socket", "_told")

    def __init__(
        self,
        sender: socket.socket,
        queue: list[Waiting],
        *,
        is_addressed: bool,
        told: Callable[[], None] | None = None,
    ) -> None:
        """`queue` gets this box when something waits in it, before those of the addressed where it is not one.

        `told` hears that an earlier datagram met an error.
        """
        self._socket = sender
        self._descriptor = sender.fileno()
        self._queue = queue
        self._is_addressed = is_addressed
        self._told = told
        self._datagrams: list[Any] = []  # Any: octets and addresses in turn, so that no pair is made for each

    def put(self, octets: bytes, address: Address | None = None) -> None:
        """The octets go at the end of the turn; with `address` exactly where the box is addressed."""
        datagrams = self._datagrams
        if not datagrams:
            if self._is_addressed:
                self._queue.append(self)
            else:  # what goes on to home servers goes first: its way is longer than that of a refusal
                self._queue.insert(0, self)
        elif len(datagrams) >= MAX_WAITING:
            self.flush()
        datagrams.append(octets)
        if address is not None:
            datagrams.append(address)

    def flush(self) -> None:
        """Nothing waits any more: it is on its way, or lost as datagrams are; an error is none of the sender's."""
        datagrams = self._datagrams
        many = udp.batch
        try:
            if self._socket.fileno() < 0:  # closed meanwhile
                return
            if many is not None:
                errors = many.send_many(self._descriptor, datagrams, self._is_addressed)
            elif self._is_addressed:
                errors = sum(map(self._send_to, datagrams[::2], datagrams[1::2]))
            else:
                errors = sum(map(self._send, datagrams))
        finally:
            datagrams.clear()
        if errors and self._told is not None:
            self._told()

    def close(self) -> None:
        """Nothing waits any more and nothing is told: the box does not hold who opened it, who holds the box."""
        self.flush()
        self._told = None

    def _send_to(self, octets: bytes, address: Address) -> bool:
        with suppress(OSError):
            self._socket.sendto(octets, address)
        return False

    def _send(self, octets: bytes) -> bool:
        """Whether an error was told; the datagram is tried once more then."""
        try:
            self._socket.send(octets)
        except ConnectionRefusedError:  # an ICMP error of an earlier datagram, told instead of sending this one
            with suppress(OSError):
                self._socket.send(octets)
            return True
        except OSError:
            pass
        return False


def flush_all(queue: list[Waiting]) -> None:
    """Every box of the queue is empty, and so is the queue."""
    for box in queue:
        box.flush()
    queue.clear()
