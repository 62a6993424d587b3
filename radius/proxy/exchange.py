"""One request on its way: what is remembered from its arrival to its answer."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from federation.snapshot import Realm
from radius.proxy.clients import ClientState
from radius.proxy.ports import Address, Flow, Listener
from radius.wire.packet import Packet
from radius.wire.rewrite import AttributeFilter

if TYPE_CHECKING:
    from radius.exchange.identifiers import Slot
    from radius.proxy.upstreams import Upstream


@dataclass(frozen=True, slots=True)
class Passage:
    """What a request that asks for nobody to be let in takes along, and what its answer brings back."""

    request_filter: AttributeFilter
    response_filter: AttributeFilter
    appended: bytes = b""
    """Whole attributes that are added to the request."""
    is_change: bool = False
    """Whether it changes a session: whoever does that refuses attributes that it does not know (RFC 5176 §3)."""
    adds_proxy_state: bool = True


class Exchange:
    """One request that is no repeat. The only object that is made for it, beside its octets."""

    __slots__ = (
        "attempts",
        "authenticator",
        "client",
        "deadline",
        "interval",
        "is_diverted",
        "key",
        "listener",
        "octets",
        "packet",
        "passage",
        "place",
        "proxy_state",
        "realm",
        "revision",
        "slot",
        "source",
        "started_at",
        "upstream",
    )

    realm: Realm | None
    """Where it goes; None before that is decided, and for what is not routed."""
    passage: Passage | None
    """None: it is an Access-Request, or goes nowhere."""
    revision: int
    """Of the snapshot that decides about it."""
    slot: "Slot[Flow, Exchange] | None"
    """Its identifier towards the home server; None: nothing waits there."""
    upstream: "Upstream | None"
    authenticator: bytes
    """Ours, towards the home server."""
    proxy_state: bytes
    """The value of ours."""
    octets: bytes
    """As sent, and sent again."""
    interval: float
    """Seconds until the next repeat."""
    place: int
    """In the schedule."""
    attempts: int
    """How often it was sent to this home server."""
    deadline: float
    is_diverted: bool
    """Whether a home server has sent it on to another by a Protocol-Error."""

    def __init__(
        self,
        client: ClientState,
        packet: Packet,
        listener: Listener,
        source: Address,
        key: object,
        revision: int,
        now: float,
    ) -> None:
        """`key` names the request in the table of duplicates."""
        self.client = client
        self.packet = packet
        self.listener = listener
        self.source = source
        self.key = key
        self.revision = revision
        self.started_at = now
        self.realm = None
        self.passage = None
        self.slot = None
        self.upstream = None
        self.is_diverted = False
