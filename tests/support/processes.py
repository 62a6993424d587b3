"""Start a real program for a test, know when it is ready, and end it again, by its own id."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

READY_SECONDS = 60.0  # a busy machine starts slowly; nobody waits longer than it takes
STOP_SECONDS = 8.0
# Ports to choose from, below those that Linux gives to whoever asks for any (ip_local_port_range, from 32768 on): one
# of those may be a connection's of another test by the time that the program, which is told the number, binds it.
FIRST_PORT, PORTS = 10_000, 22_000
SYSTEM_FOLDERS = ":/usr/sbin:/sbin"  # where Debian keeps daemons, and a plain user's PATH does not look


def find_program(name: str) -> str | None:
    """The path of an installed program, or None."""
    return shutil.which(name, path=os.environ.get("PATH", "") + SYSTEM_FOLDERS)


def require_program(name: str, package: str) -> str:
    """The path of a peer; without it the test is left out, or fails where nothing may be left out (CI=true)."""
    path = find_program(name)
    if path is None:
        message = f"{name} is not installed (Debian package {package}; `make peers` installs it)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path


def free_port(kind: socket.SocketKind = socket.SOCK_DGRAM, host: str = "127.0.0.1") -> int:
    """A port that nobody has now, and that nobody is given unless by the same lot."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        port = FIRST_PORT + secrets.randbelow(PORTS)
        with socket.socket(family, kind) as probe, suppress(OSError):
            probe.bind((host, port))
            return port


def wait_until(condition: Callable[[], bool], what: str, seconds: float = READY_SECONDS) -> None:
    """Return when the condition holds; fail, naming what was waited for, when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.02)


class Program:
    """A running program with its output in a file; a context manager that ends it."""

    def __init__(
        self,
        arguments: Sequence[str | Path],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        takes_input: bool = False,
    ) -> None:
        """Start it; its output goes to the log file. With `takes_input` it can be told something by `say`."""
        self.log = log
        self._file = log.open("ab")
        self.process = subprocess.Popen(
            [str(argument) for argument in arguments],
            stdout=self._file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.PIPE if takes_input else subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
            cwd=folder,
            start_new_session=True,
        )

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(errors="replace")

    def say(self, line: str) -> None:
        """It reads that line."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    def wait_ready(self, condition: Callable[[], bool], seconds: float = READY_SECONDS) -> Self:
        """Return when the condition holds; fail with the program's output when it ends or takes too long."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                state = f"ended with {self.process.returncode}" if self.process.poll() is not None else "is not ready"
                self.stop()
                pytest.fail(f"{self.process.args!r} {state}:\n{self.output[-3000:]}")
            time.sleep(0.02)
        return self

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """Ask it to end, insist after a while; what was its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)  # its own session: only what it started
                self.process.wait(seconds)
        self._file.close()
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.close()
        return self.process.returncode

    def __enter__(self) -> Self:
        """The program, running."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.stop()
