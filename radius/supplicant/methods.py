"""What a device does in its tunnel: EAP-TTLS with PAP or MS-CHAP-V2, and PEAP version 0 with EAP-MSCHAPv2.

Each takes whole TLS messages and gives back whole ones; empty means "go on". In EAP-TTLS the device speaks first, in
PEAP the server. Where MS-CHAP-V2 is inside, the server has to prove that it knows the password too, and a device that
has not seen this proof does not take a success.
"""

import hmac
import os
from dataclasses import dataclass, field
from typing import Final, Protocol

from radius.eap import mschapv2
from radius.eap.avps import (
    MS_CHAP2_RESPONSE,
    MS_CHAP2_SUCCESS,
    MS_CHAP_CHALLENGE,
    USER_NAME,
    USER_PASSWORD,
    build_avp,
    parse_avps,
)
from radius.eap.binding import BINDING_TYPE, RESULT_FAILURE, RESULT_SUCCESS, RESULT_TYPE, BoundKeys, parse_tlvs
from radius.eap.packet import EapCode, EapType, build_eap, parse_eap
from radius.eap.tunnel import MSK_OCTETS
from radius.supplicant.failure import DeviceError, FailedStep
from radius.supplicant.tunnel import DeviceTunnel

_PAP_BLOCK: Final = 16  # a password is padded, so that its length does not show (RFC 5281 §11.2.5)
_CHALLENGE, _RESPONSE, _SUCCESS, _FAILURE = 1, 2, 3, 4  # op codes of EAP-MSCHAPv2
_PROOF_OCTETS: Final = 42  # "S=" and 40 hexadecimal digits
_TTLS_LABEL: Final = b"ttls keying material"  # RFC 5281 §8
_PEAP_LABEL: Final = b"client EAP encryption"  # RFC 5216 §2.3


@dataclass(frozen=True, slots=True)
class Credentials:
    """The patron, as octets."""

    user: bytes
    password: str = field(repr=False)

    def answer(self, server_challenge: bytes) -> "MsChapV2":
        """The patron's half of MS-CHAP-V2."""
        peer_challenge = os.urandom(mschapv2.CHALLENGE_OCTETS)
        challenge = mschapv2.challenge_hash(peer_challenge, server_challenge, self.user)
        nt_hash = mschapv2.hash_password(self.password)
        return MsChapV2(peer_challenge, challenge, nt_hash, mschapv2.nt_response(nt_hash, challenge))


@dataclass(frozen=True, slots=True)
class MsChapV2:
    """One exchange (RFC 2759)."""

    peer_challenge: bytes
    challenge: bytes = field(repr=False)
    nt_hash: bytes = field(repr=False)
    response: bytes = field(repr=False)

    def check_proof(self, text: bytes) -> None:
        """Raises DeviceError unless the server has shown that it knows the password (RFC 2759 §8.7)."""
        expected = mschapv2.authenticator_response(self.nt_hash, self.challenge, self.response)
        if not hmac.compare_digest(text[:_PROOF_OCTETS].upper(), expected):
            raise DeviceError(FailedStep.SERVER_PROOF, "the server did not prove that it knows the password")


class Method(Protocol):
    """A method as the device drives it."""

    tunnel: DeviceTunnel
    msk: bytes  # empty until the device would take a success

    def advance(self, message: bytes) -> bytes:
        """Take the server's whole message; returns ours.

        Raises:
            DeviceError: the login can not go on.
        """
        ...


class TtlsPap:
    """EAP-TTLS with PAP: the password itself, for the server alone."""

    def __init__(self, tunnel: DeviceTunnel, credentials: Credentials) -> None:
        """Nothing is sent yet."""
        self.tunnel = tunnel
        self.msk = b""
        self._credentials = credentials
        self._has_spoken = False

    def advance(self, message: bytes) -> bytes:
        """Speak once, when the tunnel stands on both sides."""
        was_open = self.tunnel.is_open
        out = self.tunnel.advance(message)
        # In TLS 1.3 our Finished goes first, and the server's next message shows that it was taken (RFC 9427 §2.2).
        if self._has_spoken or not self.tunnel.is_open or not (was_open or not out):
            return out + (self._hear(self.tunnel.read()) if self._has_spoken else b"")
        self.tunnel.read()
        self._has_spoken = True
        return out + self.tunnel.write(self._speak())

    def _speak(self) -> bytes:
        self._take_keys()
        password = self._credentials.password.encode("utf-8", "surrogateescape")
        octets = max(_PAP_BLOCK, len(password) + -len(password) % _PAP_BLOCK)
        return build_avp(USER_NAME, self._credentials.user) + build_avp(USER_PASSWORD, password.ljust(octets, b"\0"))

    def _hear(self, said: bytes) -> bytes:
        """PAP has no answer inside the tunnel."""
        del said
        return b""

    def _take_keys(self) -> None:
        self.msk = self.tunnel.export_key(EapType.TTLS, _TTLS_LABEL)[:MSK_OCTETS]


class TtlsMsChapV2(TtlsPap):
    """EAP-TTLS with MS-CHAP-V2: the challenge is the tunnel's own (RFC 5281 §11.1)."""

    _exchange: MsChapV2 | None = None
    _identifier: bytes = b""

    def _speak(self) -> bytes:
        implicit = self.tunnel.export_challenge(b"ttls challenge", mschapv2.CHALLENGE_OCTETS + 1)
        server_challenge, self._identifier = implicit[:-1], implicit[-1:]
        self._exchange = exchange = self._credentials.answer(server_challenge)
        response = self._identifier + b"\0" + exchange.peer_challenge + bytes(8) + exchange.response
        return (
            build_avp(USER_NAME, self._credentials.user)
            + build_avp(MS_CHAP_CHALLENGE, server_challenge)
            + build_avp(MS_CHAP2_RESPONSE, response)
        )

    def _hear(self, said: bytes) -> bytes:
        if not said:
            return b""
        avps = parse_avps(said)
        proof = (avps or {}).get(MS_CHAP2_SUCCESS)
        if proof is None or self._exchange is None or proof[:1] != self._identifier:
            raise DeviceError(FailedStep.CREDENTIALS, "the home server refused the password inside the tunnel")
        self._exchange.check_proof(proof[1:])
        self._take_keys()
        return b""


class PeapMsChapV2:
    """PEAP version 0 with EAP-MSCHAPv2 (MS-PEAP; draft-kamath-pppext-eap-mschapv2)."""

    def __init__(self, tunnel: DeviceTunnel, credentials: Credentials) -> None:
        """The server speaks first."""
        self.tunnel = tunnel
        self.msk = b""
        self._credentials = credentials
        self._exchange: MsChapV2 | None = None
        self._is_proven = False
        self._is_refused = False

    def advance(self, message: bytes) -> bytes:
        """Answer what the server asks inside the tunnel."""
        out = self.tunnel.advance(message)
        said = self.tunnel.read() if self.tunnel.is_open else b""
        return out + self.tunnel.write(self._answer(said)) if said else out

    def _answer(self, said: bytes) -> bytes:
        packet = parse_eap(said) if said[:1] == bytes((EapCode.REQUEST,)) else None
        if packet is not None and packet.kind == EapType.TLV:  # the only one whose header travels, both ways
            return build_eap(EapCode.RESPONSE, packet.identifier, EapType.TLV, self._answer_result(packet.data))
        inner = bytes((packet.kind,)) + packet.data if packet is not None else said  # FreeRADIUS asks with a header
        if inner[0] == EapType.IDENTITY:
            return bytes((EapType.IDENTITY,)) + self._credentials.user
        if inner[0] == EapType.MSCHAPV2 and len(inner) > 1:
            return self._answer_mschapv2(inner)
        if inner[0] == EapType.NOTIFICATION:
            return bytes((EapType.NOTIFICATION,))
        return bytes((EapType.NAK, EapType.MSCHAPV2))

    def _answer_mschapv2(self, inner: bytes) -> bytes:
        """type, op code, identifier, length of two octets, and what the op code means."""
        op_code = inner[1]
        if op_code == _CHALLENGE and len(inner) >= 22 and inner[5] == mschapv2.CHALLENGE_OCTETS:
            self._exchange = exchange = self._credentials.answer(inner[6:22])
            value = exchange.peer_challenge + bytes(8) + exchange.response + b"\0"
            length = 5 + len(value) + len(self._credentials.user)
            header = bytes((EapType.MSCHAPV2, _RESPONSE, inner[2])) + length.to_bytes(2) + bytes((len(value),))
            return header + value + self._credentials.user
        if op_code == _SUCCESS and self._exchange is not None:
            self._exchange.check_proof(inner[5:])
            self._is_proven = True
            return bytes((EapType.MSCHAPV2, _SUCCESS))
        if op_code == _FAILURE:
            self._is_refused = True
            return bytes((EapType.MSCHAPV2, _FAILURE))
        raise DeviceError(FailedStep.PROTOCOL, "the server broke EAP-MSCHAPv2")

    def _answer_result(self, data: bytes) -> bytes:
        tlvs = parse_tlvs(data)
        if tlvs is None or RESULT_TYPE not in tlvs:
            raise DeviceError(FailedStep.PROTOCOL, "the server broke PEAP's result")
        if tlvs[RESULT_TYPE] != RESULT_SUCCESS or self._is_refused:
            self._is_refused = True
            return RESULT_FAILURE
        if not self._is_proven or self._exchange is None:
            raise DeviceError(FailedStep.SERVER_PROOF, "the server claims success without a proof of its own")
        tunnel_key = self.tunnel.export_key(EapType.PEAP, _PEAP_LABEL)
        binding = tlvs.get(BINDING_TYPE)
        if binding is None:  # FreeRADIUS sends none
            self.msk = tunnel_key[:MSK_OCTETS]
            return RESULT_SUCCESS
        receive, send = mschapv2.session_keys(self._exchange.nt_hash, self._exchange.response)
        keys = BoundKeys.derive(tunnel_key, receive + send)
        if not keys.verify(binding):
            raise DeviceError(FailedStep.SERVER_PROOF, "the end of the tunnel is not who proved the password")
        self.msk = keys.msk
        return RESULT_SUCCESS + keys.build(binding[8:40], is_response=True)
