"""Packets of RADIUS/1.1 turned into RADIUS/1.0 and back: believed inside, and the second time nothing changes any more.

The script is a body of attributes in any state, behind an octet that chooses the code; or, for a code that is none, the
whole packet.
"""

from typing import Final

from radius.errors import BREAKS_STREAM, DropReason
from radius.exchange.edges import ClientEdge, ServerEdge
from radius.wire.authenticators import KeyedSecret, decide_request_authenticity, decide_response_authenticity
from radius.wire.codes import EXPECTED_RESPONSES
from radius.wire.packet import Packet, parse_packet
from tests.fuzz.script import Script

SERVER: Final = KeyedSecret(b"radsec")
CLIENT: Final = KeyedSecret(b"another secret")
NONCE: Final = bytes(range(32))
TOKEN: Final = 0xC0FFEE07
_REQUESTS: Final = tuple(sorted(EXPECTED_RESPONSES))
_RESPONSES: Final = tuple(sorted({code for codes in EXPECTED_RESPONSES.values() for code in codes}))
# User-Password, CHAP-Password, Vendor-Specific, CHAP-Challenge, Tunnel-Password, Message-Authenticator, Extended-1.
_CHANGING: Final = frozenset((2, 3, 26, 60, 69, 80, 241))


def build(code: int, token: int, body: bytes) -> bytes:
    """Build a packet of RADIUS/1.1."""
    return bytes((code, 0)) + (20 + len(body)).to_bytes(2) + token.to_bytes(4) + bytes(12) + body


def exercise(octets: bytes) -> None:
    """The first octet chooses the code; the others are the attributes, or the packet."""
    script = Script(octets)
    choice = script.take_octet()
    body = script.take_rest()
    if choice < len(_REQUESTS):
        _carry_request(build(_REQUESTS[choice], TOKEN, body[:4076]))
    elif choice < len(_REQUESTS) + len(_RESPONSES):
        _carry_response(build(_RESPONSES[choice - len(_REQUESTS)], 7, body[:4076]))
    else:
        _carry_request(body)
        _carry_response(body)


def _carry_request(octets: bytes) -> None:
    """In at a listening end, out at a dialling one, twice."""
    server = ServerEdge(SERVER, NONCE)
    received = server.receive(octets, 1.0)
    if isinstance(received, DropReason):
        assert server.outstanding == 0
        return
    packet = _parse(received[1])
    strict = packet.code not in (4, 40, 43)
    assert decide_request_authenticity(packet, SERVER, requires_message_authenticator=strict) is None
    assert _list_unchanged(octets) == _list_unchanged(packet.octets)
    assert server.receive(octets, 1.0) == received
    once = ClientEdge(SERVER, received[0] << 8 | packet.identifier).send(1, packet.octets)
    assert isinstance(once, bytes)
    again = ServerEdge(SERVER, NONCE).receive(once, 1.0)
    if isinstance(again, DropReason):  # CHAP-Challenge came to it
        assert again in (DropReason.CONVERTED_TOO_LARGE, DropReason.TOO_MANY_ATTRIBUTES)
        return
    assert ClientEdge(SERVER, received[0] << 8 | packet.identifier).send(1, again[1]) == once


def _carry_response(octets: bytes) -> None:
    """In at a dialling end, out at a listening one, twice."""
    request = build(1, 7, b"")
    server = ServerEdge(CLIENT, NONCE)
    received = server.receive(request, 1.0)
    assert not isinstance(received, DropReason)
    source, inside = received
    client = ClientEdge(CLIENT, 7)
    assert client.send(3, inside) == request
    answer = client.receive(octets)
    if isinstance(answer, DropReason):
        assert client.outstanding == 1
        assert answer in BREAKS_STREAM or answer.value.endswith(("malformed", "large", "response", "attributes"))
        return
    assert (answer[0], client.outstanding) == (3, 0)
    packet = _parse(answer[1])
    assert decide_response_authenticity(packet, CLIENT, inside[4:20], requires_message_authenticator=True) is None
    assert _list_unchanged(octets) == _list_unchanged(packet.octets)
    once = server.answer(source, packet.octets)
    assert isinstance(once, bytes)
    assert client.send(3, inside) == build(1, 8, b"")
    again = client.receive(once[:4] + (8).to_bytes(4) + once[8:])
    assert isinstance(again, tuple)
    assert server.receive(request, 2.0) == received
    assert server.answer(source, again[1]) == once


def _parse(octets: bytes) -> Packet:
    packet = parse_packet(octets)
    assert isinstance(packet, Packet), packet
    return packet


def _list_unchanged(octets: bytes) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    offset = 20
    while offset < len(octets):
        end = offset + octets[offset + 1]
        if octets[offset] not in _CHANGING:
            found.append((octets[offset], octets[offset + 2 : end]))
        offset = end
    return found
