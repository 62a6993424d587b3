"""A mapping that is never changed, and of which a changed copy is cheap: only the parts that differ are copied.

A dict of 100,000 entries takes milliseconds to copy, in one piece, and whoever waits for the interpreter waits for all
of them. Here the entries lie in many small dicts, by the hash of their key, and a copy shares all but a few.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import repeat
from typing import Final, TypeVar

COUNT: Final = 1024  # 100 entries each where there are 100,000
MASK: Final = COUNT - 1

Value = TypeVar("Value")


class Shards(Mapping[str, Value]):
    """Values by names, such as realms or home servers."""

    __slots__ = ("_count", "labels", "parts")

    parts: list[dict[str, Value]]
    """Where the entries lie, each in the part of number `hash(key) & MASK`; to be read only."""

    labels: int
    """How many labels a key has at most, or had once: parents of a name with more of them need not be looked for."""

    def __init__(self, entries: Mapping[str, Value] | Iterable[tuple[str, Value]] = ()) -> None:
        """It holds these."""
        nothing: dict[str, Value] = {}  # shared by all parts that hold nothing, and never written to
        self.parts = parts = [nothing] * COUNT
        table = dict(entries)
        for key, value in table.items():
            number = hash(key) & MASK
            if parts[number]:
                parts[number][key] = value
            else:
                parts[number] = {key: value}
        self._count = len(table)
        # Part by part, as all in one call would keep whoever waits for the interpreter from it.
        self.labels = max((1 + max(map(str.count, part, repeat("."))) for part in parts if part), default=0)

    def __getitem__(self, key: str) -> Value:
        return self.parts[hash(key) & MASK][key]

    def get(self, key: str, default: Value | None = None) -> Value | None:  # type: ignore[override]
        """Return the value of that key, or the default."""
        return self.parts[hash(key) & MASK].get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self.parts[hash(key) & MASK]

    def __iter__(self) -> Iterator[str]:
        for part in self.parts:
            yield from part

    def __len__(self) -> int:
        return self._count

    def replace(self, removed: Iterable[str], added: Mapping[str, Value]) -> "Shards[Value]":
        """Return a copy without `removed`, as far as it has them, and with `added`."""
        if len(added) > self._count:  # few are left to share: to begin anew is quicker
            return Shards({**{key: self[key] for key in self.keys() - set(removed)}, **added})
        copy: Shards[Value] = Shards()
        copy.parts = self.parts.copy()
        copy._count, copy.labels = self._count, self.labels
        copy._write(removed, added)
        return copy

    def _write(self, removed: Iterable[str], added: Mapping[str, Value]) -> None:
        """Only while nobody else has it; no part that another one shares is written to."""
        parts, own = self.parts, set[int]()
        for key in removed:
            number = hash(key) & MASK
            if key in parts[number]:
                if number not in own:
                    own.add(number)
                    parts[number] = parts[number].copy()
                del parts[number][key]
                self._count -= 1
        for key, value in added.items():
            number = hash(key) & MASK
            if number not in own:
                own.add(number)
                parts[number] = parts[number].copy()
            self._count += key not in parts[number]
            parts[number][key] = value
            self.labels = max(self.labels, key.count(".") + 1)
