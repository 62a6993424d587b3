"""PEAP version 0 with EAP-MSCHAPv2 inside (MS-PEAP; draft-kamath-pppext-eap-mschapv2).

States: HANDSHAKE → [OPENED →] IDENTITY → RESPONSE → CHECKING → PROVEN or REFUSED → RESULT → ended. EAP inside travels
without its header, but the result TLVs, which have it. A refusal goes through the result exchange too: a device that is
cut off before it would think that the server broke.
"""

import os
from enum import Enum
from typing import Final

from radius.eap import mschapv2
from radius.eap.binding import (
    BINDING_TYPE,
    NONCE_OCTETS,
    RESULT_FAILURE,
    RESULT_SUCCESS,
    RESULT_TYPE,
    BoundKeys,
    parse_tlvs,
)
from radius.eap.context import EapServerContext
from radius.eap.methods.steps import Done, Failed, Send, Step
from radius.eap.methods.ttls import MAX_USER_OCTETS
from radius.eap.outcomes import EapReason, NtHashLookup
from radius.eap.packet import EapCode, EapType, build_eap, parse_eap
from radius.eap.tunnel import MSK_OCTETS, Tunnel
from radius.errors import LocalProtocolError

_LABEL: Final = b"client EAP encryption"  # RFC 5216 §2.3
_CHALLENGE, _RESPONSE, _SUCCESS, _FAILURE = 1, 2, 3, 4  # op codes of EAP-MSCHAPv2
_RESPONSE_VALUE_OCTETS: Final = 49  # peer challenge, reserved, NT response, flags
_SERVER_NAME: Final = b"biebroam"


class _State(Enum):
    HANDSHAKE = "handshake"
    ALERTED = "alerted"
    OPENED = "opened"
    IDENTITY = "identity"
    RESPONSE = "response"
    CHECKING = "checking"
    PROVEN = "proven"
    REFUSED = "refused"
    RESULT = "result"


class Peap:
    """One conversation."""

    def __init__(self, context: EapServerContext) -> None:
        """The tunnel is not built yet."""
        self._tunnel = Tunnel(context)
        self._requires_binding = context.requires_crypto_binding
        self._state = _State.HANDSHAKE
        self._identifier = 0
        self._user = ""
        self._server_challenge = b""
        self._challenge = b""
        self._nt_response = b""
        self._inner_keys = b""
        self._is_accepted = False
        self._bound: BoundKeys | None = None

    def receive(self, message: bytes) -> Step:
        """What follows from the device's next message."""
        if self._state is _State.HANDSHAKE:
            return self._shake_hands(message)
        if self._state is _State.OPENED:  # the device has taken our Finished
            self._state = _State.IDENTITY
            return self._ask_identity(b"")
        data = self._tunnel.read(message)
        if self._state is _State.ALERTED or self._tunnel.has_failed:
            return Failed(EapReason.EAP_FAILED)
        return self._take_inner(data) if data else Send(b"")

    def _take_inner(self, data: bytes) -> Step:
        if self._state is _State.RESULT:
            return self._take_result(data)
        inner = _strip_header(data)
        if inner[:1] == bytes((EapType.NAK,)):
            return Failed(EapReason.METHOD_NOT_OFFERED)
        match self._state:
            case _State.IDENTITY:
                return self._take_identity(inner)
            case _State.RESPONSE:
                return self._take_response(inner)
            case _State.PROVEN | _State.REFUSED:
                return self._send_result(inner)
            case _:
                return Failed(EapReason.EAP_FAILED)

    def _shake_hands(self, message: bytes) -> Step:
        out = self._tunnel.shake_hands(message)
        if self._tunnel.has_failed:
            self._state = _State.ALERTED
            return Send(out) if out else Failed(EapReason.EAP_FAILED)
        if not self._tunnel.is_open:
            return Send(out)
        if self._tunnel.is_tls13:
            self._state = _State.IDENTITY
            return self._ask_identity(out)  # in one message with the tickets
        self._state = _State.OPENED
        return Send(out)

    def _ask_identity(self, before: bytes) -> Step:
        return Send(before + self._tunnel.write(bytes((EapType.IDENTITY,))))

    def _take_identity(self, inner: bytes) -> Step:
        if inner[:1] != bytes((EapType.IDENTITY,)):
            return Failed(EapReason.EAP_MALFORMED)
        self._server_challenge = os.urandom(mschapv2.CHALLENGE_OCTETS)
        self._identifier = 1
        value = bytes((mschapv2.CHALLENGE_OCTETS,)) + self._server_challenge + _SERVER_NAME
        self._state = _State.RESPONSE
        return self._send_mschapv2(_CHALLENGE, value)

    def _send_mschapv2(self, op_code: int, value: bytes, *, is_refusal: bool = False) -> Step:
        """MS-Length counts from the op code on."""
        length = (4 + len(value)).to_bytes(2)
        header = bytes((EapType.MSCHAPV2, op_code, self._identifier)) + length
        return Send(self._tunnel.write(header + value), is_refusal)

    def _take_response(self, inner: bytes) -> Step:
        # type, op code, identifier, MS-Length, value size, value, name
        if len(inner) < 6 + _RESPONSE_VALUE_OCTETS or inner[:2] != bytes((EapType.MSCHAPV2, _RESPONSE)):
            return Failed(EapReason.EAP_MALFORMED)
        if inner[2] != self._identifier or inner[5] != _RESPONSE_VALUE_OCTETS:
            return Failed(EapReason.EAP_MALFORMED)
        name = inner[6 + _RESPONSE_VALUE_OCTETS :]
        if not 0 < len(name) <= MAX_USER_OCTETS:
            return Failed(EapReason.EAP_MALFORMED)
        try:
            self._user = mschapv2.strip_domain(name).decode("utf-8")
        except UnicodeDecodeError:
            return Failed(EapReason.WRONG_CREDENTIALS)
        self._challenge = mschapv2.challenge_hash(inner[6:22], self._server_challenge, name)
        self._nt_response = inner[30:54]
        self._state = _State.CHECKING
        return NtHashLookup(self._user)

    def answer_password(self, *, accepted: bool) -> Step:
        """PEAP asks for no such check."""
        raise LocalProtocolError(f"PEAP asked for no password (accepted={accepted})")

    def answer_nt_hash(self, nt_hash: bytes | None) -> Step:
        """What follows from the look-up."""
        if self._state is not _State.CHECKING:
            raise LocalProtocolError("an answer to a look-up that nobody asked for")
        if not mschapv2.verify_nt_response(nt_hash, self._challenge, self._nt_response):
            self._state = _State.REFUSED
            # R=0: no second try inside this tunnel.
            text = b"E=691 R=0 C=" + os.urandom(16).hex().upper().encode() + b" V=3 M=Authentication failed"
            return self._send_mschapv2(_FAILURE, text, is_refusal=True)
        self._state = _State.PROVEN
        self._is_accepted = True
        receive, send = mschapv2.session_keys(nt_hash, self._nt_response)
        self._inner_keys = receive + send
        proof = mschapv2.authenticator_response(nt_hash, self._challenge, self._nt_response)
        return self._send_mschapv2(_SUCCESS, proof + b" M=Welcome")

    def _send_result(self, inner: bytes) -> Step:
        accepted = self._state is _State.PROVEN
        if accepted and inner[:2] != bytes((EapType.MSCHAPV2, _SUCCESS)):
            return Failed(EapReason.EAP_FAILED)  # the device does not take our proof
        self._state = _State.RESULT
        tlvs = RESULT_SUCCESS + self._bind() if accepted else RESULT_FAILURE
        self._identifier += 1
        packet = build_eap(EapCode.REQUEST, self._identifier, EapType.TLV, tlvs)
        return Send(self._tunnel.write(packet))

    def _bind(self) -> bytes:
        """The keys of the session follow from tunnel and password, if the device answers; a stranger's do not match."""
        self._bound = BoundKeys.derive(self._tunnel.export_key(EapType.PEAP, _LABEL), self._inner_keys)
        return self._bound.build(os.urandom(NONCE_OCTETS))

    def _take_result(self, data: bytes) -> Step:
        packet = parse_eap(data)
        if packet is None or packet.kind != EapType.TLV or not self._is_accepted:
            return Failed(EapReason.WRONG_CREDENTIALS if not self._is_accepted else EapReason.EAP_FAILED)
        tlvs = parse_tlvs(packet.data)
        if tlvs is None or tlvs.get(RESULT_TYPE) != RESULT_SUCCESS:
            return Failed(EapReason.EAP_FAILED)
        binding = tlvs.get(BINDING_TYPE)
        if binding is None and not self._requires_binding:  # a device that does not know it derives the plain keys
            return Done(self._tunnel.export_key(EapType.PEAP, _LABEL)[:MSK_OCTETS], self._user)
        if binding is None or self._bound is None or not self._bound.verify(binding, is_response=True):
            return Failed(EapReason.EAP_FAILED)
        return Done(self._bound.msk, self._user)


def _strip_header(data: bytes) -> bytes:
    """Return what follows the EAP header, whether the device sent one or not."""
    packet = parse_eap(data) if data[:1] == bytes((EapCode.RESPONSE,)) else None
    return bytes((packet.kind,)) + packet.data if packet else data
