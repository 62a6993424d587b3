"""Our own Proxy-State: opaque to others, unforgeable, and known again when it comes back in a request.

A nonce and a keyed digest of it; some of them are used in turn, since what tells requests apart is the identifier. The
key is the node's, shared by its workers and kept over restarts, so a request that
went round is known whichever worker meets it. A ring in which somebody takes all Proxy-States off is ended by the hop
counter that radsecproxy counts down too.
"""

import hashlib
import hmac
from typing import Final

from federation.snapshot import HomeServer
from radius.wire.codes import AttributeType, VendorId
from radius.wire.packet import Packet, build_vendor_attribute

HOPS: Final = 20  # that a request may still make when it leaves us
_HOP_VENDOR: Final = int(VendorId.RADSEC_PROXY_TTL).to_bytes(4)
_HOP_COUNTER: Final = build_vendor_attribute(VendorId.RADSEC_PROXY_TTL, 1, HOPS.to_bytes(4))
_VENDOR_SPECIFIC: Final = int(AttributeType.VENDOR_SPECIFIC)
NONCE_OCTETS: Final = 4
DIGEST_OCTETS: Final = 8
STATE_OCTETS: Final = NONCE_OCTETS + DIGEST_OCTETS
KEPT_STATES: Final = 256  # a digest costs a seventh of what the proxy itself does with a request


class LoopGuard:
    """Makes Proxy-States and knows them again."""

    __slots__ = ("_keyed", "_next", "_ready")

    def __init__(self, key: bytes) -> None:
        """The key has 16 octets or more, known to this node only."""
        self._keyed = hashlib.blake2s(key=key[:32], digest_size=DIGEST_OCTETS)
        self._ready: list[bytes] = []
        self._next = 0

    def make(self, nonce: bytes) -> bytes:
        """Return a Proxy-State value; the nonce has 4 octets."""
        keyed = self._keyed.copy()
        keyed.update(nonce)
        return nonce + keyed.digest()

    def take(self, nonce: bytes) -> bytes:
        """Return a Proxy-State value for one request: made with the nonce, while there are not enough of them yet."""
        if len(self._ready) < KEPT_STATES:
            self._ready.append(self.make(nonce))
            return self._ready[-1]
        self._next = (self._next + 1) % KEPT_STATES
        return self._ready[self._next]

    def has_been_here(self, packet: Packet) -> bool:
        """Whether a request carries a Proxy-State of ours: somebody sent it round."""
        octets = packet.octets
        return any(self._is_ours(octets[offset + 2 : offset + octets[offset + 1]]) for offset in packet.proxy_states)

    def _is_ours(self, value: bytes) -> bool:
        return len(value) == STATE_OCTETS and hmac.compare_digest(value, self.make(value[:NONCE_OCTETS]))


def hop_counter_of(packet: Packet, server: HomeServer) -> bytes:
    """Return the hop counter that a request gets on its way to that server: none when it has one, or stays here."""
    if server.is_hosted:
        return b""
    if packet.counts[_VENDOR_SPECIFIC]:
        octets = packet.octets
        if any(octets[at + 2 : at + 6] == _HOP_VENDOR for at in packet.vendor_specifics):
            return b""
    return _HOP_COUNTER
