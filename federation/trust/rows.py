"""Authorities and certificates between their rows and the objects that sign."""

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from federation.errors import TrustError
from federation.store.tables.trust import AuthorityRow
from federation.trust.authority import KeyedCertificate
from federation.trust.keystore import Sealer


def format_serial(serial: int) -> str:
    """*serial* as it is shown and stored: lower-case hexadecimal."""
    return f"{serial:x}"


def open_authority(row: AuthorityRow, sealer: Sealer) -> KeyedCertificate:
    """The authority of *row*, able to sign.

    Raises:
        TrustError: its key is not kept here, does not open with this node key, or is no key of an authority.
    """
    if row.sealed_key is None:
        raise TrustError(f"the key of the {row.purpose} {row.level} authority is not kept here")
    pem = sealer.open(row.sealed_key, row.key_context)
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TrustError(f"the {row.purpose} {row.level} authority has a key of another kind")
    return KeyedCertificate(x509.load_pem_x509_certificate(row.certificate_pem.encode()), key)
