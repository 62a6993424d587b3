"""A federation of two libraries with simulated home servers, for tests of the running service."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.biebroam import DataDirectory
from tests.support.processes import Program
from tests.support.traffic import SimulatedHome, Traffic

CLIENT_SECRET = "access-point-secret-of-west"
HOME_SECRET = "home-server-secret-of-east"


def library(name: str, home_port: int, *, secret: str = HOME_SECRET, realms: str = "", client: str = "") -> str:
    """A library of the federation file with its own home server on loopback."""
    return f"""
[[libraries]]
id = "{name}"
name = "Bibliotheek {name.title()}"
realms = [{realms or f'"{name}.example"'}]
{client}
[[libraries.home_servers]]
name = "radius1"
host = "127.0.0.1"
port = {home_port}
secret = "{secret}"
"""


WEST_CLIENT = f"""
[[libraries.access_points]]
name = "hal"
address = "127.0.0.1/32"
secret = "{CLIENT_SECRET}"
"""

HOSTED = """
[[libraries]]
id = "hosted"
name = "Bibliotheek Hosted"
realms = ["hosted.example"]
[libraries.identity]
kind = "local"
"""

HEAD = """
[federation]
name = "test"
country = "NL"
eap_server_name = "login.test.example"
"""


@dataclass
class RunningPair:
    """West has the access points, East the patrons."""

    data: DataDirectory
    service: Program
    home: SimulatedHome

    def document(self, *libraries: str) -> str:
        """The federation file of the pair, with further libraries."""
        return HEAD + library("west", self.home.port, client=WEST_CLIENT) + "".join(libraries)

    def traffic(self, *realms: str, rate: float = 400, timeout_seconds: float = 12.0) -> Traffic:
        """Requests from West's access point for patrons of these realms."""
        return Traffic(
            port=int(self.data.ports["auth"]),
            secret=CLIENT_SECRET,
            realms=list(realms),
            rate=rate,
            timeout_seconds=timeout_seconds,
        )

    def snapshot(self) -> dict[str, Any]:
        """What the API says of the revisions that the workers run."""
        status, body = self.data.request("GET", "/v1/snapshot")
        assert status == 200, body
        found: dict[str, Any] = body
        return found


@contextmanager
def running_pair(
    folder: Path, *, workers: int = 1, delay_seconds: float = 0.0, libraries: Sequence[str] = ()
) -> Generator[RunningPair]:
    """`serve` for West and East, with a simulated home server for both, and further libraries."""
    data = DataDirectory(folder / "data")
    data.take_initialised()
    with SimulatedHome(secret=HOME_SECRET, delay_seconds=delay_seconds) as home:
        file = HEAD + library("west", home.port, client=WEST_CLIENT) + library("east", home.port)
        data.apply(file + "".join(libraries))
        with data.start("serve", "--workers", str(workers)) as service:
            yield RunningPair(data, service, home)
