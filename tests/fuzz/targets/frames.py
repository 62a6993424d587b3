"""A stream of octets in pieces of any size: the same packets come out as if it had come at once."""

from radius.errors import DropReason
from radius.wire.framing import PacketFrames
from radius.wire.packet import MAX_PACKET_OCTETS
from tests.fuzz.script import Script


def exercise(octets: bytes) -> None:
    """The first field holds the sizes of the pieces; the rest is the stream."""
    script = Script(octets)
    sizes = script.take_field()[:200] or b"\x01"
    stream = script.take_rest()
    whole, is_broken = _cut(stream)
    frames = PacketFrames()
    packets: list[bytes] = []
    at = number = 0
    while at < len(stream):
        piece = stream[at : at + 1 + sizes[number % len(sizes)] * 5]
        at, number = at + len(piece), number + 1
        received = frames.receive(piece)
        if isinstance(received, DropReason):
            assert is_broken
            assert frames.receive(b"") is received
            assert frames.pending_octets == 0
            # What stood before the bad Length in the same piece is lost with the connection.
            assert packets == whole[: len(packets)]
            return
        packets += received
        assert frames.pending_octets < MAX_PACKET_OCTETS
        assert b"".join(packets) == stream[: at - frames.pending_octets]
    assert packets == whole
    assert not is_broken


def _cut(stream: bytes) -> tuple[list[bytes], bool]:
    """The packets, and whether a Length that can not be ends them."""
    packets: list[bytes] = []
    while len(stream) >= 4:
        length = int.from_bytes(stream[2:4])
        if not 20 <= length <= MAX_PACKET_OCTETS:
            return packets, True
        if len(stream) < length:
            break
        packets.append(stream[:length])
        stream = stream[length:]
    return packets, False
