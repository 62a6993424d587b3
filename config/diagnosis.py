"""What a newcomer to a machine would look at when something is wrong, each finding with what to do."""

import os
import resource
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from config.settings import Settings
from config.sources import find_unknown

RECEIVE_BUFFER_OCTETS = 4 * 1024 * 1024
FREE_OCTETS = 200 * 1024 * 1024  # a database that can not write refuses every change
DESCRIPTORS = 4096  # source ports towards home servers, connections of the API
MOUNTS = Path("/proc/self/mountinfo")
# SQLite's write-ahead log is shared memory, and its locks are often none there (sqlite.org/wal.html, "all processes
# must be on the same host computer").
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse.sshfs", "fuse.glusterfs", "glusterfs", "lustre", "afs"}
)
RMEM_MAX = Path("/proc/sys/net/core/rmem_max")


@dataclass(frozen=True, slots=True)
class Finding:
    """One check and what it found."""

    check: str
    passes: bool
    detail: str  # what is so
    remedy: str = ""  # what to do, when it does not pass


Probe = Callable[[], str]
"""Returns what is so, or raises with what is wrong."""


def diagnose(
    settings: Settings, environment: Mapping[str, str], probes: Mapping[str, tuple[Probe, str]]
) -> list[Finding]:
    """All findings about this node; `probes` are checks of the caller's, each with its remedy."""
    findings = [*_look_at_files(settings), *_look_at_machine(settings)]
    unknown = find_unknown(environment)
    findings.append(
        Finding(
            "environment",
            not unknown,
            f"unknown: {', '.join(unknown)}" if unknown else "every BIEBROAM_ variable is known",
            "correct the name, or unset it",
        )
    )
    for name, (probe, remedy) in probes.items():
        try:
            findings.append(Finding(name, passes=True, detail=probe()))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
            findings.append(Finding(name, False, str(error) or type(error).__name__, remedy))
    return findings


def _look_at_files(settings: Settings) -> Iterator[Finding]:
    directory = settings.directory
    if not directory.node_key.exists():
        yield Finding("data directory", False, f"{directory.root} is not initialised", "run biebroam init")
        return
    yield Finding("data directory", True, str(directory.root))
    for path in (directory.root, directory.node_key, directory.database):
        if path.exists():
            mode = stat.S_IMODE(path.stat().st_mode)
            yield Finding(f"permissions of {path.name}", not mode & 0o077, f"mode {mode:04o}", f"chmod go= {path}")
    writable = os.access(directory.root, os.W_OK)
    yield Finding("writing", writable, "allowed" if writable else "not allowed", f"chown {directory.root} to this user")
    if not settings.database_url:
        kind = find_file_system(directory.root)
        remedy = (
            "SQLite needs a disk of this machine: move the data directory, or set BIEBROAM_DATABASE_URL to PostgreSQL"
        )
        yield Finding("file system", kind not in NETWORK_FILE_SYSTEMS, kind or "unknown", remedy)
    free = shutil.disk_usage(directory.root).free
    yield Finding("disk", free >= FREE_OCTETS, f"{free // 2**20} MiB free", "make room on this file system")


def find_file_system(path: Path, mounts: Path = MOUNTS) -> str:
    """The kind of file system that the path is on; empty where the kernel does not say."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return ""
    resolved = path.resolve()
    found = (-1, "")
    for line in lines:
        fields, _, rest = line.partition(" - ")  # proc_pid_mountinfo(5): then type, source, options
        place = Path(fields.split(" ")[4].replace("\\040", " "))
        if resolved.is_relative_to(place) and len(place.parts) >= found[0]:
            found = (len(place.parts), rest.split(" ")[0])
    return found[1]


def _look_at_machine(settings: Settings) -> Iterator[Finding]:
    try:
        limit = int(RMEM_MAX.read_text())
    except (OSError, ValueError):
        limit = RECEIVE_BUFFER_OCTETS  # not Linux, or hidden in a container: nothing can be said
    yield Finding(
        "receive buffer",
        limit >= RECEIVE_BUFFER_OCTETS or os.geteuid() == 0,  # root may pass the limit
        f"net.core.rmem_max is {limit}",
        f"sysctl -w net.core.rmem_max={2 * RECEIVE_BUFFER_OCTETS}",
    )
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield Finding(
        "open files", descriptors >= DESCRIPTORS or descriptors < 0, f"{descriptors} allowed", "raise LimitNOFILE"
    )
    yield Finding("workers", True, f"{settings.workers} proxy processes")
