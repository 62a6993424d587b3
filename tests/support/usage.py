"""What a process holds, read from /proc."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Usage:
    """At one moment."""

    descriptors: int
    resident_kib: int


def usage_of(process_id: int) -> Usage:
    """Open file descriptors and resident memory of a process that runs.

    Raises:
        OSError: it does not.
    """
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    (resident,) = (int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    return Usage(sum(1 for _ in Path(f"/proc/{process_id}/fd").iterdir()), resident)
