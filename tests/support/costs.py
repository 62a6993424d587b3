"""What the tests cost in processor time, which other programs of the machine change little: `pytest --costs`.

A test is charged with what its process, and the processes that have ended below it, used since the test before it: its
fixtures are in it, those that it shares with others in the first or the last of them.
"""

import os
import time
from collections import defaultdict
from collections.abc import Generator, Mapping

import pytest

SHOWN = 40
LIMIT_SECONDS = 30.0  # many times what the slowest takes on a machine that does nothing else


def processor_seconds() -> float:
    """What this process and those that have ended below it have used so far."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


class Limit:
    """A test that computes for longer than this fails: what is long has its own command."""

    def __init__(self, seconds: float = LIMIT_SECONDS) -> None:
        self._seconds = seconds

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Only what this process computes counts: waiting is free, and so is what others have to do meanwhile."""
        before = time.process_time()
        yield
        used = time.process_time() - before
        if used > self._seconds and item.get_closest_marker("long") is None:
            pytest.fail(f"computes for {used:.0f} s of {self._seconds:.0f}: make it cheaper, or mark it long")


class Costs:
    """Charges tests where they run, and adds up where the results come together."""

    def __init__(self) -> None:
        self._before = processor_seconds()
        self._of_test: dict[str, float] = defaultdict(float)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """The report carries what was used since the one before; from a worker of pytest-xdist, too."""
        report = yield
        now = processor_seconds()
        report.processor_seconds = now - self._before  # type: ignore[attr-defined] - reports take what they are given
        self._before = now
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Set-up, call and teardown are one test's."""
        self._of_test[report.nodeid] += getattr(report, "processor_seconds", 0.0)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Folders, then the files and the tests that cost most."""
        of_file, of_folder = (defaultdict[str, float](float) for _ in range(2))
        for test, seconds in self._of_test.items():
            file = test.partition("::")[0]
            of_file[file] += seconds
            of_folder[file.rpartition("/")[0]] += seconds
        terminalreporter.section("processor seconds")
        for costs in (of_folder, of_file, self._of_test):
            for line in _describe(costs):
                terminalreporter.write_line(line)
        terminalreporter.write_line(f"{sum(self._of_test.values()):9.1f}  in {len(self._of_test)} tests")


def _describe(costs: Mapping[str, float]) -> list[str]:
    dearest = sorted(costs, key=costs.__getitem__, reverse=True)[:SHOWN]
    return [*(f"{costs[name]:9.1f}  {name[:160]}" for name in dearest), ""]
