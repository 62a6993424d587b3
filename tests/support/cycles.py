"""Garbage that only Python's collector finds."""

import weakref


class Cycle:
    """Refers to itself."""

    def __init__(self) -> None:
        self.own = self


def drop_cycle() -> "weakref.ref[Cycle]":
    """One that nobody needs any more; the reference says whether the collector has found it."""
    return weakref.ref(Cycle())
