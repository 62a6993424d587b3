"""Why a request is refused: one closed set of stable codes for log, metrics, API, `explain` and tests.

A refusal is an *answered* no (Access-Reject, or the NAK of the request's kind). Requests that get no answer at all
have a `radius.errors.DropReason` instead; the two sets share no code.
"""

from enum import StrEnum


class RefusalReason(StrEnum):
    """A reason for an answered refusal; the value is the stable code that operators see."""

    # The name (RFC 7542, and the filters that roaming federations apply before a request leaves).
    USER_NAME_MISSING = "user_name_missing"
    REALM_MISSING = "realm_missing"  # no "@", or nothing after it
    USER_MISSING = "user_missing"  # nothing before the "@"
    MULTIPLE_AT = "multiple_at"
    REALM_SYNTAX = "realm_syntax"  # labels, dots, length
    NAME_SYNTAX = "name_syntax"  # white space at an end, control characters, invalid UTF-8, more than 253 octets
    HOST_NAME = "host_name"  # a Windows machine name, "host/pc.example"
    REALM_DENIED = "realm_denied"  # on the federation's deny list

    # Routing.
    UNROUTABLE = "unroutable"  # no member owns the realm
    OWN_REALM_UPSTREAM = "own_realm_upstream"  # a member's proxy sent its own patrons up
    LOOP_BACK = "loop_back"  # the next hop is the peer that asked
    LOOP = "loop"  # the request has been here before
    TOO_MANY_HOPS = "too_many_hops"

    # Policy.
    PAP_ACROSS_LIBRARIES = "pap_across_libraries"  # a readable password would leave the library
    MSCHAP_OVER_UDP = "mschap_over_udp"
    CHAP_ACROSS_LIBRARIES = "chap_across_libraries"
    NO_CREDENTIALS = "no_credentials"  # neither EAP nor any password attribute

    # Changes of running sessions (RFC 5176, RFC 8559).
    CHANGES_NOT_CARRIED = "changes_not_carried"  # nobody in the federation takes them
    CHANGES_NOT_AGREED = "changes_not_agreed"  # the visited library does not take them
    NOT_HOME_OF_SESSION = "not_home_of_session"  # the sender is not the library that let the patron in
    NAS_NOT_IDENTIFIED = "nas_not_identified"  # which of the visited library's access points is meant
    EVENT_TIMESTAMP_MISSING = "event_timestamp_missing"
    SERVICE_NOT_SUPPORTED = "service_not_supported"  # Service-Type: the session would have to be authorised anew
    CHANGE_NOT_ALLOWED = "change_not_allowed"  # an attribute that the sender may not set there

    # The content of the request.
    EAP_MALFORMED = "eap_malformed"
    PASSWORD_MALFORMED = "password_malformed"  # noqa: S105 - a reason code
    TOO_LARGE = "too_large"

    # The way to the home server.
    NO_LIVE_HOME_SERVER = "no_live_home_server"
    HOP_ERROR = "hop_error"  # the next hop says by Protocol-Error that it can not answer (RFC 7930 §4)
    HOME_SERVER_TIMEOUT = "home_server_timeout"
    REALM_UNAVAILABLE = "realm_unavailable"  # the breaker of (realm, next hop) is open
    REALM_OVERLOAD = "realm_overload"
    NO_IDENTIFIER = "no_identifier"  # all of them are in use towards the next hop
    CLIENT_OVERLOAD = "client_overload"
    REPEATED_REJECTS = "repeated_rejects"  # the home server refused this device again and again

    # Dynamic discovery (RFC 7585): the realm is no library's, and what the DNS says of it leads to nobody.
    DISCOVERY_NO_NAME = "discovery_no_name"
    DISCOVERY_NO_SERVICE = "discovery_no_service"
    DISCOVERY_NOT_OFFERED = "discovery_not_offered"
    DISCOVERY_NO_SERVER = "discovery_no_server"
    DISCOVERY_NO_ADDRESS = "discovery_no_address"
    DISCOVERY_RECORD_MALFORMED = "discovery_record_malformed"
    DISCOVERY_TOO_MANY_RECORDS = "discovery_too_many_records"
    DISCOVERY_CHAIN_TOO_LONG = "discovery_chain_too_long"
    DISCOVERY_ADDRESS_NOT_ALLOWED = "discovery_address_not_allowed"
    DISCOVERY_LOOP_TO_SELF = "discovery_loop_to_self"
    DISCOVERY_LOOP_TO_ASKER = "discovery_loop_to_asker"
    DISCOVERY_CERTIFICATE = "discovery_certificate"  # what answers there may not serve the realm
    DISCOVERY_NAMESERVER_FAILED = "discovery_nameserver_failed"
    DISCOVERY_TIMED_OUT = "discovery_timed_out"
    DISCOVERY_UNREACHABLE = "discovery_unreachable"
    DISCOVERY_BUSY = "discovery_busy"  # too many look-ups, waiting requests or servers, of this client or of all

    # The home server's own decision.
    UNKNOWN_PATRON = "unknown_patron"
    WRONG_CREDENTIALS = "wrong_credentials"
    TOO_MANY_ATTEMPTS = "too_many_attempts"  # wrong passwords for this patron of late: no further one is looked at
    PATRON_BLOCKED = "patron_blocked"
    PATRON_EXPIRED = "patron_expired"
    METHOD_NOT_OFFERED = "method_not_offered"
    INNER_REALM = "inner_realm"  # the name inside the tunnel belongs to another realm
    EAP_FAILED = "eap_failed"  # TLS or EAP state machine failure
    SESSION_UNKNOWN = "session_unknown"  # State of no conversation that is open
    SESSIONS_FULL = "sessions_full"
    STORE_UNAVAILABLE = "store_unavailable"
    STORE_TIMEOUT = "store_timeout"
    REFUSED_BY_HOME = "refused_by_home"  # an Access-Reject from the home server; only it knows more
