"""Roots of other authorities and their revocation lists, as they are taken or refused. Pure: the time is handed in.

What an authority of others says is believed about the libraries that it was taken for, and about nobody else
(CVE-2012-4523 and CVE-2012-4566 are what comes of believing it about everybody). A list is believed when its authority
signed it and it is not older than the one before: whoever can answer for a web server can then hold a list back, and
can neither forge one nor bring an old one again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from federation.errors import InvalidInput
from federation.trust.profiles import CLOCK_SKEW

MAX_ANCHOR_OCTETS: Final = 32_768
MAX_INTERMEDIATES: Final = 5
MAX_LIST_OCTETS: Final = 10 * 1024 * 1024  # the largest lists of public authorities
_MIN_RSA_BITS: Final = 2048
_MAX_RSA_BITS: Final = 8192
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_PEM_LIST: Final = b"-----BEGIN X509 CRL-----"
_KNOWN_CRITICAL: Final = frozenset({x509.CRLNumber.oid, x509.AuthorityKeyIdentifier.oid})


_Extension = TypeVar("_Extension", x509.BasicConstraints, x509.KeyUsage)


class ListPolicy(StrEnum):
    """What holds when an authority's newest list is out of date, or there is none."""

    SOFT = "soft"  # the last list goes on; operators are warned
    HARD = "hard"  # no certificate of that authority is believed


class ListRefused(InvalidInput):
    """Octets that are no revocation list of that authority, or an older one than is held."""


@dataclass(frozen=True, slots=True)
class ForeignRoot:
    """A root of another authority, and the authorities below it that sign its lists."""

    root: x509.Certificate
    intermediates: tuple[x509.Certificate, ...]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the root, in lower-case hexadecimal."""
        return self.root.fingerprint(hashes.SHA256()).hex()

    @property
    def authorities(self) -> tuple[x509.Certificate, ...]:
        """All of them, the root first."""
        return self.root, *self.intermediates


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A list that was verified."""

    pem: str
    issuer: bytes  # the DER of its issuer's name
    this_update: datetime
    next_update: datetime
    number: int | None


def parse_foreign_root(pem: bytes, now: datetime, taken: Iterable[x509.Name] = ()) -> ForeignRoot:
    """The root in *pem*, and what follows it as authorities below it.

    *taken* are names of authorities that are trusted already: lists and chains are told apart by issuers' names, so one
    that has another's name could revoke in it.

    Raises:
        InvalidInput: it is no such file, a certificate in it is no authority's or is out of date, or a name is taken.
    """
    if len(pem) > MAX_ANCHOR_OCTETS:
        raise _refuse(f"the file is longer than {MAX_ANCHOR_OCTETS} octets")
    if b"PRIVATE KEY" in pem:
        raise _refuse("there is a private key in the file: it must not leave its authority")
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise _refuse("this is no file of certificates as PEM") from None
    if len(certificates) > 1 + MAX_INTERMEDIATES:
        raise _refuse(f"there are more than {MAX_INTERMEDIATES} certificates below the root")
    root, *below = certificates
    names = set(taken)
    trusted: list[x509.Certificate] = []
    for certificate in certificates:
        _verify_authority(certificate, now)
        if certificate.subject in names:
            raise _refuse(f"there is an authority with the name {certificate.subject.rfc4514_string()!r} already")
        names.add(certificate.subject)
        issuers = trusted or [certificate]  # the root signs itself
        if not any(_is_issued_by(certificate, issuer) for issuer in issuers):
            raise _refuse(
                f"{certificate.subject.rfc4514_string()!r} is not signed by "
                + ("itself: the first has to be a root" if certificate is root else "an authority before it")
            )
        trusted.append(certificate)
    return ForeignRoot(root, tuple(below))


def parse_revocation_list(
    octets: bytes, authorities: Sequence[x509.Certificate], now: datetime, earlier_pem: str | None = None
) -> RevocationList:
    """The list in *octets*, DER (RFC 5280) or PEM, of one of *authorities*, and not older than *earlier_pem*.

    Raises:
        ListRefused: it is no list, is signed by nobody of them, is from the future, says not how long it holds, covers
            only a part of what there is (RFC 5280 §5.2.4, §5.2.5), or is older than the one that is held.
    """
    found = _load_list(octets)
    issuer = _find_issuer(found, authorities)
    next_update = found.next_update_utc
    if next_update is None or next_update <= found.last_update_utc:
        raise ListRefused("the list does not say until when it holds")
    if found.last_update_utc > now + CLOCK_SKEW:
        raise ListRefused(f"the list is from {found.last_update_utc:%Y-%m-%d %H:%M} UTC, which is still to come")
    number = _number_of(found)
    if earlier_pem is not None:
        earlier = x509.load_pem_x509_crl(earlier_pem.encode())
        held = _number_of(earlier)
        if earlier.issuer == found.issuer and (
            found.last_update_utc < earlier.last_update_utc or (held is not None and (number is None or number < held))
        ):
            raise ListRefused("the list is older than the one that is held")
    pem = found.public_bytes(serialization.Encoding.PEM).decode()
    return RevocationList(pem, issuer.subject.public_bytes(), found.last_update_utc, next_update, number)


def _load_list(octets: bytes) -> x509.CertificateRevocationList:
    if len(octets) > MAX_LIST_OCTETS:
        raise ListRefused(f"the list is longer than {MAX_LIST_OCTETS} octets")
    try:
        found = (x509.load_pem_x509_crl if octets.lstrip().startswith(_PEM_LIST) else x509.load_der_x509_crl)(octets)
        extensions = list(found.extensions)
        is_strong = isinstance(found.signature_hash_algorithm, _HASHES)
    except (ValueError, x509.DuplicateExtension, UnsupportedAlgorithm):
        raise ListRefused("this is no revocation list") from None
    if not is_strong:
        raise ListRefused("the list is not signed with SHA-256, SHA-384 or SHA-512")
    for extension in extensions:
        if extension.critical and extension.oid not in _KNOWN_CRITICAL:
            raise ListRefused(
                f"the list has the critical extension {extension.oid.dotted_string}: it does not tell of everything"
            )
    return found


def _find_issuer(found: x509.CertificateRevocationList, authorities: Sequence[x509.Certificate]) -> x509.Certificate:
    for authority in authorities:
        if authority.subject == found.issuer and _has_signed(authority, found):
            return authority
    raise ListRefused(f"no authority of the anchor has signed the list of {found.issuer.rfc4514_string()!r}")


def _has_signed(authority: x509.Certificate, found: x509.CertificateRevocationList) -> bool:
    public_key = authority.public_key()
    if not isinstance(public_key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        return False
    usage = _extension(authority, x509.KeyUsage)
    if usage is not None and not usage.crl_sign:
        return False
    try:
        return found.is_signature_valid(public_key)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False


def _number_of(found: x509.CertificateRevocationList) -> int | None:
    try:
        return found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        return None


def _verify_authority(certificate: x509.Certificate, now: datetime) -> None:
    name = certificate.subject.rfc4514_string()
    constraints, usage = _extension(certificate, x509.BasicConstraints), _extension(certificate, x509.KeyUsage)
    if constraints is None or not constraints.ca or (usage is not None and not usage.key_cert_sign):
        raise _refuse(f"{name!r} is no authority's certificate")
    if not certificate.not_valid_before_utc - CLOCK_SKEW <= now < certificate.not_valid_after_utc:
        raise _refuse(f"the certificate of {name!r} is not valid at this time")
    try:
        public_key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        public_key = None
    is_strong = (
        isinstance(public_key, rsa.RSAPublicKey) and _MIN_RSA_BITS <= public_key.key_size <= _MAX_RSA_BITS
    ) or (isinstance(public_key, ec.EllipticCurvePublicKey) and isinstance(public_key.curve, _CURVES))
    if not is_strong:
        raise _refuse(f"the key of {name!r} is neither RSA of 2048 to 8192 bits nor P-256, P-384 or P-521")


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except (ValueError, x509.DuplicateExtension):
        raise _refuse("the extensions of a certificate can not be read") from None


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _refuse(message: str) -> InvalidInput:
    return InvalidInput(message, field="certificates")
