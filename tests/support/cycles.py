"""Garbage that only Python's collector finds."""

import gc
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager


class Cycle:
    """Refers to itself."""

    def __init__(self) -> None:
        self.own = self


def drop_cycle() -> "weakref.ref[Cycle]":
    """One that nobody needs any more; the reference says whether the collector has found it."""
    return weakref.ref(Cycle())


@contextmanager
def without_collector() -> Generator[None]:
    """The collector does not look inside the context: what goes there is let go of by those who held it."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def count_cycles(work: Callable[[], object]) -> int:
    """How many objects it leaves that are in use no more, and that the collector alone would find."""
    gc.collect()
    with without_collector():
        work()
        return gc.collect()
