"""Identity checks off the event loop: a bounded number at a time, a bounded number waiting, each with a time limit."""

import asyncio
import logging
import traceback
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar, cast

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

    async def run(self, check: Callable[[], Answer], shares: Sequence[Hashable] = ()) -> Answer | RefusalReason:
        """What the check says, or why it did not come to say anything; never raises for the check's own failures.

        It counts for each of the `shares`, such as the realm.
        """
        most = max(1, self._max_waiting // 2)
        if self.waiting >= self._max_waiting or any(self._shares[share] >= most for share in shares):
            self.refused += 1
            return RefusalReason.STORE_UNAVAILABLE
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        work: list[Callable[[], Answer]] = [check]  # taken out by whoever is first: the thread, or the time-out

        def finish(said: Answer | None, error: Exception | None) -> None:
            loop.call_soon_threadsafe(self._finish, answer, said, error, shares)

        self._add(1, shares)
        try:
            self._executor.submit(_run_in_thread, work, finish)
        except RuntimeError:  # closed: this role ends
            self._add(-1, shares)
            return RefusalReason.STORE_UNAVAILABLE
        try:
            async with asyncio.timeout(self._timeout):
                return await answer
        except TimeoutError:
            self.timeouts += 1
            work.clear()  # the password goes now, and the thread will find nothing to do
            return RefusalReason.STORE_TIMEOUT
        except Exception as error:  # noqa: BLE001 - whatever a store fails with, the answer is no, and the log has it
            _log.error("identity_check_failed", extra={"error": _describe(error)})
            return RefusalReason.STORE_UNAVAILABLE

    def close(self) -> None:
        """Begin no more; what runs is left to end by itself."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _add(self, number: int, shares: Sequence[Hashable]) -> None:
        self.waiting += number
        for share in shares:
            self._shares[share] += number
            if not self._shares[share]:
                del self._shares[share]

    def _finish(
        self,
        answer: "asyncio.Future[Answer]",
        said: Answer | None,
        error: Exception | None,
        shares: Sequence[Hashable],
    ) -> None:
        """Back on the loop: the thread is free again."""
        self._add(-1, shares)
        if answer.done():  # given up
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(cast("Answer", said))  # without an error it is what the check returned


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
