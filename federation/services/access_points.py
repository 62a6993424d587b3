"""Access points, controllers and libraries' own proxies: who may ask."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from sqlalchemy import select
from sqlalchemy.orm import Session

from federation.errors import Conflict, InvalidInput, NotFound
from federation.model import AccessPoint, Actor, ClientKind, Created, LibraryId, Page
from federation.services.registry import Change, check_version, cursor_page, find_library, require_writer
from federation.services.shared_secrets import keep_secret
from federation.services.values import (
    check_server_host,
    parse_host,
    parse_id,
    parse_network,
    parse_port,
    parse_vlan,
)
from federation.snapshot import OnTimeout
from federation.store.tables.registry import AccessPointRow, RealmRow

SHORTEST_OWN_PREFIX = {4: 16, 6: 32}  # what a library may register itself, by version of IP


@dataclass(frozen=True, slots=True)
class AccessPointValues:
    """All that can be said of an access point, but its name and its secret."""

    kind: ClientKind = ClientKind.ACCESS_POINT
    address: str | None = None
    certificate: str | None = None
    guest_vlan: int | None = None
    allow_pap: bool = False
    request_cui: bool = False
    coa_port: int | None = None  # where it takes changes of running sessions, usually 3799; None: it takes none
    coa_host: str | None = None  # None: its address
    require_event_timestamp: bool = True  # of who changes a session
    protocol_errors: bool = False
    on_timeout: OnTimeout = OnTimeout.AUTO
    require_message_authenticator: bool = True


def add_access_point(
    change: Change, actor: Actor, library_id: str, *, name: str, values: AccessPointValues, secret: str | None = None
) -> Created[AccessPoint]:
    """The library's access point may ask; without a secret, one is generated and seen this once.

    Raises:
        NotFound: there is no such library that the actor may see.
        Forbidden: the actor may only read.
        InvalidInput: a value can not be, or there is neither an address nor a certificate.
        Conflict: there is one of that name, or another client has the address.
    """
    library = find_library(change.session, actor, library_id)
    require_writer(actor)
    row = AccessPointRow(library_id=library.id, name=parse_id(name, "/name"), version=1)
    query = select(AccessPointRow).where(AccessPointRow.library_id == library.id, AccessPointRow.name == row.name)
    if change.session.scalars(query).one_or_none() is not None:
        raise Conflict(f"library {library.id!r} has an access point {row.name!r} already")
    _keep_values(change.session, actor, row, values)
    generated = keep_secret(change, row, secret, over_tls=row.address is None, generate=True)
    change.session.add(row)
    change.session.flush()
    change.record("access-point.add", _subject(row), library=library.id, after=state_of(row))
    return Created(_describe(row), generated)


def show_access_point(session: Session, actor: Actor, library_id: str, name: str) -> AccessPoint:
    """The access point.

    Raises:
        NotFound: there is none that the actor may see.
    """
    return _describe(_find(session, actor, library_id, name))


def list_access_points(
    session: Session, actor: Actor, library_id: str, *, limit: int = 100, cursor: str | None = None
) -> Page[AccessPoint]:
    """The library's access points, ordered by name.

    Raises:
        NotFound: there is no such library that the actor may see.
    """
    library = find_library(session, actor, library_id)
    query = (
        select(AccessPointRow)
        .where(AccessPointRow.library_id == library.id)
        .order_by(AccessPointRow.name)
        .limit(limit + 1)
    )
    if cursor is not None:
        query = query.where(AccessPointRow.name > cursor)
    return cursor_page([_describe(row) for row in session.scalars(query)], limit, lambda point: point.name)


def change_access_point(
    change: Change,
    actor: Actor,
    library_id: str,
    name: str,
    *,
    values: AccessPointValues,
    secret: str | None = None,
    expected_version: int | None = None,
) -> Created[AccessPoint]:
    """The access point is as said; without a secret the one it has stays. Raises as `add_access_point` does."""
    row = _find(change.session, actor, library_id, name)
    require_writer(actor)
    check_version(row.version, expected_version)
    before, sealed = state_of(row), row.sealed_secret
    _keep_values(change.session, actor, row, values)
    generated = keep_secret(change, row, secret, over_tls=row.address is None, generate=False)
    return _finish(change, row, before, sealed, generated)


def renew_secret(
    change: Change, actor: Actor, library_id: str, name: str, *, expected_version: int | None = None
) -> Created[AccessPoint]:
    """The access point has a new, generated secret, seen this once; the earlier one opens nothing any more.

    Raises:
        NotFound: there is none that the actor may see.
        Forbidden: the actor may only read.
        InvalidInput: it speaks RADIUS/TLS, where certificates take the place of secrets.
        Conflict: it has changed since *expected_version*.
    """
    row = _find(change.session, actor, library_id, name)
    require_writer(actor)
    check_version(row.version, expected_version)
    if row.address is None:
        raise InvalidInput("it speaks RADIUS/TLS, where the secret is always `radsec`", field="/secret")
    before, sealed = state_of(row), row.sealed_secret
    generated = keep_secret(change, row, None, over_tls=False, generate=True)
    return _finish(change, row, before, sealed, generated)


def remove_access_point(
    change: Change, actor: Actor, library_id: str, name: str, *, expected_version: int | None = None
) -> None:
    """The access point may not ask any more; raises as `renew_secret` does."""
    row = _find(change.session, actor, library_id, name)
    require_writer(actor)
    check_version(row.version, expected_version)
    change.record("access-point.remove", _subject(row), library=row.library_id, before=state_of(row))
    change.session.delete(row)
    change.session.flush()


def state_of(row: AccessPointRow) -> dict[str, object]:
    """The values as the audit trail shows them; of the secret, when it last changed."""
    return {
        "kind": row.kind,
        "address": row.address,
        "certificate": row.certificate,
        "guest_vlan": row.guest_vlan,
        "allow_pap": row.allow_pap,
        "request_cui": row.request_cui,
        "coa_port": row.coa_port,
        "coa_host": row.coa_host,
        "require_event_timestamp": row.require_event_timestamp,
        "protocol_errors": row.protocol_errors,
        "on_timeout": row.on_timeout,
        "require_message_authenticator": row.require_message_authenticator,
        "secret_changed_at": row.secret_changed_at.isoformat() if row.secret_changed_at else None,
    }


def _finish(
    change: Change, row: AccessPointRow, before: dict[str, object], sealed: bytes | None, generated: str | None
) -> Created[AccessPoint]:
    if state_of(row) != before or row.sealed_secret != sealed:
        row.version += 1
        change.session.flush()
        change.record("access-point.change", _subject(row), library=row.library_id, before=before, after=state_of(row))
    return Created(_describe(row), generated)


def _find(session: Session, actor: Actor, library_id: str, name: str) -> AccessPointRow:
    library = find_library(session, actor, library_id)
    query = select(AccessPointRow).where(AccessPointRow.library_id == library.id, AccessPointRow.name == name)
    row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound(f"library {library.id!r} has no access point {name!r}")
    return row


def _keep_values(session: Session, actor: Actor, row: AccessPointRow, values: AccessPointValues) -> None:
    if (values.address is None) == (values.certificate is None):
        raise InvalidInput(
            "an access point has either an address (RADIUS/UDP) or the name in its certificate (RADIUS/TLS)",
            field="/address",
        )
    address = None if values.address is None else _write_network(parse_network(values.address, "/address"))
    certificate = None if values.certificate is None else parse_host(values.certificate, "/certificate")
    with session.no_autoflush:
        # What stays as it was is not judged again: an operator may have allowed what a library may not.
        if address is not None and address != row.address:
            _check_address(session, actor, row, ip_network(address))
        if certificate is not None and certificate != row.certificate:
            _check_certificate(session, actor, row, certificate)
    _keep_dynamic_authorization(actor, row, values, address)
    row.address, row.certificate = address, certificate
    row.kind = str(values.kind)
    row.guest_vlan = parse_vlan(values.guest_vlan, "/guest_vlan")
    row.allow_pap = values.allow_pap
    row.request_cui = values.request_cui
    if values.on_timeout is OnTimeout.PROTOCOL_ERROR and not values.protocol_errors:
        raise InvalidInput("only a client with `protocol_errors` gets a Protocol-Error", field="/on_timeout")
    row.protocol_errors, row.on_timeout = values.protocol_errors, str(values.on_timeout)
    row.require_message_authenticator = values.require_message_authenticator


def _keep_dynamic_authorization(
    actor: Actor, row: AccessPointRow, values: AccessPointValues, address: str | None
) -> None:
    """Where it takes changes of running sessions: its own address, if that is one, or the host that is named."""
    earlier = (row.coa_host or row.address) if row.coa_port is not None else None
    row.coa_port = None if values.coa_port is None else parse_port(values.coa_port, "/coa_port")
    row.coa_host = None if values.coa_host is None else parse_host(values.coa_host, "/coa_host")
    row.require_event_timestamp = values.require_event_timestamp
    if row.coa_port is None:
        return
    if address is None:
        raise InvalidInput(
            "changes of sessions go over UDP with the access point's secret; over RADIUS/TLS it has none",
            field="/coa_port",
        )
    host = row.coa_host or address
    if "/" in host:
        raise InvalidInput(f"{host} is a network; name the one host that takes changes of sessions", field="/coa_host")
    if host != earlier:
        check_server_host(host, "/coa_host", may_be_local=actor.is_operator)


def _write_network(network: IPv4Network | IPv6Network) -> str:
    return str(network) if network.num_addresses > 1 else str(network.network_address)


def _check_address(session: Session, actor: Actor, row: AccessPointRow, network: IPv4Network | IPv6Network) -> None:
    """Refuse what would leave open, or take away from another library, whose packets these are.

    The same prefix twice is nobody's. A longer prefix inside another one wins by its length, so only an operator may
    put one inside another library's: a library could cut off its neighbour's access points with it. A library could
    also keep its neighbours out with a prefix that is all of theirs.
    """
    address = _write_network(network)
    same = session.scalars(select(AccessPointRow).where(AccessPointRow.address == address)).first()
    if same is not None and same is not row:
        raise Conflict(f"{address} belongs to another client already")
    if actor.is_operator:
        return
    shortest = SHORTEST_OWN_PREFIX[network.version]
    if network.prefixlen < shortest:
        raise InvalidInput(
            f"{address} is more than one library has; at most a /{shortest}, or ask the federation's operator",
            field="/address",
        )
    others = session.scalars(
        select(AccessPointRow.address).where(
            AccessPointRow.library_id != row.library_id, AccessPointRow.address.is_not(None)
        )
    )
    for other in others:
        their = ip_network(other or "")
        if network.version == their.version and network.overlaps(their):
            raise Conflict(f"{address} overlaps another library's network; ask the federation's operator")


def _check_certificate(session: Session, actor: Actor, row: AccessPointRow, name: str) -> None:
    """Refuse a name that is, or may become, somebody else's: who shows that certificate acts for this library."""
    same = session.scalars(select(AccessPointRow).where(AccessPointRow.certificate == name)).first()
    if same is not None and same is not row:
        raise Conflict(f"{name} belongs to another client already")
    if actor.is_operator:
        return
    own = session.scalars(select(RealmRow.name).where(RealmRow.library_id == row.library_id))
    if not any(name == realm or name.endswith(f".{realm}") for realm in own):
        raise InvalidInput(
            f"{name} is in none of the library's realms; ask the federation's operator", field="/certificate"
        )


def _subject(row: AccessPointRow) -> str:
    return f"library/{row.library_id}/access-point/{row.name}"


def _describe(row: AccessPointRow) -> AccessPoint:
    return AccessPoint(
        library=LibraryId(row.library_id),
        name=row.name,
        kind=ClientKind(row.kind),
        address=row.address,
        certificate=row.certificate,
        guest_vlan=row.guest_vlan,
        allow_pap=row.allow_pap,
        request_cui=row.request_cui,
        coa_port=row.coa_port,
        coa_host=row.coa_host,
        require_event_timestamp=row.require_event_timestamp,
        protocol_errors=row.protocol_errors,
        on_timeout=OnTimeout(row.on_timeout),
        require_message_authenticator=row.require_message_authenticator,
        secret_changed_at=row.secret_changed_at,
        version=row.version,
    )
