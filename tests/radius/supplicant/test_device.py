"""How a device answers EAP-Requests, outside its tunnel."""

from pathlib import Path

import pytest

from radius.eap.packet import EapCode, EapType, build_eap
from radius.supplicant.device import METHODS, Device
from radius.supplicant.failure import DeviceError, FailedStep
from tests.radius.supplicant.rogue import make_device
from tests.support.certificates import make_server_certificate

START = b"\x20"


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """One that wants EAP-TTLS."""
    return make_device(make_server_certificate(tmp_path, "login.test.example"), "ttls-pap")


def ask(kind: int, data: bytes = b"", identifier: int = 7) -> bytes:
    return build_eap(EapCode.REQUEST, identifier, kind, data)


class TestAnswer:
    def test_identity_is_the_outer_one(self, device: Device) -> None:
        """Who the patron is stays inside the tunnel."""
        expected = build_eap(EapCode.RESPONSE, 7, EapType.IDENTITY, b"anonymous@a.example")
        assert device.answer(ask(EapType.IDENTITY)) == expected

    def test_notification_is_acknowledged(self, device: Device) -> None:
        """RFC 3748 §5.2."""
        assert device.answer(ask(EapType.NOTIFICATION, b"hello")) == b"\x02\x07\x00\x05\x02"

    def test_other_method_gets_a_nak(self, device: Device) -> None:
        """It names the one that the device was set to (RFC 3748 §5.3.1)."""
        assert device.answer(ask(EapType.PEAP, START)) == b"\x02\x07\x00\x06\x03\x15"
        assert not device.has_begun

    def test_method_does_not_change_in_the_middle(self, device: Device) -> None:
        """Nobody talks a device that has begun into another method."""
        device.answer(ask(EapType.TTLS, START))
        with pytest.raises(DeviceError) as refused:
            device.answer(ask(EapType.PEAP, START))
        assert refused.value.step is FailedStep.PROTOCOL

    @pytest.mark.parametrize(
        "request_",
        [b"", b"\x01\x01\x00\x04", b"\x02\x01\x00\x05\x01", b"\x03\x01\x00\x04", b"\x01\x01\x00\x09\x15"],
        ids=["none", "no type", "response", "success", "cut"],
    )
    def test_what_is_no_request_ends_it(self, device: Device, request_: bytes) -> None:
        """RFC 3748 §4.1."""
        with pytest.raises(DeviceError) as refused:
            device.answer(request_)
        assert refused.value.step is FailedStep.PROTOCOL

    @pytest.mark.parametrize("data", [b"", b"\x80\x00", b"\xc0\xff\xff\xff\xff", b"\x40"])
    def test_broken_pieces_end_it(self, device: Device, data: bytes) -> None:
        """No flags, a cut or impossible length, an empty piece of several (RFC 5216 §3.1)."""
        with pytest.raises(DeviceError) as refused:
            device.answer(ask(EapType.TTLS, data))
        assert refused.value.step is FailedStep.PROTOCOL

    def test_server_without_end_is_left(self, device: Device) -> None:
        """What a server can make the device keep is bounded."""
        with pytest.raises(DeviceError):
            for _ in range(1000):
                device.answer(ask(EapType.TTLS, b"\x40" + bytes(1000)))


class TestMethods:
    def test_unknown_one_is_named(self, tmp_path: Path) -> None:
        """With those that there are."""
        certificate = make_server_certificate(tmp_path, "login.test.example")
        with pytest.raises(ValueError, match="ttls-mschapv2, peap-mschapv2, not magic"):
            make_device(certificate, "magic")
        for method in METHODS:
            assert make_device(certificate, method).msk == b""
