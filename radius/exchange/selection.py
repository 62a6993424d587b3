"""Which of a realm's home servers a request goes to.

In their order, and to another only when one is down: a refusal is an answer, not a failure. Neighbours in the order
that have a weight share the devices. A conversation stays where it began, and one device with one server, as long as
that lives.
"""

from collections.abc import Sequence
from hashlib import blake2b
from math import log
from typing import Final, Protocol, TypeVar

_KEY_OCTETS: Final = 64  # that BLAKE2b takes as its key (RFC 7693 §2.1)
MAX_PINNED: Final = 50_000  # conversations that are remembered by their State


class NextHop(Protocol):
    """A home server as the choice sees it."""

    @property
    def key(self) -> str:
        """What names it, the same in every process."""
        ...

    @property
    def weight(self) -> int:
        """Its share of the devices among neighbours that have one, too; 0: it is asked in its order."""
        ...

    @property
    def is_down(self) -> bool:
        """Whether it is believed not to answer."""
        ...


Hop = TypeVar("Hop", bound=NextHop)


def select_hop(candidates: Sequence[Hop], *, pinned: Hop | None, affinity: bytes) -> Hop | None:
    """Return the hop that a request goes to; None when there is no candidate.

    Args:
        candidates: the realm's hops, in order of preference; neighbours with a weight are one pool.
        pinned: the one that the conversation is with, if it is known and a candidate.
        affinity: what stays the same for one device and realm.
    """
    if pinned is not None and not pinned.is_down:
        return pinned
    # When all are down the silence is the same everywhere, and one may be back.
    living = {id(hop) for hop in candidates if not hop.is_down} or {id(hop) for hop in candidates}
    pool: list[Hop] = []
    for hop in candidates:
        if hop.weight > 0:
            if id(hop) in living:
                pool.append(hop)
        elif pool:
            break
        elif id(hop) in living:
            return hop
    if len(pool) > 1:
        return max(pool, key=lambda hop: _score(affinity, hop.key, hop.weight))
    return pool[0] if pool else None


def _score(affinity: bytes, key: str, weight: int) -> float:
    """Weighted rendezvous hashing: each hop draws a number for the device, and the highest wins.

    Only the devices of who leaves move, and the others share them by their weights. CRC-32 would not do: of two keys
    of one length its results differ by the same bits for every device.
    """
    drawn = blake2b(affinity, digest_size=8, key=key.encode()[:_KEY_OCTETS]).digest()
    return -weight / log((int.from_bytes(drawn) + 0.5) / 2**64)


class Pins:
    """Which hop a conversation is with, by its State: a round of EAP must not meet another server."""

    __slots__ = ("_by_conversation", "_max_pinned")

    def __init__(self, max_pinned: int = MAX_PINNED) -> None:
        """Nothing is pinned."""
        self._by_conversation: dict[tuple[str, bytes], str] = {}
        self._max_pinned = max_pinned

    def pin(self, realm: str, state: bytes, hop: str) -> None:
        """The next request of the realm with this State goes to that hop; without a State there is nothing to pin.

        The realm is part of the key: no member can pin another's conversations by guessing a State.
        """
        if not state:
            return
        if len(self._by_conversation) >= self._max_pinned:
            # A quarter at a time, the oldest: their rounds are long over.
            for key in list(self._by_conversation)[: max(1, self._max_pinned // 4)]:
                del self._by_conversation[key]
        self._by_conversation[realm, state] = hop

    def find(self, realm: str, state: bytes) -> str | None:
        """Return the key of the hop that issued the State for the realm."""
        return self._by_conversation.get((realm, state))
