"""One request on its way: what is remembered between its forwarding and its answer."""

from typing import TYPE_CHECKING

from federation.snapshot import Realm
from radius.proxy.clients import ClientState
from radius.proxy.ports import Address, Flow, Listener
from radius.wire.packet import Packet

if TYPE_CHECKING:
    from radius.exchange.identifiers import Slot
    from radius.proxy.upstreams import Upstream


class Exchange:
    """One forwarded request. The only object that is made for it, beside its octets."""

    __slots__ = (
        "attempts",
        "authenticator",
        "client",
        "deadline",
        "interval",
        "key",
        "listener",
        "octets",
        "packet",
        "proxy_state",
        "realm",
        "revision",
        "slot",
        "source",
        "started_at",
        "upstream",
    )

    def __init__(
        self,
        *,
        client: ClientState,
        packet: Packet,
        realm: Realm,
        listener: Listener,
        source: Address,
        key: object,
        revision: int,
        now: float,
    ) -> None:
        self.client = client
        self.packet = packet  # the client's request
        self.realm = realm
        self.listener = listener
        self.source = source
        self.key = key  # in the table of duplicates
        self.revision = revision  # of the snapshot that decided
        self.started_at = now
        self.deadline = now
        self.interval = 0.0  # until the next repeat
        self.attempts = 0
        self.octets = b""  # as sent, and sent again
        self.authenticator = b""  # ours, towards the home server
        self.proxy_state = b""  # ours
        self.slot: Slot[Flow, Exchange] | None = None  # None: finished
        self.upstream: Upstream | None = None
