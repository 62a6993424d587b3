"""How much of the proxy one realm and one client may hold: with one compartment full, the ship still floats."""

from typing import Final

MAX_OUTSTANDING_PER_REALM: Final = 4_080  # a quarter of what one next hop can hold: 64 source ports times 255
MAX_OUTSTANDING_PER_SILENT_REALM: Final = 255  # one source port: many silent realms leave room behind a shared hop
MAX_OUTSTANDING_PER_CLIENT: Final = 8_192  # more than a realm's: a client has patrons of others, too


class Bulkhead:
    """What each of a kind has outstanding, up to a bound."""

    __slots__ = ("_counts", "limit")

    def __init__(self, limit: int) -> None:
        """Nobody has anything outstanding."""
        self.limit = limit
        self._counts: dict[str, int] = {}

    def count_of(self, name: str) -> int:
        """What it has outstanding."""
        return self._counts.get(name, 0)

    def is_full(self, name: str) -> bool:
        """Whether it may have no more."""
        return self._counts.get(name, 0) >= self.limit

    def enter(self, name: str) -> None:
        """One more is outstanding."""
        self._counts[name] = self._counts.get(name, 0) + 1

    def leave(self, name: str) -> None:
        """One less; only who entered leaves."""
        left = self._counts[name] - 1
        if left:
            self._counts[name] = left
        else:
            del self._counts[name]
