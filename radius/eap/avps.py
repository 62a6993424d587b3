"""The attribute-value pairs inside EAP-TTLS (RFC 5281 §10)."""

from typing import Final

VENDOR_FLAG: Final = 0x80
MANDATORY_FLAG: Final = 0x40
USER_NAME: Final = (0, 1)  # (vendor, code); codes below 256 without vendor are RADIUS's
USER_PASSWORD: Final = (0, 2)
MS_CHAP_CHALLENGE: Final = (311, 11)
MS_CHAP2_RESPONSE: Final = (311, 25)
MS_CHAP2_SUCCESS: Final = (311, 26)
_HEADER_OCTETS: Final = 8
_VENDOR_OCTETS: Final = 4
MAX_AVPS: Final = 64


def parse_avps(data: bytes) -> dict[tuple[int, int], bytes] | None:
    """Return the values by (vendor, code); None when a length does not fit or a pair comes twice.

    What is unknown and not mandatory is kept; nobody looks at it. An unknown mandatory one is the method's to judge.
    """
    found: dict[tuple[int, int], bytes] = {}
    at = 0
    while at < len(data):
        if len(data) - at < _HEADER_OCTETS or len(found) >= MAX_AVPS:
            return None
        code = int.from_bytes(data[at : at + 4])
        flags = data[at + 4]
        length = int.from_bytes(data[at + 5 : at + 8])
        start = at + _HEADER_OCTETS
        vendor = 0
        if flags & VENDOR_FLAG:
            vendor = int.from_bytes(data[start : start + _VENDOR_OCTETS])
            start += _VENDOR_OCTETS
        end = at + length
        if end < start or end > len(data) or (vendor, code) in found:
            return None
        found[vendor, code] = data[start:end]
        at = end + -length % 4  # padding may be left out at the very end
    return found


def build_avp(key: tuple[int, int], value: bytes) -> bytes:
    """Return one mandatory pair, padded to four octets."""
    vendor, code = key
    header = _HEADER_OCTETS + (_VENDOR_OCTETS if vendor else 0)
    flags = MANDATORY_FLAG | (VENDOR_FLAG if vendor else 0)
    length = header + len(value)
    prefix = code.to_bytes(4) + bytes((flags,)) + length.to_bytes(3) + (vendor.to_bytes(4) if vendor else b"")
    return prefix + value + b"\x00" * (-length % 4)
