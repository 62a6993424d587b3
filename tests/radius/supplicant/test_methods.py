"""What a device says inside its tunnel, and which server it does not believe."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radius.eap.avps import MS_CHAP2_SUCCESS, USER_NAME, USER_PASSWORD, build_avp, parse_avps
from radius.eap.binding import RESULT_FAILURE, RESULT_SUCCESS, BoundKeys
from radius.eap.context import EapServerContext
from radius.eap.machine import EapSession
from radius.eap.methods.peap import Peap
from radius.eap.mschapv2 import hash_password
from radius.eap.outcomes import Challenge, NtHashLookup
from radius.eap.packet import EapCode, EapType, build_eap
from radius.supplicant.device import Device
from radius.supplicant.failure import DeviceError, FailedStep
from tests.radius.supplicant.rogue import PASSWORD, USER, make_context, make_device, play
from tests.support.certificates import ServerCertificate, make_server_certificate


def result_of(tlvs: bytes) -> bytes:
    return build_eap(EapCode.REQUEST, 9, EapType.TLV, tlvs)


IDENTITY = build_eap(EapCode.RESPONSE, 0, EapType.IDENTITY, b"anonymous@a.example")
ASK_IDENTITY = b"\x01"
ASK_PASSWORD = b"\x1a\x01\x07\x00\x1b\x10" + bytes(16) + b"server"
WRONG_PROOF = b"\x1a\x03\x07\x00\x2e" + b"S=" + b"0" * 40


def spoil(line: bytes, at: int, octets: bytes, end: int) -> bytes:
    return (line[:at] + octets + line[at + len(octets) :])[:end]


# Lines of a server that means it, with octets changed or left out, and any octets.
LINES = st.one_of(
    st.binary(min_size=1, max_size=80),
    st.builds(
        spoil,
        st.sampled_from([ASK_IDENTITY, ASK_PASSWORD, WRONG_PROOF, *map(result_of, (RESULT_SUCCESS, RESULT_FAILURE))]),
        st.integers(0, 60),
        st.binary(max_size=3),
        st.integers(1, 80),
    ),
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ServerCertificate:
    """One for all tests of the module."""
    return make_server_certificate(tmp_path_factory.mktemp("methods"), "login.test.example")


@pytest.fixture(scope="module")
def context(certificate: ServerCertificate) -> EapServerContext:
    """The server's half of TLS."""
    return make_context(certificate)


class TestAnyServer:
    @pytest.mark.parametrize(
        ("method", "kind"),
        [("ttls-mschapv2", EapType.TTLS), ("peap-mschapv2", EapType.PEAP), ("ttls-pap", EapType.TTLS)],
    )
    @settings(max_examples=60, deadline=None)
    @given(st.lists(LINES, max_size=5))
    def test_nothing_that_is_said_breaks_the_device(
        self, certificate: ServerCertificate, context: EapServerContext, method: str, kind: EapType, script: list[bytes]
    ) -> None:
        """It answers or leaves; and without a proof of the password it has no keys."""
        device = make_device(certificate, method)
        with suppress(DeviceError):
            play(context, device, kind, script)
        assert device.msk == b"" or method == "ttls-pap"


class TestTtls:
    def test_password_is_padded(self, certificate: ServerCertificate, context: EapServerContext) -> None:
        """Its length does not show in the length of the record (RFC 5281 §11.2.5)."""
        (said,) = play(context, make_device(certificate, "ttls-pap"), EapType.TTLS, [])
        avps = parse_avps(said)
        assert avps == {USER_NAME: USER.encode(), USER_PASSWORD: PASSWORD.encode().ljust(16, b"\0")}

    @pytest.mark.parametrize(
        ("proof", "step"),
        [
            (build_avp(MS_CHAP2_SUCCESS, b"\x00S=" + b"0" * 40), None),
            (build_avp(MS_CHAP2_SUCCESS, b""), FailedStep.CREDENTIALS),
            (build_avp((311, 2), b"\x00E=691 R=0"), FailedStep.CREDENTIALS),
            (b"\xff" * 20, FailedStep.CREDENTIALS),
        ],
        ids=["wrong", "empty", "an error", "no pairs"],
    )
    def test_server_that_does_not_know_the_password_is_left(
        self, certificate: ServerCertificate, context: EapServerContext, proof: bytes, step: FailedStep | None
    ) -> None:
        """Without a proof there are no keys, so that a success would be no login (RFC 2759 §8.8)."""
        device = make_device(certificate, "ttls-mschapv2")
        with pytest.raises(DeviceError) as left:
            play(context, device, EapType.TTLS, [proof])
        # The identifier of a wrong proof is wrong too, 255 times out of 256.
        assert left.value.step in ((step,) if step else (FailedStep.CREDENTIALS, FailedStep.SERVER_PROOF))
        assert device.msk == b""


class TestPeap:
    @pytest.mark.parametrize(
        ("script", "step"),
        [
            ([ASK_IDENTITY, ASK_PASSWORD, WRONG_PROOF], FailedStep.SERVER_PROOF),
            ([ASK_IDENTITY, result_of(RESULT_SUCCESS)], FailedStep.SERVER_PROOF),
            ([ASK_IDENTITY, ASK_PASSWORD, result_of(RESULT_SUCCESS)], FailedStep.SERVER_PROOF),
            ([ASK_IDENTITY, WRONG_PROOF], FailedStep.PROTOCOL),
            ([ASK_IDENTITY, ASK_PASSWORD[:20]], FailedStep.PROTOCOL),
            ([ASK_IDENTITY, b"\x1a\x07\x07\x00\x04"], FailedStep.PROTOCOL),
            ([ASK_IDENTITY, result_of(b"")], FailedStep.PROTOCOL),
            ([ASK_IDENTITY, result_of(RESULT_SUCCESS[:-1])], FailedStep.PROTOCOL),
        ],
        ids=[
            "wrong proof",
            "success at once",
            "success without a proof",
            "proof of nothing",
            "half a question",
            "no op code",
            "no result",
            "half a result",
        ],
    )
    def test_server_that_has_not_proved_itself_is_left(
        self, certificate: ServerCertificate, context: EapServerContext, script: Sequence[bytes], step: FailedStep
    ) -> None:
        """Whatever it claims, the device does not take it, and has no keys."""
        device = make_device(certificate, "peap-mschapv2")
        with pytest.raises(DeviceError) as left:
            play(context, device, EapType.PEAP, script)
        assert left.value.step is step
        assert device.msk == b""

    @pytest.mark.parametrize(
        ("said", "answer"),
        [
            (ASK_IDENTITY, b"\x01" + USER.encode()),
            (build_eap(EapCode.REQUEST, 1, EapType.IDENTITY, b""), b"\x01" + USER.encode()),
            (b"\x02hello", b"\x02"),
            (b"\x04\x10" + bytes(16), b"\x03\x1a"),
            (b"\x1a\x04\x07\x00\x04", b"\x1a\x04"),
            (result_of(RESULT_FAILURE), build_eap(EapCode.RESPONSE, 9, EapType.TLV, RESULT_FAILURE)),
        ],
        ids=["identity", "identity with a header", "notification", "MD5", "refusal", "result"],
    )
    def test_what_is_asked_is_answered(
        self, certificate: ServerCertificate, context: EapServerContext, said: bytes, answer: bytes
    ) -> None:
        """Inner packets go without their header, but the result; another method gets a Nak."""
        assert play(context, make_device(certificate, "peap-mschapv2"), EapType.PEAP, [said]) == [answer]

    def test_success_after_a_refusal_is_none(self, certificate: ServerCertificate, context: EapServerContext) -> None:
        """A server that contradicts itself gets its failure back."""
        script = [ASK_IDENTITY, ASK_PASSWORD, b"\x1a\x04\x07\x00\x04", result_of(RESULT_SUCCESS)]
        device = make_device(certificate, "peap-mschapv2")
        assert play(context, device, EapType.PEAP, script)[-1].endswith(RESULT_FAILURE)
        assert device.msk == b""

    def test_tunnel_of_somebody_else_is_left(
        self, certificate: ServerCertificate, context: EapServerContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A proof of the password that was carried here from elsewhere does not fit this tunnel (MS-PEAP §3.1.5.5)."""

        def bind_elsewhere(_: Peap) -> bytes:
            return BoundKeys.derive(bytes(60), bytes(32)).build(bytes(32))

        monkeypatch.setattr(Peap, "_bind", bind_elsewhere)
        device = make_device(certificate, "peap-mschapv2")
        with pytest.raises(DeviceError) as left:
            converse(EapSession(context, ["peap-mschapv2"]), device)
        assert left.value.step is FailedStep.SERVER_PROOF
        assert device.msk == b""


def converse(session: EapSession, device: Device) -> None:
    """Both sides to the end; the server knows the password."""
    outcome = session.receive(IDENTITY)
    while isinstance(outcome, Challenge | NtHashLookup):
        if isinstance(outcome, Challenge):
            outcome = session.receive(device.answer(outcome.eap))
        else:
            outcome = session.answer_nt_hash(hash_password(PASSWORD))
    raise AssertionError(outcome)


def test_nothing_of_the_patron_is_shown(tmp_path: Path) -> None:
    """A device that reaches a log by accident shows no password."""
    assert PASSWORD not in repr(make_device(make_server_certificate(tmp_path, "login.test.example"), "ttls-pap"))
