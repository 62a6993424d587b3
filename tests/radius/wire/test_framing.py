"""Tests of cutting a stream into packets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius.errors import DropReason
from radius.wire.framing import PacketFrames
from tests.radius.wire.packets import build_datagram
from tests.vectors.rfc import PACKETS


class TestFrames:
    @given(st.lists(st.integers(1, 60), min_size=1, max_size=40))
    def test_packets_survive_any_cut(self, sizes: list[int]) -> None:
        """One read is not one packet: however the stream is cut, the same packets come out in order (RFC 6613 §2.6)."""
        stream = b"".join(PACKETS)
        frames = PacketFrames()
        found: list[bytes] = []
        start = 0
        for size in [*sizes, len(stream)]:
            packets = frames.receive(stream[start : start + size])
            assert not isinstance(packets, DropReason)
            found += packets
            start += size
        assert found == list(PACKETS)
        assert frames.pending_octets == 0

    def test_unfinished_packet_waits(self) -> None:
        """Octets of an unfinished packet are counted, so that a deadline can run for them."""
        frames = PacketFrames()
        assert frames.receive(PACKETS[0][:3]) == []
        assert frames.receive(PACKETS[0][3:21]) == []
        assert frames.pending_octets == 21

    @pytest.mark.parametrize("length", [0, 19, 4097, 65535])
    def test_impossible_length_ends_the_stream(self, length: int) -> None:
        """After a Length that can not be, nothing is found again: the connection closes (RFC 6613 §2.6.4)."""
        frames = PacketFrames()
        assert frames.receive(build_datagram(b"", length=length)[:4]) is DropReason.LENGTH_FIELD
        assert frames.receive(PACKETS[0]) is DropReason.LENGTH_FIELD
        assert frames.pending_octets == 0

    def test_limit_can_be_set(self) -> None:
        """A larger packet passes where the limit allows it (RFC 7930)."""
        octets = bytes((1, 1)) + (5000).to_bytes(2) + bytes(4996)
        assert PacketFrames(65535).receive(octets) == [octets]
