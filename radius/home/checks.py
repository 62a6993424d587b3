"""Identity checks off the event loop: a bounded number at a time, a bounded number waiting, each with a time limit."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from federation.reasons import RefusalReason

THREADS: Final = 2  # a password hash takes one core whole; more threads only make each of them slower
MAX_WAITING: Final = 128  # about 2 s of password hashes; whoever is behind them would be too late anyway
TIMEOUT_SECONDS: Final = 4.0  # an access point gives up after 5 to 10 s

Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)


class Checks:
    """Runs blocking look-ups in threads of its own."""

    def __init__(
        self, *, threads: int = THREADS, max_waiting: int = MAX_WAITING, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="identity-check")
        self._max_waiting = max_waiting
        self._timeout = timeout_seconds
        self.waiting = 0  # or running
        self.timeouts = 0
        self.refused = 0

    async def run(self, check: Callable[[], Answer]) -> Answer | RefusalReason:
        """What the check says, or why it did not come to say anything; never raises for the check's own failures."""
        if self.waiting >= self._max_waiting:
            self.refused += 1
            return RefusalReason.STORE_UNAVAILABLE
        self.waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._executor, check)
        future.add_done_callback(self._finished)
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.shield(future)  # a thread can not be stopped: it counts until it has ended
        except TimeoutError:
            self.timeouts += 1
            future.cancel()  # helps the ones that have not begun
            return RefusalReason.STORE_TIMEOUT
        except Exception:  # noqa: BLE001 - whatever a store fails with, the answer is no, and the log has it
            _log.exception("identity_check_failed")
            return RefusalReason.STORE_UNAVAILABLE

    def close(self) -> None:
        """Begin no more; what runs is left to end by itself."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _finished(self, future: asyncio.Future[Answer]) -> None:
        self.waiting -= 1
        if not future.cancelled():
            future.exception()  # it has been seen, also after a time-out
