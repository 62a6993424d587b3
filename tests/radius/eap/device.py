"""A device that talks to the EAP server over a real tunnel, and says inside it what it is told to."""

import functools
from typing import Final

from OpenSSL import SSL

from radius.eap import mschapv2
from radius.eap.avps import MS_CHAP2_RESPONSE, MS_CHAP_CHALLENGE, USER_NAME, USER_PASSWORD, build_avp
from radius.eap.fragments import FragmentError, Fragments
from radius.eap.packet import EapCode, EapPacket, EapType, build_eap

USER: Final = b"anna@a.example"
PASSWORD: Final = b"pass-word"
NT_HASH: Final = bytes(range(16))
ACKNOWLEDGEMENT: Final = b"\x00"
IDENTITY: Final = build_eap(EapCode.RESPONSE, 0, EapType.IDENTITY, b"anonymous@a.example")
_RESULT_SUCCESS: Final = b"\x80\x03\x00\x02\x00\x01"


class Device:
    """What it does at each step is its caller's choice; `go_on` is what an honest device would do."""

    def __init__(
        self,
        *,
        is_tls13: bool = True,
        says_pap: bool = True,
        is_quick: bool = False,
        session: SSL.Session | None = None,
    ) -> None:
        """A quick one speaks right behind its Finished; `session` is one of an earlier conversation, to be resumed."""
        self.connection = SSL.Connection(_client_context(is_tls13=is_tls13), None)
        self.connection.set_connect_state()
        if session is not None:
            self.connection.set_session(session)
        self._fragments = Fragments(1024)
        self.is_open = False
        self.heard = b""  # inside the tunnel
        self._says_pap = says_pap
        self._is_quick = is_quick

    def respond(self, request: EapPacket, data: bytes) -> bytes:
        """The response of the request's type with that behind it."""
        return build_eap(EapCode.RESPONSE, request.identifier, request.kind, data)

    def say(self, said: bytes) -> bytes:
        """The message that carries this inside the tunnel."""
        self.connection.send(said)
        return self._fragments.send(self._drain())

    def go_on(self, request: EapPacket) -> bytes:
        """The next piece that an honest device sends."""
        self.heard = b""
        try:
            message = self._fragments.receive(request.data)
        except FragmentError:  # the script made the device lose its place
            self._fragments = Fragments(1024)
            return ACKNOWLEDGEMENT
        if message is None:
            return self._fragments.next_piece()
        if message:
            self.connection.bio_write(message)
        try:
            if not self.is_open:
                self.connection.do_handshake()
                self.is_open = True
                if self._is_quick:
                    self.connection.send(self.answer_inside(request.kind))
            self.heard = self.connection.recv(65_536)
        except SSL.Error:
            pass
        return self._fragments.send(self._drain())

    def _drain(self) -> bytes:
        try:
            return self.connection.bio_read(65_536)
        except SSL.WantReadError:
            return b""

    def answer_inside(self, kind: int) -> bytes:
        """What an honest device says next inside the tunnel."""
        if kind == EapType.TTLS:
            if self._says_pap:
                return build_avp(USER_NAME, USER) + build_avp(USER_PASSWORD, PASSWORD)
            if self.heard:  # the server's own proof
                return b""
            challenge = self.connection.export_keying_material(b"ttls challenge", 17)
            hashed = mschapv2.challenge_hash(bytes(16), challenge[:16], USER)
            response = challenge[16:] + bytes(25) + mschapv2.nt_response(NT_HASH, hashed)
            return (
                build_avp(USER_NAME, USER)
                + build_avp(MS_CHAP_CHALLENGE, challenge[:16])
                + build_avp(MS_CHAP2_RESPONSE, response)
            )
        heard = self.heard
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
def _client_context(*, is_tls13: bool) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_verify(SSL.VERIFY_NONE)
    if not is_tls13:
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
    return context
