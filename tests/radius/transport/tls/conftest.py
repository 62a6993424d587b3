"""Fixtures of the tests of TLS connections."""

import pytest

from radius.tls import records
from tests.radius.wire.kernels import HAS_COMPILER, load_records


@pytest.fixture(params=["python", "native"])
def kind_of_records(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs with the native part that reads and writes records, and without."""
    if request.param == "native" and not HAS_COMPILER:
        pytest.skip("the native part is optional; it needs gcc and python3-dev")
    monkeypatch.setattr(records, "native", load_records() if request.param == "native" else None)
