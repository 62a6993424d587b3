"""Tests of the table of hidden vendor attributes and of moving them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius.errors import DropReason
from radius.wire.attributes import VENDOR_LAYOUTS, SubAttribute, parse_vendor_attributes
from radius.wire.codes import MicrosoftAttribute, VendorId
from radius.wire.hiding import (
    Rehiding,
    hide_salted,
    hide_user_password,
    reveal_salted,
    reveal_user_password,
)
from radius.wire.salted import SALTED_VENDOR_ATTRIBUTES, Hiding, rewrite_tunnel_password, rewrite_vendor_attribute
from tests.radius.wire.packets import CLIENT, CLIENT_AUTHENTICATOR, HOME, KEY, OWN_AUTHENTICATOR

FREERADIUS_DICTIONARIES = Path("/usr/share/freeradius")  # where Debian's freeradius-common has them
# Not in the tables of FreeRADIUS 3.2.1: Aruba's DPP-Passphrase, which came later.
LATER = {(14823, 72)}
SALTED = [
    (vendor, vendor_type)
    for vendor, hidings in SALTED_VENDOR_ATTRIBUTES.items()
    for vendor_type, hiding in hidings.items()
    if hiding is Hiding.SALTED
]
HIDDEN = hide_salted(KEY, 1, HOME, OWN_AUTHENTICATOR)


def rehiding() -> Rehiding:
    return Rehiding(HOME, OWN_AUTHENTICATOR, CLIENT, CLIENT_AUTHENTICATOR, 9)


def build_value(vendor: int, vendor_type: int, value: bytes, flags: int = 0) -> bytes:
    """Build the value of a Vendor-Specific attribute in its vendor's layout of one-octet types."""
    layout = VENDOR_LAYOUTS.get(vendor)
    continuation = bytes((flags,)) if layout is not None and layout.has_continuation else b""
    inner = continuation + value
    return vendor.to_bytes(4) + bytes((vendor_type, len(inner) + 2)) + inner


def find_places(value: bytes) -> list[SubAttribute]:
    found = parse_vendor_attributes(value)
    assert found is not None
    return found


def rewrite(value: bytes, allowed: frozenset[int] | None = None) -> bytes:
    moved = rewrite_vendor_attribute(value, rehiding(), allowed)
    assert isinstance(moved, bytes)
    return moved


class TestTable:
    def test_it_has_what_freeradius_knows(self) -> None:
        """Every attribute that FreeRADIUS's dictionaries call salted is in the table, and no other but those named."""
        numbers: dict[str, int] = {}
        known: set[tuple[int, int]] = set()
        for path in sorted(FREERADIUS_DICTIONARIES.glob("dictionary*")):
            vendor = 0
            for line in path.read_text(errors="replace").splitlines():
                words = line.split()
                if words[:1] == ["VENDOR"]:
                    numbers[words[1]] = int(words[2])
                elif words[:1] == ["BEGIN-VENDOR"]:
                    vendor = numbers[words[1]]
                elif words[:1] == ["END-VENDOR"]:
                    vendor = 0
                elif words[:1] == ["ATTRIBUTE"] and "encrypt=2" in line and vendor:
                    known.add((vendor, int(words[2].split(".")[0])))
        ours = {
            (vendor, kind)
            for vendor, hidings in SALTED_VENDOR_ATTRIBUTES.items()
            for kind, hiding in hidings.items()
            if hiding in (Hiding.SALTED, Hiding.TAGGED, Hiding.NESTED)
        }
        assert known | LATER == ours


class TestSalted:
    @pytest.mark.parametrize(("vendor", "vendor_type"), SALTED)
    def test_each_attribute_of_the_table_arrives(self, vendor: int, vendor_type: int) -> None:
        """The client reveals what the home server hid; what stands around it is unchanged."""
        value = build_value(vendor, vendor_type, HIDDEN)
        moved = rewrite(value)
        found = find_places(moved)[0]
        assert moved[: found[2]] == value[: found[2]]
        assert reveal_salted(moved[found[2] : found[3]], CLIENT, CLIENT_AUTHENTICATOR) == KEY

    def test_two_keys_in_one_attribute_both_arrive(self) -> None:
        """Some servers put both MPPE keys into one Vendor-Specific, and more beside them."""
        other = bytes((MicrosoftAttribute.MPPE_ENCRYPTION_POLICY, 6)) + b"\0\0\0\1"
        second = hide_salted(KEY[::-1], 2, HOME, OWN_AUTHENTICATOR)
        value = build_value(311, 16, HIDDEN) + bytes((17, len(second) + 2)) + second + other
        moved = rewrite(value)
        send, receive, policy = find_places(moved)
        assert reveal_salted(moved[send[2] : send[3]], CLIENT, CLIENT_AUTHENTICATOR) == KEY
        assert reveal_salted(moved[receive[2] : receive[3]], CLIENT, CLIENT_AUTHENTICATOR) == KEY[::-1]
        assert moved[policy[1] :] == other
        assert moved[send[2] : send[2] + 2] != moved[receive[2] : receive[2] + 2]

    def test_keys_of_ms_chap_version_1_arrive(self) -> None:
        """MS-CHAP-MPPE-Keys is hidden as User-Password is (RFC 2548 §2.4.1)."""
        keys = bytes(range(1, 25))
        moved = rewrite(build_value(311, 12, hide_user_password(keys, HOME, OWN_AUTHENTICATOR)))
        assert reveal_user_password(moved[6:], CLIENT, CLIENT_AUTHENTICATOR) == keys

    def test_tagged_attribute_keeps_its_tag(self) -> None:
        """Lancom's passwords have a tag before the salt."""
        moved = rewrite(build_value(VendorId.LANCOM, 19, b"\x05" + HIDDEN))
        assert moved[6] == 5
        assert reveal_salted(moved[7:], CLIENT, CLIENT_AUTHENTICATOR) == KEY

    def test_nested_key_arrives(self) -> None:
        """WiMAX's DHCP parameters hold a key among clear attributes."""
        clear = b"\x01\x06\x7f\0\0\1"
        value = build_value(VendorId.WIMAX, 86, clear + bytes((3, len(HIDDEN) + 2)) + HIDDEN)
        moved = rewrite(value)
        assert moved[: 7 + len(clear) + 2] == value[: 7 + len(clear) + 2]
        assert reveal_salted(moved[7 + len(clear) + 2 :], CLIENT, CLIENT_AUTHENTICATOR) == KEY

    @pytest.mark.parametrize("vendor", [VendorId.ASCEND, VendorId.LUCENT])
    def test_ascend_secrets_do_not_pass(self, vendor: VendorId) -> None:
        """Ascend's own hiding can not be moved, so that the attribute is taken out (CVE-2004-0960's class)."""
        header = b"\xd6" if vendor is VendorId.ASCEND else b"\x00\xd6"
        secret = header + bytes((len(header) + 1 + 16,)) + bytes(16)
        other = header[:-1] + b"\x01" + bytes((len(header) + 1 + 1,)) + b"x"
        assert rewrite_vendor_attribute(vendor.to_bytes(4) + secret, rehiding()) is None
        assert rewrite(vendor.to_bytes(4) + secret + other) == vendor.to_bytes(4) + other


class TestMalformed:
    @pytest.mark.parametrize("size", [0, 1, 2, 17, 19, 33, 35])
    def test_key_of_impossible_length_drops_the_answer(self, size: int) -> None:
        """An MPPE key that is not salt and whole blocks is not passed on (RFC 2548 §2.4.2)."""
        value = build_value(311, 16, bytes(size))
        assert rewrite_vendor_attribute(value, rehiding()) is DropReason.MPPE_KEY_MALFORMED
        twice = value + b"\x07\x06\0\0\0\1"
        assert rewrite_vendor_attribute(twice, rehiding()) is DropReason.MPPE_KEY_MALFORMED

    @pytest.mark.parametrize(
        "value",
        [
            build_value(VendorId.ARUBA, 44, bytes(17)),
            build_value(VendorId.LANCOM, 20, bytes(18)),
            build_value(VendorId.WIMAX, 5, HIDDEN, flags=0x80),
            build_value(VendorId.WIMAX, 86, b"\x03\x05abc"),
            build_value(VendorId.WIMAX, 86, b"\x03\x00abc"),
            build_value(VendorId.WIMAX, 87, b""),
            build_value(VendorId.ARUBA, 72, b"\0"),
            build_value(VendorId.MOTOROLA_WIMAX, 11, b""),
        ],
    )
    def test_other_salted_attribute_of_impossible_form_drops_the_answer(self, value: bytes) -> None:
        """Bad lengths, a value in several WiMAX attributes and a broken nest have their reason."""
        assert rewrite_vendor_attribute(value, rehiding()) is DropReason.SALTED_ATTRIBUTE_MALFORMED

    @pytest.mark.parametrize(
        "value",
        [
            b"",
            b"\0\0\1",
            b"\0\0\1\x37",
            b"\0\0\1\x37\x10",
            b"\0\0\1\x37\x10\x00",
            b"\0\0\1\x37\x10\x01",
            b"\0\0\1\x37\x10\xff" + HIDDEN,
            b"\0\0\1\x37\x10\x10" + HIDDEN,
            b"\xff\0\1\x37\x10\x34" + HIDDEN,
            b"\0\0\0\0\x10\x34" + HIDDEN,
            VendorId.USR.to_bytes(4) + b"\0\0\0\x10" + HIDDEN,
            VendorId.CISCO.to_bytes(4) + b"anything at all",
        ],
    )
    def test_unknown_shapes_pass_untouched(self, value: bytes) -> None:
        """A vendor's value that we can not read is octets, and stays them (RFC 2865 §5.26)."""
        assert rewrite(value) == value

    @given(st.sampled_from([*SALTED_VENDOR_ATTRIBUTES, 9]), st.binary(max_size=249))
    def test_no_octets_crash_the_rewrite(self, vendor: int, inner: bytes) -> None:
        """Whatever a vendor's value holds, it is moved, taken out or refused, and never grows."""
        moved = rewrite_vendor_attribute(vendor.to_bytes(4) + inner, rehiding())
        assert moved is None or isinstance(moved, DropReason) or len(moved) <= len(inner) + 4


class TestAllowed:
    def test_only_allowed_types_pass(self) -> None:
        """With a list, the other attributes of a shared value are taken out."""
        policy = b"\x07\x06\0\0\0\1"
        value = build_value(311, 16, HIDDEN) + policy
        assert rewrite(value, frozenset((7,))) == b"\0\0\1\x37" + policy
        moved = rewrite(value, frozenset((16,)))
        assert len(moved) == len(value) - len(policy)

    def test_list_holds_where_nothing_is_hidden_too(self) -> None:
        """In accounting nothing is hidden: what is allowed passes as it is."""
        value = build_value(311, 16, HIDDEN) + b"\x07\x06\0\0\0\1"
        assert rewrite_vendor_attribute(value, None) == value
        assert rewrite_vendor_attribute(value, None, frozenset((16,))) == build_value(311, 16, HIDDEN)
        assert rewrite_vendor_attribute(build_value(311, 16, HIDDEN), None, frozenset((7,))) is None

    def test_nothing_left_is_nothing(self) -> None:
        """A value of which nothing is allowed goes whole."""
        assert rewrite_vendor_attribute(build_value(311, 16, HIDDEN), rehiding(), frozenset((7,))) is None
        assert rewrite_vendor_attribute(build_value(9, 1, b"x"), rehiding(), frozenset((7,))) is None

    @pytest.mark.parametrize("value", [b"", b"\0\0\1\x37", b"\0\0\1\x37\x10\x00"])
    def test_what_can_not_be_judged_does_not_pass(self, value: bytes) -> None:
        """With a list, a value without the vendor's layout is taken out."""
        assert rewrite_vendor_attribute(value, rehiding(), frozenset((16,))) is None


class TestTunnelPassword:
    @pytest.mark.parametrize("tag", [0, 1, 0x1F, 0x20, 0xFF])
    def test_it_arrives_with_its_tag(self, tag: int) -> None:
        """The tag octet stays in clear, whatever its value; salt and password follow (RFC 2868 §3.5)."""
        moved = rewrite_tunnel_password(bytes((tag,)) + HIDDEN, rehiding())
        assert moved is not None
        assert moved[0] == tag
        assert reveal_salted(moved[1:], CLIENT, CLIENT_AUTHENTICATOR) == KEY

    @pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 18, 20])
    def test_impossible_length_is_refused(self, size: int) -> None:
        """Too short or no whole blocks: no password (CVE-2009-3111's class)."""
        assert rewrite_tunnel_password(bytes(size), rehiding()) is None
