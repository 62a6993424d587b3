"""Fixtures of the domain's tests."""

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.federation.members import Members, open_members


@pytest.fixture
def members(tmp_path: Path) -> Generator[Members]:
    """A registry with two libraries, boekenburg and leesstad."""
    with open_members(tmp_path) as opened:
        yield opened
