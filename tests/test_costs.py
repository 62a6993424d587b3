"""The guard over the tests' own cost."""

import time

import pytest

from tests.support.costs import Limit

SECONDS = 0.05


@pytest.fixture
def item(request: pytest.FixtureRequest) -> pytest.Item:
    """The test that asks for it."""
    return request.node  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # pytest leaves it open


def test_test_that_computes_for_long_fails(item: pytest.Item) -> None:
    """What it has computed is told, and what to do."""
    guard = Limit(SECONDS).pytest_runtest_call(item)
    next(guard)
    began = time.process_time()
    while time.process_time() - began < 2 * SECONDS:
        pass
    with pytest.raises(pytest.fail.Exception, match="make it cheaper, or mark it long"):
        next(guard)


def test_waiting_is_free(item: pytest.Item) -> None:
    """A busy machine makes no test fail: only what the test itself computes counts."""
    guard = Limit(SECONDS).pytest_runtest_call(item)
    next(guard)
    time.sleep(2 * SECONDS)
    with pytest.raises(StopIteration):
        next(guard)
