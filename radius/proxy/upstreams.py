"""Home servers as the packet path needs them: their source ports, what is outstanding, and whether they live."""

from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import ip_address
from typing import Final

from federation.snapshot import HomeServer, Transport
from radius.exchange.identifiers import Identifiers
from radius.exchange.liveness import HopState, Liveness
from radius.proxy.exchange import Exchange
from radius.proxy.ports import Flow, FlowOpener
from radius.wire.authenticators import KeyedSecret

MAX_FLOWS: Final = 64  # source ports to one home server: 16,320 requests outstanding

Receive = Callable[["Upstream", Flow, bytes, float], None]


class Upstream:
    """One home server of the snapshot at one address."""

    __slots__ = (
        "_open",
        "_receive",
        "address",
        "answers",
        "check_authenticator",
        "identifiers",
        "is_draining",
        "key",
        "keyed",
        "late",
        "liveness",
        "repeats",
        "requests",
        "requires_message_authenticator",
        "server",
        "timeouts",
    )

    def __init__(self, server: HomeServer, open_flow: FlowOpener, receive: Receive, address: str | None = None) -> None:
        """No port is opened before the first request; `address` is what the server's name resolved to."""
        self.server = server
        self.key = server.key
        self.keyed = KeyedSecret(server.secret)
        self.requires_message_authenticator = server.requires_message_authenticator
        self.identifiers: Identifiers[Flow, Exchange] = Identifiers(MAX_FLOWS)
        self.liveness = Liveness()
        # None: its name is not resolved yet, or it is not reached over UDP.
        self.address = server.host if is_address(server.host) else address
        if server.transport is not Transport.UDP:
            self.address = None
        self.is_draining = False  # it left the snapshot, and what it was asked may still be answered
        self.check_authenticator = b""  # of the Status-Server that is out
        self.requests = 0
        self.answers = 0
        self.repeats = 0
        self.timeouts = 0
        self.late = 0
        self._open = open_flow
        self._receive = partial(receive, self)

    @property
    def is_down(self) -> bool:
        """Whether it is believed not to answer, or can not be asked."""
        return self.liveness.state is HopState.DOWN or self.address is None

    def open_flow(self) -> Flow | None:
        """Another source port, if there may be one and the system gives it."""
        if self.address is None or self.is_draining or not self.identifiers.may_grow:
            return None
        flow = self._open(self.address, self.server.port, self._receive)
        if flow is not None:
            self.identifiers.add_flow(flow)
        return flow

    def shrink(self) -> bool:
        """Close a source port that can be spared; returns whether there are others left that may be later."""
        flow = self.identifiers.shrink()
        if flow is not None:
            flow.close()
        return len(self.identifiers.flows) > 1

    def check_flow(self) -> Flow | None:
        """The flow on which Status-Server is sent."""
        flows = self.identifiers.flows
        return flows[0] if flows else self.open_flow()

    def close(self) -> list[Exchange]:
        """Every port is closed; returns what was outstanding."""
        waiting: list[Exchange] = []
        for flow in self.identifiers.flows:
            waiting += self.identifiers.remove_flow(flow)
            flow.close()
        return waiting

    def counters(self) -> dict[str, object]:
        """What a status report tells."""
        return {
            "state": self.liveness.state.value,
            "outstanding": self.identifiers.outstanding,
            "source_ports": len(self.identifiers.flows),
            "requests": self.requests,
            "answers": self.answers,
            "repeats": self.repeats,
            "timeouts": self.timeouts,
            "late": self.late,
        }


def choose_address(found: Sequence[str], current: str | None, *, is_down: bool) -> str | None:
    """Return where a home server of these addresses is asked: where it was while that holds and lives, else the next.

    None when it has no address and never had one.
    """
    if not found:
        return current
    if current not in found:
        return found[0]
    return found[(found.index(current) + 1) % len(found)] if is_down else current


def is_address(host: str) -> bool:
    """Whether it is an IP address and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
