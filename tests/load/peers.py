"""The proxies under measurement, each with the same job: one client, N realms, one home server."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.load.laboratory import CLIENT_SECRET, HOME_SECRET, pinned, realm_names
from tests.support.biebroam import COMMAND, DataDirectory
from tests.support.freeradius import NextHop, start_freeradius_proxy
from tests.support.processes import Program, find_program
from tests.support.radsecproxy import start_radsecproxy

PROXY_CPU = 0
COMPILED = Path(__file__).parents[2] / ".venv-compiled" / "bin" / "biebroam"  # `make compiled` puts it there


@dataclass(frozen=True, slots=True)
class Job:
    """What a peer is asked to be: where it listens, what it routes, where to."""

    folder: Path
    port: int
    home_port: int
    realms: int

    @property
    def next_hop(self) -> NextHop:
        """The simulated home server."""
        return NextHop("127.0.0.1", self.home_port, HOME_SECRET)


def apply_federation(data: DataDirectory, job: Job) -> None:
    """The directory is made with `init` and `apply`, and does the job."""
    data.initialise()
    realms = ", ".join(f'"{name}"' for name in realm_names(job.realms))
    data.apply(f"""
[federation]
name = "bench"
country = "NL"
eap_server_name = "login.bench.example"

[[libraries]]
id = "visited"
name = "Where the load comes from"
realms = ["visited.example"]
[[libraries.access_points]]
name = "loadgen"
address = "127.0.0.1/32"
secret = "{CLIENT_SECRET}"
[[libraries.home_servers]]
name = "nobody"
host = "127.0.0.1"
port = {job.home_port}
secret = "{HOME_SECRET}"

[[libraries]]
id = "home"
name = "Whose patrons ask"
realms = [{realms}]
[[libraries.home_servers]]
name = "homesim"
host = "127.0.0.1"
port = {job.home_port}
secret = "{HOME_SECRET}"
""")


def start_biebroam(job: Job, command: Path = COMPILED) -> Program:
    """`biebroam proxy`, one process."""
    data = DataDirectory(job.folder / "biebroam", command=command)
    apply_federation(data, job)
    return data.start("proxy", port=job.port, wrap=lambda command: pinned(PROXY_CPU, command))


def pin(program: Program) -> Program:
    """Move a program that runs already, with its threads, to the proxy's processor."""
    import os  # noqa: PLC0415 - one use

    for thread in Path(f"/proc/{program.process.pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {PROXY_CPU})
    return program


def start_freeradius(job: Job) -> Program:
    """FreeRADIUS with the least configuration that routes the realms."""
    return pin(
        start_freeradius_proxy(
            job.folder / "freeradius",
            port=job.port,
            secret=CLIENT_SECRET,
            next_hop=job.next_hop,
            realms=realm_names(job.realms),
        )
    )


def start_radsecproxy_peer(job: Job) -> Program:
    """A radsecproxy that routes the realms."""
    realms = dict.fromkeys(realm_names(job.realms), job.next_hop)
    return pin(start_radsecproxy(job.folder / "radsecproxy", port=job.port, secret=CLIENT_SECRET, realms=realms))


OURS = ("biebroam", "interpreted")  # the same source, with its packet path compiled and without
PEERS: dict[str, Callable[[Job], Program]] = {
    "biebroam": start_biebroam,
    "interpreted": partial(start_biebroam, command=COMMAND),
    "radsecproxy": start_radsecproxy_peer,
    "freeradius": start_freeradius,
}


def installed_peers() -> list[str]:
    """The peers that this machine has; Biebroam first."""
    return [name for name in PEERS if name in OURS or find_program(name) is not None]
