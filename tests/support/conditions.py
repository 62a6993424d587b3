"""Conditions that a test makes for the programs it starts: a small disk, and a clock that can be set."""

import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.processes import Program, require_program

_CHUNK = 1 << 16


class SmallDisk:
    """A file system of its own for a folder, in a mount namespace that only the programs started in it are in."""

    def __init__(self, folder: Path, holder: int) -> None:
        """`holder` is the process that keeps the namespace."""
        self.folder = folder  # as the programs in the namespace see it
        self.view = Path(f"/proc/{holder}/root{folder}")  # as we see it
        self._holder = holder

    def wrap(self, command: Sequence[str | Path]) -> list[str | Path]:
        """The command, in the namespace."""
        return ["nsenter", "--target", str(self._holder), "--mount", "--", *command]

    @contextmanager
    def full(self) -> Generator[None]:
        """Not an octet is free inside the context."""
        ballast = self.view / "ballast"
        for size in (_CHUNK, 1):
            with suppress(OSError), ballast.open("ab", buffering=0) as file:
                while file.write(bytes(size)) == size:
                    pass
        try:
            yield
        finally:
            ballast.unlink()


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Generator[SmallDisk]:
    """A tmpfs of that size at the folder, which is made; gone with its last program."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk in a namespace of its own")
    folder.mkdir()
    script = f'mount -t tmpfs -o size={megabytes}m,mode=700 tmpfs "$0" && echo mounted && exec sleep 3600'
    command = ["unshare", "--mount", "sh", "-c", script, folder]
    with Program(command, folder.parent / f"{folder.name}.log") as holder:
        holder.wait_ready(lambda: "mounted" in holder.output)
        yield SmallDisk(folder, holder.process.pid)


class Clock:
    """The wall clock of the programs that have its `environment`; their monotonic clock goes on as it does."""

    def __init__(self, file: Path) -> None:
        """It shows the right time."""
        require_program("faketime", "faketime")
        (library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
        self._file = file
        self.set("+0")
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "1",
        }

    def set(self, offset: str) -> None:
        """A second from now it is that far from the right time, such as "+1d" or "-1d"."""
        temporary = self._file.with_suffix(".new")
        temporary.write_text(f"{offset}\n")
        temporary.replace(self._file)
