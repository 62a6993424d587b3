"""What the proxy needs from outside and does not make itself."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

from federation.snapshot import HomeServer
from radius.errors import DropReason

Address: TypeAlias = tuple[Any, ...]  # as the socket module writes it


class Listener(Protocol):
    """Where requests come from: one bound socket, or one connection."""

    @property
    def is_accounting(self) -> bool:
        """Whether it takes accounting and no authentication."""
        ...

    @property
    def is_closed(self) -> bool:
        """Whether nobody can get an answer through it any more."""
        ...

    @property
    def requires_errors(self) -> bool:
        """Whether a request that can not be processed is answered with Protocol-Error (RFC 9765 §6.1)."""
        ...

    def send(self, octets: bytes, address: Address, /) -> bool:
        """Whether the octets are on their way; they may be lost, as datagrams are. Never raises."""
        ...


class Flow(Protocol):
    """One source port, or one connection, towards a home server."""

    def send(self, octets: bytes, /) -> bool:
        """Whether the octets are on their way; never raises."""
        ...

    def close(self) -> None:
        """The port is free."""
        ...


class Port(Flow, Protocol):
    """A source port of UDP."""

    def watch_again(self) -> None:
        """What has come may not have been read: the port is watched anew. Does nothing when it is closed."""
        ...


class FlowOpener(Protocol):
    """Opens source ports towards home servers."""

    def __call__(self, host: str, port: int, receive: Callable[[Flow, bytes, float], object], /) -> Port | None:
        """A new flow, whose datagrams go to `receive` with the time; None when there is none to be had now."""
        ...


class Stream(Flow, Protocol):
    """A connection to a home server, which comes again when it is lost."""

    def restart(self) -> None:
        """The connection that stands is given up: its other end does not answer."""
        ...


class StreamOwner(Protocol):
    """Whom a stream tells what becomes of it."""

    server: HomeServer

    def waiting_on(self, stream: Stream, /) -> frozenset[int]:
        """The identifiers on which something waits for an answer."""
        ...

    def resume(self, stream: Stream, now: float, answered_elsewhere: frozenset[int] = frozenset(), /) -> None:
        """A connection stands: what was sent before has to be sent again, but for those identifiers."""
        ...

    def interrupt(self, streams: Sequence[Stream], now: float, /) -> None:
        """The connection that they share was lost, or could not be made; the next attempt comes by itself."""
        ...

    def receive(self, stream: Stream, octets: bytes, now: float, /) -> DropReason | None:
        """A packet came; returns why it was not used, if it was not."""
        ...


class StreamOpener(Protocol):
    """Opens connections to home servers."""

    def __call__(self, owner: StreamOwner, /) -> Stream | None:
        """A new stream, which is dialled from now on; None when there can be none."""
        ...
