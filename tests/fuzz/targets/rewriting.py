"""Packets on their way through the proxy: what no edit names arrives octet for octet, what is hidden arrives readable.

The script is a body of attributes in any state; the target signs it, so that the search does not have to find an MD5.
"""

from collections.abc import Sequence
from typing import Final

from radius.errors import DropReason
from radius.proxy.clients import (
    REQUEST_OF_ACCESS_POINT,
    REQUEST_OF_PROXY,
    REQUEST_WITHIN_LIBRARY,
    RESPONSE_FROM_MEMBER,
    RESPONSE_WITHIN_LIBRARY,
)
from radius.wire.authenticators import (
    KeyedSecret,
    Verdict,
    sign_request,
    sign_response,
    verify_message_authenticator,
    verify_request_authenticator,
    verify_response,
)
from radius.wire.codes import Code, VendorId
from radius.wire.hiding import reveal_salted, reveal_user_password
from radius.wire.packet import MAX_PACKET_OCTETS, Packet, attributes, build_attribute, parse_packet
from radius.wire.rewrite import (
    AttributeFilter,
    RewriteRefusal,
    build_filter,
    collect_proxy_states,
    list_removed,
    rewrite_request,
    rewrite_response,
)
from radius.wire.salted import SALTED_VENDOR_ATTRIBUTES
from tests.fuzz.script import Script

CLIENT: Final = KeyedSecret(b"secret of the access point")
HOME: Final = KeyedSecret(b"secret of the home server")
CLIENT_AUTHENTICATOR: Final = bytes(range(16))
OWN_AUTHENTICATOR: Final = bytes(range(0xF0, 0x100))
OWN_STATE: Final = b"our own state"
OPEN: Final = build_filter()
_REQUEST_FILTERS: Final = (OPEN, REQUEST_OF_ACCESS_POINT, REQUEST_OF_PROXY, REQUEST_WITHIN_LIBRARY)
_RESPONSE_FILTERS: Final = (OPEN, RESPONSE_FROM_MEMBER, RESPONSE_WITHIN_LIBRARY, OPEN)
_REQUEST_CODES: Final = (Code.ACCESS_REQUEST, Code.ACCESS_REQUEST, Code.ACCESS_REQUEST, Code.ACCOUNTING_REQUEST)
_RESPONSE_CODES: Final = (Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE, Code.ACCOUNTING_RESPONSE)
_APPENDED: Final = (b"", build_attribute(126, b"1visited.example"))
_RESPONSE_DROPS: Final = frozenset(
    (
        DropReason.PROXY_STATE_ALTERED,
        DropReason.MPPE_KEY_MALFORMED,
        DropReason.SALTED_ATTRIBUTE_MALFORMED,
        DropReason.TTL_EXPIRED,
    )
)
_MPPE_KEYS: Final = (VendorId.MICROSOFT.to_bytes(4) + b"\x10", VendorId.MICROSOFT.to_bytes(4) + b"\x11")
_TTL: Final = VendorId.RADSEC_PROXY_TTL.to_bytes(4)

Attributes = list[tuple[int, bytes]]


def exercise(octets: bytes) -> None:
    """The first octet chooses direction, filter, code and extras; the rest is the body."""
    script = Script(octets)
    choice = script.take_octet()
    if choice & 1:
        _pass_response(choice >> 1, script)
    else:
        _pass_request(choice >> 1, script)


def _pass_request(choice: int, script: Script) -> None:
    code, attribute_filter = _REQUEST_CODES[choice & 3], _REQUEST_FILTERS[choice >> 2 & 3]
    appended, state = _APPENDED[choice >> 4 & 1], (b"", OWN_STATE)[choice >> 5 & 1]
    body = script.take_rest()[: MAX_PACKET_OCTETS - 38]
    if code is Code.ACCOUNTING_REQUEST:
        packet = parse_packet(sign_request(code, 7, bytes(16), body, CLIENT, with_message_authenticator=False))
    else:
        packet = parse_packet(sign_request(code, 7, CLIENT_AUTHENTICATOR, body, CLIENT))
    if not isinstance(packet, Packet):
        return
    outcome = rewrite_request(
        packet,
        identifier=9,
        authenticator=OWN_AUTHENTICATOR,
        downstream=CLIENT,
        upstream=HOME,
        attribute_filter=attribute_filter,
        appended=appended,
        proxy_state=state,
    )
    if not isinstance(outcome, bytes):
        assert isinstance(outcome, RewriteRefusal) or outcome is DropReason.TTL_EXPIRED
        return
    sent = _check_packet(outcome, code, 9)
    if code is Code.ACCOUNTING_REQUEST:
        assert verify_request_authenticator(sent, HOME)
    else:
        assert sent.authenticator == OWN_AUTHENTICATOR
        assert sent.message_authenticator == 20
        assert verify_message_authenticator(sent, HOME) is Verdict.VALID
    got = _list(sent)
    if state:
        assert got.pop() == (33, state)
    if appended:
        assert got.pop() == (126, appended[2:])
    had = _list(packet)
    has_challenge = any(kind == 60 for kind, _ in had)
    if code is Code.ACCESS_REQUEST and 3 in packet.types and not has_challenge and 3 in attribute_filter.passing:
        assert got.pop() == (60, CLIENT_AUTHENTICATOR)  # RFC 2865 §2.3
    check_untouched(had, got, attribute_filter, edited=(2, 26, 69))
    if code is Code.ACCESS_REQUEST:
        hidden = [value for kind, value in had if kind == 2 and 2 in attribute_filter.passing]
        assert [reveal_user_password(value, CLIENT, packet.authenticator) for value in hidden] == [
            reveal_user_password(value, HOME, OWN_AUTHENTICATOR) for kind, value in got if kind == 2
        ]


def _pass_response(choice: int, script: Script) -> None:
    code, attribute_filter = _RESPONSE_CODES[choice & 3], _RESPONSE_FILTERS[choice >> 2 & 3]
    appended, state = _APPENDED[choice >> 4 & 1], (b"", OWN_STATE)[choice >> 5 & 1]
    request_body = b"".join(build_attribute(33, each) for each in (script.take_field()[:40],) if each)
    body = script.take_rest()
    if choice & 0x40:  # as a home server should
        body += request_body + (build_attribute(33, state) if state else b"")
    request = parse_packet(sign_request(Code.ACCESS_REQUEST, 7, CLIENT_AUTHENTICATOR, request_body, CLIENT))
    packet = parse_packet(sign_response(code, 9, OWN_AUTHENTICATOR, body[: MAX_PACKET_OCTETS - 38], HOME))
    assert isinstance(request, Packet)
    if not isinstance(packet, Packet):
        return
    states = collect_proxy_states(request)
    outcome = rewrite_response(
        packet,
        identifier=7,
        request_authenticator=CLIENT_AUTHENTICATOR,
        own_request_authenticator=OWN_AUTHENTICATOR,
        downstream=CLIENT,
        upstream=HOME,
        attribute_filter=attribute_filter,
        proxy_states=states,
        proxy_state=state,
        appended=appended,
    )
    if not isinstance(outcome, bytes):
        assert outcome is RewriteRefusal.TOO_LARGE or outcome in _RESPONSE_DROPS
        return
    sent = _check_packet(outcome, code, 7)
    assert verify_response(sent, CLIENT, CLIENT_AUTHENTICATOR)
    if code is not Code.ACCOUNTING_RESPONSE:
        assert sent.message_authenticator == 20
        assert verify_message_authenticator(sent, CLIENT, CLIENT_AUTHENTICATOR) is Verdict.VALID
    assert collect_proxy_states(sent) == states, "the client's own Proxy-States, and no other"
    had = [each for each in _list(packet) if each[0] != 33]
    got = [each for each in _list(sent) if each[0] != 33]
    if appended:
        assert got.pop() == (126, appended[2:])
    check_untouched(had, got, attribute_filter, edited=(18, 26, 69))
    if attribute_filter is not RESPONSE_FROM_MEMBER:
        assert _keys(had, HOME, OWN_AUTHENTICATOR) == _keys(got, CLIENT, CLIENT_AUTHENTICATOR)
    assert len(list_removed(packet, attribute_filter)) <= len(packet.types)


def check_untouched(had: Attributes, got: Attributes, attribute_filter: AttributeFilter, edited: Sequence[int]) -> None:
    """Check that what no edit names is there, in its order and octet for octet, and that nothing was made up."""
    bounds = attribute_filter.bounds
    passing = attribute_filter.passing

    def is_copied(kind: int, value: bytes) -> bool:
        if kind == 26 and attribute_filter.vendors is None and len(value) >= 4:
            return int.from_bytes(value[:4]) not in SALTED_VENDOR_ATTRIBUTES and value[:4] != _TTL
        return kind not in edited and kind not in bounds

    assert [each for each in had if each[0] in passing and is_copied(*each)] == [
        each for each in got if is_copied(*each)
    ]
    assert all(kind in passing for kind, _ in got)
    assert len(got) <= len(had)
    for kind, (smallest, largest) in bounds.items():
        assert all(
            len(value) == 4 and smallest <= int.from_bytes(value) <= largest for each, value in got if each == kind
        )


def _check_packet(octets: bytes, code: int, identifier: int) -> Packet:
    assert len(octets) <= MAX_PACKET_OCTETS
    packet = parse_packet(octets)
    assert isinstance(packet, Packet), packet
    assert len(packet.octets) == len(octets)
    assert (packet.code, packet.identifier) == (code, identifier)
    return packet


def _list(packet: Packet) -> Attributes:
    return [(kind, value) for _, kind, value in attributes(packet) if kind != 80]


def _keys(listed: Attributes, keyed: KeyedSecret, authenticator: bytes) -> list[bytes | None]:
    """The keys of the radio link, each alone in its attribute as servers send them."""
    return [
        reveal_salted(value[6:], keyed, authenticator)
        for kind, value in listed
        if kind == 26 and value[:5] in _MPPE_KEYS and value[5:6] == bytes((len(value) - 4,))
    ]
