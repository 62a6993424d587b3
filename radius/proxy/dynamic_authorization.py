"""Who may change which running session: CoA-Request and Disconnect-Request on their way to the visited library. Pure.

The home library sends them (RFC 5176), and Operator-Name leads to the library where its patron is (RFC 8559 §3.1). That
the sender let the patron in is judged by the realm of User-Name, which only its owner authenticates: it is the way that
an Access-Request would go, looked at backwards (RFC 8559 §4.3). No session is remembered for it. Such a table would be
in one worker of many and gone after a restart, and would keep who is where. What is left to the access point is its
duty anyway: it changes only a session that all of the identifying attributes fit (RFC 5176 §3), User-Name among them.

A change is done as a whole or not at all (RFC 5176 §2.2), so an attribute that may not pass is no reason to take it out
and send the rest: the sender would believe what the access point never heard.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from federation.names import UserName, parse_user_name
from federation.policy import (
    CHANGE_ANSWER_ATTRIBUTES,
    CHANGEABLE_ATTRIBUTES,
    MAX_IDLE_SECONDS,
    MAX_SESSION_SECONDS,
    MIN_INTERIM_SECONDS,
    SESSION_ATTRIBUTES,
)
from federation.reasons import RefusalReason
from federation.routing import find_realm
from federation.snapshot import Client, Realm, Snapshot
from radius.errors import DropReason
from radius.proxy.clients import ClientState
from radius.proxy.exchange import Passage
from radius.proxy.pipeline import MAX_HOPS
from radius.wire.attributes import find_all
from radius.wire.codes import AttributeType, Code, ExtendedType
from radius.wire.packet import Packet
from radius.wire.rewrite import AttributeFilter, build_filter
from radius.wire.salted import SALTED_HEADERS

FRESH_SECONDS: Final = 300  # RFC 5176 §6.3
_REALM_NAMESPACE: Final = b"1"  # RFC 5580 §4.1
_USER_NAME: Final = int(AttributeType.USER_NAME)
_NAS_IP_ADDRESS: Final = int(AttributeType.NAS_IP_ADDRESS)
_NAS_IPV6_ADDRESS: Final = int(AttributeType.NAS_IPV6_ADDRESS)
_SERVICE_TYPE: Final = int(AttributeType.SERVICE_TYPE)
_VENDOR_SPECIFIC: Final = int(AttributeType.VENDOR_SPECIFIC)
_PROXY_STATE: Final = int(AttributeType.PROXY_STATE)
_EVENT_TIMESTAMP: Final = int(AttributeType.EVENT_TIMESTAMP)
_OPERATOR_NAME: Final = int(AttributeType.OPERATOR_NAME)
_EXTENDED_1: Final = int(AttributeType.EXTENDED_1)
_OPERATOR_NAS_IDENTIFIER: Final = bytes((ExtendedType.OPERATOR_NAS_IDENTIFIER,))
# What is hidden with the authenticator can not be hidden here, where it is computed from the rest (RFC 5176 §2.3).
_HIDDEN: Final = frozenset(
    map(int, (AttributeType.USER_PASSWORD, AttributeType.CHAP_PASSWORD, AttributeType.TUNNEL_PASSWORD))
)
_BOUNDS: Final[Mapping[int, tuple[int, int]]] = {
    int(AttributeType.SESSION_TIMEOUT): (0, MAX_SESSION_SECONDS),
    int(AttributeType.IDLE_TIMEOUT): (0, MAX_IDLE_SECONDS),
    int(AttributeType.ACCT_INTERIM_INTERVAL): (MIN_INTERIM_SECONDS, MAX_SESSION_SECONDS),
}

_ALL: Final[AttributeFilter] = build_filter()
_ANSWER_FROM_MEMBER: Final[AttributeFilter] = build_filter(kept=CHANGE_ANSWER_ATTRIBUTES)
# An access point refuses what it does not know (RFC 5176 §3), and what led to it is of no more use there.
_TO_ACCESS_POINT: Final[AttributeFilter] = build_filter(removed=(_OPERATOR_NAME, _EXTENDED_1))


class Operators:
    """The libraries of one snapshot as Operator-Names lead to them, and their access points that take changes."""

    __slots__ = ("_names", "_servers", "_snapshot")

    def __init__(self, snapshot: Snapshot) -> None:
        """Where nobody takes changes, nothing is kept."""
        self._snapshot = snapshot
        self._names: dict[str, Counter[str]] = {}  # libraries, with how many of their clients are called so
        self._servers: dict[str, dict[str, Client]] = {}  # by library, then by key
        self._add(snapshot.clients)

    def _add(self, clients: Iterable[Client]) -> None:
        if not self._snapshot.dynamic_authorization_servers:
            return
        for client in clients:
            if client.operator_name:
                self._names.setdefault(client.operator_name, Counter())[client.library] += 1
            if client.dynamic_authorization_server:
                self._servers.setdefault(client.library, {})[client.key] = client

    def _remove(self, clients: Iterable[Client]) -> None:
        for client in clients:
            libraries = self._names.get(client.operator_name)
            if libraries is not None:
                libraries[client.library] -= 1
                if not +libraries:
                    del self._names[client.operator_name]
            servers = self._servers.get(client.library)
            if servers is not None and servers.pop(client.key, None) is not None and not servers:
                del self._servers[client.library]

    def follow(self, snapshot: Snapshot, gone: Iterable[Client], come: Iterable[Client]) -> None:
        """They are those of a snapshot that takes changes at the same places, and differs in these clients."""
        self._snapshot = snapshot
        self._remove(gone)
        self._add(come)

    @property
    def is_nobody(self) -> bool:
        """Whether no access point of the federation takes changes."""
        return not self._servers

    def find(self, packet: Packet) -> str | None:
        """Return the library that the packet's one Operator-Name leads to: a realm's owner, else who is called so."""
        names = find_all(packet, _OPERATOR_NAME)
        if len(names) != 1 or not names[0].startswith(_REALM_NAMESPACE):
            return None
        name = names[0][1:].decode("ascii", errors="replace").lower()
        realm = find_realm(self._snapshot, name)
        if realm is not None:
            return realm.library
        return min(+self._names.get(name, Counter[str]()), default=None)

    def owner_of(self, packet: Packet) -> str | None:
        """Return the library that authenticates the packet's one User-Name; None when there is none."""
        names = find_all(packet, _USER_NAME)
        name = parse_user_name(names[0]) if len(names) == 1 else None
        realm = find_realm(self._snapshot, name.realm) if isinstance(name, UserName) else None
        return None if realm is None else realm.library

    def choose(self, library: str, packet: Packet) -> Client | RefusalReason:
        """Return the access point of that library which a change is for.

        It is the one that Operator-NAS-Identifier names, else the one with the NAS's address, else the only one.
        """
        servers = self._servers.get(library)
        if servers is None:
            return RefusalReason.CHANGES_NOT_AGREED
        clients = list(servers.values())
        named = [value[1:] for value in find_all(packet, _EXTENDED_1) if value[:1] == _OPERATOR_NAS_IDENTIFIER]
        if named:
            # A proxy's access points have names that it gave itself (RFC 8559 §3.4); it finds them by those.
            fitting = [client for client in clients if client.operator_nas_identifier == named[0]]
            clients = fitting or [client for client in clients if client.is_proxy]
        elif len(clients) > 1:
            addresses = _addresses_of(packet)
            fitting = [
                client
                for client in clients
                if any(address in network for address in addresses for network in client.networks)
            ]
            clients = fitting or [client for client in clients if client.is_proxy]
        return clients[0] if len(clients) == 1 else RefusalReason.NAS_NOT_IDENTIFIED


def decide_change(
    packet: Packet, sender: ClientState, operators: Operators, at: float
) -> tuple[Realm, Passage] | RefusalReason | DropReason:
    """Return where an authentic CoA-Request or Disconnect-Request goes and what goes along, or why it does not.

    `at`: seconds since the epoch. The realm that is returned has the visited library, and its one access point as what
    is asked.
    """
    if operators.is_nobody:
        return RefusalReason.CHANGES_NOT_CARRIED
    if not is_fresh(packet, at):
        return DropReason.EVENT_TIMESTAMP_STALE  # RFC 5176 §6.3: silently, as it may be a replay
    target = _find_target(packet, sender, operators)
    if isinstance(target, RefusalReason):
        return target
    refusal = _judge(packet, sender, target)
    if refusal is not None:
        return refusal
    return (
        Realm(target.operator_name, target.library, (target.dynamic_authorization_server,)),
        Passage(
            _ALL if target.is_proxy else _TO_ACCESS_POINT,
            _ALL if sender.library == target.library else _ANSWER_FROM_MEMBER,
            is_change=True,
            adds_proxy_state=target.is_proxy,
        ),
    )


def is_fresh(packet: Packet, at: float) -> bool:
    """Whether every Event-Timestamp is of the last or next five minutes; a packet without one has none that is not."""
    return all(
        len(value) == 4 and abs(int.from_bytes(value) - at) <= FRESH_SECONDS
        for value in find_all(packet, _EVENT_TIMESTAMP)
    )


def _find_target(packet: Packet, sender: ClientState, operators: Operators) -> Client | RefusalReason:
    library = operators.find(packet)
    if library is None:
        return RefusalReason.UNROUTABLE
    may_send = sender.is_proxy or sender.is_home_server  # an access point lets nobody in
    if not may_send or operators.owner_of(packet) != sender.library:
        return RefusalReason.NOT_HOME_OF_SESSION
    return operators.choose(library, packet)


def _judge(packet: Packet, sender: ClientState, target: Client) -> RefusalReason | None:
    types = packet.types
    if types.count(_PROXY_STATE) > MAX_HOPS:
        return RefusalReason.TOO_MANY_HOPS
    if sender.key == target.key:
        return RefusalReason.LOOP_BACK
    if target.requires_event_timestamp and _EVENT_TIMESTAMP not in types:
        return RefusalReason.EVENT_TIMESTAMP_MISSING
    if _is_any_hidden(packet):
        return RefusalReason.CHANGE_NOT_ALLOWED
    return None if sender.library == target.library else _judge_from_member(packet)


def _judge_from_member(packet: Packet) -> RefusalReason | None:
    types = packet.types
    if _SERVICE_TYPE in types:
        return RefusalReason.SERVICE_NOT_SUPPORTED  # "Authorize Only" (RFC 5176 §3.2)
    allowed = SESSION_ATTRIBUTES
    if packet.code == Code.COA_REQUEST:
        allowed |= CHANGEABLE_ATTRIBUTES
    is_allowed = allowed.issuperset(types) and all(
        value[:1] == _OPERATOR_NAS_IDENTIFIER for value in find_all(packet, _EXTENDED_1)
    )
    return None if is_allowed and _is_in_bounds(packet) else RefusalReason.CHANGE_NOT_ALLOWED


def _is_any_hidden(packet: Packet) -> bool:
    return not _HIDDEN.isdisjoint(packet.types) or any(
        value[:5] in SALTED_HEADERS for value in find_all(packet, _VENDOR_SPECIFIC)
    )


def _is_in_bounds(packet: Packet) -> bool:
    return all(
        len(value) == 4 and low <= int.from_bytes(value) <= high
        for kind, (low, high) in _BOUNDS.items()
        for value in find_all(packet, kind)
    )


def _addresses_of(packet: Packet) -> list[IPv4Address | IPv6Address]:
    """The addresses that the packet says the access point has."""
    values = [value for value in find_all(packet, _NAS_IP_ADDRESS) if len(value) == 4]
    return [ip_address(value) for value in (*values, *(v for v in find_all(packet, _NAS_IPV6_ADDRESS) if len(v) == 16))]
