"""A peer's certificate, whole or by the names in it: an identity whose names mean what they say, or a ValueError."""

import functools
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID, NameOID

from radius.transport.tls.identity import PeerIdentity, ServerName, read_identity

_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
_HOSTS: Final = ("radius1.lib.example", "lib.example", "192.0.2.1", "2001:db8::1", "a.b.c.d.lib.example")
_REALMS: Final = ("lib.example", "x.lib.example")


def exercise(octets: bytes) -> None:
    """An even first octet: the rest is a certificate; an odd one: it is the subjectAltName of one."""
    try:
        certificate = build(octets[1:]) if octets[:1] and octets[0] % 2 else x509.load_der_x509_certificate(octets[1:])
    except ValueError:
        return
    try:
        identity = read_identity((certificate,))
    except ValueError:
        return
    _check(identity)


def _check(identity: PeerIdentity) -> None:
    assert isinstance(identity.label, str)
    for host in _HOSTS:
        for realms in (frozenset[str](), frozenset(_REALMS)):
            matched = ServerName(host, realms).matches(identity)
            assert not matched or _may_match(identity, host, realms)
    for name in (*identity.names, *identity.nai_realms):
        assert name == name.lower()


def _may_match(identity: PeerIdentity, host: str, realms: frozenset[str]) -> bool:
    """By the letter, or by a wildcard in the place of the first label, with two labels or more behind it."""
    wanted = {host, *realms}
    wanted |= {f"*.{parent}" for each in (host, *realms) if "." in (parent := each.partition(".")[2])}
    return bool(wanted & {*identity.names, *identity.nai_realms, *identity.addresses})


@functools.cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def build(alternative_name: bytes) -> x509.Certificate:
    """A certificate with that subjectAltName, in whatever octets."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "radius1.lib.example")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(_key().public_key())
        .serial_number(7)
        .not_valid_before(_START)
        .not_valid_after(_START + timedelta(days=90))
        .add_extension(
            x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, alternative_name), critical=False
        )
        .sign(_key(), hashes.SHA256())
    )
