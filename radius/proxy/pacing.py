"""What waits for a connection goes out in portions when one stands.

A home server that was away for a tenth of a second has hundreds of requests coming, from each of its neighbours. One
that has just started does not take them all at once: radsecproxy, with 256 identifiers towards the server behind it,
leaves some of them for five seconds.
"""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final, Generic, TypeVar

from radius.proxy.ports import Stream

PORTION: Final = 64
PORTION_SECONDS: Final = 0.01

Item = TypeVar("Item")


class Pacing(Generic[Item]):
    """The requests that are still to be sent on connections that stand, each once."""

    __slots__ = ("_due", "_send", "_waiting")

    def __init__(self, send: Callable[[Item, Stream], None]) -> None:
        """`send` looks whether the request still waits on that stream, and sends it if so."""
        self._send = send
        self._waiting: dict[Stream, dict[Item, None]] = {}
        self._due: float | None = None

    def begin(self, stream: Stream, exchanges: Iterable[Item], now: float) -> None:
        """The stream's connection stands: a portion is sent now, the others follow."""
        waiting = self._waiting.setdefault(stream, {})
        for exchange in exchanges:
            waiting[exchange] = None
        self._send_portion(stream, waiting, now)

    def forget(self, stream: Stream) -> None:
        """Its connection is lost."""
        self._waiting.pop(stream, None)

    def next_timer(self) -> float | None:
        """When `on_timer` is to be called next; None while nothing waits."""
        return self._due if self._waiting else None

    def on_timer(self, now: float) -> None:
        """Another portion for each."""
        if self._waiting and self._due is not None and now >= self._due:
            for stream, waiting in list(self._waiting.items()):
                self._send_portion(stream, waiting, now)

    def _send_portion(self, stream: Stream, waiting: dict[Item, None], now: float) -> None:
        portion = list(islice(waiting, PORTION))
        for exchange in portion:
            del waiting[exchange]
            self._send(exchange, stream)
        if waiting:
            self._due = now + PORTION_SECONDS
        else:
            self._waiting.pop(stream, None)
