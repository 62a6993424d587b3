import asyncio
import threading
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import pytest

from federation.reasons import RefusalReason
from radius.home.checks import Checks
from tests.support.processes import wait_until

Answer = TypeVar("Answer")


async def run(checks: Checks, check: Callable[[], Answer], shares: Sequence[Hashable] = ()) -> Answer | RefusalReason:
    """What the check says, or why it did not come to say anything."""
    answer: asyncio.Future[Answer | RefusalReason] = asyncio.get_running_loop().create_future()
    checks.ask(check, shares, answer.set_result)  # which raises when it is told twice
    return await answer


class TestChecks:
    async def test_gives_what_the_check_says(self) -> None:
        """The answer of a look-up in a thread comes back to the loop."""
        checks = Checks()
        assert await run(checks, lambda: b"hash") == b"hash"
        checks.close()

    async def test_slow_check_is_given_up(self) -> None:
        """After its time a check is answered for; it still counts until its thread is free."""
        checks = Checks(threads=1, timeout_seconds=0.05)
        free = threading.Event()
        assert await run(checks, lambda: free.wait(5)) is RefusalReason.STORE_TIMEOUT
        await asyncio.sleep(0.02)
        assert checks.waiting == 1
        free.set()
        async with asyncio.timeout(5):
            assert await run(checks, lambda: b"next") == b"next"  # the one thread is free again
        assert checks.timeouts == 1
        checks.close()

    async def test_queue_has_a_bound(self) -> None:
        """Beyond the bound a check is refused at once: whoever waits there would be too late."""
        checks = Checks(threads=1, max_waiting=2, timeout_seconds=1)
        free = threading.Event()
        waiting = [asyncio.ensure_future(run(checks, lambda: free.wait(5))) for _ in range(2)]
        await asyncio.sleep(0)
        assert await run(checks, lambda: None) is RefusalReason.STORE_UNAVAILABLE
        assert checks.refused == 1
        free.set()
        assert await asyncio.gather(*waiting) == [True, True]
        checks.close()

    async def test_nobody_has_more_than_half(self) -> None:
        """A rush on one realm, or at one library, leaves room for the others."""
        checks = Checks(threads=1, max_waiting=4, timeout_seconds=1)
        free = threading.Event()
        waiting = [asyncio.ensure_future(run(checks, lambda: free.wait(5), ("west", "at east"))) for _ in range(2)]
        await asyncio.sleep(0)
        assert await run(checks, lambda: None, ("west", "at north")) is RefusalReason.STORE_UNAVAILABLE
        assert await run(checks, lambda: None, ("south", "at east")) is RefusalReason.STORE_UNAVAILABLE
        waiting.append(asyncio.ensure_future(run(checks, lambda: True, ("south", "at north"))))
        free.set()
        assert await asyncio.gather(*waiting) == [True, True, True]
        assert await run(checks, lambda: b"room again", ("west", "at east")) == b"room again"
        checks.close()

    async def test_store_that_hangs_fills_no_memory(self) -> None:
        """While no thread comes back, what was given up still counts: beyond the bound nothing is queued any more."""
        checks = Checks(threads=1, max_waiting=3, timeout_seconds=0.01)
        free = threading.Event()
        done: list[int] = []
        assert await run(checks, lambda: free.wait(5)) is RefusalReason.STORE_TIMEOUT
        said = [await run(checks, lambda: done.append(1)) for _ in range(6)]
        assert said == [RefusalReason.STORE_TIMEOUT] * 2 + [RefusalReason.STORE_UNAVAILABLE] * 4
        free.set()
        await asyncio.to_thread(wait_until, lambda: not checks.waiting, "the thread to be free", 5)
        assert done == []  # what nobody waits for is not done any more
        assert await run(checks, lambda: b"next") == b"next"
        checks.close()

    async def test_closed_is_a_no(self) -> None:
        """A check that comes after the end is refused, not raised."""
        checks = Checks()
        checks.close()
        assert await run(checks, lambda: None) is RefusalReason.STORE_UNAVAILABLE
        assert checks.waiting == 0

    async def test_failing_check_is_a_no(self) -> None:
        """Whatever a store raises, the patron is not let in and the loop goes on."""

        def fail() -> None:
            raise RuntimeError("the store is on fire")

        checks = Checks()
        assert await run(checks, fail) is RefusalReason.STORE_UNAVAILABLE
        checks.close()

    async def test_failure_is_told_without_its_text(self, caplog: pytest.LogCaptureFixture) -> None:
        """The log has the kind of failure, its place and the system's own words; never what a store says of whom."""

        def fail(error: Exception) -> None:
            raise error

        checks = Checks()
        await run(checks, lambda: fail(ValueError("no such patron: zilverreiger")))
        await run(checks, lambda: fail(ConnectionRefusedError(111, "Connection refused", "zilverreiger")))
        checks.close()
        errors = [record.__dict__["error"] for record in caplog.records]
        assert [error.partition(" at test_checks.py:")[0] for error in errors] == [
            "ValueError",
            "ConnectionRefusedError (Connection refused)",
        ]
        assert "zilverreiger" not in caplog.text
        assert not any(record.exc_info for record in caplog.records)
