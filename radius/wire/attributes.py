"""Views on attributes: values of a type, joined fragments, vendor and extended attributes; octets never change here.

A vendor lays its attributes out as it likes (RFC 2865 §5.26 only suggests one octet of type and one of length). What
does not fit the vendor's layout is no error: the view is None, and the octets pass as they are.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

from radius.wire.codes import AttributeType, VendorId
from radius.wire.packet import Packet, value_at

VENDOR_ID_OCTETS: Final = 4  # RFC 2865 §5.26

SubAttribute: TypeAlias = tuple[int, int, int, int, bool]
"""One attribute inside a value: its type, the places where it starts, where its value starts (after a continuation
octet, where the layout has one) and where it ends, and whether the value goes on in the next attribute of its type. A
plain tuple: these are made for every key that passes."""

_EAP_HEADER_OCTETS: Final = 4  # Code, Identifier, Length (RFC 3748 §4)
_LARGEST_EAP_CODE: Final = 4  # Request, Response, Success, Failure (RFC 3748 §4)
_EAP_MESSAGE: Final = int(AttributeType.EAP_MESSAGE)
_VENDOR_SPECIFIC: Final = int(AttributeType.VENDOR_SPECIFIC)
_SHORT_EXTENDED: Final = range(AttributeType.EXTENDED_1, AttributeType.EXTENDED_4 + 1)
_LONG_EXTENDED: Final = range(AttributeType.LONG_EXTENDED_1, AttributeType.LONG_EXTENDED_2 + 1)
_MORE: Final = 0x80  # the fragment goes on in the next attribute (RFC 6929 §2.2, WiMAX)


class VendorLayout(NamedTuple):
    """How a vendor writes the attributes inside Vendor-Specific."""

    type_octets: int = 1
    length_octets: int = 1  # 0: one attribute fills the rest
    has_continuation: bool = False  # an octet of flags stands before the value


_COMMON_LAYOUT: Final = VendorLayout()
VENDOR_LAYOUTS: Final[dict[int, VendorLayout]] = {
    int(VendorId.USR): VendorLayout(4, 0),
    int(VendorId.ALCATEL_ESAM): VendorLayout(2, 1),
    int(VendorId.LUCENT): VendorLayout(2, 1),
    int(VendorId.KINETO): VendorLayout(2, 1),
    int(VendorId.STARENT): VendorLayout(2, 2),
    int(VendorId.WIMAX): VendorLayout(1, 1, has_continuation=True),
    int(VendorId.TELRAD): VendorLayout(1, 1, has_continuation=True),
}


class ExtendedAttribute(NamedTuple):
    """An attribute of the extended space (RFC 6929), its fragments joined."""

    type: int  # 241 to 246
    extended_type: int
    value: bytes
    vendor: int | None = None  # for Extended-Vendor-Specific (RFC 6929 §2.4)
    vendor_type: int | None = None


def find(packet: Packet, attribute_type: int) -> bytes | None:
    """Return the value of the first attribute of that type (it may be empty), or None if there is none."""
    offset = packet.offset_of(attribute_type)
    return value_at(packet.octets, offset) if offset else None


def find_all(packet: Packet, attribute_type: int) -> list[bytes]:
    """Return the values of all attributes of that type, in order."""
    octets = packet.octets
    return [value_at(octets, offset) for offset in packet.offsets_of(attribute_type)]


def concatenate(packet: Packet, attribute_type: int) -> bytes:
    """Return the values of all attributes of that type joined, as EAP-Message is to be read (RFC 3579 §3.1)."""
    return b"".join(find_all(packet, attribute_type))


def is_eap_well_formed(packet: Packet) -> bool:
    """Return whether EAP-Message, if there is any, holds one whole EAP packet (RFC 3579 §2.2, RFC 3748 §4).

    The first fragment has the EAP header, no fragment is empty, the code is known, and Length is what is there.
    """
    first = packet.offset_of(_EAP_MESSAGE)
    if not first:
        return True
    octets = packet.octets
    length = octets[first + 1] - 2
    if length < _EAP_HEADER_OCTETS or not 1 <= octets[first + 2] <= _LARGEST_EAP_CODE:
        return False
    if packet.counts[_EAP_MESSAGE] > 1:  # most requests have one, and this is the packet path
        lengths = [octets[offset + 1] - 2 for offset in packet.offsets_of(_EAP_MESSAGE)]
        if 0 in lengths:
            return False
        length = sum(lengths)
    return length == octets[first + 4] << 8 | octets[first + 5]


def fold_station(station: bytes) -> bytes:
    """Return the address in Calling-Station-Id without what access points write differently (RFC 3580 §3.21)."""
    return station.translate(None, b"-:. ").lower()


def vendor_of(value: bytes) -> int | None:
    """Return the vendor of a Vendor-Specific value, or None if it is too short to name one."""
    return int.from_bytes(value[:VENDOR_ID_OCTETS]) if len(value) >= VENDOR_ID_OCTETS else None


def parse_sub_attributes(value: bytes, start: int, layout: VendorLayout) -> list[SubAttribute] | None:
    """Return the places of the attributes from `start` to the end of the value; None if they do not fill it exactly."""
    type_octets, length_octets, has_continuation = layout
    header = type_octets + length_octets
    smallest = header + has_continuation
    end = len(value)
    found: list[SubAttribute] = []
    while start < end:
        if start + smallest > end:
            return None
        if header == 2 and length_octets == 1:  # nearly every vendor
            kind = value[start]
            stop = start + value[start + 1]
        else:
            length_at = start + type_octets
            kind = int.from_bytes(value[start:length_at])
            stop = start + int.from_bytes(value[length_at : start + header]) if length_octets else end
        value_start = start + smallest
        if stop < value_start or stop > end:
            return None
        found.append((kind, start, value_start, stop, has_continuation and value[value_start - 1] >= _MORE))
        start = stop
    return found


def parse_vendor_attributes(value: bytes) -> list[SubAttribute] | None:
    """Return the places of a vendor's attributes in a Vendor-Specific value; None if it does not keep its layout."""
    vendor = vendor_of(value)
    if vendor is None:
        return None
    return parse_sub_attributes(value, VENDOR_ID_OCTETS, VENDOR_LAYOUTS.get(vendor, _COMMON_LAYOUT))


def vendor_attributes(packet: Packet) -> Iterator[tuple[int, int, bytes]]:
    """Yield (vendor, vendor type, value) of all in Vendor-Specific attributes; what breaks its layout is left out."""
    for value in find_all(packet, _VENDOR_SPECIFIC):
        vendor = vendor_of(value)
        if vendor is not None:
            for vendor_type, _, start, end, _ in parse_vendor_attributes(value) or ():
                yield vendor, vendor_type, value[start:end]


def find_vendor(packet: Packet, vendor: int, vendor_type: int) -> bytes | None:
    """Return the value of a vendor's first attribute of that type, or None."""
    for found_vendor, found_type, value in vendor_attributes(packet):
        if found_vendor == vendor and found_type == vendor_type:
            return value
    return None


def extended_attributes(packet: Packet) -> Iterator[ExtendedAttribute]:
    """Yield the attributes of the extended space, in order; what breaks RFC 6929 is left out.

    Fragments of a long attribute follow each other directly, and all but the last say that more comes (§2.2).
    """
    pending: tuple[int, int, list[bytes]] | None = None
    octets = packet.octets
    for kind, offset in zip(packet.types, packet.offsets, strict=True):
        value = value_at(octets, offset)
        if kind in _LONG_EXTENDED and len(value) >= 2:
            if pending is not None and pending[:2] == (kind, value[0]):
                pending[2].append(value[2:])
            else:
                pending = (kind, value[0], [value[2:]])
            if not value[1] & _MORE:
                yield from _view_extended(kind, value[0], b"".join(pending[2]))
                pending = None
            continue
        pending = None
        if kind in _SHORT_EXTENDED and value:
            yield from _view_extended(kind, value[0], value[1:])


def _view_extended(kind: int, extended_type: int, value: bytes) -> Iterator[ExtendedAttribute]:
    if extended_type != _VENDOR_SPECIFIC:
        yield ExtendedAttribute(kind, extended_type, value)
    elif len(value) > VENDOR_ID_OCTETS:
        yield ExtendedAttribute(
            kind,
            extended_type,
            value[VENDOR_ID_OCTETS + 1 :],
            int.from_bytes(value[:VENDOR_ID_OCTETS]),
            value[VENDOR_ID_OCTETS],
        )
