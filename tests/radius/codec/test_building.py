"""Tests of packets built by attribute name."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius.codec.building import build_attributes, build_packet
from radius.codec.dictionary import AttributeValueError, UnknownAttributeError, Value, load
from radius.wire.attributes import concatenate, find, find_all, find_vendor
from radius.wire.authenticators import decide_request_authenticity, verify_response
from radius.wire.codes import AttributeType, Code, MicrosoftAttribute, VendorId
from radius.wire.hiding import reveal_salted, reveal_user_password
from radius.wire.packet import Packet, parse_packet
from tests.radius.codec.names import AUTHENTICATOR, DICTIONARY, KEYED


def build(code: Code, *attributes: tuple[str, Value]) -> Packet:
    octets = build_packet(
        DICTIONARY, code, identifier=5, authenticator=AUTHENTICATOR, attributes=attributes, keyed=KEYED
    )
    packet = parse_packet(octets)
    assert isinstance(packet, Packet)
    return packet


def refuse(name: str, value: Value) -> AttributeValueError:
    with pytest.raises(AttributeValueError) as refusal:
        build(Code.ACCESS_ACCEPT, (name, value))
    return refusal.value


class TestPackets:
    def test_request_is_signed(self) -> None:
        """A request built by name is believed, its attributes in the order given."""
        packet = build(
            Code.ACCESS_REQUEST,
            ("User-Name", "anna@lib.example"),
            ("User-Password", "päss"),
            ("NAS-Port-Type", "Wireless-802.11"),
        )
        assert decide_request_authenticity(packet, KEYED, requires_message_authenticator=True) is None
        assert packet.types == bytes((80, 1, 2, 61))
        hidden = packet.value_of(AttributeType.USER_PASSWORD)
        assert reveal_user_password(hidden, KEYED, AUTHENTICATOR) == "päss".encode()

    def test_accounting_request_is_signed(self) -> None:
        """Its authenticator is computed (RFC 2866 §3)."""
        packet = build(Code.ACCOUNTING_REQUEST, ("Acct-Status-Type", "Start"))
        assert decide_request_authenticity(packet, KEYED, requires_message_authenticator=True) is None

    @pytest.mark.parametrize("code", [Code.ACCESS_ACCEPT, Code.ACCESS_CHALLENGE, Code.ACCOUNTING_RESPONSE])
    def test_answer_is_signed(self, code: Code) -> None:
        """An answer is believed for its request; accounting answers go without Message-Authenticator."""
        packet = build(code, ("Class", b"class"))
        assert verify_response(packet, KEYED, AUTHENTICATOR)
        assert bool(packet.message_authenticator) == (code is not Code.ACCOUNTING_RESPONSE)

    def test_keys_are_hidden_each_with_its_salt(self) -> None:
        """MPPE keys are salted (RFC 2548 §2.4.2)."""
        packet = build(Code.ACCESS_ACCEPT, ("MS-MPPE-Send-Key", b"s" * 32), ("MS-MPPE-Recv-Key", b"r" * 32))
        send = find_vendor(packet, VendorId.MICROSOFT, MicrosoftAttribute.MPPE_SEND_KEY) or b""
        receive = find_vendor(packet, VendorId.MICROSOFT, MicrosoftAttribute.MPPE_RECV_KEY) or b""
        assert reveal_salted(send, KEYED, AUTHENTICATOR) == b"s" * 32
        assert reveal_salted(receive, KEYED, AUTHENTICATOR) == b"r" * 32
        assert send[:2] != receive[:2]

    @given(st.binary(min_size=1, max_size=2000))
    def test_long_eap_is_split(self, eap: bytes) -> None:
        """EAP-Message takes any length, in fragments (RFC 3579 §3.1)."""
        packet = build(Code.ACCESS_CHALLENGE, ("EAP-Message", eap))
        assert concatenate(packet, AttributeType.EAP_MESSAGE) == eap


class TestTags:
    def test_guest_vlan_has_its_tags(self) -> None:
        """Integers carry the tag in their first octet, text and hidden values before them (RFC 2868 §3)."""
        packet = build(
            Code.ACCESS_ACCEPT,
            ("Tunnel-Type:1", "VLAN"),
            ("Tunnel-Medium-Type:1", "IEEE-802"),
            ("Tunnel-Private-Group-Id:1", "40"),
            ("Tunnel-Password:1", b"pass"),
        )
        assert find(packet, 64) == b"\1\0\0\x0d"
        assert find(packet, 65) == b"\1\0\0\6"
        assert find(packet, 81) == b"\x0140"
        hidden = find(packet, 69) or b""
        assert hidden[0] == 1
        assert reveal_salted(hidden[1:], KEYED, AUTHENTICATOR) == b"pass"

    def test_tag_can_be_left_out(self) -> None:
        """Text goes without a tag, integers and hidden values with tag 0."""
        packet = build(
            Code.ACCESS_ACCEPT, ("Tunnel-Type", 13), ("Tunnel-Private-Group-Id", "40"), ("Tunnel-Password", "p")
        )
        assert find(packet, 64) == b"\0\0\0\x0d"
        assert find_all(packet, 81) == [b"40"]
        assert (find(packet, 69) or b"x")[0] == 0

    @pytest.mark.parametrize("name", ["Tunnel-Type:32", "Tunnel-Type:x", "Tunnel-Type:-1", "Tunnel-Type:²", "Class:1"])
    def test_impossible_tag_is_refused(self, name: str) -> None:
        """A tag is 0 to 31, on attributes that have one."""
        assert "tag" in refuse(name, 13 if name.startswith("T") else b"c").reason


class TestRefusals:
    def test_unknown_name_is_refused(self) -> None:
        """A misspelt name is an error."""
        with pytest.raises(UnknownAttributeError, match="Usr-Name"):
            build(Code.ACCESS_REQUEST, ("Usr-Name", "anna"))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("User-Name", ""),
            ("User-Password", "x" * 129),
            ("Class", bytes(254)),
            ("MS-MPPE-Send-Key", bytes(240)),
            ("MS-CHAP2-Success", bytes(248)),
        ],
    )
    def test_value_that_does_not_fit_is_refused(self, name: str, value: Value) -> None:
        """Empty and overlong values are named (RFC 2865 §5)."""
        assert refuse(name, value).name == name

    def test_packet_that_is_too_large_is_refused(self) -> None:
        """More than 4096 octets are not sent."""
        with pytest.raises(ValueError, match="4076 octets"):
            build(Code.ACCESS_CHALLENGE, ("EAP-Message", bytes(4096)))

    def test_ascend_hiding_is_refused(self, tmp_path: Path) -> None:
        """A way of hiding that no document fixes is not built."""
        path = tmp_path / "dictionary"
        path.write_text("ATTRIBUTE Ascend-Secret 214 string encrypt=3\n")
        with pytest.raises(AttributeValueError, match="not supported"):
            build_attributes(load(path), [("Ascend-Secret", "x")], KEYED, AUTHENTICATOR)
