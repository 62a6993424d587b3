"""RADIUS/1.1 (RFC 9765): packets without MD5, turned into those of RADIUS/1.0 and back at the edge of a connection.

    Code · Reserved-1 · Length (2) · Token (4) · Reserved-2 (12) · attributes        (§4.1)

All else in the program knows RADIUS/1.0. At the edge its authenticators and hidden values are made and undone with a
secret that never leaves the process. What changes, both ways:

- The header: the Token says which answer belongs to which request; reserved octets are sent as 0 and not looked at.
- Message-Authenticator is not sent, and ignored in whatever form and number it comes (§5.2).
- Hidden values travel as what they are: no salt, no length, no padding (§5.1).
- Original-Packet-Code is not sent and is ignored (§5.5).
- CHAP-Password does not travel without CHAP-Challenge (§5.1.2).

All other attributes pass octet for octet, in their order. A hidden value that can not be is left out of a request, and
is a reason to drop an answer: its receiver would take other keys than the sender meant. Accounting, Disconnect and CoA
requests have no hidden values: their authenticator depends on the octets that it would hide.

What is not here: Tokens and what they stand for (`radius.exchange.edges`), and the attributes of RFC 6218 (§5.3), whose
keys nobody shares with a proxy.
"""

from typing import Final

from radius.errors import DropReason
from radius.wire.attributes import (
    VENDOR_ID_OCTETS,
    VENDOR_LAYOUTS,
    VendorLayout,
    parse_sub_attributes,
    parse_vendor_attributes,
)
from radius.wire.authenticators import COMPUTED_AUTHENTICATOR_CODES, KeyedSecret, sign_request, sign_response
from radius.wire.codes import AttributeType, Code
from radius.wire.hiding import (
    MAX_PASSWORD_OCTETS,
    MAX_SALTED_OCTETS,
    hide_salted,
    hide_user_password,
    reveal_salted,
    reveal_user_password,
)
from radius.wire.packet import (
    HEADER_OCTETS,
    MAX_ATTRIBUTES,
    MAX_PACKET_OCTETS,
    MAX_VALUE_OCTETS,
    MESSAGE_AUTHENTICATOR_OCTETS,
)
from radius.wire.salted import NESTED_LAYOUT, NESTED_SALTED, SALTED_VENDOR_ATTRIBUTES, Hiding, malformed_reason

TOKEN_OCTETS: Final = 4  # §4.1
_TOKEN_START: Final = 4
_TOKEN_END: Final = 8
_RESERVED_2: Final = bytes(12)

_ACCESS_REQUEST: Final = int(Code.ACCESS_REQUEST)
_USER_PASSWORD: Final = int(AttributeType.USER_PASSWORD)
_CHAP_PASSWORD: Final = int(AttributeType.CHAP_PASSWORD)
_VENDOR_SPECIFIC: Final = int(AttributeType.VENDOR_SPECIFIC)
_CHAP_CHALLENGE: Final = int(AttributeType.CHAP_CHALLENGE)
_TUNNEL_PASSWORD: Final = int(AttributeType.TUNNEL_PASSWORD)
_MESSAGE_AUTHENTICATOR: Final = int(AttributeType.MESSAGE_AUTHENTICATOR)
_EXTENDED_1: Final = int(AttributeType.EXTENDED_1)
_CHANGED: Final = frozenset((_USER_PASSWORD, _VENDOR_SPECIFIC, _TUNNEL_PASSWORD, _MESSAGE_AUTHENTICATOR, _EXTENDED_1))

# The Message-Authenticator that RADIUS/1.0 adds is an attribute too.
_MAX_ATTRIBUTES: Final = MAX_ATTRIBUTES - 1
_MAX_BODY_OCTETS: Final = MAX_PACKET_OCTETS - HEADER_OCTETS

_ORIGINAL_PACKET_CODE: Final = bytes((4,))  # extended type, of Extended-Attribute-1 (RFC 7930 §4)
_LARGEST_TAG: Final = 0x1F  # RFC 2868 §3.3: a larger octet is the first of the string
_NO_TAG: Final = b"\0"
_EMPTY_PASSWORD: Final = b"\0"  # one octet at least (§5.1.1), and in RADIUS/1.0 the same password
_MPPE_KEYS_OCTETS: Final = 24  # RFC 2548 §2.4.1: 8 of the LM key and 16 of the NT key, then padding
_COMMON_LAYOUT: Final = VendorLayout()


def read_token(octets: bytes) -> int:
    """Return the Token of a packet of RADIUS/1.1; `octets` has the whole header."""
    return int.from_bytes(octets[_TOKEN_START:_TOKEN_END])


def request_to_radius10(octets: bytes, identifier: int, authenticator: bytes, keyed: KeyedSecret) -> bytes | DropReason:
    """Return a received request of RADIUS/1.1 as one of RADIUS/1.0, signed; or why it is none.

    `authenticator` is the Request Authenticator that it gets, 16 unpredictable octets; accounting, Disconnect and CoA
    requests get the one that is computed. A User-Password that can not be (§5.1.1: 1 to 128 octets) stays as it is:
    no hidden one has such a length, so that it is refused with an answer.
    """
    offsets = _find_attributes(octets, _MAX_ATTRIBUTES)
    if isinstance(offsets, DropReason):
        return offsets
    code = octets[0]
    computed = code in COMPUTED_AUTHENTICATOR_CODES
    conversion = None if computed else _Conversion(keyed, authenticator, opens=False)
    body = _convert(octets, offsets, conversion, is_request=True)
    assert isinstance(body, bytes)  # what can not be hidden or opened is left out of a request
    added = 0 if computed else MESSAGE_AUTHENTICATOR_OCTETS
    if len(body) > _MAX_BODY_OCTETS - added:
        return DropReason.CONVERTED_TOO_LARGE
    return sign_request(code, identifier, authenticator, body, keyed, with_message_authenticator=not computed)


def response_to_radius11(
    octets: bytes, token: int, request_authenticator: bytes, keyed: KeyedSecret
) -> bytes | DropReason:
    """Return our own answer of RADIUS/1.0 as one of RADIUS/1.1, to the request with that Token.

    `request_authenticator` is that of the request that it answers, in RADIUS/1.0. The answer's own authenticators are
    not looked at: it was made in this process.
    """
    offsets = _find_attributes(octets, MAX_ATTRIBUTES)
    if isinstance(offsets, DropReason):
        return offsets
    body = _convert(octets, offsets, _Conversion(keyed, request_authenticator, opens=True), is_request=False)
    return body if isinstance(body, DropReason) else _build(octets[0], token, body)


def request_to_radius11(octets: bytes, token: int, keyed: KeyedSecret) -> bytes | DropReason:
    """Return our own request of RADIUS/1.0 as one of RADIUS/1.1 with that Token."""
    offsets = _find_attributes(octets, MAX_ATTRIBUTES)
    if isinstance(offsets, DropReason):
        return offsets
    code = octets[0]
    authenticator = octets[4:20]
    conversion = None if code in COMPUTED_AUTHENTICATOR_CODES else _Conversion(keyed, authenticator, opens=True)
    body = _convert(octets, offsets, conversion, is_request=True)
    assert isinstance(body, bytes)  # what can not be hidden or opened is left out of a request
    if code == _ACCESS_REQUEST:
        types = [octets[offset] for offset in offsets]
        if _CHAP_PASSWORD in types and _CHAP_CHALLENGE not in types:
            body += bytes((_CHAP_CHALLENGE, len(authenticator) + 2)) + authenticator
    return DropReason.CONVERTED_TOO_LARGE if len(body) > _MAX_BODY_OCTETS else _build(code, token, body)


def response_to_radius10(
    octets: bytes, identifier: int, request_authenticator: bytes, keyed: KeyedSecret
) -> bytes | DropReason:
    """Return a received answer of RADIUS/1.1 as one of RADIUS/1.0, signed as the answer to that request."""
    offsets = _find_attributes(octets, _MAX_ATTRIBUTES)
    if isinstance(offsets, DropReason):
        return offsets
    body = _convert(octets, offsets, _Conversion(keyed, request_authenticator, opens=False), is_request=False)
    if isinstance(body, DropReason):
        return body
    if len(body) > _MAX_BODY_OCTETS - MESSAGE_AUTHENTICATOR_OCTETS:
        return DropReason.CONVERTED_TOO_LARGE
    return sign_response(octets[0], identifier, request_authenticator, body, keyed)


class _Conversion:
    """Opens the hidden values of one packet, or hides its open ones; None stands for a value that can not be."""

    __slots__ = ("_authenticator", "_keyed", "_salt", "opens")

    def __init__(self, keyed: KeyedSecret, request_authenticator: bytes, *, opens: bool) -> None:
        self.opens = opens
        self._keyed = keyed
        self._authenticator = request_authenticator
        self._salt = int.from_bytes(request_authenticator[:2])

    def move(self, value: bytes, hiding: Hiding) -> bytes | None:
        """Return what becomes of the value of a vendor attribute."""
        if hiding is Hiding.SALTED:
            return self.move_salted(value)
        if hiding is Hiding.TAGGED:
            return self.move_tagged(value)
        return self._move_mppe_keys(value) if hiding is Hiding.PASSWORD else self._move_nested(value)

    def move_password(self, value: bytes) -> bytes | None:
        """Return what becomes of User-Password; NULs at its end are lost in RADIUS/1.0, whose padding they are."""
        if self.opens:
            password = reveal_user_password(value, self._keyed, self._authenticator)
            return _EMPTY_PASSWORD if password == b"" else password
        if not 0 < len(value) <= MAX_PASSWORD_OCTETS:
            return None
        return hide_user_password(value, self._keyed, self._authenticator)

    def move_salted(self, value: bytes) -> bytes | None:
        """Return what becomes of a key."""
        if self.opens:
            return reveal_salted(value, self._keyed, self._authenticator)
        if len(value) > MAX_SALTED_OCTETS:
            return None
        self._salt += 1
        return hide_salted(value, self._salt, self._keyed, self._authenticator)

    def move_tagged(self, value: bytes) -> bytes | None:
        """Return what becomes of Tunnel-Password and its like.

        In RADIUS/1.0 the tag always stands there (RFC 2868 §3.5), and above 0x1F it means nothing. In RADIUS/1.1 such
        an octet begins the string, as in Tunnel-Client-Endpoint (RFC 9765 §5.1.3, RFC 2868 §3.3).
        """
        if self.opens:
            opened = reveal_salted(value[1:], self._keyed, self._authenticator)
            return None if opened is None else (value[:1] if value[0] <= _LARGEST_TAG else _NO_TAG) + opened
        if not value:
            return None
        has_tag = value[0] <= _LARGEST_TAG
        hidden = self.move_salted(value[1:] if has_tag else value)
        return None if hidden is None else (value[:1] if has_tag else _NO_TAG) + hidden

    def _move_mppe_keys(self, value: bytes) -> bytes | None:
        """MS-CHAP-MPPE-Keys: hidden as a password is, but its keys may end in NULs."""
        keys = self.move_password(value)
        return keys.ljust(_MPPE_KEYS_OCTETS, b"\0") if keys is not None and self.opens else keys

    def _move_nested(self, value: bytes) -> bytes | None:
        pieces: list[bytes] = []
        for kind, _, start, end, _ in parse_sub_attributes(value, 0, NESTED_LAYOUT) or ():
            inner = value[start:end]
            if kind in NESTED_SALTED:
                moved = self.move_salted(inner)
                if moved is None:
                    return None
                inner = moved
            pieces.append(bytes((kind, len(inner) + 2)) + inner)
        return b"".join(pieces) or None


def _find_attributes(octets: bytes, most: int) -> list[int] | DropReason:  # noqa: PLR0911 - a straight walk
    """Return the places of the attributes, which fill the packet; of which form they are is not looked at.

    `parse_packet` does the same and is strict about Message-Authenticator, which is to be ignored here.
    """
    size = len(octets)
    if size < HEADER_OCTETS:
        return DropReason.TOO_SHORT
    if size > MAX_PACKET_OCTETS or size != octets[2] << 8 | octets[3]:
        return DropReason.LENGTH_FIELD
    offsets: list[int] = []
    offset = HEADER_OCTETS
    for _ in range(most + 1):  # bounded, whatever the length octets say
        if offset >= size:
            break
        if offset + 1 == size:
            return DropReason.ATTRIBUTE_OVERRUN
        if not octets[offset]:
            return DropReason.ATTRIBUTE_TYPE_ZERO
        if octets[offset + 1] < 2:
            return DropReason.ATTRIBUTE_LENGTH
        offsets.append(offset)
        offset += octets[offset + 1]
    if offset > size:
        return DropReason.ATTRIBUTE_OVERRUN
    return offsets if len(offsets) <= most else DropReason.TOO_MANY_ATTRIBUTES


def _convert(
    octets: bytes, offsets: list[int], conversion: _Conversion | None, *, is_request: bool
) -> bytes | DropReason:
    """Return the attributes as they go on; without a conversion nothing can be hidden, and hidden ones are left out."""
    pieces: list[bytes] = []
    start = HEADER_OCTETS
    for offset in offsets:
        kind = octets[offset]
        if kind not in _CHANGED:
            continue
        pieces.append(octets[start:offset])
        start = offset + octets[offset + 1]
        changed = _convert_attribute(kind, octets[offset + 2 : start], conversion, is_request=is_request)
        if isinstance(changed, DropReason):
            return changed
        if changed is not None:
            pieces.append(bytes((kind, len(changed) + 2)))
            pieces.append(changed)
    pieces.append(octets[start:])
    return b"".join(pieces)


def _convert_attribute(
    kind: int, value: bytes, conversion: _Conversion | None, *, is_request: bool
) -> bytes | DropReason | None:
    """Return the value of one of the attributes that change as it goes on; None if it does not."""
    if kind == _VENDOR_SPECIFIC:
        return _convert_vendor(value, conversion, is_request=is_request)
    if kind == _EXTENDED_1:
        return None if value[:1] == _ORIGINAL_PACKET_CODE else value
    if kind == _MESSAGE_AUTHENTICATOR or conversion is None:
        return None
    if kind == _USER_PASSWORD:
        password = conversion.move_password(value)
        return value if password is None and not conversion.opens else password
    tagged = conversion.move_tagged(value)
    return DropReason.SALTED_ATTRIBUTE_MALFORMED if tagged is None and not is_request else tagged


def _convert_vendor(value: bytes, conversion: _Conversion | None, *, is_request: bool) -> bytes | DropReason | None:
    """Return a Vendor-Specific value as it goes on; None if nothing is left of it.

    What does not keep its vendor's layout, or has nothing hidden, passes as it is (RFC 2865 §5.26).
    """
    vendor = int.from_bytes(value[:VENDOR_ID_OCTETS])
    hidings = SALTED_VENDOR_ATTRIBUTES.get(vendor)
    found = None if hidings is None else parse_vendor_attributes(value)
    if hidings is None or not found:
        return value
    layout = VENDOR_LAYOUTS.get(vendor, _COMMON_LAYOUT)
    pieces = [value[:VENDOR_ID_OCTETS]]
    for kind, start, value_start, end, is_continued in found:
        hiding = hidings.get(kind)
        if hiding is None:
            pieces.append(value[start:end])
        elif conversion is not None and hiding is not Hiding.REFUSED:
            # A value in several WiMAX attributes would have to be joined first; no key is that long.
            moved = None if is_continued else conversion.move(value[value_start:end], hiding)
            if moved is not None:
                length_at = start + layout.type_octets
                pieces.append(value[start:length_at])
                size = value_start - start + len(moved)  # above 255 the whole is refused below
                pieces.append(size.to_bytes(2)[-layout.length_octets :])
                pieces.append(value[length_at + layout.length_octets : value_start])
                pieces.append(moved)
            elif not is_request:
                return malformed_reason(vendor)
    changed = b"".join(pieces)
    if len(changed) > MAX_VALUE_OCTETS:
        return None if is_request else malformed_reason(vendor)
    return changed if len(pieces) > 1 else None


def _build(code: int, token: int, body: bytes) -> bytes:
    size = HEADER_OCTETS + len(body)
    return bytes((code, 0)) + size.to_bytes(2) + token.to_bytes(TOKEN_OCTETS) + _RESERVED_2 + body
