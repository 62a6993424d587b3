"""Bad input on the whole way of a packet: parsed, believed or not, rewritten in both directions.

Each class is one group of what attackers and broken peers send; each test says what becomes of it.
"""

from itertools import pairwise

import pytest

from radius.errors import DropReason
from radius.wire.attributes import extended_attributes, is_eap_well_formed, vendor_attributes
from radius.wire.authenticators import decide_request_authenticity
from radius.wire.codes import AttributeType, Code, VendorId
from radius.wire.hiding import hide_salted, reveal_salted
from radius.wire.packet import Packet, attributes, build_vendor_attribute, parse_packet
from radius.wire.rewrite import RewriteRefusal, build_filter, rewrite_request, rewrite_response
from tests.radius.wire.packets import (
    CLIENT,
    CLIENT_AUTHENTICATOR,
    EAP_IDENTITY,
    HOME,
    KEY,
    OWN_AUTHENTICATOR,
    USER_NAME,
    build_datagram,
    build_eap,
    build_raw,
    build_request,
    build_response,
    parse,
)

OPEN = build_filter()
Outcome = bytes | DropReason | RewriteRefusal


def forward(packet: Packet) -> Outcome:
    return rewrite_request(
        packet,
        identifier=1,
        authenticator=OWN_AUTHENTICATOR,
        downstream=CLIENT,
        upstream=HOME,
        attribute_filter=OPEN,
    )


def relay(packet: Packet) -> Outcome:
    return rewrite_response(
        packet,
        identifier=7,
        request_authenticator=CLIENT_AUTHENTICATOR,
        own_request_authenticator=OWN_AUTHENTICATOR,
        downstream=CLIENT,
        upstream=HOME,
        attribute_filter=OPEN,
    )


def strip(outcome: Outcome) -> bytes | DropReason | RewriteRefusal:
    """Take header and Message-Authenticator from a rewritten packet, to see what became of the rest."""
    return outcome[38:] if isinstance(outcome, bytes) else outcome


def view_all(packet: Packet) -> None:
    """Look at a packet in every way that there is."""
    list(attributes(packet))
    list(vendor_attributes(packet))
    list(extended_attributes(packet))
    is_eap_well_formed(packet)


def check_unchanged(body: bytes) -> None:
    """Check that attributes pass octet for octet in a request and in an answer."""
    for packet, rewrite in ((build_request(body), forward), (build_response(body), relay)):
        view_all(packet)
        assert strip(rewrite(packet)) == body


class TestGroup1Header:
    @pytest.mark.parametrize("size", [0, 1, 19])
    def test_no_header_is_dropped(self, size: int) -> None:
        """0, 1 and 19 octets are dropped."""
        assert parse_packet(build_datagram(b"")[:size]) is DropReason.TOO_SHORT

    @pytest.mark.parametrize("length", [0, 19, 21, 4097, 65535, 100])
    def test_lying_length_is_dropped(self, length: int) -> None:
        """A Length that can not be, on 20 octets, is dropped."""
        assert parse_packet(build_datagram(b"", length=length)) is DropReason.LENGTH_FIELD


class TestGroup2Padding:
    @pytest.mark.parametrize("padding", [1, 3000])
    def test_padding_does_not_reach_the_next_hop(self, padding: int) -> None:
        """Padding is accepted and not sent on (RFC 2865 §3)."""
        request = build_request()
        padded = parse(request.octets + b"\xff" * padding)
        assert decide_request_authenticity(padded, CLIENT, requires_message_authenticator=True) is None
        assert forward(padded) == forward(request)


class TestGroup3Codes:
    @pytest.mark.parametrize("code", [0, 2, 3, 5, 11, 13, *range(26, 34), 53, 255])
    def test_code_that_is_no_request_is_readable_and_no_more(self, code: int) -> None:
        """Unknown codes and answers parse, so that a listener can count and drop them by their code."""
        assert parse(build_datagram(USER_NAME, code)).code == code


class TestGroup4Walk:
    @pytest.mark.parametrize(
        ("octets", "reason"),
        [
            (b"\0\x03a", DropReason.ATTRIBUTE_TYPE_ZERO),
            (b"\x01\0", DropReason.ATTRIBUTE_LENGTH),
            (b"\x01\x01", DropReason.ATTRIBUTE_LENGTH),
            (b"\x01\x05ab", DropReason.ATTRIBUTE_OVERRUN),
            (b"\x01", DropReason.ATTRIBUTE_OVERRUN),
            (USER_NAME[:-1], DropReason.ATTRIBUTE_OVERRUN),
        ],
    )
    def test_broken_walk_is_dropped(self, octets: bytes, reason: DropReason) -> None:
        """Attributes that do not fill the packet exactly are no attributes, alone or behind good ones."""
        assert parse_packet(build_datagram(octets)) is reason
        assert parse_packet(build_datagram(USER_NAME + octets)) is reason


class TestGroup5Empty:
    @pytest.mark.parametrize("kind", [1, 24, 25, 26, 31, 33, 79, 89, 126, 241, 246])
    def test_empty_attribute_passes(self, kind: int) -> None:
        """An attribute of two octets is kept for forwarding (RFC 2865 §5)."""
        request = build_request(build_raw(kind, b""))
        view_all(request)
        assert strip(forward(request)) == build_raw(kind, b"")
        if kind != AttributeType.PROXY_STATE:
            assert strip(relay(build_response(build_raw(kind, b"")))) == build_raw(kind, b"")

    def test_empty_message_authenticator_is_dropped(self) -> None:
        """A Message-Authenticator of two octets is none (RFC 3579 §3.2)."""
        assert parse_packet(build_datagram(build_raw(80, b""))) is DropReason.MESSAGE_AUTHENTICATOR_FORM

    def test_empty_password_is_refused(self) -> None:
        """A User-Password of two octets is none (RFC 2865 §5.2)."""
        assert forward(build_request(build_raw(2, b""))) is RewriteRefusal.PASSWORD_MALFORMED

    def test_empty_eap_message_is_malformed(self) -> None:
        """An EAP-Message of two octets holds no EAP packet."""
        assert not is_eap_well_formed(build_request(build_raw(79, b"")))


class TestGroup6Many:
    def test_thousand_empty_attributes_are_dropped(self) -> None:
        """More than 200 attributes are not walked."""
        assert parse_packet(build_datagram(build_raw(25, b"") * 1000)) is DropReason.TOO_MANY_ATTRIBUTES

    def test_packet_full_of_proxy_state_is_refused_without_harm(self) -> None:
        """4096 octets of Proxy-State parse, leave no room for our signature, and are refused."""
        body = build_raw(33, bytes(253)) * 15 + build_raw(33, bytes(249))
        assert forward(parse(build_datagram(body))) is RewriteRefusal.TOO_LARGE


class TestGroup7MessageAuthenticator:
    @pytest.mark.parametrize("body", [build_raw(80, bytes(15)), build_raw(80, bytes(17)), build_raw(80, bytes(16)) * 2])
    def test_form_is_checked_before_anything_is_computed(self, body: bytes) -> None:
        """Lengths 17 and 19, and two of them, are dropped."""
        assert parse_packet(build_datagram(body)) is DropReason.MESSAGE_AUTHENTICATOR_FORM

    def test_zeros_are_wrong(self) -> None:
        """A Message-Authenticator of zeros is wrong, not absent."""
        packet = parse(build_datagram(build_raw(80, bytes(16))))
        verdict = decide_request_authenticity(packet, CLIENT, requires_message_authenticator=False)
        assert verdict is DropReason.MESSAGE_AUTHENTICATOR_WRONG


class TestGroup8Eap:
    def test_eap_without_message_authenticator_is_dropped(self) -> None:
        """EAP-Message alone proves nothing (RFC 3579 §3.2)."""
        packet = build_request(build_eap(), with_message_authenticator=False)
        verdict = decide_request_authenticity(packet, CLIENT, requires_message_authenticator=False)
        assert verdict is DropReason.MESSAGE_AUTHENTICATOR_MISSING

    @pytest.mark.parametrize(
        "body",
        [
            *(build_eap(EAP_IDENTITY[:2] + length.to_bytes(2) + EAP_IDENTITY[4:]) for length in (0, 3, 12, 14, 65535)),
            *(build_eap(bytes((code,)) + EAP_IDENTITY[1:]) for code in (0, 5, 255)),
            *(build_raw(79, EAP_IDENTITY[:size]) + build_raw(79, EAP_IDENTITY[size:]) for size in (1, 2, 3)),
            build_raw(79, EAP_IDENTITY[:6]) + build_raw(79, b"") + build_raw(79, EAP_IDENTITY[6:]),
        ],
    )
    def test_malformed_eap_is_seen(self, body: bytes) -> None:
        """Lengths that lie, codes that are none, empty and too short fragments are malformed."""
        assert not is_eap_well_formed(build_request(body))

    def test_sixteen_fragments_are_well_formed(self) -> None:
        """A packet may be nearly full of EAP."""
        eap = b"\x02\x01" + (3900).to_bytes(2) + bytes(3896)
        request = build_request(build_eap(eap))
        assert request.types.count(79) == 16
        assert is_eap_well_formed(request)


class TestGroup9Vendors:
    @pytest.mark.parametrize(
        "value",
        [
            *(bytes(size) for size in range(6)),
            *(b"\0\0\1\x37\x10"[:size] for size in range(6)),
            b"\0\0\1\x37\x10\x00",
            b"\0\0\1\x37\x10\x01",
            b"\0\0\1\x37\x10\xffabc",
            b"\0\0\1\x37\x07\x06\0\0\0\1\x10\x00",
            VendorId.USR.to_bytes(4) + b"\0\0\x90\x1aabc",
            VendorId.USR.to_bytes(4) + b"\0\0\x90",
            VendorId.WIMAX.to_bytes(4) + b"\x01\x05\x80ab",
            VendorId.WIMAX.to_bytes(4) + b"\x01\x02",
            b"\0\0\0\0\x10\x04ab",
            b"\xff\xff\xff\xff\x10\x04ab",
            b"\x80\0\1\x37\x10\x04ab",
        ],
    )
    def test_strange_vendor_attribute_passes_unchanged(self, value: bytes) -> None:
        """Short ones, lying lengths, odd layouts, vendor 0 and high octets pass as octets (RFC 2865 §5.26)."""
        check_unchanged(build_raw(26, value))

    def test_deep_nesting_passes_unchanged(self) -> None:
        """TLVs 20 deep are not followed."""
        inner = b""
        for _ in range(20):
            inner = bytes((1, len(inner) + 2)) + inner
        check_unchanged(build_raw(26, VendorId.WIMAX.to_bytes(4) + bytes((1, len(inner) + 3, 0)) + inner))

    @pytest.mark.parametrize("size", [0, 1, 2, 17, 19, 33, 35])
    def test_truncated_key_drops_the_answer(self, size: int) -> None:
        """An MPPE key of impossible length is not relayed; in a request it is the home server's to judge."""
        attribute = build_vendor_attribute(311, 16, bytes(size))
        assert relay(build_response(attribute)) is DropReason.MPPE_KEY_MALFORMED
        assert strip(forward(build_request(attribute))) == attribute

    @pytest.mark.parametrize("size", [18, 34])
    def test_key_of_whole_blocks_is_moved_or_refused(self, size: int) -> None:
        """Whole blocks that reveal a length beyond themselves drop the answer; others are moved, never longer."""
        outcome = relay(build_response(build_vendor_attribute(311, 16, bytes(size))))
        assert outcome is DropReason.MPPE_KEY_MALFORMED or len(strip(outcome)) == size + 8


class TestGroup10TunnelPassword:
    @pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 18, 20])
    def test_impossible_length_drops_the_answer(self, size: int) -> None:
        """Lengths that hold no salt and no whole block are not relayed (CVE-2003-0967, CVE-2009-3111)."""
        assert relay(build_response(build_raw(69, bytes(size)))) is DropReason.SALTED_ATTRIBUTE_MALFORMED

    def test_length_beyond_the_value_drops_the_answer(self) -> None:
        """A password that says that it is longer than it is would be read beyond its end."""
        salt = b"\x80\x01"
        stream = HOME.md5_after(OWN_AUTHENTICATOR + salt)
        hidden = salt + bytes(left ^ right for left, right in zip(b"\xff" + bytes(15), stream, strict=True))
        assert relay(build_response(build_raw(69, b"\0" + hidden))) is DropReason.SALTED_ATTRIBUTE_MALFORMED

    def test_salt_without_its_mark_gets_one(self) -> None:
        """A home server that forgot the high bit of its salt is understood; the client gets one that has it."""
        salt = b"\x12\x34"
        stream = HOME.md5_after(OWN_AUTHENTICATOR + salt)
        hidden = salt + bytes(left ^ right for left, right in zip(b"\x03key" + bytes(12), stream, strict=True))
        outcome = strip(relay(build_response(build_raw(69, b"\0" + hidden))))
        assert isinstance(outcome, bytes)
        assert outcome[3] >= 0x80
        assert reveal_salted(outcome[3:], CLIENT, CLIENT_AUTHENTICATOR) == b"key"

    @pytest.mark.parametrize("tag", [0x20, 0xFF])
    def test_tag_without_meaning_is_kept(self, tag: int) -> None:
        """A tag above 0x1F passes."""
        hidden = hide_salted(KEY, 1, HOME, OWN_AUTHENTICATOR)
        outcome = strip(relay(build_response(build_raw(69, bytes((tag,)) + hidden))))
        assert isinstance(outcome, bytes)
        assert outcome[2] == tag

    def test_empty_password_passes(self) -> None:
        """A password of no octets, hidden, is a password."""
        hidden = hide_salted(b"", 1, HOME, OWN_AUTHENTICATOR)
        assert isinstance(relay(build_response(build_raw(69, b"\0" + hidden))), bytes)


class TestGroup11UserPassword:
    @pytest.mark.parametrize("size", [0, 15, 17, 129, 144, 253])
    def test_impossible_length_is_refused(self, size: int) -> None:
        """Refused, as it can not be moved (RFC 2865 §5.2)."""
        assert forward(build_request(build_raw(2, bytes(size)))) is RewriteRefusal.PASSWORD_MALFORMED


class TestGroup12Chap:
    @pytest.mark.parametrize("size", [0, 1, 16, 18, 253])
    def test_any_chap_password_passes_and_gets_its_challenge(self, size: int) -> None:
        """CHAP-Password is opaque; without a challenge the old authenticator becomes one (RFC 2865 §2.3)."""
        attribute = build_raw(3, bytes(size))
        assert strip(forward(build_request(attribute))) == attribute + build_raw(60, CLIENT_AUTHENTICATOR)
        with_challenge = attribute + build_raw(60, b"")
        assert strip(forward(build_request(with_challenge))) == with_challenge


class TestGroup13Extended:
    @pytest.mark.parametrize(
        "body",
        [
            build_raw(241, b""),
            build_raw(245, b""),
            build_raw(245, b"\x01"),
            build_raw(245, b"\x01\x80" + bytes(251)),
            build_raw(245, b"\x01\x80a") + USER_NAME,
            build_raw(241, b"\x1a\0\0\0"),
            build_raw(246, b"\x1a\x80\0\0\0\x09"),
            build_raw(245, b"\x1a\x80" + bytes(251)) * 15,
        ],
    )
    def test_broken_extended_attributes_pass_unchanged(self, body: bytes) -> None:
        """Truncated, endless and short vendor forms pass as octets (CVE-2017-10979's class)."""
        check_unchanged(body)


class TestGroup14Types:
    @pytest.mark.parametrize(
        "body",
        [
            build_raw(27, b"\0\0\1"),
            build_raw(4, b"\x7f\0\0\0\1"),
            build_raw(97, b"\0\x81" + bytes(16)),
            build_raw(55, b"\xff\xff\xff\xff"),
            build_raw(6, b""),
        ],
    )
    def test_values_that_lie_about_their_type_pass_unchanged(self, body: bytes) -> None:
        """A proxy does not read what it does not act on."""
        check_unchanged(body)


class TestGroup15Ascend:
    @pytest.mark.parametrize("code", [Code.ACCESS_REQUEST, Code.ACCESS_ACCEPT, Code.ACCESS_CHALLENGE])
    @pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 240])
    def test_ascend_secrets_are_taken_out(self, code: Code, size: int) -> None:
        """Its hiding holds for one hop and can not be moved (CVE-2004-0960, CVE-2004-0961)."""
        attribute = build_vendor_attribute(VendorId.ASCEND, 214, bytes(size))
        outcome = (
            forward(build_request(attribute)) if code is Code.ACCESS_REQUEST else relay(build_response(attribute, code))
        )
        assert strip(outcome) == b""

    def test_data_filter_garbage_passes_unchanged(self) -> None:
        """Ascend-Data-Filter is not read."""
        check_unchanged(build_vendor_attribute(VendorId.ASCEND, 242, b"\xff" * 100))


class TestGroup16Forbidden:
    def test_key_in_a_request_is_no_crash(self) -> None:
        """An MPPE key in an Access-Request is nobody's key; it moves or stays, and the request is signed."""
        for size in (18, 34, 50, 33):
            outcome = strip(forward(build_request(build_vendor_attribute(311, 16, bytes(size)))))
            assert isinstance(outcome, bytes)
            assert len(outcome) == size + 8

    def test_password_in_an_answer_passes_unchanged(self) -> None:
        """User-Password in an answer is not read (RFC 2865 §5.44 forbids it; a filter takes it out)."""
        assert strip(relay(build_response(build_raw(2, bytes(16))))) == build_raw(2, bytes(16))


class TestTruncation:
    def test_every_truncation_of_a_full_login_is_refused(self) -> None:
        """A request and an answer with everything in them, cut at any octet, are dropped or not believed."""
        body = USER_NAME + build_eap() + build_raw(33, b"state") + build_vendor_attribute(311, 16, bytes(34))
        for packet in (build_request(body), build_response(body)):
            offsets = [*packet.offsets, len(packet.octets)]
            assert all(left < right for left, right in pairwise(offsets))
            for size in range(len(packet.octets)):
                assert isinstance(parse_packet(packet.octets[:size]), DropReason)
                shortened = parse_packet(packet.octets[:2] + size.to_bytes(2) + packet.octets[4:size])
                if isinstance(shortened, Packet):
                    assert size in offsets
                    assert (
                        decide_request_authenticity(shortened, CLIENT, requires_message_authenticator=True) is not None
                    )
