"""Which vendor attributes are hidden with the shared secret, and how they are moved from hop to hop.

Vendors took the method of RFC 2548 §2.4.2 and RFC 2868 §3.5 over for keys and pass phrases. A proxy that does not know
which attributes those are destroys them. The table gathers what the vendors' documents and the dictionaries of other
servers say. Not here, because nothing about them is hidden: Cisco (its AV pairs are clear text), Juniper's own number
(its hidden attributes are those of the ERX line, below), Ruckus, Meraki, and the vendors with types of two or four
octets (USR, Starent, Kineto, Alcatel's ESAM).
"""

from enum import Enum
from typing import TYPE_CHECKING, Final

from radius.errors import DropReason
from radius.wire.attributes import (
    VENDOR_ID_OCTETS,
    VENDOR_LAYOUTS,
    VendorLayout,
    parse_sub_attributes,
    parse_vendor_attributes,
)
from radius.wire.codes import MicrosoftAttribute, VendorId

if TYPE_CHECKING:
    from collections.abc import Container

    from radius.wire.hiding import Rehiding


class Hiding(Enum):
    """How a vendor attribute is hidden."""

    SALTED = "salted"  # salt, then blocks (RFC 2548 §2.4.2)
    TAGGED = "tagged"  # a tag octet in clear, then as SALTED (RFC 2868 §3.5)
    PASSWORD = "password"  # noqa: S105 - as User-Password, without a salt (RFC 2548 §2.4.1)
    NESTED = "nested"  # attributes inside, of which some are SALTED
    REFUSED = "refused"  # hidden in a way that no document fixes: it is not passed on


_SALTED: Final = Hiding.SALTED
_TAGGED: Final = Hiding.TAGGED
_PASSWORD: Final = Hiding.PASSWORD
_REFUSED: Final = Hiding.REFUSED


def _all_salted(*vendor_types: int) -> dict[int, Hiding]:
    return dict.fromkeys(vendor_types, Hiding.SALTED)


SALTED_VENDOR_ATTRIBUTES: Final[dict[int, dict[int, Hiding]]] = {
    int(VendorId.MICROSOFT): {
        # LM and NT key of MS-CHAP version 1, 24 octets padded to 32.
        int(MicrosoftAttribute.CHAP_MPPE_KEYS): Hiding.PASSWORD,
        int(MicrosoftAttribute.MPPE_SEND_KEY): Hiding.SALTED,
        int(MicrosoftAttribute.MPPE_RECV_KEY): Hiding.SALTED,
    },
    # MPSK-Passphrase, DPP-Passphrase: the pass phrase of one device on an access point.
    int(VendorId.ARUBA): _all_salted(44, 72),
    # Libsip-Patron-Info: an access point that asks a library system for a patron.
    int(VendorId.AEROHIVE): _all_salted(3),
    # IKEv2-Local-Password, IKEv2-Remote-Password.
    int(VendorId.LANCOM): {19: Hiding.TAGGED, 20: Hiding.TAGGED},
    # AAA-Key-0 to AAA-Key-3.
    int(VendorId.ALCATEL_LUCENT_AAA): _all_salted(116, 117, 118, 119),
    # LI-Action, -Destination, -FC, -Direction; LI-Intercept-Id, -Session-Id; APN-Password.
    int(VendorId.ALCATEL_SR): _all_salted(122, 123, 124, 125, 138, 139, 142),
    # LI-Action, Med-Dev-Handle, Med-Ip-Address, Med-Port-Number.
    int(VendorId.JUNIPER_ERX): _all_salted(58, 59, 60, 61),
    # MN-HA-Shared-Key.
    int(VendorId.THREE_GPP2): _all_salted(58),
    # WiMAX-MIP-KEY.
    int(VendorId.MOTOROLA_WIMAX): _all_salted(11),
    # MSK; MN-hHA-MIP4-, MN-hHA-MIP6-, FA-RK-, HA-RK-, RRQ-MN-HA-Key; DHCP-RK; vHA-MIP4-, vHA-RK-, MN-vHA-MIP6-Key;
    # vDHCP-RK; PMIP6-RK-Key. The parameters of the two DHCP servers (86, 87) hold a DHCP-RK as attribute 3.
    int(VendorId.WIMAX): _all_salted(5, 10, 12, 14, 15, 19, 40, 66, 67, 70, 75, 131)
    | {86: Hiding.NESTED, 87: Hiding.NESTED},
    # Send-Secret, Receive-Secret: MD5 over authenticator and secret, changed from product to product. As attributes
    # 214 and 215 without a vendor they are squatters on experimental numbers, and pass as unknown ones do.
    int(VendorId.ASCEND): {214: Hiding.REFUSED, 215: Hiding.REFUSED},
    int(VendorId.LUCENT): {214: Hiding.REFUSED, 215: Hiding.REFUSED},
}

SALTED_HEADERS: Final = frozenset(
    vendor.to_bytes(VENDOR_ID_OCTETS) + bytes((vendor_type,))
    for vendor, hidings in SALTED_VENDOR_ATTRIBUTES.items()
    if vendor not in VENDOR_LAYOUTS
    for vendor_type, hiding in hidings.items()
    if hiding is Hiding.SALTED
)
"""What a Vendor-Specific value with a salted attribute begins with, where its vendor has the common layout."""

NESTED_SALTED: Final = frozenset((3,))  # in WiMAX 86 and 87
NESTED_LAYOUT: Final = VendorLayout()
_NO_HIDING: Final[dict[int, Hiding]] = {}
_MICROSOFT: Final = int(VendorId.MICROSOFT)


def rewrite_vendor_attribute(
    value: bytes, rehiding: "Rehiding | None", allowed: "Container[int] | None" = None
) -> bytes | DropReason | None:
    """Return a Vendor-Specific value for the next hop: hidden attributes hidden again, all others as they are.

    `rehiding` is None where nothing is hidden. `allowed` are the vendor types that pass; None: all. Without `allowed`,
    a value that does not keep its vendor's layout passes as it is; with it, such a value can not be judged and does
    not pass. The result is None if nothing is left. A hidden attribute with a length that can not be is a reason to
    drop the packet: its receiver would take other keys than the sender meant.
    """
    vendor = int.from_bytes(value[:VENDOR_ID_OCTETS])
    hidings = SALTED_VENDOR_ATTRIBUTES.get(vendor, _NO_HIDING)
    if allowed is None and not hidings:
        return value
    found = parse_vendor_attributes(value)
    if not found:
        return value if allowed is None else None
    pieces = [value[:VENDOR_ID_OCTETS]]
    for kind, start, value_start, end, is_continued in found:
        if allowed is not None and kind not in allowed:
            continue
        hiding = hidings.get(kind)
        if hiding is None or rehiding is None:
            pieces.append(value[start:end])
        elif hiding is not _REFUSED:
            # A hidden value in several WiMAX attributes would have to be joined first; no key is that long.
            moved = None if is_continued else _move_hidden(value[value_start:end], hiding, rehiding)
            if moved is None:
                return malformed_reason(vendor)
            pieces.append(value[start:value_start])
            pieces.append(moved)
    return b"".join(pieces) if len(pieces) > 1 else None


def malformed_reason(vendor: int) -> DropReason:
    """Return the reason for which a packet is dropped when a vendor's hidden attribute can not be moved."""
    return DropReason.MPPE_KEY_MALFORMED if vendor == _MICROSOFT else DropReason.SALTED_ATTRIBUTE_MALFORMED


def rewrite_tunnel_password(value: bytes, rehiding: "Rehiding") -> bytes | None:
    """Return the value of a Tunnel-Password for the next hop, its tag kept; None if a length can not be.

    RFC 2868 §3.5 has a tag octet always, even one above 0x1F, which means nothing.
    """
    moved = rehiding.rehide_salted(value[1:])
    return None if moved is None else value[:1] + moved


def _move_hidden(hidden: bytes, hiding: Hiding, rehiding: "Rehiding") -> bytes | None:
    if hiding is _SALTED:
        return rehiding.rehide_salted(hidden)
    if hiding is _TAGGED:
        return rewrite_tunnel_password(hidden, rehiding)
    if hiding is _PASSWORD:
        return rehiding.rehide_user_password(hidden)
    return _move_nested(hidden, rehiding)


def _move_nested(value: bytes, rehiding: "Rehiding") -> bytes | None:
    pieces: list[bytes] = []
    for kind, start, value_start, end, _ in parse_sub_attributes(value, 0, NESTED_LAYOUT) or ():
        pieces.append(value[start:value_start])
        if kind in NESTED_SALTED:
            moved = rehiding.rehide_salted(value[value_start:end])
            if moved is None:
                return None
            pieces.append(moved)
        else:
            pieces.append(value[value_start:end])
    return b"".join(pieces) or None
