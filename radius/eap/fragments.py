"""TLS messages within EAP (RFC 5216 §3.1): cut to size, acknowledged piece by piece, and put together again.

    flags | [total length, 4 octets, with the first of several pieces] | piece

Flags: L (a length follows), M (more pieces follow), S (start), and the method's version in the low bits.
"""

from collections import deque
from typing import Final

LENGTH_INCLUDED: Final = 0x80
MORE_FRAGMENTS: Final = 0x40
START: Final = 0x20
MIN_FRAGMENT_OCTETS: Final = 100
MAX_MESSAGE_OCTETS: Final = 20_480  # a client's longest flight, with a chain of certificates, is below
MAX_FRAGMENTS: Final = 210  # of one message: that many octets in pieces of 100


class FragmentError(ValueError):
    """What came is no piece of a message, or is too much."""


class Fragments:
    """Both directions of one conversation; EAP goes in lock-step, so one of them works at a time."""

    __slots__ = ("_announced", "_count", "_fragment_octets", "_incoming", "_outgoing")

    def __init__(self, fragment_octets: int) -> None:
        """Pieces that we send hold at most so many octets of a message."""
        self._fragment_octets = max(fragment_octets, MIN_FRAGMENT_OCTETS)
        self._incoming: list[bytes] = []
        self._count = 0
        self._announced: int | None = None
        self._outgoing: deque[bytes] = deque()

    def receive(self, data: bytes) -> bytes | None:
        """Take a piece; returns the whole message, or None when the next piece of either side has to go first.

        After None, `next_piece` is what to send: our next piece, or the acknowledgement that asks for theirs.

        Raises:
            FragmentError: it is no piece, or the message grows too large.
        """
        if not data:
            raise FragmentError("a message without flags")
        flags, piece = data[0], data[1:]
        if flags & LENGTH_INCLUDED:
            announced = int.from_bytes(piece[:4])
            if len(piece) < 4 or announced > MAX_MESSAGE_OCTETS or self._announced not in (None, announced):
                raise FragmentError("a length that can not be")
            self._announced = announced
            piece = piece[4:]
        if self._outgoing:
            if piece or flags & MORE_FRAGMENTS:
                raise FragmentError("data in place of an acknowledgement")
            self._announced = None
            return None
        self._incoming.append(piece)
        self._count += len(piece)
        if self._count > MAX_MESSAGE_OCTETS or len(self._incoming) > MAX_FRAGMENTS:
            raise FragmentError("too large a message")
        if flags & MORE_FRAGMENTS:
            if not piece:
                raise FragmentError("an empty piece of several")
            return None
        if self._announced not in (None, self._count):
            raise FragmentError("another length than was announced")
        message = b"".join(self._incoming)
        self._incoming, self._count, self._announced = [], 0, None
        return message

    def send(self, message: bytes) -> bytes:
        """Return the first piece of a message; the others follow from `next_piece`."""
        size = self._fragment_octets
        pieces = [message[at : at + size] for at in range(0, len(message), size)] or [b""]
        last = len(pieces) - 1
        for number, piece in enumerate(pieces):
            flags = MORE_FRAGMENTS if number < last else 0
            if last and not number:
                self._outgoing.append(bytes((flags | LENGTH_INCLUDED,)) + len(message).to_bytes(4) + piece)
            else:
                self._outgoing.append(bytes((flags,)) + piece)
        return self._outgoing.popleft()

    def next_piece(self) -> bytes:
        """Return our next piece; when there is none, the acknowledgement that asks for the device's next one."""
        return self._outgoing.popleft() if self._outgoing else b"\x00"
