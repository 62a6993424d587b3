"""Realms: which names a library's patrons have. A realm has one owner, in the whole federation."""

from collections.abc import Sequence

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from federation.errors import Conflict, InvalidInput, NotFound
from federation.model import Actor, LibraryId, Page, RealmEntry
from federation.policy import DenyList
from federation.services.certificates import revoke_unowned
from federation.services.registry import Change, check_version, cursor_page, find_library, require_operator
from federation.services.values import parse_realm
from federation.store.tables.registry import FederationRow, RealmRow


def add_realm(
    change: Change, actor: Actor, library_id: str, *, name: str, includes_subrealms: bool = False
) -> RealmEntry:
    """The library owns the realm. Realms are given by operators: who owns one receives its patrons' requests.

    Raises:
        Forbidden: the actor is no operator.
        NotFound: there is no such library.
        InvalidInput: it is no realm, or the federation refuses it.
        Conflict: it has an owner, or lies under a realm of another library that includes its sub-realms.
    """
    library = find_library(change.session, actor, library_id)
    require_operator(actor)
    realm = parse_realm(name, "/name")
    settings = change.session.get(FederationRow, 1)
    if settings is not None and DenyList(settings.denied_realms).denies(realm):
        raise InvalidInput(f"{realm} is on the federation's deny list; its requests would be refused", field="/name")
    _check_owners(change.session, realm, library.id, includes_subrealms=includes_subrealms)
    position = change.session.scalar(_next_position(library.id)) or 0
    row = RealmRow(
        name=realm, library_id=library.id, position=position, includes_subrealms=includes_subrealms, version=1
    )
    change.session.add(row)
    change.session.flush()
    change.record("realm.add", _subject(row), library=library.id, after=_state(row))
    revoke_unowned(change, row.name)  # a neighbour may hold a certificate below it
    return _describe(row)


def show_realm(session: Session, actor: Actor, library_id: str, name: str) -> RealmEntry:
    """The realm of that library.

    Raises:
        NotFound: there is none that the actor may see.
    """
    return _describe(_find(session, actor, library_id, name))


def list_realms(
    session: Session, actor: Actor, library_id: str, *, limit: int = 100, cursor: str | None = None
) -> Page[RealmEntry]:
    """The library's realms, ordered by name.

    Raises:
        NotFound: there is no such library that the actor may see.
    """
    library = find_library(session, actor, library_id)
    query = select(RealmRow).where(RealmRow.library_id == library.id).order_by(RealmRow.name).limit(limit + 1)
    if cursor is not None:
        query = query.where(RealmRow.name > cursor)
    return cursor_page([_describe(row) for row in session.scalars(query)], limit, lambda realm: realm.name)


def change_realm(
    change: Change,
    actor: Actor,
    library_id: str,
    name: str,
    *,
    includes_subrealms: bool,
    expected_version: int | None = None,
) -> RealmEntry:
    """The realm includes what lies under it, or not; raises as `add_realm` does."""
    row = _find(change.session, actor, library_id, name)
    require_operator(actor)
    check_version(row.version, expected_version)
    if row.includes_subrealms != includes_subrealms:
        _check_owners(change.session, row.name, row.library_id, includes_subrealms=includes_subrealms)
        before = _state(row)
        row.includes_subrealms = includes_subrealms
        row.version += 1
        change.session.flush()
        change.record("realm.change", _subject(row), library=row.library_id, before=before, after=_state(row))
    return _describe(row)


def order_realms(change: Change, actor: Actor, library_id: str, names: Sequence[str]) -> None:
    """These realms come first, in this order; the first one is the library's Operator-Name unless it has another.

    Raises:
        NotFound: there is no such library that the actor may see.
        Forbidden: the actor is no operator.
    """
    library = find_library(change.session, actor, library_id)
    require_operator(actor)
    query = select(RealmRow).where(RealmRow.library_id == library.id).order_by(RealmRow.position, RealmRow.name)
    rows = list(change.session.scalars(query))
    first = {name: place for place, name in enumerate(names)}
    wanted = sorted(rows, key=lambda row: first.get(row.name, len(first)))  # stable: the others keep their order
    if wanted != rows:
        for position, row in enumerate(wanted):
            row.position = position
        change.session.flush()
        change.session.expire(library, ["realms"])
        change.record(
            "realm.order",
            f"library/{library.id}",
            library=library.id,
            before={"realms": [row.name for row in rows]},
            after={"realms": [row.name for row in wanted]},
        )


def remove_realm(
    change: Change, actor: Actor, library_id: str, name: str, *, expected_version: int | None = None
) -> None:
    """Nobody owns the realm; its requests are refused from now on.

    Raises:
        NotFound: there is none that the actor may see.
        Forbidden: the actor is no operator.
        Conflict: it has changed since *expected_version*.
    """
    row = _find(change.session, actor, library_id, name)
    require_operator(actor)
    check_version(row.version, expected_version)
    change.record("realm.remove", _subject(row), library=row.library_id, before=_state(row))
    change.session.delete(row)
    change.session.flush()
    revoke_unowned(change, row.name)


def _find(session: Session, actor: Actor, library_id: str, name: str) -> RealmRow:
    library = find_library(session, actor, library_id)
    query = select(RealmRow).where(RealmRow.library_id == library.id, RealmRow.name == name.lower())
    row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound(f"library {library.id!r} has no realm {name!r}")
    return row


def _check_owners(session: Session, realm: str, library_id: str, *, includes_subrealms: bool) -> None:
    """One owner each; and nobody takes a name out of, or wraps one around, what is another library's."""
    existing = session.get(RealmRow, realm)
    if existing is not None and existing.library_id != library_id:
        raise Conflict(f"{realm} has an owner already")
    if existing is not None and existing.includes_subrealms == includes_subrealms:
        raise Conflict(f"library {library_id!r} has {realm} already")
    labels = realm.split(".")
    parents = [".".join(labels[n:]) for n in range(1, len(labels) - 1)]
    wrapping = session.scalars(
        select(RealmRow).where(
            RealmRow.name.in_(parents), RealmRow.includes_subrealms, RealmRow.library_id != library_id
        )
    ).first()
    if wrapping is not None:
        raise Conflict(f"{realm} lies under {wrapping.name}, which belongs to another library with its sub-realms")
    if includes_subrealms:
        below = session.scalars(
            select(RealmRow).where(RealmRow.name.endswith(f".{realm}"), RealmRow.library_id != library_id)
        ).first()
        if below is not None:
            raise Conflict(f"{below.name} lies under {realm} and belongs to another library")


def _next_position(library_id: str) -> Select[int]:
    return select(func.max(RealmRow.position) + 1).where(RealmRow.library_id == library_id)


def _subject(row: RealmRow) -> str:
    return f"library/{row.library_id}/realm/{row.name}"


def _state(row: RealmRow) -> dict[str, object]:
    return {"includes_subrealms": row.includes_subrealms}


def _describe(row: RealmRow) -> RealmEntry:
    return RealmEntry(row.name, LibraryId(row.library_id), row.includes_subrealms, row.version)
