"""The guard over the tests' own cost."""

import time

import pytest

from tests.support.costs import Limit

SECONDS = 0.05


def test_test_that_computes_for_long_fails(request: pytest.FixtureRequest) -> None:
    """What it has computed is told, and what to do."""
    guard = Limit(SECONDS).pytest_runtest_call(request.node)
    next(guard)
    began = time.process_time()
    while time.process_time() - began < 2 * SECONDS:
        pass
    with pytest.raises(pytest.fail.Exception, match="make it cheaper, or mark it long"):
        next(guard)


def test_waiting_is_free(request: pytest.FixtureRequest) -> None:
    """A busy machine makes no test fail: only what the test itself computes counts."""
    guard = Limit(SECONDS).pytest_runtest_call(request.node)
    next(guard)
    time.sleep(2 * SECONDS)
    with pytest.raises(StopIteration):
        next(guard)
