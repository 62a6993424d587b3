"""Attributes where no RFC wants them, and hidden ones at the edge of what can be: no crash, no growth, no guess."""

import pytest

from radius.errors import DropReason
from radius.proxy.clients import REQUEST_OF_ACCESS_POINT, RESPONSE_FROM_MEMBER
from radius.wire.codes import Code, VendorId
from radius.wire.hiding import hide_salted, reveal_user_password
from radius.wire.packet import Packet, attributes, build_attribute, build_vendor_attribute
from radius.wire.rewrite import AttributeFilter, RewriteRefusal, build_filter, rewrite_request, rewrite_response
from tests.radius.wire.packets import (
    CLIENT,
    CLIENT_AUTHENTICATOR,
    HOME,
    KEY,
    OWN_AUTHENTICATOR,
    build_eap,
    build_key,
    build_raw,
    build_request,
    build_response,
    parse,
)

OPEN = build_filter()
ANSWERS = (Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE)
Outcome = bytes | DropReason | RewriteRefusal


def forward(packet: Packet, attribute_filter: AttributeFilter = OPEN) -> Outcome:
    return rewrite_request(
        packet,
        identifier=1,
        authenticator=OWN_AUTHENTICATOR,
        downstream=CLIENT,
        upstream=HOME,
        attribute_filter=attribute_filter,
    )


def relay(packet: Packet, attribute_filter: AttributeFilter = OPEN) -> Outcome:
    return rewrite_response(
        packet,
        identifier=7,
        request_authenticator=CLIENT_AUTHENTICATOR,
        own_request_authenticator=OWN_AUTHENTICATOR,
        downstream=CLIENT,
        upstream=HOME,
        attribute_filter=attribute_filter,
    )


def sent(outcome: Outcome) -> list[tuple[int, bytes]]:
    """The attributes that leave, without our signature."""
    assert isinstance(outcome, bytes), outcome
    return [(kind, value) for _, kind, value in attributes(parse(outcome)) if kind != 80]


class TestAnswersWithWhatTheyMayNotHave:
    @pytest.mark.parametrize("code", ANSWERS)
    def test_key_is_moved_in_every_answer(self, code: Code) -> None:
        """Only an Access-Accept has keys (RFC 2548 §2.4.2); in others they are moved as well, never left readable."""
        ((kind, value),) = sent(relay(build_response(build_key(311, 16), code)))
        assert kind == 26
        assert value[:6] == build_key(311, 16)[2:8]
        assert value[6:] != build_key(311, 16)[8:]

    @pytest.mark.parametrize("code", ANSWERS)
    @pytest.mark.parametrize("size", [2, 17, 33])
    def test_truncated_key_drops_every_answer(self, code: Code, size: int) -> None:
        """What the code is makes a key of 17 octets no better."""
        attribute = build_vendor_attribute(VendorId.MICROSOFT, 17, bytes(size))
        assert relay(build_response(attribute, code)) is DropReason.MPPE_KEY_MALFORMED

    @pytest.mark.parametrize("code", ANSWERS)
    def test_tunnel_password_does_not_come_from_another_member(self, code: Code) -> None:
        """Neither a whole one nor a broken one, whatever the answer is: the filter is before the hiding."""
        for value in (b"\1" + hide_salted(KEY, 1, HOME, OWN_AUTHENTICATOR), b"", bytes(20)):
            assert sent(relay(build_response(build_raw(69, value), code), RESPONSE_FROM_MEMBER)) == []

    @pytest.mark.parametrize("kind", [2, 3, 60, 64, 65, 81, 56, 58, 11, 92, 6, 8, 14, 22])
    def test_what_belongs_to_requests_or_to_the_visited_network_stays_out(self, kind: int) -> None:
        """User-Password in an Accept, VLANs, filters, addresses and routes of a stranger."""
        for size in (0, 1, 4, 16, 253):
            assert sent(relay(build_response(build_raw(kind, bytes(size))), RESPONSE_FROM_MEMBER)) == []


class TestVendorsAtTheFilter:
    @pytest.mark.parametrize(
        "value",
        [
            b"",
            b"\0\0\1",
            b"\0\0\1\x37",
            b"\0\0\1\x37\x10",
            b"\0\0\1\x37\x10\0",
            b"\0\0\1\x37\x10\1",
            b"\0\0\1\x37\x10\xff" + bytes(40),
            b"\0\0\1\x37\x07\6\0\0\0\1\x10\0",
            b"\x01\0\1\x37\x10\x22" + bytes(32),
            VendorId.USR.to_bytes(4) + bytes(8),
            VendorId.ASCEND.to_bytes(4) + b"\xd6\x12" + bytes(16),
            VendorId.WIMAX.to_bytes(4) + b"\5\x25\x80" + bytes(34),
        ],
        ids=lambda value: bytes(value[:8]).hex() or "empty",
    )
    def test_what_can_not_be_judged_does_not_cross(self, value: bytes) -> None:
        """From another member only whole keys of the radio link come through; the rest is left out, without a drop."""
        assert sent(relay(build_response(build_raw(26, value)), RESPONSE_FROM_MEMBER)) == []

    @pytest.mark.parametrize("size", [0, 1, 2, 17, 18, 19, 33, 35, 200])
    def test_key_in_a_request_does_not_break_it(self, size: int) -> None:
        """A device that sends an MPPE key has no key to send: it is the home server's to judge (RFC 2548 §2.4.2)."""
        attribute = build_vendor_attribute(VendorId.MICROSOFT, 16, bytes(size))
        outcome = sent(forward(build_request(attribute + build_eap()), REQUEST_OF_ACCESS_POINT))
        assert [kind for kind, _ in outcome] == [26, 79]
        assert len(outcome[0][1]) == len(attribute) - 2


class TestPasswordsOfAnyOctets:
    @pytest.mark.parametrize(
        "password",
        [b"", b"\0", b"a\0b", b"\xff\xfe", "wachtwoord🔑".encode(), b"%{reply:x}", b"\r\n", b"p" * 128],
        ids=lambda password: bytes(password[:12]).hex() or "empty",
    )
    def test_password_arrives_octet_for_octet(self, password: bytes) -> None:
        """No character set is looked at; NULs inside stay (RFC 2865 §5.2, CVE-2017-10978's class)."""
        padded = password.ljust(max(16, -(-len(password) // 16) * 16), b"\0")
        hidden = b""
        for start in range(0, len(padded), 16):
            chain = hidden[-16:] or CLIENT_AUTHENTICATOR
            stream = CLIENT.md5_after(chain)
            hidden += bytes(left ^ right for left, right in zip(padded[start : start + 16], stream, strict=True))
        ((kind, value),) = sent(forward(build_request(build_attribute(2, hidden))))
        assert kind == 2
        assert len(value) == len(padded)
        assert reveal_user_password(value, HOME, OWN_AUTHENTICATOR) == password.rstrip(b"\0")
