"""From rows to snapshots: what the running processes work with, complete and checked."""

import hmac
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from federation.errors import NotFound, SnapshotRejected
from federation.model import ClientKind, MemberRole, StoreKind
from federation.policy import DenyList
from federation.snapshot import (
    ACCOUNTING,
    RADSEC_SECRET,
    Client,
    EapMethod,
    EapServerCredentials,
    Federation,
    HomeServer,
    HomeSnapshot,
    HostedRealm,
    OnTimeout,
    Realm,
    SharedSecret,
    Snapshot,
    Transport,
)
from federation.store.discovery import read_discovery_policy
from federation.store.tables.registry import (
    AccessPointRow,
    FederationRow,
    HomeServerRow,
    IdentityRow,
    LibraryRow,
    RealmRow,
)
from federation.trust.keystore import Sealer

_ONLY: Final = "libraries"


def read_revision(session: Session | Connection) -> int:
    """The registry's revision; 0 before it has settings."""
    return session.scalar(select(FederationRow.revision)) or 0


def compile_snapshot(session: Session, sealer: Sealer, hosted: tuple[HomeServer, ...]) -> Snapshot:
    """The federation as a proxy sees it; `hosted` are the home servers that Biebroam runs itself.

    Raises:
        SnapshotRejected: what is registered can not be followed; each reason names its place.
        TrustError: a secret does not open.
    """
    settings = find_settings(session)
    servers: dict[str, HomeServer] = {server.key: server for server in hosted}
    hosted_keys = tuple(servers)
    realms: dict[str, Realm] = {}
    members = read_members(session, sealer)
    for member in members:
        servers.update((server.key, server) for server in member.all_home_servers())
        realms.update((realm.name, realm) for realm in member.routes(hosted_keys))
    visited = [member for member in members if member.is_visited]
    clients = [client for member in visited for client in member.clients]
    changeable = {server.key: server for member in visited for server in member.dynamic_authorization_servers}
    snapshot = Snapshot(
        revision=settings.revision,
        federation=describe_federation(settings),
        clients=tuple(clients),
        home_servers=servers,
        dynamic_authorization_servers=changeable,
        dynamic_authorization_clients=find_changers(clients, servers.values()) if changeable else (),
        realms=realms,
        denied_realms=tuple(settings.denied_realms),
        discovery=read_discovery_policy(session, settings),
    )
    reasons = validate_snapshot(snapshot)
    if reasons:
        raise SnapshotRejected(tuple(reasons))
    return snapshot


def compile_home_snapshot(session: Session, sealer: Sealer, credentials: EapServerCredentials) -> HomeSnapshot:
    """The federation as a hosted home server sees it: the realms it ends, and who may ask one that stands alone.

    Raises:
        NotFound: the registry has no settings yet.
        TrustError: a secret does not open.
    """
    settings = find_settings(session)
    members = read_members(session, sealer)
    identities = {row.library_id: row for row in session.scalars(select(IdentityRow))}
    realms: dict[str, HostedRealm] = {}
    for member in members:
        if member.home_servers or MemberRole.HOME not in member.roles:
            continue
        identity = identities.get(member.id)
        methods = tuple(EapMethod(method) for method in identity.methods) if identity else (EapMethod.TTLS_PAP,)
        kind = identity.kind if identity else str(StoreKind.LOCAL)
        realms.update(
            (name, HostedRealm(name, member.id, kind, methods, includes_subrealms=includes_subrealms))
            for name, includes_subrealms in member.realms
        )
    clients = [client for member in members for client in member.clients]
    return HomeSnapshot(settings.revision, describe_federation(settings), realms, credentials, tuple(clients))


def validate_snapshot(snapshot: Snapshot) -> list[str]:
    """Why the snapshot must not be used, each reason naming its place; empty when it may be."""
    reasons: list[str] = []
    prefixes = Counter(network for client in snapshot.clients for network in client.networks)
    for network, count in prefixes.items():
        if count > 1:
            keys = ", ".join(client.key for client in snapshot.clients if network in client.networks)
            reasons.append(f"{network} belongs to {count} clients: {keys}")
    certificates = Counter(client.certificate_name for client in snapshot.clients if client.certificate_name)
    for name, count in certificates.items():
        if count > 1:
            keys = ", ".join(client.key for client in snapshot.clients if client.certificate_name == name)
            reasons.append(f"the certificate {name} belongs to {count} clients: {keys}")
    for client in snapshot.clients:
        if bool(client.networks) == (client.certificate_name is not None):
            reasons.append(f"{client.key} needs either an address or the name in a certificate")
        if client.networks and not client.secret:
            reasons.append(f"{client.key} has no shared secret")
    for realm in snapshot.realms.values():
        reasons.extend(
            f"{realm.name} names a home server {key!r} that is not there"
            for key in (*realm.home_servers, *realm.accounting_servers)
            if key not in snapshot.home_servers
        )
    try:
        DenyList(snapshot.denied_realms)
    except ValueError as error:
        reasons.append(str(error))
    return reasons


def validate_candidate(session: Session) -> list[str]:
    """Why what the session holds, not yet kept, could not become a snapshot; looks at routes, and opens no secret."""
    seen: dict[str, str] = {}
    reasons: list[str] = []
    for key, address in session.execute(
        select(AccessPointRow.library_id + "/" + AccessPointRow.name, AccessPointRow.address)
        .where(AccessPointRow.address.is_not(None))
        .order_by(AccessPointRow.id)
    ):
        if address is None:
            continue
        if address in seen:
            reasons.append(f"{address} belongs to two clients: {seen[address]}, {key}")
        seen[address] = key
    return reasons


def find_settings(session: Session) -> FederationRow:
    """The one row of settings, as it is now.

    Raises:
        NotFound: the registry has none yet.
    """
    row = session.get(FederationRow, 1, populate_existing=True)
    if row is None:
        raise NotFound("the federation has no settings yet: run `biebroam init`")
    return row


def describe_federation(row: FederationRow) -> Federation:
    """What they say of the federation as a whole."""
    return Federation(row.name, row.country, row.eap_server_name)


class Member(NamedTuple):
    """An active library with what is its own."""

    id: str
    roles: list[str]
    operator_name: str
    realms: list[tuple[str, bool]]  # with whether sub-realms are included; in the library's order
    home_servers: list[HomeServer]
    accounting_servers: list[HomeServer]  # of the same servers, where the library wants its patrons' accounting
    clients: list[Client]  # by name
    dynamic_authorization_servers: list[HomeServer]

    @property
    def is_visited(self) -> bool:
        """Whether visitors sign in at it: its clients may ask."""
        return MemberRole.VISITED in self.roles

    def all_home_servers(self) -> list[HomeServer]:
        """Its home servers, with those of accounting as servers of their own; each knows the library's realms."""
        names = tuple(name for name, _ in self.realms)
        return [replace(server, realms=names) for server in (*self.home_servers, *self.accounting_servers)]

    def routes(self, hosted: tuple[str, ...]) -> list[Realm]:
        """Its realms, if its patrons roam, and where their requests go: `hosted`, if it has no home servers."""
        if MemberRole.HOME not in self.roles:
            return []
        keys = tuple(server.key for server in self.home_servers) or hosted
        accounting_keys = tuple(server.key for server in self.accounting_servers)
        return [Realm(name, self.id, keys, includes, accounting_keys) for name, includes in self.realms]


def read_members(session: Session, sealer: Sealer, only: Sequence[str] | None = None) -> list[Member]:
    """The active libraries, ordered by id; of these alone when some are named, as many as a statement takes.

    Columns are read, not objects of the mapping: a compilation shares its process with the packet path, and objects for
    a hundred thousand realms would cost it seconds of the interpreter and hundreds of megabytes.
    """
    query = select(LibraryRow.id, LibraryRow.roles, LibraryRow.operator_name).where(LibraryRow.is_active)
    query = query.where(_among(LibraryRow.id, only))
    members = {
        row[0]: Member(
            *row, realms=[], home_servers=[], accounting_servers=[], clients=[], dynamic_authorization_servers=[]
        )
        # Sorted here: databases order text each in their own way.
        for row in sorted(session.execute(query, {_ONLY: only}), key=lambda row: row[0])
    }
    realms = select(RealmRow.library_id, RealmRow.name, RealmRow.includes_subrealms)
    realms = realms.where(_among(RealmRow.library_id, only)).order_by(RealmRow.position, RealmRow.name)
    for library, name, includes_subrealms in session.execute(realms, {_ONLY: only}):
        if library in members:
            members[library].realms.append((name, includes_subrealms))
    _read_home_servers(session, sealer, members, only)
    _read_clients(session, sealer, members, only)
    for member in members.values():
        member.clients.sort(key=lambda client: client.key)
    return list(members.values())


def _among(column: InstrumentedAttribute[str], only: Sequence[str] | None) -> ColumnElement[bool]:
    """The condition that a statement is for those libraries, which go with it as the values of `_ONLY`."""
    return true() if only is None else _is_named(column)


@cache  # what SQLAlchemy makes of a list refers to itself: made for each change, it would be there until collected
def _is_named(column: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    return column.in_(bindparam(_ONLY, expanding=True))


def _read_home_servers(
    session: Session, sealer: Sealer, members: Mapping[str, Member], only: Sequence[str] | None
) -> None:
    query = select(
        HomeServerRow.library_id,
        HomeServerRow.name,
        HomeServerRow.transport,
        HomeServerRow.host,
        HomeServerRow.port,
        HomeServerRow.accounting_port,
        HomeServerRow.weight,
        HomeServerRow.sealed_secret,
        HomeServerRow.require_message_authenticator,
    )
    query = query.where(_among(HomeServerRow.library_id, only)).order_by(HomeServerRow.position, HomeServerRow.id)
    for library, name, transport, host, port, accounting_port, weight, sealed, required in session.execute(
        query, {_ONLY: only}
    ):
        if library in members:
            context = HomeServerRow.context_of(library, name)
            server = HomeServer(
                key=f"{library}/{name}",
                library=library,
                host=host,
                port=port,
                transport=Transport(transport),
                secret=RADSEC_SECRET if sealed is None else SharedSecret(sealer.open(sealed, context)),
                requires_message_authenticator=required,
                weight=weight,
            )
            members[library].home_servers.append(server)
            if accounting_port is not None:
                members[library].accounting_servers.append(
                    # Its answers are signed by themselves, and few servers put Message-Authenticator into them.
                    replace(
                        server,
                        key=f"{server.key}{ACCOUNTING}",
                        port=accounting_port,
                        requires_message_authenticator=False,
                    )
                )


def _read_clients(session: Session, sealer: Sealer, members: Mapping[str, Member], only: Sequence[str] | None) -> None:
    query = select(
        AccessPointRow.library_id,
        AccessPointRow.name,
        AccessPointRow.kind,
        AccessPointRow.address,
        AccessPointRow.certificate,
        AccessPointRow.sealed_secret,
        AccessPointRow.guest_vlan,
        AccessPointRow.allow_pap,
        AccessPointRow.request_cui,
        AccessPointRow.coa_port,
        AccessPointRow.coa_host,
        AccessPointRow.require_event_timestamp,
        AccessPointRow.protocol_errors,
        AccessPointRow.on_timeout,
        AccessPointRow.require_message_authenticator,
    )
    query = query.where(_among(AccessPointRow.library_id, only)).order_by(AccessPointRow.name)
    nas_key = sealer.derive(b"operator-nas-identifier")
    for row in session.execute(query, {_ONLY: only}):
        library, name, address, sealed, port = row.library_id, row.name, row.address, row.sealed_secret, row.coa_port
        member = members.get(library)
        if member is not None:
            context = AccessPointRow.context_of(library, name)
            key = f"{library}/{name}"
            server = "" if port is None else f"{key}/coa"
            member.clients.append(
                Client(
                    key=key,
                    library=library,
                    operator_name=_operator_name_of(member),
                    networks=(ip_network(address),) if address else (),
                    secret=None if sealed is None else SharedSecret(sealer.open(sealed, context)),
                    certificate_name=row.certificate,
                    is_proxy=row.kind == ClientKind.PROXY,
                    requires_message_authenticator=row.require_message_authenticator,
                    allows_pap=row.allow_pap,
                    guest_vlan=row.guest_vlan,
                    requests_cui=row.request_cui,
                    dynamic_authorization_server=server,
                    requires_event_timestamp=row.require_event_timestamp,
                    # Opaque to the others, and the same on every node (RFC 8559 §3.4).
                    operator_nas_identifier=_name_opaquely(nas_key, key) if server else b"",
                    takes_protocol_errors=row.protocol_errors,
                    on_timeout=OnTimeout(row.on_timeout),
                )
            )
            if port is not None and sealed is not None and address is not None:
                member.dynamic_authorization_servers.append(
                    HomeServer(
                        key=server,
                        library=None,
                        host=row.coa_host or address,
                        port=port,
                        secret=SharedSecret(sealer.open(sealed, context)),
                        requires_message_authenticator=False,
                        answers_status=False,
                    )
                )


def _name_opaquely(key: bytes, name: str) -> bytes:
    return hmac.digest(key, name.encode(), "sha256").hex()[:16].encode()


def find_changers(clients: Iterable[Client], home_servers: Iterable[HomeServer]) -> tuple[Client, ...]:
    """The home servers that are no clients beside it, as those that may change the sessions of their patrons.

    A packet is known by the address that it comes from. One inside a client's network is that client's, or a library
    could cut off its neighbour's access points with home servers in their places; one that several servers share proves
    none of them; a name is no address.
    """
    taken = {network for client in clients for network in client.networks}
    lengths = {(network.version, network.prefixlen) for network in taken}
    servers = [
        (ip_network(server.host), server)
        for server in sorted(home_servers, key=lambda server: server.key)
        if server.transport is Transport.UDP and not server.is_hosted and not server.is_for_accounting
        if _is_address(server.host)
    ]
    counts = Counter(network for network, _ in servers)
    return tuple(
        Client(
            key=f"{server.key}/coa",
            library=server.library or "",
            operator_name="",
            networks=(network,),
            secret=server.secret,
            is_home_server=True,
        )
        for network, server in servers
        if counts[network] == 1
        and not any(
            network.version == version and network.supernet(new_prefix=length) in taken for version, length in lengths
        )
    )


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _operator_name_of(member: Member) -> str:
    """The library's Operator-Name (RFC 5580 §4.1): as it says, or its first realm."""
    if member.operator_name:
        return member.operator_name
    return member.realms[0][0] if member.realms else ""
