"""The two authorities, judged by openssl."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from federation.trust.authority import (
    KeyedCertificate,
    Revoked,
    build_crl,
    create_issuing,
    create_root,
    is_due,
    issue_eap_server,
    issue_peer,
)
from federation.trust.profiles import (
    EAP_SERVER_LIFETIME,
    ISSUING_LIFETIME,
    POLICY_HOME,
    POLICY_VISITED,
    ROOT_LIFETIME,
    Profile,
    Purpose,
    parse_peer_request,
)
from tests.federation.trust.certificates import NOW, openssl_request, pem, run_openssl, verify_chain

SERVER_NAME = "login.biebroam.example"


class Authority:
    """A root and its issuing authority."""

    def __init__(self, purpose: Purpose) -> None:
        self.root = create_root(purpose, "biebroam", NOW)
        self.issuing = create_issuing(self.root, purpose, "biebroam", NOW)


@pytest.fixture(scope="module")
def peers() -> Authority:
    return Authority(Purpose.PEERS)


@pytest.fixture(scope="module")
def eap() -> Authority:
    return Authority(Purpose.EAP)


@pytest.fixture
def peer(peers: Authority, tmp_path: Path) -> x509.Certificate:
    return issue(peers, tmp_path)


def issue(authority: Authority, folder: Path, profile: Profile = Profile.PEER) -> x509.Certificate:
    request = parse_peer_request(openssl_request(folder, "DNS:radius1.boekenburg.example"))
    return issue_peer(
        authority.issuing, request, unit="boekenburg", profile=profile, federation_name="biebroam", now=NOW
    )


def chain_of(leaf: x509.Certificate, issuing: KeyedCertificate) -> bytes:
    return pem(leaf) + issuing.certificate_pem


class TestEapServer:
    def test_openssl_accepts_the_chain_for_the_name(self, eap: Authority, tmp_path: Path) -> None:
        """A device with the EAP root accepts the server's chain under its name, for a server (RFC 5216 §5.3)."""
        server = issue_eap_server(eap.issuing, SERVER_NAME, "biebroam", NOW)
        chain = chain_of(server.certificate, eap.issuing)
        found = verify_chain(
            tmp_path, eap.root.certificate_pem, chain, "-purpose", "sslserver", "-verify_hostname", SERVER_NAME
        )
        assert found.returncode == 0, found.stderr.decode()

    @pytest.mark.parametrize("name", ["biebroam.example", "x.login.biebroam.example", "login.biebroam.example.evil"])
    def test_another_name_is_refused(self, eap: Authority, tmp_path: Path, name: str) -> None:
        """The certificate is for the one name."""
        server = issue_eap_server(eap.issuing, SERVER_NAME, "biebroam", NOW)
        chain = chain_of(server.certificate, eap.issuing)
        found = verify_chain(tmp_path, eap.root.certificate_pem, chain, "-verify_hostname", name)
        assert b"hostname mismatch" in found.stderr

    def test_it_is_no_client_and_no_authority(self, eap: Authority, tmp_path: Path) -> None:
        """The server's certificate serves for nothing else."""
        server = issue_eap_server(eap.issuing, SERVER_NAME, "biebroam", NOW)
        chain = chain_of(server.certificate, eap.issuing)
        assert verify_chain(tmp_path, eap.root.certificate_pem, chain, "-purpose", "sslclient").returncode != 0
        assert usages(server.certificate) == {ExtendedKeyUsageOID.SERVER_AUTH}
        assert not constraints(server.certificate).ca

    def test_each_issue_has_a_key_of_its_own(self, eap: Authority) -> None:
        """A re-issued certificate has a new key and a new serial number, and the old name."""
        first = issue_eap_server(eap.issuing, SERVER_NAME, "biebroam", NOW)
        second = issue_eap_server(eap.issuing, SERVER_NAME, "biebroam", NOW)
        assert first.key_pem != second.key_pem
        assert first.certificate.serial_number != second.certificate.serial_number

    def test_name_too_long_for_a_common_name_stands_in_the_alternative_name(self, eap: Authority) -> None:
        """A common name has at most 64 characters (RFC 5280); the name that counts may have 253."""
        name = "l" * 60 + ".biebroam.example"
        certificate = issue_eap_server(eap.issuing, name, "biebroam", NOW).certificate
        assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME) == []
        assert alternative_names(certificate).get_values_for_type(x509.DNSName) == [name]

    def test_revocation_list_address_is_in_it_when_known(self, eap: Authority) -> None:
        """The address of the revocation list stands in the certificate (RFC 5280 §4.2.1.13)."""
        url = "http://biebroam.example/v1/trust/eap.crl"
        certificate = issue_eap_server(eap.issuing, SERVER_NAME, "biebroam", NOW, url).certificate
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        assert [[name.value for name in point.full_name or ()] for point in points] == [[url]]


class TestPeer:
    @pytest.mark.parametrize("purpose", ["sslclient", "sslserver"])
    def test_openssl_accepts_a_peer_at_both_ends(
        self, peers: Authority, peer: x509.Certificate, tmp_path: Path, purpose: str
    ) -> None:
        """A RADIUS/TLS peer connects and is connected to (RFC 6614 §2.3)."""
        found = verify_chain(tmp_path, peers.root.certificate_pem, chain_of(peer, peers.issuing), "-purpose", purpose)
        assert found.returncode == 0, found.stderr.decode()

    def test_peer_is_nothing_under_the_eap_root(
        self, peers: Authority, eap: Authority, peer: x509.Certificate, tmp_path: Path
    ) -> None:
        """A device that trusts the EAP authority does not accept a peer as home server, even with its whole chain."""
        chain = chain_of(peer, peers.issuing) + peers.root.certificate_pem
        assert verify_chain(tmp_path, eap.root.certificate_pem, chain).returncode != 0

    def test_eap_server_is_nothing_under_the_peers_root(self, peers: Authority, eap: Authority, tmp_path: Path) -> None:
        """A proxy that trusts the peers' authority does not accept the home server's EAP certificate as a peer."""
        server = issue_eap_server(eap.issuing, SERVER_NAME, "biebroam", NOW)
        chain = chain_of(server.certificate, eap.issuing) + eap.root.certificate_pem
        assert verify_chain(tmp_path, peers.root.certificate_pem, chain).returncode != 0

    def test_common_name_of_the_request_is_left_out(self, peer: x509.Certificate) -> None:
        """The subject is ours: nothing that a member writes in its request stands there."""
        assert peer.subject.rfc4514_string() == "OU=boekenburg,O=biebroam"

    @pytest.mark.parametrize(
        ("profile", "expected"),
        [
            (Profile.HOME_SERVER, [POLICY_HOME]),
            (Profile.ACCESS_POINT, [POLICY_VISITED]),
            (Profile.PEER, [POLICY_HOME, POLICY_VISITED]),
        ],
    )
    def test_policies_say_what_the_member_may_be(
        self, peers: Authority, tmp_path: Path, profile: Profile, expected: list[x509.ObjectIdentifier]
    ) -> None:
        """Each role of a library is a policy in its certificates."""
        certificate = issue(peers, tmp_path, profile)
        policies = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
        assert [policy.policy_identifier for policy in policies] == expected

    def test_policy_can_be_asked_for(self, peers: Authority, tmp_path: Path) -> None:
        """Who requires the policy of a visited library gets it from one, and not from a home (RFC 5280 §6.1)."""
        chain = chain_of(issue(peers, tmp_path, Profile.ACCESS_POINT), peers.issuing)
        root = peers.root.certificate_pem
        for policy, is_accepted in ((POLICY_VISITED, True), (POLICY_HOME, False)):
            arguments = ("-policy", policy.dotted_string, "-explicit_policy")
            assert (verify_chain(tmp_path, root, chain, *arguments).returncode == 0) is is_accepted

    def test_signature_is_ecdsa_with_sha256(self, peer: x509.Certificate) -> None:
        """The signature is one that every peer verifies."""
        assert b"ecdsa-with-SHA256" in run_openssl("x509", "-noout", "-text", octets=pem(peer)).stdout

    @pytest.mark.parametrize(
        ("profile", "end", "other"),
        [(Profile.HOME_SERVER, "sslserver", "sslclient"), (Profile.ACCESS_POINT, "sslclient", "sslserver")],
    )
    def test_profile_is_good_for_its_own_end_only(
        self, peers: Authority, tmp_path: Path, profile: Profile, end: str, other: str
    ) -> None:
        """An access point's certificate does not pass for a home server's, nor the other way round, by openssl."""
        chain = chain_of(issue(peers, tmp_path, profile), peers.issuing)
        for purpose, is_accepted in ((end, True), (other, False)):
            found = verify_chain(tmp_path, peers.root.certificate_pem, chain, "-purpose", purpose)
            assert (found.returncode == 0) is is_accepted


class TestForm:
    @pytest.mark.parametrize("purpose", list(Purpose))
    def test_authorities_have_the_extensions_of_authorities(self, purpose: Purpose) -> None:
        """Roots and issuing authorities say so critically, sign nothing but certificates and lists, and name keys."""
        authority = Authority(purpose)
        for keyed, path_length in ((authority.root, 1), (authority.issuing, 0)):
            extensions = keyed.certificate.extensions
            assert extensions.get_extension_for_class(x509.BasicConstraints).critical
            assert constraints(keyed.certificate).path_length == path_length
            usage = extensions.get_extension_for_class(x509.KeyUsage)
            assert usage.critical
            assert (usage.value.key_cert_sign, usage.value.crl_sign, usage.value.digital_signature) == (
                True,
                True,
                False,
            )
            assert isinstance(keyed.key.curve, ec.SECP256R1)
        assert authority_key(authority.issuing.certificate) == subject_key(authority.root.certificate)

    def test_life_times_are_bounded_by_the_issuer(self, eap: Authority) -> None:
        """A certificate that is issued late in the issuer's life ends with it."""
        late = eap.issuing.certificate.not_valid_after_utc - timedelta(days=10)
        certificate = issue_eap_server(eap.issuing, SERVER_NAME, "biebroam", late).certificate
        assert certificate.not_valid_after_utc == eap.issuing.certificate.not_valid_after_utc
        late_root = eap.root.certificate.not_valid_after_utc - timedelta(days=10)
        issuing = create_issuing(eap.root, Purpose.EAP, "biebroam", late_root)
        assert issuing.certificate.not_valid_after_utc == eap.root.certificate.not_valid_after_utc

    def test_issuing_authority_lives_on_after_it_is_due(self) -> None:
        """An issuing authority that is renewed in time always covers the whole life of a server's certificate."""
        assert ISSUING_LIFETIME / 3 >= EAP_SERVER_LIFETIME

    def test_name_of_a_federation_may_be_long(self) -> None:
        """A long name is cut where RFC 5280 asks for it, and the kind of authority stays readable."""
        root = create_root(Purpose.PEERS, "b" * 200, NOW)
        common_name = root.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        assert str(common_name).endswith("b Peers root")
        assert len(common_name) == 64

    def test_certificates_begin_an_hour_early(self, eap: Authority) -> None:
        """A device whose clock runs up to an hour behind accepts a new certificate."""
        assert eap.root.certificate.not_valid_before_utc == NOW - timedelta(hours=1)
        assert eap.root.certificate.not_valid_after_utc == NOW + ROOT_LIFETIME


class TestRenewal:
    def test_renewed_issuing_authority_keeps_old_certificates_valid(self, eap: Authority, tmp_path: Path) -> None:
        """A certificate of the earlier issuing certificate verifies with the renewed one: name and key are the same."""
        server = issue_eap_server(eap.issuing, SERVER_NAME, "biebroam", NOW)
        later = NOW + timedelta(days=700)
        renewed = create_issuing(eap.root, Purpose.EAP, "other name", later, eap.issuing)
        assert renewed.certificate != eap.issuing.certificate
        chain = chain_of(server.certificate, renewed)
        found = verify_chain(tmp_path, eap.root.certificate_pem, chain, at=later)
        assert found.returncode == 0, found.stderr.decode()

    @pytest.mark.parametrize(
        ("days", "expected"), [(-1, True), (0, False), (486, False), (487, True), (729, True), (800, True)]
    )
    def test_certificate_is_due_after_two_thirds_of_its_life(
        self, eap: Authority, days: int, *, expected: bool
    ) -> None:
        """Re-issue is due at two thirds of the life, after it, and when the clock says that it has not begun."""
        certificate = issue_eap_server(eap.issuing, SERVER_NAME, "biebroam", NOW).certificate
        assert is_due(certificate, NOW + timedelta(days=days)) is expected


class TestRevocationList:
    def test_openssl_refuses_what_is_on_the_list(
        self, peers: Authority, peer: x509.Certificate, tmp_path: Path
    ) -> None:
        """A revoked certificate is refused by who reads the lists, and another is not (RFC 5280 §6.3)."""
        other = issue(peers, tmp_path)
        revoked = Revoked(peer.serial_number, NOW, x509.ReasonFlags.key_compromise)
        lists = pem(build_crl(peers.root, (), 1, NOW)) + pem(build_crl(peers.issuing, [revoked], 1, NOW))
        (tmp_path / "lists.pem").write_bytes(lists)
        arguments = ("-crl_check_all", "-CRLfile", str(tmp_path / "lists.pem"))
        root = peers.root.certificate_pem
        refused = verify_chain(tmp_path, root, chain_of(peer, peers.issuing), *arguments)
        assert b"certificate revoked" in refused.stderr
        accepted = verify_chain(tmp_path, root, chain_of(other, peers.issuing), *arguments)
        assert accepted.returncode == 0, accepted.stderr.decode()

    def test_list_is_valid_for_seven_days(self, peers: Authority) -> None:
        """A list that is not refreshed for a week is refused by who asks for one."""
        found = build_crl(peers.issuing, (), 7, NOW)
        assert found.next_update_utc == NOW + timedelta(days=7)
        assert found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 7

    def test_reason_stands_in_the_list_unless_unspecified(self, peers: Authority) -> None:
        """RFC 5280 §5.3.1: the reason code is left out where it says nothing."""
        moment = datetime(2026, 11, 24, tzinfo=UTC)
        found = build_crl(
            peers.issuing,
            [
                Revoked(5, moment, x509.ReasonFlags.superseded),
                Revoked(6, moment, x509.ReasonFlags.unspecified),
            ],
            1,
            NOW,
        )
        with_reason = found.get_revoked_certificate_by_serial_number(5)
        without = found.get_revoked_certificate_by_serial_number(6)
        assert with_reason is not None
        assert without is not None
        assert with_reason.extensions.get_extension_for_class(x509.CRLReason).value.reason.value == "superseded"
        assert len(without.extensions) == 0


class TestSecrets:
    def test_private_key_is_not_in_the_text_form(self, eap: Authority) -> None:
        """A keyed certificate that reaches a log does not take its key along."""
        assert "key=" not in repr(eap.root)
        assert b"BEGIN PRIVATE KEY" in eap.root.key_pem


def usages(certificate: x509.Certificate) -> set[x509.ObjectIdentifier]:
    return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def constraints(certificate: x509.Certificate) -> x509.BasicConstraints:
    return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value


def alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def authority_key(certificate: x509.Certificate) -> bytes | None:
    return certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier


def subject_key(certificate: x509.Certificate) -> bytes:
    return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
