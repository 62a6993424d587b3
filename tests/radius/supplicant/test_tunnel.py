"""Whom a device builds a tunnel with: the chain, its dates, its purpose and the name."""

import datetime as dt
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from radius.eap.packet import EapType
from radius.supplicant.failure import DeviceError, FailedStep
from radius.supplicant.tunnel import DeviceTunnel, is_match
from tests.radius.supplicant.rogue import SERVER_NAME, make_context, make_device, play
from tests.support.certificates import ServerCertificate, make_server_certificate


def refuse(shown: ServerCertificate, trusted: ServerCertificate | None = None, name: str = SERVER_NAME) -> DeviceError:
    """Why a device that trusts one does not build a tunnel with who shows the other."""
    device = make_device(trusted or shown, "ttls-pap", server_name=name)
    with pytest.raises(DeviceError) as refused:
        play(make_context(shown), device, EapType.TTLS, [])
    assert device.server is None
    assert device.msk == b""
    return refused.value


class TestChain:
    def test_expired_certificate_is_told_as_such(self, tmp_path: Path) -> None:
        """Whoever probes reads that it is a matter of dates."""
        error = refuse(make_server_certificate(tmp_path, SERVER_NAME, lifetime=dt.timedelta(days=-1)))
        assert error.step is FailedStep.CERTIFICATE
        assert str(error) == "the server's certificate has expired"

    def test_certificate_of_a_client_is_no_server(self, tmp_path: Path) -> None:
        """A certificate that was issued for something else does not make a server (RFC 5280 §4.2.1.12)."""
        error = refuse(make_server_certificate(tmp_path, SERVER_NAME, purpose=ExtendedKeyUsageOID.CLIENT_AUTH))
        assert error.step is FailedStep.CERTIFICATE
        assert "not made for a server" in str(error)

    def test_other_authority_is_not_trusted(self, tmp_path: Path) -> None:
        """Only the anchors that the device was given count, never the system's."""
        (tmp_path / "other").mkdir()
        trusted = make_server_certificate(tmp_path / "other", SERVER_NAME)
        error = refuse(make_server_certificate(tmp_path, SERVER_NAME), trusted)
        assert error.step is FailedStep.CERTIFICATE
        assert "authority" in str(error)

    def test_other_name_is_another_server(self, tmp_path: Path) -> None:
        """The right authority has signed for another (RFC 9525)."""
        error = refuse(make_server_certificate(tmp_path, SERVER_NAME), name="radius.test.example")
        assert error.step is FailedStep.SERVER_NAME

    def test_what_is_no_tls_ends_it(self, tmp_path: Path) -> None:
        """Garbage instead of a server's flight."""
        tunnel = DeviceTunnel(make_server_certificate(tmp_path, SERVER_NAME).ca.read_bytes(), SERVER_NAME)
        with pytest.raises(DeviceError) as refused:
            tunnel.advance(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        assert refused.value.step is FailedStep.TLS

    def test_anchors_that_are_none_are_refused(self) -> None:
        """Nothing is trusted by default."""
        with pytest.raises(DeviceError) as refused:
            DeviceTunnel(b"", SERVER_NAME)
        assert refused.value.step is FailedStep.TRUST


class TestNames:
    @pytest.mark.parametrize(
        ("name", "expected", "matches"),
        [
            ("a.example", "a.example", True),
            ("*.a.example", "radius.a.example", True),
            ("*.a.example", "a.example", False),
            ("*.a.example", "b.radius.a.example", False),
            ("r*.a.example", "radius.a.example", False),
            ("*.example", "a.example", False),
            ("*", "a", False),
            ("*.0.0.1", "127.0.0.1", False),
        ],
    )
    def test_wildcard_stands_for_one_whole_label(self, *, name: str, expected: str, matches: bool) -> None:
        """And for the left-most one only (RFC 9525 §6.3)."""
        assert is_match(name, expected) is matches
