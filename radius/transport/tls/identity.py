"""Who a peer is: the names in its certificate, never its common name (RFC 6614 §2.3, RFC 7585 §2.2, RFC 9525)."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

_NAI_REALM: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.8")  # id-on-naiRealm, RFC 7585 §2.2
_ANY_POLICY: Final = "2.5.29.32.0"  # RFC 5280 §4.2.1.4
_UTF8_STRING: Final = 0x0C
_SHORT_LENGTH: Final = 0x80  # below it the length is one octet; a realm of 253 octets needs the form 0x81
_MIN_LABELS: Final = 3  # "*.example" would stand for everybody


@dataclass(frozen=True, slots=True)
class PeerIdentity:
    """What a verified chain says of its owner."""

    names: tuple[str, ...]  # dNSName, lower-case
    addresses: tuple[str, ...]  # iPAddress, as the ipaddress module writes it
    nai_realms: tuple[str, ...]  # "realm" or "*.realm", lower-case
    serials: tuple[tuple[bytes, str], ...]  # issuer and serial of each below the anchor, the peer's first
    not_after: float  # seconds since the epoch; of the one in the chain that ends first
    fingerprint: str  # SHA-256 of the peer's certificate
    anchor: str  # SHA-256 of the certificate that the chain ends in
    policies: frozenset[str] = frozenset()  # object identifiers that hold for the whole chain (RFC 5280 §6.1.3)

    @property
    def label(self) -> str:
        """A short name for logs."""
        return next(iter((*self.names, *self.addresses, *self.nai_realms)), self.fingerprint[:16])


@dataclass(frozen=True, slots=True)
class ServerName:
    """Whom a dialled peer has to be: one of these is enough."""

    host: str  # as configured: a DNS name or an IP address
    realms: frozenset[str] = frozenset()  # that it serves, for certificates with NAIRealm

    @property
    def server_name(self) -> str | None:
        """What the server is told whom we want; None for an address (RFC 6066 §3)."""
        return None if _is_address(self.host) else self.host

    def matches(self, identity: PeerIdentity) -> bool:
        """Whether the certificate is of that server; a wildcard stands for one whole label, the left-most."""
        if any(_matches_name(pattern, realm) for pattern in identity.nai_realms for realm in self.realms):
            return True
        try:
            return str(ip_address(self.host)) in identity.addresses
        except ValueError:
            host = self.host.lower().rstrip(".")
            return any(_matches_name(pattern, host) for pattern in identity.names)


@dataclass(frozen=True, slots=True)
class DiscoveredName(ServerName):
    """A name that came from the DNS, and proves nothing: the whole chain has to be judged before anything is sent."""

    def matches(self, identity: PeerIdentity) -> bool:
        """True: the judgement comes after the handshake, where the anchor is known."""
        del identity
        return True


def holds_realm(identity: PeerIdentity, realm: str) -> bool:
    """Whether the realm is among the certificate's NAIRealm names (RFC 7585 §2.2)."""
    return any(_matches_name(pattern, realm) for pattern in identity.nai_realms)


def read_identity(chain: Collection[x509.Certificate]) -> PeerIdentity:
    """The identity in a verified chain, the peer's certificate first.

    Raises:
        ValueError: its subjectAltName can not be read, or another of its extensions.
    """
    try:
        return _read_identity(tuple(chain))
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:  # which are no ValueErrors
        raise ValueError(str(error)) from error


def _read_identity(chain: tuple[x509.Certificate, ...]) -> PeerIdentity:
    peer = next(iter(chain))  # StopIteration where none was verified
    names: list[str] = []
    addresses: list[str] = []
    realms: list[str] = []
    for name in _alternative_names(peer):
        if isinstance(name, x509.DNSName):
            _add_name(names, name.value.lower().rstrip("."))
        elif isinstance(name, x509.IPAddress):
            addresses.append(str(name.value))
        elif isinstance(name, x509.OtherName) and name.type_id == _NAI_REALM:
            _add_name(realms, _read_utf8(name.value).lower())
    return PeerIdentity(
        tuple(names),
        tuple(addresses),
        tuple(realms),
        tuple(serial_of(each) for each in chain if each.issuer != each.subject or each is peer),
        min(each.not_valid_after_utc.astimezone(UTC).timestamp() for each in chain),
        peer.fingerprint(hashes.SHA256()).hex(),
        chain[-1].fingerprint(hashes.SHA256()).hex(),
        _read_policies(chain),
    )


def serial_of(certificate: x509.Certificate) -> tuple[bytes, str]:
    """What a revocation list calls a certificate: its issuer, and its serial number in hexadecimal."""
    return certificate.issuer.public_bytes(), f"{certificate.serial_number:x}"


def _add_name(names: list[str], name: str) -> None:
    """Keep it, unless it is the text of an address: that is said by an iPAddress alone (RFC 9525 §4.1, §6.4)."""
    if not _is_address(name):
        names.append(name)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _read_policies(chain: tuple[x509.Certificate, ...]) -> frozenset[str]:
    """The policies of the peer's certificate that every authority below the anchor asserts, too, or leaves open."""
    found = _policies_of(chain[0])
    for authority in chain[1:-1]:
        asserted = _policies_of(authority)
        if _ANY_POLICY not in asserted:
            found &= asserted
    return found - {_ANY_POLICY}


def _policies_of(certificate: x509.Certificate) -> frozenset[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.CertificatePolicies)
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(each.policy_identifier.dotted_string for each in extension.value)


def _alternative_names(certificate: x509.Certificate) -> Collection[x509.GeneralName]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(extension.value)


def _read_utf8(der: bytes) -> str:
    """The text of a DER UTF8String."""
    if len(der) < 2 or der[0] != _UTF8_STRING:
        raise ValueError("the NAIRealm is no UTF8String")
    start = 2 if der[1] < _SHORT_LENGTH else 3
    length = der[start - 1] if der[1] in (*range(_SHORT_LENGTH), _SHORT_LENGTH + 1) and len(der) >= start else -1
    if length != len(der) - start:
        raise ValueError("the NAIRealm has a length that can not be")
    return der[start:].decode("utf-8")


def _matches_name(pattern: str, name: str) -> bool:
    if "*" not in pattern:
        return pattern == name
    first, _, rest = pattern.partition(".")
    own, _, parent = name.partition(".")
    if first != "*" or "*" in rest or pattern.count(".") + 1 < _MIN_LABELS:
        return False
    return bool(own) and rest == parent
