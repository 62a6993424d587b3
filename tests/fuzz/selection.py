"""Which of many inputs are worth a file: those that reach a jump in our code which no other one does."""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from tests.fuzz.targets import TARGETS

_ROOT: Final = Path(__file__).resolve().parent.parent.parent
_OURS: Final = tuple(f"{_ROOT / name}/" for name in ("radius", "federation"))

Jump = tuple[CodeType, int, int]


def choose(target: str, known: Sequence[bytes], found: Sequence[bytes]) -> list[bytes]:
    """The inputs among `found`, smallest first, that reach what neither `known` nor a smaller one does."""
    reached: set[Jump] = set()
    for octets in known:
        reached |= trace(target, octets)
    chosen: list[bytes] = []
    for octets in sorted(found, key=len):
        new = trace(target, octets) - reached
        if new:
            chosen.append(octets)
            reached |= new
    return chosen


def trace(target: str, octets: bytes) -> set[Jump]:
    """The jumps from line to line of our code that an input takes."""
    reached: set[Jump] = set()

    def enter(frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(_OURS):
            return None
        last = 0

        def step(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal last
            if event == "line":
                reached.add((code, last, frame.f_lineno))
                last = frame.f_lineno
            return step

        return step

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        TARGETS[target](octets)
    finally:
        sys.settrace(before)
    return reached
