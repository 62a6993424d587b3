"""Whole conversations between the machine and our own device, and what a broken or hostile device gets."""

import random
from dataclasses import dataclass

import pytest

from radius.eap.context import EapServerContext
from radius.eap.machine import MAX_ROUNDS, EapSession
from radius.eap.outcomes import (
    Accept,
    Challenge,
    EapReason,
    Ignore,
    NtHashLookup,
    Outcome,
    PasswordCheck,
    Reject,
)
from radius.eap.packet import EapCode, EapType, build_eap
from radius.errors import LocalProtocolError
from radius.supplicant.device import Device
from tests.support.certificates import ServerCertificate, make_server_certificate

SERVER_NAME = "login.test.example"
IDENTITY = build_eap(EapCode.RESPONSE, 0, EapType.IDENTITY, b"anonymous@a.example")
ALL = ("ttls-pap", "ttls-mschapv2", "peap-mschapv2")


@dataclass(frozen=True)
class Server:
    """A certificate, and contexts that use it."""

    certificate: ServerCertificate

    def session(self, methods: tuple[str, ...] = ("ttls-pap",), fragment_octets: int = 1024) -> EapSession:
        context = EapServerContext(
            self.certificate.certificate.read_bytes(),
            self.certificate.key.read_bytes(),
            fragment_octets=fragment_octets,
        )
        return EapSession(context, methods)

    def device(self, password: str = "pass-word", user: str = "anna@a.example") -> Device:
        return Device(
            outer_identity="anonymous@a.example",
            user=user,
            password=password,
            ca_pem=self.certificate.ca.read_bytes(),
            server_name=SERVER_NAME,
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """One certificate for all tests of the module."""
    return Server(make_server_certificate(tmp_path_factory.mktemp("eap"), SERVER_NAME))


def converse(session: EapSession, device: Device) -> tuple[Outcome, list[bytes]]:
    """Both sides until the server asks for a check or ends; what the device sent."""
    sent = [IDENTITY]
    outcome = session.receive(IDENTITY)
    while isinstance(outcome, Challenge):
        sent.append(device.answer(outcome.eap))
        outcome = session.receive(sent[-1])
    return outcome, sent


class TestTtlsPap:
    @pytest.mark.parametrize("fragment_octets", [100, 250, 1024])
    def test_right_password_ends_with_the_devices_keys(self, server: Server, fragment_octets: int) -> None:
        """Both sides export the same 64 octets, whatever the size of the pieces."""
        device = server.device()
        session = server.session(fragment_octets=fragment_octets)
        check, _ = converse(session, device)
        assert check == PasswordCheck("anna@a.example", b"pass-word")
        accepted = session.answer_password(True)
        assert isinstance(accepted, Accept)
        assert accepted.msk == device.msk
        assert (accepted.user, accepted.eap[0]) == ("anna@a.example", EapCode.SUCCESS)

    def test_wrong_password_ends_with_failure(self, server: Server) -> None:
        """EAP-Failure with the identifier of the response that it answers (RFC 3748 §4.2)."""
        session = server.session()
        _, sent = converse(session, server.device("wrong"))
        rejected = session.answer_password(False)
        assert rejected == Reject(bytes((4, sent[-1][1], 0, 4)), EapReason.WRONG_CREDENTIALS)
        assert session.receive(sent[-1]) == Ignore()

    def test_password_is_in_no_outcomes_text(self, server: Server) -> None:
        """What is asked about can be logged by accident and shows nothing."""
        check, _ = converse(server.session(), server.device())
        assert "pass-word" not in repr(check)


class TestChoice:
    def test_device_chooses_among_what_is_offered(self, server: Server) -> None:
        """A Nak that wants PEAP gets it, where it is offered (RFC 3748 §5.3.1)."""
        session = server.session(ALL)
        first = session.receive(IDENTITY)
        assert isinstance(first, Challenge)
        assert first.eap[4] == EapType.TTLS
        nak = build_eap(EapCode.RESPONSE, first.eap[1], EapType.NAK, bytes((EapType.TLS, EapType.PEAP)))
        second = session.receive(nak)
        assert isinstance(second, Challenge)
        assert second.eap[4:6] == bytes((EapType.PEAP, 0x20))

    def test_device_that_wants_nothing_offered_is_refused(self, server: Server) -> None:
        """No method in common is an answer, not a silence."""
        session = server.session()
        first = session.receive(IDENTITY)
        assert isinstance(first, Challenge)
        nak = build_eap(EapCode.RESPONSE, first.eap[1], EapType.NAK, bytes((EapType.PEAP,)))
        rejected = session.receive(nak)
        assert isinstance(rejected, Reject)
        assert rejected.reason is EapReason.METHOD_NOT_OFFERED

    def test_unknown_method_is_a_fault_of_ours(self, server: Server) -> None:
        """What the registry offers has to exist."""
        for methods in ((), ("magic",)):
            with pytest.raises(ValueError, match="methods"):
                server.session(methods)


class TestLockStep:
    def test_repeat_gets_the_same_question(self, server: Server) -> None:
        """A device that did not hear us sends again, and is asked again, octet for octet."""
        session, device = server.session(), server.device()
        first = session.receive(IDENTITY)
        assert isinstance(first, Challenge)
        answer = device.answer(first.eap)
        second = session.receive(answer)
        assert session.receive(answer) == second

    @pytest.mark.parametrize(
        "octets", [b"", b"\x02", b"\x02\x01\x00\x05", bytes((1, 1, 0, 5, 1)), bytes((2, 9, 0, 6, 21, 0))]
    )
    def test_wrong_identifier_or_no_response_is_ignored(self, server: Server, octets: bytes) -> None:
        """It is as if it had not come; the conversation goes on."""
        session, device = server.session(), server.device()
        first = session.receive(IDENTITY)
        assert isinstance(first, Challenge)
        assert session.receive(octets) == Ignore()
        assert isinstance(session.receive(device.answer(first.eap)), Challenge)

    def test_conversation_without_end_is_ended(self, server: Server) -> None:
        """A device that only acknowledges is refused after a bounded number of rounds."""
        session = server.session()
        outcome = session.receive(IDENTITY)
        for _ in range(MAX_ROUNDS + 1):
            if not isinstance(outcome, Challenge):
                break
            outcome = session.receive(build_eap(EapCode.RESPONSE, outcome.eap[1], EapType.TTLS, b"\x00"))
        assert isinstance(outcome, Reject)

    def test_answer_that_nobody_asked_for_is_a_fault_of_ours(self, server: Server) -> None:
        """The caller keeps the order."""
        with pytest.raises(LocalProtocolError):
            server.session().answer_password(True)


class TestHostileDevice:
    def test_mutated_conversations_never_raise(self, server: Server) -> None:
        """Octets changed, cut, doubled or made up, at any point: each outcome is one of the known ones."""
        dice = random.Random(2869)
        _, script = converse(server.session(), server.device())
        for _ in range(300):
            session, device = server.session(ALL, dice.choice((100, 1024))), server.device()
            outcome = session.receive(IDENTITY)
            for _ in range(12):
                if isinstance(outcome, PasswordCheck | NtHashLookup):
                    outcome = (
                        session.answer_password(False)
                        if isinstance(outcome, PasswordCheck)
                        else (session.answer_nt_hash(None))
                    )
                if not isinstance(outcome, Challenge):
                    break
                try:
                    honest = device.answer(outcome.eap)
                except Exception:  # noqa: BLE001 - the device gave up on a conversation that we broke
                    honest = dice.choice(script)
                outcome = session.receive(mutate(honest, outcome.eap[1], dice))
            assert isinstance(outcome, Challenge | Reject | Ignore | Accept)
            assert not isinstance(outcome, Accept)
            assert session.error is None, repr(session.error)

    def test_inner_garbage_is_refused(self, server: Server) -> None:
        """A name that is no text ends in a Reject."""
        outcome, _ = converse(server.session(), server.device(user="\udcff\udcfe@a.example"))
        assert isinstance(outcome, Reject)


def mutate(eap: bytes, identifier: int, dice: random.Random) -> bytes:
    """The packet, or something like it, with a length that fits more often than not."""
    octets = bytearray(eap)
    match dice.randrange(6):
        case 0:
            return eap
        case 1:
            octets[dice.randrange(4, len(octets))] ^= 1 << dice.randrange(8)
        case 2:
            del octets[dice.randrange(5, len(octets) + 1) :]
        case 3:
            octets += dice.randbytes(dice.randrange(1, 40))
        case 4:
            octets[5:] = dice.randbytes(dice.randrange(60))
        case _:
            octets[4] = dice.choice((1, 2, 3, 13, 21, 25, 26, 33, 254))
    octets[1] = identifier
    octets[2:4] = len(octets).to_bytes(2)
    return bytes(octets)
