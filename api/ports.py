"""What the API needs from outside and does not make itself; `biebroam_roles.py` hands it in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from federation.services.explain import LookUp
from federation.snapshot import SharedSecret
from federation.statistics.reports import WorkerReport


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """Where a probe sends its requests, as an access point of this federation would."""

    host: str
    port: int
    secret: SharedSecret


def _no_reports() -> Sequence[WorkerReport]:
    return ()


def _no_target() -> ProbeTarget | None:
    return None


@dataclass(frozen=True, slots=True)
class Ports:
    """All of them; the defaults serve a command that works on the data directory, beside whatever runs."""

    read_reports: Callable[[], Sequence[WorkerReport]] = _no_reports  # what the node's workers last said
    find_probe_target: Callable[[], ProbeTarget | None] = _no_target  # the node's proxy; None: no proxy runs here
    look_up_realm: LookUp | None = None  # asks the DNS as this node's proxy would; None: it is not asked
    hosted_addresses: tuple[tuple[str, int], ...] = (("127.0.0.1", 18120),)  # of Biebroam's own home servers
    runs_workers: bool = False  # a proxy is expected on this node: without one it is not ready
