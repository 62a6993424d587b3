"""One federation for the tests of this folder: hosted libraries, one with a FreeRADIUS of its own, real processes."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.biebroam import DataDirectory
from tests.support.certificates import ServerCertificate, make_server_certificate
from tests.support.eapol import PHASE2, EapolResult, log_in_with_eapol
from tests.support.freeradius import NextHop, start_freeradius_home, start_freeradius_proxy
from tests.support.processes import Program, free_port

SERVER_NAME = "login.test.example"
KASTEEL_SERVER_NAME = "radius.kasteel.example"
SECRETS = {
    "zeewijk": "zeewijk-access-point-secret",
    "duinrand": "duinrand-access-point-secret",
    "kasteel": "kasteel-own-proxy-secret-1",
}
# Each library's access points have an address of their own, as they would have in the world.
SOURCES = {"zeewijk": "127.0.0.2", "duinrand": "127.0.0.3", "kasteel": "127.0.0.1"}
PASSWORDS = {
    "anna@zeewijk.example": "Strandlezer-1",
    "bram@duinrand.example": "Duinlezer-2",
    "cato@kasteel.example": "Torenlezer-3",
    # One for each method to be wrong about: wrong passwords for a patron are looked at ten times in a row only.
    **{f"wim-{method}@zeewijk.example": "Schelpenlezer-4" for method in PHASE2},
}
KASTEEL_HOME_SECRET = "kasteel-home-server-secret"
KASTEEL_NAS_SECRET = "kasteel-inner-nas-secret"


@dataclass(frozen=True)
class RunningFederation:
    """The running service, and what its tests need to ask it."""

    folder: Path
    data: DataDirectory
    service: Program
    auth_port: int
    eap_ca: Path
    kasteel: ServerCertificate
    kasteel_port: int
    kasteel_proxy_port: int

    def log_in(self, user: str, *, at: str, password: str | None = None, **options: object) -> EapolResult:
        """The patron signs in at an access point of library `at`."""
        realm = user.rpartition("@")[2]
        is_kasteel = realm == "kasteel.example"
        return log_in_with_eapol(
            self.folder,
            port=self.auth_port,
            secret=SECRETS[at],
            source=SOURCES[at],
            user=user,
            password=PASSWORDS.get(user, "") if password is None else password,
            ca=self.kasteel.ca if is_kasteel else self.eap_ca,
            server_name=KASTEEL_SERVER_NAME if is_kasteel else SERVER_NAME,
            **options,  # type: ignore[arg-type] - handed on as given
        )


def federation_file(kasteel_port: int) -> str:
    """Three libraries: two hosted ones and one with its own home server and its own proxy."""
    hosted = "".join(
        f"""
[[libraries]]
id = "{name}"
name = "Bibliotheek {name.title()}"
realms = ["{name}.example"]
[[libraries.access_points]]
name = "hal"
address = "{SOURCES[name]}/32"
secret = "{SECRETS[name]}"
{"allow_pap = true" if name == "duinrand" else ""}
[libraries.identity]
kind = "local"
mschapv2 = true
"""
        for name in ("zeewijk", "duinrand")
    )
    return f"""
[federation]
name = "test"
country = "NL"
eap_server_name = "{SERVER_NAME}"
{hosted}
[[libraries]]
id = "kasteel"
name = "Bibliotheek Kasteel"
realms = ["kasteel.example"]
[[libraries.access_points]]
name = "proxy"
address = "{SOURCES["kasteel"]}/32"
secret = "{SECRETS["kasteel"]}"
kind = "proxy"
[[libraries.home_servers]]
name = "radius1"
host = "127.0.0.1"
port = {kasteel_port}
secret = "{KASTEEL_HOME_SECRET}"
"""


@pytest.fixture(scope="session")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningFederation]:
    """`serve` with its real proxy, home server and API; FreeRADIUS as Kasteel's home server and as its proxy."""
    folder = tmp_path_factory.mktemp("federation")
    certificate = make_server_certificate(folder, KASTEEL_SERVER_NAME)
    kasteel_port, kasteel_proxy_port = free_port(), free_port()
    data = DataDirectory(folder / "data")
    data.take_initialised()
    data.apply(federation_file(kasteel_port))
    for name in ("zeewijk", "duinrand"):
        patrons = {user: password for user, password in PASSWORDS.items() if user.endswith(f"@{name}.example")}
        data.import_patrons(name, patrons)
    with (
        start_freeradius_home(
            folder / "kasteel-home",
            port=kasteel_port,
            secret=KASTEEL_HOME_SECRET,
            users={"cato@kasteel.example": PASSWORDS["cato@kasteel.example"]},
            server=certificate,
        ),
        data.start("serve", "--workers", "1") as service,
    ):
        auth_port = int(data.ports["auth"])
        status, _ = data.request("GET", "/readyz")
        assert status == 200
        eap_ca = folder / "eap.pem"
        eap_ca.write_text(data.fetch_text("/v1/trust/eap.pem"))
        with start_freeradius_proxy(
            folder / "kasteel-proxy",
            port=kasteel_proxy_port,
            secret=KASTEEL_NAS_SECRET,
            next_hop=NextHop("127.0.0.1", auth_port, SECRETS["kasteel"]),
        ):
            yield RunningFederation(
                folder, data, service, auth_port, eap_ca, certificate, kasteel_port, kasteel_proxy_port
            )
