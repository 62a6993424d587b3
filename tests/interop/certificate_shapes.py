"""Certificates of odd shapes, as files, for programs that are not ours."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLIENT_AUTH, SERVER_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
DAY = timedelta(days=1)
PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Shape:
    """What is to be odd about a certificate; the rest is as it should be."""

    names: Sequence[x509.GeneralName]
    common_name: str = "member"
    begins_in: timedelta = -DAY
    ends_in: timedelta = DAY
    usages: Sequence[x509.ObjectIdentifier] | None = (CLIENT_AUTH, SERVER_AUTH)
    policies: Sequence[x509.ObjectIdentifier] = ()
    padding_octets: int = 0
    rsa_bits: int | None = None


@dataclass(frozen=True)
class Issued:
    """A certificate with its key, and the authorities above it without the root, as they are shown."""

    certificate: x509.Certificate
    key_pem: bytes
    above_pem: bytes = b""

    @property
    def chain_pem(self) -> bytes:
        """The certificate, then the authorities."""
        return self.certificate.public_bytes(PEM) + self.above_pem

    @property
    def serial(self) -> str:
        """As the registry writes it."""
        return f"{self.certificate.serial_number:x}"

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Files with the chain and the key."""
        folder.mkdir(exist_ok=True)
        chain, key = folder / "chain.pem", folder / "key.pem"
        chain.write_bytes(self.chain_pem)
        key.write_bytes(self.key_pem)
        return chain, key


class Issuer:
    """An authority, a root or below another one, that signs whatever it is asked for."""

    def __init__(self, name: str = "root", above: "Issuer | None" = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.above = above
        signer = above or self
        self.certificate = (
            _builder(self.name, signer.name, self.key.public_key(), -DAY, DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(signer.key, hashes.SHA256())
        )
        self.pem = self.certificate.public_bytes(PEM)

    @property
    def root(self) -> "Issuer":
        """The top of its chain."""
        return self.above.root if self.above else self

    def issue(self, shape: Shape, *, signs_itself: bool = False) -> Issued:
        """A certificate of that shape; one that signs itself has this authority's name and not its signature."""
        key = (
            rsa.generate_private_key(65_537, shape.rsa_bits)
            if shape.rsa_bits
            else ec.generate_private_key(ec.SECP256R1())
        )
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, shape.common_name)])
        issuer = subject if signs_itself else self.name
        builder = _builder(subject, issuer, key.public_key(), shape.begins_in, shape.ends_in)
        if shape.names:
            builder = builder.add_extension(x509.SubjectAlternativeName(shape.names), critical=False)
        if shape.usages is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(shape.usages), critical=False)
        if shape.policies:
            policies = [x509.PolicyInformation(policy, None) for policy in shape.policies]
            builder = builder.add_extension(x509.CertificatePolicies(policies), critical=False)
        if shape.padding_octets:
            unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.25.1"), bytes(shape.padding_octets))
            builder = builder.add_extension(unknown, critical=False)
        certificate = builder.sign(key if signs_itself else self.key, hashes.SHA256())
        key_pem = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return Issued(certificate, key_pem, self._shown())

    def below(self, depth: int) -> "Issuer":
        """An authority with so many between itself and this one, itself counted."""
        issuer = self
        for number in range(depth):
            issuer = Issuer(f"authority {number}", issuer)
        return issuer

    def _shown(self) -> bytes:
        return b"" if self.above is None else self.pem + self.above._shown()


def build_context(side: int, issued: Issued, anchors_pem: bytes, folder: Path) -> ssl.SSLContext:
    """Python's TLS over the system's OpenSSL, with that certificate; it believes the anchors and checks no name."""
    context = ssl.SSLContext(side)
    context.set_ciphers("DEFAULT@SECLEVEL=0")  # it shows what we are to refuse
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=anchors_pem.decode())
    context.load_cert_chain(*issued.save(folder))
    return context


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    begins_in: timedelta,
    ends_in: timedelta,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now + begins_in).not_valid_after(now + ends_in)
