"""Tests of packets of RADIUS/1.1 and of turning them into those of RADIUS/1.0 and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius.errors import DropReason
from radius.wire.attributes import find, find_all, find_vendor, parse_vendor_attributes
from radius.wire.authenticators import (
    KeyedSecret,
    Verdict,
    decide_request_authenticity,
    decide_response_authenticity,
    sign_request,
    sign_response,
    verify_message_authenticator,
)
from radius.wire.codes import EXPECTED_RESPONSES, AttributeType, Code, VendorId
from radius.wire.hiding import (
    Rehiding,
    hide_salted,
    hide_user_password,
    reveal_salted,
    reveal_user_password,
)
from radius.wire.packet import Packet, attributes, build_attribute, build_vendor_attribute, parse_packet
from radius.wire.radius11 import (
    read_token,
    request_to_radius10,
    request_to_radius11,
    response_to_radius10,
    response_to_radius11,
)
from radius.wire.rewrite import RewriteRefusal, build_filter, rewrite_request
from radius.wire.salted import SALTED_VENDOR_ATTRIBUTES, Hiding, rewrite_tunnel_password, rewrite_vendor_attribute
from tests.radius.wire.packets import KEY, USER_NAME, build_raw, join, parse

EDGE = KeyedSecret(b"radsec")
AUTHENTICATOR = bytes(range(16))
TOKEN = 0xDEADBEEF
RESERVED = bytes(12)
PASSWORD = b"pass word \xff\x00 and more"
REQUESTS = sorted(EXPECTED_RESPONSES)
RESPONSES = sorted({code for codes in EXPECTED_RESPONSES.values() for code in codes})
COMPUTED = (Code.ACCOUNTING_REQUEST, Code.DISCONNECT_REQUEST, Code.COA_REQUEST)
SALTED = [
    (vendor, vendor_type)
    for vendor, hidings in SALTED_VENDOR_ATTRIBUTES.items()
    for vendor_type, hiding in hidings.items()
    if hiding is Hiding.SALTED
]


def build(body: bytes = b"", code: int = Code.ACCESS_REQUEST, token: int = TOKEN) -> bytes:
    """Build a packet of RADIUS/1.1 from RFC 9765 §4.1's figure."""
    return bytes((code, 0)) + (20 + len(body)).to_bytes(2) + token.to_bytes(4) + RESERVED + body


def hide(value: bytes, salt: int = 1) -> bytes:
    return hide_salted(value, salt, EDGE, AUTHENTICATOR)


def hide_password(password: bytes) -> bytes:
    return hide_user_password(password, EDGE, AUTHENTICATOR)


def own_response(body: bytes, code: int = Code.ACCESS_ACCEPT) -> bytes:
    return sign_response(code, 7, AUTHENTICATOR, body, EDGE)


def own_request(body: bytes, code: int = Code.ACCESS_REQUEST) -> bytes:
    return sign_request(code, 7, AUTHENTICATOR, body, EDGE)


def arrive(octets: bytes, identifier: int = 9) -> Packet:
    """Take a request of RADIUS/1.1 in."""
    request = request_to_radius10(octets, identifier, AUTHENTICATOR, EDGE)
    assert isinstance(request, bytes), request
    return parse(request)


def arrive_back(octets: bytes) -> Packet:
    """Take an answer of RADIUS/1.1 in."""
    response = response_to_radius10(octets, 7, AUTHENTICATOR, EDGE)
    assert isinstance(response, bytes), response
    return parse(response)


def leave(octets: bytes) -> bytes:
    """Send our request; its attributes return."""
    request = request_to_radius11(octets, TOKEN, EDGE)
    assert isinstance(request, bytes), request
    assert request[:20] == build(code=octets[0])[:2] + len(request).to_bytes(2) + TOKEN.to_bytes(4) + RESERVED
    return request[20:]


def leave_back(octets: bytes) -> bytes:
    """Send our answer; its attributes return."""
    response = response_to_radius11(octets, TOKEN, AUTHENTICATOR, EDGE)
    assert isinstance(response, bytes), response
    assert response[:20] == build(code=octets[0])[:2] + len(response).to_bytes(2) + TOKEN.to_bytes(4) + RESERVED
    return response[20:]


def without_authenticator(packet: Packet) -> list[tuple[int, bytes]]:
    """List the attributes behind the Message-Authenticator, which has to be the first."""
    found = [(kind, value) for _, kind, value in attributes(packet)]
    assert found[0][0] == AttributeType.MESSAGE_AUTHENTICATOR
    return found[1:]


class TestRequestsThatCome:
    """RADIUS/1.1 to RADIUS/1.0 on the listening end."""

    def test_request_of_the_rfcs_figure(self) -> None:
        """Code, a reserved octet, Length, the Token, twelve reserved octets, attributes (RFC 9765 §4.1)."""
        octets = bytes.fromhex(
            "01 00 0026 deadbeef 000000000000000000000000"  # Access-Request of 38 octets
            "01 08 6240612e6263"  # User-Name "b@a.bc"
            "02 0a 686120202068 6121"  # User-Password "ha   ha!", as it is
        )
        assert read_token(octets) == TOKEN
        packet = arrive(octets)
        assert (packet.code, packet.identifier, packet.authenticator) == (1, 9, AUTHENTICATOR)
        (name_type, name), (password_type, hidden) = without_authenticator(packet)
        assert (name_type, name) == (1, b"b@a.bc")
        assert (password_type, len(hidden)) == (2, 16)
        assert reveal_user_password(hidden, EDGE, AUTHENTICATOR) == b"ha   ha!"

    @pytest.mark.parametrize("code", REQUESTS)
    def test_each_kind_is_signed(self, code: int) -> None:
        """What the edge hands on passes the checks of RADIUS/1.0, the strictest included."""
        octets = build(USER_NAME + build_attribute(79, b"\x02\x01\x00\x04"), code)
        assert (
            decide_request_authenticity(arrive(octets), EDGE, requires_message_authenticator=code not in COMPUTED)
            is None
        )

    def test_reserved_octets_are_ignored(self) -> None:
        """Reserved-1 and Reserved-2 are not looked at (RFC 9765 §4.1)."""
        octets = build(USER_NAME)
        strange = octets[:1] + b"\x7f" + octets[2:8] + b"\xff" * 12 + octets[20:]
        assert arrive(strange).octets == arrive(octets).octets

    @pytest.mark.parametrize(
        "found", [b"\x50\x02", build_raw(80, bytes(16)), build_raw(80, bytes(40)), build_raw(80, bytes(16)) * 3]
    )
    def test_message_authenticator_is_ignored(self, found: bytes) -> None:
        """Whatever its form and number, it is an invalid attribute and no reason to drop the packet (RFC 9765 §5.2)."""
        assert arrive(build(found + USER_NAME + found)).octets == arrive(build(USER_NAME)).octets

    def test_original_packet_code_is_ignored(self) -> None:
        """241.4 is not needed next to a Token; other extended attributes pass (RFC 9765 §5.5)."""
        other = build_raw(241, b"\x05abc") + build_raw(241, b"") + build_raw(245, b"\x04\x00abc")
        packet = arrive(build(USER_NAME + build_raw(241, b"\x04\0\0\0\1") + other))
        assert packet.octets == arrive(build(USER_NAME + other)).octets
        assert packet.octets.endswith(other)

    @pytest.mark.parametrize("size", [1, 15, 16, 17, 127, 128])
    def test_password_is_hidden(self, size: int) -> None:
        """1 to 128 octets of any value (RFC 9765 §5.1.1)."""
        password = (PASSWORD * 8)[: size - 1] + b"!"
        hidden = find(arrive(build(build_attribute(2, password))), 2)
        assert hidden is not None
        assert reveal_user_password(hidden, EDGE, AUTHENTICATOR) == password

    @pytest.mark.parametrize("size", [0, 129, 144, 253])
    def test_password_that_can_not_be_is_refused_with_an_answer(self, size: int) -> None:
        """It reaches the place where refusals are made, in a form that no password has."""
        packet = arrive(build(USER_NAME + build_raw(2, bytes(size))))
        assert find(packet, 2) == bytes(size)
        refused = rewrite_request(
            packet,
            identifier=1,
            authenticator=bytes(16),
            downstream=EDGE,
            upstream=KeyedSecret(b"home"),
            attribute_filter=build_filter(),
        )
        assert refused is RewriteRefusal.PASSWORD_MALFORMED

    @pytest.mark.parametrize("code", COMPUTED)
    def test_nothing_is_hidden_where_the_authenticator_is_computed(self, code: int) -> None:
        """A readable password does not go on as one: accounting and CoA have none (RFC 2866 §5.13)."""
        keys = build_vendor_attribute(311, 16, KEY) + build_raw(69, b"\1secret") + build_raw(2, b"secret")
        policy = build_vendor_attribute(311, 7, b"\0\0\0\1")
        packet = arrive(build(USER_NAME + keys + policy, code))
        assert packet.octets[20:] == USER_NAME + policy
        assert decide_request_authenticity(packet, EDGE, requires_message_authenticator=True) is None

    def test_key_in_a_request_is_hidden(self) -> None:
        """A request may hold hidden attributes too."""
        packet = arrive(build(build_vendor_attribute(VendorId.ARUBA, 44, KEY) + build_raw(69, b"\1secret")))
        hidden = find_vendor(packet, VendorId.ARUBA, 44)
        tunnel = find(packet, 69)
        assert hidden is not None
        assert tunnel is not None
        assert reveal_salted(hidden, EDGE, AUTHENTICATOR) == KEY
        assert (tunnel[0], reveal_salted(tunnel[1:], EDGE, AUTHENTICATOR)) == (1, b"secret")

    @pytest.mark.parametrize(
        "attribute",
        [
            build_raw(69, b""),
            build_raw(69, b"x" * 240),
            build_vendor_attribute(VendorId.ARUBA, 44, bytes(240)),
            build_vendor_attribute(VendorId.LANCOM, 19, b""),
            # Each key for itself could be hidden, but not both in one attribute.
            build_raw(26, (311).to_bytes(4) + 2 * (b"\x10\x7a" + bytes(120))),
        ],
    )
    def test_hidden_value_that_can_not_be_is_left_out_of_a_request(self, attribute: bytes) -> None:
        """It goes on neither readable nor cut."""
        assert arrive(build(attribute + USER_NAME)).octets == arrive(build(USER_NAME)).octets

    def test_value_of_a_vendor_without_its_layout_passes(self) -> None:
        """What can not be taken apart is octets (RFC 2865 §5.26)."""
        broken = build_raw(26, b"") + build_raw(26, b"\0\0\1") + build_raw(26, b"\0\0\1\x37\x10\xff" + KEY)
        assert arrive(build(broken)).octets.endswith(broken)

    def test_request_without_room_is_dropped(self) -> None:
        """A Message-Authenticator has to fit in; without room for it there is no such request in RADIUS/1.0."""
        largest = build_attribute(25, bytes(253)) * 15 + build_attribute(25, bytes(231))
        assert len(arrive(build(largest)).octets) == 4096
        full = build(largest + build_raw(25, b"x"))
        assert request_to_radius10(full, 1, AUTHENTICATOR, EDGE) is DropReason.CONVERTED_TOO_LARGE
        accounting = build(full[20:], Code.ACCOUNTING_REQUEST)
        assert isinstance(request_to_radius10(accounting, 1, AUTHENTICATOR, EDGE), bytes)

    def test_attributes_leave_room_for_one_more(self) -> None:
        """200 in all, with the one that RADIUS/1.0 adds."""
        assert len(arrive(build(b"\x19\x03x" * 199)).offsets) == 200
        found = request_to_radius10(build(b"\x19\x03x" * 200), 1, AUTHENTICATOR, EDGE)
        assert found is DropReason.TOO_MANY_ATTRIBUTES
        found = request_to_radius10(build(b"\x19\x03x" * 1300), 1, AUTHENTICATOR, EDGE)
        assert found is DropReason.TOO_MANY_ATTRIBUTES


class TestStructure:
    OCTETS = build(USER_NAME + build_attribute(2, b"secret") + build_vendor_attribute(311, 16, KEY))

    @pytest.mark.parametrize("size", range(len(OCTETS)))
    def test_every_truncation_is_refused(self, size: int) -> None:
        """A packet that ends early is none in either direction, and neither is one whose Length was cut with it."""
        cut = self.OCTETS[:size]
        expected = DropReason.TOO_SHORT if size < 20 else DropReason.LENGTH_FIELD
        assert request_to_radius10(cut, 1, AUTHENTICATOR, EDGE) is expected
        assert response_to_radius10(cut, 1, AUTHENTICATOR, EDGE) is expected
        assert request_to_radius11(cut, TOKEN, EDGE) is expected
        assert response_to_radius11(cut, TOKEN, AUTHENTICATOR, EDGE) is expected
        whole = {20, 20 + len(USER_NAME), 28 + len(USER_NAME)}
        if size >= 20 and size not in whole:
            told = cut[:2] + size.to_bytes(2) + cut[4:]
            assert request_to_radius10(told, 1, AUTHENTICATOR, EDGE) is DropReason.ATTRIBUTE_OVERRUN

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (b"\x00\x04ab", DropReason.ATTRIBUTE_TYPE_ZERO),
            (b"\x01\x00", DropReason.ATTRIBUTE_LENGTH),
            (b"\x01\x01ab", DropReason.ATTRIBUTE_LENGTH),
            (b"\x01\x05ab", DropReason.ATTRIBUTE_OVERRUN),
            (b"\x01\x04ab\x01", DropReason.ATTRIBUTE_OVERRUN),
            (b"\x50\x05ab", DropReason.ATTRIBUTE_OVERRUN),
            (b"\x19\xff" + bytes(253) + b"\0", DropReason.ATTRIBUTE_OVERRUN),
            (b"\x19\xff" + bytes(253) + (b"\x19\xff" + bytes(253)) * 16, DropReason.LENGTH_FIELD),
        ],
    )
    def test_broken_walk_is_refused(self, body: bytes, reason: DropReason) -> None:
        """The attributes fill the packet exactly, as in RADIUS/1.0 (RFC 2865 §5)."""
        assert request_to_radius10(build(body), 1, AUTHENTICATOR, EDGE) is reason
        assert response_to_radius10(build(body, Code.ACCESS_ACCEPT), 1, AUTHENTICATOR, EDGE) is reason

    @given(st.binary(max_size=300), st.sampled_from([1, 2, 4, 12, 52, 255]))
    def test_no_octets_raise(self, body: bytes, code: int) -> None:
        """Whatever comes is a packet or has a reason."""
        octets = build(body, code)
        for result in (
            request_to_radius10(octets, 1, AUTHENTICATOR, EDGE),
            response_to_radius10(octets, 1, AUTHENTICATOR, EDGE),
        ):
            assert isinstance(result, DropReason) or isinstance(parse_packet(result), Packet)
        for result in (
            request_to_radius11(octets, TOKEN, EDGE),
            response_to_radius11(octets, TOKEN, AUTHENTICATOR, EDGE),
        ):
            assert isinstance(result, DropReason) or len(result) == int.from_bytes(result[2:4])


class TestAnswersThatLeave:
    """RADIUS/1.0 to RADIUS/1.1 on the listening end."""

    def test_answer_of_the_rfcs_figure(self) -> None:
        """Keys and passwords stand there as they are, with the Token of the request (RFC 9765 §5.1.3 and §5.1.4)."""
        own = own_response(
            build_vendor_attribute(311, 16, hide(b"0123456789abcdef", 1))
            + build_vendor_attribute(311, 17, hide(b"fedcba9876543210", 2))
            + build_raw(69, b"\x05" + hide(b"secret", 3))
            + USER_NAME
        )
        assert (
            response_to_radius11(own, 7, AUTHENTICATOR, EDGE)
            == bytes.fromhex(
                "02 00 006b 00000007 000000000000000000000000"  # Access-Accept of 107 octets
                "1a 18 00000137 10 12 30313233343536373839616263646566"  # MS-MPPE-Send-Key
                "1a 18 00000137 11 12 66656463626139383736353433323130"  # MS-MPPE-Recv-Key
                "45 09 05 736563726574"  # Tunnel-Password: tag 5, "secret"
            )
            + USER_NAME
        )

    @pytest.mark.parametrize("code", RESPONSES)
    def test_message_authenticator_is_not_sent(self, code: int) -> None:
        """No packet of RADIUS/1.1 has one (RFC 9765 §5.2); nor has one Original-Packet-Code (§5.5)."""
        own = own_response(USER_NAME + build_raw(241, b"\x04\0\0\0\1"), code)
        assert own[20] == AttributeType.MESSAGE_AUTHENTICATOR
        assert leave_back(own) == USER_NAME

    @pytest.mark.parametrize(("tag", "sent"), [(0, 0), (1, 1), (0x1F, 0x1F), (0x20, 0), (0xFF, 0)])
    def test_tunnel_password_keeps_a_tag_that_is_one(self, tag: int, sent: int) -> None:
        """Above 0x1F the octet would begin the password (RFC 2868 §3.3), so that it is sent as no tag."""
        own = own_response(build_raw(69, bytes((tag,)) + hide(b"secret")))
        assert leave_back(own) == build_raw(69, bytes((sent,)) + b"secret")

    @pytest.mark.parametrize("size", [0, 1, 2, 3, 18, 20])
    def test_tunnel_password_of_impossible_length_drops_the_answer(self, size: int) -> None:
        """Its receiver would take another password (CVE-2009-3111's class)."""
        own = own_response(build_raw(69, bytes(size)))
        assert response_to_radius11(own, 1, AUTHENTICATOR, EDGE) is DropReason.SALTED_ATTRIBUTE_MALFORMED

    @pytest.mark.parametrize(
        ("attribute", "reason"),
        [
            (build_vendor_attribute(311, 16, bytes(17)), DropReason.MPPE_KEY_MALFORMED),
            (build_vendor_attribute(311, 12, bytes(17)), DropReason.MPPE_KEY_MALFORMED),
            (build_vendor_attribute(VendorId.LANCOM, 19, b""), DropReason.SALTED_ATTRIBUTE_MALFORMED),
            (build_vendor_attribute(VendorId.WIMAX, 5, b"\x80" + hide(KEY)), DropReason.SALTED_ATTRIBUTE_MALFORMED),
            (build_vendor_attribute(VendorId.WIMAX, 86, b"\x00\x03\x05abc"), DropReason.SALTED_ATTRIBUTE_MALFORMED),
            (build_vendor_attribute(VendorId.WIMAX, 87, b"\x00"), DropReason.SALTED_ATTRIBUTE_MALFORMED),
        ],
    )
    def test_key_that_can_not_be_drops_the_answer(self, attribute: bytes, reason: DropReason) -> None:
        """The radio link would get another key than the device (RFC 2548 §2.4.2)."""
        assert response_to_radius11(own_response(attribute), 1, AUTHENTICATOR, EDGE) is reason

    def test_ascend_secrets_do_not_leave(self) -> None:
        """Nothing says how they are hidden, so that they can not be opened either."""
        other = build_raw(26, VendorId.ASCEND.to_bytes(4) + b"\x01\x03x")
        both = build_raw(26, VendorId.ASCEND.to_bytes(4) + b"\xd6\x12" + bytes(16) + b"\x01\x03x")
        own = own_response(build_vendor_attribute(VendorId.ASCEND, 214, bytes(16)) + both)
        assert leave_back(own) == other


class TestRequestsThatLeave:
    """RADIUS/1.0 to RADIUS/1.1 on the dialling end."""

    def test_password_leaves_as_it_is(self) -> None:
        """No padding, no MD5 (RFC 9765 §5.1.1)."""
        own = own_request(USER_NAME + build_raw(2, hide_password(PASSWORD)) + build_raw(33, b"state"))
        assert leave(own) == USER_NAME + build_raw(2, PASSWORD) + build_raw(33, b"state")

    def test_empty_password_leaves_as_one_nul(self) -> None:
        """User-Password has one octet at least (RFC 9765 §5.1.1), and a NUL hides to the same octets as none."""
        hidden = hide_password(b"")
        assert leave(own_request(build_raw(2, hidden))) == b"\x02\x03\0"
        assert find(arrive(build(b"\x02\x03\0")), 2) == hidden

    def test_password_that_can_not_be_opened_is_left_out(self) -> None:
        """Nothing that this process makes has one."""
        assert leave(own_request(build_raw(2, bytes(17)) + USER_NAME)) == USER_NAME

    def test_chap_gets_its_challenge(self) -> None:
        """There is no authenticator for it to lean on (RFC 9765 §5.1.2)."""
        chap, challenge = build_raw(3, bytes(17)), build_raw(60, b"a challenge")
        assert leave(own_request(chap + USER_NAME)) == chap + USER_NAME + build_raw(60, AUTHENTICATOR)
        assert leave(own_request(chap + challenge)) == chap + challenge
        status = sign_request(Code.STATUS_SERVER, 0, AUTHENTICATOR, chap, EDGE)
        assert leave(status) == chap

    @pytest.mark.parametrize("code", COMPUTED)
    def test_accounting_leaves_without_hidden_values(self, code: int) -> None:
        """Nobody knows with which authenticator they would be hidden."""
        keys = build_vendor_attribute(311, 16, hide(KEY)) + build_raw(69, b"\1" + hide(KEY)) + build_raw(2, bytes(16))
        assert leave(own_request(USER_NAME + keys, code)) == USER_NAME

    def test_request_without_room_for_the_challenge_does_not_leave(self) -> None:
        """4,096 octets are the most here too."""
        body = build_raw(3, bytes(17)) + build_attribute(25, bytes(253)) * 15 + build_raw(25, bytes(212))
        own = sign_request(1, 1, AUTHENTICATOR, body, EDGE, with_message_authenticator=False)
        assert request_to_radius11(own, TOKEN, EDGE) == build(body + build_raw(60, AUTHENTICATOR))
        own = sign_request(1, 1, AUTHENTICATOR, body + b"\x19\x03x", EDGE, with_message_authenticator=False)
        assert request_to_radius11(own, TOKEN, EDGE) is DropReason.CONVERTED_TOO_LARGE


class TestAnswersThatCome:
    """RADIUS/1.1 to RADIUS/1.0 on the dialling end."""

    @pytest.mark.parametrize("code", RESPONSES)
    def test_each_kind_is_signed(self, code: int) -> None:
        """What the edge hands on is believed as the answer to that request, by the strictest peer's settings."""
        packet = arrive_back(build(USER_NAME + build_attribute(79, b"\3\1\0\4"), code))
        assert (packet.code, packet.identifier) == (code, 7)
        assert decide_response_authenticity(packet, EDGE, AUTHENTICATOR, requires_message_authenticator=True) is None
        other = bytes(16)
        assert decide_response_authenticity(packet, EDGE, other, requires_message_authenticator=True) is not None
        assert verify_message_authenticator(packet, EDGE, AUTHENTICATOR) is Verdict.VALID

    def test_keys_are_hidden(self) -> None:
        """Each with a salt of its own (RFC 2548 §2.4.2)."""
        packet = arrive_back(build(build_vendor_attribute(311, 16, KEY) + build_vendor_attribute(311, 17, KEY), 2))
        send, receive = find_vendor(packet, 311, 16), find_vendor(packet, 311, 17)
        assert send is not None
        assert receive is not None
        assert reveal_salted(send, EDGE, AUTHENTICATOR) == reveal_salted(receive, EDGE, AUTHENTICATOR) == KEY
        assert send[:2] != receive[:2]

    @pytest.mark.parametrize(
        ("value", "tag", "password"),
        [(b"\1secret", 1, b"secret"), (b"\0secret", 0, b"secret"), (b"secret", 0, b"secret"), (b"\x1f", 0x1F, b"")],
    )
    def test_tunnel_password_may_have_no_tag(self, value: bytes, tag: int, password: bytes) -> None:
        """As Tunnel-Client-Endpoint: an octet above 0x1F is the first of the string (RFC 2868 §3.3)."""
        hidden = find(arrive_back(build(build_raw(69, value), 2)), 69)
        assert hidden is not None
        assert (hidden[0], reveal_salted(hidden[1:], EDGE, AUTHENTICATOR)) == (tag, password)

    @pytest.mark.parametrize(
        ("attribute", "reason"),
        [
            (build_raw(69, b""), DropReason.SALTED_ATTRIBUTE_MALFORMED),
            (build_raw(69, b"\1" + bytes(240)), DropReason.SALTED_ATTRIBUTE_MALFORMED),
            (build_vendor_attribute(311, 16, bytes(240)), DropReason.MPPE_KEY_MALFORMED),
            (build_vendor_attribute(311, 12, b""), DropReason.MPPE_KEY_MALFORMED),
            (build_vendor_attribute(311, 12, bytes(129)), DropReason.MPPE_KEY_MALFORMED),
            (build_raw(26, (311).to_bytes(4) + 2 * (b"\x10\x7a" + bytes(120))), DropReason.MPPE_KEY_MALFORMED),
            (
                build_vendor_attribute(VendorId.WIMAX, 86, b"\x00\x03\xf2" + bytes(240)),
                DropReason.SALTED_ATTRIBUTE_MALFORMED,
            ),
        ],
    )
    def test_key_that_does_not_fit_drops_the_answer(self, attribute: bytes, reason: DropReason) -> None:
        """It is never cut, and never handed on readable."""
        assert response_to_radius10(build(attribute, 2), 1, AUTHENTICATOR, EDGE) is reason

    def test_answer_without_room_is_dropped(self) -> None:
        """There is no such answer in RADIUS/1.0."""
        full = build_attribute(25, bytes(253)) * 15 + build_attribute(25, bytes(240))
        assert response_to_radius10(build(full, 2), 1, AUTHENTICATOR, EDGE) is DropReason.CONVERTED_TOO_LARGE
        assert isinstance(response_to_radius10(build(full[: 255 * 15], 2), 1, AUTHENTICATOR, EDGE), bytes)


def build_hidden(vendor: int, vendor_type: int, value: bytes) -> bytes:
    """Build a vendor attribute that is hidden as ours are; WiMAX has an octet of flags before the value."""
    flags = b"\0" if vendor == VendorId.WIMAX else b""
    return build_vendor_attribute(vendor, vendor_type, flags + value)


class TestRoundTrip:
    """RADIUS/1.0 to RADIUS/1.1 and back is what it was."""

    OTHER = KeyedSecret(b"another process")
    OTHER_AUTHENTICATOR = bytes(range(0xE0, 0xF0))

    def carry_answer(self, own: bytes) -> Packet:
        """Take an answer from one process to another."""
        octets = build(leave_back(own), own[0])
        response = response_to_radius10(octets, 3, self.OTHER_AUTHENTICATOR, self.OTHER)
        assert isinstance(response, bytes), response
        return parse(response)

    @pytest.mark.parametrize(("vendor", "vendor_type"), SALTED)
    @pytest.mark.parametrize("key", [b"", b"k", KEY, bytes(222), b"\0" * 16])
    def test_each_attribute_of_the_table_arrives(self, vendor: int, vendor_type: int, key: bytes) -> None:
        """Whatever its length and its octets, NULs at the end included."""
        own = own_response(build_hidden(vendor, vendor_type, hide(key)))
        on_the_way = find_all(parse(sign_response(2, 1, bytes(16), leave_back(own), EDGE)), 26)
        assert on_the_way == [build_hidden(vendor, vendor_type, key)[2:]]
        hidden = find_vendor(self.carry_answer(own), vendor, vendor_type)
        assert hidden is not None
        assert reveal_salted(hidden, self.OTHER, self.OTHER_AUTHENTICATOR) == key

    def test_keys_of_ms_chap_version_1_arrive(self) -> None:
        """They are 24 octets, even where the last are NULs (RFC 2548 §2.4.1)."""
        for keys in (bytes(range(24)), bytes(range(1, 9)) + bytes(16), bytes(24)):
            own = own_response(build_vendor_attribute(311, 12, hide_password(keys)))
            assert leave_back(own) == build_vendor_attribute(311, 12, keys)
            hidden = find_vendor(self.carry_answer(own), 311, 12)
            assert hidden is not None
            assert len(hidden) == 32
            revealed = reveal_user_password(hidden, self.OTHER, self.OTHER_AUTHENTICATOR)
            assert revealed == keys.rstrip(b"\0")

    def test_tagged_vendor_attribute_arrives(self) -> None:
        """Lancom's passwords have a tag before them."""
        own = own_response(build_vendor_attribute(VendorId.LANCOM, 20, b"\x07" + hide(b"secret")))
        assert leave_back(own) == build_vendor_attribute(VendorId.LANCOM, 20, b"\x07secret")
        hidden = find_vendor(self.carry_answer(own), VendorId.LANCOM, 20)
        assert hidden is not None
        assert hidden[0] == 7
        assert reveal_salted(hidden[1:], self.OTHER, self.OTHER_AUTHENTICATOR) == b"secret"

    def test_nested_key_arrives(self) -> None:
        """WiMAX's DHCP parameters hold a key among clear attributes."""
        hidden, clear = hide(KEY), b"\x01\x06\x7f\0\0\1"
        own = own_response(build_vendor_attribute(VendorId.WIMAX, 87, b"\0" + clear + b"\x03\x34" + hidden))
        assert leave_back(own) == build_vendor_attribute(VendorId.WIMAX, 87, b"\0" + clear + b"\x03\x22" + KEY)
        value = find_vendor(self.carry_answer(own), VendorId.WIMAX, 87)
        assert value is not None
        assert value[: len(clear) + 2] == clear + b"\x03\x34"
        assert reveal_salted(value[len(clear) + 2 :], self.OTHER, self.OTHER_AUTHENTICATOR) == KEY

    def test_two_keys_in_one_attribute_arrive(self) -> None:
        """Some servers put both MPPE keys into one Vendor-Specific, and more beside them."""
        policy = b"\x07\x06\0\0\0\1"
        both = b"\x10\x34" + hide(KEY, 1) + policy + b"\x11\x34" + hide(KEY[::-1], 2)
        own = own_response(build_raw(26, (311).to_bytes(4) + both))
        assert leave_back(own) == build_raw(
            26, (311).to_bytes(4) + b"\x10\x22" + KEY + policy + b"\x11\x22" + KEY[::-1]
        )
        packet = self.carry_answer(own)
        assert len(packet.vendor_specifics) == 1
        send, receive = find_vendor(packet, 311, 16), find_vendor(packet, 311, 17)
        assert send is not None
        assert receive is not None
        assert reveal_salted(send, self.OTHER, self.OTHER_AUTHENTICATOR) == KEY
        assert reveal_salted(receive, self.OTHER, self.OTHER_AUTHENTICATOR) == KEY[::-1]
        assert find_vendor(packet, 311, 7) == policy[2:]

    @given(
        st.lists(
            st.tuples(st.integers(1, 255).filter(lambda kind: kind not in (2, 26, 69, 80, 241)), st.binary(max_size=40))
            | st.tuples(st.just(2), st.binary(min_size=1, max_size=128).filter(lambda each: each[-1] != 0))
            | st.tuples(st.just(69), st.tuples(st.integers(0, 0x1F), st.binary(max_size=239)))
            | st.tuples(st.just(26), st.tuples(st.sampled_from(SALTED), st.binary(max_size=222))),
            max_size=12,
        ),
        st.sampled_from([(1, True), (12, True), (2, False), (11, False), (3, False), (5, False), (45, False)]),
    )
    def test_every_attribute_arrives(self, content: list[tuple[int, object]], kind: tuple[int, bool]) -> None:
        """In order, octet for octet, and each hidden value as it was meant."""
        code, is_request = kind
        body = b"".join(build_raw(*self.hide_one(*each, salt)) for salt, each in enumerate(content))
        if is_request:
            octets = build(leave(own_request(body, code)), code)
            carried = request_to_radius10(octets, 3, self.OTHER_AUTHENTICATOR, self.OTHER)
        else:
            octets = build(leave_back(own_response(body, code)), code)
            carried = response_to_radius10(octets, 3, self.OTHER_AUTHENTICATOR, self.OTHER)
        assert isinstance(carried, bytes), carried
        got = without_authenticator(parse(carried))
        if code == Code.ACCESS_REQUEST and {each for each, _ in content} & {3, 60} == {3}:
            assert got.pop() == (60, AUTHENTICATOR)
        assert [each for each, _ in got] == [each for each, _ in content]
        assert [self.reveal_one(*each) for each in got] == content

    @staticmethod
    def hide_one(kind: int, content: object, salt: int) -> tuple[int, bytes]:
        match kind, content:
            case 2, bytes():
                return 2, hide_password(content)
            case 69, (int() as tag, bytes() as password):
                return 69, bytes((tag,)) + hide(password, salt)
            case 26, ((int() as vendor, int() as vendor_type), bytes() as key):
                return 26, build_hidden(vendor, vendor_type, hide(key, salt))[2:]
            case _, bytes():
                return kind, content
            case _:
                raise AssertionError(kind)

    def reveal_one(self, kind: int, value: bytes) -> tuple[int, object]:
        if kind == 2:
            return kind, reveal_user_password(value, self.OTHER, self.OTHER_AUTHENTICATOR)
        if kind == 69:
            return kind, (value[0], reveal_salted(value[1:], self.OTHER, self.OTHER_AUTHENTICATOR))
        if kind == 26:
            found = parse_vendor_attributes(value)
            assert found is not None
            ((vendor_type, _, start, end, _),) = found
            key = reveal_salted(value[start:end], self.OTHER, self.OTHER_AUTHENTICATOR)
            return kind, ((int.from_bytes(value[:4]), vendor_type), key)
        return kind, value

    @given(st.lists(st.tuples(st.sampled_from([2, 18, 26, 69, 79]), st.binary(max_size=60)), max_size=4))
    def test_it_is_what_the_next_hop_would_get(self, content: list[tuple[int, bytes]]) -> None:
        """An answer is dropped here exactly where it would be dropped between two hops of RADIUS/1.0."""
        rehiding = Rehiding(EDGE, AUTHENTICATOR, self.OTHER, self.OTHER_AUTHENTICATOR, 1)
        moved = [
            rewrite_tunnel_password(value, rehiding)
            if kind == 69
            else (rewrite_vendor_attribute(value, rehiding) or b"")
            if kind == 26
            else value
            for kind, value in content
        ]
        drops = any(each is None or isinstance(each, DropReason) for each in moved)
        response = response_to_radius11(own_response(join(content)), TOKEN, AUTHENTICATOR, EDGE)
        assert isinstance(response, DropReason) == drops
