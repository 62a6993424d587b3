"""A closed list of edits that turn a received packet into the one that is sent on; all else is copied in slices.

The order of attributes stays, and octets that no edit names stay as they came (RFC 2865 §2.3 and §5). The edits:

- Identifier and Authenticator are those of the next hop; one Message-Authenticator, ours, goes first.
- User-Password, Tunnel-Password and the hidden vendor attributes are hidden for the next hop.
- Attributes that a filter names are removed; attributes that the caller gives are appended.
- A request gets our Proxy-State after all others, and CHAP-Challenge if CHAP-Password leans on the old authenticator.
- An answer loses our Proxy-State, keeps or regains the client's, and loses Reply-Message next to EAP-Message.
- The hop counter of radsecproxy is counted down.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from radius.errors import DropReason
from radius.wire.authenticators import COMPUTED_AUTHENTICATOR_CODES, KeyedSecret, sign_request, sign_response
from radius.wire.calls import calls
from radius.wire.codes import AttributeType, Code, VendorId
from radius.wire.hiding import Rehiding
from radius.wire.packet import HEADER_OCTETS, MAX_PACKET_OCTETS, MESSAGE_AUTHENTICATOR_OCTETS, Packet
from radius.wire.salted import (
    SALTED_HEADERS,
    SALTED_VENDOR_ATTRIBUTES,
    malformed_reason,
    rewrite_tunnel_password,
    rewrite_vendor_attribute,
)

_USER_PASSWORD: Final = int(AttributeType.USER_PASSWORD)
_CHAP_PASSWORD: Final = int(AttributeType.CHAP_PASSWORD)
_REPLY_MESSAGE: Final = int(AttributeType.REPLY_MESSAGE)
_VENDOR_SPECIFIC: Final = int(AttributeType.VENDOR_SPECIFIC)
_PROXY_STATE: Final = int(AttributeType.PROXY_STATE)
_CHAP_CHALLENGE: Final = int(AttributeType.CHAP_CHALLENGE)
_TUNNEL_PASSWORD: Final = int(AttributeType.TUNNEL_PASSWORD)
_EAP_MESSAGE: Final = int(AttributeType.EAP_MESSAGE)
_MESSAGE_AUTHENTICATOR: Final = int(AttributeType.MESSAGE_AUTHENTICATOR)
_CHAP_CHALLENGE_HEADER: Final = bytes((_CHAP_CHALLENGE, 18))

# Implementations differ on how it would be computed there.
_WITHOUT_MESSAGE_AUTHENTICATOR: Final = int(Code.ACCOUNTING_RESPONSE)

# What the table of a filter says about an attribute type.
_COPY: Final = 0
_REMOVE: Final = 1
_LOOK: Final = 2
_LOOK_INSIDE: Final = 3  # Vendor-Specific
_ALWAYS_REMOVED: Final = (_MESSAGE_AUTHENTICATOR,)
_LOOKED_AT_IN_REQUESTS: Final = (_USER_PASSWORD, _TUNNEL_PASSWORD)
_LOOKED_AT_IN_RESPONSES: Final = (_REPLY_MESSAGE, _PROXY_STATE, _TUNNEL_PASSWORD)
_NEVER_FILTERED: Final = (_MESSAGE_AUTHENTICATOR, _PROXY_STATE)

# Type, length, vendor, vendor type, vendor length.
_SALTED_HEADER_OCTETS: Final = 8

# What the native kernel does with an attribute of a vendor that is no salted one by itself.
_COPY_VENDOR: Final = 0
_REMOVE_VENDOR: Final = 1
_DECLINE_VENDOR: Final = 2  # it has to be taken apart: `_edit_vendor_specific`

# radsecproxy's hop counter: one vendor attribute of an integer.
_TTL_HEADER: Final = int(VendorId.RADSEC_PROXY_TTL).to_bytes(4) + bytes((1, 6))
_TTL_OCTETS: Final = len(_TTL_HEADER) + 4


class RewriteRefusal(StrEnum):
    """Why a packet can not be sent on though it is valid; the values are codes of `federation.reasons`."""

    PASSWORD_MALFORMED = "password_malformed"  # noqa: S105 - a reason code
    TOO_LARGE = "too_large"


@dataclass(frozen=True, slots=True)
class AttributeFilter:
    """Which attributes pass in one direction between two kinds of peers; made once, by `build_filter`."""

    request_marks: bytes
    """For each type: copy, remove or look closer, in a request."""
    response_marks: bytes
    """The same in an answer."""
    passing: bytes
    """The types that are not removed outright."""
    vendors: Mapping[int, frozenset[int] | None] | None
    bounds: Mapping[int, tuple[int, int]]
    salted_headers: frozenset[bytes]
    """Vendor and type of the salted attributes that pass, as a Vendor-Specific value begins with them."""
    native: object | None
    """All this for the native kernel; None where there is none."""


def build_filter(
    *,
    kept: Collection[int] | None = None,
    removed: Collection[int] = (),
    vendors: Mapping[int, Collection[int] | None] | None = None,
    bounds: Mapping[int, tuple[int, int]] | None = None,
) -> AttributeFilter:
    """Return a filter.

    Args:
        kept: the types that pass; None: all.
        removed: types that do not pass, even when `kept` has them. Message-Authenticator and Proxy-State are not
            the filter's business.
        vendors: for each vendor that passes, the vendor types that do, or None for all of its attributes; a vendor
            that is not here does not pass. None: every vendor attribute passes. `kept` has to have Vendor-Specific.
        bounds: for integer attributes, the smallest and the largest value that passes.
    """
    bounds = MappingProxyType(dict(bounds or {}))
    dropped = {
        kind
        for kind in range(256)
        if kind not in _NEVER_FILTERED and (kind in removed or (kept is not None and kind not in kept))
    }
    vendor_types = (
        None
        if vendors is None
        else MappingProxyType(
            {int(vendor): None if types is None else frozenset(map(int, types)) for vendor, types in vendors.items()}
        )
    )
    request_marks = _build_marks(dropped, {*_LOOKED_AT_IN_REQUESTS, *bounds})
    response_marks = _build_marks(dropped, {*_LOOKED_AT_IN_RESPONSES, *bounds})
    salted_headers = frozenset(
        header for header in SALTED_HEADERS if _is_allowed(vendor_types, int.from_bytes(header[:4]), header[4])
    )
    kernel = calls.kernel
    return AttributeFilter(
        request_marks=request_marks,
        response_marks=response_marks,
        passing=bytes(kind for kind in range(256) if kind not in dropped),
        vendors=vendor_types,
        bounds=bounds,
        salted_headers=salted_headers,
        native=None
        if kernel is None
        else kernel.prepare_filter(
            request_marks,
            response_marks,
            b"".join(bytes((kind,)) + low.to_bytes(4) + high.to_bytes(4) for kind, (low, high) in bounds.items()),
            b"".join(sorted(salted_headers)),
            _COPY_VENDOR if vendor_types is None else _REMOVE_VENDOR,
            _build_vendor_actions(vendor_types),
        ),
    )


def _build_vendor_actions(vendors: Mapping[int, frozenset[int] | None] | None) -> bytes:
    """Return vendor and action, five octets each, of the vendors that the kernel's default does not fit."""
    passing = SALTED_VENDOR_ATTRIBUTES if vendors is None else vendors
    actions = {
        vendor: _COPY_VENDOR
        if vendors is not None and vendors[vendor] is None and vendor not in SALTED_VENDOR_ATTRIBUTES
        else _DECLINE_VENDOR
        for vendor in passing
    }
    actions[int(VendorId.RADSEC_PROXY_TTL)] = _DECLINE_VENDOR  # its hops are counted, whatever the filter says
    return b"".join(vendor.to_bytes(4) + bytes((action,)) for vendor, action in actions.items())


def _is_allowed(vendors: Mapping[int, frozenset[int] | None] | None, vendor: int, vendor_type: int) -> bool:
    if vendors is None:
        return True
    allowed = vendors.get(vendor, frozenset())
    return allowed is None or vendor_type in allowed


def rewrite_request(  # noqa: C901 - the kernel's turn, then one straight walk
    packet: Packet,
    *,
    identifier: int,
    authenticator: bytes,
    downstream: KeyedSecret,
    upstream: KeyedSecret,
    attribute_filter: AttributeFilter,
    appended: bytes = b"",
    proxy_state: bytes = b"",
) -> bytes | DropReason | RewriteRefusal:
    """Return the request as it goes to a home server, signed.

    Args:
        packet: the client's verified request.
        identifier: ours, towards the home server.
        authenticator: 16 fresh unpredictable octets; not used for accounting, which computes its own.
        downstream: the secret shared with the client.
        upstream: the secret shared with the home server.
        attribute_filter: what may leave.
        appended: whole attributes that are added, such as Operator-Name (see `build_attribute`).
        proxy_state: the value of our own Proxy-State, added after all others; empty: none is added.
    """
    octets = packet.octets
    rewrite = calls.rewrite_request
    if rewrite is not None:
        done = rewrite(
            octets,
            identifier,
            authenticator,
            downstream.native,
            upstream.native,
            attribute_filter.native,
            appended,
            proxy_state,
        )
        if done is not None:
            return done
    types = packet.types
    computed = packet.code in COMPUTED_AUTHENTICATOR_CODES
    # The authenticator of accounting is known after the rewrite only; nothing may be hidden there anyway.
    rehiding = (
        None
        if computed
        else Rehiding(downstream, packet.authenticator, upstream, authenticator, int.from_bytes(authenticator[:2]))
    )
    pieces: list[bytes] = []
    start = HEADER_OCTETS
    for mark, offset in zip(types.translate(attribute_filter.request_marks), packet.offsets, strict=True):
        if mark:
            if offset != start:
                pieces.append(octets[start:offset])
            start = offset + octets[offset + 1]
            if mark != _REMOVE:
                edited = _edit_in_request(octets, offset, start, rehiding, attribute_filter)
                if not isinstance(edited, bytes):
                    return edited
                pieces.append(edited)
    pieces.append(octets[start:])
    if _CHAP_PASSWORD in types and _needs_challenge(packet, attribute_filter):
        pieces.append(_CHAP_CHALLENGE_HEADER + packet.authenticator)  # RFC 2865 §2.3
    pieces.append(appended)
    if proxy_state:
        pieces.append(bytes((_PROXY_STATE, len(proxy_state) + 2)) + proxy_state)
    body = b"".join(pieces)
    if len(body) > MAX_PACKET_OCTETS - HEADER_OCTETS - MESSAGE_AUTHENTICATOR_OCTETS:
        return RewriteRefusal.TOO_LARGE
    return sign_request(
        packet.code,
        identifier,
        authenticator,
        body,
        upstream,
        with_message_authenticator=not computed or packet.message_authenticator != 0,
    )


def rewrite_response(  # noqa: C901 - the kernel's turn, then one straight walk
    packet: Packet,
    *,
    identifier: int,
    request_authenticator: bytes,
    own_request_authenticator: bytes,
    downstream: KeyedSecret,
    upstream: KeyedSecret,
    attribute_filter: AttributeFilter,
    proxy_states: bytes = b"",
    proxy_state: bytes = b"",
    appended: bytes = b"",
) -> bytes | DropReason | RewriteRefusal:
    """Return the home server's verified answer as it goes to the client, signed.

    Args:
        packet: the answer.
        identifier: that of the client's request.
        request_authenticator: that of the client's request.
        own_request_authenticator: the one that we sent to the home server.
        downstream: the secret shared with the client.
        upstream: the secret shared with the home server.
        attribute_filter: what may pass back.
        proxy_states: the client's own Proxy-States as `collect_proxy_states` took them from its request.
        proxy_state: the value of the Proxy-State that we added; empty: we added none.
        appended: whole attributes that are added, such as the guest VLAN.
    """
    octets = packet.octets
    rewrite = calls.rewrite_response
    if rewrite is not None:
        done = rewrite(
            octets,
            identifier,
            request_authenticator,
            own_request_authenticator,
            downstream.native,
            upstream.native,
            attribute_filter.native,
            proxy_states,
            proxy_state,
            appended,
        )
        if done is not None:
            return done
    types = packet.types
    own_state = 0
    if proxy_state or proxy_states or _PROXY_STATE in types:
        match = _match_proxy_states(packet, proxy_states, proxy_state)
        if match is None:
            return DropReason.PROXY_STATE_ALTERED
        own_state, lost = match
        appended += lost
    rehiding = Rehiding(
        upstream,
        own_request_authenticator,
        downstream,
        request_authenticator,
        # Random, used once, and new when the client asks again with the same authenticator.
        int.from_bytes(own_request_authenticator[:2]),
    )
    pieces: list[bytes] = []
    start = HEADER_OCTETS
    for mark, offset in zip(types.translate(attribute_filter.response_marks), packet.offsets, strict=True):
        if mark:
            if offset != start:
                pieces.append(octets[start:offset])
            start = offset + octets[offset + 1]
            if mark != _REMOVE and offset != own_state:
                edited = (
                    _edit_vendor_specific(octets, offset, start, rehiding, attribute_filter)
                    if mark == _LOOK_INSIDE
                    else _edit_in_response(octets, offset, start, rehiding, attribute_filter, types)
                )
                if not isinstance(edited, bytes):
                    return edited
                pieces.append(edited)
    pieces.append(octets[start:])
    pieces.append(appended)
    body = b"".join(pieces)
    if len(body) > MAX_PACKET_OCTETS - HEADER_OCTETS - MESSAGE_AUTHENTICATOR_OCTETS:
        return RewriteRefusal.TOO_LARGE
    return sign_response(
        packet.code,
        identifier,
        request_authenticator,
        body,
        downstream,
        with_message_authenticator=packet.code != _WITHOUT_MESSAGE_AUTHENTICATOR,
    )


def collect_proxy_states(packet: Packet) -> bytes:
    """Return all Proxy-State attributes of a request as they came, in order (RFC 2865 §5.33)."""
    if not packet.counts[_PROXY_STATE]:
        return b""
    octets = packet.octets
    return b"".join([octets[offset : offset + octets[offset + 1]] for offset in packet.offsets_of(_PROXY_STATE)])


def list_removed(packet: Packet, attribute_filter: AttributeFilter) -> bytes:
    """Return the types that the filter takes from the packet outright, one octet each, for counting."""
    return packet.types.translate(None, attribute_filter.passing)


def build_reply(
    code: int,
    request: Packet,
    keyed: KeyedSecret,
    attributes: bytes = b"",
    *,
    with_message_authenticator: bool = True,
) -> bytes | RewriteRefusal:
    """Return our own answer to a request: Message-Authenticator first, then `attributes`, then its Proxy-States.

    A request so full of Proxy-State that the answer would exceed 4096 octets is refused; nobody means such a request.
    """
    body = attributes + collect_proxy_states(request)
    if len(body) > MAX_PACKET_OCTETS - HEADER_OCTETS - MESSAGE_AUTHENTICATOR_OCTETS:
        return RewriteRefusal.TOO_LARGE
    return sign_response(
        code,
        request.identifier,
        request.authenticator,
        body,
        keyed,
        with_message_authenticator=with_message_authenticator,
    )


def _build_marks(dropped: Collection[int], looked_at: Collection[int]) -> bytes:
    marks = bytearray(256)
    for kind in looked_at:
        marks[kind] = _LOOK
    marks[_VENDOR_SPECIFIC] = _LOOK_INSIDE
    for kind in (*dropped, *_ALWAYS_REMOVED):
        marks[kind] = _REMOVE
    return bytes(marks)


def _match_proxy_states(packet: Packet, proxy_states: bytes, proxy_state: bytes) -> tuple[int, bytes] | None:
    """Return the offset of our Proxy-State (0: we sent none) and the client's that have to be put back.

    None: they are not what the request had, in its order. Whoever changes them may be building an MD5 collision
    (CVE-2024-3596). A home server that returns ours but forgot the others is merely careless (RFC 2865 §2.3).
    """
    octets = packet.octets
    types = packet.types
    others = types.count(_PROXY_STATE)
    own_state = 0
    if proxy_state:
        own_state = packet.offsets[types.rfind(_PROXY_STATE)] if others else 0
        if not own_state or octets[own_state + 2 : own_state + octets[own_state + 1]] != proxy_state:
            return None
        others -= 1
    if not others:
        return own_state, proxy_states
    found = packet.offsets_of(_PROXY_STATE)[:others]
    if b"".join([octets[place : place + octets[place + 1]] for place in found]) != proxy_states:
        return None
    return own_state, b""


def _needs_challenge(packet: Packet, attribute_filter: AttributeFilter) -> bool:
    return (
        packet.code == Code.ACCESS_REQUEST
        and _CHAP_CHALLENGE not in packet.types
        and _CHAP_PASSWORD in attribute_filter.passing
    )


def _edit_in_request(
    octets: bytes, offset: int, end: int, rehiding: Rehiding | None, attribute_filter: AttributeFilter
) -> bytes | DropReason | RewriteRefusal:
    """Return what becomes of one attribute; a hidden one with a bad length stays, for its receiver to judge."""
    kind = octets[offset]
    if kind == _VENDOR_SPECIFIC:
        edited = _edit_vendor_specific(octets, offset, end, rehiding, attribute_filter)
        is_malformed = not isinstance(edited, bytes) and edited is not DropReason.TTL_EXPIRED
        return octets[offset:end] if is_malformed else edited
    if rehiding is not None and kind in (_USER_PASSWORD, _TUNNEL_PASSWORD):
        value = octets[offset + 2 : end]
        if kind == _USER_PASSWORD:
            moved = rehiding.rehide_user_password(value)
            if moved is None:
                return RewriteRefusal.PASSWORD_MALFORMED
            return octets[offset : offset + 2] + moved
        moved = rewrite_tunnel_password(value, rehiding)
        return octets[offset:end] if moved is None else octets[offset : offset + 2] + moved
    return _bound(octets, offset, end, attribute_filter)


def _edit_in_response(
    octets: bytes, offset: int, end: int, rehiding: Rehiding, attribute_filter: AttributeFilter, types: bytes
) -> bytes | DropReason:
    """Return what becomes of one attribute; a hidden one with a bad length is the end of the answer."""
    kind = octets[offset]
    if kind == _TUNNEL_PASSWORD:
        moved = rewrite_tunnel_password(octets[offset + 2 : end], rehiding)
        if moved is None:
            return DropReason.SALTED_ATTRIBUTE_MALFORMED
        return octets[offset : offset + 2] + moved
    if kind == _REPLY_MESSAGE and _EAP_MESSAGE in types:
        return b""  # RFC 3579 §2.6.5: it must not be there; an EAP notification says the same
    return _bound(octets, offset, end, attribute_filter)


def _edit_vendor_specific(
    octets: bytes, offset: int, end: int, rehiding: Rehiding | None, attribute_filter: AttributeFilter
) -> bytes | DropReason:
    if (
        end - offset > _SALTED_HEADER_OCTETS
        and octets[offset + 2 : offset + 7] in attribute_filter.salted_headers
        and octets[offset + 7] == end - offset - 6
        and rehiding is not None
    ):
        # One salted attribute that fills the value, as a key nearly always comes: there is nothing to take apart.
        moved = rehiding.rehide_salted(octets[offset + 8 : end])
        if moved is None:
            return malformed_reason(int.from_bytes(octets[offset + 2 : offset + 6]))
        return octets[offset : offset + 8] + moved
    value = octets[offset + 2 : end]
    allowed = None
    vendors = attribute_filter.vendors
    if value.startswith(_TTL_HEADER) and len(value) == _TTL_OCTETS:
        return _count_hop(octets[offset:end])
    if vendors is not None:
        vendor = int.from_bytes(value[:4])
        if vendor not in vendors:
            return b""
        allowed = vendors[vendor]
    edited = rewrite_vendor_attribute(value, rehiding, allowed)
    if not isinstance(edited, bytes):
        return edited or b""
    return bytes((_VENDOR_SPECIFIC, len(edited) + 2)) + edited


def _count_hop(attribute: bytes) -> bytes | DropReason:
    hops = int.from_bytes(attribute[-4:])
    return attribute[:-4] + (hops - 1).to_bytes(4) if hops > 1 else DropReason.TTL_EXPIRED


def _bound(octets: bytes, offset: int, end: int, attribute_filter: AttributeFilter) -> bytes:
    """Return the attribute, or nothing if it is an integer out of its bounds."""
    bounds = attribute_filter.bounds.get(octets[offset])
    if bounds is not None:
        value = octets[offset + 2 : end]
        if len(value) != 4 or not bounds[0] <= int.from_bytes(value) <= bounds[1]:
            return b""
    return octets[offset:end]
