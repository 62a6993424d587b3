"""Telling the processes of this node that the registry has a new revision.

Each process listens on a Unix datagram socket of its own in the run directory; whoever commits a change writes the
revision to all of them. A datagram that is lost costs little: everybody also looks at the revision each second.

A Unix address has 107 octets at most (unix(7)), and a data directory may lie deeper than that: the sockets are
addressed through an open descriptor of their directory, whose path in /proc is always short.
"""

import os
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "announce-"
SUFFIX = ".sock"
MAX_OCTETS = 32  # a revision in decimal


def announce(run_directory: Path, revision: int) -> int:
    """Everybody who listens in the directory hears of the revision; returns how many did. Never raises.

    A socket whose owner is gone refuses, and its file is removed: a killed process can not do it itself.
    """
    reached = 0
    with (
        suppress(OSError),
        short_path(run_directory) as directory,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender,
    ):
        for path in run_directory.glob(f"{PREFIX}*{SUFFIX}"):
            try:
                sender.sendto(str(revision).encode(), f"{directory}/{path.name}")
            except ConnectionRefusedError:
                with suppress(OSError):
                    path.unlink()
            except OSError:  # full, gone, or not ours: the poll finds the revision
                continue
            else:
                reached += 1
    return reached


def is_anybody_listening(run_directory: Path) -> bool:
    """Whether a process listens in the directory. Never raises; a file that a killed process left is nobody."""
    with suppress(OSError), short_path(run_directory) as directory:
        for path in run_directory.glob(f"{PREFIX}*{SUFFIX}"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe, suppress(OSError):
                probe.connect(f"{directory}/{path.name}")
                return True
    return False


def bind_announcements(run_directory: Path, name: str) -> socket.socket:
    """A non-blocking socket on which announcements arrive; `name` is unique among the node's processes.

    Raises:
        OSError: the directory is not there or not writable.
    """
    path = _path_of(run_directory, name)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        with short_path(run_directory) as directory:
            listener.bind(f"{directory}/{path.name}")
        path.chmod(0o600)
    except OSError:
        listener.close()
        raise
    return listener


def close_announcements(listener: socket.socket, run_directory: Path, name: str) -> None:
    """The socket that was bound with these is closed, and its file is gone."""
    listener.close()
    with suppress(OSError):
        _path_of(run_directory, name).unlink()


def drain_announcements(listener: socket.socket) -> int | None:
    """The highest revision that was announced and not read yet; None when there is none."""
    highest: int | None = None
    while True:
        try:
            datagram = listener.recv(MAX_OCTETS)
        except BlockingIOError:
            return highest
        if datagram.isdigit():
            highest = max(highest or 0, int(datagram))


def _path_of(run_directory: Path, name: str) -> Path:
    return run_directory / f"{PREFIX}{name}{SUFFIX}"


@contextmanager
def short_path(directory: Path) -> Generator[str]:
    """A path of the directory that is short enough for a Unix address, inside the block.

    Raises:
        OSError: it is not there.
    """
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
