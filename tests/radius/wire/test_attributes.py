"""Tests of the views on attributes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius.wire.attributes import (
    ExtendedAttribute,
    VendorLayout,
    concatenate,
    extended_attributes,
    find,
    find_all,
    find_vendor,
    is_eap_well_formed,
    parse_sub_attributes,
    parse_vendor_attributes,
    vendor_attributes,
    vendor_of,
)
from radius.wire.codes import AttributeType, VendorId
from radius.wire.packet import build_vendor_attribute
from tests.radius.wire.packets import EAP_IDENTITY, build_datagram, build_eap, build_raw, join, parse, raw_attributes

SHAPES = {
    VendorId.MICROSOFT: bytes.fromhex("0405aabbcc"),
    VendorId.USR: bytes.fromhex("00000004aabbcc"),
    VendorId.LUCENT: bytes.fromhex("000406aabbcc"),
    VendorId.STARENT: bytes.fromhex("00040007aabbcc"),
    VendorId.WIMAX: bytes.fromhex("040600aabbcc"),
}


def view(attributes: list[tuple[int, bytes]]) -> list[ExtendedAttribute]:
    return list(extended_attributes(parse(build_datagram(join(attributes)))))


class TestFinding:
    def test_first_and_all_values(self) -> None:
        """A type's values come in order; what is absent is None, what is empty is empty."""
        packet = parse(build_datagram(join([(1, b""), (24, b"a"), (25, b"x"), (24, b"b")])))
        assert find(packet, AttributeType.STATE) == b"a"
        assert find(packet, AttributeType.USER_NAME) == b""
        assert find(packet, AttributeType.USER_PASSWORD) is None
        assert find_all(packet, AttributeType.STATE) == [b"a", b"b"]
        assert concatenate(packet, AttributeType.STATE) == b"ab"


class TestEap:
    @pytest.mark.parametrize("size", [4, 13, 253, 254, 1000, 3900])
    def test_whole_packet_is_well_formed(self, size: int) -> None:
        """Fragments that join to as many octets as EAP's Length says (RFC 3748 §4), one or 16 of them."""
        eap = b"\x02\x01" + size.to_bytes(2) + bytes(size - 4)
        packet = parse(build_datagram(build_eap(eap)))
        assert is_eap_well_formed(packet)
        assert concatenate(packet, AttributeType.EAP_MESSAGE) == eap

    def test_no_eap_is_no_malformed_eap(self) -> None:
        """A request without EAP-Message has nothing wrong with it."""
        assert is_eap_well_formed(parse(build_datagram(b"")))

    @pytest.mark.parametrize("length", [0, 3, 12, 14, 65535])
    def test_wrong_length_is_malformed(self, length: int) -> None:
        """Length has to be what is there: neither less nor more."""
        eap = EAP_IDENTITY[:2] + length.to_bytes(2) + EAP_IDENTITY[4:]
        assert not is_eap_well_formed(parse(build_datagram(build_eap(eap))))

    @pytest.mark.parametrize("code", [0, 5, 255])
    def test_unknown_code_is_malformed(self, code: int) -> None:
        """EAP has four codes (RFC 3748 §4)."""
        assert not is_eap_well_formed(parse(build_datagram(build_eap(bytes((code,)) + EAP_IDENTITY[1:]))))

    @pytest.mark.parametrize(
        "fragments",
        [
            [b""],
            [b"\x02"],
            [b"\x02\x01\x00"],
            [EAP_IDENTITY[:3], EAP_IDENTITY[3:]],
            [EAP_IDENTITY[:6], b"", EAP_IDENTITY[6:]],
            [b"", EAP_IDENTITY],
        ],
    )
    def test_bad_fragments_are_malformed(self, fragments: list[bytes]) -> None:
        """The first fragment holds the header; none is empty."""
        packet = parse(build_datagram(join([(79, fragment) for fragment in fragments])))
        assert not is_eap_well_formed(packet)


class TestVendors:
    @pytest.mark.parametrize("vendor", SHAPES)
    def test_each_layout_is_read(self, vendor: VendorId) -> None:
        """Types of one, two and four octets, lengths of none, one and two, and WiMAX's continuation octet."""
        packet = parse(build_datagram(build_raw(26, vendor.to_bytes(4) + SHAPES[vendor])))
        assert list(vendor_attributes(packet)) == [(vendor, 4, b"\xaa\xbb\xcc")]
        assert find_vendor(packet, vendor, 4) == b"\xaa\xbb\xcc"
        assert find_vendor(packet, vendor, 5) is None

    @pytest.mark.parametrize("vendor", SHAPES)
    def test_every_truncation_is_no_attribute(self, vendor: VendorId) -> None:
        """A shape cut anywhere is no attribute; where the rest is the value, it is a shorter one."""
        value = vendor.to_bytes(4) + SHAPES[vendor]
        for size in range(5, len(value)):
            cut = parse_vendor_attributes(value[:size])
            assert cut is None or (vendor is VendorId.USR and size >= 8)

    def test_several_attributes_share_one_value(self) -> None:
        """A vendor may put its attributes one after the other (RFC 2865 §5.26)."""
        value = VendorId.MICROSOFT.to_bytes(4) + b"\x07\x06abcd" + b"\x08\x03x"
        packet = parse(build_datagram(build_raw(26, value) + build_vendor_attribute(9, 1, b"av=pair")))
        assert list(vendor_attributes(packet)) == [(311, 7, b"abcd"), (311, 8, b"x"), (9, 1, b"av=pair")]

    @pytest.mark.parametrize("inner", ["0400", "0401", "0409aabb", "04", "0404aabb0500", "0404aabb05"])
    def test_lying_lengths_are_no_attributes(self, inner: str) -> None:
        """Lengths of 0 and 1, past the end, and a second one that lies, end nowhere."""
        assert parse_vendor_attributes(VendorId.MICROSOFT.to_bytes(4) + bytes.fromhex(inner)) is None

    @pytest.mark.parametrize("size", range(4))
    def test_value_too_short_for_a_vendor_has_none(self, size: int) -> None:
        """Fewer than four octets name no vendor."""
        assert vendor_of(bytes(size)) is None
        assert parse_vendor_attributes(bytes(size)) is None
        assert list(vendor_attributes(parse(build_datagram(build_raw(26, bytes(size)))))) == []

    def test_continuation_is_seen(self) -> None:
        """WiMAX's flag says that a value goes on in the next attribute."""
        assert parse_vendor_attributes(VendorId.WIMAX.to_bytes(4) + b"\x05\x04\x80x") == [(5, 4, 7, 8, True)]

    @given(st.binary(max_size=253), st.sampled_from([*SHAPES, 0, 0xFF000137]))
    def test_any_octets_are_read_or_not(self, inner: bytes, vendor: int) -> None:
        """Whatever a vendor's value holds, its attributes lie inside it and follow each other, or there are none."""
        value = vendor.to_bytes(4) + inner
        at = 4
        for _, start, value_start, end, _ in parse_vendor_attributes(value) or ():
            assert at == start < value_start <= end <= len(value)
            at = end

    def test_deep_nesting_is_not_followed(self) -> None:
        """A value of TLVs inside TLVs, 20 deep, is one attribute."""
        inner = b""
        for _ in range(20):
            inner = bytes((1, len(inner) + 2)) + inner
        assert parse_sub_attributes(inner, 0, VendorLayout()) == [(1, 0, 2, 40, False)]


class TestExtended:
    def test_short_extended_attributes_are_read(self) -> None:
        """The first octet of the value is the type in the extended space (RFC 6929 §2.1)."""
        assert view([(241, b"\x08nas"), (244, b"\x01x")]) == [
            ExtendedAttribute(241, 8, b"nas"),
            ExtendedAttribute(244, 1, b"x"),
        ]

    def test_vendor_in_the_extended_space_is_read(self) -> None:
        """Extended-Vendor-Specific has vendor and type before the value (RFC 6929 §2.4)."""
        assert view([(241, b"\x1a\x00\x00\x00\x09\x05val")]) == [ExtendedAttribute(241, 26, b"val", 9, 5)]

    def test_long_attribute_is_joined(self) -> None:
        """Fragments with the More flag join with the next of the same type (RFC 6929 §2.2)."""
        assert view([(245, b"\x01\x80ab"), (245, b"\x01\x00cd"), (246, b"\x02\x00x")]) == [
            ExtendedAttribute(245, 1, b"abcd"),
            ExtendedAttribute(246, 2, b"x"),
        ]

    @pytest.mark.parametrize(
        "attributes",
        [
            [(241, b"")],
            [(245, b"")],
            [(245, b"\x01")],
            [(245, b"\x01\x80ab")],
            [(245, b"\x01\x80ab"), (1, b"x")],
            [(241, b"\x1a\x00\x00\x00")],
            [(241, b"\x1a\x00\x00\x00\x09")],
            [(245, b"\x1a\x00\x00\x00\x00")],
        ],
    )
    def test_what_breaks_the_rules_is_left_out(self, attributes: list[tuple[int, bytes]]) -> None:
        """Truncated ones, a More on the last fragment, and a vendor cut short give no view."""
        assert view(attributes) == []

    def test_fragments_of_another_type_do_not_join(self) -> None:
        """A fragment that follows an unfinished one of another type starts anew."""
        assert view([(245, b"\x01\x80ab"), (245, b"\x02\x00cd")]) == [ExtendedAttribute(245, 2, b"cd")]

    @given(raw_attributes)
    def test_any_attributes_are_viewed(self, built: list[tuple[int, bytes]]) -> None:
        """No octets make the view fail."""
        packet = parse(build_datagram(join([(241 + kind % 6, value) for kind, value in built])))
        assert len(list(extended_attributes(packet))) <= len(built)
