"""EAP packets (RFC 3748 §4) as octets."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

HEADER_OCTETS: Final = 4


class EapCode(IntEnum):
    """RFC 3748 §4."""

    REQUEST = 1
    RESPONSE = 2
    SUCCESS = 3
    FAILURE = 4


class EapType(IntEnum):
    """RFC 3748 §5, and the types that IANA gave since."""

    IDENTITY = 1
    NOTIFICATION = 2
    NAK = 3
    TLS = 13  # RFC 5216
    TTLS = 21  # RFC 5281
    PEAP = 25  # draft-josefsson-pppext-eap-tls-eap, version 0 as Microsoft documents it in MS-PEAP
    MSCHAPV2 = 26  # draft-kamath-pppext-eap-mschapv2
    TLV = 33  # the extensions of PEAPv0 (MS-PEAP §2.2.8)
    EXPANDED = 254


@dataclass(frozen=True, slots=True)
class EapPacket:
    """A request or a response, taken apart."""

    code: int
    identifier: int
    kind: int  # the type
    data: bytes  # behind the type


def parse_eap(octets: bytes) -> EapPacket | None:
    """Return the request or response; None when it is none, or says another length than it has."""
    if len(octets) <= HEADER_OCTETS or int.from_bytes(octets[2:4]) != len(octets):
        return None
    if octets[0] not in (EapCode.REQUEST, EapCode.RESPONSE):
        return None
    return EapPacket(octets[0], octets[1], octets[4], octets[5:])


def build_eap(code: int, identifier: int, kind: int, data: bytes) -> bytes:
    """Return a request or a response."""
    length = HEADER_OCTETS + 1 + len(data)
    return bytes((code, identifier)) + length.to_bytes(2) + bytes((kind,)) + data


def build_end(code: int, identifier: int) -> bytes:
    """Return EAP-Success or EAP-Failure; its Identifier is that of the response it answers (RFC 3748 §4.2)."""
    return bytes((code, identifier, 0, HEADER_OCTETS))
