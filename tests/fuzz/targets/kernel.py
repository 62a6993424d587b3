"""A packet for the native kernel and for the Python beside it: one result, whatever comes.

The script is that of `rewriting`, the choice of an octet more. Without a C compiler there is nothing to compare.
"""

from typing import Final

from radius.errors import DropReason
from radius.wire.authenticators import (
    decide_request_authenticity,
    decide_response_authenticity,
    sign_request,
    sign_response,
)
from radius.wire.codes import Code
from radius.wire.packet import Packet, build_attribute, parse_packet
from radius.wire.rewrite import rewrite_request, rewrite_response
from tests.fuzz.script import Script
from tests.fuzz.targets.rewriting import CLIENT, CLIENT_AUTHENTICATOR, HOME, OWN_AUTHENTICATOR, OWN_STATE
from tests.radius.wire.kernels import HAS_COMPILER
from tests.radius.wire.test_kernel import FILTERS, Side, assert_same

_FILTERS: Final = tuple(FILTERS)
_STATES: Final = (b"", OWN_STATE)
_APPENDED: Final = (b"", build_attribute(126, b"1visited.example"))


def exercise(octets: bytes) -> None:
    """The first two octets choose; the rest is the body of attributes, or, unsigned, a whole datagram."""
    if not HAS_COMPILER:
        return
    script = Script(octets)
    choice, more = script.take_octet(), script.take_octet()
    name = _FILTERS[(choice >> 1 & 7) % len(_FILTERS)]
    state, appended = _STATES[choice >> 4 & 1], _APPENDED[choice >> 5 & 1]
    body = script.take_rest()
    packet = _read(body, is_answer=bool(choice & 1), is_whole=bool(choice & 0x40))
    if packet is None:
        return
    _judge(packet, is_strict=bool(more & 1))
    if choice & 1:
        states = build_attribute(33, b"theirs") if more & 2 else b""
        assert_same(lambda side: _relay(side, packet, name, states, state, appended))
    else:
        assert_same(lambda side: _forward(side, packet, name, appended, state))


def _read(body: bytes, *, is_answer: bool, is_whole: bool) -> Packet | None:
    if is_whole:
        octets = body
    elif is_answer:
        octets = sign_response(Code.ACCESS_ACCEPT, 9, OWN_AUTHENTICATOR, body[:4000], HOME)
    else:
        octets = sign_request(Code.ACCESS_REQUEST, 7, CLIENT_AUTHENTICATOR, body[:4000], CLIENT)
    packet = parse_packet(octets)
    return None if isinstance(packet, DropReason) else packet


def _judge(packet: Packet, *, is_strict: bool) -> None:
    assert_same(lambda side: decide_request_authenticity(packet, side.client, requires_message_authenticator=is_strict))
    assert_same(
        lambda side: decide_response_authenticity(
            packet, side.home, OWN_AUTHENTICATOR, requires_message_authenticator=is_strict
        )
    )


def _forward(side: Side, packet: Packet, name: str, appended: bytes, state: bytes) -> object:
    return rewrite_request(
        packet,
        identifier=9,
        authenticator=OWN_AUTHENTICATOR,
        downstream=side.client,
        upstream=side.home,
        attribute_filter=side.filters[name],
        appended=appended,
        proxy_state=state,
    )


def _relay(side: Side, packet: Packet, name: str, states: bytes, state: bytes, appended: bytes) -> object:
    return rewrite_response(
        packet,
        identifier=7,
        request_authenticator=CLIENT_AUTHENTICATOR,
        own_request_authenticator=OWN_AUTHENTICATOR,
        downstream=side.client,
        upstream=side.home,
        attribute_filter=side.filters[name],
        proxy_states=states,
        proxy_state=state,
        appended=appended,
    )
