"""Libraries: the members of the federation."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from federation.errors import Conflict, InvalidInput
from federation.model import Actor, Library, LibraryId, MemberRole, Page
from federation.services.certificates import revoke_all
from federation.services.registry import (
    Change,
    check_version,
    cursor_page,
    find_library,
    require_operator,
    require_writer,
)
from federation.services.values import parse_id, parse_realm, parse_text
from federation.store.tables.registry import HomeServerRow, LibraryRow, RealmRow

BOTH_ROLES = (MemberRole.HOME, MemberRole.VISITED)


def add_library(
    change: Change,
    actor: Actor,
    *,
    library_id: str,
    name: str,
    roles: Sequence[MemberRole] = BOTH_ROLES,
    operator_name: str = "",
) -> Library:
    """A new member, without realms or access points yet.

    Raises:
        Forbidden: the actor is no operator.
        InvalidInput: a value can not be.
        Conflict: there is a library with that id.
    """
    require_operator(actor)
    key = parse_id(library_id, "/id")
    if change.session.get(LibraryRow, key) is not None:
        raise Conflict(f"there is a library {key!r} already")
    row = LibraryRow(
        id=key,
        name=parse_text(name, "/name"),
        roles=_parse_roles(roles),
        operator_name=_parse_operator_name(operator_name),
        is_active=True,
        created_at=change.now,
        changed_at=change.now,
        revision=change.revision,
        version=1,
    )
    change.session.add(row)
    change.session.flush()
    change.record("library.add", f"library/{key}", library=key, after=_state(row))
    return _describe(change.session, row)


def show_library(session: Session, actor: Actor, library_id: str) -> Library:
    """The library.

    Raises:
        NotFound: there is none that the actor may see.
    """
    return _describe(session, find_library(session, actor, library_id))


def list_libraries(session: Session, actor: Actor, *, limit: int = 100, cursor: str | None = None) -> Page[Library]:
    """Libraries that the actor may see, ordered by id."""
    query = select(LibraryRow).order_by(LibraryRow.id).limit(limit + 1)
    if actor.library is not None:
        query = query.where(LibraryRow.id == actor.library)
    if cursor is not None:
        query = query.where(LibraryRow.id > cursor)
    found = [_describe(session, row) for row in session.scalars(query)]
    return cursor_page(found, limit, lambda library: library.id)


def change_library(
    change: Change,
    actor: Actor,
    library_id: str,
    *,
    name: str,
    roles: Sequence[MemberRole],
    operator_name: str,
    is_active: bool,
    expected_version: int | None = None,
) -> Library:
    """The library is as said; roles, operator name and activity are an operator's to change.

    Raises:
        NotFound: there is none that the actor may see.
        Forbidden: the actor may only read, or changes what is an operator's.
        InvalidInput: a value can not be.
        Conflict: it has changed since *expected_version*.
    """
    require_writer(actor)
    row = find_library(change.session, actor, library_id)
    check_version(row.version, expected_version)
    before = _state(row)
    after: dict[str, object] = {
        "name": parse_text(name, "/name"),
        "roles": _parse_roles(roles),
        "operator_name": _parse_operator_name(operator_name),
        "is_active": is_active,
    }
    if any(before[key] != after[key] for key in ("roles", "operator_name", "is_active")):
        require_operator(actor)
    if before != after:
        for key, value in after.items():
            setattr(row, key, value)
        row.version += 1
        change.session.flush()
        change.record("library.change", f"library/{row.id}", library=row.id, before=before, after=after)
    return _describe(change.session, row)


def remove_library(change: Change, actor: Actor, library_id: str, *, expected_version: int | None = None) -> None:
    """The library leaves, with all that is its own; its certificates are revoked.

    Raises:
        Forbidden: the actor is no operator.
        NotFound: there is no such library.
        Conflict: it has changed since *expected_version*.
    """
    require_operator(actor)
    row = find_library(change.session, actor, library_id)
    check_version(row.version, expected_version)
    before = _state(row) | {"realms": [realm.name for realm in row.realms]}
    change.record("library.remove", f"library/{row.id}", library=row.id, before=before)
    revoke_all(change, row.id)
    change.session.delete(row)
    change.session.flush()


def _parse_roles(roles: Sequence[MemberRole]) -> list[str]:
    if not roles:
        raise InvalidInput("a library is home, visited, or both", field="/roles")
    return [str(role) for role in MemberRole if role in roles]


def _parse_operator_name(text: str) -> str:
    return parse_realm(text, "/operator_name") if text else ""


def _state(row: LibraryRow) -> dict[str, object]:
    return {
        "name": row.name,
        "roles": list(row.roles),
        "operator_name": row.operator_name,
        "is_active": row.is_active,
    }


def _describe(session: Session, row: LibraryRow) -> Library:
    realms = session.scalars(select(RealmRow.name).where(RealmRow.library_id == row.id).order_by(RealmRow.position))
    servers = session.scalar(select(func.count()).where(HomeServerRow.library_id == row.id))
    return Library(
        id=LibraryId(row.id),
        name=row.name,
        roles=tuple(MemberRole(role) for role in row.roles),
        operator_name=row.operator_name,
        is_active=row.is_active,
        realms=tuple(realms),
        is_hosted=not servers,
        created_at=row.created_at,
        changed_at=row.changed_at,
        version=row.version,
    )
