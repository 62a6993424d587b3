"""Telling the processes of this node that the registry has a new revision.

Each process listens on a Unix datagram socket of its own in the run directory; whoever commits a change writes the
revision to all of them. A datagram that is lost costs little: everybody also looks at the revision each second.
"""

import os
import socket
from contextlib import suppress
from pathlib import Path

PREFIX = "announce-"
SUFFIX = ".sock"
MAX_OCTETS = 32  # a revision in decimal


def announce(run_directory: Path, revision: int) -> int:
    """Everybody who listens in the directory hears of the revision; returns how many did. Never raises.

    A socket whose owner is gone refuses, and its file is removed: a killed process can not do it itself.
    """
    reached = 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        for path in run_directory.glob(f"{PREFIX}*{SUFFIX}"):
            try:
                sender.sendto(str(revision).encode(), str(path))
            except ConnectionRefusedError:
                with suppress(OSError):
                    path.unlink()
            except OSError:  # full, gone, or not ours: the poll finds the revision
                continue
            else:
                reached += 1
    return reached


def bind_announcements(run_directory: Path, name: str) -> socket.socket:
    """A non-blocking socket on which announcements arrive; `name` is unique among the node's processes.

    Raises:
        OSError: the directory is not there or not writable.
    """
    path = run_directory / f"{PREFIX}{name}{SUFFIX}"
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
    except OSError:
        listener.close()
        raise
    return listener


def close_announcements(listener: socket.socket) -> None:
    """The socket and its file are gone."""
    path = listener.getsockname()
    listener.close()
    with suppress(OSError):
        os.unlink(path)  # noqa: PTH108 - the path is the socket's own, as text


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
