"""Request and Response Authenticator and Message-Authenticator: sign and verify (RFC 2865 §3, RFC 3579 §3.2).

MD5 is what these RFCs say. What is known to be weak in it (BlastRADIUS, CVE-2024-3596) is answered by requiring a
Message-Authenticator and placing it first in everything that Biebroam sends.
"""

from enum import Enum
from hmac import compare_digest
from typing import Final

from radius.errors import DropReason
from radius.wire.calls import calls
from radius.wire.codes import AttributeType, Code
from radius.wire.digests import Digest, md5
from radius.wire.packet import AUTHENTICATOR_OCTETS, HEADER_OCTETS, MAX_PACKET_OCTETS, Packet

_HMAC_BLOCK_OCTETS: Final = 64  # RFC 2104 §2
_INNER_PAD: Final = bytes(octet ^ 0x36 for octet in range(256))
_OUTER_PAD: Final = bytes(octet ^ 0x5C for octet in range(256))
_ZEROS: Final = bytes(AUTHENTICATOR_OCTETS)
_UNSIGNED: Final = bytes((AttributeType.MESSAGE_AUTHENTICATOR, AUTHENTICATOR_OCTETS + 2)) + _ZEROS
_MESSAGE_AUTHENTICATOR_HEADER: Final = _UNSIGNED[:2]
_MAX_ATTRIBUTES_OCTETS: Final = MAX_PACKET_OCTETS - HEADER_OCTETS

# Their Request Authenticator is computed over the packet; in the other requests it is a nonce.
COMPUTED_AUTHENTICATOR_CODES: Final = frozenset(
    (int(Code.ACCOUNTING_REQUEST), int(Code.DISCONNECT_REQUEST), int(Code.COA_REQUEST))
)  # RFC 2866 §3, RFC 5176 §2.3

_EAP_MESSAGE: Final = int(AttributeType.EAP_MESSAGE)
_PROXY_STATE: Final = int(AttributeType.PROXY_STATE)
_ACCOUNTING_RESPONSE: Final = int(Code.ACCOUNTING_RESPONSE)
_STATUS_SERVER: Final = int(Code.STATUS_SERVER)
_NATIVE_VERDICTS: Final = (None, DropReason.RESPONSE_AUTHENTICATOR_WRONG, DropReason.MESSAGE_AUTHENTICATOR_WRONG)


class Verdict(Enum):
    """What a look at a Message-Authenticator gave; policy decides what follows."""

    ABSENT = "absent"
    VALID = "valid"
    INVALID = "invalid"


class KeyedSecret:
    """A shared secret with the MD5 and HMAC-MD5 states that begin with it, computed once for a peer."""

    __slots__ = ("_inner", "_outer", "native", "secret", "start")

    secret: bytes
    start: "Digest"
    """MD5 with the secret in it: copy it, never update it."""
    native: object | None
    """The same for the native kernel; None where there is none."""

    def __init__(self, secret: bytes) -> None:
        """Compute the states.

        Raises:
            ValueError: the secret is empty; a peer without a secret is not served (RFC 2865 §3).
        """
        if not secret:
            raise ValueError("a shared secret has at least one octet")
        self.secret = bytes(secret)
        self.start = md5(self.secret)
        key = self.secret if len(secret) <= _HMAC_BLOCK_OCTETS else md5(self.secret).digest()
        key = key.ljust(_HMAC_BLOCK_OCTETS, b"\0")
        self._inner = md5(key.translate(_INNER_PAD))
        self._outer = md5(key.translate(_OUTER_PAD))
        kernel = calls.kernel
        self.native = None if kernel is None else kernel.prepare_secret(self.secret)

    def __repr__(self) -> str:
        return "KeyedSecret(…)"

    def hmac_md5(self, octets: bytes) -> bytes:
        """Return HMAC-MD5 of the octets (RFC 2104)."""
        inner = self._inner.copy()
        inner.update(octets)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()

    def md5_after(self, octets: bytes) -> bytes:
        """Return MD5 of the secret followed by the octets: the key stream of hidden attributes (RFC 2865 §5.2)."""
        digest = self.start.copy()
        digest.update(octets)
        return digest.digest()


def verify_message_authenticator(
    packet: Packet, keyed: KeyedSecret, request_authenticator: bytes | None = None
) -> Verdict:
    """Return whether the packet has a Message-Authenticator, and whether it is right (RFC 3579 §3.2).

    For a response, `request_authenticator` is that of the request. Accounting, Disconnect and CoA requests are
    computed with zeros there (RFC 5176 §3.4).
    """
    offset = packet.message_authenticator
    if not offset:
        return Verdict.ABSENT
    signed = packet.octets
    if request_authenticator is not None:
        # No RFC says how it is computed in an Accounting-Response: FreeRADIUS and pyrad take zeros.
        if packet.code == _ACCOUNTING_RESPONSE and _has_right_digest(
            _replace_authenticator(signed, _ZEROS), offset, keyed
        ):
            return Verdict.VALID
        signed = _replace_authenticator(signed, request_authenticator)
    elif packet.code in COMPUTED_AUTHENTICATOR_CODES:
        signed = _replace_authenticator(signed, _ZEROS)
    return Verdict.VALID if _has_right_digest(signed, offset, keyed) else Verdict.INVALID


def _replace_authenticator(octets: bytes, authenticator: bytes) -> bytes:
    return octets[:4] + authenticator + octets[20:]


def _has_right_digest(signed: bytes, offset: int, keyed: KeyedSecret) -> bool:
    """Whether the Message-Authenticator at `offset` is right for octets that hold the authenticator it is made with."""
    expected = keyed.hmac_md5(signed[: offset + 2] + _ZEROS + signed[offset + 18 :])
    return compare_digest(expected, signed[offset + 2 : offset + 18])


def verify_request_authenticator(packet: Packet, keyed: KeyedSecret) -> bool:
    """Return whether an Accounting, Disconnect or CoA request's authenticator is right (RFC 2866 §3, RFC 5176 §2.3)."""
    octets = packet.octets
    expected = md5(octets[:4] + _ZEROS + octets[20:] + keyed.secret).digest()
    return compare_digest(expected, packet.authenticator)


def verify_response(packet: Packet, keyed: KeyedSecret, request_authenticator: bytes) -> bool:
    """Return whether a response answers the request with that authenticator (RFC 2865 §3).

    Its Response Authenticator has to be right, and its Message-Authenticator too if there is one.
    """
    octets = packet.octets
    expected = md5(octets[:4] + request_authenticator + octets[20:] + keyed.secret).digest()
    if not compare_digest(expected, packet.authenticator):
        return False
    return verify_message_authenticator(packet, keyed, request_authenticator) is not Verdict.INVALID


def decide_request_authenticity(
    packet: Packet,
    keyed: KeyedSecret,
    *,
    requires_message_authenticator: bool,
    limits_proxy_state: bool = True,
) -> DropReason | None:
    """Return why a request is not to be believed, or None.

    Every authenticator that can be checked is. Message-Authenticator has to be there next to EAP-Message (RFC 3579
    §3.2), in Status-Server (RFC 5997 §3), in an Access-Request of a peer of which it is required, and, if
    `limits_proxy_state`, next to a Proxy-State: the shape of the BlastRADIUS attack. The place of the
    Message-Authenticator does not matter. An absence is seen before anything is computed.
    """
    computed = packet.code in COMPUTED_AUTHENTICATOR_CODES
    if packet.message_authenticator:
        verify = calls.verify_request
        if verify is not None and keyed.native is not None and not computed:
            is_right = verify(packet.octets, packet.message_authenticator, keyed.native)
        else:
            is_right = verify_message_authenticator(packet, keyed) is not Verdict.INVALID
        if not is_right:
            return DropReason.MESSAGE_AUTHENTICATOR_WRONG
    elif not computed:
        if requires_message_authenticator or packet.code == _STATUS_SERVER or packet.counts[_EAP_MESSAGE]:
            return DropReason.MESSAGE_AUTHENTICATOR_MISSING
        if limits_proxy_state and packet.counts[_PROXY_STATE]:
            return DropReason.PROXY_STATE_LIMITED
    if computed and not verify_request_authenticator(packet, keyed):
        return DropReason.REQUEST_AUTHENTICATOR_WRONG
    return None


def decide_response_authenticity(
    packet: Packet,
    keyed: KeyedSecret,
    request_authenticator: bytes,
    *,
    requires_message_authenticator: bool,
) -> DropReason | None:
    """Return why a response is not to be believed, or None.

    A response with EAP-Message needs a Message-Authenticator from everybody (RFC 3579 §3.2). One that is dropped here
    leaves timers and liveness as they are: anybody can send it.
    """
    if not packet.message_authenticator and (requires_message_authenticator or packet.counts[_EAP_MESSAGE]):
        return DropReason.MESSAGE_AUTHENTICATOR_MISSING
    verify = calls.verify_response
    if verify is not None and keyed.native is not None and packet.code != _ACCOUNTING_RESPONSE:
        return _NATIVE_VERDICTS[
            verify(packet.octets, packet.message_authenticator, keyed.native, request_authenticator)
        ]
    signed = _replace_authenticator(packet.octets, request_authenticator)
    if not compare_digest(md5(signed + keyed.secret).digest(), packet.authenticator):
        return DropReason.RESPONSE_AUTHENTICATOR_WRONG
    offset = packet.message_authenticator
    if packet.code == _ACCOUNTING_RESPONSE:
        is_right = verify_message_authenticator(packet, keyed, request_authenticator) is not Verdict.INVALID
    else:
        is_right = not offset or _has_right_digest(signed, offset, keyed)
    return None if is_right else DropReason.MESSAGE_AUTHENTICATOR_WRONG


def sign_request(
    code: int,
    identifier: int,
    authenticator: bytes,
    attributes: bytes,
    keyed: KeyedSecret,
    *,
    with_message_authenticator: bool = True,
) -> bytes:
    """Return a complete request; `attributes` holds everything but the Message-Authenticator, which goes first.

    For Access-Request and Status-Server the `authenticator` is 16 unpredictable octets; for Accounting, Disconnect and
    CoA requests it is computed, and the argument is not looked at.

    Raises:
        ValueError: the packet would exceed 4096 octets.
    """
    body = _UNSIGNED + attributes if with_message_authenticator else attributes
    header = _build_header(code, identifier, body)
    computed = code in COMPUTED_AUTHENTICATOR_CODES
    if computed:
        authenticator = _ZEROS
    if with_message_authenticator:
        body = _MESSAGE_AUTHENTICATOR_HEADER + keyed.hmac_md5(header + authenticator + body) + attributes
    if computed:
        authenticator = md5(header + _ZEROS + body + keyed.secret).digest()
    return header + authenticator + body


def sign_response(
    code: int,
    identifier: int,
    request_authenticator: bytes,
    attributes: bytes,
    keyed: KeyedSecret,
    *,
    with_message_authenticator: bool = True,
) -> bytes:
    """Return a complete response to the request with that authenticator; the Message-Authenticator goes first.

    Raises:
        ValueError: the packet would exceed 4096 octets.
    """
    if with_message_authenticator:
        body = _UNSIGNED + attributes
        header = _build_header(code, identifier, body)
        unsigned = header + request_authenticator
        body = _MESSAGE_AUTHENTICATOR_HEADER + keyed.hmac_md5(unsigned + body) + attributes
    else:
        body = attributes
        header = _build_header(code, identifier, body)
        unsigned = header + request_authenticator
    return header + md5(unsigned + body + keyed.secret).digest() + body


def _build_header(code: int, identifier: int, body: bytes) -> bytes:
    size = len(body)
    if size > _MAX_ATTRIBUTES_OCTETS:
        raise ValueError(f"a packet holds {_MAX_ATTRIBUTES_OCTETS} octets of attributes, not {size}")
    size += HEADER_OCTETS
    return bytes((code, identifier, size >> 8, size & 0xFF))
