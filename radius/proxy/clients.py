"""Clients as the packet path needs them: what a packet asks of them is computed once."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from federation.policy import (
    MAX_IDLE_SECONDS,
    MAX_SESSION_SECONDS,
    MIN_INTERIM_SECONDS,
    REQUEST_ATTRIBUTES,
    REQUEST_VENDORS,
    RESPONSE_ATTRIBUTES,
    RESPONSE_VENDOR_ATTRIBUTES,
)
from federation.reasons import RefusalReason
from federation.snapshot import RADSEC_SECRET, Client, OnTimeout
from radius.proxy.replies import PROTOCOL_ERROR_CAUSES
from radius.wire.attributes import find_all
from radius.wire.authenticators import KeyedSecret
from radius.wire.codes import AttributeType, ExtendedType
from radius.wire.packet import HEADER_OCTETS, Packet, build_attribute
from radius.wire.rewrite import AttributeFilter, build_filter

MAX_CACHED_ADDRESSES: Final = 65_536
_REALM_NAMESPACE: Final = b"1"  # RFC 5580 §4.1
_TUNNEL_TYPE_VLAN: Final = (13).to_bytes(4)  # RFC 3580 §3.31, with tag 0
_TUNNEL_MEDIUM_802: Final = (6).to_bytes(4)  # RFC 2868 §3.2, with tag 0
_VENDOR_SPECIFIC: Final = int(AttributeType.VENDOR_SPECIFIC)
_OPERATOR_NAME: Final = int(AttributeType.OPERATOR_NAME)
_EXTENDED_1: Final = int(AttributeType.EXTENDED_1)
_OPERATOR_NAS_IDENTIFIER: Final = bytes((ExtendedType.OPERATOR_NAS_IDENTIFIER,))
_CUI: Final = int(AttributeType.CHARGEABLE_USER_IDENTITY)
_CUI_REQUEST: Final = build_attribute(_CUI, b"\x00")  # RFC 4372 §2.1


def _vendors_of(pairs: Iterable[tuple[int, int]]) -> Mapping[int, set[int]]:
    vendors: dict[int, set[int]] = {}
    for vendor, vendor_type in pairs:
        vendors.setdefault(vendor, set()).add(vendor_type)
    return vendors


# From an access point the Operator-Name is ours to say; from a proxy it is kept (RFC 5580 §4.1).
REQUEST_OF_ACCESS_POINT: Final[AttributeFilter] = build_filter(
    kept=REQUEST_ATTRIBUTES | {_VENDOR_SPECIFIC}, vendors=dict.fromkeys(REQUEST_VENDORS), removed=(_OPERATOR_NAME,)
)
REQUEST_OF_PROXY: Final[AttributeFilter] = build_filter(
    kept=REQUEST_ATTRIBUTES | {_VENDOR_SPECIFIC}, vendors=dict.fromkeys(REQUEST_VENDORS)
)
REQUEST_WITHIN_LIBRARY: Final[AttributeFilter] = build_filter(removed=(_OPERATOR_NAME,))
RESPONSE_FROM_MEMBER: Final[AttributeFilter] = build_filter(
    kept=RESPONSE_ATTRIBUTES | {_VENDOR_SPECIFIC},
    vendors=_vendors_of(RESPONSE_VENDOR_ATTRIBUTES),
    bounds={
        AttributeType.SESSION_TIMEOUT: (0, MAX_SESSION_SECONDS),
        AttributeType.IDLE_TIMEOUT: (0, MAX_IDLE_SECONDS),
        AttributeType.ACCT_INTERIM_INTERVAL: (MIN_INTERIM_SECONDS, MAX_SESSION_SECONDS),
    },
)
RESPONSE_WITHIN_LIBRARY: Final[AttributeFilter] = build_filter()


class ClientState:
    """One client of the snapshot with all that is computed from it."""

    __slots__ = (
        "_cui_request",
        "_operator_name",
        "_operator_nas_identifier",
        "_origin",
        "accepts",
        "client",
        "guest_attributes",
        "is_home_server",
        "is_proxy",
        "is_stream",
        "key",
        "keyed",
        "library",
        "refusals",
        "rejects",
        "request_filter",
        "requests",
        "requires_message_authenticator",
        "signed_first",
        "signed_later",
        "takes_protocol_errors",
        "unsigned",
    )

    def __init__(self, client: Client) -> None:
        """All is computed from the client; one with a name in its certificate speaks RADIUS/TLS."""
        self.client = client
        self.is_stream = client.certificate_name is not None
        self.key = client.key
        self.library = client.library
        self.is_proxy = client.is_proxy
        self.is_home_server = client.is_home_server  # it may send nothing but changes of sessions
        self.takes_protocol_errors = client.takes_protocol_errors
        # Over TLS nothing can be put in on the way: the flags are for UDP (CVE-2024-3596).
        self.requires_message_authenticator = client.requires_message_authenticator and not self.is_stream
        self.keyed = KeyedSecret(RADSEC_SECRET if self.is_stream else client.secret or b"")
        name = client.operator_name.encode("ascii")
        self._operator_name = build_attribute(_OPERATOR_NAME, _REALM_NAMESPACE + name) if name else b""
        nas = client.operator_nas_identifier
        self._operator_nas_identifier = build_attribute(_EXTENDED_1, _OPERATOR_NAS_IDENTIFIER + nas) if nas else b""
        self._origin = self._operator_name + self._operator_nas_identifier
        self._cui_request = _CUI_REQUEST if client.requests_cui else b""
        self.request_filter = REQUEST_OF_PROXY if client.is_proxy else REQUEST_OF_ACCESS_POINT
        self.guest_attributes = _build_vlan(client.guest_vlan)
        self.requests = 0  # that are no repeats
        self.accepts = 0
        self.rejects = 0  # the home server's
        self.refusals = 0  # our own
        # Where the Message-Authenticator of its Access-Requests stood (CVE-2024-3596).
        self.signed_first = 0
        self.signed_later = 0
        self.unsigned = 0

    def hears_nothing(self, *, is_realm_silent: bool, requires_errors: bool = False) -> bool:
        """Whether it gets no answer to a request that no home server answered in time.

        Where nothing else was said, an access point gets a no, since its patron waits. To a proxy that does not know
        Protocol-Error one slow login must not be a final no at every hop; but where the realm is known to be silent, it
        gets one, since silence is what makes neighbours believe that this proxy is dead. Over RADIUS/1.1 nobody is left
        in silence (`requires_errors`).
        """
        policy = self.client.on_timeout
        if policy is OnTimeout.AUTO:
            return self.is_proxy and not (self.takes_protocol_errors or requires_errors or is_realm_silent)
        return policy is OnTimeout.DROP

    def hears_error(self, reason: RefusalReason, *, requires_errors: bool = False) -> bool:
        """Whether it gets a Protocol-Error for that reason, where nobody but the way to the home server is to blame.

        It does where it has said that it takes them, and over RADIUS/1.1 (`requires_errors`, RFC 9765 §6.1).
        """
        if not (self.takes_protocol_errors or requires_errors) or reason not in PROTOCOL_ERROR_CAUSES:
            return False
        return reason is not RefusalReason.HOME_SERVER_TIMEOUT or self.client.on_timeout is not OnTimeout.REJECT

    def appended_to(self, packet: Packet) -> bytes:
        """What is added to an Access-Request: where it comes from, and a question for the CUI."""
        appended = self.origin_of(packet) if self.is_proxy else self._origin
        return appended + self._cui_request if self._cui_request and not packet.counts[_CUI] else appended

    def origin_of(self, packet: Packet) -> bytes:
        """Operator-Name, and Operator-NAS-Identifier where sessions may be changed; what a proxy says is kept."""
        if not self.is_proxy:
            return self._origin
        counts = packet.counts
        said = operator_nas_identifiers_of(packet) if counts[_EXTENDED_1] else b""
        return (b"" if counts[_OPERATOR_NAME] else self._operator_name) + (said or self._operator_nas_identifier)

    def observe(self, packet: Packet) -> None:
        """Count where the Message-Authenticator of an authentic Access-Request stands."""
        offset = packet.message_authenticator
        if offset == HEADER_OCTETS:
            self.signed_first += 1
        elif offset:
            self.signed_later += 1
        else:
            self.unsigned += 1

    def counters(self) -> dict[str, object]:
        """What a status report tells."""
        return {
            "requests": self.requests,
            "accepts": self.accepts,
            "rejects": self.rejects,
            "refusals": self.refusals,
            "message_authenticator_first": self.signed_first,
            "message_authenticator_later": self.signed_later,
            "message_authenticator_missing": self.unsigned,
            **(
                {"transport": "tls"}
                if self.is_stream
                else {"message_authenticator_required": int(self.requires_message_authenticator)}
            ),
        }


def operator_nas_identifiers_of(packet: Packet) -> bytes:
    """Return the Operator-NAS-Identifier attributes of a request as they came (RFC 8559 §3.4)."""
    return b"".join(
        build_attribute(_EXTENDED_1, value)
        for value in find_all(packet, _EXTENDED_1)
        if value[:1] == _OPERATOR_NAS_IDENTIFIER
    )


def _number_of(network: IPv4Network | IPv6Network) -> int:
    return int(network.network_address) >> (network.max_prefixlen - network.prefixlen)


def _build_vlan(vlan: int | None) -> bytes:
    """The three attributes that put a session into a VLAN (RFC 3580 §3.31)."""
    if vlan is None:
        return b""
    return (
        build_attribute(AttributeType.TUNNEL_TYPE, _TUNNEL_TYPE_VLAN)
        + build_attribute(AttributeType.TUNNEL_MEDIUM_TYPE, _TUNNEL_MEDIUM_802)
        + build_attribute(AttributeType.TUNNEL_PRIVATE_GROUP_ID, str(vlan).encode())
    )


class Clients:
    """Finds the client of a source address, where the longest prefix wins, or of a name in a certificate."""

    __slots__ = ("_by_prefix", "_cache", "by_name", "states")

    states: dict[str, ClientState]
    """All clients by their keys."""

    def __init__(self, clients: Iterable[Client], known: Mapping[str, ClientState] | None = None) -> None:
        """`known` are states of an earlier snapshot, used again where the client is the same."""
        known = known or {}
        self._cache: dict[str, ClientState | None] = {}
        self._by_prefix: list[tuple[tuple[int, int], dict[int, ClientState]]] = []  # the longest first
        self.by_name: dict[str, ClientState] = {}  # the name in its certificate, lower-case
        self.states: dict[str, ClientState] = {}
        for client in clients:
            earlier = known.get(client.key)
            is_same = earlier is not None and (earlier.client is client or earlier.client == client)
            self._add(earlier if earlier is not None and is_same else ClientState(client))

    def change(self, removed: Iterable[str], changed: Iterable[ClientState]) -> None:
        """The clients of these keys are gone; those of these states are new, or in the place of another."""
        for key in removed:
            self._remove(key)
        for state in changed:
            self._remove(state.key)
        for state in changed:
            self._add(state)
        self._cache.clear()

    def _add(self, state: ClientState) -> None:
        client = state.client
        if client.certificate_name is not None:
            self.by_name[client.certificate_name.lower()] = state
        for network in client.networks:
            kind = (network.version, network.prefixlen)
            found = [by_network for known, by_network in self._by_prefix if known == kind]
            if not found:
                found.append({})
                self._by_prefix.append((kind, found[0]))
                self._by_prefix.sort(key=lambda item: -item[0][1])
            found[0][_number_of(network)] = state
        self.states[state.key] = state

    def _remove(self, key: str) -> None:
        """What is another's by now stays."""
        state = self.states.pop(key, None)
        if state is None:
            return
        client = state.client
        if client.certificate_name is not None and self.by_name.get(client.certificate_name.lower()) is state:
            del self.by_name[client.certificate_name.lower()]
        for network in client.networks:
            for kind, by_network in self._by_prefix:
                number = _number_of(network)
                if kind == (network.version, network.prefixlen) and by_network.get(number) is state:
                    del by_network[number]

    def find(self, host: str) -> ClientState | None:
        """Return the client that sends from that address, as recvfrom writes it."""
        try:
            return self._cache[host]
        except KeyError:
            state = self._look_up(host)
            if len(self._cache) >= MAX_CACHED_ADDRESSES:
                self._cache.clear()  # a flood of forged addresses must not fill the memory
            self._cache[host] = state
            return state

    def _look_up(self, host: str) -> ClientState | None:
        address = ip_address(host.partition("%")[0])
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        number = int(address)
        for (version, length), by_network in self._by_prefix:
            if version == address.version:
                state = by_network.get(number >> (address.max_prefixlen - length))
                if state is not None:
                    return state
        return None
