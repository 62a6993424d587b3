"""Biebroam's own home server alone in a library's network, joined by RADIUS/TLS as the generated files say."""

import socket
import ssl
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from biebroam_roles import open_registry
from config.settings import Settings
from federation.services.authorities import load_anchors
from federation.services.configurations import BIEBROAM_DATA, Place, build_biebroam_home
from federation.trust.authority import KeyedCertificate, create_issuing, create_root, issue_operator, issue_peer
from federation.trust.profiles import PeerRequest, Profile, Purpose
from tests.interop.test_configurations import NAS_SECRET, OPERATOR_NAME, PEER_NAME, start_federation
from tests.support.biebroam import DataDirectory
from tests.support.eapol import EapolResult, log_in_with_eapol
from tests.support.processes import Program, free_port, wait_until

NOW = datetime.now(UTC)
REALM = "boekenburg.example"
PATRON, PASSWORD = f"anna@{REALM}", "Strandlezer-1"


class Members:
    """The federation's authority of peers, and folders as enrolment fills them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root = create_root(Purpose.PEERS, "test", NOW)
        self._issuing = create_issuing(self._root, Purpose.PEERS, "test", NOW)

    def issue(self, name: str) -> KeyedCertificate:
        key = ec.generate_private_key(ec.SECP256R1())
        request = PeerRequest(key.public_key(), (name,), ())
        return KeyedCertificate(
            issue_peer(self._issuing, request, unit="library", profile=Profile.PEER, federation_name="test", now=NOW),
            key,
        )

    def fill(self, name: str, keyed: KeyedCertificate) -> Path:
        """The folder with key.pem, chain.pem and anchors.pem, written one after the other."""
        place = self.folder / name
        place.mkdir(exist_ok=True)
        (place / "key.pem").write_bytes(keyed.key_pem)
        (place / "chain.pem").write_bytes(keyed.certificate_pem + self._issuing.certificate_pem)
        (place / "anchors.pem").write_bytes(self._root.certificate_pem)
        return place

    def fill_operator(self) -> Path:
        return self.fill("operator", issue_operator(self._issuing, OPERATOR_NAME, "test", NOW))


class Library:
    """The home server of a library, set up by the steps that the federation gave with its files."""

    def __init__(self, folder: Path, identity: Path, ports: dict[str, int]) -> None:
        self.folder = folder
        self.data = DataDirectory(folder / "data")
        # Nothing of the tests' own settings: what the library was given has to be enough.
        self.data.environment = {"BIEBROAM_DATA": str(self.data.folder), "BIEBROAM_LOG_FORMAT": "json"}
        self.place = Place(
            library="boekenburg",
            realms=(REALM,),
            server_name=OPERATOR_NAME,
            host="127.0.0.1",
            port=ports["federation"],
            folder=str(identity),
            listen="127.0.0.1",
            listen_port=ports["listen"],
            access_port=ports["access"],
        )

    def start(self) -> Program:
        files = build_biebroam_home(self.place).files
        self.data.take_initialised()
        (self.data.folder / "biebroam.toml").write_text(files[f"{BIEBROAM_DATA}/biebroam.toml"])
        self.data.apply(files["federation.toml"])
        self.data.add_patron(PATRON, PASSWORD)
        return self.data.start("home")

    @property
    def eap_anchor(self) -> Path:
        """What a patron's device has to trust, as a file."""
        registry = open_registry(Settings(data=self.data.folder))
        with registry.read() as session:
            pem = load_anchors(session, Purpose.EAP)
        registry.store.close()
        path = self.folder / "eap.pem"
        path.write_text(pem)
        return path

    def log_in(self, port: int, password: str = PASSWORD) -> EapolResult:
        """A patron elsewhere, whose access point asks the federation."""
        return log_in_with_eapol(
            self.folder,
            port=port,
            secret=NAS_SECRET,
            source="127.0.0.2",
            user=PATRON,
            password=password,
            ca=self.eap_anchor,
            server_name=REALM,
            seconds=8,
        )


@pytest.fixture
def ports() -> dict[str, int]:
    over_tls = {name: free_port(socket.SOCK_STREAM) for name in ("federation", "listen")}
    return {**over_tls, **{name: free_port() for name in ("access", "next", "access_of_federation")}}


@pytest.fixture
def members(tmp_path: Path) -> Members:
    return Members(tmp_path)


def fetch_certificate(port: int, identity: Path) -> x509.Certificate:
    """What the home server shows to whom *identity* is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(identity / "anchors.pem")
    context.load_cert_chain(identity / "chain.pem", identity / "key.pem")
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain, server_hostname=PEER_NAME) as tls,
    ):
        der = tls.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


@pytest.mark.interop
class TestBiebroamHome:
    def test_federation_signs_a_patron_in(self, tmp_path: Path, members: Members, ports: dict[str, int]) -> None:
        """Through a real radsecproxy and over RADIUS/TLS, with the files as they came; a wrong password is refused."""
        identity = members.fill("library", members.issue(PEER_NAME))
        library = Library(tmp_path, identity, ports)
        with ExitStack() as programs:
            programs.enter_context(library.start())
            programs.enter_context(start_federation(tmp_path / "fed", members.fill_operator(), ports))
            result = library.log_in(ports["access_of_federation"])
            assert result.is_complete, result.output[-3000:]
            assert not library.log_in(ports["access_of_federation"], password="x").succeeded

    def test_neighbour_may_not_ask(self, tmp_path: Path, members: Members, ports: dict[str, int]) -> None:
        """Another library's certificate, from the same authority, gets no further than the handshake."""
        library = Library(tmp_path, members.fill("library", members.issue(PEER_NAME)), ports)
        neighbour = members.fill("neighbour", members.issue("radius1.leesstad.example"))
        with ExitStack() as programs:
            programs.enter_context(library.start())
            programs.enter_context(start_federation(tmp_path / "fed", neighbour, ports))
            assert not library.log_in(ports["access_of_federation"]).succeeded

    def test_renewed_certificate_is_taken_over(self, tmp_path: Path, members: Members, ports: dict[str, int]) -> None:
        """Within seconds, without a restart, and nobody who is connected loses anything by it."""
        identity = members.fill("library", members.issue(PEER_NAME))
        operator = members.fill_operator()
        library = Library(tmp_path, identity, ports)
        with ExitStack() as programs:
            programs.enter_context(library.start())
            programs.enter_context(start_federation(tmp_path / "fed", operator, ports))
            assert library.log_in(ports["access_of_federation"]).succeeded
            renewed = members.issue(PEER_NAME)
            members.fill("library", renewed)
            wait_until(
                lambda: fetch_certificate(ports["listen"], operator) == renewed.certificate, "the new certificate", 10
            )
            assert library.log_in(ports["access_of_federation"]).succeeded


def test_generated_settings_start_without_a_certificate(tmp_path: Path, ports: dict[str, int]) -> None:
    """A library that has not been issued one yet answers its own access points over UDP."""
    library = Library(tmp_path, tmp_path / "none", ports)
    with library.start():
        assert library.data.ports.keys() == {"auth"}
