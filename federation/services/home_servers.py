"""Home servers: a library's own RADIUS servers, asked in order. A library without any is hosted by Biebroam."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from federation.errors import Conflict, InvalidInput, NotFound
from federation.model import Actor, Created, HomeServerEntry, LibraryId, Page
from federation.services.registry import Change, check_version, cursor_page, find_library, require_writer
from federation.services.shared_secrets import keep_secret
from federation.services.values import check_server_host, parse_host, parse_id, parse_port
from federation.snapshot import Transport
from federation.store.tables.registry import HomeServerRow

RADIUS_PORT = 1812
RADSEC_PORT = 2083
MAX_WEIGHT = 1000


@dataclass(frozen=True, slots=True)
class HomeServerValues:
    """All that can be said of a home server, but its name and its secret."""

    host: str
    port: int | None = None  # None: the usual one of the transport
    transport: Transport = Transport.UDP
    accounting_port: int | None = None  # None: accounting of the library's patrons is answered where they are
    position: int | None = None  # 0 is asked first; None: as it is, or last
    weight: int = 0  # its share of the devices among neighbours that have one, too; 0: it is asked in its order
    require_message_authenticator: bool = True


def add_home_server(
    change: Change, actor: Actor, library_id: str, *, name: str, values: HomeServerValues, secret: str | None = None
) -> Created[HomeServerEntry]:
    """The library's requests go to this server; without a secret, one is generated and seen this once.

    Raises:
        NotFound: there is no such library that the actor may see.
        Forbidden: the actor may only read.
        InvalidInput: a value can not be.
        Conflict: there is one of that name.
    """
    library = find_library(change.session, actor, library_id)
    require_writer(actor)
    row = HomeServerRow(library_id=library.id, name=parse_id(name, "/name"), version=1)
    query = select(HomeServerRow).where(HomeServerRow.library_id == library.id, HomeServerRow.name == row.name)
    if change.session.scalars(query).one_or_none() is not None:
        raise Conflict(f"library {library.id!r} has a home server {row.name!r} already")
    row.position = change.session.scalar(select(func.count()).where(HomeServerRow.library_id == library.id)) or 0
    _keep_values(actor, row, values)
    generated = keep_secret(change, row, secret, over_tls=row.transport == Transport.TLS, generate=True)
    change.session.add(row)
    change.session.flush()
    change.record("home-server.add", _subject(row), library=library.id, after=state_of(row))
    return Created(_describe(row), generated)


def show_home_server(session: Session, actor: Actor, library_id: str, name: str) -> HomeServerEntry:
    """The home server.

    Raises:
        NotFound: there is none that the actor may see.
    """
    return _describe(_find(session, actor, library_id, name))


def list_home_servers(
    session: Session, actor: Actor, library_id: str, *, limit: int = 100, cursor: str | None = None
) -> Page[HomeServerEntry]:
    """The library's home servers, ordered by name; `position` is the order in which they are asked.

    Raises:
        NotFound: there is no such library that the actor may see.
    """
    library = find_library(session, actor, library_id)
    query = (
        select(HomeServerRow)
        .where(HomeServerRow.library_id == library.id)
        .order_by(HomeServerRow.name)
        .limit(limit + 1)
    )
    if cursor is not None:
        query = query.where(HomeServerRow.name > cursor)
    return cursor_page([_describe(row) for row in session.scalars(query)], limit, lambda server: server.name)


def change_home_server(
    change: Change,
    actor: Actor,
    library_id: str,
    name: str,
    *,
    values: HomeServerValues,
    secret: str | None = None,
    expected_version: int | None = None,
) -> Created[HomeServerEntry]:
    """The home server is as said; without a secret the one it has stays. Raises as `add_home_server` does."""
    row = _find(change.session, actor, library_id, name)
    require_writer(actor)
    check_version(row.version, expected_version)
    before, sealed = state_of(row), row.sealed_secret
    _keep_values(actor, row, values)
    generated = keep_secret(change, row, secret, over_tls=row.transport == Transport.TLS, generate=False)
    if state_of(row) != before or row.sealed_secret != sealed:
        row.version += 1
        change.session.flush()
        change.record("home-server.change", _subject(row), library=row.library_id, before=before, after=state_of(row))
    return Created(_describe(row), generated)


def remove_home_server(
    change: Change, actor: Actor, library_id: str, name: str, *, expected_version: int | None = None
) -> None:
    """The home server is asked no more; without any the library is hosted.

    Raises:
        NotFound: there is none that the actor may see.
        Forbidden: the actor may only read.
        Conflict: it has changed since *expected_version*.
    """
    row = _find(change.session, actor, library_id, name)
    require_writer(actor)
    check_version(row.version, expected_version)
    change.record("home-server.remove", _subject(row), library=row.library_id, before=state_of(row))
    change.session.delete(row)
    change.session.flush()


def state_of(row: HomeServerRow) -> dict[str, object]:
    """The values as the audit trail shows them; of the secret, when it last changed."""
    return {
        "position": row.position,
        "transport": row.transport,
        "host": row.host,
        "port": row.port,
        "accounting_port": row.accounting_port,
        "weight": row.weight,
        "require_message_authenticator": row.require_message_authenticator,
        "secret_changed_at": row.secret_changed_at.isoformat() if row.secret_changed_at else None,
    }


def _find(session: Session, actor: Actor, library_id: str, name: str) -> HomeServerRow:
    library = find_library(session, actor, library_id)
    query = select(HomeServerRow).where(HomeServerRow.library_id == library.id, HomeServerRow.name == name)
    row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound(f"library {library.id!r} has no home server {name!r}")
    return row


def _keep_values(actor: Actor, row: HomeServerRow, values: HomeServerValues) -> None:
    usual = RADIUS_PORT if values.transport is Transport.UDP else RADSEC_PORT
    row.transport = str(values.transport)
    host = parse_host(values.host, "/host")
    if host != row.host:
        check_server_host(host, "/host", may_be_local=actor.is_operator)
    row.host = host
    row.port = parse_port(usual if values.port is None else values.port, "/port")
    row.accounting_port = (
        None if values.accounting_port is None else parse_port(values.accounting_port, "/accounting_port")
    )
    row.require_message_authenticator = values.require_message_authenticator
    if not 0 <= values.weight <= MAX_WEIGHT:
        raise InvalidInput(f"a weight is between 0 and {MAX_WEIGHT}", field="/weight")
    row.weight = values.weight
    if values.position is not None:
        if values.position < 0:
            raise InvalidInput("positions count from 0", field="/position")
        row.position = values.position


def _subject(row: HomeServerRow) -> str:
    return f"library/{row.library_id}/home-server/{row.name}"


def _describe(row: HomeServerRow) -> HomeServerEntry:
    return HomeServerEntry(
        library=LibraryId(row.library_id),
        name=row.name,
        position=row.position,
        transport=Transport(row.transport),
        host=row.host,
        port=row.port,
        accounting_port=row.accounting_port,
        weight=row.weight,
        require_message_authenticator=row.require_message_authenticator,
        secret_changed_at=row.secret_changed_at,
        version=row.version,
    )
