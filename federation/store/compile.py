"""From rows to snapshots: what the running processes work with, complete and checked."""

from collections import Counter
from ipaddress import ip_network

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from federation.errors import NotFound, SnapshotRejected
from federation.model import ClientKind, MemberRole, StoreKind
from federation.policy import DenyList
from federation.snapshot import (
    RADSEC_SECRET,
    Client,
    EapMethod,
    EapServerCredentials,
    Federation,
    HomeServer,
    HomeSnapshot,
    HostedRealm,
    Realm,
    SharedSecret,
    Snapshot,
    Transport,
)
from federation.store.tables.registry import AccessPointRow, FederationRow, HomeServerRow, LibraryRow
from federation.trust.keystore import Sealer


def read_revision(session: Session) -> int:
    """The registry's revision; 0 before it has settings."""
    return session.scalar(select(FederationRow.revision)) or 0


def compile_snapshot(session: Session, sealer: Sealer, hosted: tuple[HomeServer, ...]) -> Snapshot:
    """The federation as a proxy sees it; `hosted` are the home servers that Biebroam runs itself.

    Raises:
        SnapshotRejected: what is registered can not be followed; each reason names its place.
        TrustError: a secret does not open.
    """
    settings = _settings(session)
    clients: list[Client] = []
    servers: dict[str, HomeServer] = {server.key: server for server in hosted}
    realms: dict[str, Realm] = {}
    hosted_keys = tuple(servers)
    for library in _libraries(session):
        own = [_home_server(row, sealer) for row in library.home_servers]
        servers.update((server.key, server) for server in own)
        keys = tuple(server.key for server in own) or hosted_keys
        if MemberRole.HOME in library.roles:
            for row in library.realms:
                realms[row.name] = Realm(row.name, library.id, keys, row.includes_subrealms)
        if MemberRole.VISITED in library.roles:
            operator_name = operator_name_of(library)
            clients.extend(_client(row, operator_name, sealer) for row in library.access_points)
    snapshot = Snapshot(
        revision=settings.revision,
        federation=_federation(settings),
        clients=tuple(clients),
        home_servers=servers,
        realms=realms,
        denied_realms=tuple(settings.denied_realms),
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
    settings = _settings(session)
    realms: dict[str, HostedRealm] = {}
    clients: list[Client] = []
    for library in _libraries(session):
        clients.extend(_client(row, operator_name_of(library), sealer) for row in library.access_points)
        if library.home_servers or MemberRole.HOME not in library.roles:
            continue
        identity = library.identity
        methods = tuple(EapMethod(method) for method in identity.methods) if identity else (EapMethod.TTLS_PAP,)
        kind = identity.kind if identity else str(StoreKind.LOCAL)
        for row in library.realms:
            realms[row.name] = HostedRealm(row.name, library.id, kind, methods)
    return HomeSnapshot(settings.revision, _federation(settings), realms, credentials, tuple(clients))


def validate_snapshot(snapshot: Snapshot) -> list[str]:
    """Why the snapshot must not be used, each reason naming its place; empty when it may be."""
    reasons: list[str] = []
    prefixes = Counter(network for client in snapshot.clients for network in client.networks)
    for network, count in prefixes.items():
        if count > 1:
            keys = ", ".join(client.key for client in snapshot.clients if network in client.networks)
            reasons.append(f"{network} belongs to {count} clients: {keys}")
    for client in snapshot.clients:
        if bool(client.networks) == (client.certificate_name is not None):
            reasons.append(f"{client.key} needs either an address or the name in a certificate")
        if client.networks and not client.secret:
            reasons.append(f"{client.key} has no shared secret")
    for realm in snapshot.realms.values():
        reasons.extend(
            f"{realm.name} names a home server {key!r} that is not there"
            for key in realm.home_servers
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


def operator_name_of(library: LibraryRow) -> str:
    """The library's Operator-Name (RFC 5580 §4.1): as it says, or its first realm."""
    if library.operator_name:
        return library.operator_name
    return library.realms[0].name if library.realms else ""


def _settings(session: Session) -> FederationRow:
    row = session.get(FederationRow, 1, populate_existing=True)
    if row is None:
        raise NotFound("the federation has no settings yet: run `biebroam init`")
    return row


def _federation(row: FederationRow) -> Federation:
    return Federation(row.name, row.country, row.eap_server_name)


def _libraries(session: Session) -> list[LibraryRow]:
    query = (
        select(LibraryRow)
        .where(LibraryRow.is_active)
        .order_by(LibraryRow.id)
        .options(
            selectinload(LibraryRow.realms),
            selectinload(LibraryRow.access_points),
            selectinload(LibraryRow.home_servers),
            selectinload(LibraryRow.identity),
        )
    )
    return list(session.scalars(query))


def _client(row: AccessPointRow, operator_name: str, sealer: Sealer) -> Client:
    secret = None
    if row.sealed_secret is not None:
        secret = SharedSecret(sealer.open(row.sealed_secret, row.secret_context))
    return Client(
        key=f"{row.library_id}/{row.name}",
        library=row.library_id,
        operator_name=operator_name,
        networks=(ip_network(row.address),) if row.address else (),
        secret=secret,
        certificate_name=row.certificate,
        is_proxy=row.kind == ClientKind.PROXY,
        requires_message_authenticator=row.require_message_authenticator,
        allows_pap=row.allow_pap,
        guest_vlan=row.guest_vlan,
        requests_cui=row.request_cui,
    )


def _home_server(row: HomeServerRow, sealer: Sealer) -> HomeServer:
    secret = RADSEC_SECRET
    if row.sealed_secret is not None:
        secret = SharedSecret(sealer.open(row.sealed_secret, row.secret_context))
    return HomeServer(
        key=f"{row.library_id}/{row.name}",
        library=row.library_id,
        host=row.host,
        port=row.port,
        transport=Transport(row.transport),
        secret=secret,
        requires_message_authenticator=row.require_message_authenticator,
    )
