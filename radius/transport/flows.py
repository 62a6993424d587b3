"""A source port towards one home server: a connected UDP socket in an event loop, which outlives the server's absences.

A home server that is away answers through ICMP that nobody listens, and the kernel tells the socket. libuv, below
uvloop, gives up watching a socket that has been told an error, for good and without a word: the port would be deaf when
the home server is back. So whenever there was an error it is watched anew.
"""

import asyncio
import socket
from collections.abc import Callable

from radius.transport.outbox import Outbox, Waiting


class UdpFlow:
    """A connected socket as the engine sees it."""

    __slots__ = ("_is_rearming", "_loop", "_outbox", "_read", "udp")

    def __init__(self, udp: socket.socket, loop: asyncio.AbstractEventLoop, queue: list[Waiting]) -> None:
        """The socket is connected and non-blocking, and this flow's from now on; who owns the queue flushes it."""
        self._outbox = Outbox(udp, queue, is_addressed=False, told=self.watch_again)
        self.udp = udp
        self._loop = loop
        self._read: Callable[[], None] | None = None
        self._is_rearming = False

    def watch(self, read: Callable[[], None]) -> None:
        """`read` is called when something has come."""
        self._read = read
        self._loop.add_reader(self.udp, read)

    def watch_again(self) -> None:
        """An error was told: the socket is watched anew, once the loop has dealt with what woke it."""
        if not self._is_rearming:
            self._is_rearming = True
            self._loop.call_soon(self._rearm)

    def _rearm(self) -> None:
        self._is_rearming = False
        if self._read is not None:
            self._loop.remove_reader(self.udp)
            self._loop.add_reader(self.udp, self._read)

    def send(self, octets: bytes, /) -> bool:
        """Whether the octets are on their way, which they are at the end of the turn."""
        self._outbox.put(octets)
        return True

    def close(self) -> None:
        """The port is free."""
        self._outbox.close()
        self._read = None
        self._loop.remove_reader(self.udp)
        self.udp.close()
