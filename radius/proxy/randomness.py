"""Unpredictable octets for authenticators and identifiers."""

import os
from typing import Final

POOL_OCTETS: Final = 4096


class RandomPool:
    """Unpredictable octets from the kernel, fetched in larger pieces."""

    __slots__ = ("_at", "_octets")

    def __init__(self) -> None:
        """Nothing is fetched yet."""
        self._octets = b""
        self._at = 0

    def take(self, count: int) -> bytes:
        """Return so many octets, which nobody had before."""
        start = self._at
        end = start + count
        if end > len(self._octets):
            self._octets = os.urandom(POOL_OCTETS)
            start, end = 0, count
        self._at = end
        return self._octets[start:end]
