"""The TLVs of PEAP's result exchange, and crypto-binding among them (MS-PEAP §2.2.8.1, §3.1.5.5).

Crypto-binding proves that who sits at the end of the tunnel is who proved the password: its keys come from both.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

from radius.eap.packet import EapType
from radius.eap.tunnel import MSK_OCTETS

RESULT_TYPE: Final = 3
BINDING_TYPE: Final = 12
RESULT_SUCCESS: Final = bytes((0x80, RESULT_TYPE, 0, 2, 0, 1))  # mandatory, two octets
RESULT_FAILURE: Final = bytes((0x80, RESULT_TYPE, 0, 2, 0, 2))
NONCE_OCTETS: Final = 32
_HEADER_OCTETS: Final = 4
_BINDING_OCTETS: Final = 56
_MAC_OCTETS: Final = 20
_SUBTYPE_AT: Final = 7  # in the TLV with its header
_TYPE_BITS: Final = 0x3FFF  # without the mandatory and the reserved bit


@dataclass(frozen=True, slots=True)
class BoundKeys:
    """What follows from the keys of the tunnel and those of the method inside it."""

    compound_key: bytes = field(repr=False)
    msk: bytes = field(repr=False)

    @classmethod
    def derive(cls, tunnel_key: bytes, inner_keys: bytes) -> "BoundKeys":
        """`tunnel_key` has 40 octets or more; `inner_keys` are the server's receive and send key of the method."""
        derived = _prf_plus(tunnel_key[:40], b"Inner Methods Compound Keys" + inner_keys, 60)
        msk = _prf_plus(derived[:40], b"Session Key Generating Function\x00", 128)[:MSK_OCTETS]
        return cls(derived[40:], msk)

    def build(self, nonce: bytes, *, is_response: bool = False) -> bytes:
        """The TLV: header, reserved and versions 0, subtype, nonce, and a MAC over it all."""
        header = bytes((0, BINDING_TYPE)) + _BINDING_OCTETS.to_bytes(2) + bytes((0, 0, 0, int(is_response)))
        return header + nonce + self._mac(header + nonce)

    def verify(self, binding: bytes, *, is_response: bool = False) -> bool:
        """Whether the other side made it, and for this direction."""
        if len(binding) != _HEADER_OCTETS + _BINDING_OCTETS or binding[_SUBTYPE_AT] != int(is_response):
            return False
        return hmac.compare_digest(binding[-_MAC_OCTETS:], self._mac(binding[:-_MAC_OCTETS]))

    def _mac(self, unsigned: bytes) -> bytes:
        return hmac.digest(self.compound_key, unsigned + bytes(_MAC_OCTETS) + bytes((EapType.PEAP,)), "sha1")


def parse_tlvs(data: bytes) -> dict[int, bytes] | None:
    """Each whole TLV, header and all, by its type; None when they do not fill the data, or a type comes twice."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        kind = int.from_bytes(data[at : at + 2]) & _TYPE_BITS
        end = at + _HEADER_OCTETS + int.from_bytes(data[at + 2 : at + _HEADER_OCTETS])
        if at + _HEADER_OCTETS > len(data) or end > len(data) or kind in found:
            return None
        found[kind] = data[at:end]
        at = end
    return found


def _prf_plus(key: bytes, seed: bytes, octets: int) -> bytes:
    """MS-PEAP §3.1.5.5.2.2: T1 | T2 | …, each the HMAC of the one before, the seed, a counter and two zeros."""
    out, block, number = b"", b"", 0
    while len(out) < octets:
        number += 1
        block = hmac.new(key, block + seed + bytes((number, 0, 0)), hashlib.sha1).digest()
        out += block
    return out[:octets]
