"""Packets that the tests of the wire share."""

from hypothesis import strategies as st

from radius.errors import DropReason
from radius.wire.authenticators import KeyedSecret, sign_request, sign_response
from radius.wire.codes import AttributeType, Code
from radius.wire.hiding import hide_salted
from radius.wire.packet import Packet, build_attribute, build_fragments, build_vendor_attribute, parse_packet
from radius.wire.salted import SALTED_VENDOR_ATTRIBUTES

CLIENT = KeyedSecret(b"secret of the access point")
HOME = KeyedSecret(b"secret of the home server")
CLIENT_AUTHENTICATOR = bytes(range(16))
OWN_AUTHENTICATOR = bytes(range(0xF0, 0x100))
USER_NAME = build_attribute(AttributeType.USER_NAME, b"anonymous@boekenburg.example")
EAP_IDENTITY = b"\x02\x01\x00\x0d\x01anon@x.y"
KEY = bytes(range(100, 132))

raw_attributes = st.lists(
    st.tuples(
        st.integers(1, 255).filter(lambda kind: kind != AttributeType.MESSAGE_AUTHENTICATOR), st.binary(max_size=40)
    ),
    max_size=30,
)
KNOWN_HIDDEN = [(vendor, kind) for vendor, hidings in SALTED_VENDOR_ATTRIBUTES.items() for kind in hidings]


def build_near_hidden(known: tuple[int, int], body: bytes, length: int, size: int) -> tuple[int, bytes]:
    """Build what comes near to a hidden vendor attribute: its length may lie, and it is cut anywhere."""
    vendor, kind = known
    return 26, (vendor.to_bytes(4) + bytes((kind, length or len(body) + 2)) + body)[:size]


near_hidden = st.lists(
    st.builds(
        build_near_hidden,
        st.sampled_from([*KNOWN_HIDDEN, (9, 1), (429, 1), (27262, 1)]),
        st.sampled_from([0, 1, 2, 17, 18, 19, 34, 35, 50]).map(bytes) | st.binary(max_size=60),
        st.just(0) | st.integers(0, 255),
        st.integers(3, 9) | st.integers(0, 70),
    )
    | st.tuples(st.sampled_from([2, 3, 18, 33, 60, 69, 79]), st.binary(max_size=40)),
    max_size=4,
)


def build_raw(attribute_type: int, value: bytes) -> bytes:
    """Build an attribute without the builder's own checks: also an empty one."""
    return bytes((attribute_type, len(value) + 2)) + value


def join(attributes: list[tuple[int, bytes]]) -> bytes:
    return b"".join(build_raw(kind, value) for kind, value in attributes)


def build_datagram(attributes: bytes, code: int = Code.ACCESS_REQUEST, length: int | None = None) -> bytes:
    """Build a packet that nobody signed."""
    size = 20 + len(attributes) if length is None else length
    return bytes((code, 7)) + size.to_bytes(2) + CLIENT_AUTHENTICATOR + attributes


def parse(octets: bytes) -> Packet:
    packet = parse_packet(octets)
    assert not isinstance(packet, DropReason), packet
    return packet


def build_request(attributes: bytes = USER_NAME, code: int = Code.ACCESS_REQUEST, **options: bool) -> Packet:
    """Build a client's request as the proxy receives it."""
    return parse(sign_request(code, 7, CLIENT_AUTHENTICATOR, attributes, CLIENT, **options))


def build_response(attributes: bytes = b"", code: int = Code.ACCESS_ACCEPT, **options: bool) -> Packet:
    """Build a home server's answer as the proxy receives it."""
    return parse(sign_response(code, 9, OWN_AUTHENTICATOR, attributes, HOME, **options))


def build_key(vendor: int, vendor_type: int, key: bytes = KEY, salt: int = 1) -> bytes:
    """Build a salted vendor attribute of the home server's answer."""
    return build_vendor_attribute(vendor, vendor_type, hide_salted(key, salt, HOME, OWN_AUTHENTICATOR))


def build_eap(eap: bytes = EAP_IDENTITY) -> bytes:
    return build_fragments(AttributeType.EAP_MESSAGE, eap)
