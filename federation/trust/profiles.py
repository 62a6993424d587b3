"""What certificates look like, how long they live, and what a member may ask for.

Policies stand under an arc of our own, derived from a UUID (ITU-T X.667, "2.25"), so that no registry is needed:

| object identifier | in a certificate it says |
|---|---|
| `2.25.38681224966750673154396114888944680192.1.1` | the member may authenticate patrons (home) |
| `2.25.38681224966750673154396114888944680192.1.2` | the member may ask for visitors (visited) |
| `2.25.38681224966750673154396114888944680192.1.3` | this is the federation's own proxy (operator) |

The extended key usage follows the profile: who only asks has no certificate that passes for a server's.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from federation.errors import InvalidInput

CLOCK_SKEW = timedelta(hours=1)  # certificates begin this much earlier: devices' clocks run behind
ROOT_LIFETIME = timedelta(days=20 * 365)  # longer than the devices that hold it
ISSUING_LIFETIME = timedelta(days=2190)  # renewed after 4 years, so that the 2 years left cover any certificate
EAP_SERVER_LIFETIME = timedelta(days=730)  # Apple's devices refuse more than 825 days
PEER_LIFETIME = timedelta(days=90)  # renewed by itself at two thirds (RFC 7030); a list that is not read harms less
CRL_LIFETIME = timedelta(days=7)
CRL_REFRESH = timedelta(days=1)
OUTSIDE_CRL_LIFETIME = timedelta(days=180)  # of a root that is kept elsewhere: somebody has to fetch it from its safe

POLICY_ARC = "2.25.38681224966750673154396114888944680192.1"
POLICY_HOME = x509.ObjectIdentifier(f"{POLICY_ARC}.1")
POLICY_VISITED = x509.ObjectIdentifier(f"{POLICY_ARC}.2")
POLICY_OPERATOR = x509.ObjectIdentifier(f"{POLICY_ARC}.3")

NAI_REALM = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.8")  # id-on-naiRealm, RFC 7585 §2.2

MAX_REQUEST_OCTETS = 16_384  # an RSA-4096 request with twenty names takes under 4 KiB
MAX_NAMES = 20
_RSA_BITS = range(2048, 4097)  # above that, checking a signature is work that a stranger may not order
_CURVES = (ec.SECP256R1, ec.SECP384R1)
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+"
)
_REQUEST_BLOCK = re.compile(
    rb"\s*-----BEGIN (NEW )?CERTIFICATE REQUEST-----\s[A-Za-z0-9+/=\s]+-----END (NEW )?CERTIFICATE REQUEST-----\s*"
)


PublicKey: TypeAlias = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class Purpose(StrEnum):
    """Which of the two authorities; nothing that one signs is valid for the other's purpose."""

    PEERS = "peers"
    EAP = "eap"


class Profile(StrEnum):
    """What a certificate is for."""

    PEER = "peer"  # both a home server and who asks
    HOME_SERVER = "home-server"
    ACCESS_POINT = "access-point"
    OPERATOR = "operator"  # the federation's own proxy, towards every peer
    EAP_SERVER = "eap-server"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a profile puts into a certificate."""

    lifetime: timedelta
    extended_key_usage: tuple[x509.ObjectIdentifier, ...]
    policies: tuple[x509.ObjectIdentifier, ...]
    roles: frozenset[str]  # that a library must have to be given it


_BOTH_ENDS = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)  # RFC 6614 §2.3
USAGES: Mapping[Profile, Usage] = {
    Profile.PEER: Usage(PEER_LIFETIME, _BOTH_ENDS, (POLICY_HOME, POLICY_VISITED), frozenset({"home", "visited"})),
    Profile.HOME_SERVER: Usage(PEER_LIFETIME, (ExtendedKeyUsageOID.SERVER_AUTH,), (POLICY_HOME,), frozenset({"home"})),
    Profile.ACCESS_POINT: Usage(
        PEER_LIFETIME, (ExtendedKeyUsageOID.CLIENT_AUTH,), (POLICY_VISITED,), frozenset({"visited"})
    ),
    Profile.OPERATOR: Usage(PEER_LIFETIME, _BOTH_ENDS, (POLICY_OPERATOR,), frozenset()),
    Profile.EAP_SERVER: Usage(EAP_SERVER_LIFETIME, (ExtendedKeyUsageOID.SERVER_AUTH,), (), frozenset()),
}
LIBRARY_PROFILES = (Profile.PEER, Profile.HOME_SERVER, Profile.ACCESS_POINT)  # the widest first


class RequestRefused(InvalidInput):
    """A certificate request that the peers' profile does not allow; the message says what is wrong with it."""

    def __init__(self, message: str, *, field: str = "csr") -> None:
        super().__init__(message, field=field)


@dataclass(frozen=True, slots=True)
class PeerRequest:
    """What is taken from a certificate request: its key, which the sender has proved to hold, and its names."""

    public_key: PublicKey
    names: tuple[str, ...]  # dNSName, lower-case
    nai_realms: tuple[str, ...]  # "realm" or "*.realm", RFC 7585 §2.2


def parse_peer_request(pem: bytes) -> PeerRequest:
    """The request in *pem*, with its signature verified and its form checked; not yet whether the names are owned.

    The common name, the subject and every extension but subjectAltName are left unread: only we decide those.

    Raises:
        RequestRefused: it is not one PKCS #10 request, does not prove that its sender has the key, has a weak key, or
            asks for what a peer can not have.
    """
    request = _load_request(pem)
    public_key = _checked_key(request)
    _verify_possession(request)
    names: list[str] = []
    nai_realms: list[str] = []
    for extension in _extensions(request):
        if isinstance(extension.value, x509.BasicConstraints) and extension.value.ca:
            raise RequestRefused("the request asks for an authority's certificate")
        if isinstance(extension.value, x509.SubjectAlternativeName):
            for name in extension.value:
                _sort_name(name, names, nai_realms)
    if not names and not nai_realms:
        raise RequestRefused("the request has no name in subjectAltName; the common name is not read")
    if len(names) + len(nai_realms) > MAX_NAMES:
        raise RequestRefused(f"the request has more than {MAX_NAMES} names")
    return PeerRequest(public_key, tuple(dict.fromkeys(names)), tuple(dict.fromkeys(nai_realms)))


def reread_certificate(pem: bytes) -> PeerRequest:
    """The key and the names of a peer's certificate that was issued here, as a request for another with the same.

    Its request proved that the peer has the key, and nobody else could use the answer.
    """
    certificate = x509.load_pem_x509_certificate(pem)
    names: list[str] = []
    nai_realms: list[str] = []
    for name in certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value:
        _sort_name(name, names, nai_realms)
    return PeerRequest(_checked_key(certificate), tuple(names), tuple(nai_realms))


def verify_ownership(names: Iterable[str], nai_realms: Iterable[str], owner: str, realms: Mapping[str, str]) -> None:
    """Return when every one of *names* stands under a realm of *owner*, and all *nai_realms* are its realms.

    *realms* says which library owns each realm of the federation. The closest realm above a name decides, so a
    library that owns "city.example" gets no certificate for a neighbour's "branch.city.example".

    Raises:
        RequestRefused: a name is another library's, or nobody's.
    """
    for name in names:
        if _owner_of(name, realms) != owner:
            raise RequestRefused(f"{name} is not under a realm of library {owner}")
    for value in nai_realms:
        if realms.get(value.removeprefix("*.")) != owner:
            raise RequestRefused(f"{value} is not a realm of library {owner}")


def choose_profile(roles: Iterable[str], wanted: Profile | None = None) -> Profile:
    """The profile *wanted*, if a library with these roles ("home", "visited") may have it; else the widest it may.

    Raises:
        RequestRefused: its roles do not reach for it.
    """
    held = set(roles)
    allowed = [profile for profile in LIBRARY_PROFILES if USAGES[profile].roles <= held]
    if wanted is None and allowed:
        return allowed[0]
    if wanted is not None and wanted in allowed:
        return wanted
    names = ", ".join(allowed) or "none: it has no role"
    raise RequestRefused(f"{wanted or 'a certificate'} is not for this library; it may have {names}", field="profile")


def build_alternative_names(names: Collection[str], nai_realms: Collection[str]) -> x509.SubjectAlternativeName:
    """The subjectAltName with *names* as dNSName and *nai_realms* as NAIRealm (RFC 7585 §2.2)."""
    others = [x509.OtherName(NAI_REALM, _encode_utf8_string(realm)) for realm in nai_realms]
    return x509.SubjectAlternativeName([*(x509.DNSName(name) for name in names), *others])


def _load_request(pem: bytes) -> x509.CertificateSigningRequest:
    if len(pem) > MAX_REQUEST_OCTETS:
        raise RequestRefused(f"the request is longer than {MAX_REQUEST_OCTETS} octets")
    if b"PRIVATE KEY" in pem:
        raise RequestRefused("there is a private key in the request: it must never leave its machine; make a new one")
    if not _REQUEST_BLOCK.fullmatch(pem):
        raise RequestRefused("this is not one PEM certificate request (PKCS #10), and nothing else")
    try:
        return x509.load_pem_x509_csr(pem)
    except (ValueError, x509.InvalidVersion):  # the latter is no ValueError
        raise RequestRefused("the certificate request can not be read") from None


def _extensions(request: x509.CertificateSigningRequest) -> x509.Extensions:
    try:
        return request.extensions
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise RequestRefused("the extensions of the certificate request can not be read") from None


def _checked_key(request: x509.CertificateSigningRequest | x509.Certificate) -> PublicKey:
    try:
        public_key = request.public_key()
    except (ValueError, UnsupportedAlgorithm):
        public_key = None
    if isinstance(public_key, ec.EllipticCurvePublicKey) and isinstance(public_key.curve, _CURVES):
        return public_key
    if isinstance(public_key, rsa.RSAPublicKey) and public_key.key_size in _RSA_BITS:
        return public_key
    raise RequestRefused("the key must be P-256, P-384, or RSA with 2048 to 4096 bits")


def _verify_possession(request: x509.CertificateSigningRequest) -> None:
    try:
        is_strong = isinstance(request.signature_hash_algorithm, _HASHES)
        is_valid = is_strong and request.is_signature_valid
    except (UnsupportedAlgorithm, ValueError):
        is_strong = is_valid = False
    if not is_strong:
        raise RequestRefused("the request must be signed with SHA-256, SHA-384 or SHA-512")
    if not is_valid:
        raise RequestRefused("the signature of the request does not prove that its sender has the private key")


def _sort_name(name: x509.GeneralName, names: list[str], nai_realms: list[str]) -> None:
    if isinstance(name, x509.DNSName):
        names.append(_checked_name(name.value, "DNS name"))
    elif isinstance(name, x509.OtherName) and name.type_id == NAI_REALM:
        value = _decode_utf8_string(name.value)
        wildcard = "*." if value.startswith("*.") else ""
        nai_realms.append(wildcard + _checked_name(value.removeprefix("*."), "NAIRealm"))
    else:
        raise RequestRefused("only DNS names and NAIRealm may stand in subjectAltName")


def _checked_name(text: str, kind: str) -> str:
    name = text.lower()
    if not name.isascii() or not _HOST_NAME.fullmatch(name):
        raise RequestRefused(f"{text[:253]!r} is not a {kind} that can be certified: whole names of ASCII labels only")
    return name


def _owner_of(name: str, realms: Mapping[str, str]) -> str | None:
    labels = name.split(".")
    for first in range(len(labels)):
        owner = realms.get(".".join(labels[first:]))
        if owner is not None:
            return owner
    return None


def _encode_utf8_string(text: str) -> bytes:
    octets = text.encode()
    length = bytes([len(octets)]) if len(octets) < 128 else b"\x81" + bytes([len(octets)])
    return b"\x0c" + length + octets


def _decode_utf8_string(octets: bytes) -> str:
    """The text of a DER UTF8String of at most 255 octets, in the one encoding that DER allows."""
    for start in (2, 3):
        try:
            text = octets[start:].decode()
        except UnicodeDecodeError:
            continue
        if len(octets) - start < 256 and _encode_utf8_string(text) == octets:
            return text
    raise RequestRefused("a NAIRealm in subjectAltName is not a UTF8String")
