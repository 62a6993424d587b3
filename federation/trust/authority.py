"""The two authorities: making their certificates and lists, and what they sign. Pure: the time is handed in.

Each authority is a root and one issuing authority below it, P-256 and SHA-256. The peers' authority says which
machines belong to which member; the EAP authority says which home server a patron's device may give a password to.
They share nothing, so neither can stand in for the other, and a device that trusts the one trusts only the Wi-Fi.

An issuing authority is renewed with the key that it has: same name, same SubjectKeyIdentifier, so that every
certificate that it signed and its revocation list go on being valid.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import CertificatePoliciesOID, ExtendedKeyUsageOID, NameOID

from federation.trust.distribution import with_list_url
from federation.trust.profiles import (
    CLOCK_SKEW,
    CRL_LIFETIME,
    ISSUING_LIFETIME,
    ROOT_LIFETIME,
    USAGES,
    PeerRequest,
    Profile,
    PublicKey,
    Purpose,
    build_alternative_names,
)

_TITLES = {Purpose.PEERS: "Peers", Purpose.EAP: "Wi-Fi"}
EXTENDED_KEY_USAGE = {
    Purpose.PEERS: (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH),  # RFC 6614 §2.3: both ends
    Purpose.EAP: (ExtendedKeyUsageOID.SERVER_AUTH,),
}
_COMMON_NAME_CHARACTERS = 64  # RFC 5280 appendix A, ub-common-name


@dataclass(frozen=True, slots=True)
class KeyedCertificate:
    """A certificate with the private key to its public key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def certificate_pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key as unencrypted PKCS #8 PEM: to be sealed, or handed to TLS."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


@dataclass(frozen=True, slots=True)
class Revoked:
    """One line of a revocation list."""

    serial: int
    revoked_at: datetime
    reason: x509.ReasonFlags


def create_root(purpose: Purpose, federation_name: str, now: datetime, generation: int = 1) -> KeyedCertificate:
    """A new root with a new key, which signs itself; each *generation* has a name of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = build_authority_name(purpose, "root", federation_name, generation)
    builder = _authority_builder(name, name, key.public_key(), path_length=1, start=now, end=now + ROOT_LIFETIME)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return KeyedCertificate(builder.sign(key, hashes.SHA256()), key)


def create_issuing(
    root: KeyedCertificate,
    purpose: Purpose,
    federation_name: str,
    now: datetime,
    earlier: KeyedCertificate | None = None,
    generation: int = 1,
    crl_url: str | None = None,
) -> KeyedCertificate:
    """An issuing authority below *root*; with *earlier*, its key and its name for another term.

    *crl_url* is where the root's revocation list is.
    """
    key = earlier.key if earlier else ec.generate_private_key(ec.SECP256R1())
    subject = (
        earlier.certificate.subject
        if earlier
        else build_authority_name(purpose, "issuing", federation_name, generation)
    )
    return KeyedCertificate(certify_issuing(root, purpose, subject, key.public_key(), now, crl_url), key)


def certify_issuing(
    root: KeyedCertificate,
    purpose: Purpose,
    subject: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
    crl_url: str | None = None,
) -> x509.Certificate:
    """The certificate of an issuing authority below *root* that has that name and key."""
    end = min(now + ISSUING_LIFETIME, root.certificate.not_valid_after_utc)
    builder = _authority_builder(subject, root.certificate.subject, public_key, path_length=0, start=now, end=end)
    builder = _with_key_identifiers(builder, public_key, root)
    # Not needed by RFC 5280, yet a chain builder that reads it here keeps this authority to its purpose.
    builder = builder.add_extension(x509.ExtendedKeyUsage(EXTENDED_KEY_USAGE[purpose]), critical=False)
    if purpose is Purpose.PEERS:  # RFC 5280 §6.1.3: a policy below holds only when the authority asserts it, or any
        policies = x509.CertificatePolicies([x509.PolicyInformation(CertificatePoliciesOID.ANY_POLICY, None)])
        builder = builder.add_extension(policies, critical=False)
    return with_list_url(builder, crl_url).sign(root.key, hashes.SHA256())


def issue_eap_server(
    issuing: KeyedCertificate, server_name: str, federation_name: str, now: datetime, crl_url: str | None = None
) -> KeyedCertificate:
    """A certificate with a new key for the hosted home server called *server_name* (A-labels).

    The name is the one dNSName of its subjectAltName, which devices are told to check, and the common name for those
    that show it to their owner. It carries no policy: devices of many makes have to read it.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, federation_name[:_COMMON_NAME_CHARACTERS])]
    if len(server_name) <= _COMMON_NAME_CHARACTERS:
        subject.append(x509.NameAttribute(NameOID.COMMON_NAME, server_name))
    builder = _end_entity_builder(
        issuing, Profile.EAP_SERVER, x509.Name(subject), key.public_key(), now, crl_url
    ).add_extension(x509.SubjectAlternativeName([x509.DNSName(server_name)]), critical=False)
    return KeyedCertificate(builder.sign(issuing.key, hashes.SHA256()), key)


def issue_peer(
    issuing: KeyedCertificate,
    request: PeerRequest,
    *,
    unit: str,
    profile: Profile,
    federation_name: str,
    now: datetime,
    crl_url: str | None = None,
) -> x509.Certificate:
    """A certificate for a RADIUS/TLS peer: the names and the key of *request*, everything else ours.

    The subject says whom it was issued to (*unit*, a library) and is never compared with anything; policies and
    extended key usage say what the peer may be (`federation.trust.profiles.USAGES`).
    """
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, federation_name[:_COMMON_NAME_CHARACTERS]),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit[:_COMMON_NAME_CHARACTERS]),
        ]
    )
    builder = _end_entity_builder(issuing, profile, subject, request.public_key, now, crl_url)
    builder = builder.add_extension(build_alternative_names(request.names, request.nai_realms), critical=False)
    policies = [x509.PolicyInformation(policy, None) for policy in USAGES[profile].policies]
    builder = builder.add_extension(x509.CertificatePolicies(policies), critical=False)
    return builder.sign(issuing.key, hashes.SHA256())


def issue_operator(
    issuing: KeyedCertificate, server_name: str, federation_name: str, now: datetime, crl_url: str | None = None
) -> KeyedCertificate:
    """A certificate with a new key for the federation's own proxy, which peers know as *server_name* (A-labels)."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = issue_peer(
        issuing,
        PeerRequest(key.public_key(), (server_name,), ()),
        unit="operator",
        profile=Profile.OPERATOR,
        federation_name=federation_name,
        now=now,
        crl_url=crl_url,
    )
    return KeyedCertificate(certificate, key)


def build_crl(
    authority: KeyedCertificate,
    revoked: Iterable[Revoked],
    number: int,
    now: datetime,
    lifetime: timedelta = CRL_LIFETIME,
) -> x509.CertificateRevocationList:
    """The revocation list of *authority*, valid for *lifetime*; *number* grows with each (RFC 5280 §5.2.3)."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now - CLOCK_SKEW)
        .next_update(now + lifetime)
        .add_extension(_authority_key_identifier(authority), critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for entry in revoked:
        line = x509.RevokedCertificateBuilder().serial_number(entry.serial).revocation_date(entry.revoked_at)
        if entry.reason is not x509.ReasonFlags.unspecified:  # RFC 5280 §5.3.1: leave it out then
            line = line.add_extension(x509.CRLReason(entry.reason), critical=False)
        builder = builder.add_revoked_certificate(line.build())
    return builder.sign(authority.key, hashes.SHA256())


def is_due(certificate: x509.Certificate, now: datetime) -> bool:
    """Whether two thirds of the life of *certificate* have passed, or it has not begun."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return not start <= now < start + (end - start) * 2 / 3


def build_authority_name(purpose: Purpose, level: str, federation_name: str, generation: int = 1) -> x509.Name:
    """The subject of an authority.

    Two generations never share a name: a verifier that looks for an issuer or a revocation list by its name, and not by
    its key identifier, would take the wrong one.
    """
    ending = f" {_TITLES[purpose]} {level}" + (f" G{generation}" if generation > 1 else "")
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, federation_name[:_COMMON_NAME_CHARACTERS]),
            x509.NameAttribute(
                NameOID.COMMON_NAME, federation_name[: _COMMON_NAME_CHARACTERS - len(ending)].rstrip() + ending
            ),
        ]
    )


def _authority_builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: PublicKey,
    *,
    path_length: int,
    start: datetime,
    end: datetime,
) -> x509.CertificateBuilder:
    return (
        _builder(subject, issuer, public_key, start, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
    )


def _end_entity_builder(
    issuing: KeyedCertificate,
    profile: Profile,
    subject: x509.Name,
    public_key: PublicKey,
    now: datetime,
    crl_url: str | None,
) -> x509.CertificateBuilder:
    """Never valid for longer than the issuing authority: past that no chain would verify."""
    end = min(now + USAGES[profile].lifetime, issuing.certificate.not_valid_after_utc)
    builder = (
        _builder(subject, issuing.certificate.subject, public_key, now, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(USAGES[profile].extended_key_usage), critical=False)
    )
    return with_list_url(_with_key_identifiers(builder, public_key, issuing), crl_url)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: PublicKey,
    start: datetime,
    end: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())  # 159 random bits
        .not_valid_before(start - CLOCK_SKEW)
        .not_valid_after(end)
    )


def _with_key_identifiers(
    builder: x509.CertificateBuilder,
    public_key: PublicKey,
    issuer: KeyedCertificate,
) -> x509.CertificateBuilder:
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False).add_extension(
        _authority_key_identifier(issuer), critical=False
    )


def _authority_key_identifier(issuer: KeyedCertificate) -> x509.AuthorityKeyIdentifier:
    identifier = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
