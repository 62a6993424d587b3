"""Tests of the edits: what changes, and that nothing else does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius.errors import DropReason
from radius.wire.attributes import find, find_all
from radius.wire.authenticators import (
    decide_request_authenticity,
    decide_response_authenticity,
    verify_request_authenticator,
    verify_response,
)
from radius.wire.codes import AttributeType, Code, VendorId
from radius.wire.hiding import hide_salted, hide_user_password, reveal_salted, reveal_user_password
from radius.wire.packet import Packet, attributes, build_attribute, build_vendor_attribute, parse_packet
from radius.wire.rewrite import (
    AttributeFilter,
    RewriteRefusal,
    build_filter,
    build_reply,
    collect_proxy_states,
    list_removed,
    rewrite_request,
    rewrite_response,
)
from tests.radius.wire.packets import (
    CLIENT,
    CLIENT_AUTHENTICATOR,
    HOME,
    KEY,
    OWN_AUTHENTICATOR,
    USER_NAME,
    build_eap,
    build_key,
    build_raw,
    build_request,
    build_response,
    join,
    near_hidden,
    parse,
    raw_attributes,
)

OPEN = build_filter()
OWN_STATE = b"own token"
TTL = VendorId.RADSEC_PROXY_TTL
HIDDEN_TYPES = frozenset((2, 3, 26, 69))  # what a rewrite has a reason to change or add to


def forward(packet: Packet, attribute_filter: AttributeFilter = OPEN, **edits: bytes) -> Packet:
    """Rewrite a request and parse what the home server gets."""
    octets = refuse_request(packet, attribute_filter, **edits)
    assert isinstance(octets, bytes)
    return parse(octets)


def refuse_request(packet: Packet, attribute_filter: AttributeFilter = OPEN, **edits: bytes) -> object:
    return rewrite_request(
        packet,
        identifier=99,
        authenticator=OWN_AUTHENTICATOR,
        downstream=CLIENT,
        upstream=HOME,
        attribute_filter=attribute_filter,
        **edits,
    )


def relay(packet: Packet, attribute_filter: AttributeFilter = OPEN, **edits: bytes) -> Packet:
    """Rewrite an answer and parse what the client gets."""
    octets = refuse_response(packet, attribute_filter, **edits)
    assert isinstance(octets, bytes)
    return parse(octets)


def refuse_response(packet: Packet, attribute_filter: AttributeFilter = OPEN, **edits: bytes) -> object:
    return rewrite_response(
        packet,
        identifier=7,
        request_authenticator=CLIENT_AUTHENTICATOR,
        own_request_authenticator=OWN_AUTHENTICATOR,
        downstream=CLIENT,
        upstream=HOME,
        attribute_filter=attribute_filter,
        **edits,
    )


def list_attributes(packet: Packet) -> list[tuple[int, bytes]]:
    """List all but the Message-Authenticator."""
    return [(kind, value) for _, kind, value in attributes(packet) if kind != AttributeType.MESSAGE_AUTHENTICATOR]


class TestRequest:
    def test_header_is_that_of_the_next_hop(self) -> None:
        """Code stays; Identifier and Request Authenticator are ours; the home server believes it."""
        packet = forward(build_request(USER_NAME + build_eap()))
        assert packet.code == Code.ACCESS_REQUEST
        assert packet.identifier == 99
        assert packet.authenticator == OWN_AUTHENTICATOR
        assert packet.types[0] == AttributeType.MESSAGE_AUTHENTICATOR
        assert decide_request_authenticity(packet, HOME, requires_message_authenticator=True) is None

    @given(raw_attributes)
    def test_other_attributes_leave_octet_for_octet(self, built: list[tuple[int, bytes]]) -> None:
        """Unknown attributes, empty ones and their order are the home server's to judge, not ours (RFC 2865 §2.3)."""
        built = [(kind, value) for kind, value in built if kind not in HIDDEN_TYPES]
        assert list_attributes(forward(build_request(join(built)))) == built

    @given(raw_attributes, st.sets(st.integers(1, 255)))
    def test_only_what_the_filter_names_is_removed(self, built: list[tuple[int, bytes]], removed: set[int]) -> None:
        """Removed types go, all others stay in order, Proxy-State always."""
        built = [(kind, value) for kind, value in built if kind not in HIDDEN_TYPES]
        request = build_request(join(built))
        stays = [(kind, value) for kind, value in built if kind not in removed or kind == AttributeType.PROXY_STATE]
        attribute_filter = build_filter(removed=removed)
        assert list_attributes(forward(request, attribute_filter)) == stays
        assert len(list_removed(request, attribute_filter)) == len(built) - len(stays)

    def test_kept_types_are_all_that_stays(self) -> None:
        """A filter may name what passes instead."""
        request = build_request(USER_NAME + build_attribute(25, b"class") + build_attribute(33, b"state"))
        attribute_filter = build_filter(kept=(1,))
        assert list_attributes(forward(request, attribute_filter)) == [
            (1, b"anonymous@boekenburg.example"),
            (33, b"state"),
        ]
        assert list_removed(request, attribute_filter) == b"\x19"

    def test_appended_attributes_and_our_proxy_state_come_last(self) -> None:
        """Operator-Name is added, and our Proxy-State after all others (RFC 2865 §5.33)."""
        request = build_request(build_attribute(33, b"theirs") + USER_NAME)
        packet = forward(request, appended=build_attribute(126, b"1lib.example"), proxy_state=OWN_STATE)
        assert list_attributes(packet)[-2:] == [(126, b"1lib.example"), (33, OWN_STATE)]
        assert find_all(packet, 33) == [b"theirs", OWN_STATE]

    def test_message_authenticator_in_the_middle_is_replaced(self) -> None:
        """The client's Message-Authenticator is taken out wherever it stands; ours goes first."""
        body = USER_NAME + build_raw(80, bytes(16)) + build_attribute(24, b"s")
        request = build_request(body, with_message_authenticator=False)
        packet = forward(request)
        assert packet.types == bytes((80, 1, 24))

    @pytest.mark.parametrize("password", [b"", b"short", b"p" * 16, b"\0in\0side", b"\xff" * 128])
    def test_password_is_hidden_for_the_home_server(self, password: bytes) -> None:
        """The home server reveals what the user typed (RFC 2865 §5.2)."""
        hidden = hide_user_password(password, CLIENT, CLIENT_AUTHENTICATOR)
        packet = forward(build_request(USER_NAME + build_raw(2, hidden)))
        assert reveal_user_password(packet.value_of(2), HOME, OWN_AUTHENTICATOR) == password
        assert packet.types == bytes((80, 1, 2))

    @pytest.mark.parametrize("size", [0, 15, 17, 129, 144, 253])
    def test_password_of_impossible_length_is_refused(self, size: int) -> None:
        """User-Password has 16, 32, … 128 octets (RFC 2865 §5.2)."""
        assert refuse_request(build_request(build_raw(2, bytes(size)))) is RewriteRefusal.PASSWORD_MALFORMED

    def test_chap_gets_its_challenge(self) -> None:
        """CHAP-Password leans on the old Request Authenticator, which becomes CHAP-Challenge (RFC 2865 §2.3)."""
        packet = forward(build_request(build_raw(3, bytes(17))))
        assert packet.value_of(AttributeType.CHAP_CHALLENGE) == CLIENT_AUTHENTICATOR

    def test_chap_keeps_its_challenge(self) -> None:
        """A CHAP-Challenge that is there already is the one that counts."""
        packet = forward(build_request(build_raw(3, bytes(17)) + build_raw(60, b"challenge")))
        assert find_all(packet, AttributeType.CHAP_CHALLENGE) == [b"challenge"]

    def test_chap_that_does_not_leave_needs_no_challenge(self) -> None:
        """Where the filter takes CHAP-Password out, nothing is put in its place."""
        assert forward(build_request(build_raw(3, bytes(17))), build_filter(removed=(3,))).types == b"\x50"

    def test_salted_attributes_are_moved(self) -> None:
        """A salted attribute in a request is hidden with that request's authenticator, and moves with it."""
        hidden = hide_salted(KEY, 1, CLIENT, CLIENT_AUTHENTICATOR)
        packet = forward(build_request(build_vendor_attribute(14823, 44, hidden) + build_raw(69, b"\1" + hidden)))
        assert reveal_salted(packet.value_of(26)[6:], HOME, OWN_AUTHENTICATOR) == KEY
        assert reveal_salted(packet.value_of(69)[1:], HOME, OWN_AUTHENTICATOR) == KEY

    def test_salted_attributes_of_impossible_length_stay(self) -> None:
        """In a request they are for the home server to judge."""
        request = build_request(
            build_vendor_attribute(14823, 44, b"") + build_vendor_attribute(311, 16, bytes(20)) + build_raw(69, b"\0")
        )
        assert list_attributes(forward(request)) == list_attributes(request)

    @pytest.mark.parametrize("code", [Code.ACCOUNTING_REQUEST, Code.COA_REQUEST, Code.DISCONNECT_REQUEST])
    def test_computed_authenticator_is_computed_anew(self, code: Code) -> None:
        """Accounting and CoA prove themselves to the next hop; nothing is hidden there (RFC 2866 §3, RFC 5176 §2.3)."""
        body = USER_NAME + build_raw(2, bytes(16)) + build_key(311, 16) + build_raw(3, b"x")
        for with_message_authenticator in (True, False):
            request = build_request(body, code, with_message_authenticator=with_message_authenticator)
            packet = forward(request)
            assert verify_request_authenticator(packet, HOME)
            assert list_attributes(packet) == list_attributes(request)
            assert bool(packet.message_authenticator) == with_message_authenticator
            assert decide_request_authenticity(packet, HOME, requires_message_authenticator=True) is None

    def test_request_that_grows_too_large_is_refused(self) -> None:
        """More than 4096 octets can not be sent (RFC 2865 §3)."""
        request = build_request(build_raw(25, bytes(253)) * 15 + build_raw(25, bytes(210)))
        assert isinstance(forward(request), Packet)
        assert refuse_request(request, proxy_state=bytes(20)) is RewriteRefusal.TOO_LARGE


class TestHops:
    def test_counter_is_counted_down(self) -> None:
        """The hop counter of radsecproxy loses one, whatever the filter says of its vendor."""
        request = build_request(USER_NAME + build_vendor_attribute(TTL, 1, (5).to_bytes(4)))
        packet = forward(request, build_filter(vendors={}))
        assert packet.value_of(26)[-4:] == (4).to_bytes(4)

    @pytest.mark.parametrize("hops", [0, 1])
    def test_counter_at_its_end_drops_the_packet(self, hops: int) -> None:
        """A packet that has been too far goes no farther."""
        attribute = build_vendor_attribute(TTL, 1, hops.to_bytes(4))
        assert refuse_request(build_request(attribute)) is DropReason.TTL_EXPIRED
        assert refuse_response(build_response(attribute)) is DropReason.TTL_EXPIRED

    def test_other_shapes_are_no_counter(self) -> None:
        """A value of another length is that vendor's business."""
        attribute = build_vendor_attribute(TTL, 1, b"\0\0\0\0\0")
        assert list_attributes(forward(build_request(attribute)))[0][1] == attribute[2:]


class TestFilter:
    def test_vendors_that_are_not_named_go(self) -> None:
        """A list of vendors lets those through, and of a vendor only the types that it names."""
        body = build_vendor_attribute(9, 1, b"shell:priv") + build_vendor_attribute(14823, 1, b"role")
        attribute_filter = build_filter(vendors={VendorId.CISCO: None, VendorId.MICROSOFT: (16, 17)})
        assert list_attributes(relay(build_response(body), attribute_filter)) == [(26, b"\0\0\0\x09\x01\x0cshell:priv")]
        policy = build_vendor_attribute(311, 7, b"\0\0\0\1")
        assert list_attributes(relay(build_response(policy + build_key(311, 16)), attribute_filter)) != []
        assert list_attributes(relay(build_response(policy), attribute_filter)) == []
        assert list_attributes(forward(build_request(body), attribute_filter)) == [
            (26, b"\0\0\0\x09\x01\x0cshell:priv")
        ]

    @pytest.mark.parametrize(("seconds", "passes"), [(0, False), (1, True), (28800, True), (28801, False)])
    def test_integers_out_of_bounds_go(self, seconds: int, passes: bool) -> None:  # noqa: FBT001 - a table's column
        """Session-Timeout passes within its bounds."""
        attribute_filter = build_filter(bounds={AttributeType.SESSION_TIMEOUT: (1, 28800)})
        body = USER_NAME + build_attribute(27, seconds.to_bytes(4))
        assert bool(relay(build_response(body), attribute_filter).offset_of(27)) == passes
        assert bool(forward(build_request(body), attribute_filter).offset_of(27)) == passes

    @pytest.mark.parametrize("value", [b"", b"abc", b"\0\0\0\0\1"])
    def test_bounded_attribute_that_is_no_integer_goes(self, value: bytes) -> None:
        """Octets that are no integer are in no bounds."""
        attribute_filter = build_filter(bounds={AttributeType.SESSION_TIMEOUT: (1, 28800)})
        assert not relay(build_response(build_raw(27, value)), attribute_filter).offset_of(27)

    def test_vendor_specific_can_be_removed_whole(self) -> None:
        """Without Vendor-Specific among the kept types no vendor passes."""
        assert relay(build_response(build_key(311, 16)), build_filter(kept=(1,))).types == b"\x50"


class TestResponse:
    def test_header_is_that_of_the_client(self) -> None:
        """Identifier is the client's, and the client believes the answer to its own request."""
        packet = relay(build_response(USER_NAME + build_eap()))
        assert packet.code == Code.ACCESS_ACCEPT
        assert packet.identifier == 7
        assert packet.types[0] == AttributeType.MESSAGE_AUTHENTICATOR
        assert (
            decide_response_authenticity(packet, CLIENT, CLIENT_AUTHENTICATOR, requires_message_authenticator=True)
            is None
        )

    @given(raw_attributes)
    def test_other_attributes_arrive_octet_for_octet(self, built: list[tuple[int, bytes]]) -> None:
        """State, Class and all that nobody knows arrive unchanged and in order (RFC 2865 §2.3)."""
        built = [(kind, value) for kind, value in built if kind not in HIDDEN_TYPES | {18, 33}]
        assert list_attributes(relay(build_response(join(built)))) == built

    def test_keys_are_hidden_for_the_client(self) -> None:
        """Both MPPE keys arrive, each with its own salt (RFC 2548 §2.4.2)."""
        packet = relay(build_response(USER_NAME + build_key(311, 16) + build_key(311, 17, KEY[::-1], 2)))
        send, receive = find_all(packet, 26)
        assert reveal_salted(send[6:], CLIENT, CLIENT_AUTHENTICATOR) == KEY
        assert reveal_salted(receive[6:], CLIENT, CLIENT_AUTHENTICATOR) == KEY[::-1]
        assert send[6:8] != receive[6:8]

    def test_every_tunnel_password_is_hidden_for_the_client(self) -> None:
        """All instances are moved, not only the first."""
        hidden = build_key(311, 16)[8:]
        packet = relay(build_response(build_raw(69, b"\1" + hidden) + USER_NAME + build_raw(69, b"\2" + hidden)))
        first, second = find_all(packet, 69)
        assert (first[0], second[0]) == (1, 2)
        assert reveal_salted(first[1:], CLIENT, CLIENT_AUTHENTICATOR) == KEY
        assert reveal_salted(second[1:], CLIENT, CLIENT_AUTHENTICATOR) == KEY

    @pytest.mark.parametrize(
        ("attribute", "reason"),
        [
            (build_vendor_attribute(311, 16, bytes(33)), DropReason.MPPE_KEY_MALFORMED),
            (build_vendor_attribute(14823, 44, bytes(3)), DropReason.SALTED_ATTRIBUTE_MALFORMED),
            (build_raw(69, bytes(5)), DropReason.SALTED_ATTRIBUTE_MALFORMED),
        ],
    )
    def test_malformed_key_drops_the_answer(self, attribute: bytes, reason: DropReason) -> None:
        """An answer whose key can not be moved is not relayed."""
        assert refuse_response(build_response(USER_NAME + attribute)) is reason

    def test_reply_message_goes_next_to_eap(self) -> None:
        """Reply-Message and EAP-Message do not go together (RFC 3579 §2.6.5)."""
        text = build_attribute(18, b"welcome")
        assert relay(build_response(text + build_eap() + text)).types == bytes((80, 79))
        assert relay(build_response(text)).types == bytes((80, 18))

    def test_accounting_response_has_no_message_authenticator(self) -> None:
        """An Accounting-Response proves itself by its authenticator (RFC 2866 §3)."""
        packet = relay(build_response(USER_NAME, Code.ACCOUNTING_RESPONSE))
        assert packet.types == b"\x01"
        assert verify_response(packet, CLIENT, CLIENT_AUTHENTICATOR)

    def test_appended_attributes_come_last(self) -> None:
        """The visited library's own VLAN is added."""
        vlan = build_attribute(81, b"40")
        assert list_attributes(relay(build_response(USER_NAME), appended=vlan))[-1] == (81, b"40")

    def test_answer_that_grows_too_large_is_refused(self) -> None:
        """More than 4096 octets can not be sent (RFC 2865 §3)."""
        response = build_response(build_raw(25, bytes(253)) * 15 + build_raw(25, bytes(210)))
        assert refuse_response(response, appended=build_attribute(81, bytes(30))) is RewriteRefusal.TOO_LARGE


class TestProxyStates:
    A = build_raw(33, b"a")
    B = build_raw(33, b"")
    OWN = build_raw(33, OWN_STATE)

    def test_ours_is_taken_out(self) -> None:
        """Exactly our own, the last one, is removed (RFC 2865 §5.33)."""
        response = build_response(self.A + USER_NAME + self.B + self.OWN)
        packet = relay(response, proxy_states=self.A + self.B, proxy_state=OWN_STATE)
        assert packet.types == bytes((80, 33, 1, 33))
        assert collect_proxy_states(packet) == self.A + self.B

    def test_lost_ones_are_put_back(self) -> None:
        """A home server that returns ours only has the client's put back (RFC 2865 §2.3)."""
        packet = relay(build_response(self.OWN + USER_NAME), proxy_states=self.A + self.B, proxy_state=OWN_STATE)
        assert collect_proxy_states(packet) == self.A + self.B

    def test_without_an_own_one_the_clients_are_kept_or_put_back(self) -> None:
        """Where we add none, the client's still have to be right."""
        states = self.A + self.B
        for body in (states + USER_NAME, USER_NAME):
            assert collect_proxy_states(relay(build_response(body), proxy_states=states)) == states

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            USER_NAME,
            A + B,
            OWN + A + B,
            A + OWN + B,
            A + B + OWN + OWN,
            B + A + OWN,
            A + OWN,
            A + B + A + OWN,
            A + B + build_raw(33, OWN_STATE + b"x"),
            A + B + build_raw(33, OWN_STATE[:-1]),
            A + B + build_raw(33, b""),
        ],
    )
    def test_altered_ones_drop_the_answer(self, body: bytes) -> None:
        """Missing, moved, doubled, added or changed Proxy-States may be an attack (CVE-2024-3596)."""
        response = build_response(body)
        assert (
            refuse_response(response, proxy_states=self.A + self.B, proxy_state=OWN_STATE)
            is DropReason.PROXY_STATE_ALTERED
        )

    def test_unasked_one_drops_the_answer(self) -> None:
        """A Proxy-State that nobody sent is not relayed."""
        assert refuse_response(build_response(self.A)) is DropReason.PROXY_STATE_ALTERED

    def test_collecting_keeps_order_and_empty_ones(self) -> None:
        """All are collected as they came, those of two octets too."""
        assert collect_proxy_states(build_request(self.B + USER_NAME + self.A)) == self.B + self.A
        assert collect_proxy_states(build_request()) == b""


class TestReply:
    @pytest.mark.parametrize("code", [Code.ACCESS_REJECT, Code.ACCESS_ACCEPT, Code.COA_NAK])
    def test_own_answer_is_believed_and_echoes_proxy_states(self, code: Code) -> None:
        """Our own answer begins with Message-Authenticator and has the request's Proxy-States (RFC 2865 §5.33)."""
        request = build_request(build_raw(33, b"a") + USER_NAME + build_raw(33, b""))
        octets = build_reply(code, request, CLIENT, build_attribute(101, (502).to_bytes(4)))
        assert isinstance(octets, bytes)
        packet = parse(octets)
        assert packet.types == bytes((80, 101, 33, 33))
        assert packet.identifier == request.identifier
        assert collect_proxy_states(packet) == collect_proxy_states(request)
        assert verify_response(packet, CLIENT, request.authenticator)

    def test_message_authenticator_can_be_left_out(self) -> None:
        """An Accounting-Response goes without."""
        octets = build_reply(Code.ACCOUNTING_RESPONSE, build_request(), CLIENT, with_message_authenticator=False)
        assert isinstance(octets, bytes)
        assert len(octets) == 20

    def test_request_full_of_proxy_state_has_no_answer(self) -> None:
        """An answer that could not hold the Proxy-States is not built, and nothing is raised."""
        body = build_raw(33, bytes(253)) * 15 + build_raw(33, bytes(249))
        request = build_request(body, with_message_authenticator=False)
        assert build_reply(Code.ACCESS_REJECT, request, CLIENT) is RewriteRefusal.TOO_LARGE


class TestAnything:
    @staticmethod
    def check(octets: bytes, attribute_filter: AttributeFilter) -> None:
        size = 20 + len(octets)
        packet = parse_packet(bytes((1, 1)) + size.to_bytes(2) + bytes(16) + octets)
        if isinstance(packet, DropReason):
            return
        for result in (refuse_request(packet, attribute_filter), refuse_response(packet, attribute_filter)):
            assert isinstance(result, DropReason | RewriteRefusal) or (
                isinstance(result, bytes) and isinstance(parse_packet(result), Packet)
            )

    @given(st.binary(max_size=300))
    def test_no_attributes_crash_the_rewrites(self, octets: bytes) -> None:
        """Whatever parses is rewritten to a packet, or refused with a reason, in both directions."""
        self.check(octets, OPEN)

    @given(near_hidden)
    def test_nothing_near_a_hidden_attribute_crashes_the_rewrites(self, built: list[tuple[int, bytes]]) -> None:
        """Vendor values that are nearly keys are moved, kept, taken out or refused, with and without a filter."""
        for attribute_filter in (OPEN, build_filter(vendors={VendorId.MICROSOFT: (16, 17), VendorId.ARUBA: None})):
            self.check(join(built), attribute_filter)

    @given(raw_attributes, raw_attributes)
    def test_what_leaves_is_a_packet_with_our_signature(
        self, built: list[tuple[int, bytes]], appended: list[tuple[int, bytes]]
    ) -> None:
        """Every rewritten request verifies at the home server, every rewritten answer at the client."""
        request = refuse_request(build_request(join(built)), appended=join(appended), proxy_state=OWN_STATE)
        if isinstance(request, bytes):
            packet = parse_packet(request)
            if isinstance(packet, Packet):
                assert decide_request_authenticity(packet, HOME, requires_message_authenticator=True) is None
        answer = refuse_response(build_response(join(built)), appended=join(appended))
        if isinstance(answer, bytes):
            packet = parse_packet(answer)
            if isinstance(packet, Packet):
                assert verify_response(packet, CLIENT, CLIENT_AUTHENTICATOR)

    def test_absent_attribute_is_not_found(self) -> None:
        """A removed attribute is gone."""
        assert find(forward(build_request(), build_filter(removed=(1,))), 1) is None
