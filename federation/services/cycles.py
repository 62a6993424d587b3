"""Requests that would go round: found in what is declared, before a packet shows them.

Realms lead to home servers and never to other realms, so every circle goes through this federation's proxies: a request
that was sent to a home server comes back from it. The home server is then also a client, and a proxy, of another
library; what it does not answer itself it sends up again. A machine that is a library's own proxy *and* its own home
server is no circle (the proxy refuses its own realms with `own_realm_upstream`), nor is one that several libraries have
as their home server. Addresses of loopback name no machine: there a port makes the difference.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from sqlalchemy import select
from sqlalchemy.orm import Session

from federation.model import ClientKind
from federation.snapshot import Transport
from federation.store.tables.registry import AccessPointRow, HomeServerRow, LibraryRow

_Network = tuple[int, int, int]  # version, prefix length, network as a number


@dataclass(frozen=True, slots=True)
class Cycle:
    """A home server that would send requests back."""

    home_server: str  # subjects, as in the audit trail: "library/x/home-server/y"
    proxy: str
    place: str  # the address or the certificate's name that both have

    def touches(self, subjects: Collection[str]) -> bool:
        """Whether one of the subjects is an end of it, or the library of an end."""
        ends = (self.home_server, self.proxy)
        return any(end in subjects or end.rsplit("/", 2)[0] in subjects for end in ends)

    def describe(self, *, names_both: bool = True) -> str:
        """What is wrong and what would be right; `names_both`: for who may know of both libraries."""
        owner, other = self.home_server.split("/")[1], self.proxy.split("/")[1]
        if not names_both:
            return (
                f"{self.place} is one library's proxy and another's home server: it would send requests back to us. "
                "Correct the address, or ask the federation's operator"
            )
        return (
            f"{self.home_server} and {self.proxy} are both at {self.place}: it would send requests for patrons of "
            f"{owner} back to us. If that machine is the home server of both libraries, make it a home server of "
            f"{other} too; else correct the address"
        )


def find_cycles(session: Session, subjects: Collection[str] | None = None) -> list[Cycle]:
    """The circles of active libraries, ordered; only those that touch one of the subjects when they are given."""
    networks, names = _read_proxies(session)
    if not networks and not names:
        return []
    servers = list(_read_servers(session))
    own_hosts = {(library, place) for library, _, place, _ in servers}
    found: list[Cycle] = []
    for library, name, place, transport in servers:
        matching = names.get(place, ()) if transport is Transport.TLS else _match(networks, place)
        for owner, proxy in matching:
            if owner == library or (owner, place) in own_hosts:
                continue
            cycle = Cycle(f"library/{library}/home-server/{name}", f"library/{owner}/access-point/{proxy}", place)
            if subjects is None or cycle.touches(subjects):
                found.append(cycle)
    return sorted(found, key=lambda cycle: (cycle.home_server, cycle.proxy))


def _read_servers(session: Session) -> Iterator[tuple[str, str, str, Transport]]:
    query = (
        select(HomeServerRow.library_id, HomeServerRow.name, HomeServerRow.host, HomeServerRow.transport)
        .join(LibraryRow, LibraryRow.id == HomeServerRow.library_id)
        .where(LibraryRow.is_active)
    )
    for library, name, host, transport in session.execute(query):
        yield library, name, host, Transport(transport)


def _read_proxies(
    session: Session,
) -> tuple[Mapping[_Network, list[tuple[str, str]]], Mapping[str, list[tuple[str, str]]]]:
    """Libraries' own proxies by network, and by the name in their certificate."""
    query = (
        select(AccessPointRow.library_id, AccessPointRow.name, AccessPointRow.address, AccessPointRow.certificate)
        .join(LibraryRow, LibraryRow.id == AccessPointRow.library_id)
        .where(LibraryRow.is_active, AccessPointRow.kind == str(ClientKind.PROXY))
    )
    networks: dict[_Network, list[tuple[str, str]]] = {}
    names: dict[str, list[tuple[str, str]]] = {}
    for library, name, address, certificate in session.execute(query):
        if address is not None:
            network = ip_network(address)
            key = (network.version, network.prefixlen, int(network.network_address))
            networks.setdefault(key, []).append((library, name))
        if certificate is not None:
            names.setdefault(certificate, []).append((library, name))
    return networks, names


def _match(networks: Mapping[_Network, list[tuple[str, str]]], host: str) -> Iterator[tuple[str, str]]:
    """The proxies in whose networks the host is; none for a name, which is looked up only when it is asked."""
    try:
        address: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        return
    if address.is_loopback:
        return
    bits = address.max_prefixlen
    for version, length in {key[:2] for key in networks}:
        if version == address.version:
            number = int(address) >> (bits - length) << (bits - length)
            yield from networks.get((version, length, number), ())
