"""Another authority, as a test needs it: its own names, keys and lists."""

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.federation.members import START


class OtherAuthority:
    """A root or an authority below one."""

    def __init__(
        self,
        name: str,
        issuer: "OtherAuthority | None" = None,
        *,
        is_authority: bool = True,
        days: int = 3650,
        curve: ec.EllipticCurve | None = None,
    ) -> None:
        self.key = ec.generate_private_key(curve or ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = issuer or self
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(signer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(START - timedelta(days=1))
            .not_valid_after(START + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        self.certificate = builder.sign(signer.key, hashes.SHA256())

    def build_list(
        self,
        number: int | None = 1,
        *revoked: int,
        at: datetime = START,
        days: float = 7,
        extension: x509.ExtensionType | None = None,
    ) -> x509.CertificateRevocationList:
        """A list of this authority, which names these serial numbers."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.name)
            .last_update(at)
            .next_update(at + timedelta(days=days))
        )
        if number is not None:
            builder = builder.add_extension(x509.CRLNumber(number), critical=False)
        if extension is not None:
            builder = builder.add_extension(extension, critical=True)
        for serial in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self.key, hashes.SHA256())
