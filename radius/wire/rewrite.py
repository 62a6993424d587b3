"""A closed list of edits that turn a received packet into the one that is sent on; all else is copied in slices.

The order of attributes stays, and octets that no edit names stay as they came (RFC 2865 §2.3 and §5).
"""

from collections.abc import Collection, Mapping
from enum import StrEnum

from radius.errors import DropReason
from radius.wire.authenticators import KeyedSecret
from radius.wire.packet import Packet


class RewriteRefusal(StrEnum):
    """Why a request can not be sent on though it is valid; the values are codes of `federation.reasons`."""

    PASSWORD_MALFORMED = "password_malformed"  # noqa: S105 - a reason code
    TOO_LARGE = "too_large"


class AttributeFilter:
    """Which attributes pass in one direction between two kinds of peers; made once by `build_filter`."""


def build_filter(
    *,
    kept: Collection[int] | None = None,
    removed: Collection[int] = (),
    vendors: Mapping[int, Collection[int] | None] | None = None,
    bounds: Mapping[int, tuple[int, int]] | None = None,
) -> AttributeFilter:
    """Return a filter.

    Args:
        kept: the types that pass; None: all.
        removed: types that do not pass, even when `kept` has them. Message-Authenticator and Proxy-State are not
            the filter's business.
        vendors: for each vendor that passes, the vendor types that do, or None for all of its attributes; a vendor
            that is not here does not pass. None: every vendor attribute passes.
        bounds: for integer attributes, the smallest and the largest value that passes.
    """
    raise NotImplementedError


def rewrite_request(
    packet: Packet,
    *,
    identifier: int,
    authenticator: bytes,
    downstream: KeyedSecret,
    upstream: KeyedSecret,
    attribute_filter: AttributeFilter,
    appended: bytes = b"",
    proxy_state: bytes = b"",
) -> bytes | DropReason | RewriteRefusal:
    """Return the request as it goes to a home server, signed.

    Args:
        packet: the client's verified request.
        identifier: ours, towards the home server.
        authenticator: 16 fresh unpredictable octets; not used for accounting, which computes its own.
        downstream: the secret shared with the client.
        upstream: the secret shared with the home server.
        attribute_filter: what may leave.
        appended: whole attributes that are added, such as Operator-Name (see `build_attribute`).
        proxy_state: the value of our own Proxy-State, added after all others; empty: none is added.
    """
    raise NotImplementedError


def rewrite_response(
    packet: Packet,
    *,
    identifier: int,
    request_authenticator: bytes,
    own_request_authenticator: bytes,
    downstream: KeyedSecret,
    upstream: KeyedSecret,
    attribute_filter: AttributeFilter,
    proxy_states: bytes = b"",
    proxy_state: bytes = b"",
    appended: bytes = b"",
) -> bytes | DropReason | RewriteRefusal:
    """Return the home server's verified answer as it goes to the client, signed.

    Args:
        packet: the answer.
        identifier: that of the client's request.
        request_authenticator: that of the client's request.
        own_request_authenticator: the one that we sent to the home server.
        downstream: the secret shared with the client.
        upstream: the secret shared with the home server.
        attribute_filter: what may pass back.
        proxy_states: the client's own Proxy-States as `collect_proxy_states` took them from its request.
        proxy_state: the value of the Proxy-State that we added; empty: we added none.
        appended: whole attributes that are added, such as the guest VLAN.
    """
    raise NotImplementedError


def collect_proxy_states(packet: Packet) -> bytes:
    """Return all Proxy-State attributes of a request as they came, in order (RFC 2865 §5.33)."""
    raise NotImplementedError


def list_removed(packet: Packet, attribute_filter: AttributeFilter) -> bytes:
    """Return the types that the filter takes from the packet, one octet each, for counting."""
    raise NotImplementedError


def build_reply(
    code: int,
    request: Packet,
    keyed: KeyedSecret,
    attributes: bytes = b"",
    *,
    with_message_authenticator: bool = True,
) -> bytes:
    """Return our own answer to a request: Message-Authenticator first, then `attributes`, then its Proxy-States."""
    raise NotImplementedError
