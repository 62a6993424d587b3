"""A device in conversation with the EAP server: honest, broken or hostile, outside the tunnel and inside it.

The tunnel is a real one. A script says what the device does at each step; what an honest device would do is a step
too, so that the search reaches the inside of the tunnel without breaking TLS.
"""

import functools
import tempfile
from pathlib import Path
from typing import Final

from OpenSSL import SSL

from radius.eap import mschapv2
from radius.eap.avps import MS_CHAP2_RESPONSE, MS_CHAP_CHALLENGE, USER_NAME, USER_PASSWORD, build_avp
from radius.eap.context import EapServerContext
from radius.eap.fragments import FragmentError, Fragments
from radius.eap.machine import MAX_ROUNDS, EapSession
from radius.eap.outcomes import Accept, Challenge, Ignore, NtHashLookup, Outcome, PasswordCheck, Reject
from radius.eap.packet import EapCode, EapPacket, EapType, build_eap, parse_eap
from tests.fuzz.script import Script
from tests.support.certificates import make_server_certificate

METHODS: Final = (
    ("ttls-pap",),
    ("ttls-pap", "ttls-mschapv2", "peap-mschapv2"),
    ("peap-mschapv2",),
    ("ttls-mschapv2",),
)
USER: Final = b"anna@a.example"
PASSWORD: Final = b"pass-word"
NT_HASH: Final = bytes(range(16))
MAX_STEPS: Final = 80
HONEST, OUTER, PIECE, INNER, TWISTED, NAK, REPEAT, CUT = range(8)
_IDENTITY: Final = build_eap(EapCode.RESPONSE, 0, EapType.IDENTITY, b"anonymous@a.example")
_ACKNOWLEDGEMENT: Final = b"\x00"
_RESULT_SUCCESS: Final = b"\x80\x03\x00\x02\x00\x01"


def exercise(octets: bytes) -> None:
    """The first octet chooses methods, TLS, fragments and PAP; each step is an octet, some with a field behind it."""
    script = Script(octets)
    choice = script.take_octet()
    session = EapSession(_context(1024 if choice & 4 else 100), METHODS[choice & 3])
    device = _Device(is_tls13=not choice & 8, says_pap=bool(choice & 16))
    conversation = _Conversation(session)
    conversation.send(_IDENTITY)
    for _ in range(MAX_STEPS):
        if script.is_at_end:
            break
        conversation.send(device.act(script, conversation.last_request))
    conversation.check_end(device)


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
            self._was_proved = outcome.__class__ is Challenge
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

    def check_end(self, device: "_Device") -> None:
        """Whatever came, a device that only acknowledges brings it to an end in a bounded number of rounds."""
        for _ in range(MAX_ROUNDS + 2):
            if self._has_ended or self.last_request is None:
                return
            self.send(device.respond(self.last_request, b"\x00"))
        raise AssertionError("a conversation without an end")


class _Device:
    """What a step of the script sends."""

    def __init__(self, *, is_tls13: bool, says_pap: bool) -> None:
        self._connection = SSL.Connection(_client_context(is_tls13=is_tls13), None)
        self._connection.set_connect_state()
        self._fragments = Fragments(1024)
        self._is_open = False
        self._says_pap = says_pap
        self._heard = b""  # inside the tunnel
        self._last = _IDENTITY

    def act(self, script: Script, request: EapPacket | None) -> bytes:
        step = script.take_octet() % 8
        if step != REPEAT:
            self._last = self._choose(step, script, request)
        return self._last

    def _choose(self, step: int, script: Script, request: EapPacket | None) -> bytes:
        if step == OUTER:
            return script.take_field()
        if request is None:
            return _IDENTITY
        if step == NAK:
            return build_eap(EapCode.RESPONSE, request.identifier, EapType.NAK, script.take_field())
        if step == PIECE:
            return self.respond(request, script.take_field())
        if step in (TWISTED, INNER):
            return self._speak(step, script, request)
        piece = self._go_on(request)
        return self.respond(request, piece[: script.take_octet()] if step == CUT else piece)

    def _speak(self, step: int, script: Script, request: EapPacket) -> bytes:
        """Inside the tunnel: made up, or as an honest device would say it, with some octets changed."""
        at, change = (script.take_octet() if step == TWISTED else 0), script.take_field()
        piece = self._go_on(request)
        if piece != _ACKNOWLEDGEMENT or not self._is_open:
            return self.respond(request, piece)  # TLS has something to say first
        said = bytearray(change if step == INNER else self._answer_inside(request.kind))
        if step == TWISTED:
            for place, octet in enumerate(change, start=at):
                if place < len(said):
                    said[place] ^= octet
        if said:
            try:
                self._connection.send(bytes(said))
            except SSL.Error:  # the tunnel broke before
                return self.respond(request, piece)
            piece = self._fragments.send(self._drain())
        return self.respond(request, piece)

    def respond(self, request: EapPacket, data: bytes) -> bytes:
        return build_eap(EapCode.RESPONSE, request.identifier, request.kind, data)

    def _go_on(self, request: EapPacket) -> bytes:
        """The next piece that an honest device sends."""
        self._heard = b""
        try:
            message = self._fragments.receive(request.data)
        except FragmentError:  # the script made the device lose its place
            self._fragments = Fragments(1024)
            return _ACKNOWLEDGEMENT
        if message is None:
            return self._fragments.next_piece()
        if message:
            self._connection.bio_write(message)
        try:
            if not self._is_open:
                self._connection.do_handshake()
                self._is_open = True
            self._heard = self._connection.recv(65_536)
        except SSL.Error:
            pass
        return self._fragments.send(self._drain())

    def _drain(self) -> bytes:
        try:
            return self._connection.bio_read(65_536)
        except SSL.WantReadError:
            return b""

    def _answer_inside(self, kind: int) -> bytes:
        if kind == EapType.TTLS:
            if self._says_pap:
                return build_avp(USER_NAME, USER) + build_avp(USER_PASSWORD, PASSWORD)
            if self._heard:  # the server's own proof
                return b""
            challenge = self._connection.export_keying_material(b"ttls challenge", 17)
            hashed = mschapv2.challenge_hash(bytes(16), challenge[:16], USER)
            response = challenge[16:] + bytes(25) + mschapv2.nt_response(NT_HASH, hashed)
            return (
                build_avp(USER_NAME, USER)
                + build_avp(MS_CHAP_CHALLENGE, challenge[:16])
                + build_avp(MS_CHAP2_RESPONSE, response)
            )
        heard = self._heard
        if not heard:  # in PEAP the server speaks first
            return b""
        if heard[:2] == bytes((EapType.MSCHAPV2, 1)) and len(heard) >= 22:
            nt_response = mschapv2.nt_response(NT_HASH, mschapv2.challenge_hash(bytes(16), heard[6:22], USER))
            value = bytes(24) + nt_response + b"\0"
            return bytes((EapType.MSCHAPV2, 2, heard[2], 0, 5 + len(value), len(value))) + value + USER
        if heard[:1] == bytes((EapType.MSCHAPV2,)):
            return heard[:2]
        if len(heard) > 4 and heard[4] == EapType.TLV:
            return build_eap(EapCode.RESPONSE, heard[1], EapType.TLV, _RESULT_SUCCESS)
        return bytes((EapType.IDENTITY,)) + USER


@functools.cache
def _context(fragment_octets: int) -> EapServerContext:
    chain, key = _certificate()
    return EapServerContext(chain, key, fragment_octets=fragment_octets)


@functools.cache
def _certificate() -> tuple[bytes, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        made = make_server_certificate(Path(folder), "login.test.example")
        return made.certificate.read_bytes(), made.key.read_bytes()


@functools.cache
def _client_context(*, is_tls13: bool) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_verify(SSL.VERIFY_NONE)
    if not is_tls13:
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
    return context
