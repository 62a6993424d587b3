"""Our own Proxy-State: opaque to others, unforgeable, and known again when it comes back in a request.

A nonce and a keyed digest of it. The key is the node's, shared by its workers and kept over restarts, so a request that
went round is known whichever worker meets it.
"""

import hashlib
import hmac
from typing import Final

from radius.wire.packet import Packet

NONCE_OCTETS: Final = 4
DIGEST_OCTETS: Final = 8
STATE_OCTETS: Final = NONCE_OCTETS + DIGEST_OCTETS


class LoopGuard:
    """Makes Proxy-States and knows them again."""

    __slots__ = ("_keyed",)

    def __init__(self, key: bytes) -> None:
        """The key has 16 octets or more, known to this node only."""
        self._keyed = hashlib.blake2s(key=key[:32], digest_size=DIGEST_OCTETS)

    def make(self, nonce: bytes) -> bytes:
        """Return a Proxy-State value; the nonce has 4 octets, used once."""
        keyed = self._keyed.copy()
        keyed.update(nonce)
        return nonce + keyed.digest()

    def has_been_here(self, packet: Packet) -> bool:
        """Whether a request carries a Proxy-State of ours: somebody sent it round."""
        octets = packet.octets
        return any(self._is_ours(octets[offset + 2 : offset + octets[offset + 1]]) for offset in packet.proxy_states)

    def _is_ours(self, value: bytes) -> bool:
        return len(value) == STATE_OCTETS and hmac.compare_digest(value, self.make(value[:NONCE_OCTETS]))
