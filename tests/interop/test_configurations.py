"""The configuration that a library is given: each program starts with it as it is, and logins go through it."""

import re
import socket
import tomllib
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from federation.services.configurations import (
    Place,
    build_biebroam_home,
    build_configurations,
)
from federation.services.document import parse_document
from federation.trust.authority import (
    KeyedCertificate,
    Revoked,
    build_crl,
    create_issuing,
    create_root,
    issue_operator,
    issue_peer,
)
from federation.trust.distribution import build_list_url
from federation.trust.profiles import PeerRequest, Profile, Purpose
from tests.interop.generated import run_radsecproxy, start_freeradius, start_library
from tests.support.certificates import ServerCertificate, make_server_certificate
from tests.support.eapol import EapolResult, log_in_with_eapol
from tests.support.freeradius import start_freeradius_home
from tests.support.processes import Program, free_port

OPERATOR_NAME = "login.test.example"
PEER_NAME = "radius1.boekenburg.example"
HOME_NAME = "radius.boekenburg.example"
PATRON, PASSWORD = "anna@boekenburg.example", "Strandlezer-1"
VISITOR, VISITOR_PASSWORD = "bram@leesstad.example", "Duinlezer-2"
PUBLIC_URL = "http://biebroam.test.example"
NAS_SECRET = "secret-of-the-test-access-point"


@dataclass(frozen=True)
class Trust:
    """Folders with key.pem, chain.pem and anchors.pem, by who they belong to."""

    operator: Path
    boekenburg: Path
    neighbour: Path
    eap: ServerCertificate


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    folder = tmp_path_factory.mktemp("trust")
    now = datetime.now(UTC)
    root = create_root(Purpose.PEERS, "test", now)
    root_url, url = (build_list_url(PUBLIC_URL, Purpose.PEERS, 1, of_root=of_root) for of_root in (True, False))
    issuing = create_issuing(root, Purpose.PEERS, "test", now, crl_url=root_url)
    own, none = build_crl(issuing, (), 1, now), build_crl(root, (), 1, now)
    gone = Revoked(issuing.certificate.serial_number, now, x509.ReasonFlags.ca_compromise)
    all_gone = build_crl(root, (gone,), 2, now)

    def keep(name: str, keyed: KeyedCertificate) -> Path:
        place = folder / name
        place.mkdir()
        (place / "key.pem").write_bytes(keyed.key_pem)
        (place / "chain.pem").write_bytes(keyed.certificate_pem + issuing.certificate_pem)
        (place / "anchors.pem").write_bytes(root.certificate_pem)
        for file, lists in (("none-revoked", (own, none)), ("authority-revoked", (own, all_gone)), ("half", (own,))):
            text = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in lists)
            (place / f"{file}.pem").write_bytes(root.certificate_pem + text)
        return place

    def of_library(name: str) -> KeyedCertificate:
        key = ec.generate_private_key(ec.SECP256R1())
        request = PeerRequest(key.public_key(), (name,), ())
        certificate = issue_peer(
            issuing, request, unit="library", profile=Profile.PEER, federation_name="test", now=now, crl_url=url
        )
        return KeyedCertificate(certificate, key)

    return Trust(
        keep("operator", issue_operator(issuing, OPERATOR_NAME, "test", now, url)),
        keep("boekenburg", of_library(PEER_NAME)),
        keep("neighbour", of_library("radius1.leesstad.example")),
        make_server_certificate(folder, HOME_NAME),
    )


@pytest.fixture
def programs() -> Generator[ExitStack]:
    """What a test starts, ended in the opposite order."""
    with ExitStack() as stack:
        yield stack


def place_for(trust: Trust, **ports: int) -> Place:
    """Boekenburg's place on this machine; the federation's proxy is on it as well."""
    return Place(
        library="boekenburg",
        realms=("boekenburg.example",),
        server_name=OPERATOR_NAME,
        host="127.0.0.1",
        port=ports["federation"],
        folder=str(trust.boekenburg),
        listen="127.0.0.1",
        listen_port=ports["listen"],
        access_port=ports["access"],
        home=("127.0.0.1", ports["home"]),
        secret=NAS_SECRET,
    )


def free_ports(*tls: str) -> dict[str, int]:
    names = ("federation", "listen", "access", "home", "next")
    return {name: free_port(socket.SOCK_STREAM if name in tls else socket.SOCK_DGRAM) for name in names}


def start_federation(
    folder: Path, identity: Path, ports: dict[str, int], *, peer_name: str = PEER_NAME, versions: str = "TLS1_2:"
) -> Program:
    """The federation's proxy, played by a radsecproxy with the certificate in *identity*.

    It sends boekenburg.example to the library over TLS, and everything else to port `next` over UDP. In TLS 1.3 its
    tickets come by themselves, and a FreeRADIUS that dials it may stand still with them (`test_freeradius_tls`).
    """
    folder.mkdir()
    check = f"certificateNameCheck off\n  matchCertificateAttribute SubjectAltName:DNS:/^{re.escape(peer_name)}$/"
    tls = "type tls\n  secret radsec\n  tls t"
    (folder / "radsecproxy.conf").write_text(
        f"ListenTLS 127.0.0.1:{ports['federation']}\nListenUDP 127.0.0.1:{ports['access_of_federation']}\nLogLevel 2\n"
        f"tls t {{\n  CACertificateFile {identity}/anchors.pem\n  CertificateFile {identity}/chain.pem\n"
        f"  CertificateKeyFile {identity}/key.pem\n  TlsVersion {versions}\n}}\n"
        f"client nas {{\n  host 127.0.0.2\n  type udp\n  secret {NAS_SECRET}\n}}\n"
        f"client library {{\n  host 127.0.0.1\n  {tls}\n  {check}\n}}\n"
        f"server library {{\n  host 127.0.0.1\n  port {ports['listen']}\n  {tls}\n  {check}\n  statusServer off\n}}\n"
        f"server home {{\n  host 127.0.0.1\n  port {ports['next']}\n  type udp\n  secret {NAS_SECRET}\n}}\n"
        "realm boekenburg.example {\n  server library\n}\nrealm * {\n  server home\n}\n"
    )
    return run_radsecproxy(folder)


def start_library_freeradius(folder: Path, trust: Trust, place: Place) -> Program:
    return start_freeradius(folder, trust.eap, place, users={PATRON: PASSWORD}, secret=NAS_SECRET)


def log_in(
    folder: Path,
    trust: Trust,
    port: int,
    user: str = PATRON,
    password: str = PASSWORD,
    *,
    source: str = "127.0.0.2",
    seconds: int = 15,
) -> EapolResult:
    return log_in_with_eapol(
        folder,
        port=port,
        secret=NAS_SECRET,
        source=source,
        user=user,
        password=password,
        ca=trust.eap.ca,
        server_name=HOME_NAME,
        seconds=seconds,
    )


@pytest.fixture
def ports() -> dict[str, int]:
    return {**free_ports("federation", "listen"), "access_of_federation": free_port()}


# Files with the anchor and lists: of both authorities, with the issuing one revoked, and without the root's.
LISTS = [("none-revoked", True), ("authority-revoked", False), ("half", False)]


class TestFreeradius:
    def test_federation_signs_a_patron_in(
        self, tmp_path: Path, trust: Trust, programs: ExitStack, ports: dict[str, int]
    ) -> None:
        """A patron elsewhere is checked by the library's FreeRADIUS, over RADIUS/TLS; a wrong password is refused."""
        programs.enter_context(start_library_freeradius(tmp_path / "fr", trust, place_for(trust, **ports)))
        programs.enter_context(start_federation(tmp_path / "fed", trust.operator, ports))
        result = log_in(tmp_path, trust, ports["access_of_federation"])
        assert result.is_complete, result.output[-3000:]
        assert not log_in(tmp_path, trust, ports["access_of_federation"], password="x").succeeded

    @pytest.mark.parametrize(("lists", "is_let_in"), LISTS)
    def test_revocation_of_the_whole_chain_is_checked(
        self,
        tmp_path: Path,
        trust: Trust,
        programs: ExitStack,
        ports: dict[str, int],
        lists: str,
        *,
        is_let_in: bool,
    ) -> None:
        """With `check_all_crl` it wants each authority's list, the root's too, from a file; addresses it leaves."""
        check = f"ca_file = {trust.boekenburg}/{lists}.pem\n        check_crl = yes\n        check_all_crl = yes"
        users = {PATRON: PASSWORD}
        place = place_for(trust, **ports)
        changes = (("ca_file = .*", check),)
        programs.enter_context(
            start_freeradius(tmp_path / "fr", trust.eap, place, *changes, users=users, secret=NAS_SECRET)
        )
        programs.enter_context(start_federation(tmp_path / "fed", trust.operator, ports))
        assert log_in(tmp_path, trust, ports["access_of_federation"], seconds=5).is_complete is is_let_in

    def test_neighbour_may_not_ask(
        self, tmp_path: Path, trust: Trust, programs: ExitStack, ports: dict[str, int]
    ) -> None:
        """A certificate of another library, from the same authority and the same address, is refused."""
        programs.enter_context(start_library_freeradius(tmp_path / "fr", trust, place_for(trust, **ports)))
        programs.enter_context(start_federation(tmp_path / "fed", trust.neighbour, ports))
        assert not log_in(tmp_path, trust, ports["access_of_federation"]).succeeded

    def test_visitor_is_sent_to_the_federation(
        self, tmp_path: Path, trust: Trust, programs: ExitStack, ports: dict[str, int]
    ) -> None:
        """A visitor at the library's own FreeRADIUS is checked at home, through the federation."""
        programs.enter_context(start_home(tmp_path / "home", trust, ports["next"]))
        programs.enter_context(start_federation(tmp_path / "fed", trust.operator, ports, versions="TLS1_2:TLS1_2"))
        programs.enter_context(start_library_freeradius(tmp_path / "fr", trust, place_for(trust, **ports)))
        result = log_in(tmp_path, trust, ports["access"], VISITOR, VISITOR_PASSWORD, source="127.0.0.1")
        assert result.is_complete, result.output[-3000:]


def start_home(folder: Path, trust: Trust, port: int) -> Program:
    """A FreeRADIUS over UDP that knows both the patron and the visitor."""
    users = {PATRON: PASSWORD, VISITOR: VISITOR_PASSWORD}
    return start_freeradius_home(folder, port=port, secret=NAS_SECRET, users=users, server=trust.eap)


class TestRadsecproxy:
    def test_federation_signs_a_patron_in(
        self, tmp_path: Path, trust: Trust, programs: ExitStack, ports: dict[str, int]
    ) -> None:
        """A request for the library's realm comes in over TLS and goes to its own RADIUS server over UDP."""
        programs.enter_context(start_home(tmp_path / "home", trust, ports["home"]))
        programs.enter_context(start_library(tmp_path / "lib", place_for(trust, **ports)))
        programs.enter_context(start_federation(tmp_path / "fed", trust.operator, ports))
        result = log_in(tmp_path, trust, ports["access_of_federation"])
        assert result.is_complete, result.output[-3000:]

    def test_visitor_is_sent_to_the_federation(
        self, tmp_path: Path, trust: Trust, programs: ExitStack, ports: dict[str, int]
    ) -> None:
        """An access point asks over UDP, and the federation is asked over TLS."""
        programs.enter_context(start_home(tmp_path / "home", trust, ports["next"]))
        programs.enter_context(start_federation(tmp_path / "fed", trust.operator, ports))
        programs.enter_context(start_library(tmp_path / "lib", place_for(trust, **ports)))
        result = log_in(tmp_path, trust, ports["access"], VISITOR, VISITOR_PASSWORD)
        assert result.is_complete, result.output[-3000:]

    @pytest.mark.parametrize(("lists", "is_let_in"), LISTS)
    def test_revocation_of_the_whole_chain_is_checked(
        self,
        tmp_path: Path,
        trust: Trust,
        programs: ExitStack,
        ports: dict[str, int],
        lists: str,
        *,
        is_let_in: bool,
    ) -> None:
        """With `CRLCheck on` it wants each authority's list, the root's too, from a file; addresses it leaves."""
        check = f"CACertificateFile {trust.boekenburg}/{lists}.pem\n    CRLCheck on"
        programs.enter_context(start_home(tmp_path / "home", trust, ports["home"]))
        programs.enter_context(
            start_library(tmp_path / "lib", place_for(trust, **ports), ("CACertificateFile .*", check))
        )
        programs.enter_context(start_federation(tmp_path / "fed", trust.operator, ports))
        assert log_in(tmp_path, trust, ports["access_of_federation"], seconds=5).is_complete is is_let_in

    def test_neighbour_is_not_the_federation(
        self, tmp_path: Path, trust: Trust, programs: ExitStack, ports: dict[str, int]
    ) -> None:
        """A library that stands in the federation's place, with its own good certificate, is given no request."""
        programs.enter_context(start_home(tmp_path / "home", trust, ports["next"]))
        programs.enter_context(start_federation(tmp_path / "fed", trust.neighbour, ports))
        programs.enter_context(start_library(tmp_path / "lib", place_for(trust, **ports)))
        assert not log_in(tmp_path, trust, ports["access"], VISITOR, VISITOR_PASSWORD).succeeded


def test_every_program_gets_files_or_steps_and_no_private_key(trust: Trust, ports: dict[str, int]) -> None:
    """The texts name the file of the key and never hold one; realms and the federation's name stand in each."""
    built = build_configurations(place_for(trust, **ports))
    programs = ("biebroam-home", "freeradius", "radsecproxy", "hostapd", "nps-and-controllers")
    assert tuple(item.program for item in built) == programs
    for item in built:
        text = "".join((*item.files.values(), *item.steps))
        assert "PRIVATE KEY" not in text
        assert "boekenburg.example" in text


def test_biebroam_takes_its_federation_file(trust: Trust, ports: dict[str, int]) -> None:
    """The file for Biebroam's own home server can be applied, and only the proxy may ask there."""
    text = build_biebroam_home(place_for(trust, **ports)).files["federation.toml"]
    (library,) = parse_document(tomllib.loads(text)).libraries
    (client,) = library.access_points
    assert [realm.name for realm in library.realms] == ["boekenburg.example"]
    assert (client.certificate, client.kind) == (OPERATOR_NAME, "proxy")
