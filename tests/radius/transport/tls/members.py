"""An authority, its members, and handshakes over memory."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL

from radius.transport.tls.contexts import Credentials

NAI_REALM = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.8")
BOTH_ENDS = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)


def nai_realm(realm: str) -> x509.GeneralName:
    """An otherName of RFC 7585 §2.2."""
    octets = realm.encode()
    return x509.OtherName(NAI_REALM, bytes((0x0C, len(octets))) + octets)


def names_of(*names: str) -> list[x509.GeneralName]:
    """dNSNames, or iPAddresses where it is one."""
    return [
        x509.IPAddress(ip_address(name)) if name.replace(".", "").isdigit() else x509.DNSName(name) for name in names
    ]


class Authority:
    """One root, which signs members itself; or one below it."""

    def __init__(self, name: str = "root", *, issuer: "Authority | None" = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        signer = issuer or self
        self.certificate = (
            signer._builder(self.name, self.key.public_key(), now + timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(signer.key, hashes.SHA256())
        )
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)

    def _builder(
        self, subject: x509.Name, public_key: ec.EllipticCurvePublicKey, end: datetime
    ) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(public_key)
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(end - timedelta(days=3)).not_valid_after(end)

    def issue(
        self,
        names: Sequence[x509.GeneralName],
        *,
        common_name: str = "member",
        usages: Sequence[x509.ObjectIdentifier] = BOTH_ENDS,
        ends_in: timedelta = timedelta(days=1),
    ) -> tuple[x509.Certificate, bytes]:
        """A member's certificate, and its key as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = self._builder(subject, key.public_key(), datetime.now(UTC) + ends_in)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return builder.sign(self.key, hashes.SHA256()), pem

    def credentials(
        self,
        member: tuple[x509.Certificate, bytes],
        anchors: Sequence["Authority"] = (),
        revoked: frozenset[str] = frozenset(),
        revocation_lists_pem: bytes = b"",
    ) -> Credentials:
        """What the member shows; it believes this authority, or `anchors` instead."""
        certificate, key = member
        pem = b"".join(each.pem for each in anchors or (self,))
        return Credentials(
            certificate.public_bytes(serialization.Encoding.PEM), key, pem, revoked, revocation_lists_pem
        )

    def revoke(self, serial: int) -> bytes:
        """A revocation list as PEM."""
        now = datetime.now(UTC)
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(now)
        builder = builder.next_update(now + timedelta(days=1)).add_revoked_certificate(entry)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def shake_hands(client: SSL.Connection, server: SSL.Connection) -> bool:
    """Carry octets between the two until both are done; whether neither refused the other."""
    is_refused = False
    for _ in range(6):
        for one, other in ((client, server), (server, client)):
            try:
                one.do_handshake()
            except SSL.WantReadError:
                pass
            except SSL.Error:
                is_refused = True
            with suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(65_536))
    try:
        client.recv(1)
    except SSL.WantReadError:
        pass
    except SSL.Error:  # in TLS 1.3 the refusal comes after the client's end is done
        is_refused = True
    return not is_refused


def split_records(octets: bytes) -> list[bytes]:
    """Each with its header (RFC 8446 §5.1)."""
    found: list[bytes] = []
    while octets:
        end = 5 + int.from_bytes(octets[3:5])
        found.append(octets[:end])
        octets = octets[end:]
    return found
