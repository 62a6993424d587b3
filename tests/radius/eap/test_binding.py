import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius.eap.binding import BINDING_TYPE, NONCE_OCTETS, RESULT_FAILURE, RESULT_SUCCESS, BoundKeys, parse_tlvs

KEYS = BoundKeys.derive(bytes(range(60)), bytes(32))
NONCE = bytes(NONCE_OCTETS)


class TestBoundKeys:
    @pytest.mark.parametrize("is_response", [False, True], ids=["request", "response"])
    def test_what_one_side_builds_the_other_verifies(self, *, is_response: bool) -> None:
        """Both have the keys of the tunnel and of the password (MS-PEAP §3.1.5.5)."""
        binding = KEYS.build(NONCE, is_response=is_response)
        assert KEYS.verify(binding, is_response=is_response)
        assert len(binding) == 60

    def test_question_is_no_answer(self) -> None:
        """What the server sent does not come back as the device's."""
        assert not KEYS.verify(KEYS.build(NONCE), is_response=True)
        assert not KEYS.verify(KEYS.build(NONCE, is_response=True))

    def test_other_tunnel_or_other_password_does_not_fit(self) -> None:
        """Whoever carries a device's answer into a tunnel of his own is found out."""
        for other in (BoundKeys.derive(bytes(60), bytes(32)), BoundKeys.derive(bytes(range(60)), bytes(31) + b"\1")):
            assert not KEYS.verify(other.build(NONCE))
            assert other.msk != KEYS.msk

    @given(st.integers(0, 59), st.integers(0, 7))
    def test_any_changed_bit_is_seen(self, at: int, bit: int) -> None:
        """Each bit of the TLV is under the MAC, its header too."""
        binding = bytearray(KEYS.build(NONCE))
        binding[at] ^= 1 << bit
        assert not KEYS.verify(bytes(binding))

    def test_other_lengths_are_none(self) -> None:
        """A TLV that was cut or grew proves nothing."""
        binding = KEYS.build(NONCE)
        assert not any(KEYS.verify(binding[:end]) for end in range(60))
        assert not KEYS.verify(binding + b"\0")

    def test_keys_are_not_shown(self) -> None:
        """A log that meets them by accident shows nothing."""
        assert repr(KEYS) == "BoundKeys()"


class TestParseTlvs:
    def test_each_is_found_whole(self) -> None:
        """By its type, without the mandatory bit."""
        binding = KEYS.build(NONCE)
        assert parse_tlvs(RESULT_SUCCESS + binding) == {3: RESULT_SUCCESS, BINDING_TYPE: binding}
        assert parse_tlvs(b"") == {}

    def test_no_truncation_is_taken_for_whole(self) -> None:
        """Lengths have to fit."""
        assert [parse_tlvs(RESULT_SUCCESS[:end]) for end in range(1, 6)] == [None] * 5

    def test_contradiction_is_none(self) -> None:
        """Success and failure in one packet are neither."""
        assert parse_tlvs(RESULT_SUCCESS + RESULT_FAILURE) is None

    @given(st.binary(max_size=100))
    def test_any_octets_are_judged(self, data: bytes) -> None:
        """The TLVs that are found are the data."""
        found = parse_tlvs(data)
        assert found is None or b"".join(found.values()) == data
