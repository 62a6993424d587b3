"""What the proxy needs from outside and does not make itself."""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

Address: TypeAlias = tuple[Any, ...]  # as the socket module writes it


class Listener(Protocol):
    """Where requests come from: one bound socket."""

    @property
    def is_accounting(self) -> bool:
        """Whether it takes accounting and no authentication."""
        ...

    def send(self, octets: bytes, address: Address, /) -> None:
        """The octets are on their way, or lost as datagrams are; never raises."""
        ...


class Flow(Protocol):
    """One source port towards a home server."""

    def send(self, octets: bytes, /) -> bool:
        """Whether the octets are on their way; never raises."""
        ...

    def close(self) -> None:
        """The port is free."""
        ...


class FlowOpener(Protocol):
    """Opens source ports towards home servers."""

    def __call__(self, host: str, port: int, receive: Callable[[Flow, bytes, float], None], /) -> Flow | None:
        """A new flow, whose datagrams go to `receive` with the time; None when there is none to be had now."""
        ...
