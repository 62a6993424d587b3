"""What can go wrong with RADIUS, as one hierarchy and one closed set of reasons.

On the packet path an *expected* bad packet is a returned `DropReason`, never an exception that unwinds the event loop.
"""

from enum import StrEnum
from typing import Final


class DropReason(StrEnum):
    """Why a packet gets no answer; the value is the stable code in logs, metrics and documentation."""

    # Structure (RFC 2865 §3 and §5).
    TOO_SHORT = "too_short"  # fewer than 20 octets
    LENGTH_FIELD = "length_field"  # Length below 20, above 4096, or beyond the datagram
    ATTRIBUTE_TYPE_ZERO = "attribute_type_zero"
    ATTRIBUTE_LENGTH = "attribute_length"  # 0 or 1
    ATTRIBUTE_OVERRUN = "attribute_overrun"  # an attribute passes the end, or one octet dangles
    TOO_MANY_ATTRIBUTES = "too_many_attributes"
    MESSAGE_AUTHENTICATOR_FORM = "message_authenticator_form"  # not 18 octets, or more than one
    CODE_NOT_EXPECTED = "code_not_expected"  # not a code that this listener, or this exchange, takes

    # Authenticity.
    UNKNOWN_CLIENT = "unknown_client"
    MESSAGE_AUTHENTICATOR_MISSING = "message_authenticator_missing"
    MESSAGE_AUTHENTICATOR_WRONG = "message_authenticator_wrong"
    REQUEST_AUTHENTICATOR_WRONG = "request_authenticator_wrong"
    RESPONSE_AUTHENTICATOR_WRONG = "response_authenticator_wrong"
    PROXY_STATE_LIMITED = "proxy_state_limited"  # Proxy-State without Message-Authenticator (BlastRADIUS)

    # State.
    DUPLICATE_PENDING = "duplicate_pending"
    UNMATCHED_RESPONSE = "unmatched_response"
    LATE_RESPONSE = "late_response"
    TOKEN_REUSED = "token_reused"  # noqa: S105 - a reason; RFC 9765 §4.2.2: another request has it, and still waits
    PROXY_STATE_ALTERED = "proxy_state_altered"
    MPPE_KEY_MALFORMED = "mppe_key_malformed"
    SALTED_ATTRIBUTE_MALFORMED = "salted_attribute_malformed"
    TTL_EXPIRED = "ttl_expired"
    HOP_TIMEOUT_SILENT = "hop_timeout_silent"  # policy says: stay silent towards this proxy
    PROTOCOL_ERROR = "protocol_error"
    EVENT_TIMESTAMP_STALE = "event_timestamp_stale"  # not of the last or next five minutes (RFC 5176 §6.3)

    # Capacity.
    QUEUE_FULL = "queue_full"
    CONVERTED_TOO_LARGE = "converted_too_large"  # no room for what RADIUS/1.0 adds to a packet of RADIUS/1.1
    CONNECTION_ENDING = "connection_ending"  # it is closed within a moment, and the peer asks again on its next one
    WAITED_TOO_LONG = "waited_too_long"  # for its turn, in a worker that does not keep up
    NOT_READY = "not_ready"  # no snapshot yet
    RATE_LIMITED = "rate_limited"
    INTERNAL_ERROR = "internal_error"  # our bug; logged once with its trace


# After one of these a stream can not be believed any more: its peer has another secret, or what comes next can not be
# found (RFC 6613 §2.6.4). Over UDP they cost one datagram.
BREAKS_STREAM: Final = frozenset(
    {
        DropReason.TOO_SHORT,
        DropReason.LENGTH_FIELD,
        DropReason.ATTRIBUTE_TYPE_ZERO,
        DropReason.ATTRIBUTE_LENGTH,
        DropReason.ATTRIBUTE_OVERRUN,
        DropReason.MESSAGE_AUTHENTICATOR_FORM,
        DropReason.MESSAGE_AUTHENTICATOR_WRONG,
        DropReason.REQUEST_AUTHENTICATOR_WRONG,
        DropReason.RESPONSE_AUTHENTICATOR_WRONG,
        DropReason.TOKEN_REUSED,
    }
)


class RadiusError(Exception):
    """Anything that RADIUS can refuse; never raised itself."""


class LocalProtocolError(RadiusError):
    """Our own bug: the program asked for something the protocol does not allow."""


class MalformedPacket(RadiusError):  # noqa: N818 - the condition is the name
    """Octets that are no RADIUS packet."""

    def __init__(self, *, reason: DropReason, offset: int = 0) -> None:
        super().__init__(f"{reason} at octet {offset}")
        self.reason = reason
        self.offset = offset


class Unauthentic(RadiusError):  # noqa: N818
    """An authenticator, Message-Authenticator or certificate that does not prove the sender."""

    def __init__(self, *, reason: DropReason, peer: str = "") -> None:
        super().__init__(f"{reason} from {peer or 'a peer'}")
        self.reason = reason
        self.peer = peer


class NotPermitted(RadiusError):  # noqa: N818
    """A code, peer or policy that does not allow what was asked."""


class Unavailable(RadiusError):  # noqa: N818
    """No identifier, no live server, or a full queue."""
