"""RADIUS/TLS with real peers: they join by an invitation, run what they are given, and patrons sign in both ways."""

import json
import re
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from federation.services.configurations import Place
from radius.exchange.backoff import SETTLED_SECONDS
from tests.interop import generated
from tests.support.biebroam import LOOPBACK, DataDirectory
from tests.support.certificates import ServerCertificate, make_server_certificate
from tests.support.eapol import EapolResult, log_in_with_eapol
from tests.support.freeradius import start_freeradius_home
from tests.support.processes import Program, free_port, require_program, wait_until

pytestmark = pytest.mark.xdist_group("radsec")  # one federation for all of them

SERVER_NAME = "login.test.example"
HOME_NAME = "radius.boekenburg.example"
PEER_NAME = "radius1.boekenburg.example"
PATRON, PASSWORD = "anna@boekenburg.example", "Strandlezer-1"
VISITOR, VISITOR_PASSWORD = "bram@zeewijk.example", "Duinlezer-2"
AP_SOURCE, AP_SECRET = "127.0.0.2", "zeewijk-access-point-secret"
LIBRARY_SECRET = "boekenburg-inside-secret"
NEW_KEY = ("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
FEDERATION = """
[federation]
name = "test"
country = "NL"
eap_server_name = "{server_name}"
[[libraries]]
id = "zeewijk"
name = "Bibliotheek Zeewijk"
realms = ["zeewijk.example"]
[[libraries.access_points]]
name = "hal"
address = "{source}/32"
secret = "{secret}"
[libraries.identity]
kind = "local"
[[libraries]]
id = "boekenburg"
name = "Bibliotheek Boekenburg"
realms = ["boekenburg.example"]
[[libraries.access_points]]
name = "proxy"
certificate = "{peer_name}"
kind = "proxy"
[[libraries.home_servers]]
name = "radius1"
transport = "tls"
host = "127.0.0.1"
port = {port}
"""


LOGIN_SECONDS = 4
BACK_SECONDS = 2 * LOGIN_SECONDS  # once there is a connection: for the login that began too early, and the next


@dataclass(frozen=True)
class Federation:
    """The running service, and the library that has joined it."""

    folder: Path
    data: DataDirectory
    place: Place
    eap_ca: Path
    library_eap: ServerCertificate

    def log_in(self, folder: Path, **options: Any) -> EapolResult:  # Any: options of log_in_with_eapol
        """Boekenburg's patron at an access point of Zeewijk."""
        values: dict[str, Any] = {
            "port": int(self.data.ports["auth"]),
            "secret": AP_SECRET,
            "source": AP_SOURCE,
            "user": PATRON,
            "password": PASSWORD,
            "ca": self.library_eap.ca,
            "server_name": HOME_NAME,
            "seconds": 10,
        }
        return log_in_with_eapol(folder, **{**values, **options})

    def log_in_visitor(self, folder: Path) -> EapolResult:
        """Zeewijk's patron at an access point of Boekenburg."""
        return log_in_with_eapol(
            folder,
            port=self.place.access_port,
            secret=LIBRARY_SECRET,
            user=VISITOR,
            password=VISITOR_PASSWORD,
            ca=self.eap_ca,
            server_name=SERVER_NAME,
            seconds=10,
        )

    def peers(self) -> dict[str, dict[str, Any]]:
        """The peers that proxies report."""
        reports = [json.loads(path.read_text()) for path in (self.data.folder / "run").glob("worker-proxy-*.json")]
        return {key: peer for report in reports for key, peer in report["counters"]["peers"].items()}


def make_request(folder: Path, name: str, realm: str) -> str:
    """A key and a request for it, made as docs/trust.md says."""
    alternative = f"subjectAltName=DNS:{name},otherName:1.3.6.1.5.5.7.8.8;UTF8:{realm}"
    subprocess.run(
        [
            *NEW_KEY,
            *("-new", "-keyout", folder / "key.pem", "-out", folder / "request.pem"),
            *("-subj", "/", "-addext", alternative),
        ],
        check=True,
        capture_output=True,
    )
    return (folder / "request.pem").read_text()


def join(data: DataDirectory, folder: Path, library: str, name: str, realm: str) -> dict[str, Any]:
    """The library's folder has its key, its chain and the anchors; returns what the enrolment gave."""
    folder.mkdir(parents=True)
    invitation = data.run("cert", "invite", library).stdout.strip()
    body = {"invitation": invitation, "csr": make_request(folder, name, realm)}
    status, made = data.request("POST", "/v1/enrolments", body)
    assert status == 200, made
    (folder / "chain.pem").write_text(made["certificate"]["chain_pem"])
    (folder / "anchors.pem").write_text(made["anchors_pem"])
    return dict(made)


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Generator[Federation]:
    folder = tmp_path_factory.mktemp("radsec")
    listen_port, access_port, home_port = free_port(socket.SOCK_STREAM), free_port(), free_port()
    library_eap = make_server_certificate(folder, HOME_NAME)
    data = DataDirectory(folder / "data")
    data.take_initialised()
    data.apply(
        FEDERATION.format(
            server_name=SERVER_NAME, source=AP_SOURCE, secret=AP_SECRET, peer_name=PEER_NAME, port=listen_port
        )
    )
    data.add_patron(VISITOR, VISITOR_PASSWORD)
    users = {PATRON: PASSWORD}
    with (
        data.start("serve", "--workers", "1"),
        start_freeradius_home(folder / "home", port=home_port, secret=LIBRARY_SECRET, users=users, server=library_eap),
    ):
        made = join(data, folder / "boekenburg", "boekenburg", PEER_NAME, "boekenburg.example")
        assert {item["program"] for item in made["configurations"]} >= {"freeradius", "radsecproxy"}
        eap_ca = folder / "eap.pem"
        eap_ca.write_text(data.fetch_text("/v1/trust/eap.pem"))
        place = Place(
            library="boekenburg",
            realms=("boekenburg.example",),
            server_name=SERVER_NAME,
            host=LOOPBACK,
            port=int(data.ports["radsec"]),
            folder=str(folder / "boekenburg"),
            listen=LOOPBACK,
            listen_port=listen_port,
            access_port=access_port,
            home=(LOOPBACK, home_port),
            secret=LIBRARY_SECRET,
        )
        yield Federation(folder, data, place, eap_ca, library_eap)


def start(federation: Federation, folder: Path, program: str, tls: str) -> Program:
    """The library's program, with the configuration that it is given and that version of TLS alone."""
    if program == "radsecproxy":
        version = {"1.2": "TLS1_2:TLS1_2", "1.3": "TLS1_3:TLS1_3"}[tls]
        return generated.start_library(folder, federation.place, (r"TlsVersion .*", f"TlsVersion {version}"))
    return generated.start_freeradius(
        folder,
        federation.library_eap,
        federation.place,
        (r"tls_min_version = .*", f'tls_min_version = "{tls}"'),
        (r"tls_max_version = .*", f'tls_max_version = "{tls}"'),
        users={PATRON: PASSWORD},
        secret=LIBRARY_SECRET,
    )


@pytest.mark.interop
@pytest.mark.parametrize("tls", ["1.2", "1.3"])
@pytest.mark.parametrize("program", ["radsecproxy", "freeradius"])
class TestMember:
    def test_patrons_sign_in_both_ways(self, federation: Federation, tmp_path: Path, program: str, tls: str) -> None:
        """A member's real program, as client and as server, over each version of TLS; keys match, a no is a no."""
        with start(federation, tmp_path / program, program, tls):
            wait_until(lambda: "boekenburg/radius1" in federation.peers(), "the connection to the library")
            result = federation.log_in(tmp_path)
            assert result.is_complete, result.output[-3000:]
            assert not federation.log_in(tmp_path, password="wrong").succeeded
            visitor = federation.log_in_visitor(tmp_path)
            assert visitor.is_complete, visitor.output[-3000:]

    def test_restart_of_the_program_is_survived(
        self, federation: Federation, tmp_path: Path, program: str, tls: str
    ) -> None:
        """Patrons sign in again soon after the member's program was killed and started again.

        No pause between two attempts to dial is longer than what has passed, and a quarter (`exchange.backoff`).
        """
        with start(federation, tmp_path / "first", program, tls):
            wait_until(lambda: "boekenburg/radius1" in federation.peers(), "the connection to the library")
            stood_since = time.monotonic()  # lost at once, it would count as an attempt that failed, after others
            wait_until(lambda: time.monotonic() > stood_since + SETTLED_SECONDS, "the connection to have stood")
            assert federation.log_in(tmp_path).is_complete
            began = time.monotonic()
        with start(federation, tmp_path / "second", program, tls):
            limit = 1.25 * (time.monotonic() - began) + BACK_SECONDS
            # A device gives up and tries again; so does this one, before one attempt has used up all the seconds.
            wait_until(
                lambda: federation.log_in(tmp_path, seconds=LOGIN_SECONDS).is_complete,
                "a patron to be let in again",
                limit,
            )


@pytest.mark.interop
@pytest.mark.timeout(300)
class TestRevocation:
    def test_revoked_member_is_out_at_once(self, federation: Federation, tmp_path: Path) -> None:
        """Its connections are closed, and the next login through it is refused; a new certificate lets it in again."""
        folder = Path(federation.place.folder)
        with ExitStack() as stack:
            stack.enter_context(start(federation, tmp_path / "lib", "radsecproxy", "1.3"))
            wait_until(lambda: "boekenburg/radius1" in federation.peers(), "the connection to the library")
            assert federation.log_in_visitor(tmp_path).is_complete
            port = int(federation.data.ports["radsec"])
            wait_until(lambda: count_connections(port) > 0, "the library's connection")
            serial = federation.peers()["boekenburg/radius1"]["serial"]
            federation.data.request("POST", f"/v1/certificates/{serial}/revoke", {"reason": "keyCompromise"})
            began = time.monotonic()
            wait_until(lambda: count_connections(port) == 0, "the end of the library's connections", 5.0)
            print(f"closed {time.monotonic() - began:.3f} s after the revocation was answered")
            assert not federation.log_in(tmp_path).succeeded
            assert not federation.log_in_visitor(tmp_path).succeeded
        for name in ("key.pem", "chain.pem", "anchors.pem", "request.pem"):
            (folder / name).unlink()
        folder.rmdir()
        join(federation.data, folder, "boekenburg", PEER_NAME, "boekenburg.example")
        with start(federation, tmp_path / "again", "radsecproxy", "1.3"):
            result = federation.log_in_visitor(tmp_path)
            assert result.is_complete, result.output[-3000:]


def count_connections(port: int) -> int:
    """Established TCP connections to a listening port of this machine."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(fields[1].endswith(f":{port:04X}") and fields[3] == "01" for fields in (line.split() for line in lines))


def knock(port: int, *options: str | Path, seconds: float = 20.0) -> str:
    """What `openssl s_client` says of a connection with these options; with -ign_eof it waits for the other end."""
    program = require_program("openssl", "openssl")
    run = subprocess.run(
        [program, "s_client", "-connect", f"{LOOPBACK}:{port}", *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=seconds,
        check=False,
    )
    return (run.stdout + run.stderr).decode(errors="replace")


@pytest.mark.interop
class TestRefusals:
    def identity(self, folder: Path) -> tuple[str | Path, ...]:
        return "-cert", folder / "chain.pem", "-cert_chain", folder / "chain.pem", "-key", folder / "key.pem"

    def port(self, federation: Federation) -> int:
        return int(federation.data.ports["radsec"])

    def test_member_is_let_in(self, federation: Federation) -> None:
        """The control: with its own certificate the handshake succeeds, in either version, and ALPN is radius/1.0."""
        for version in ("-tls1_2", "-tls1_3"):
            output = knock(
                self.port(federation), version, "-alpn", "radius/1.0", *self.identity(Path(federation.place.folder))
            )
            assert "ALPN protocol: radius/1.0" in output
            assert "alert" not in output, output

    @pytest.mark.parametrize(
        ("options", "alert"),
        [
            (("-tls1_2",), "handshake failure|certificate required|alert"),
            (("-tls1_3",), "certificate required"),
            (("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"), "protocol version|alert|no protocols"),
            (("-tls1_2", "-cipher", "NULL@SECLEVEL=0"), "handshake failure|alert|no ciphers"),
        ],
        ids=["no-certificate-1.2", "no-certificate-1.3", "tls-1.1", "null-cipher"],
    )
    def test_handshake_is_refused(self, federation: Federation, options: tuple[str, ...], alert: str) -> None:
        """No certificate, an old version or no encryption ends the handshake with an alert (RFC 9325)."""
        output = knock(self.port(federation), *options, "-ign_eof")
        assert re.search(alert, output), output

    def test_strangers_certificate_is_refused(self, federation: Federation, tmp_path: Path) -> None:
        """A certificate that only says the right name itself is worth nothing."""
        subprocess.run(
            [
                *NEW_KEY,
                *("-x509", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "chain.pem"),
                *("-subj", f"/CN={PEER_NAME}", "-addext", f"subjectAltName=DNS:{PEER_NAME}", "-days", "2"),
            ],
            check=True,
            capture_output=True,
        )
        output = knock(self.port(federation), "-tls1_3", *self.identity(tmp_path), "-ign_eof")
        assert "unknown ca" in output or "alert" in output, output

    def test_member_of_another_place_is_refused(self, federation: Federation, tmp_path: Path) -> None:
        """A good certificate of a library that has no client of that name in the registry does not let in."""
        folder = tmp_path / "other"
        join(federation.data, folder, "zeewijk", "ap9.zeewijk.example", "zeewijk.example")
        output = knock(self.port(federation), "-tls1_3", *self.identity(folder), "-ign_eof")
        assert "alert" in output, output

    def test_plain_packet_ends_the_connection(self, federation: Federation) -> None:
        """RADIUS without TLS, or HTTP, on the TLS port is closed and hurts nobody (RFC 6614 §2.3)."""
        for octets in (b"\x01\x07\x00\x14" + bytes(16), b"GET / HTTP/1.1\r\n\r\n"):
            with socket.create_connection((LOOPBACK, self.port(federation)), timeout=10) as plain:
                plain.sendall(octets)
                received = b"".join(iter(lambda: plain.recv(4096), b""))
                assert not received or received[0] == 21  # an alert of TLS

    def test_thousand_half_open_connections_hurt_nobody(self, federation: Federation, tmp_path: Path) -> None:
        """While a thousand connections only begin a handshake, a member joins and a patron signs in."""
        half = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # the beginning of a ClientHello
        with ExitStack() as stack:
            for _ in range(1000):
                knocking = stack.enter_context(socket.create_connection((LOOPBACK, self.port(federation)), timeout=10))
                knocking.sendall(half)
            stack.enter_context(start(federation, tmp_path / "lib", "radsecproxy", "1.3"))
            visitor = federation.log_in_visitor(tmp_path)
            assert visitor.is_complete, visitor.output[-3000:]
            wait_until(lambda: "boekenburg/radius1" in federation.peers(), "the connection to the library")
            patron = federation.log_in(tmp_path)
            assert patron.is_complete, patron.output[-3000:]
