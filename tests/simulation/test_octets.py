"""The second RADIUS, against the examples of the RFCs and against the first."""

from random import Random

import pytest

from radius.errors import DropReason
from radius.wire.authenticators import KeyedSecret, Verdict, verify_message_authenticator
from radius.wire.hiding import reveal_salted, reveal_user_password
from radius.wire.packet import parse_packet
from tests.simulation import octets
from tests.simulation.octets import Read

SECRET = b"xyzzy5461"
# RFC 2865 §7.1: nemo's Access-Request and its answer.
NEMO = bytes.fromhex(
    "010000380f403f9473978057bd83d5cb98f4227a01066e656d6f02120dbe708d93d413ce3196e43f782a0aee0406c0a80110050600000003"
)
NEMO_ACCEPT = bytes.fromhex("0200002686fe220e7624ba2a1005f6bf9b55e0b20606000000010f06000000000e06c0a80103")


def take_apart(datagram: bytes) -> Read:
    packet = octets.read(datagram)
    assert packet is not None
    return packet


class TestExamples:
    def test_password_of_the_example_is_revealed(self) -> None:
        """The password of RFC 2865 §7.1 is arctangent."""
        packet = take_apart(NEMO)
        hidden = packet.first(octets.USER_PASSWORD)
        assert octets.reveal_password(hidden, SECRET, packet.authenticator) == b"arctangent"
        assert octets.hide_password(b"arctangent", SECRET, packet.authenticator) == hidden

    def test_answer_without_message_authenticator_is_not_believed(self) -> None:
        """Here, an answer to a login has to have it (CVE-2024-3596)."""
        assert not octets.is_answer_right(take_apart(NEMO_ACCEPT), NEMO[4:20], SECRET)


class TestAgainstTheFirst:
    @pytest.mark.parametrize("seed", range(8))
    def test_both_agree(self, seed: int) -> None:
        """What one signs or hides, the other verifies and reveals."""
        random = Random(seed)
        authenticator, key = random.randbytes(16), random.randbytes(random.randrange(1, 64))
        keyed = KeyedSecret(SECRET)
        request = octets.sign_access_request(1, 9, authenticator, [(1, b"bob@home.example")], SECRET)
        packet = parse_packet(request)
        assert not isinstance(packet, DropReason)
        assert verify_message_authenticator(packet, keyed) is Verdict.VALID
        assert octets.is_request_right(take_apart(request), SECRET)
        assert not octets.is_request_right(take_apart(request), b"another")
        hidden = octets.hide_key(key, b"\x80\x01", SECRET, authenticator)
        assert reveal_salted(hidden, keyed, authenticator) == key == octets.reveal_key(hidden, SECRET, authenticator)
        password = octets.hide_password(key, SECRET, authenticator)
        assert reveal_user_password(password, keyed, authenticator) == key.rstrip(b"\0")

    @pytest.mark.parametrize("at", [0, 3, 5, 19, 21, 25, 40])
    def test_answer_with_one_other_bit_is_not_believed(self, at: int) -> None:
        """Every octet of an answer is covered."""
        answer = octets.sign_answer(2, 9, bytes(16), [(25, b"class of one")], SECRET)
        assert octets.is_answer_right(take_apart(answer), bytes(16), SECRET)
        other = octets.read(answer[:at] + bytes((answer[at] ^ 1,)) + answer[at + 1 :])
        assert other is None or not octets.is_answer_right(other, bytes(16), SECRET)


class TestReading:
    @pytest.mark.parametrize("length", range(len(NEMO)))
    def test_no_beginning_of_a_packet_is_one(self, length: int) -> None:
        """A datagram that ends before its packet does is none."""
        assert octets.read(NEMO[:length]) is None

    @pytest.mark.parametrize("size", [0, 1, 255])
    def test_attribute_of_impossible_length_is_refused(self, size: int) -> None:
        """An attribute says how long it is, and it is not believed blindly."""
        assert octets.read(NEMO[:21] + bytes((size,)) + NEMO[22:]) is None
