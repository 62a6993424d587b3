"""Both ends of RADIUS/1.1 against a second implementation of it, with pyrad as the RADIUS/1.0 behind our edge."""

import asyncio
import re
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius.exchange.edges import ClientEdge, ServerEdge
from radius.wire.authenticators import KeyedSecret
from tests.radius.transport.tls.members import Authority, names_of
from tests.support.radius11 import (
    DICTIONARY,
    OPEN_DICTIONARY,
    Identity,
    Message,
    Values,
    Violation,
    build_context,
    connecting,
    decode,
    encode,
    serving,
)

# Any: pyrad has no types.
pyrad_packet: Any = import_module("pyrad.packet")
pyrad_dictionary: Any = import_module("pyrad.dictionary")

SECRET = b"radsec"
EDGE = KeyedSecret(SECRET)
NONCE = bytes(range(32))
TOKEN = 0xFEDCBA98
KEY = bytes(range(32))
# The same attributes as RADIUS/1.0 has them: hidden.
HIDDEN = re.compile(r"(MS-MPPE-.*|Aruba-.*)")
OLD: Any = pyrad_dictionary.Dictionary(
    StringIO(HIDDEN.sub(r"\1 encrypt=2", OPEN_DICTIONARY).replace("has_tag", "has_tag,encrypt=2"))
)
passwords = st.binary(min_size=1, max_size=128).filter(lambda password: password[-1] != 0)
keys = st.binary(min_size=1, max_size=200)


def enter(octets: bytes) -> tuple[ServerEdge, int, Any]:
    """Take a request of the peer in; pyrad reads what comes out."""
    edge = ServerEdge(EDGE, NONCE)
    received = edge.receive(octets, 1.0)
    assert isinstance(received, tuple), received
    kinds = {1: pyrad_packet.AuthPacket, 4: pyrad_packet.AcctPacket, 40: pyrad_packet.CoAPacket}
    kind = kinds.get(octets[0], pyrad_packet.Packet)
    return edge, received[0], kind(packet=received[1], secret=SECRET, dict=OLD)


def answer(edge: ServerEdge, source: int, request: Any, code: int, values: Values) -> Message:
    """Answer with pyrad; the peer reads what leaves."""
    reply = request.CreateReply()
    reply.code = code
    for name, value in values:
        reply.AddAttribute(name, value)
    if code != 5:
        reply.add_message_authenticator()
    sent = edge.answer(source, reply.ReplyPacket())
    assert isinstance(sent, bytes), sent
    return decode(sent)


def leave(code: int, values: Values, password: bytes | None = None) -> tuple[ClientEdge, Any, Message]:
    """Send a request of pyrad's; the peer reads what leaves."""
    kind = pyrad_packet.AcctPacket if code == 4 else pyrad_packet.AuthPacket
    request = kind(code=code, id=9, secret=SECRET, dict=OLD)
    request.authenticator = request.CreateAuthenticator()
    for name, value in values:
        request.AddAttribute(name, value)
    if password is not None:
        request[2] = [request.PwCrypt(password)]
    if code != 4:
        request.add_message_authenticator()
    edge = ClientEdge(EDGE, TOKEN)
    sent = edge.send(3, request.RequestPacket())
    assert isinstance(sent, bytes), sent
    return edge, request, decode(sent)


class TestListeningEnd:
    @given(st.text(min_size=1).filter(lambda text: len(text.encode()) <= 128 and text[-1] != "\0"))
    def test_peers_request_is_read_by_pyrad(self, password: str) -> None:
        """Its Message-Authenticator is right, and the password is there."""
        values = [("User-Name", "wieke@lib.example"), ("User-Password", password.encode())]
        _, source, request = enter(encode(1, TOKEN, values))
        assert (source, request.id) == (TOKEN >> 8, TOKEN & 0xFF)
        assert request.verify_message_authenticator()
        assert request["User-Name"] == ["wieke@lib.example"]
        assert request.PwDecrypt(request[2][0]) == password

    def test_accounting_is_read_by_pyrad(self) -> None:
        """Its computed authenticator is right, and its answer has the peer's Token."""
        values = [("User-Name", "anon@lib.example"), ("Acct-Status-Type", 1), ("Acct-Session-Id", "7")]
        edge, source, request = enter(encode(4, TOKEN, values))
        assert request.VerifyAcctRequest()
        message = answer(edge, source, request, 5, [])
        assert (message.code, message.token) == (5, TOKEN)

    @given(keys, keys, st.integers(0, 0x1F), keys, st.lists(st.binary(min_size=1, max_size=60), max_size=3))
    def test_pyrads_answer_is_read_by_the_peer(
        self, send_key: bytes, receive_key: bytes, tag: int, password: bytes, states: list[bytes]
    ) -> None:
        """Keys and passwords that pyrad hid come out as they were, Proxy-States as they are."""
        edge, source, request = enter(encode(1, TOKEN, [("Proxy-State", each) for each in states]))
        values = [
            ("MS-MPPE-Send-Key", send_key),
            ("MS-MPPE-Recv-Key", receive_key),
            (f"Tunnel-Password:{tag}", password),
            ("Aruba-MPSK-Passphrase", KEY),
            ("Class", b"\x00\xff"),
        ]
        message = answer(edge, source, request, 2, values)
        assert (message.code, message.token) == (2, TOKEN)
        assert message.get("MS-MPPE-Send-Key") == [send_key]
        assert message.get("MS-MPPE-Recv-Key") == [receive_key]
        assert message.get(f"Tunnel-Password:{tag}") == [password]
        assert message.get("Aruba-MPSK-Passphrase") == [KEY]
        assert message.get("Class") == [b"\x00\xff"]
        assert message.get("Proxy-State") == states


class TestDiallingEnd:
    @given(passwords)
    def test_pyrads_request_is_read_by_the_peer(self, password: bytes) -> None:
        """The password is there as it is, and nothing that RADIUS/1.1 forbids."""
        values = [("User-Name", "wieke@lib.example"), ("State", b"s"), ("Proxy-State", b"p")]
        _, _, message = leave(1, values, password)
        assert (message.code, message.token) == (1, TOKEN)
        assert message.get("User-Password") == [password]
        assert [message.get(name) for name, _ in values] == [["wieke@lib.example"], [b"s"], [b"p"]]

    def test_chap_and_accounting_are_read_by_the_peer(self) -> None:
        """CHAP has the challenge that its authenticator was."""
        _, request, message = leave(1, [("CHAP-Password", bytes(17))])
        assert message.get("CHAP-Challenge") == [request.authenticator]
        _, _, message = leave(4, [("Acct-Session-Id", "7"), ("Acct-Status-Type", 2)])
        assert (message.code, message.get("Acct-Session-Id")) == (4, ["7"])

    @given(keys, keys, st.integers(0, 0x1F), keys)
    def test_peers_answer_is_read_by_pyrad(
        self, send_key: bytes, receive_key: bytes, tag: int, password: bytes
    ) -> None:
        """It verifies as the answer to the request, and pyrad opens what is hidden in it."""
        edge, request, message = leave(1, [("User-Name", "anon@lib.example")])
        values = [
            ("MS-MPPE-Send-Key", send_key),
            ("MS-MPPE-Recv-Key", receive_key),
            (f"Tunnel-Password:{tag}", password),
            ("EAP-Message", b"\3\1\0\4"),
        ]
        received = edge.receive(encode(2, message.token, values))
        assert isinstance(received, tuple), received
        flow, octets = received
        reply = request.CreateReply(packet=octets)
        reply.request_authenticator = request.authenticator
        assert flow == 3
        assert request.VerifyReply(reply, octets)
        assert reply["MS-MPPE-Send-Key"] == [send_key]
        assert reply["MS-MPPE-Recv-Key"] == [receive_key]
        assert reply[f"Tunnel-Password:{tag}"] == [password]
        assert reply["EAP-Message"] == [b"\3\1\0\4"]

    def test_password_without_a_tag_is_read_by_pyrad(self) -> None:
        """As FreeRADIUS and pyrad send it where there is no tag."""
        edge, request, message = leave(1, [])
        sent = encode(2, message.token, [("Tunnel-Password", b"secret")])
        assert sent.endswith(b"\x45\x08secret")
        received = edge.receive(sent)
        assert isinstance(received, tuple)
        reply = request.CreateReply(packet=received[1])
        reply.request_authenticator = request.authenticator
        assert reply["Tunnel-Password"] == [b"secret"]


class TestPeer:
    """The second implementation notices what it is there for, and speaks with itself over TLS."""

    @pytest.mark.parametrize(
        ("octets", "rule"),
        [
            (encode(1, 7, [])[:1] + b"\1" + encode(1, 7, [])[2:], "§4.1"),
            (encode(1, 7, [])[:19] + b"\1", "§4.1"),
            (bytes.fromhex("01000026000000070000000000000000000000005012") + bytes(16), "§5.2"),
            (bytes.fromhex("0100001b000000070000000000000000000000 00f10704 00000001"), "§5.5"),
            (bytes.fromhex("01000016000000070000000000000000000000000202"), "§5.1.1"),
            (encode(1, 7, [("User-Password", bytes(129))]), "§5.1.1"),
            (encode(1, 7, [("CHAP-Password", bytes(17))]), "§5.1.2"),
            (encode(1, 7, []) + b"x", "Length"),
        ],
    )
    def test_violation_is_noticed(self, octets: bytes, rule: str) -> None:
        """Each MUST NOT that it watches."""
        with pytest.raises(Violation, match=rule):
            decode(octets)

    async def test_it_speaks_with_itself(self, tmp_path: Path) -> None:
        """A hundred requests at once on one connection, answered in another order."""
        authority = Authority()
        identities: list[Identity] = []
        for number, host in enumerate(("home.lib.example", "fed.example")):
            credentials = authority.credentials(authority.issue(names_of(host)))
            identity = Identity(tmp_path / f"{number}.pem", tmp_path / f"{number}.key", tmp_path / "anchors.pem")
            identity.certificate.write_bytes(credentials.chain_pem)
            identity.key.write_bytes(credentials.key_pem)
            identity.anchors.write_bytes(authority.pem)
            identities.append(identity)

        def reply(message: Message) -> tuple[int, Values]:
            return 2, [("Class", message.get("State")[0]), ("MS-MPPE-Send-Key", KEY)]

        async with serving(reply, build_context(identities[0], is_server=True)) as server:
            context = build_context(identities[1], is_server=False)
            async with connecting(server.port, context, "home.lib.example") as client:
                assert (client.protocol, client.tls_version) == ("radius/1.1", "TLSv1.3")
                states = [str(number).encode() for number in range(100)]
                answers = await asyncio.gather(*(client.ask(1, [("State", state)]) for state in states))
        assert [each.get("Class") for each in answers] == [[state] for state in states]
        assert len({each.token for each in server.requests}) == 100
        assert DICTIONARY is not OLD
