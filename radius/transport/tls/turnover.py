"""What becomes of connections when our own certificate or its chain changes: they are made anew, within a bound.

A peer that stays on a connection of the old chain has not said that it believes the new one, and would go on with a
certificate that may be about to end. So each connection goes, at a random time, so that not all peers come back at
once; each with what is outstanding on it answered, and close_notify after that.

Those that we dialled have their successor first (`link`). Those that came in are only the peer's to make again:

    standing ──(its time comes)──▶ leaving ──(nothing outstanding)──▶ closed
                                      └──(the bound is near)──▶ taking nothing new ──(answered, or the bound)──▶ closed

What a peer sends while nothing new is taken is lost with the connection, unread by any home server, so that it can be
asked again on the next one as if nothing had been (RFC 6613 §2.6.1).

A young one stays until it is old enough: radsecproxy (its `connect_wait`; seen with 1.9.2) dials again no sooner than
half a minute after its last connection came to stand, and a library would be without us for as long as that. Pure: time
and chance are handed in.
"""

from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

TURNOVER_SECONDS: Final = 30.0  # no connection of the old chain that is of age outlives the change longer
OF_AGE_SECONDS: Final = 32.0  # radsecproxy's thirty, which are whole ones of its own clock
SPREAD_SECONDS: Final = 15.0  # the last ones begin to go by then
LAST_CALL_SECONDS: Final = 2.0  # before the bound: an answer that takes longer has most likely no one who waits for it
PACE: Final = 50  # connections a second; a handshake is about two milliseconds of a processor, at both ends

Connection = TypeVar("Connection")


def spread_over(count: int) -> float:
    """Seconds over which so many connections are made anew; one alone goes within a second."""
    return min(SPREAD_SECONDS, max(1.0, count / PACE))


class Departures(Generic[Connection]):
    """Connections that came in under an earlier chain of ours, and when each of them goes."""

    __slots__ = ("_leaving",)

    def __init__(self) -> None:
        """Nobody has to go."""
        self._leaving: dict[Connection, tuple[float, float]] = {}  # since when it may go, and when it must

    def __len__(self) -> int:
        return len(self._leaving)

    def begin(self, connections: Mapping[Connection, float], draw: Callable[[], float], now: float) -> None:
        """Those go, each of which stands since then; `draw` is uniform in 0 to 1.

        One that was told so before goes when it was told. One that is not of age by now has its time from when it is.
        """
        news = {each: since for each, since in connections.items() if each not in self._leaving}
        spread = spread_over(len(news))
        for connection, since in news.items():
            start = max(now, since + OF_AGE_SECONDS)
            self._leaving[connection] = (start + spread * draw(), start + TURNOVER_SECONDS)

    def forget(self, connection: Connection) -> None:
        """It has ended."""
        self._leaving.pop(connection, None)

    def refuses(self, connection: Connection, now: float) -> bool:
        """Whether nothing new is taken from it, since it ends within a moment."""
        times = self._leaving.get(connection)
        return times is not None and now >= times[1] - LAST_CALL_SECONDS

    def take_due(self, find_busy: Callable[[], frozenset[Connection]], now: float) -> list[Connection]:
        """Return those to be closed now, which are forgotten; `find_busy` says on which something is outstanding."""
        candidates = [each for each, (since, _) in self._leaving.items() if now >= since]
        if not candidates:
            return []
        busy = find_busy()
        due = [each for each in candidates if each not in busy or now >= self._leaving[each][1]]
        for connection in due:
            del self._leaving[connection]
        return due
