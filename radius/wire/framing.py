"""Octets of a stream (RFC 6613, RFC 6614) cut into packets, with limits against a peer that stalls or lies."""

from typing import Final

from radius.errors import DropReason
from radius.wire.packet import HEADER_OCTETS, MAX_PACKET_OCTETS

_LENGTH_END: Final = 4  # Code, Identifier, Length (RFC 2865 §3)


class PacketFrames:
    """The incoming half of one connection.

    Packets come out whole, in order, and not looked into: `parse_packet` judges them. A Length below 20 or above the
    limit ends the stream, as nothing after it can be found again (RFC 6613 §2.6.4): close the connection.
    """

    __slots__ = ("_buffer", "_failure", "_max_packet_octets")

    def __init__(self, max_packet_octets: int = MAX_PACKET_OCTETS) -> None:
        self._buffer = bytearray()
        self._failure: DropReason | None = None
        self._max_packet_octets = max_packet_octets

    @property
    def pending_octets(self) -> int:
        """How many octets of an unfinished packet wait; while it is not 0, the peer's read deadline runs."""
        return len(self._buffer)

    def receive(self, octets: bytes) -> list[bytes] | DropReason:
        """Return the packets that are complete now, or why the connection has to be closed.

        What stands before a bad Length in the same octets is lost with the connection. After a failure every call
        returns it again.
        """
        if self._failure is not None:
            return self._failure
        buffer = self._buffer
        buffer += octets
        packets: list[bytes] = []
        start = 0
        while len(buffer) - start >= _LENGTH_END:
            length = buffer[start + 2] << 8 | buffer[start + 3]
            if not HEADER_OCTETS <= length <= self._max_packet_octets:
                buffer.clear()
                self._failure = DropReason.LENGTH_FIELD
                return self._failure
            if len(buffer) - start < length:
                break
            packets.append(bytes(buffer[start : start + length]))
            start += length
        del buffer[:start]
        return packets
