"""When a lost connection is dialled again: at once when it had stood, later and later when the attempts fail.

An established connection that is lost is nearly always a peer that restarts, and patrons wait: it is dialled within a
moment, at a random time, so that not all of its peers come in the same millisecond. After an attempt that failed the
pause is a twentieth of a second, and doubles up to a minute. New requests do not shorten it, or a busy realm would
hammer a peer that is down. What is not here: who dials.
"""

from typing import Final

AT_ONCE_SECONDS: Final = 0.05  # at most, after a connection that stood
FIRST_PAUSE_SECONDS: Final = 0.05  # a peer that restarts is away for some hundredths of a second
MAXIMUM_PAUSE_SECONDS: Final = 60.0
SETTLED_SECONDS: Final = 0.5  # one that was lost before it stood this long counts as a failed attempt
_JITTER: Final = 0.25


class Backoff:
    """The pauses of one peer."""

    __slots__ = ("_pause", "_stands_since")

    def __init__(self) -> None:
        """Nothing was tried yet."""
        self._pause = 0.0
        self._stands_since: float | None = None

    def succeed(self, now: float) -> None:
        """The connection stands."""
        self._stands_since = now

    def spoil(self, now: float) -> None:
        """What the peer sent has ended the connection: unless it stood for a minute, it counts as a failed attempt."""
        if self._stands_since is not None and now - self._stands_since < MAXIMUM_PAUSE_SECONDS:
            self._stands_since = None

    def next_pause(self, random: float, now: float) -> float:
        """Seconds until the next attempt, after a loss or a failed one; `random` is uniform in 0 to 1."""
        stood_since, self._stands_since = self._stands_since, None
        if stood_since is not None and now - stood_since >= SETTLED_SECONDS:
            self._pause = 0.0
            return AT_ONCE_SECONDS * random
        self._pause = min(max(FIRST_PAUSE_SECONDS, self._pause * 2), MAXIMUM_PAUSE_SECONDS)
        return self._pause * (1 + _JITTER * random)
