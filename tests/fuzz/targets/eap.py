"""A device in conversation with the EAP server: honest, broken or hostile, outside the tunnel and inside it.

The tunnel is a real one. A script says what the device does at each step; what an honest device would do is a step
too, so that the search reaches the inside of the tunnel without breaking TLS.
"""

import functools
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from OpenSSL import SSL

from radius.eap.context import EapServerContext
from radius.eap.machine import MAX_ROUNDS, EapSession
from radius.eap.outcomes import Accept, Challenge, Ignore, NtHashLookup, Outcome, PasswordCheck, Reject
from radius.eap.packet import EapCode, EapPacket, EapType, build_eap, parse_eap
from tests.fuzz.script import Script
from tests.radius.eap.device import ACKNOWLEDGEMENT, IDENTITY, NT_HASH, PASSWORD, USER, Device
from tests.support.certificates import make_server_certificate

METHODS: Final = (
    ("ttls-pap",),
    ("ttls-pap", "ttls-mschapv2", "peap-mschapv2"),
    ("peap-mschapv2",),
    ("ttls-mschapv2",),
)
MAX_STEPS: Final = 80
HONEST, OUTER, PIECE, INNER, TWISTED, NAK, REPEAT, CUT = range(8)


def exercise(octets: bytes) -> None:
    """The first octet chooses methods, TLS, fragments and PAP; each step is an octet, some with a field behind it."""
    script = Script(octets)
    choice = script.take_octet()
    session = EapSession(_context(1024 if choice & 4 else 100), METHODS[choice & 3])
    actor = _Actor(is_tls13=not choice & 8, says_pap=bool(choice & 16))
    conversation = _Conversation(session)
    conversation.send(IDENTITY)
    for _ in range(MAX_STEPS):
        if script.is_at_end:
            break
        conversation.send(actor.act(script, conversation.last_request))
    conversation.check_end()


class _Conversation:
    """The server's side, and what has to hold of each of its outcomes."""

    def __init__(self, session: EapSession) -> None:
        self._session = session
        self._challenges = 0
        self._has_ended = False
        self._was_proved = False
        self.last_request: EapPacket | None = None

    def send(self, eap: bytes) -> None:
        outcome = self._session.receive(eap)
        if isinstance(outcome, PasswordCheck):
            assert self._session.receive(eap) == Ignore()  # while the check runs
            self._was_proved = outcome.password == PASSWORD
            outcome = self._session.answer_password(self._was_proved)
        elif isinstance(outcome, NtHashLookup):
            outcome = self._session.answer_nt_hash(NT_HASH if outcome.user == USER.decode() else None)
            self._was_proved = isinstance(outcome, Challenge) and not outcome.is_refusal
        self._check(outcome)

    def _check(self, outcome: Outcome) -> None:
        assert self._session.error is None, repr(self._session.error)
        if self._has_ended:
            assert outcome == Ignore(), "after its end a conversation says nothing"
        elif isinstance(outcome, Challenge):
            request = parse_eap(outcome.eap)
            assert request is not None
            assert request.code == EapCode.REQUEST
            assert len(outcome.eap) <= 1024 + 10
            self.last_request = request
        elif isinstance(outcome, Accept | Reject):
            self._has_ended = True
            assert len(outcome.eap) == 4
            if isinstance(outcome, Accept):
                assert self._was_proved, "let in without a proof"
                assert len(outcome.msk) == 64
                assert outcome.user
                self.last_request = None
        else:
            assert outcome == Ignore()

    def check_end(self) -> None:
        """Whatever came, a device that only acknowledges brings it to an end in a bounded number of rounds."""
        for _ in range(MAX_ROUNDS + 2):
            if self._has_ended or self.last_request is None:
                return
            self.send(
                build_eap(EapCode.RESPONSE, self.last_request.identifier, self.last_request.kind, ACKNOWLEDGEMENT)
            )
        raise AssertionError("a conversation without an end")


class _Actor:
    """What a step of the script sends."""

    def __init__(self, *, is_tls13: bool, says_pap: bool) -> None:
        self._device = Device(is_tls13=is_tls13, says_pap=says_pap)
        self._last = IDENTITY

    def act(self, script: Script, request: EapPacket | None) -> bytes:
        step = script.take_octet() % 8
        if step != REPEAT:
            self._last = self._choose(step, script, request)
        return self._last

    def _choose(self, step: int, script: Script, request: EapPacket | None) -> bytes:
        if step == OUTER:
            return script.take_field()
        if request is None:
            return IDENTITY
        if step == NAK:
            return build_eap(EapCode.RESPONSE, request.identifier, EapType.NAK, script.take_field())
        if step == PIECE:
            return self._device.respond(request, script.take_field())
        if step in (TWISTED, INNER):
            return self._speak(step, script, request)
        piece = self._device.go_on(request)
        return self._device.respond(request, piece[: script.take_octet()] if step == CUT else piece)

    def _speak(self, step: int, script: Script, request: EapPacket) -> bytes:
        """Inside the tunnel: made up, or as an honest device would say it, with some octets changed."""
        at, change = (script.take_octet() if step == TWISTED else 0), script.take_field()
        piece = self._device.go_on(request)
        if piece != ACKNOWLEDGEMENT or not self._device.is_open:
            return self._device.respond(request, piece)  # TLS has something to say first
        said = bytearray(change if step == INNER else self._device.answer_inside(request.kind))
        if step == TWISTED:
            for place, octet in enumerate(change, start=at):
                if place < len(said):
                    said[place] ^= octet
        if said:
            with suppress(SSL.Error):  # the tunnel may have broken before
                piece = self._device.say(bytes(said))
        return self._device.respond(request, piece)


@functools.cache
def _context(fragment_octets: int) -> EapServerContext:
    chain, key = _certificate()
    return EapServerContext(chain, key, fragment_octets=fragment_octets)


@functools.cache
def _certificate() -> tuple[bytes, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        made = make_server_certificate(Path(folder), "login.test.example")
        return made.certificate.read_bytes(), made.key.read_bytes()
