"""EAP-TTLS (RFC 5281, with TLS 1.3 RFC 9427): a tunnel, and inside it PAP or MS-CHAP-V2 as attribute-value pairs.

States: HANDSHAKE → CREDENTIALS → CHECKING → [PROVEN →] ended. A handshake that fails sends its alert first and ends
with the device's next message; so the device learns why.
"""

from enum import Enum
from typing import Final

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
from radius.eap.context import EapServerContext
from radius.eap.methods.steps import Done, Failed, Send, Step
from radius.eap.outcomes import EapReason, NtHashLookup, PasswordCheck
from radius.eap.packet import EapType
from radius.eap.tunnel import MSK_OCTETS, Tunnel
from radius.errors import LocalProtocolError

_LABEL: Final = b"ttls keying material"  # RFC 5281 §8
_CHALLENGE_LABEL: Final = b"ttls challenge"  # RFC 5281 §11.1
_CHALLENGE_OCTETS: Final = mschapv2.CHALLENGE_OCTETS + 1  # and the identifier
_RESPONSE_OCTETS: Final = 50  # identifier, flags, peer challenge, reserved, NT response (RFC 2548 §2.3.2)
MAX_USER_OCTETS: Final = 253


class _State(Enum):
    HANDSHAKE = "handshake"
    ALERTED = "alerted"
    CREDENTIALS = "credentials"
    CHECKING = "checking"
    PROVEN = "proven"


class Ttls:
    """One conversation."""

    def __init__(self, context: EapServerContext, *, inner: frozenset[str]) -> None:
        """`inner` holds what is offered inside: "pap", "mschapv2"."""
        self._tunnel = Tunnel(context)
        self._inner = inner
        self._state = _State.HANDSHAKE
        self._user = ""
        self._challenge = b""
        self._response = b""
        self._unsent = b""

    def receive(self, message: bytes) -> Step:
        """What follows from the device's next message."""
        if self._state is _State.HANDSHAKE:
            return self._shake_hands(message)
        if self._state is _State.CREDENTIALS:
            return self._take_credentials(self._tunnel.read(message))
        if self._state is _State.PROVEN and not message:  # the device has seen our proof (RFC 5281 §11.2.4)
            return self._done()
        return Failed(EapReason.EAP_FAILED)

    def _shake_hands(self, message: bytes) -> Step:
        out = self._tunnel.shake_hands(message)
        if self._tunnel.has_failed:
            self._state = _State.ALERTED
            return Send(out) if out else Failed(EapReason.EAP_FAILED)
        if self._tunnel.is_open:
            self._state = _State.CREDENTIALS
            early = self._tunnel.read()  # behind the device's Finished
            if early:
                self._unsent = out  # it goes before whatever we say next: TLS counts its records
                return self._take_credentials(early)
        return Send(out)

    def _take_credentials(self, data: bytes) -> Step:  # noqa: PLR0911 - ordered checks, each with its one reason
        if self._tunnel.has_failed:
            return Failed(EapReason.EAP_FAILED)
        if not data:
            return Send(b"")
        avps = parse_avps(data)
        if avps is None or not 0 < len(avps.get(USER_NAME, b"")) <= MAX_USER_OCTETS:
            return Failed(EapReason.EAP_MALFORMED)
        try:
            self._user = avps[USER_NAME].decode("utf-8")
        except UnicodeDecodeError:
            return Failed(EapReason.WRONG_CREDENTIALS)
        if "pap" in self._inner and USER_PASSWORD in avps:
            self._state = _State.CHECKING
            return PasswordCheck(self._user, avps[USER_PASSWORD].rstrip(b"\x00"))  # padding (RFC 5281 §11.2.5)
        if "mschapv2" in self._inner and MS_CHAP2_RESPONSE in avps and MS_CHAP_CHALLENGE in avps:
            return self._take_mschapv2(avps[MS_CHAP_CHALLENGE], avps[MS_CHAP2_RESPONSE])
        return Failed(EapReason.METHOD_NOT_OFFERED)

    def _take_mschapv2(self, challenge: bytes, response: bytes) -> Step:
        """The challenge is not sent but derived from the tunnel on both sides (RFC 5281 §11.1)."""
        implicit = self._tunnel.export_challenge(_CHALLENGE_LABEL, _CHALLENGE_OCTETS)
        is_bound = challenge == implicit[:-1] and response[:1] == implicit[-1:]
        if len(response) != _RESPONSE_OCTETS or not is_bound:
            return Failed(EapReason.WRONG_CREDENTIALS)
        self._challenge = mschapv2.challenge_hash(response[2:18], challenge, self._user.encode())
        self._response = response
        self._state = _State.CHECKING
        return NtHashLookup(self._user)

    def answer_password(self, *, accepted: bool) -> Step:
        """What follows from the check."""
        self._expect_check()
        return self._done() if accepted else Failed(EapReason.WRONG_CREDENTIALS)

    def answer_nt_hash(self, nt_hash: bytes | None) -> Step:
        """What follows from the look-up."""
        self._expect_check()
        nt = self._response[26:]
        if not mschapv2.verify_nt_response(nt_hash, self._challenge, nt):
            return Failed(EapReason.WRONG_CREDENTIALS)
        self._state = _State.PROVEN
        proof = self._response[:1] + mschapv2.authenticator_response(nt_hash, self._challenge, nt)
        return Send(self._unsent + self._tunnel.write(build_avp(MS_CHAP2_SUCCESS, proof)))

    def _expect_check(self) -> None:
        if self._state is not _State.CHECKING:
            raise LocalProtocolError("an answer to a check that nobody asked for")

    def _done(self) -> Step:
        return Done(self._tunnel.export_key(EapType.TTLS, _LABEL)[:MSK_OCTETS], self._user)
