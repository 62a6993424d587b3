"""EAP packets, fragments and AVPs: what is well formed, and what is refused without a fuss."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius.eap.avps import USER_NAME, USER_PASSWORD, build_avp, parse_avps
from radius.eap.fragments import MAX_MESSAGE_OCTETS, FragmentError, Fragments
from radius.eap.packet import EapCode, EapType, build_eap, build_end, parse_eap


class TestPacket:
    def test_round_trip(self) -> None:
        """What is built is parsed."""
        packet = parse_eap(build_eap(EapCode.RESPONSE, 7, EapType.IDENTITY, b"a@b"))
        assert packet is not None
        assert (packet.code, packet.identifier, packet.kind, packet.data) == (2, 7, 1, b"a@b")

    @pytest.mark.parametrize("end", range(9))
    def test_every_truncation_is_none(self, end: int) -> None:
        """Length says what is there, or it is no packet (RFC 3748 §4)."""
        assert parse_eap(build_eap(EapCode.RESPONSE, 7, EapType.IDENTITY, b"a@b")[:end] if end < 8 else b"") is None

    def test_success_and_failure_are_no_requests(self) -> None:
        """Only requests and responses have a type."""
        assert parse_eap(build_end(EapCode.SUCCESS, 1)) is None
        assert parse_eap(bytes((EapCode.FAILURE, 1, 0, 5, 1))) is None


class TestAvps:
    AVPS = build_avp(USER_NAME, b"anna@a.example") + build_avp(USER_PASSWORD, b"secret".ljust(16, b"\x00"))

    def test_round_trip(self) -> None:
        """What is built is parsed, vendor and padding included."""
        vendor = build_avp((311, 25), b"x" * 50)
        found = parse_avps(self.AVPS + vendor)
        assert found is not None
        assert found[USER_NAME] == b"anna@a.example"
        assert found[311, 25] == b"x" * 50

    def test_no_truncation_is_taken_for_whole(self) -> None:
        """A cut list is refused, or is the list of the pairs that are whole (RFC 5281 §10.1)."""
        whole = parse_avps(self.AVPS)
        for end in range(len(self.AVPS)):
            found = parse_avps(self.AVPS[:end])
            assert found is None or found.items() <= (whole or {}).items()

    def test_pair_that_comes_twice_is_refused(self) -> None:
        """Two names leave open who it is."""
        assert parse_avps(self.AVPS + build_avp(USER_NAME, b"other")) is None

    @given(st.binary(max_size=300))
    def test_any_octets_are_judged(self, octets: bytes) -> None:
        """Whatever comes out of the tunnel, the parser ends with a verdict."""
        found = parse_avps(octets)
        assert found is None or sum(map(len, found.values())) <= len(octets)


class TestFragments:
    @pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 1024, 5000])
    @pytest.mark.parametrize("piece", [100, 1024])
    def test_message_arrives_whole(self, size: int, piece: int) -> None:
        """What one side cuts the other puts together, piece by acknowledged piece (RFC 5216 §2.1.5)."""
        message = bytes(number % 251 for number in range(size))
        sender, receiver = Fragments(piece), Fragments(piece)
        data = sender.send(message)
        for _ in range(100):
            whole = receiver.receive(data)
            if whole is not None:
                assert whole == message
                return
            assert sender.receive(receiver.next_piece()) is None
            data = sender.next_piece()
        pytest.fail("no end")

    def test_message_grows_to_a_bound(self) -> None:
        """A device that never ends its message is ended."""
        fragments = Fragments(1024)
        with pytest.raises(FragmentError):
            for _ in range(MAX_MESSAGE_OCTETS // 1000 + 2):
                assert fragments.receive(b"\x40" + bytes(1000)) is None

    @pytest.mark.parametrize(
        "data",
        [b"", b"\x80", b"\x80\x00\x00\x00", b"\x80\xff\xff\xff\xff", b"\x40"],
        ids=lambda each: each.hex() or "none",
    )
    def test_what_is_no_piece_is_refused(self, data: bytes) -> None:
        """No flags, a cut or impossible length, an empty piece of several."""
        with pytest.raises(FragmentError):
            Fragments(1024).receive(data)

    @pytest.mark.parametrize("pieces", [[b"\x80\0\0\0\x09data"], [b"\xc0\0\0\0\x08data", b"\x80\0\0\0\x09data"]])
    def test_length_that_lies_is_refused(self, pieces: list[bytes]) -> None:
        """A message is as long as was announced, and each piece announces the same (RFC 5216 §3.1)."""
        fragments = Fragments(1024)
        for piece in pieces[:-1]:
            assert fragments.receive(piece) is None
        with pytest.raises(FragmentError):
            fragments.receive(pieces[-1])

    def test_length_may_stand_in_each_piece(self) -> None:
        """Some send it with the first piece only, some with all, some with a message that is whole."""
        fragments = Fragments(1024)
        assert fragments.receive(b"\xc0\0\0\0\x08data") is None
        assert fragments.receive(b"\x80\0\0\0\x08data") == b"datadata"
        assert fragments.receive(b"\x80\0\0\0\x04data") == b"data"

    def test_data_in_place_of_an_acknowledgement_is_refused(self) -> None:
        """EAP is lock-step: who is being sent pieces has nothing to say."""
        fragments = Fragments(100)
        fragments.send(bytes(500))
        with pytest.raises(FragmentError):
            fragments.receive(b"\x00data")
