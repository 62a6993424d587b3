import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.processes import Program, wait_until

ROOT = Path(__file__).parents[2]
Start = Callable[..., "Family"]


class Family:
    """A supervisor with toy children, and a socket to talk to them."""

    def __init__(self, folder: Path, *behaviours: str) -> None:
        port_file = folder / "ports"
        self.program = Program(
            [sys.executable, "-m", "tests.radius.toy_parent", port_file, *behaviours], folder / "log", folder=ROOT
        ).wait_ready(port_file.exists)
        self.ports = [int(port) for port in port_file.read_text().split()]
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(5)

    def ask(self, child: int = 0, octets: bytes = b"?") -> int:
        """The process id of the child that answers."""
        self.socket.sendto(octets, ("127.0.0.1", self.ports[child]))
        return int(self.socket.recv(100))

    def tell(self, octets: bytes, child: int = 0) -> None:
        self.socket.sendto(octets, ("127.0.0.1", self.ports[child]))


@pytest.fixture
def start(tmp_path: Path, request: pytest.FixtureRequest) -> Start:
    """Starts a family; ended with the test."""

    def started(*behaviours: str) -> Family:
        family = Family(tmp_path, *behaviours)
        request.addfinalizer(family.program.stop)
        request.addfinalizer(family.socket.close)
        return family

    return started


def is_gone(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    return True


class TestRespawn:
    def test_killed_child_comes_back_and_reads_what_waited(self, start: Start) -> None:
        """A datagram that arrives while the child is dead is answered by its successor, on the same socket."""
        family = start("good")
        first = family.ask()
        os.kill(first, signal.SIGKILL)
        began = time.monotonic()
        second = family.ask()
        assert second != first
        assert time.monotonic() - began < 2

    def test_child_that_kills_itself_again_and_again_comes_back_later(self, start: Start) -> None:
        """The first start is at once; then the delay grows, and the others go on."""
        family = start("good", "good")
        for _ in range(3):
            family.tell(b"die")
            family.ask()
        assert family.ask(1)
        assert family.program.output.count("child_ended") == 3

    def test_crash_at_start_does_not_spin(self, start: Start) -> None:
        """A child that can not start is tried again at growing distances, not as fast as the machine can."""
        family = start("crash")
        time.sleep(1.2)
        assert 2 <= family.program.output.count("child_ended") <= 5

    def test_hanging_child_is_killed_and_replaced(self, start: Start) -> None:
        """A child whose loop does not turn loses its place."""
        family = start("good")
        first = family.ask()
        family.tell(b"hang")
        wait_until(lambda: is_gone(first), "the hanging child to be killed", 5)
        assert family.ask() != first
        assert "child_hangs" in family.program.output

    def test_child_that_starts_slowly_gets_more_time_with_each_try(self, start: Start) -> None:
        """On a machine with too much to do nobody is killed again and again just before being ready."""
        family = start("late")
        assert family.ask()
        assert 1 <= family.program.output.count("child_hangs") <= 4


class TestEnd:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_signal_drains_the_children(self, start: Start, number: signal.Signals) -> None:
        """The children get time to finish; then the status is 0."""
        family = start("slow", "good")
        family.program.process.send_signal(number)
        assert family.program.process.wait(5) == 0
        assert "slow-0 drained" in family.program.output
        assert "good-1 drained" in family.program.output

    def test_later_stage_ends_when_the_earlier_has(self, start: Start) -> None:
        """What others need while they drain ends after them."""
        family = start("good:1", "slow:0")
        assert family.program.stop() == 0
        output = family.program.output
        assert output.index("slow-1 drained") < output.index("good-0 drained")

    def test_child_that_does_not_end_is_killed(self, start: Start) -> None:
        """After its time to drain a child is killed, and the status says that something was cut short."""
        family = start("deaf")
        family.program.process.terminate()
        assert family.program.process.wait(5) == 1

    def test_second_signal_ends_at_once(self, start: Start) -> None:
        """Whoever asks twice does not want to wait."""
        family = start("deaf")
        began = time.monotonic()
        family.program.process.terminate()
        time.sleep(0.1)
        family.program.process.terminate()
        family.program.process.wait(5)
        assert time.monotonic() - began < 0.9

    def test_children_end_with_a_killed_parent(self, start: Start) -> None:
        """A parent that is killed leaves no orphans."""
        family = start("good", "slow")
        children = [family.ask(0), family.ask(1)]
        family.program.process.kill()
        wait_until(lambda: all(is_gone(pid) for pid in children), "the children to end", 5)


class TestRollingRestart:
    @pytest.mark.parametrize("kind", ["good", "alone"])
    def test_hangup_replaces_each_child_and_loses_nothing(self, start: Start, kind: str) -> None:
        """SIGHUP: every child is a new process afterwards, and every datagram meanwhile is answered."""
        family = start(kind, kind)
        before = {family.ask(0), family.ask(1)}
        family.program.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 8
        while {family.ask(0), family.ask(1)} & before:
            assert time.monotonic() < deadline
        assert family.program.process.poll() is None
