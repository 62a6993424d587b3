"""What our own code failed with at the top of a loop: told with its traceback once, and then counted.

A bug that a packet can reach is one that anybody can reach again and again; a traceback for each would fill a disk.
"""

import logging
import traceback
from typing import Final

QUIET_SECONDS: Final = 60.0
MAX_KINDS: Final = 256  # places in our own code; nobody outside can make up more, and yet

Kind = tuple[str, str, int]


class Faults:
    """The failures of one role. A kind is a type of exception raised at one line."""

    __slots__ = ("_kinds", "_log")

    def __init__(self, log: logging.Logger) -> None:
        """Lines go to that logger."""
        self._log = log
        self._kinds: dict[Kind, list[float]] = {}

    def tell(self, event: str, error: BaseException, now: float, **fields: object) -> None:
        """The first of a kind is logged with its traceback; then, at most once a minute, how many there were since."""
        kind = _kind_of(error)
        known = self._kinds.get(kind)
        if known is None:
            if len(self._kinds) >= MAX_KINDS:
                self._kinds.clear()
            self._kinds[kind] = [now, 0]
            self._log.error(event, exc_info=error, extra=fields)
            return
        known[1] += 1
        if now - known[0] >= QUIET_SECONDS:
            name, file, line = kind
            again = {**fields, "error": name, "place": f"{file}:{line}", "count": int(known[1])}
            self._log.error(event, extra=again)
            known[:] = [now, 0]


def _kind_of(error: BaseException) -> Kind:
    name = type(error).__qualname__
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    return (name, frames[0].filename, frames[0].lineno or 0) if frames else (name, "", 0)
