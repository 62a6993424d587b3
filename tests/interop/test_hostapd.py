"""IEEE 802.1X with the real thing: a device on a cable, hostapd as it is told to be, and Biebroam behind it."""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from federation.services.configurations import Place, build_hostapd, build_radsecproxy
from tests.interop.generated import put
from tests.support.biebroam import LOOPBACK, DataDirectory
from tests.support.namespace import Namespace, network_namespace
from tests.support.processes import Program, require_program, wait_until

SERVER_NAME = "login.test.example"
PEER_NAME = "ap.boekenburg.example"
VISITOR, PASSWORD = "bram@zeewijk.example", "Duinlezer-2"
SECRET = "secret-between-hostapd-and-radsecproxy"
ACCESS_PORT, LISTEN_PORT = 11812, 12083
AUTHENTICATOR_END, DEVICE_END = "cable-ap", "cable-device"
FEDERATION = f"""
[federation]
name = "test"
country = "NL"
eap_server_name = "{SERVER_NAME}"
[[libraries]]
id = "zeewijk"
name = "Bibliotheek Zeewijk"
realms = ["zeewijk.example"]
[libraries.identity]
kind = "local"
[[libraries]]
id = "boekenburg"
name = "Bibliotheek Boekenburg"
realms = ["boekenburg.example"]
[[libraries.access_points]]
name = "proxy"
certificate = "{PEER_NAME}"
kind = "proxy"
"""


@dataclass(frozen=True)
class Site:
    """A library with an access point, all of it in one network of its own."""

    network: Namespace
    hostapd: Program
    eap_ca: Path

    @contextmanager
    def device(self, folder: Path, password: str) -> Generator[Program]:
        """Debian's wpa_supplicant at the other end of the cable, with the visitor's profile."""
        configuration = folder / "device.conf"
        configuration.write_text(
            "ap_scan=0\nnetwork={\n key_mgmt=IEEE8021X\n eapol_flags=0\n eap=TTLS\n"
            f' identity="{VISITOR}"\n anonymous_identity="anonymous@zeewijk.example"\n password="{password}"\n'
            f' ca_cert="{self.eap_ca}"\n domain_match="{SERVER_NAME}"\n phase2="auth=PAP"\n}}\n'
        )
        program = require_program("wpa_supplicant", "wpasupplicant")
        command = self.network.enter([program, "-D", "wired", "-i", DEVICE_END, "-c", configuration])
        with Program(command, folder / "device.log") as device:
            yield device


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Generator[Site]:
    hostapd = require_program("hostapd", "hostapd")
    radsecproxy = require_program("radsecproxy", "radsecproxy")
    folder = tmp_path_factory.mktemp("hostapd")
    data = DataDirectory(folder / "data")
    data.take_initialised()
    data.apply(FEDERATION)
    data.add_patron(VISITOR, PASSWORD)
    with network_namespace() as network:
        network.run("ip", "link", "add", AUTHENTICATOR_END, "type", "veth", "peer", "name", DEVICE_END)
        for end in (AUTHENTICATOR_END, DEVICE_END):
            network.run("ip", "link", "set", end, "up")
        with data.start("serve", "--workers", "1", wrap=network.enter):
            base = f"http://{LOOPBACK}:{data.ports['api']}"
            eap_ca = folder / "eap.pem"
            eap_ca.write_text(network.fetch(f"{base}/v1/trust/eap.pem"))
            place = Place(
                library="boekenburg",
                realms=("boekenburg.example",),
                server_name=SERVER_NAME,
                host=LOOPBACK,
                port=int(data.ports["radsec"]),
                folder=str(folder),
                listen=LOOPBACK,
                listen_port=LISTEN_PORT,
                access_port=ACCESS_PORT,
                secret=SECRET,
            )
            (folder / "anchors.pem").write_text(network.fetch(f"{base}/v1/trust/peers.pem"))
            (folder / "chain.pem").write_text(issue(data, folder))
            path = put(folder, build_radsecproxy(place))
            command = network.enter([radsecproxy, "-f", "-c", path, "-i", folder / "radsecproxy.pid"])
            with Program(command, folder / "radsecproxy.log") as proxy:
                proxy.wait_ready(lambda: "listening for tls" in proxy.output)
                path = put(folder, build_hostapd(place))
                path.write_text(f"interface={AUTHENTICATOR_END}\ndriver=wired\n{path.read_text()}")
                with Program(network.enter([hostapd, path]), folder / "hostapd.log") as authenticator:
                    authenticator.wait_ready(lambda: "AP-ENABLED" in authenticator.output)
                    yield Site(network, authenticator, eap_ca)


def issue(data: DataDirectory, folder: Path) -> str:
    """A certificate for the library's radsecproxy, whose key is in the folder."""
    subprocess.run(
        [
            *("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/"),
            *("-keyout", folder / "key.pem", "-out", folder / "request.pem"),
            *("-addext", f"subjectAltName=DNS:{PEER_NAME}"),
        ],
        check=True,
        capture_output=True,
    )
    return data.run("cert", "issue", "--csr", folder / "request.pem", "--library", "boekenburg").stdout


@pytest.mark.interop
@pytest.mark.timeout(180)
class TestHostapd:
    def test_visitor_is_let_into_the_network(self, site: Site, tmp_path: Path) -> None:
        """Device, hostapd with the file that a library is given, radsecproxy with its own, Biebroam: the port opens."""
        with site.device(tmp_path, PASSWORD) as device:
            wait_until(lambda: "CTRL-EVENT-CONNECTED" in device.output, "the device in the network", 30)
            assert "CTRL-EVENT-EAP-SUCCESS" in device.output
            wait_until(lambda: "AP-STA-CONNECTED" in site.hostapd.output, "the open port", 10)

    def test_wrong_password_opens_nothing(self, site: Site, tmp_path: Path) -> None:
        """A refusal of the home server is the device's EAP-Failure, and the port stays shut."""
        before = site.hostapd.output.count("AP-STA-CONNECTED")
        with site.device(tmp_path, "wrong") as device:
            wait_until(lambda: "CTRL-EVENT-EAP-FAILURE" in device.output, "the refusal", 30)
            assert "CTRL-EVENT-CONNECTED" not in device.output
        assert site.hostapd.output.count("AP-STA-CONNECTED") == before
