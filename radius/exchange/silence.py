"""Source ports of which nothing is heard, while their next hop may well live.

One request without an answer says nothing of its port: its library may be silent, or a datagram is lost. A port that
has brought no answer to anything since a request went out from it, for as long as requests wait before they are sent
again, is in doubt, and what is done about it costs little:

    nothing heard ──not answered in time──▶ LISTEN ──3 of them, 1 s, and the hop answers elsewhere──▶ LEAVE

LISTEN: the socket may be one that is no longer read, so it is watched anew, and again after 1, 2, 4 s and so on. LEAVE:
something on the way has lost this port (a translation of addresses or a firewall, whose dead entry our own datagrams
keep alive; one of several processes at the next hop, which hangs), so new requests go out from another. What is not
here: sockets, and what becomes of those that wait on the port.
"""

from enum import Enum
from typing import Final

LISTEN_SECONDS: Final = 1.0  # between the first two times that a port is watched anew; then twice as long each time
MAX_LISTEN_SECONDS: Final = 16.0  # a library that is silent has thousands of requests, on dozens of ports
LEAVE_SECONDS: Final = 1.0  # after the first time: what waited in the socket has been heard by then
MISSED_TO_LEAVE: Final = 3


class Remedy(Enum):
    """What is to be done about a source port."""

    NOTHING = "nothing"
    LISTEN = "listen"
    LEAVE = "leave"


class PortDoubt:
    """One port since the last answer that it brought."""

    __slots__ = ("_listen_at", "_missed", "_pause", "_since", "heard")

    def __init__(self, heard: int, now: float) -> None:
        """A request was not answered, and the port had brought that many answers by then: it is to be watched anew."""
        self.heard = heard
        self._missed = 1
        self._since = now
        self._pause = LISTEN_SECONDS
        self._listen_at = now + LISTEN_SECONDS

    def miss(self, now: float, *, is_heard_elsewhere: bool) -> Remedy:
        """Another one was not, and nothing came meanwhile.

        `is_heard_elsewhere`: the next hop has answered on other ports, and may have answered that request there.
        """
        self._missed += 1
        if is_heard_elsewhere and self._missed >= MISSED_TO_LEAVE and now - self._since >= LEAVE_SECONDS:
            return Remedy.LEAVE
        if now < self._listen_at:
            return Remedy.NOTHING
        self._pause = min(2 * self._pause, MAX_LISTEN_SECONDS)
        self._listen_at = now + self._pause
        return Remedy.LISTEN
