import pytest

from radius.home.authorise import build_accept_attributes, build_alias
from radius.wire.attributes import concatenate, find, find_vendor
from radius.wire.authenticators import KeyedSecret, sign_request
from radius.wire.codes import AttributeType, Code, MicrosoftAttribute, VendorId
from radius.wire.hiding import reveal_salted
from radius.wire.packet import Packet, build_attribute, parse_packet
from radius.wire.rewrite import build_reply

KEYED = KeyedSecret(b"secret of the next hop")
MSK = bytes(range(64))
SUCCESS = b"\x03\x05\x00\x04"


def parse(octets: object) -> Packet:
    assert isinstance(octets, bytes)
    packet = parse_packet(octets)
    assert isinstance(packet, Packet)
    return packet


def request(*attributes: tuple[int, bytes]) -> Packet:
    body = b"".join(build_attribute(kind, value) for kind, value in attributes)
    return parse(sign_request(Code.ACCESS_REQUEST, 7, bytes(range(16)), body, KEYED))


class TestAccept:
    def accept(self, cui: bytes | None = None) -> tuple[Packet, Packet]:
        asked = request()
        attributes = build_accept_attributes(
            asked, KEYED, eap=SUCCESS, msk=MSK, name=b"anonymous@west.example", cui=cui, salt=0x1234
        )
        return asked, parse(build_reply(Code.ACCESS_ACCEPT, asked, KEYED, attributes))

    def test_keys_are_the_halves_of_the_msk(self) -> None:
        """MS-MPPE-Recv-Key is the first half of the MSK and Send-Key the second, each under a salt of its own."""
        asked, answer = self.accept()
        hidden = [
            find_vendor(answer, VendorId.MICROSOFT, kind)
            for kind in (MicrosoftAttribute.MPPE_RECV_KEY, MicrosoftAttribute.MPPE_SEND_KEY)
        ]
        assert all(hidden)
        keys = [reveal_salted(value or b"", KEYED, asked.authenticator) for value in hidden]
        assert keys == [MSK[:32], MSK[32:]]
        salts = [(value or b"")[:2] for value in hidden]
        assert salts[0] != salts[1]
        assert all(salt[0] & 0x80 for salt in salts)

    def test_has_eap_success_and_the_visible_name(self) -> None:
        """EAP-Success and the outer name are there, and no Class or Reply-Message."""
        _, answer = self.accept()
        assert concatenate(answer, AttributeType.EAP_MESSAGE) == SUCCESS
        assert find(answer, AttributeType.USER_NAME) == b"anonymous@west.example"
        assert set(answer.types) == {
            AttributeType.MESSAGE_AUTHENTICATOR,
            AttributeType.EAP_MESSAGE,
            AttributeType.USER_NAME,
            AttributeType.VENDOR_SPECIFIC,
        }

    def test_short_msk_is_no_key(self) -> None:
        """An MSK that does not give two keys is an error, never a short key."""
        with pytest.raises(ValueError, match="64 octets"):
            build_accept_attributes(request(), KEYED, eap=SUCCESS, msk=bytes(32), name=b"a@b.c", cui=None, salt=1)


class TestAlias:
    ASKED = (AttributeType.CHARGEABLE_USER_IDENTITY, b"\0")

    def alias(self, *attributes: tuple[int, bytes], user: str = "anna") -> bytes | None:
        return build_alias(request(*attributes), b"k" * 32, user, "west.example")

    def test_only_when_asked_for(self) -> None:
        """Without the attribute in the request there is none in the answer (RFC 4372 §2.1)."""
        assert self.alias((AttributeType.OPERATOR_NAME, b"1east.example")) is None

    def test_not_without_knowing_who_asks(self) -> None:
        """Without Operator-Name an alias would be the same everywhere."""
        assert self.alias(self.ASKED) is None

    def test_differs_between_libraries_and_patrons_only(self) -> None:
        """The same patron at the same library has one alias, in any case of their name; elsewhere another."""
        east, north = (AttributeType.OPERATOR_NAME, b"1east.example"), (AttributeType.OPERATOR_NAME, b"1north.example")
        at_east = self.alias(self.ASKED, east)
        assert at_east == self.alias(self.ASKED, east, user="ANNA")
        assert len({at_east, self.alias(self.ASKED, north), self.alias(self.ASKED, east, user="bram")}) == 3
        assert b"anna" not in (at_east or b"")
