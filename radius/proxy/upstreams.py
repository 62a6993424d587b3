"""Home servers as the packet path needs them: their source ports, what is outstanding, and whether they live."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final
from zlib import crc32

from federation.snapshot import HomeServer, Realm
from radius.exchange.identifiers import Identifiers, Slot
from radius.exchange.liveness import HopState, Liveness
from radius.proxy.exchange import Exchange
from radius.proxy.ports import Flow, FlowOpener
from radius.wire.authenticators import KeyedSecret

MAX_FLOWS: Final = 64  # source ports to one home server: 16,320 requests outstanding
MAX_PINNED: Final = 100_000  # conversations that are remembered by State
CHECK_IDENTIFIER: Final = 0  # Status-Server's own, on the first flow (RFC 5997 §4.1: it never waits in a queue)

Receive = Callable[["Upstream", Flow, bytes, float], None]


class Upstream:
    """One home server of the snapshot."""

    __slots__ = (
        "_open",
        "_receive",
        "address",
        "check_authenticator",
        "identifiers",
        "is_removed",
        "key",
        "keyed",
        "liveness",
        "requires_message_authenticator",
        "server",
    )

    def __init__(self, server: HomeServer, open_flow: FlowOpener, receive: Receive) -> None:
        """No port is opened before the first request."""
        self.server = server
        self.key = server.key
        self.keyed = KeyedSecret(server.secret)
        self.requires_message_authenticator = server.requires_message_authenticator
        self.identifiers: Identifiers[Flow, Exchange] = Identifiers(MAX_FLOWS)
        self.liveness = Liveness()
        self.address: str | None = server.host  # None: its name does not resolve yet
        self.check_authenticator = b""
        self.is_removed = False
        self._open = open_flow
        self._receive = receive

    @property
    def is_down(self) -> bool:
        """Whether it is believed not to answer."""
        return self.liveness.state is HopState.DOWN

    def take(self, exchange: Exchange) -> Slot[Flow, Exchange] | None:
        """Return an identifier for the exchange, opening another port when all are in use; None when there is none."""
        slot = self.identifiers.take(exchange)
        if slot is None and self.open_flow() is not None:
            slot = self.identifiers.take(exchange)
        return slot

    def open_flow(self) -> Flow | None:
        """Another source port, if there may be one."""
        if self.address is None or not self.identifiers.may_grow:
            return None
        flow = self._open(self.address, self.server.port, self._take_datagram)
        if flow is not None:
            self.identifiers.add_flow(flow)
        return flow

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

    def _take_datagram(self, flow: Flow, datagram: bytes, now: float) -> None:
        self._receive(self, flow, datagram, now)


class Pins:
    """Which home server a conversation is with, by its State: a round of EAP must not meet another server."""

    __slots__ = ("_by_state",)

    def __init__(self) -> None:
        """Nothing is pinned."""
        self._by_state: dict[bytes, str] = {}

    def pin(self, state: bytes, upstream: str) -> None:
        """The next request with this State goes to that home server."""
        if len(self._by_state) >= MAX_PINNED:
            del self._by_state[next(iter(self._by_state))]  # the oldest: its round is long over
        self._by_state[state] = upstream

    def find(self, state: bytes) -> str | None:
        """Return the key of the home server that issued the State."""
        return self._by_state.get(state)


def select_upstream(
    realm: Realm, upstreams: Mapping[str, Upstream], *, pinned: str | None, affinity: bytes
) -> Upstream | None:
    """Return the home server that a request of the realm goes to; None when there is none at all.

    The one that the conversation is with, while it lives. Else a library's own servers in their order, and hosted ones
    by `affinity`, so that one device stays with one process and devices spread over all. One that is down is taken only
    when all are: silence is then the same everywhere, and it may be back.
    """
    keys = realm.home_servers
    if len(keys) == 1:
        return upstreams.get(keys[0])
    if pinned is not None and pinned in keys:
        upstream = upstreams.get(pinned)
        if upstream is not None and not upstream.is_down:
            return upstream
    candidates = [upstreams[key] for key in keys if key in upstreams]
    return _first(candidates, affinity) if candidates else None


def _first(candidates: Sequence[Upstream], affinity: bytes) -> Upstream:
    living = [upstream for upstream in candidates if not upstream.is_down] or candidates
    if living[0].server.is_hosted:
        return living[crc32(affinity) % len(living)]
    return living[0]
