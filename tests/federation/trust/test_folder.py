"""Tests of the folder with the certificate that a library was issued."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from federation.trust.authority import build_crl, create_issuing, create_root, issue_operator
from federation.trust.folder import TrustFolder
from federation.trust.profiles import Purpose

NOW = datetime.now(UTC)
ROOT = create_root(Purpose.PEERS, "test", NOW)
ISSUING = create_issuing(ROOT, Purpose.PEERS, "test", NOW)
FIRST, SECOND = (issue_operator(ISSUING, "radius.west.example", "test", NOW) for _ in range(2))
LIST = build_crl(ISSUING, [], 1, NOW).public_bytes(serialization.Encoding.PEM)


def pem_of(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, password: bytes = b"") -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def fill(folder: Path, **files: bytes) -> None:
    """Write the files of the first certificate, or others."""
    folder.mkdir(exist_ok=True)
    chain = FIRST.certificate_pem + ISSUING.certificate_pem
    for name, octets in {"key": FIRST.key_pem, "chain": chain, "anchors": ROOT.certificate_pem, **files}.items():
        (folder / f"{name}.pem").write_bytes(octets)


class TestTrustFolder:
    def test_files_are_read_once(self, tmp_path: Path) -> None:
        """And again when one of them has changed."""
        folder = TrustFolder(tmp_path / "radsec")
        fill(tmp_path / "radsec")
        assert folder.has_changed()
        trust = folder.read()
        assert trust is not None
        assert not folder.has_changed()
        assert folder.read() is trust
        assert trust.private_key_pem == FIRST.key_pem
        assert trust.certificate_chain_pem == FIRST.certificate_pem + ISSUING.certificate_pem
        assert (trust.anchors_pem, trust.revocation_lists_pem) == (ROOT.certificate_pem, b"")
        assert str(FIRST.key_pem) not in repr(trust)

    def test_revocation_lists_may_be_there(self, tmp_path: Path) -> None:
        """One file with as many as there are."""
        fill(tmp_path, crl=LIST + LIST)
        trust = TrustFolder(tmp_path).read()
        assert trust is not None
        assert trust.revocation_lists_pem == LIST + LIST

    def test_renewal_is_taken_over_when_it_is_whole(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """Between the first and the last file the earlier certificate holds, and the log says why, once."""
        fill(tmp_path)
        folder = TrustFolder(tmp_path)
        before = folder.read()
        (tmp_path / "key.pem").write_bytes(SECOND.key_pem)
        assert folder.has_changed()
        assert folder.read() is before
        assert folder.read() is before
        assert [record.message for record in caplog.records] == ["radsec_folder_refused"]
        (tmp_path / "chain.pem").write_bytes(SECOND.certificate_pem)
        after = folder.read()
        assert after is not None
        assert (after.private_key_pem, after.certificate_chain_pem) == (SECOND.key_pem, SECOND.certificate_pem)

    def test_folder_that_is_not_there_is_nothing(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """A home server without it speaks no RADIUS/TLS; that is no fault."""
        folder = TrustFolder(tmp_path / "none")
        assert not folder.has_changed()
        assert folder.read() is None
        assert not caplog.records

    @pytest.mark.parametrize(
        ("files", "why"),
        [
            ({"key": SECOND.key_pem}, "does not belong"),
            ({"key": b"no key"}, "Unable to load PEM"),
            ({"key": pem_of(ec.generate_private_key(ec.SECP256R1()), b"password")}, "encrypted"),
            ({"key": pem_of(ed25519.Ed25519PrivateKey.generate())}, "neither RSA nor ECDSA"),
            ({"chain": b""}, "PEM"),
            ({"anchors": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, "parsing"),
            ({"crl": b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"}, "parsing"),
            ({"anchors": bytes(5 << 20)}, "larger"),
        ],
    )
    def test_what_can_not_be_is_told(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, files: dict[str, bytes], why: str
    ) -> None:
        """Whoever put the files there reads in the log which of them is wrong."""
        fill(tmp_path, **files)
        assert TrustFolder(tmp_path).read() is None
        (record,) = caplog.records
        assert why in vars(record)["error"]

    @pytest.mark.parametrize("name", ["key.pem", "chain.pem", "anchors.pem"])
    def test_missing_file_is_told(self, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
        """All three are needed."""
        fill(tmp_path)
        (tmp_path / name).unlink()
        assert TrustFolder(tmp_path).read() is None
        assert name in vars(caplog.records[0])["error"]
