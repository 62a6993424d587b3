"""`serve` whose log can not be written: it works, and whoever reads no log is not told less by its API."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.biebroam import DataDirectory

pytestmark = [pytest.mark.system]

# Standard error is not open at all, or a pipe that nobody reads; the rest of the program's output is as it was.
CLOSED = "import os, sys; os.close(2); os.execv(sys.argv[1], sys.argv[1:])"
BROKEN = "import os, sys; r, w = os.pipe(); os.close(r); os.dup2(w, 2); os.execv(sys.argv[1], sys.argv[1:])"


@pytest.mark.parametrize("script", [CLOSED, BROKEN], ids=["closed", "broken"])
def test_log_that_can_not_be_written_stops_nobody(tmp_path: Path, script: str) -> None:
    """It starts, is ready, takes a change and ends in order, with not a line of its log written."""

    def without_log(command: Sequence[str | Path]) -> list[str | Path]:
        return [sys.executable, "-c", script, *command]

    data = DataDirectory(tmp_path / "data")
    data.take_initialised()
    with data.start("serve", "--single", wrap=without_log) as service:
        assert data.request("GET", "/readyz")[0] == 200
        assert data.request("POST", "/v1/libraries", {"id": "west", "name": "West"})[0] == 201
        assert service.stop() == 0
    assert "service_ready" not in service.output
