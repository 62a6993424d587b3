"""Identity checks off the event loop: a bounded number at a time, a bounded number waiting, each with a time limit."""

import asyncio
import logging
import traceback
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, Generic, TypeVar, cast

from federation.reasons import RefusalReason

THREADS: Final = 2  # a password hash takes one core whole; more threads only make each of them slower
MAX_WAITING: Final = 256  # about 4 s of password hashes; whoever is behind them would be too late anyway
TIMEOUT_SECONDS: Final = 4.0  # an access point gives up after 5 to 10 s

Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)


class Checks:
    """Runs blocking look-ups in threads of its own.

    A thread can not be stopped, and what waits in an executor's queue stays in it until a thread takes it. So a check
    counts until a thread has done with it, also one that nobody waits for any more: when a store hangs, the bound is
    soon reached, and whoever comes then is refused at once. Nobody may have more than half of it: neither the patrons
    of one realm, nor those who sign in at one library.
    """

    def __init__(
        self, *, threads: int = THREADS, max_waiting: int = MAX_WAITING, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="identity-check")
        self._max_waiting = max_waiting
        self._timeout = timeout_seconds
        self._shares: Counter[Hashable] = Counter()
        self.waiting = 0  # or running
        self.timeouts = 0
        self.refused = 0

    def ask(
        self,
        check: Callable[[], Answer],
        shares: Sequence[Hashable],
        then: Callable[[Answer | RefusalReason], object],
    ) -> None:
        """Give `then`, once and on the loop, what the check says, or why it did not come to say anything.

        That is at once when there is no room. It counts for each of the `shares`, such as the realm. Neither the
        check's own failures nor any others come as exceptions.
        """
        most = max(1, self._max_waiting // 2)
        if self.waiting >= self._max_waiting or any(self._shares[share] >= most for share in shares):
            self.refused += 1
            then(RefusalReason.STORE_UNAVAILABLE)
            return
        loop = asyncio.get_running_loop()
        asked = _Asked(check, then)
        asked.timer = loop.call_later(self._timeout, self._give_up, asked)

        def finish(said: Answer | None, error: Exception | None) -> None:
            loop.call_soon_threadsafe(self._finish, asked, said, error, shares)

        self._add(1, shares)
        try:
            self._executor.submit(_run_in_thread, asked.work, finish)
        except RuntimeError:  # closed: this role ends
            self._add(-1, shares)
            asked.tell(RefusalReason.STORE_UNAVAILABLE)

    def close(self) -> None:
        """Begin no more; what runs is left to end by itself."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _add(self, number: int, shares: Sequence[Hashable]) -> None:
        self.waiting += number
        for share in shares:
            self._shares[share] += number
            if not self._shares[share]:
                del self._shares[share]

    def _give_up(self, asked: "_Asked[Answer]") -> None:
        """Its time is over."""
        self.timeouts += 1
        asked.work.clear()  # the password goes now, and the thread will find nothing to do
        asked.tell(RefusalReason.STORE_TIMEOUT)

    def _finish(
        self, asked: "_Asked[Answer]", said: Answer | None, error: Exception | None, shares: Sequence[Hashable]
    ) -> None:
        """Back on the loop: the thread is free again."""
        self._add(-1, shares)
        if asked.then is None:  # given up
            return
        if error is None:
            asked.tell(cast("Answer", said))  # without an error it is what the check returned
            return
        # Whatever a store fails with, the answer is no, and the log has it.
        _log.error("identity_check_failed", extra={"error": _describe(error)})
        asked.tell(RefusalReason.STORE_UNAVAILABLE)


class _Asked(Generic[Answer]):
    """One check on its way, and who waits for it."""

    __slots__ = ("then", "timer", "work")

    def __init__(self, check: Callable[[], Answer], then: Callable[[Answer | RefusalReason], object]) -> None:
        self.work = [check]  # taken out by whoever is first: the thread, or the time-out
        self.then: Callable[[Answer | RefusalReason], object] | None = then
        self.timer: asyncio.TimerHandle | None = None

    def tell(self, answer: Answer | RefusalReason) -> None:
        """Whoever waits has the answer; nobody waits any more."""
        then, self.then = self.then, None
        if self.timer is not None:
            self.timer.cancel()
        if then is not None:
            then(answer)


def _describe(error: Exception) -> str:
    """What kind of failure and where; not its text, which may name the patron or show the password."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    meaning = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
    return f"{type(error).__qualname__}{meaning}{place}"


def _run_in_thread(
    work: list[Callable[[], Answer]], finish: Callable[[Answer | None, Exception | None], object]
) -> None:
    said: Answer | None = None
    error: Exception | None = None
    try:
        said = work.pop()()
    except Exception as failure:  # noqa: BLE001 - told to whoever waits; if the time-out was first, nobody does
        error = failure
    with suppress(RuntimeError):  # the loop has ended meanwhile
        finish(said, error)
