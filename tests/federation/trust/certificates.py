"""What the tests of certificates share: openssl as the second opinion, and requests as a member makes them."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import NameOID

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
P256 = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")


def run_openssl(*arguments: str | Path, octets: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """The outcome of the openssl command; it is an error of the test only when the test says so."""
    return subprocess.run(["openssl", *map(str, arguments)], input=octets, capture_output=True, check=False)


def openssl_request(folder: Path, alternative_names: str | None, *extra: str, key: tuple[str, ...] = P256) -> bytes:
    """A request as an administrator makes it with openssl; the key stays in *folder*."""
    arguments: list[str | Path] = ["req", "-new", *key, "-nodes", "-keyout", folder / "key.pem", "-subj", "/CN=ignored"]
    if alternative_names is not None:
        arguments += ["-addext", f"subjectAltName={alternative_names}"]
    finished = run_openssl(*arguments, *extra)
    assert finished.returncode == 0, finished.stderr.decode()
    return finished.stdout


def build_request(
    *names: x509.GeneralName,
    key: CertificateIssuerPrivateKeyTypes | None = None,
    algorithm: hashes.HashAlgorithm | None = None,
    extensions: tuple[x509.ExtensionType, ...] = (),
) -> x509.CertificateSigningRequest:
    """A request that openssl's command line would not make."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ignored")])
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(
        key or ec.generate_private_key(ec.SECP256R1()),
        algorithm or hashes.SHA256(),  # type: ignore[arg-type] # tests ask for hashes that are refused
    )


def pem(thing: x509.Certificate | x509.CertificateSigningRequest | x509.CertificateRevocationList) -> bytes:
    """*thing* as PEM."""
    return thing.public_bytes(serialization.Encoding.PEM)


def pem_of_key(certificate: x509.Certificate) -> bytes:
    """The public key of *certificate* as PEM: two are the same key when these are the same octets."""
    return certificate.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def verify_chain(
    folder: Path, root: bytes, chain: bytes, *arguments: str, at: datetime = NOW
) -> subprocess.CompletedProcess[bytes]:
    """What `openssl verify` says of *chain* (end entity first) under the one anchor *root*."""
    (folder / "root.pem").write_bytes(root)
    (folder / "chain.pem").write_bytes(chain)
    return run_openssl(
        "verify",
        "-x509_strict",
        "-no-CApath",
        "-no-CAstore",
        "-attime",
        str(int(at.timestamp())),
        "-CAfile",
        folder / "root.pem",
        "-untrusted",
        folder / "chain.pem",
        *arguments,
        folder / "chain.pem",
    )
