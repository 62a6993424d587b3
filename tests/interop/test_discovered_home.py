"""A home server that stands in the DNS and in no registry: a patron signs in at it, and others are kept out of it."""

import json
import socket
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from federation.services.configurations import Place
from tests.interop import generated
from tests.radius.transport.tls.members import Authority, nai_realm, names_of
from tests.support.biebroam import LOOPBACK, DataDirectory
from tests.support.certificates import ServerCertificate, make_server_certificate
from tests.support.eapol import EapolResult, log_in_with_eapol
from tests.support.freeradius import start_freeradius_home
from tests.support.nameserver import start_knot
from tests.support.processes import free_port, wait_until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

SERVER_NAME = "login.test.example"
HOME_NAME = "radius.greatlib.test"
PATRON, PASSWORD = "anna@greatlib.test", "Strandlezer-1"
AP_SOURCE, AP_SECRET = "127.0.0.2", "zeewijk-access-point-secret"
HOME_SECRET = "greatlib-inside-secret"
FEDERATION = """
[federation]
name = "test"
country = "NL"
eap_server_name = "{server_name}"
[federation.discovery]
enabled = true
services = ["x-biebroam:radius.tls", "x-eduroam:radius.tls"]
allowed_networks = ["127.0.0.0/8"]
[[federation.discovery.authorities]]
anchor = "outside"
[[libraries]]
id = "zeewijk"
name = "Bibliotheek Zeewijk"
realms = ["zeewijk.example"]
[[libraries.access_points]]
name = "hal"
address = "{source}/32"
secret = "{secret}"
"""


def zone(name: str, port: int, *, tag: str = "x-eduroam:radius.tls", address: str = LOOPBACK) -> str:
    return (
        f'@ 60 NAPTR 100 10 "s" "{tag}" "" _radsec._tcp.{name}.\n'
        f"_radsec._tcp 60 SRV 0 0 {port} radius\nradius 60 A {address}\n"
    )


def put_member(folder: Path, member: tuple[x509.Certificate, bytes], anchors: str) -> None:
    """The files that the generated configuration names."""
    certificate, key = member
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "key.pem").write_bytes(key)
    (folder / "chain.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "anchors.pem").write_text(anchors)


@dataclass(frozen=True)
class Outside:
    """The running service, and the library that is no member of it."""

    folder: Path
    data: DataDirectory
    eap: ServerCertificate

    def log_in(self, folder: Path, realm: str = "greatlib.test", **options: Any) -> EapolResult:  # Any: its options
        values: dict[str, Any] = {
            "port": int(self.data.ports["auth"]),
            "secret": AP_SECRET,
            "source": AP_SOURCE,
            "user": f"anna@{realm}",
            "password": PASSWORD,
            "ca": self.eap.ca,
            "server_name": HOME_NAME,
            "seconds": 15,
        }
        return log_in_with_eapol(folder, **{**values, **options})

    def counters(self) -> dict[str, Any]:
        """What the proxy reports."""
        (report,) = (self.data.folder / "run").glob("worker-proxy-*.json")
        return dict(json.loads(report.read_text())["counters"])

    def sign_ins(self, realm: str) -> list[dict[str, Any]]:
        status, found = self.data.request("GET", f"/v1/sign-ins?realm={realm}")
        assert status == 200, found
        return list(found["items"])


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Generator[Outside]:
    folder = tmp_path_factory.mktemp("discovered")
    dns_port, home_port = free_port(), free_port()
    good, strange, dead = (free_port(socket.SOCK_STREAM) for _ in range(3))
    eap = make_server_certificate(folder, HOME_NAME)
    authority, stranger = Authority("Outside"), Authority("Stranger")
    root = folder / "outside.pem"
    root.write_bytes(authority.pem)
    data = DataDirectory(folder / "data", settings={"BIEBROAM_NAMESERVERS": f"{LOOPBACK}:{dns_port}"})
    data.initialise()
    data.run("cert", "anchor", "add", "outside", "--file", root, seconds=180)
    data.apply(FEDERATION.format(server_name=SERVER_NAME, source=AP_SOURCE, secret=AP_SECRET))
    zones = {
        "greatlib.test": zone("greatlib.test", good),
        "wrongname.test": zone("wrongname.test", good),
        "stranger.test": zone("stranger.test", strange),
        "dead.test": zone("dead.test", dead),
        "private.test": zone("private.test", 2083, address="10.1.2.3"),
    }
    with (
        start_knot(folder / "knot", port=dns_port, zones=zones),
        data.start("serve", "--workers", "1"),
        start_freeradius_home(
            folder / "home", port=home_port, secret=HOME_SECRET, users={PATRON: PASSWORD}, server=eap
        ),
    ):
        anchors = data.fetch_text("/v1/trust/peers.pem")
        for name, signer in (("greatlib", authority), ("stranger", stranger)):
            names: list[x509.GeneralName] = [nai_realm(f"{name}.test"), *names_of(f"radius.{name}.test")]
            put_member(folder / name, signer.issue(names), anchors)
        places = [
            Place(
                library=name,
                realms=(f"{name}.test",),
                server_name=SERVER_NAME,
                host=LOOPBACK,
                port=int(data.ports["radsec"]),
                folder=str(folder / name),
                listen=LOOPBACK,
                listen_port=port,
                access_port=free_port(),
                home=(LOOPBACK, home_port),
                secret=HOME_SECRET,
            )
            for name, port in (("greatlib", good), ("stranger", strange))
        ]
        with (
            generated.start_library(folder / "proxy-greatlib", places[0]),
            generated.start_library(folder / "proxy-stranger", places[1]),
        ):
            yield Outside(folder, data, eap)


class TestDiscoveredHome:
    def test_patron_of_a_discovered_realm_signs_in(self, outside: Outside, tmp_path: Path) -> None:
        """NAPTR, SRV and address lead to a real radsecproxy whose certificate holds the realm (RFC 7585 §2.2)."""
        result = outside.log_in(tmp_path)
        assert result.is_complete, result.output[-3000:]
        assert not outside.log_in(tmp_path, password="wrong").succeeded

    @pytest.mark.parametrize(
        ("realm", "reason"),
        [
            ("wrongname.test", "discovery_certificate"),
            ("stranger.test", "discovery_certificate"),
            ("dead.test", "no_live_home_server"),
            ("private.test", "discovery_address_not_allowed"),
            ("missing.test", "discovery_nameserver_failed"),  # Knot refuses what it has no zone for
        ],
    )
    def test_patron_of_a_realm_that_proves_nothing_is_refused(
        self, outside: Outside, tmp_path: Path, realm: str, reason: str
    ) -> None:
        """A no within seconds, with its reason in the sign-ins, where server, certificate or records are no good."""
        began = time.monotonic()
        assert not outside.log_in(tmp_path, realm).succeeded
        assert time.monotonic() - began < 12
        wait_until(lambda: outside.sign_ins(realm) != [], "the sign-in to be recorded")
        assert [each["reason"] for each in outside.sign_ins(realm)] == [reason]

    def test_sign_in_says_where_it_went(self, outside: Outside, tmp_path: Path) -> None:
        """A sign-in at a discovered server names the server, and no library as its home."""
        assert outside.log_in(tmp_path).is_complete
        wait_until(lambda: outside.sign_ins("greatlib.test") != [], "the sign-in to be recorded")
        newest = outside.sign_ins("greatlib.test")[0]
        assert newest["outcome"] in {"accepted", "rejected"}
        assert str(newest["home_server"]).startswith("discovered:greatlib.test/radius.greatlib.test:")

    def test_explain_shows_the_records_and_the_verdict(self, outside: Outside) -> None:
        """`explain` asks the DNS as the proxy would, and says what each answer was and what it came to."""
        found = outside.data.run("explain", PATRON, "--client", "zeewijk/hal", seconds=180).stdout
        assert "no library owns greatlib.test" in found
        assert 'greatlib.test NAPTR 100 10 "s" "x-eduroam:radius.tls" "" _radsec._tcp.greatlib.test.' in found
        assert "→ discovered:greatlib.test/radius.greatlib.test:" in found
        _, refused = outside.data.request("POST", "/v1/explain", {"name": "anna@private.test"})
        assert (refused["outcome"], refused["reason"]) == ("refuse", "discovery_address_not_allowed")
        assert any("10.1.2.3" in step["text"] for step in refused["steps"])

    def test_metrics_count_look_ups(self, outside: Outside, tmp_path: Path) -> None:
        """/metrics tells how many look-ups found something, why others did not, and how long they took."""
        outside.log_in(tmp_path)
        outside.log_in(tmp_path, "private.test")
        told = 'reason="discovery_address_not_allowed"'
        wait_until(lambda: told in outside.data.fetch_text("/metrics"), "the metrics")
        metrics = outside.data.fetch_text("/metrics")
        for name in ("found_total", "hits_total", "waits_total", "seconds_total", "learned"):
            assert f"biebroam_discovery_{name}{{" in metrics
