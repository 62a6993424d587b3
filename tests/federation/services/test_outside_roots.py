"""Roots that are kept elsewhere: nothing of their keys stays here, and what they signed does the work."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from federation.errors import Blocked, Conflict, Forbidden, InvalidInput, NotFound, TrustError
from federation.services.apply import apply_document
from federation.services.authorities import (
    ISSUING,
    ROOT,
    load_anchors,
    load_authority,
    load_crl_der,
    load_crl_pem,
    load_peer_trust,
    renew_when_due,
)
from federation.services.distribution import check_distribution
from federation.services.document import parse_document
from federation.services.outside_roots import (
    export_root,
    forget_root,
    import_issuing,
    import_root_list,
    request_issuing,
)
from federation.services.rollovers import advance_rollover, show_rollover
from federation.trust.authority import KeyedCertificate, build_crl, create_root
from federation.trust.distribution import read_list_urls
from federation.trust.outside import (
    build_authority_request,
    encrypt_root_key,
    open_root,
    sign_authority_request,
    sign_proof,
)
from federation.trust.profiles import OUTSIDE_CRL_LIFETIME, Purpose
from federation.trust.rollover import RolloverState
from tests.federation.members import BOEKENBURG, OPERATOR, START, Members
from tests.federation.trust.certificates import pem, verify_chain

PASSPHRASE = "twaalf tekens of meer"


def take_out(members: Members) -> KeyedCertificate:
    """The root of the peers, as it is on another machine afterwards."""
    with members.change() as change:
        found = export_root(change, OPERATOR, Purpose.PEERS, PASSPHRASE)
    root = open_root(found.key_pem.encode(), found.certificate_pem.encode(), PASSPHRASE)
    with members.change() as change:
        forget_root(change, OPERATOR, Purpose.PEERS, sign_proof(root))
    return root


def request(members: Members, *, new_root: bool = False) -> bytes:
    with members.change() as change:
        return request_issuing(change, OPERATOR, Purpose.PEERS, new_root=new_root).request_pem.encode()


def list_of(members: Members, root: KeyedCertificate, number: int = 1) -> bytes:
    return pem(build_crl(root, (), number, members.clock.now, OUTSIDE_CRL_LIFETIME))


def bring(members: Members, issuing: x509.Certificate, root: x509.Certificate, list_pem: bytes = b"") -> bool:
    with members.change() as change:
        return import_issuing(
            change, OPERATOR, Purpose.PEERS, issuing_pem=pem(issuing), root_pem=pem(root), list_pem=list_pem
        )


def verify(members: Members, folder: Path) -> None:
    """Peers believe the proxy, lists included."""
    with members.registry.read() as session:
        trust = load_peer_trust(session, members.sealer)
        (folder / "lists.pem").write_text(load_crl_pem(session, Purpose.PEERS))
    arguments = ("-crl_check_all", "-CRLfile", str(folder / "lists.pem"), "-purpose", "sslserver")
    now = members.clock.now
    found = verify_chain(folder, trust.anchors_pem, trust.certificate_chain_pem, *arguments, at=now)
    assert found.returncode == 0, found.stderr.decode()


class TestExport:
    def test_key_leaves_and_the_anchor_stays(self, members: Members, tmp_path: Path) -> None:
        """The registry has no key of the root any more; peers go on for months with the anchor that they have."""
        with members.registry.read() as session:
            anchor = load_anchors(session, Purpose.PEERS)
        take_out(members)
        with members.registry.read() as session:
            assert load_anchors(session, Purpose.PEERS) == anchor
            assert load_authority(session, Purpose.PEERS, ROOT).sealed_key is None
            assert load_authority(session, Purpose.EAP, ROOT).sealed_key is not None
        members.clock.advance(days=170)
        assert "revocation list of peers root" not in renew_when_due(members.registry)
        verify(members, tmp_path)

    def test_key_is_not_given_up_without_proof(self, members: Members) -> None:
        """Until somebody shows that the key is elsewhere it stays here."""
        stranger = create_root(Purpose.PEERS, "biebroam", START)
        with members.change() as change:
            for proof in (b"", b"x" * 70, sign_proof(stranger)):
                with pytest.raises(InvalidInput, match="prove"):
                    forget_root(change, OPERATOR, Purpose.PEERS, proof)
            with pytest.raises(InvalidInput, match="12 characters"):
                export_root(change, OPERATOR, Purpose.PEERS, "kort")
            for act in (
                lambda: export_root(change, BOEKENBURG, Purpose.PEERS, PASSPHRASE),
                lambda: forget_root(change, BOEKENBURG, Purpose.PEERS, b""),
                lambda: request_issuing(change, BOEKENBURG, Purpose.PEERS),
                lambda: import_root_list(change, BOEKENBURG, Purpose.PEERS, b""),
                lambda: import_issuing(change, BOEKENBURG, Purpose.PEERS, issuing_pem=b"", root_pem=b""),
            ):
                with pytest.raises(Forbidden):
                    act()
        with members.registry.read() as session:
            assert load_authority(session, Purpose.PEERS, ROOT).sealed_key is not None
        take_out(members)
        with members.change() as change, pytest.raises(Conflict, match="not kept here"):
            export_root(change, OPERATOR, Purpose.PEERS, PASSPHRASE)


class TestAnotherTerm:
    def test_request_is_signed_elsewhere_for_the_same_key(self, members: Members, tmp_path: Path) -> None:
        """The issuing authority has another term under the key and the name that it has; nothing issued breaks."""
        with members.change() as change, pytest.raises(Conflict, match="is here"):
            request_issuing(change, OPERATOR, Purpose.PEERS)
        root = take_out(members)
        members.clock.advance(days=1500)
        with members.change() as change:
            import_root_list(change, OPERATOR, Purpose.PEERS, list_of(members, root, 9))
        assert "issuing authority of peers" not in renew_when_due(members.registry)
        csr = request(members)
        assert request(members) == csr
        with members.registry.read() as session:
            before = load_authority(session, Purpose.PEERS, ISSUING).certificate_pem
        issuing = sign_authority_request(root, csr, Purpose.PEERS, members.clock.now)
        assert bring(members, issuing, root.certificate) is False
        with members.registry.read() as session:
            after = load_authority(session, Purpose.PEERS, ISSUING).certificate_pem
        old, new = (x509.load_pem_x509_certificate(each.encode()) for each in (before, after))
        assert (old.subject, old.public_key()) == (new.subject, new.public_key())
        assert new.not_valid_after_utc > old.not_valid_after_utc
        verify(members, tmp_path)
        with pytest.raises(NotFound):
            bring(members, issuing, root.certificate)

    def test_request_says_where_the_roots_list_will_be(self, members: Members) -> None:
        """With a public URL, and what comes back from the root says so too; no list has come by then."""
        apply_document(members.registry, OPERATOR, parse_document({"federation": {"public_url": "http://b.example"}}))
        root = create_root(Purpose.PEERS, "biebroam", START, generation=2)
        issuing = sign_authority_request(root, request(members, new_root=True), Purpose.PEERS, START)
        assert read_list_urls(issuing) == ("http://b.example/v1/trust/peers-root.crl?generation=2",)
        bring(members, issuing, root.certificate)
        with members.change() as change:
            advance_rollover(change, OPERATOR, Purpose.PEERS, (), force=True)
        with members.registry.read() as session, pytest.raises(NotFound, match="no list of it here"):
            load_crl_der(session, Purpose.PEERS, 2, of_root=True)
        with pytest.raises(ValueError, match=r"generation=2: the root is kept elsewhere, and there is no list"):
            check_distribution(members.registry, lambda _, __: b"")
        with members.change() as change:
            import_root_list(change, OPERATOR, Purpose.PEERS, list_of(members, root))
        with members.registry.read() as session:
            found = x509.load_der_x509_crl(load_crl_der(session, Purpose.PEERS, 2, of_root=True))
        assert found.issuer == root.certificate.subject

    def test_root_signs_no_other_address(self, members: Members) -> None:
        """One place of a list, over http or https, is all that a request may name."""
        key, root = ec.generate_private_key(ec.SECP256R1()), create_root(Purpose.PEERS, "biebroam", START)
        asked = build_authority_request(root.certificate.subject, key, "file:///etc/passwd")
        with pytest.raises(InvalidInput, match="no place for the root's revocation list"):
            sign_authority_request(root, asked, Purpose.PEERS, START)

    def test_other_root_is_refused(self, members: Members) -> None:
        """Another term is below the root in force; a new root is another request."""
        take_out(members)
        other = create_root(Purpose.PEERS, "other", START)
        issuing = sign_authority_request(other, request(members), Purpose.PEERS, START)
        with pytest.raises(Conflict, match="another than the one in force"):
            bring(members, issuing, other.certificate)


class TestNewRoot:
    def test_root_that_was_never_here_takes_over(self, members: Members, tmp_path: Path) -> None:
        """Its authority is planned, published once its list is there, and switched to as any other."""
        csr = request(members, new_root=True)
        root = create_root(Purpose.PEERS, "biebroam", START, generation=2)
        assert bring(members, sign_authority_request(root, csr, Purpose.PEERS, START), root.certificate) is True
        with members.change() as change, pytest.raises(Blocked) as refusal:
            advance_rollover(change, OPERATOR, Purpose.PEERS, ())
        assert "no revocation list" in refusal.value.reasons[0]
        with members.change() as change:
            import_root_list(change, OPERATOR, Purpose.PEERS, list_of(members, root))
            advance_rollover(change, OPERATOR, Purpose.PEERS, ())
        verify(members, tmp_path)
        members.clock.advance(hours=2)
        with members.change() as change:
            assert advance_rollover(change, OPERATOR, Purpose.PEERS, ()).state is RolloverState.SWITCHED
        verify(members, tmp_path)
        with members.registry.read() as session:
            shown = show_rollover(session, Purpose.PEERS, (), members.clock.now)
        assert (shown.new.is_key_here, shown.new.generation) == (False, 2)

    def test_request_for_a_new_root_waits_for_a_rollover(self, members: Members) -> None:
        """While one is under way there is no other; asked for twice, the request is the same."""
        csr = request(members, new_root=True)
        assert request(members, new_root=True) == csr
        root = create_root(Purpose.PEERS, "biebroam", START, generation=2)
        bring(members, sign_authority_request(root, csr, Purpose.PEERS, START), root.certificate)
        with pytest.raises(Conflict, match="before there is another"):
            request(members, new_root=True)

    def test_name_of_an_authority_that_was_is_refused(self, members: Members) -> None:
        """Two roots of one name would be taken for each other."""
        csr = request(members, new_root=True)
        root = create_root(Purpose.PEERS, "biebroam", START)
        with pytest.raises(Conflict, match="already"):
            bring(members, sign_authority_request(root, csr, Purpose.PEERS, START), root.certificate)


Edit = Callable[[x509.CertificateBuilder], x509.CertificateBuilder]


def sign_badly(root: KeyedCertificate, csr: bytes, **wrong: object) -> x509.Certificate:
    """An issuing certificate as `sign_authority_request` would not make it."""
    made = x509.load_pem_x509_csr(csr)
    key = ec.generate_private_key(ec.SECP256R1()).public_key() if wrong.get("key") else made.public_key()
    subject = x509.Name([]) if wrong.get("subject") else made.subject
    good = sign_authority_request(root, csr, Purpose.PEERS, START)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(root.certificate.subject)
    builder = builder.public_key(key).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(START - timedelta(days=1))
    builder = builder.not_valid_after(START + timedelta(days=200 if wrong.get("short") else 2000))
    for extension in good.extensions:
        value = wrong.get(type(extension.value).__name__, extension.value)
        if isinstance(value, x509.ExtensionType):
            builder = builder.add_extension(value, critical=extension.critical)
    constraints = wrong.get("NameConstraints")
    if isinstance(constraints, x509.NameConstraints):
        builder = builder.add_extension(constraints, critical=True)
    return builder.sign(root.key, hashes.SHA256())


def permitted(*names: x509.GeneralName) -> x509.NameConstraints:
    return x509.NameConstraints(permitted_subtrees=names, excluded_subtrees=None)


class TestRefusals:
    @pytest.mark.parametrize(
        ("wrong", "reason"),
        [
            ({"key": True}, "another key"),
            ({"subject": True}, "another name"),
            ({"short": True}, "365 days"),
            ({"BasicConstraints": x509.BasicConstraints(ca=True, path_length=1)}, "pathLenConstraint 0"),
            ({"BasicConstraints": x509.BasicConstraints(ca=False, path_length=None)}, "no authority"),
            ({"SubjectKeyIdentifier": None}, "subjectKeyIdentifier"),
            ({"KeyUsage": None}, "keyCertSign"),
            ({"ExtendedKeyUsage": x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])}, "clients or servers"),
            ({"CertificatePolicies": None}, "anyPolicy"),
            ({"NameConstraints": permitted(x509.DNSName("biebroam.example"))}, "leave out boekenburg.test"),
            ({"NameConstraints": permitted(x509.RFC822Name("biebroam.example"))}, "DNS names only"),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_certificate_that_can_not_do_the_work_is_refused(
        self, members: Members, wrong: dict[str, object], reason: str
    ) -> None:
        """What would fail in every peer's verification is refused here, with what is wrong."""
        csr = request(members, new_root=True)
        root = create_root(Purpose.PEERS, "biebroam", START, generation=2)
        with pytest.raises(InvalidInput, match=reason):
            bring(members, sign_badly(root, csr, **wrong), root.certificate)
        with members.registry.read() as session, pytest.raises(NotFound):
            show_rollover(session, Purpose.PEERS, (), START)

    def test_constraints_that_leave_room_are_taken(self, members: Members) -> None:
        """Constraints are no reason when every name of the federation is permitted (RFC 5280 §4.2.1.10)."""
        csr = request(members, new_root=True)
        root = create_root(Purpose.PEERS, "biebroam", START, generation=2)
        room = permitted(x509.DNSName("test"), x509.DNSName("biebroam.example"))
        assert bring(members, sign_badly(root, csr, NameConstraints=room), root.certificate)

    def test_certificate_below_another_root_is_refused(self, members: Members) -> None:
        """The two have to belong together."""
        csr = request(members, new_root=True)
        root, other = (create_root(Purpose.PEERS, name, START, generation=2) for name in ("biebroam", "other"))
        with pytest.raises(InvalidInput, match="not signed by an authority before it"):
            bring(members, sign_authority_request(root, csr, Purpose.PEERS, START), other.certificate)

    def test_list_has_to_be_of_that_root_in_force_and_newer(self, members: Members) -> None:
        """A list of another root, an old one, and one where the root is here are refused."""
        with members.change() as change, pytest.raises(Conflict, match="kept here"):
            import_root_list(change, OPERATOR, Purpose.PEERS, b"")
        root = take_out(members)
        stranger = create_root(Purpose.PEERS, "biebroam", START)
        members.clock.advance(days=1)
        with members.change() as change:
            import_root_list(change, OPERATOR, Purpose.PEERS, list_of(members, root, 5))
            with pytest.raises(InvalidInput, match="older"):
                import_root_list(change, OPERATOR, Purpose.PEERS, list_of(members, root, 4))
            with pytest.raises(InvalidInput, match="no authority"):
                import_root_list(change, OPERATOR, Purpose.PEERS, list_of(members, stranger, 6))
        late = list_of(members, root, 6)
        members.clock.advance(days=200)
        with members.change() as change, pytest.raises(InvalidInput, match="the list held until"):
            import_root_list(change, OPERATOR, Purpose.PEERS, late)

    @pytest.mark.parametrize(
        "csr", [b"", b"x", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"]
    )
    def test_root_signs_nothing_else(self, csr: bytes) -> None:
        """Where the root is, only a request for an authority is signed, and only by a root."""
        root = create_root(Purpose.PEERS, "biebroam", START)
        with pytest.raises(InvalidInput):
            sign_authority_request(root, csr, Purpose.PEERS, START)
        with pytest.raises(TrustError, match="not valid"):
            sign_authority_request(root, csr, Purpose.PEERS, START + timedelta(days=9000))
        key = ec.generate_private_key(ec.SECP256R1())
        plain = (
            x509.CertificateSigningRequestBuilder().subject_name(root.certificate.subject).sign(key, hashes.SHA256())
        )
        with pytest.raises(InvalidInput, match="no request for an issuing"):
            sign_authority_request(root, pem(plain), Purpose.PEERS, START)

    def test_files_that_do_not_belong_together_are_refused(self) -> None:
        """A wrong passphrase, another's certificate and what is no key open no root."""
        root, other = (create_root(Purpose.PEERS, name, START) for name in ("biebroam", "other"))
        key_pem = encrypt_root_key(root, PASSPHRASE)
        assert b"ENCRYPTED" in key_pem
        assert open_root(key_pem, root.certificate_pem, PASSPHRASE).key.private_numbers() == root.key.private_numbers()
        for key, certificate, passphrase in (
            (key_pem, root.certificate_pem, "een ander wachtwoord"),
            (key_pem, root.certificate_pem, None),
            (key_pem, other.certificate_pem, PASSPHRASE),
            (b"x", root.certificate_pem, PASSPHRASE),
            (key_pem, b"x", PASSPHRASE),
        ):
            with pytest.raises(TrustError):
                open_root(key, certificate, passphrase)
        assert serialization.load_pem_private_key(key_pem, PASSPHRASE.encode()) is not None
