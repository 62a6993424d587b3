"""Fixtures of the proxy's tests."""

from time import monotonic

import pytest

from radius.transport import backlog


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time stands still for what waits: a loaded machine makes nothing too old."""
    began = monotonic()
    monkeypatch.setattr(backlog, "monotonic", lambda: began)
