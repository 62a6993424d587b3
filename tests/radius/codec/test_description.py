"""Tests of what a person reads about a packet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius.codec.building import build_packet
from radius.codec.description import describe
from radius.codec.dictionary import Value
from radius.wire.authenticators import sign_request
from radius.wire.codes import Code, VendorId
from radius.wire.packet import Packet, build_attribute, build_vendor_attribute, parse_packet
from tests.radius.codec.names import AUTHENTICATOR, DICTIONARY, KEYED


def describe_named(*attributes: tuple[str, Value]) -> list[str]:
    octets = build_packet(
        DICTIONARY,
        Code.ACCESS_ACCEPT,
        identifier=5,
        authenticator=AUTHENTICATOR,
        attributes=attributes,
        keyed=KEYED,
    )
    return describe_octets(octets)


def describe_octets(octets: bytes) -> list[str]:
    packet = parse_packet(octets)
    assert isinstance(packet, Packet)
    return describe(packet, DICTIONARY).split("\n")


def describe_body(body: bytes) -> list[str]:
    return describe_octets(sign_request(Code.ACCESS_REQUEST, 1, AUTHENTICATOR, body, KEYED))[2:]


class TestDescription:
    def test_header_and_values_are_readable(self) -> None:
        """Code, identifier and size come first, then attributes by name, in order."""
        assert describe_named(("Session-Timeout", 60), ("Service-Type", "Framed"), ("Tunnel-Type:1", "VLAN")) == [
            "Access-Accept identifier 5, 56 octets",
            "  Message-Authenticator = <16 octets>",
            "  Session-Timeout = 60",
            "  Service-Type = Framed",
            "  Tunnel-Type:1 = VLAN",
        ]

    def test_unknown_code_has_its_number(self) -> None:
        """A code without a name is told by its number."""
        assert describe_octets(bytes((250, 1, 0, 20)) + bytes(16)) == ["Code-250 identifier 1, 20 octets"]

    def test_unknown_attributes_have_their_numbers(self) -> None:
        """What has no name is told by number and size."""
        vendor = build_vendor_attribute(VendorId.CISCO, 1, b"cisco-pair=secret")
        broken = build_attribute(26, b"\0\0\1\x37\x10\xff")
        short = build_attribute(26, b"\0\0")
        assert describe_body(build_attribute(250, b"abc") + vendor + broken + short) == [
            "  Attribute-250 = <3 octets>",
            "  Vendor-9-Attribute-1 = <17 octets>",
            "  Vendor-Specific = <6 octets>",
            "  Vendor-Specific = <2 octets>",
        ]

    def test_vendor_attribute_is_named(self) -> None:
        """A vendor's clear attribute is readable."""
        assert describe_named(("MS-MPPE-Encryption-Policy", "Encryption-Required"))[2:] == [
            "  MS-MPPE-Encryption-Policy = Encryption-Required"
        ]

    def test_values_that_are_none_of_their_type_are_told_by_size(self) -> None:
        """A value that lies about its type is no error."""
        assert describe_body(build_attribute(27, b"abc") + build_attribute(64, b"\1")) == [
            "  Session-Timeout = <3 octets>",
            "  Tunnel-Type:1 = <1 octets>",
        ]


class TestRedaction:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("User-Password", b"hunter2hunter2"),
            ("CHAP-Password", b"hunter2hunter2"),
            ("CHAP-Challenge", b"hunter2hunter2"),
            ("EAP-Message", b"hunter2hunter2"),
            ("State", b"hunter2hunter2"),
            ("Class", b"hunter2hunter2"),
            ("Proxy-State", b"hunter2hunter2"),
            ("Tunnel-Password", b"hunter2hunter2"),
            ("MS-MPPE-Send-Key", b"hunter2hunter2"),
            ("MS-CHAP2-Success", b"hunter2hunter2"),
            ("MS-CHAP-Error", b"hunter2hunter2"),
        ],
    )
    def test_secrets_are_told_by_size(self, name: str, value: bytes) -> None:
        """Neither the value nor its hidden form is shown."""
        line = describe_named((name, value))[2]
        assert line.startswith(f"  {name} = <")
        assert line.endswith(" octets>")

    def test_user_is_told_by_realm(self) -> None:
        """The user's own part of a name stays out."""
        assert describe_named(("User-Name", "anna.de.vries@lib.example"))[2] == "  User-Name = …@lib.example"
        assert describe_named(("User-Name", "host/pc"))[2] == "  User-Name = …"
        assert describe_named(("Chargeable-User-Identity", b"\0"))[2] == "  Chargeable-User-Identity = …"

    def test_device_is_told_by_maker(self) -> None:
        """The part of a MAC address that is one device stays out."""
        assert describe_named(("Calling-Station-Id", "02-00-00-12-34-56"))[2] == "  Calling-Station-Id = 02-00-00…"

    def test_text_is_escaped_and_cut(self) -> None:
        """Line ends, terminal sequences and right-to-left marks of a sender do not reach a log (RFC 2865 §5.18)."""
        line = describe_named(("Reply-Message", "a\r\nb\x1b[2J\u202e\\" + "x" * 200))[2]
        assert line.startswith("  Reply-Message = a\\r\\nb\\x1b[2J\\u202e\\\\xxx")
        assert line.endswith("x…")
        assert len(line) < 120

    @given(st.binary(max_size=300))
    def test_any_packet_is_described_in_printable_lines(self, octets: bytes) -> None:
        """No octets make a description fail, or write what a terminal acts on."""
        size = 20 + len(octets)
        packet = parse_packet(bytes((1, 1)) + size.to_bytes(2) + bytes(16) + octets)
        if isinstance(packet, Packet):
            text = describe(packet, DICTIONARY)
            assert text.replace("\n", "").isprintable()
