"""A root that is kept elsewhere: what goes out to it, what it signs there, and what is taken back. Pure.

Out goes a request for the issuing authority (PKCS #10), back come its certificate, the root's certificate and the
root's revocation list. The key of the issuing authority never leaves the node, that of the root never comes to it.
"""

import re
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import CertificatePoliciesOID, ExtendedKeyUsageOID

from federation.errors import InvalidInput, TrustError
from federation.trust.authority import EXTENDED_KEY_USAGE, KeyedCertificate, certify_issuing
from federation.trust.distribution import is_public_url, read_list_urls, with_list_url
from federation.trust.foreign import parse_foreign_root
from federation.trust.profiles import POLICY_HOME, POLICY_OPERATOR, POLICY_VISITED, Purpose

LEAST_LIFE: Final = timedelta(days=365)  # of what comes back: less would be at its end before anybody looks again
_MIN_PASSPHRASE_CHARACTERS: Final = 12
_PROOF: Final = b"biebroam: the key of this root is kept elsewhere: "
_REQUEST: Final = re.compile(
    rb"\s*-----BEGIN CERTIFICATE REQUEST-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE REQUEST-----\s*"
)
_Extension = TypeVar(
    "_Extension",
    x509.BasicConstraints,
    x509.KeyUsage,
    x509.ExtendedKeyUsage,
    x509.CertificatePolicies,
    x509.NameConstraints,
    x509.SubjectKeyIdentifier,
)


def build_authority_request(subject: x509.Name, key: ec.EllipticCurvePrivateKey, crl_url: str | None = None) -> bytes:
    """A request for an issuing authority's certificate, as PEM; it says where the root's revocation list will be."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = with_list_url(builder, crl_url)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def sign_authority_request(root: KeyedCertificate, pem: bytes, purpose: Purpose, now: datetime) -> x509.Certificate:
    """The certificate for the request in *pem*, below *root*; for the machine where the root is kept.

    Raises:
        InvalidInput: it is no request for an authority with a P-256 or P-384 key, or does not prove that its sender has
            the key.
        TrustError: *root* is no root that is valid now.
    """
    try:
        parse_foreign_root(root.certificate_pem, now)
    except InvalidInput as error:
        raise TrustError(error.message) from None
    if not _REQUEST.fullmatch(pem):
        raise InvalidInput("this is not one certificate request (PKCS #10) as PEM", field="csr")
    try:
        request = x509.load_pem_x509_csr(pem)
        public_key, is_valid = request.public_key(), request.is_signature_valid
        constraints = request.extensions.get_extension_for_class(x509.BasicConstraints).value
        list_urls = read_list_urls(request)
    except (ValueError, UnsupportedAlgorithm, x509.ExtensionNotFound, x509.InvalidVersion):
        raise InvalidInput("this is no request for an issuing authority", field="csr") from None
    is_strong = isinstance(public_key, ec.EllipticCurvePublicKey) and isinstance(
        public_key.curve, ec.SECP256R1 | ec.SECP384R1
    )
    if not is_valid or not is_strong or not constraints.ca or not list(request.subject):
        raise InvalidInput("this is no request for an issuing authority", field="csr")
    assert isinstance(public_key, ec.EllipticCurvePublicKey)  # it is strong
    if len(list_urls) > 1 or not all(is_public_url(url.partition("?")[0]) for url in list_urls):
        raise InvalidInput("the request names no place for the root's revocation list that can be", field="csr")
    return certify_issuing(root, purpose, request.subject, public_key, now, *list_urls)


def parse_issuing(
    issuing_pem: bytes,
    root_pem: bytes,
    request_pem: bytes,
    purpose: Purpose,
    names: Iterable[str],
    now: datetime,
) -> tuple[x509.Certificate, x509.Certificate]:
    """The issuing authority and the root that has signed it, when they can do the work of *purpose*.

    *names* are the DNS names that the federation certifies: an authority that may not sign them is none.

    Raises:
        InvalidInput: one of the two can not be; the message says why.
    """
    request = x509.load_pem_x509_csr(request_pem)
    found = parse_foreign_root(root_pem.rstrip() + b"\n" + issuing_pem, now)
    if len(found.intermediates) != 1:
        raise _refuse("give the root and the issuing authority below it, one certificate each")
    root, issuing = found.authorities
    if issuing.public_key() != request.public_key():
        raise _refuse("the issuing certificate is for another key than that of the request")
    if issuing.subject != request.subject:
        raise _refuse(f"the issuing certificate has another name than {request.subject.rfc4514_string()!r}")
    if issuing.not_valid_after_utc < now + LEAST_LIFE or root.not_valid_after_utc < issuing.not_valid_after_utc:
        raise _refuse(f"the issuing certificate has to hold for {LEAST_LIFE.days} days, and the root no shorter")
    _verify_lengths(root, issuing)
    _verify_usages(issuing, purpose)
    for authority in (root, issuing):
        _verify_names(authority, names)
    return issuing, root


def encrypt_root_key(root: KeyedCertificate, passphrase: str) -> bytes:
    """The root's key as encrypted PKCS #8 PEM.

    Raises:
        InvalidInput: the passphrase is too short to keep a root with.
    """
    if len(passphrase) < _MIN_PASSPHRASE_CHARACTERS:
        raise InvalidInput(f"a passphrase has at least {_MIN_PASSPHRASE_CHARACTERS} characters", field="passphrase")
    encryption = serialization.BestAvailableEncryption(passphrase.encode())
    return root.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def open_root(key_pem: bytes, certificate_pem: bytes, passphrase: str | None) -> KeyedCertificate:
    """The root in two files, able to sign.

    Raises:
        TrustError: they can not be read, the passphrase does not open the key, or they do not belong together.
    """
    try:
        key = serialization.load_pem_private_key(key_pem, None if passphrase is None else passphrase.encode())
        certificate = x509.load_pem_x509_certificate(certificate_pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise TrustError("the root can not be read: its key, its passphrase or its certificate is wrong") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise TrustError("the key is not that of the root's certificate")
    return KeyedCertificate(certificate, key)


def sign_proof(root: KeyedCertificate) -> bytes:
    """What only the holder of a root's key can make: it is needed before the registry forgets that key."""
    return root.key.sign(_PROOF + root.certificate.fingerprint(hashes.SHA256()), ec.ECDSA(hashes.SHA256()))


def is_proof(certificate: x509.Certificate, proof: bytes) -> bool:
    """Whether *proof* was made with the key of the root with that certificate."""
    public_key = certificate.public_key()
    if not isinstance(public_key, ec.EllipticCurvePublicKey):
        return False
    try:
        public_key.verify(proof, _PROOF + certificate.fingerprint(hashes.SHA256()), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _verify_lengths(root: x509.Certificate, issuing: x509.Certificate) -> None:
    above, below = _extension(root, x509.BasicConstraints), _extension(issuing, x509.BasicConstraints)
    assert above is not None  # both are authorities
    assert below is not None
    if above.path_length == 0:
        raise _refuse("the root allows no authority below it (pathLenConstraint 0)")
    if below.path_length != 0:
        raise _refuse("the issuing certificate has to allow no authority below it (pathLenConstraint 0)")
    if _extension(issuing, x509.SubjectKeyIdentifier) is None or _extension(root, x509.SubjectKeyIdentifier) is None:
        raise _refuse("both certificates need a subjectKeyIdentifier (RFC 5280 §4.2.1.2)")


def _verify_usages(issuing: x509.Certificate, purpose: Purpose) -> None:
    usage = _extension(issuing, x509.KeyUsage)
    if usage is None or not usage.key_cert_sign or not usage.crl_sign:
        raise _refuse("the issuing certificate has to be for certificates and for lists (keyCertSign, cRLSign)")
    extended = _extension(issuing, x509.ExtendedKeyUsage)
    allowed = frozenset[x509.ObjectIdentifier](extended or ())
    wanted = set(EXTENDED_KEY_USAGE[purpose])
    if extended is not None and not wanted <= allowed and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in allowed:
        raise _refuse("the issuing certificate's extended key usage leaves out TLS clients or servers")
    if purpose is Purpose.PEERS:
        policies = _extension(issuing, x509.CertificatePolicies)
        asserted = frozenset(policy.policy_identifier for policy in policies or ())
        ours = {POLICY_HOME, POLICY_VISITED, POLICY_OPERATOR}
        if CertificatePoliciesOID.ANY_POLICY not in asserted and not ours <= asserted:
            raise _refuse("the issuing certificate has to assert anyPolicy, or the federation's three policies")


def _verify_names(authority: x509.Certificate, names: Iterable[str]) -> None:
    """Name constraints (RFC 5280 §4.2.1.10) may stand there when they are about DNS names and leave out none of ours.

    NAIRealm can not be constrained in a way that verifiers know, so constraints of other kinds are refused.
    """
    constraints = _extension(authority, x509.NameConstraints)
    if constraints is None:
        return
    permitted, excluded = constraints.permitted_subtrees or [], constraints.excluded_subtrees or []
    if not all(isinstance(each, x509.DNSName) for each in (*permitted, *excluded)):
        raise _refuse("name constraints are taken for DNS names only")
    allowed, barred = [str(each.value) for each in permitted], [str(each.value) for each in excluded]
    for name in names:
        if (allowed and not _is_below(name, allowed)) or _is_below(name, barred):
            raise _refuse(f"the name constraints leave out {name}")


def _is_below(name: str, trees: Collection[str]) -> bool:
    return any(name == tree or name.endswith("." + tree) for tree in (each.lower().lstrip(".") for each in trees))


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except (ValueError, x509.DuplicateExtension):
        raise _refuse("the extensions of a certificate can not be read") from None


def _refuse(message: str) -> InvalidInput:
    return InvalidInput(message, field="certificates")
