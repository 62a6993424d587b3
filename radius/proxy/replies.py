"""The answers that the proxy gives itself: pure, each a whole packet or None when it would not fit."""

from typing import Final

from federation.reasons import RefusalReason
from radius.wire.attributes import find_all
from radius.wire.authenticators import KeyedSecret
from radius.wire.codes import AttributeType, Code, ErrorCause
from radius.wire.packet import Packet, build_attribute
from radius.wire.rewrite import build_reply

_EAP_FAILURE: Final = 4  # RFC 3748 §4.2
_EAP_MESSAGE: Final = int(AttributeType.EAP_MESSAGE)
_ERROR_CAUSE: Final = int(AttributeType.ERROR_CAUSE)

# Error-Cause says to the proxies on the way what kind of no it is (RFC 5176 §3.5); the device never sees it.
_ERROR_CAUSES: Final[dict[RefusalReason, int]] = {
    RefusalReason.UNROUTABLE: ErrorCause.REQUEST_NOT_ROUTABLE,
    RefusalReason.NO_LIVE_HOME_SERVER: ErrorCause.REQUEST_NOT_ROUTABLE,
    RefusalReason.HOP_ERROR: ErrorCause.REQUEST_NOT_ROUTABLE,
    RefusalReason.EAP_MALFORMED: ErrorCause.INVALID_EAP_PACKET,
}

_CHANGE_CAUSES: Final[dict[RefusalReason, int]] = {
    RefusalReason.CHANGES_NOT_CARRIED: ErrorCause.UNSUPPORTED_EXTENSION,
    RefusalReason.CHANGES_NOT_AGREED: ErrorCause.ADMINISTRATIVELY_PROHIBITED,
    RefusalReason.NOT_HOME_OF_SESSION: ErrorCause.ADMINISTRATIVELY_PROHIBITED,
    RefusalReason.NAS_NOT_IDENTIFIED: ErrorCause.NAS_IDENTIFICATION_MISMATCH,
    RefusalReason.EVENT_TIMESTAMP_MISSING: ErrorCause.MISSING_ATTRIBUTE,
    RefusalReason.SERVICE_NOT_SUPPORTED: ErrorCause.UNSUPPORTED_SERVICE,
    RefusalReason.CHANGE_NOT_ALLOWED: ErrorCause.UNSUPPORTED_ATTRIBUTE,
    RefusalReason.UNROUTABLE: ErrorCause.REQUEST_NOT_ROUTABLE,
    RefusalReason.NO_LIVE_HOME_SERVER: ErrorCause.REQUEST_NOT_ROUTABLE,
    RefusalReason.LOOP: ErrorCause.REQUEST_NOT_ROUTABLE,
    RefusalReason.LOOP_BACK: ErrorCause.REQUEST_NOT_ROUTABLE,
    RefusalReason.TOO_MANY_HOPS: ErrorCause.REQUEST_NOT_ROUTABLE,
    RefusalReason.REALM_OVERLOAD: ErrorCause.RESOURCES_UNAVAILABLE,
    RefusalReason.NO_IDENTIFIER: ErrorCause.RESOURCES_UNAVAILABLE,
    RefusalReason.CLIENT_OVERLOAD: ErrorCause.RESOURCES_UNAVAILABLE,
}
# Where the way to the home server is to blame, and neither the device nor its library has said no.
PROTOCOL_ERROR_CAUSES: Final[dict[RefusalReason, int]] = {
    RefusalReason.UNROUTABLE: ErrorCause.REQUEST_NOT_ROUTABLE,
    RefusalReason.NO_LIVE_HOME_SERVER: ErrorCause.REQUEST_NOT_ROUTABLE,
    RefusalReason.LOOP_BACK: ErrorCause.REQUEST_NOT_ROUTABLE,
    RefusalReason.LOOP: ErrorCause.PROXY_PROCESSING_ERROR,
    RefusalReason.TOO_MANY_HOPS: ErrorCause.PROXY_PROCESSING_ERROR,
    RefusalReason.HOP_ERROR: ErrorCause.PROXY_PROCESSING_ERROR,
    RefusalReason.HOME_SERVER_TIMEOUT: ErrorCause.PROXY_PROCESSING_ERROR,
    RefusalReason.REALM_UNAVAILABLE: ErrorCause.RESOURCES_UNAVAILABLE,
    RefusalReason.REALM_OVERLOAD: ErrorCause.RESOURCES_UNAVAILABLE,
    RefusalReason.NO_IDENTIFIER: ErrorCause.RESOURCES_UNAVAILABLE,
    RefusalReason.CLIENT_OVERLOAD: ErrorCause.RESOURCES_UNAVAILABLE,
}
# What a next hop says of the way behind it, or of itself: another one may do better (RFC 9765 §6.1).
DIVERTING_CAUSES: Final = frozenset(
    map(
        int,
        (ErrorCause.REQUEST_NOT_ROUTABLE, ErrorCause.PROXY_PROCESSING_ERROR, ErrorCause.RESOURCES_UNAVAILABLE),
    )
)
# What the DNS says of a realm is no answer of its library's: the client may know another way (RFC 7585 §3.4.2).
_DISCOVERY_CAUSES: Final[dict[RefusalReason, int]] = {
    reason: int(ErrorCause.REQUEST_NOT_ROUTABLE) for reason in RefusalReason if reason.value.startswith("discovery_")
}
_DISCOVERY_CAUSES[RefusalReason.DISCOVERY_BUSY] = int(ErrorCause.RESOURCES_UNAVAILABLE)
_ERROR_CAUSES.update(_DISCOVERY_CAUSES)
PROTOCOL_ERROR_CAUSES.update(_DISCOVERY_CAUSES)
_ORIGINAL_PACKET_CODE: Final = 4  # 241.4, RFC 7930 §3.3.1 and §4


def report_error(
    packet: Packet,
    keyed: KeyedSecret,
    reason: RefusalReason,
    *,
    requires_errors: bool = False,
    cause: int | None = None,
) -> bytes | None:
    """Return a Protocol-Error that says why the request is not carried (RFC 7930 §4); the client may ask elsewhere.

    `cause` is what the next hop said, and goes before our own; 0: it said nothing, and nothing is added to that. Over
    RADIUS/1.1 (`requires_errors`) a proxy's own is one of two (RFC 9765 §6.1).
    """
    if cause is None:
        cause = PROTOCOL_ERROR_CAUSES[reason]
        if requires_errors and cause != ErrorCause.REQUEST_NOT_ROUTABLE:
            cause = ErrorCause.PROXY_PROCESSING_ERROR
    attributes = build_attribute(AttributeType.ERROR_CAUSE, cause.to_bytes(4)) if cause else b""
    attributes += build_attribute(AttributeType.EXTENDED_1, bytes((_ORIGINAL_PACKET_CODE,)) + packet.code.to_bytes(4))
    return _reply(Code.PROTOCOL_ERROR, packet, keyed, attributes)


def refuse(packet: Packet, keyed: KeyedSecret, reason: RefusalReason) -> bytes | None:
    """Return an Access-Reject, with EAP-Failure when the request had EAP (RFC 3579 §2.6.5)."""
    attributes = b""
    if _EAP_MESSAGE in packet.types:
        value = packet.value_of(_EAP_MESSAGE)
        identifier = value[1] if len(value) > 1 else 0
        attributes = build_attribute(_EAP_MESSAGE, bytes((_EAP_FAILURE, identifier, 0, 4)))
    cause = _ERROR_CAUSES.get(reason)
    if cause is not None:
        attributes += build_attribute(AttributeType.ERROR_CAUSE, cause.to_bytes(4))
    return _reply(Code.ACCESS_REJECT, packet, keyed, attributes)


def answer_status(packet: Packet, keyed: KeyedSecret, *, is_accounting: bool) -> bytes | None:
    """Return the answer to Status-Server: Access-Accept, or Accounting-Response on that port (RFC 5997 §4.2)."""
    return _reply(Code.ACCOUNTING_RESPONSE if is_accounting else Code.ACCESS_ACCEPT, packet, keyed)


def answer_accounting(packet: Packet, keyed: KeyedSecret) -> bytes | None:
    """Return an Accounting-Response of our own (RFC 2866 §4.2)."""
    octets = build_reply(
        Code.ACCOUNTING_RESPONSE, packet, keyed, with_message_authenticator=bool(packet.message_authenticator)
    )
    return octets if isinstance(octets, bytes) else None


def refuse_change(packet: Packet, keyed: KeyedSecret, reason: RefusalReason) -> bytes | None:
    """Return the NAK to a change of a running session, with the cause that its sender understands (RFC 5176 §3.5)."""
    code = Code.COA_NAK if packet.code == Code.COA_REQUEST else Code.DISCONNECT_NAK
    cause = _CHANGE_CAUSES.get(reason, ErrorCause.PROXY_PROCESSING_ERROR)
    return _reply(code, packet, keyed, build_attribute(AttributeType.ERROR_CAUSE, cause.to_bytes(4)))


def read_error_cause(packet: Packet) -> int:
    """Return the Error-Cause of an answer; 0 when it has none, or more than one."""
    values = find_all(packet, _ERROR_CAUSE)
    return int.from_bytes(values[0]) if len(values) == 1 and len(values[0]) == 4 else 0


def _reply(code: Code, packet: Packet, keyed: KeyedSecret, attributes: bytes = b"") -> bytes | None:
    octets = build_reply(code, packet, keyed, attributes)
    return octets if isinstance(octets, bytes) else None
