"""The certificate that a library was issued, as files: what a home server shows that stands alone in its network.

Four files, as enrolment gives them and the configuration for other programs names them. They are replaced one after the
other when the certificate is renewed, by whatever renews it; while they do not belong together, the earlier ones hold.
"""

import logging
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from federation.snapshot import PeerTrust

KEY: Final = "key.pem"
CHAIN: Final = "chain.pem"  # the certificate first, without the root
ANCHORS: Final = "anchors.pem"
REVOCATIONS: Final = "crl.pem"  # optional: the federation's revocation lists
_FILES: Final = (KEY, CHAIN, ANCHORS, REVOCATIONS)
_MAX_OCTETS: Final = 4 << 20  # a revocation list of a large federation has some 100 KiB

_BEGIN_LIST: Final = b"-----BEGIN X509 CRL-----"

_Stamp = tuple[tuple[int, int, int] | None, ...]  # inode, size and time of each file

_log = logging.getLogger(__name__)


class TrustFolder:
    """A folder with these files, read again when one of them has changed."""

    def __init__(self, path: Path) -> None:
        """It need not exist."""
        self._path = path
        self._read: _Stamp = (None,) * len(_FILES)
        self._trust: PeerTrust | None = None

    def has_changed(self) -> bool:
        """Whether `read` would look into the files."""
        return self._look() != self._read

    def read(self) -> PeerTrust | None:
        """What the files say, or said when they were last in order; None when they never were.

        A folder that can not be used is told in the log, once for each of its states.
        """
        stamp = self._look()
        if stamp != self._read:
            self._read = stamp
            try:
                self._trust = self._load()
            except (OSError, ValueError, UnsupportedAlgorithm) as error:
                _log.warning("radsec_folder_refused", extra={"folder": str(self._path), "error": str(error)})
        return self._trust

    def _look(self) -> _Stamp:
        return tuple(_stamp_of(self._path / name) for name in _FILES)

    def _load(self) -> PeerTrust:
        """Raises OSError and ValueError: a file is missing, can not be read, or does not fit the others."""
        key_pem, chain_pem, anchors_pem = (_read_file(self._path / name) for name in (KEY, CHAIN, ANCHORS))
        lists = self._path / REVOCATIONS
        revocation_lists_pem = _read_file(lists) if lists.exists() else b""
        chain = x509.load_pem_x509_certificates(chain_pem)
        x509.load_pem_x509_certificates(anchors_pem)
        for part in revocation_lists_pem.split(_BEGIN_LIST)[1:]:
            x509.load_pem_x509_crl(_BEGIN_LIST + part)
        try:
            key = serialization.load_pem_private_key(key_pem, None)
        except TypeError:  # it wants a password
            raise ValueError(f"{KEY} is encrypted") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ValueError(f"{KEY} is neither RSA nor ECDSA")  # noqa: TRY004 - a value
        if key.public_key() != chain[0].public_key():
            raise ValueError(f"{KEY} does not belong to the certificate in {CHAIN}")
        return PeerTrust(chain_pem, key_pem, anchors_pem, revocation_lists_pem=revocation_lists_pem)


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _read_file(path: Path) -> bytes:
    if path.stat().st_size > _MAX_OCTETS:
        raise ValueError(f"{path.name} is larger than {_MAX_OCTETS} octets")
    return path.read_bytes()
