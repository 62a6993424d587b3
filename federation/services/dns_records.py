"""What a library publishes in its own DNS, so that other federations and their proxies find it (RFC 7585)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from sqlalchemy import select
from sqlalchemy.orm import Session

from federation.model import Actor
from federation.services.registry import find_library
from federation.services.settings import show_settings
from federation.snapshot import Transport
from federation.store.tables.registry import HomeServerRow, RealmRow

TTL_SECONDS = 3600
COMMON_SERVICE = "aaa+auth:radius.tls.tcp"  # RFC 7585 §2.1.1.1: of no federation in particular
FEDERATION_PORT = 2083  # RFC 6614 §2.1: where the federation's proxy is asked from outside
SERVICE_OWNER = "_radiustls._tcp"  # RFC 7585 §2.1.1.1


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """One record, its names absolute."""

    name: str
    ttl: int
    type: str
    value: str

    @property
    def text(self) -> str:
        """The record as a zone file has it."""
        return f"{self.name} {self.ttl} IN {self.type} {self.value}"


def list_dns_records(session: Session, actor: Actor, library_id: str) -> list[DnsRecord]:
    """The records for every realm of the library, in the order of its realms.

    They lead to its own home servers that speak RADIUS/TLS; where it has none, to the federation's proxy, which
    carries requests to the others.

    Raises:
        NotFound: there is no such library that the actor may see.
    """
    library = find_library(session, actor, library_id)
    settings = show_settings(session)
    services = dict.fromkeys((*settings.discovery.services, COMMON_SERVICE))
    servers = session.scalars(
        select(HomeServerRow)
        .where(HomeServerRow.library_id == library.id, HomeServerRow.transport == Transport.TLS)
        .order_by(HomeServerRow.position, HomeServerRow.id)
    ).all()
    realms = session.scalars(
        select(RealmRow).where(RealmRow.library_id == library.id).order_by(RealmRow.position, RealmRow.name)
    )
    found: list[DnsRecord] = []
    for realm in realms:
        owner = f"{SERVICE_OWNER}.{realm.name}."
        names = [f"{realm.name}.", *([f"*.{realm.name}."] if realm.includes_subrealms else [])]
        for name in names:
            for number, service in enumerate(services, start=1):
                found.append(DnsRecord(name, TTL_SECONDS, "NAPTR", f'{number * 100} 10 "s" "{service}" "" {owner}'))
        found += _list_servers(realm.name, owner, servers, settings.eap_server_name)
    return found


def _list_servers(realm: str, owner: str, servers: Sequence[HomeServerRow], proxy: str) -> Iterator[DnsRecord]:
    if not servers:
        yield DnsRecord(owner, TTL_SECONDS, "SRV", f"0 0 {FEDERATION_PORT} {proxy}.")
    shared = 0  # those that have a weight are one group with the neighbours that have one
    for number, server in enumerate(servers, start=1):
        shared = (shared or number) if server.weight else 0
        host = server.host
        kind = _kind_of(host)
        if kind is not None:  # an SRV record leads to a name
            host = f"{server.name}.{realm}"
        yield DnsRecord(owner, TTL_SECONDS, "SRV", f"{shared or number} {server.weight} {server.port} {host}.")
        if kind is not None:
            yield DnsRecord(f"{host}.", TTL_SECONDS, kind, server.host)


def _kind_of(host: str) -> str | None:
    """The type of the record for an address; None for a name."""
    try:
        return "AAAA" if ip_address(host).version == 6 else "A"
    except ValueError:
        return None
