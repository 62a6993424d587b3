"""Where a discovered server may be, and who may not be sent back to itself (RFC 7585 §3.4.4).

The records of a realm may point anywhere: at this proxy, at a printer in the library's network, at a cloud's metadata
service. Only globally reachable unicast addresses are connected to, unless the configuration names a network.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final, TypeAlias

from radius.discovery.records import IPAddress

IPNetwork: TypeAlias = IPv4Network | IPv6Network

RADSEC_PORT: Final = 2083  # RFC 6614 §2.1
MIN_SECONDS: Final = 60  # RFC 7585 §3.4.2: effective TTLs below are raised to this
MAX_SECONDS: Final = 3600  # a realm that moves is followed within the hour, whatever its TTL says

_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last four octets
# Of these the addresses behind are the network's to choose, or never unicast; `is_global` lets some of them pass.
_NEVER: Final = (
    IPv6Network("::/96"),  # IPv4-compatible (RFC 4291 §2.5.5.1)
    IPv6Network("64:ff9b:1::/48"),  # RFC 8215: local translation
    IPv6Network("2001::/32"),  # Teredo
    IPv6Network("fec0::/10"),  # site-local (RFC 3879)
    IPv4Network("192.88.99.0/24"),  # 6to4 relays (RFC 7526)
)


class Refusal(StrEnum):
    """Why discovery gives no server; the value is the stable code in logs and metrics."""

    # The realm's records say so; asked again after the long back-off.
    NO_NAME = "discovery_no_name"  # NXDOMAIN
    NO_SERVICE = "discovery_no_service"  # no NAPTR record with a tag of ours
    NOT_OFFERED = "discovery_not_offered"  # an SRV record with the target "."
    NO_SERVER = "discovery_no_server"  # the tag leads to no SRV record
    NO_ADDRESS = "discovery_no_address"
    RECORD_MALFORMED = "discovery_record_malformed"  # a name, a port or a form that can not be
    TOO_MANY_RECORDS = "discovery_too_many_records"
    CHAIN_TOO_LONG = "discovery_chain_too_long"  # CNAME or NAPTR records one after another
    ADDRESS_NOT_ALLOWED = "discovery_address_not_allowed"
    LOOP_TO_SELF = "discovery_loop_to_self"
    CERTIFICATE = "discovery_certificate"  # what answered there may not serve the realm

    # It depends on who asks; the realm itself may be well.
    LOOP_TO_ASKER = "discovery_loop_to_asker"

    # It may be better in a moment; asked again soon.
    NAMESERVER_FAILED = "discovery_nameserver_failed"
    TIMED_OUT = "discovery_timed_out"
    UNREACHABLE = "discovery_unreachable"  # no server of the realm could be connected to

    # Nothing was asked.
    BUSY = "discovery_busy"  # this asker, or all together, have as many lookups or waiters as they may


@dataclass(frozen=True, slots=True)
class Target:
    """A server of the realm: the addresses to connect to, in order, and the name to ask its certificate for."""

    host: str
    port: int
    addresses: tuple[IPAddress, ...]


@dataclass(frozen=True, slots=True)
class Asker:
    """The peer whose request needs the realm."""

    key: str
    networks: tuple[IPNetwork, ...] = ()  # where it may be: its configured networks, or its connection's address
    names: tuple[str, ...] = ()  # of its certificate, lower case


def _is_nobody(_: IPAddress) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says about discovery."""

    services: tuple[str, ...] = ("x-biebroam:radius.tls",)  # tags, lower case; the first that a realm has is taken
    max_seconds: int = MAX_SECONDS
    allowed_networks: tuple[IPNetwork, ...] = ()  # beside the globally reachable ones
    own_names: frozenset[str] = frozenset()  # lower case
    own_ports: frozenset[int] = frozenset({RADSEC_PORT})  # where this node takes RADIUS/TLS
    is_own: Callable[[IPAddress], bool] = _is_nobody  # whether this node has the address


def judge_address(address: IPAddress, port: int, rules: Rules) -> Refusal | None:
    """Why nothing may be connected to there; None: it may.

    An own address is a loop. In a network that is allowed by name, where several servers may share one machine, only
    an own port is.
    """
    for each in behind(address):
        is_allowed = any(each in network for network in rules.allowed_networks)
        if not is_allowed and not is_reachable(each):
            return Refusal.ADDRESS_NOT_ALLOWED
        if rules.is_own(each) and (port in rules.own_ports or not is_allowed):
            return Refusal.LOOP_TO_SELF
    return None


def is_reachable(address: IPAddress) -> bool:
    """Whether the address is a globally reachable unicast one (the registries of RFC 6890)."""
    return address.is_global and not address.is_multicast and not any(address in network for network in _NEVER)


def behind(address: IPAddress) -> tuple[IPAddress, ...]:
    """The addresses that a packet to this one may reach: an IPv6 address can be the wrapping of an IPv4 one."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return (address.ipv4_mapped,)  # the socket talks IPv4
        if address in _NAT64:
            return (address, IPv4Address(int(address) & 0xFFFFFFFF))
        if address.sixtofour is not None:
            return (address, address.sixtofour)
    return (address,)


def leads_back(targets: Iterable[Target], asker: Asker) -> bool:
    """Whether a server is the very peer that asks."""
    return any(
        target.host in asker.names
        or any(
            each in network for address in target.addresses for each in behind(address) for network in asker.networks
        )
        for target in targets
    )


def asker_at(key: str, address: str, names: Iterable[str] = ()) -> Asker:
    """The asker that was heard from that address, with the names in its certificate."""
    return Asker(key, (ip_network(address.partition("%")[0]),), tuple(name.lower() for name in names))
