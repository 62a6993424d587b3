"""Tests of parsing: structure, limits, places of attributes, and the building blocks of packets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius.errors import DropReason
from radius.wire.codes import AttributeType, Code
from radius.wire.packet import (
    MAX_ATTRIBUTES,
    MAX_PACKET_OCTETS,
    Packet,
    attributes,
    build_attribute,
    build_fragments,
    build_vendor_attribute,
    parse_packet,
    value_at,
)
from tests.radius.wire.packets import build_datagram, build_raw, join, parse, raw_attributes
from tests.vectors.rfc import PACKETS, RFC_2865_TELNET


class TestHeader:
    @pytest.mark.parametrize("size", range(20))
    def test_fewer_than_20_octets_are_too_short(self, size: int) -> None:
        """A datagram without a whole header is dropped (RFC 2865 §3)."""
        assert parse_packet(RFC_2865_TELNET.request[:size]) is DropReason.TOO_SHORT

    @pytest.mark.parametrize("length", [0, 19, 21, 100, 4096, 4097, 65535])
    def test_length_that_is_not_there_is_refused(self, length: int) -> None:
        """Length below 20, beyond the datagram or above 4096 drops the packet (RFC 2865 §3)."""
        assert parse_packet(build_datagram(b"", length=length)) is DropReason.LENGTH_FIELD

    def test_length_above_the_limit_is_refused_even_if_the_octets_are_there(self) -> None:
        """A packet of 4097 octets is dropped though it is whole (RFC 2865 §3)."""
        assert (
            parse_packet(build_datagram(join([(33, bytes(253))] * 15 + [(33, bytes(250))]))) is DropReason.LENGTH_FIELD
        )

    @pytest.mark.parametrize("padding", [1, 3000])
    def test_padding_is_ignored(self, padding: int) -> None:
        """Octets after Length are padding and are cut off (RFC 2865 §3)."""
        packet = parse(RFC_2865_TELNET.request + bytes(padding))
        assert packet.octets == RFC_2865_TELNET.request

    def test_header_fields_are_read(self) -> None:
        """Code, Identifier and Authenticator are those of the octets (RFC 2865 §7.1)."""
        packet = parse(RFC_2865_TELNET.request)
        assert packet.code == Code.ACCESS_REQUEST
        assert packet.identifier == 0
        assert packet.authenticator == RFC_2865_TELNET.request[4:20]

    def test_repr_shows_no_attribute(self) -> None:
        """The text form of a packet holds no name and no secret."""
        assert repr(parse(RFC_2865_TELNET.request)) == "Packet(code=1, identifier=0, octets=56)"

    @pytest.mark.parametrize("code", [0, 13, *range(26, 34), 53, 255])
    def test_unknown_codes_parse(self, code: int) -> None:
        """Structure does not depend on the code: which codes are taken is the listener's question."""
        assert parse(build_datagram(b"", code)).code == code


class TestWalk:
    @pytest.mark.parametrize("octets", PACKETS)
    def test_every_truncation_of_a_vector_is_refused(self, octets: bytes) -> None:
        """No prefix of a packet is a packet, with the old Length or with one that fits and cuts an attribute."""
        offsets = {*parse(octets).offsets, len(octets)}
        for size in range(len(octets)):
            assert isinstance(parse_packet(octets[:size]), DropReason)
            if size >= 20 and size not in offsets:
                cut = octets[:2] + size.to_bytes(2) + octets[4:size]
                assert parse_packet(cut) is DropReason.ATTRIBUTE_OVERRUN

    @pytest.mark.parametrize("octets", PACKETS)
    def test_vectors_are_found_whole(self, octets: bytes) -> None:
        """The attributes of the RFC's examples put together are the examples again."""
        packet = parse(octets)
        assert octets[20:] == join([(kind, value) for _, kind, value in attributes(packet)])

    def test_type_zero_is_refused(self) -> None:
        """No attribute has type 0 (RFC 2865 §5)."""
        assert parse_packet(build_datagram(build_raw(0, b"x"))) is DropReason.ATTRIBUTE_TYPE_ZERO

    @pytest.mark.parametrize("length", [0, 1])
    def test_attribute_length_below_two_is_refused(self, length: int) -> None:
        """An attribute counts its own type and length (RFC 2865 §5); 0 must not make the walk stand still."""
        assert parse_packet(build_datagram(bytes((1, length, 97, 98)))) is DropReason.ATTRIBUTE_LENGTH

    @pytest.mark.parametrize("tail", [b"\x01\x04a", b"\x01\xff", b"\x01"])
    def test_attribute_past_the_end_is_refused(self, tail: bytes) -> None:
        """A last attribute that ends one short, far beyond, or has no length octet is no attribute."""
        assert parse_packet(build_datagram(build_raw(1, b"name") + tail)) is DropReason.ATTRIBUTE_OVERRUN

    def test_as_many_attributes_as_allowed_parse(self) -> None:
        """200 attributes are accepted."""
        assert len(parse(build_datagram(build_raw(25, b"") * MAX_ATTRIBUTES)).offsets) == MAX_ATTRIBUTES

    @pytest.mark.parametrize("count", [MAX_ATTRIBUTES + 1, 1000, 2038])
    def test_more_attributes_are_refused(self, count: int) -> None:
        """A packet of empty attributes costs no more than 200 steps."""
        assert parse_packet(build_datagram(build_raw(25, b"") * count)) is DropReason.TOO_MANY_ATTRIBUTES

    def test_packet_full_of_proxy_state_parses(self) -> None:
        """4096 octets of Proxy-State are a packet."""
        packet = parse(build_datagram(join([(33, bytes(253))] * 15 + [(33, bytes(249))])))
        assert len(packet.octets) == MAX_PACKET_OCTETS
        assert len(packet.proxy_states) == 16

    @given(st.binary(max_size=300))
    def test_no_octets_crash_the_parser(self, octets: bytes) -> None:
        """Whatever arrives is a packet or a reason."""
        assert isinstance(parse_packet(octets), Packet | DropReason)

    @given(st.binary(max_size=200), st.integers(0, 255))
    def test_no_attributes_crash_the_parser(self, octets: bytes, code: int) -> None:
        """Octets behind a good header are attributes that fill it, or a reason."""
        packet = parse_packet(build_datagram(octets, code))
        if isinstance(packet, Packet):
            assert octets == join([(kind, value) for _, kind, value in attributes(packet)])

    @given(raw_attributes)
    def test_parsing_gives_back_what_was_built(self, built: list[tuple[int, bytes]]) -> None:
        """Types, values and order come out as they went in."""
        packet = parse(build_datagram(join(built)))
        assert built == [(kind, value) for _, kind, value in attributes(packet)]
        assert packet.types == bytes(kind for kind, _ in built)


class TestMessageAuthenticatorForm:
    def test_its_place_is_known(self) -> None:
        """The offset of the one Message-Authenticator is found."""
        packet = parse(build_datagram(build_raw(1, b"a") + build_raw(80, bytes(16))))
        assert packet.message_authenticator == 23

    @pytest.mark.parametrize("size", [0, 15, 17])
    def test_another_length_is_refused(self, size: int) -> None:
        """Message-Authenticator has 18 octets (RFC 3579 §3.2)."""
        assert parse_packet(build_datagram(build_raw(80, bytes(size)))) is DropReason.MESSAGE_AUTHENTICATOR_FORM

    def test_two_are_refused(self) -> None:
        """Two Message-Authenticators could be signed by two people."""
        assert parse_packet(build_datagram(build_raw(80, bytes(16)) * 2)) is DropReason.MESSAGE_AUTHENTICATOR_FORM


class TestPlaces:
    PROPERTIES = (
        ("user_name", AttributeType.USER_NAME),
        ("user_password", AttributeType.USER_PASSWORD),
        ("chap_password", AttributeType.CHAP_PASSWORD),
        ("chap_challenge", AttributeType.CHAP_CHALLENGE),
        ("state", AttributeType.STATE),
        ("eap_message", AttributeType.EAP_MESSAGE),
        ("operator_name", AttributeType.OPERATOR_NAME),
        ("calling_station_id", AttributeType.CALLING_STATION_ID),
        ("called_station_id", AttributeType.CALLED_STATION_ID),
        ("chargeable_user_identity", AttributeType.CHARGEABLE_USER_IDENTITY),
        ("reply_message", AttributeType.REPLY_MESSAGE),
    )

    @pytest.mark.parametrize(("name", "kind"), PROPERTIES)
    def test_first_of_a_type_is_found(self, name: str, kind: int) -> None:
        """Each named place is the first attribute of its type, and 0 if there is none."""
        packet = parse(build_datagram(build_raw(250, b"x") + build_raw(kind, b"first") + build_raw(kind, b"second")))
        assert value_at(packet.octets, getattr(packet, name)) == b"first"
        assert packet.value_of(kind) == b"first"
        assert getattr(parse(build_datagram(b"")), name) == 0

    @pytest.mark.parametrize("kind", [1, 24, 26, 33, 79])
    def test_empty_attribute_is_there_without_a_value(self, kind: int) -> None:
        """An attribute of two octets keeps its place and counts as empty (RFC 2865 §5)."""
        packet = parse(build_datagram(build_raw(kind, b"")))
        assert packet.offset_of(kind) == 20
        assert packet.value_of(kind) == b""

    def test_absent_attribute_has_no_value(self) -> None:
        """The value of what is not there is empty."""
        assert parse(build_datagram(b"")).value_of(AttributeType.USER_NAME) == b""

    def test_repeated_attributes_are_listed_in_order(self) -> None:
        """Proxy-States and vendor attributes keep their order (RFC 2865 §5)."""
        packet = parse(build_datagram(join([(33, b"a"), (26, b"v"), (33, b"b")])))
        assert [value_at(packet.octets, place) for place in packet.proxy_states] == [b"a", b"b"]
        assert packet.vendor_specifics == [23]
        assert packet.offsets_of(AttributeType.STATE) == []

    @given(st.lists(st.integers(1, 255), max_size=40))
    def test_tables_say_which_is_the_first_and_how_many_there_are(self, kinds: list[int]) -> None:
        """For each of the 256 types; one that is not there has none, and no first."""
        kinds = [kind for kind in kinds if kind != AttributeType.MESSAGE_AUTHENTICATOR]
        packet = parse(build_datagram(b"".join(bytes((kind, 3, number)) for number, kind in enumerate(kinds))))
        assert [kinds.count(kind) for kind in range(256)] == list(packet.counts)
        assert [kinds.index(kind) + 1 if kind in kinds else 0 for kind in range(256)] == list(packet.firsts)


class TestBuilding:
    def test_attribute_counts_itself(self) -> None:
        """Length includes type and length (RFC 2865 §5)."""
        assert build_attribute(1, b"nemo") == b"\x01\x06nemo"

    @pytest.mark.parametrize("size", [0, 254])
    def test_value_that_can_not_be_is_our_own_fault(self, size: int) -> None:
        """We never send an empty or an overlong attribute (RFC 2865 §5)."""
        with pytest.raises(ValueError, match="1 to 253 octets"):
            build_attribute(1, bytes(size))

    @given(st.binary(max_size=1000))
    def test_fragments_join_to_the_value(self, value: bytes) -> None:
        """A long value is split into attributes of up to 253 octets that follow each other (RFC 3579 §3.1)."""
        packet = parse(build_datagram(build_fragments(79, value)))
        assert value == b"".join(value for _, _, value in attributes(packet))
        assert set(packet.types) <= {79}

    def test_vendor_attribute_has_the_common_layout(self) -> None:
        """Vendor-Id, vendor type, vendor length, value (RFC 2865 §5.26)."""
        assert build_vendor_attribute(311, 16, b"xy") == b"\x1a\x0a\x00\x00\x01\x37\x10\x04xy"
