"""A network of the test's own: a namespace that nothing outlives and that needs no name."""

import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.processes import require_program

FETCH = "import sys, urllib.request; sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1], timeout=20).read())"


class Namespace:
    """A namespace, by the process that holds it; it is gone when that and all that run in it have ended."""

    def __init__(self, holder: int) -> None:
        self._holder = holder

    def enter(self, command: Sequence[str | Path]) -> list[str | Path]:
        """The command, run in it."""
        return ["nsenter", f"--net=/proc/{self._holder}/ns/net", *command]

    def run(self, *command: str) -> str:
        """What a command in it prints; it has to succeed."""
        return subprocess.run(self.enter(command), check=True, capture_output=True, text=True, timeout=30).stdout

    def fetch(self, url: str) -> str:
        """The text at a URL of a server in it."""
        return self.run(sys.executable, "-c", FETCH, url)


@contextmanager
def network_namespace() -> Generator[Namespace]:
    """A network with a loopback and nothing else; a test is left out where such a thing may not be made."""
    for program, package in (("unshare", "util-linux"), ("nsenter", "util-linux"), ("ip", "iproute2")):
        require_program(program, package)
    probe = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"network namespaces are not permitted here (they take CAP_SYS_ADMIN): {probe.stderr.strip()}")
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == "up\n"
            yield Namespace(holder.pid)
        finally:
            holder.kill()
