"""Source ports of which nothing is heard, while their next hop may well live.

One request without an answer says nothing of its port: its library may be silent, or a datagram is lost. A port that
has brought no answer to anything since a request went out from it, for as long as requests wait before they are sent
again, is in doubt, and what is done about it costs little:

    nothing heard ──request sent again──▶ LISTEN ──3 of them, 1 s, and the hop answers elsewhere──▶ LEAVE

LISTEN: the socket may be one that is no longer read, so it is watched anew, at most once a second. LEAVE: something on
the way has lost this port (a translation of addresses or a firewall, whose dead entry our own datagrams keep alive; one
of several processes at the next hop, which hangs), so new requests go out from another. What is not here: sockets, and
what becomes of those that wait on the port.
"""

from enum import Enum
from typing import Final

LISTEN_SECONDS: Final = 1.0  # between two times that a port is watched anew
LEAVE_SECONDS: Final = 1.0  # after the first time: what waited in the socket has been heard by then
MISSED_TO_LEAVE: Final = 3


class Remedy(Enum):
    """What is to be done about a source port."""

    NOTHING = "nothing"
    LISTEN = "listen"
    LEAVE = "leave"


class PortDoubt:
    """One port since the last answer that it brought."""

    __slots__ = ("_listened_at", "_missed", "_since", "heard")

    def __init__(self, heard: int, now: float) -> None:
        """A request was sent again, and the port had brought that many answers by then: it is to be watched anew."""
        self.heard = heard
        self._missed = 1
        self._since = self._listened_at = now

    def miss(self, now: float, *, is_heard_elsewhere: bool) -> Remedy:
        """Another one is sent again, and nothing came meanwhile; whether the next hop has answered on other ports."""
        self._missed += 1
        if is_heard_elsewhere and self._missed >= MISSED_TO_LEAVE and now - self._since >= LEAVE_SECONDS:
            return Remedy.LEAVE
        if now - self._listened_at < LISTEN_SECONDS:
            return Remedy.NOTHING
        self._listened_at = now
        return Remedy.LISTEN
