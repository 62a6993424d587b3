"""Octets read as choices: a script that a target follows; beyond its end every choice is nought."""


class Script:
    """A reader that never fails, so that every input is a meaningful one."""

    __slots__ = ("_at", "_octets")

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    @property
    def is_at_end(self) -> bool:
        return self._at >= len(self._octets)

    def take_octet(self) -> int:
        taken = self.take(1)
        return taken[0] if taken else 0

    def take(self, count: int) -> bytes:
        """So many octets, or what is left."""
        taken = self._octets[self._at : self._at + count]
        self._at += len(taken)
        return taken

    def take_field(self) -> bytes:
        """Octets behind two of length."""
        return self.take(int.from_bytes(self.take(2)))

    def take_rest(self) -> bytes:
        return self.take(len(self._octets))


def build_field(octets: bytes) -> bytes:
    """Octets as `take_field` reads them."""
    return len(octets).to_bytes(2) + octets
