"""A datagram: parsed as a second, slow parser does it, seen in every view, described for a log."""

from radius.codec.description import describe
from radius.errors import DropReason
from radius.wire.attributes import (
    concatenate,
    extended_attributes,
    find_all,
    is_eap_well_formed,
    parse_vendor_attributes,
    vendor_attributes,
)
from radius.wire.authenticators import KeyedSecret, decide_request_authenticity, decide_response_authenticity
from radius.wire.packet import MAX_ATTRIBUTES, MAX_PACKET_OCTETS, Packet, attributes, parse_packet
from radius.wire.rewrite import build_reply
from tests.radius.codec.names import DICTIONARY

SECRET = KeyedSecret(b"secret of the access point")
MAX_DESCRIPTION = 100_000


def exercise(octets: bytes) -> None:
    """The octets are one datagram."""
    packet = parse_packet(octets)
    expected = _walk(octets)
    if not isinstance(packet, Packet) or expected is None:
        assert isinstance(packet, DropReason), "the slow parser refuses it"
        assert expected is None, f"{packet} for a packet that is well formed"
        return
    assert expected == [(kind, value) for _, kind, value in attributes(packet)]
    assert packet.octets == octets[: len(packet.octets)]
    assert bytes(kind for kind, _ in expected) == packet.types
    again = parse_packet(packet.octets + b"padding")
    assert isinstance(again, Packet)
    assert again.octets == packet.octets
    for kind in set(packet.types):
        assert find_all(packet, kind) == [value for each, value in expected if each == kind]
    _look_inside(packet)
    _judge(packet)


def _walk(octets: bytes) -> list[tuple[int, bytes]] | None:
    """The attributes as RFC 2865 §3 and §5 say it, without a thought for speed."""
    if len(octets) < 20:
        return None
    length = int.from_bytes(octets[2:4])
    if not 20 <= length <= min(MAX_PACKET_OCTETS, len(octets)):
        return None
    found: list[tuple[int, bytes]] = []
    rest = octets[20:length]
    while rest:
        if len(rest) < 2 or rest[0] == 0 or not 2 <= rest[1] <= len(rest):
            return None
        found.append((rest[0], rest[2 : rest[1]]))
        rest = rest[rest[1] :]
    signatures = [value for kind, value in found if kind == 80]
    if len(found) > MAX_ATTRIBUTES or len(signatures) > 1 or any(len(value) != 16 for value in signatures):
        return None
    return found


def _look_inside(packet: Packet) -> None:
    for value in find_all(packet, 26):
        inner = parse_vendor_attributes(value)
        if inner:  # they fill the value without a gap
            assert [start for _, start, *_ in inner] == [4, *(end for *_, end, _ in inner[:-1])]
            assert inner[-1][3] == len(value)
    size = len(packet.octets)
    assert sum(1 for _ in vendor_attributes(packet)) <= size
    assert sum(len(each.value) for each in extended_attributes(packet)) <= size
    if is_eap_well_formed(packet) and packet.eap_message:
        eap = concatenate(packet, 79)
        assert int.from_bytes(eap[2:4]) == len(eap)


def _judge(packet: Packet) -> None:
    for requires in (True, False):
        verdicts = (
            decide_request_authenticity(packet, SECRET, requires_message_authenticator=requires),
            decide_response_authenticity(packet, SECRET, bytes(16), requires_message_authenticator=requires),
        )
        assert all(verdict is None or isinstance(verdict, DropReason) for verdict in verdicts)
    reply = build_reply(3, packet, SECRET)
    if isinstance(reply, bytes):
        parsed = parse_packet(reply)
        assert isinstance(parsed, Packet)
        assert find_all(parsed, 33) == find_all(packet, 33)
    text = describe(packet, DICTIONARY)
    assert len(text) <= MAX_DESCRIPTION
    assert text.replace("\n", "").isprintable(), "an attribute reached the log with its control characters"
