"""A received packet: its header validated, its attributes found in one walk; everything stays the octets that came."""

from collections.abc import Iterator
from typing import Final

from radius.errors import DropReason
from radius.wire.calls import calls
from radius.wire.codes import AttributeType

MAX_PACKET_OCTETS: Final = 4096  # RFC 2865 §3; the larger packets of RFC 7930 are not implemented
HEADER_OCTETS: Final = 20  # Code, Identifier, Length, Authenticator (RFC 2865 §3)
AUTHENTICATOR_OCTETS: Final = 16  # RFC 2865 §3
MAX_ATTRIBUTES: Final = 200  # as FreeRADIUS's `max_attributes`; real requests have about 15
MAX_VALUE_OCTETS: Final = 253  # an attribute's length octet counts itself and the type (RFC 2865 §5)
MESSAGE_AUTHENTICATOR_OCTETS: Final = 18  # type, length and 16 octets (RFC 3579 §3.2)

# Plain integers: a look-up of an enum member costs as much as a step of the walk.
_MESSAGE_AUTHENTICATOR: Final = int(AttributeType.MESSAGE_AUTHENTICATOR)
_PROXY_STATE: Final = int(AttributeType.PROXY_STATE)
_VENDOR_SPECIFIC: Final = int(AttributeType.VENDOR_SPECIFIC)
_STEPS: Final = range(MAX_ATTRIBUTES)


class Packet:
    """A structurally valid packet.

    An attribute is known by its *offset*, the place of its type octet in `octets`; offset 0 means that the packet has
    no such attribute. `types` holds the type octets of all attributes in their order and `offsets` their places, so
    that a search runs over a short byte string. What the packet path asks for again and again, where the first of a
    type is and how many there are, stands in two tables. No object is made for an attribute.
    """

    __slots__ = (
        "authenticator",
        "code",
        "counts",
        "firsts",
        "identifier",
        "message_authenticator",
        "octets",
        "offsets",
        "types",
    )

    octets: bytes
    """The packet, cut at its Length: padding after it is ignored (RFC 2865 §3)."""
    code: int
    identifier: int
    authenticator: bytes
    """16 octets: the Request or the Response Authenticator."""
    types: bytes
    """The type of each attribute, in order."""
    offsets: list[int]
    """The place of each attribute's type octet, in order; never changed after parsing."""
    message_authenticator: int
    """Offset of the one Message-Authenticator, or 0."""
    firsts: bytes
    """For each type, which attribute is the first of it, counted from 1; 0: none is."""
    counts: bytes
    """For each type, how many attributes have it."""

    def __init__(
        self,
        octets: bytes,
        types: bytes,
        offsets: list[int],
        message_authenticator: int,
        firsts: bytes,
        counts: bytes,
    ) -> None:
        self.octets = octets
        self.code = octets[0]
        self.identifier = octets[1]
        self.authenticator = octets[4:20]
        self.types = types
        self.offsets = offsets
        self.message_authenticator = message_authenticator
        self.firsts = firsts
        self.counts = counts

    def __repr__(self) -> str:
        """Show the header only: attributes hold names and secrets."""
        return f"Packet(code={self.code}, identifier={self.identifier}, octets={len(self.octets)})"

    def offset_of(self, attribute_type: int) -> int:
        """Return the offset of the first attribute of that type, or 0."""
        number = self.firsts[attribute_type]
        return self.offsets[number - 1] if number else 0

    def offsets_of(self, attribute_type: int) -> list[int]:
        """Return the offsets of all attributes of that type, in order."""
        if not self.counts[attribute_type]:
            return []
        return [offset for kind, offset in zip(self.types, self.offsets, strict=True) if kind == attribute_type]

    def value_of(self, attribute_type: int) -> bytes:
        """Return the value of the first attribute of that type; empty if there is none, or if it is empty.

        An attribute without a value counts as absent for our own decisions (RFC 2865 §5: it is not to be sent).
        """
        number = self.firsts[attribute_type]
        if not number:
            return b""
        offset = self.offsets[number - 1]
        octets = self.octets
        return octets[offset + 2 : offset + octets[offset + 1]]

    @property
    def user_name(self) -> int:
        """Offset of the first User-Name, or 0."""
        return self.offset_of(AttributeType.USER_NAME)

    @property
    def user_password(self) -> int:
        """Offset of the first User-Password, or 0."""
        return self.offset_of(AttributeType.USER_PASSWORD)

    @property
    def chap_password(self) -> int:
        """Offset of the first CHAP-Password, or 0."""
        return self.offset_of(AttributeType.CHAP_PASSWORD)

    @property
    def chap_challenge(self) -> int:
        """Offset of the first CHAP-Challenge, or 0."""
        return self.offset_of(AttributeType.CHAP_CHALLENGE)

    @property
    def state(self) -> int:
        """Offset of the first State, or 0."""
        return self.offset_of(AttributeType.STATE)

    @property
    def eap_message(self) -> int:
        """Offset of the first EAP-Message, or 0."""
        return self.offset_of(AttributeType.EAP_MESSAGE)

    @property
    def operator_name(self) -> int:
        """Offset of the first Operator-Name, or 0."""
        return self.offset_of(AttributeType.OPERATOR_NAME)

    @property
    def calling_station_id(self) -> int:
        """Offset of the first Calling-Station-Id, or 0."""
        return self.offset_of(AttributeType.CALLING_STATION_ID)

    @property
    def called_station_id(self) -> int:
        """Offset of the first Called-Station-Id, or 0."""
        return self.offset_of(AttributeType.CALLED_STATION_ID)

    @property
    def chargeable_user_identity(self) -> int:
        """Offset of the first Chargeable-User-Identity, or 0."""
        return self.offset_of(AttributeType.CHARGEABLE_USER_IDENTITY)

    @property
    def reply_message(self) -> int:
        """Offset of the first Reply-Message, or 0."""
        return self.offset_of(AttributeType.REPLY_MESSAGE)

    @property
    def proxy_states(self) -> list[int]:
        """Offsets of all Proxy-States, in order."""
        return self.offsets_of(_PROXY_STATE)

    @property
    def vendor_specifics(self) -> list[int]:
        """Offsets of all Vendor-Specific attributes, in order."""
        return self.offsets_of(_VENDOR_SPECIFIC)


def parse_packet(datagram: bytes) -> Packet | DropReason:  # noqa: C901, PLR0911 - one straight walk, one reason a line
    """Return the packet at the beginning of a datagram, or why it is none (RFC 2865 §3 and §5).

    The attributes have to fill Length exactly; Message-Authenticator may occur once and has 18 octets (RFC 3579 §3.2).
    What the attributes hold is not looked at: a proxy passes on what it does not understand.
    """
    find_attributes = calls.find_attributes
    if find_attributes is not None:
        found = find_attributes(datagram)
        if found is not None:
            return Packet(found[0], found[1], found[2], found[3], found[4], found[5])
    received = len(datagram)
    if received < HEADER_OCTETS:
        return DropReason.TOO_SHORT
    length = datagram[2] << 8 | datagram[3]
    if length < HEADER_OCTETS or length > MAX_PACKET_OCTETS or length > received:
        return DropReason.LENGTH_FIELD
    octets = datagram if length == received else datagram[:length]
    offsets: list[int] = []
    append = offsets.append
    offset = HEADER_OCTETS
    try:
        for _ in _STEPS:  # bounded, whatever the length octets say
            if offset >= length:
                break
            append(offset)
            attribute_length = octets[offset + 1]
            if attribute_length < 2:
                return DropReason.ATTRIBUTE_LENGTH
            offset += attribute_length
    except IndexError:  # one octet dangles behind the last attribute
        return DropReason.ATTRIBUTE_OVERRUN
    if offset != length:
        return DropReason.ATTRIBUTE_OVERRUN if offset > length else DropReason.TOO_MANY_ATTRIBUTES
    types = bytes([octets[place] for place in offsets])
    firsts, counts = _index(types)
    if counts[0]:
        return DropReason.ATTRIBUTE_TYPE_ZERO
    message_authenticator = 0
    if counts[_MESSAGE_AUTHENTICATOR]:
        message_authenticator = offsets[firsts[_MESSAGE_AUTHENTICATOR] - 1]
        if octets[message_authenticator + 1] != MESSAGE_AUTHENTICATOR_OCTETS or counts[_MESSAGE_AUTHENTICATOR] > 1:
            return DropReason.MESSAGE_AUTHENTICATOR_FORM
    return Packet(octets, types, offsets, message_authenticator, firsts, counts)


def _index(types: bytes) -> tuple[bytes, bytes]:
    """Return which attribute is the first of each type, counted from 1, and how many there are."""
    firsts, counts = bytearray(256), bytearray(256)
    for number, kind in enumerate(types, 1):
        if not counts[kind]:
            firsts[kind] = number
        counts[kind] += 1
    return bytes(firsts), bytes(counts)


def value_at(octets: bytes, offset: int) -> bytes:
    """Return the value of the attribute at an offset that `parse_packet` gave."""
    return octets[offset + 2 : offset + octets[offset + 1]]


def attributes(packet: Packet) -> Iterator[tuple[int, int, bytes]]:
    """Yield (offset, type, value) of every attribute, in order."""
    octets = packet.octets
    for offset in packet.offsets:
        yield offset, octets[offset], octets[offset + 2 : offset + octets[offset + 1]]


def build_attribute(attribute_type: int, value: bytes) -> bytes:
    """Return the octets of one attribute.

    Raises:
        ValueError: the value has no octets, or more than 253 (RFC 2865 §5).
    """
    if not 0 < len(value) <= MAX_VALUE_OCTETS:
        raise ValueError(f"an attribute has 1 to {MAX_VALUE_OCTETS} octets, not {len(value)}")
    return bytes((attribute_type, len(value) + 2)) + value


def build_fragments(attribute_type: int, value: bytes) -> bytes:
    """Return a long value as attributes of at most 253 octets in a row, as EAP-Message goes (RFC 3579 §3.1)."""
    return b"".join(
        build_attribute(attribute_type, value[start : start + MAX_VALUE_OCTETS])
        for start in range(0, len(value), MAX_VALUE_OCTETS)
    )


def build_vendor_attribute(vendor: int, vendor_type: int, value: bytes) -> bytes:
    """Return a Vendor-Specific attribute with one sub-attribute of one type and one length octet (RFC 2865 §5.26)."""
    return build_attribute(_VENDOR_SPECIFIC, vendor.to_bytes(4) + bytes((vendor_type, len(value) + 2)) + value)
