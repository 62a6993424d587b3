"""The protocol's numbers, each with the RFC that gives it; no bare protocol number lives anywhere else."""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final


class Code(IntEnum):
    """What a packet is (RFC 2865 §3, RFC 2866 §3, RFC 5176 §2, RFC 5997 §2.1, RFC 7930 §4)."""

    ACCESS_REQUEST = 1
    ACCESS_ACCEPT = 2
    ACCESS_REJECT = 3
    ACCOUNTING_REQUEST = 4
    ACCOUNTING_RESPONSE = 5
    ACCESS_CHALLENGE = 11
    STATUS_SERVER = 12
    DISCONNECT_REQUEST = 40
    DISCONNECT_ACK = 41
    DISCONNECT_NAK = 42
    COA_REQUEST = 43
    COA_ACK = 44
    COA_NAK = 45
    PROTOCOL_ERROR = 52


CODE_NAMES: Final = {int(code): code.name.lower() for code in Code}  # as counters have them

EXPECTED_RESPONSES: Final[Mapping[int, frozenset[int]]] = MappingProxyType(
    {
        int(request): frozenset(map(int, responses))
        for request, responses in (
            (
                Code.ACCESS_REQUEST,
                (Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE, Code.PROTOCOL_ERROR),
            ),
            (Code.ACCOUNTING_REQUEST, (Code.ACCOUNTING_RESPONSE, Code.PROTOCOL_ERROR)),
            # Access-Reject is outside RFC 5997 §3, but there are servers that say it; it shows that they live.
            (Code.STATUS_SERVER, (Code.ACCESS_ACCEPT, Code.ACCOUNTING_RESPONSE, Code.ACCESS_REJECT)),
            (Code.DISCONNECT_REQUEST, (Code.DISCONNECT_ACK, Code.DISCONNECT_NAK, Code.PROTOCOL_ERROR)),
            (Code.COA_REQUEST, (Code.COA_ACK, Code.COA_NAK, Code.PROTOCOL_ERROR)),
        )
    }
)
"""The codes that answer each kind of request; any other answer is dropped, however well it is signed."""


class AttributeType(IntEnum):
    """The attributes that Biebroam acts on or knows by name."""

    USER_NAME = 1  # RFC 2865 §5.1
    USER_PASSWORD = 2  # RFC 2865 §5.2
    CHAP_PASSWORD = 3  # RFC 2865 §5.3
    NAS_IP_ADDRESS = 4  # RFC 2865 §5.4
    NAS_PORT = 5  # RFC 2865 §5.5
    SERVICE_TYPE = 6  # RFC 2865 §5.6
    FRAMED_PROTOCOL = 7  # RFC 2865 §5.7
    FRAMED_IP_ADDRESS = 8  # RFC 2865 §5.8
    FRAMED_IP_NETMASK = 9  # RFC 2865 §5.9
    FRAMED_ROUTING = 10  # RFC 2865 §5.10
    FILTER_ID = 11  # RFC 2865 §5.11
    FRAMED_MTU = 12  # RFC 2865 §5.12
    LOGIN_IP_HOST = 14  # RFC 2865 §5.14
    REPLY_MESSAGE = 18  # RFC 2865 §5.18
    CALLBACK_NUMBER = 19  # RFC 2865 §5.19
    FRAMED_ROUTE = 22  # RFC 2865 §5.22
    STATE = 24  # RFC 2865 §5.24
    CLASS = 25  # RFC 2865 §5.25
    VENDOR_SPECIFIC = 26  # RFC 2865 §5.26
    SESSION_TIMEOUT = 27  # RFC 2865 §5.27
    IDLE_TIMEOUT = 28  # RFC 2865 §5.28
    TERMINATION_ACTION = 29  # RFC 2865 §5.29
    CALLED_STATION_ID = 30  # RFC 2865 §5.30
    CALLING_STATION_ID = 31  # RFC 2865 §5.31
    NAS_IDENTIFIER = 32  # RFC 2865 §5.32
    PROXY_STATE = 33  # RFC 2865 §5.33
    ACCT_STATUS_TYPE = 40  # RFC 2866 §5.1
    ACCT_DELAY_TIME = 41  # RFC 2866 §5.2
    ACCT_SESSION_ID = 44  # RFC 2866 §5.5
    EVENT_TIMESTAMP = 55  # RFC 2869 §5.3
    EGRESS_VLANID = 56  # RFC 4675 §2.1
    EGRESS_VLAN_NAME = 58  # RFC 4675 §2.3
    CHAP_CHALLENGE = 60  # RFC 2865 §5.40
    NAS_PORT_TYPE = 61  # RFC 2865 §5.41
    PORT_LIMIT = 62  # RFC 2865 §5.42
    TUNNEL_TYPE = 64  # RFC 2868 §3.1
    TUNNEL_MEDIUM_TYPE = 65  # RFC 2868 §3.2
    TUNNEL_PASSWORD = 69  # RFC 2868 §3.5
    CONNECT_INFO = 77  # RFC 2869 §5.11
    EAP_MESSAGE = 79  # RFC 3579 §3.1
    MESSAGE_AUTHENTICATOR = 80  # RFC 3579 §3.2
    TUNNEL_PRIVATE_GROUP_ID = 81  # RFC 2868 §3.6
    ACCT_INTERIM_INTERVAL = 85  # RFC 2869 §5.16
    NAS_PORT_ID = 87  # RFC 2869 §5.17
    CHARGEABLE_USER_IDENTITY = 89  # RFC 4372 §2.1
    NAS_FILTER_RULE = 92  # RFC 4849 §2
    NAS_IPV6_ADDRESS = 95  # RFC 3162 §2.1
    FRAMED_INTERFACE_ID = 96  # RFC 3162 §2.2
    FRAMED_IPV6_PREFIX = 97  # RFC 3162 §2.3
    ERROR_CAUSE = 101  # RFC 5176 §3.6
    DELEGATED_IPV6_PREFIX = 123  # RFC 4818 §3
    OPERATOR_NAME = 126  # RFC 5580 §4.1
    LOCATION_INFORMATION = 127  # RFC 5580 §4.2
    LOCATION_DATA = 128  # RFC 5580 §4.3
    EAP_LOWER_LAYER = 163  # RFC 6677 §5
    EXTENDED_1 = 241  # RFC 6929 §3.1
    EXTENDED_2 = 242
    EXTENDED_3 = 243
    EXTENDED_4 = 244
    LONG_EXTENDED_1 = 245  # RFC 6929 §3.5
    LONG_EXTENDED_2 = 246


class ExtendedType(IntEnum):
    """Attributes inside Extended-Attribute-1."""

    OPERATOR_NAS_IDENTIFIER = 8  # RFC 8559 §3.4


class VendorId(IntEnum):
    """Private Enterprise Numbers of the vendors whose attributes Biebroam looks into."""

    CISCO = 9
    MOTOROLA_WIMAX = 161
    MICROSOFT = 311  # RFC 2548
    USR = 429
    ASCEND = 529
    ALCATEL_ESAM = 637
    ALCATEL_LUCENT_AAA = 831
    LANCOM = 2356
    LUCENT = 4846
    JUNIPER_ERX = 4874
    TELRAD = 5323
    THREE_GPP2 = 5535
    ALCATEL_SR = 6527
    STARENT = 8164
    ARUBA = 14823
    KINETO = 16445
    WIMAX = 24757
    AEROHIVE = 26928
    RADSEC_PROXY_TTL = 27262  # the hop counter that radsecproxy's documentation gives: vendor 27262, attribute 1


class MicrosoftAttribute(IntEnum):
    """Microsoft's attributes (RFC 2548)."""

    CHAP_RESPONSE = 1  # §2.1.3
    CHAP_ERROR = 2  # §2.1.5
    MPPE_ENCRYPTION_POLICY = 7  # §2.4.4
    MPPE_ENCRYPTION_TYPES = 8  # §2.4.5
    CHAP_DOMAIN = 10  # §2.1.4
    CHAP_CHALLENGE = 11  # §2.1.2
    CHAP_MPPE_KEYS = 12  # §2.4.1
    MPPE_SEND_KEY = 16  # §2.4.2
    MPPE_RECV_KEY = 17  # §2.4.3
    CHAP2_RESPONSE = 25  # §2.3.2
    CHAP2_SUCCESS = 26  # §2.3.3


class ErrorCause(IntEnum):
    """Values of Error-Cause (RFC 5176 §3.6; 202 and the 500s as RFC 3576 gave them)."""

    RESIDUAL_SESSION_CONTEXT_REMOVED = 201
    INVALID_EAP_PACKET = 202
    UNSUPPORTED_ATTRIBUTE = 401
    MISSING_ATTRIBUTE = 402
    NAS_IDENTIFICATION_MISMATCH = 403
    INVALID_REQUEST = 404
    UNSUPPORTED_SERVICE = 405
    UNSUPPORTED_EXTENSION = 406
    ADMINISTRATIVELY_PROHIBITED = 501
    REQUEST_NOT_ROUTABLE = 502
    SESSION_CONTEXT_NOT_FOUND = 503
    PROXY_PROCESSING_ERROR = 505
    RESOURCES_UNAVAILABLE = 506


class AcctStatusType(IntEnum):
    """Values of Acct-Status-Type (RFC 2866 §5.1)."""

    START = 1
    STOP = 2
    INTERIM_UPDATE = 3
    ACCOUNTING_ON = 7
    ACCOUNTING_OFF = 8


class TunnelType(IntEnum):
    """Values of Tunnel-Type (RFC 2868 §3.1, RFC 3580 §3.31)."""

    VLAN = 13


class TunnelMediumType(IntEnum):
    """Values of Tunnel-Medium-Type (RFC 2868 §3.2)."""

    IEEE_802 = 6
