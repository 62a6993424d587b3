"""Round trips against pyrad: two implementations that agree are the oracle of each other."""

from importlib import import_module
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius.wire.attributes import find_all, find_vendor
from radius.wire.authenticators import (
    Verdict,
    decide_request_authenticity,
    decide_response_authenticity,
    sign_request,
    sign_response,
    verify_message_authenticator,
    verify_request_authenticator,
)
from radius.wire.codes import AttributeType, Code, MicrosoftAttribute, VendorId
from radius.wire.hiding import hide_salted, hide_user_password, reveal_salted, reveal_user_password
from radius.wire.packet import build_attribute, build_vendor_attribute
from radius.wire.rewrite import build_filter, rewrite_request, rewrite_response
from tests.radius.wire.packets import (
    CLIENT,
    CLIENT_AUTHENTICATOR,
    HOME,
    KEY,
    OWN_AUTHENTICATOR,
    USER_NAME,
    build_request,
    build_response,
    parse,
)

# Any: pyrad has no types.
pyrad_packet: Any = import_module("pyrad.packet")
pyrad_dictionary: Any = import_module("pyrad.dictionary")

DICTIONARY = pyrad_dictionary.Dictionary(
    StringIO(
        """
ATTRIBUTE User-Name 1 string
ATTRIBUTE User-Password 2 string encrypt=1
ATTRIBUTE State 24 octets
ATTRIBUTE Proxy-State 33 octets
ATTRIBUTE Tunnel-Password 69 octets has_tag,encrypt=2
ATTRIBUTE EAP-Message 79 octets
ATTRIBUTE Message-Authenticator 80 octets
VENDOR Microsoft 311
BEGIN-VENDOR Microsoft
ATTRIBUTE MS-MPPE-Send-Key 16 octets encrypt=2
ATTRIBUTE MS-MPPE-Recv-Key 17 octets encrypt=2
END-VENDOR Microsoft
"""
    )
)
SEND_KEY = (int(VendorId.MICROSOFT), int(MicrosoftAttribute.MPPE_SEND_KEY))
passwords = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=100).filter(
    lambda text: len(text.encode()) <= 128
)


def read_with_pyrad(octets: bytes, secret: bytes) -> Any:
    return pyrad_packet.AuthPacket(packet=octets, secret=secret, dict=DICTIONARY)


def answer_with_pyrad(request: bytes, secret: bytes, code: int, **attributes: object) -> bytes:
    reply = read_with_pyrad(request, secret).CreateReply()
    reply.code = int(code)
    for name, value in attributes.items():
        reply[name.replace("_", "-")] = value
    reply.add_message_authenticator()
    octets = reply.ReplyPacket()
    assert isinstance(octets, bytes)
    return octets


class TestRequests:
    @given(passwords, st.binary(min_size=1, max_size=200))
    def test_pyrads_request_is_read(self, password: str, state: bytes) -> None:
        """A request that pyrad built verifies, and its password comes out."""
        built = pyrad_packet.AuthPacket(
            code=1, id=7, secret=CLIENT.secret, authenticator=CLIENT_AUTHENTICATOR, dict=DICTIONARY
        )
        built.add_message_authenticator()
        built["User-Name"] = "anon@lib.example"
        built[2] = [built.PwCrypt(password)]
        built[24] = [state]
        packet = parse(built.RequestPacket())
        assert decide_request_authenticity(packet, CLIENT, requires_message_authenticator=True) is None
        assert packet.value_of(AttributeType.STATE) == state
        hidden = packet.value_of(AttributeType.USER_PASSWORD)
        assert reveal_user_password(hidden, CLIENT, CLIENT_AUTHENTICATOR) == password.encode()

    @given(passwords)
    def test_our_request_is_read_by_pyrad(self, password: str) -> None:
        """A request that we rewrote verifies with pyrad, which finds the password in it."""
        hidden = hide_user_password(password.encode(), CLIENT, CLIENT_AUTHENTICATOR)
        octets = rewrite_request(
            build_request(USER_NAME + build_attribute(2, hidden)),
            identifier=1,
            authenticator=OWN_AUTHENTICATOR,
            downstream=CLIENT,
            upstream=HOME,
            attribute_filter=build_filter(),
            proxy_state=b"token",
        )
        assert isinstance(octets, bytes)
        packet = read_with_pyrad(octets, HOME.secret)
        assert packet.verify_message_authenticator()
        assert packet.PwDecrypt(packet[2][0]) == password
        assert packet["Proxy-State"] == [b"token"]

    def test_accounting_request_is_read_both_ways(self) -> None:
        """Both compute the same Request Authenticator over accounting (RFC 2866 §3)."""
        built = pyrad_packet.AcctPacket(id=7, secret=CLIENT.secret, dict=DICTIONARY)
        built["User-Name"] = "anon@lib.example"
        packet = parse(built.RequestPacket())
        assert verify_request_authenticator(packet, CLIENT)
        ours = sign_request(
            Code.ACCOUNTING_REQUEST, 7, b"", packet.octets[20:], CLIENT, with_message_authenticator=False
        )
        assert ours == packet.octets

    def test_status_server_is_read_by_pyrad(self) -> None:
        """Our Status-Server verifies with pyrad (RFC 5997 §3)."""
        octets = sign_request(Code.STATUS_SERVER, 0, OWN_AUTHENTICATOR, b"", HOME)
        assert read_with_pyrad(octets, HOME.secret).verify_message_authenticator()


class TestResponses:
    @pytest.mark.parametrize("code", [Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE])
    def test_pyrads_answer_is_believed(self, code: Code) -> None:
        """An answer that pyrad signed verifies."""
        request = sign_request(Code.ACCESS_REQUEST, 9, OWN_AUTHENTICATOR, USER_NAME, HOME)
        packet = parse(answer_with_pyrad(request, HOME.secret, code, User_Name="anon@lib.example"))
        assert verify_message_authenticator(packet, HOME, OWN_AUTHENTICATOR) is Verdict.VALID
        assert (
            decide_response_authenticity(packet, HOME, OWN_AUTHENTICATOR, requires_message_authenticator=True) is None
        )

    @given(st.binary(min_size=1, max_size=100))
    def test_keys_travel_from_pyrad_to_pyrad(self, key: bytes) -> None:
        """Pyrad at home hides keys, the rewrite moves them, pyrad as the client reveals them (RFC 2548 §2.4.2)."""
        request = sign_request(Code.ACCESS_REQUEST, 9, OWN_AUTHENTICATOR, USER_NAME, HOME)
        octets = rewrite_response(
            parse(
                answer_with_pyrad(
                    request, HOME.secret, Code.ACCESS_ACCEPT, MS_MPPE_Send_Key=key, Tunnel_Password=key[::-1]
                )
            ),
            identifier=7,
            request_authenticator=CLIENT_AUTHENTICATOR,
            own_request_authenticator=OWN_AUTHENTICATOR,
            downstream=CLIENT,
            upstream=HOME,
            attribute_filter=build_filter(),
        )
        assert isinstance(octets, bytes)
        client = pyrad_packet.AuthPacket(
            code=1, id=7, secret=CLIENT.secret, authenticator=CLIENT_AUTHENTICATOR, dict=DICTIONARY
        )
        packet = client.CreateReply(packet=octets)
        assert client.VerifyReply(packet, octets, enforce_ma=True)
        packet.request_authenticator = CLIENT_AUTHENTICATOR
        assert packet["MS-MPPE-Send-Key"] == [key]
        assert packet["Tunnel-Password"] == [key[::-1]]

    def test_our_answer_is_believed_by_pyrad(self) -> None:
        """Pyrad verifies what we sign and reveals what we hide."""
        client = pyrad_packet.AuthPacket(
            code=1, id=7, secret=CLIENT.secret, authenticator=CLIENT_AUTHENTICATOR, dict=DICTIONARY
        )
        hidden = hide_salted(KEY, 1, CLIENT, CLIENT_AUTHENTICATOR)
        octets = sign_response(
            Code.ACCESS_ACCEPT, 7, CLIENT_AUTHENTICATOR, build_vendor_attribute(*SEND_KEY, hidden), CLIENT
        )
        packet = client.CreateReply(packet=octets)
        assert client.VerifyReply(packet, octets, enforce_ma=True)
        packet.request_authenticator = CLIENT_AUTHENTICATOR
        assert packet["MS-MPPE-Send-Key"] == [KEY]

    def test_pyrads_key_is_revealed(self) -> None:
        """A key that pyrad hid comes out."""
        request = sign_request(Code.ACCESS_REQUEST, 9, OWN_AUTHENTICATOR, USER_NAME, HOME)
        packet = parse(answer_with_pyrad(request, HOME.secret, Code.ACCESS_ACCEPT, MS_MPPE_Send_Key=KEY))
        hidden = find_vendor(packet, *SEND_KEY)
        assert hidden is not None
        assert reveal_salted(hidden, HOME, OWN_AUTHENTICATOR) == KEY


class TestWherePyradDiffers:
    def test_order_that_pyrad_would_change_is_kept(self) -> None:
        """Pyrad groups attributes by type; a proxy may not (RFC 2865 §2.3)."""
        body = build_attribute(33, b"a") + USER_NAME + build_attribute(33, b"b")
        packet = build_response(body)
        assert find_all(packet, 33) == [b"a", b"b"]
        assert packet.octets[20 + 18 :] == body
        assert read_with_pyrad(packet.octets, HOME.secret).raw_packet == packet.octets
