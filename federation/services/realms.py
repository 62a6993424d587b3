"""Realms: which names a library's patrons have. A realm has one owner, in the whole federation."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from sqlalchemy import Select, func, insert, select, update
from sqlalchemy.orm import Session

from federation.errors import Conflict, InvalidInput, NotFound
from federation.model import Actor, LibraryId, Page, RealmEntry
from federation.policy import DenyList
from federation.services.certificates import revoke_unowned
from federation.services.registry import Change, check_version, cursor_page, find_library, require_operator
from federation.services.values import parse_realm
from federation.store.tables.registry import FederationRow, RealmRow

NAMES_AT_A_TIME = 500  # SQLite takes 32,766 values in a statement
FEW = 10  # realms with sub-realms that are asked for one by one


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
    return add_realms(change, actor, library_id, [(name, includes_subrealms)])[0]


def add_realms(
    change: Change,
    actor: Actor,
    library_id: str,
    wanted: Sequence[tuple[str, bool]],
    *,
    at: Callable[[int], AbstractContextManager[None]] = lambda _: nullcontext(),
) -> list[RealmEntry]:
    """The library owns all these realms; with each comes whether its sub-realms are included.

    What is asked of the database does not grow with their number, but for a share of every few hundred. What one of
    them is refused for is raised inside `at` of its place. Raises as `add_realm` does.
    """
    library = find_library(change.session, actor, library_id)
    require_operator(actor)
    settings = change.session.get(FederationRow, 1)
    denied = DenyList(settings.denied_realms if settings is not None else ())
    names: list[str] = []
    for number, (text, _) in enumerate(wanted):
        with at(number):
            name = parse_realm(text, "/name")
            if denied.denies(name):
                raise InvalidInput(
                    f"{name} is on the federation's deny list; its requests would be refused", field="/name"
                )
            names.append(name)
    owners = _Owners(change.session, names, [name for name, (_, below) in zip(names, wanted, strict=True) if below])
    for number, (name, (_, below)) in enumerate(zip(names, wanted, strict=True)):
        with at(number):
            owners.check(name, library.id, includes_subrealms=below)
            owners.add(name, library.id, includes_subrealms=below)
    first = change.session.scalar(_next_position(library.id)) or 0
    entries = [
        RealmEntry(name, LibraryId(library.id), below, version=1)
        for name, (_, below) in zip(names, wanted, strict=True)
    ]
    if not entries:
        return []
    rows = [
        {
            "name": entry.name,
            "library_id": library.id,
            "position": position,
            "includes_subrealms": entry.includes_subrealms,
            "version": entry.version,
        }
        for position, entry in enumerate(entries, start=first)
    ]
    change.session.flush()
    change.session.execute(insert(RealmRow), rows)  # no objects: there may be thousands
    change.session.expire(library, ["realms"])
    for entry in entries:
        subject = f"library/{library.id}/realm/{entry.name}"
        after = {"includes_subrealms": entry.includes_subrealms}
        change.record("realm.add", subject, library=library.id, after=after)
    revoke_unowned(change, *names)  # a neighbour may hold a certificate below one of them
    return entries


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
    query = select(RealmRow.name).where(RealmRow.library_id == library.id)
    before = list(change.session.scalars(query.order_by(RealmRow.position, RealmRow.name)))
    first = {name: place for place, name in enumerate(names)}
    wanted = sorted(before, key=lambda name: first.get(name, len(first)))  # stable: the others keep their order
    if wanted != before:
        change.session.execute(
            update(RealmRow).execution_options(synchronize_session=False),
            [{"name": name, "position": position} for position, name in enumerate(wanted)],
        )
        change.session.expire(library, ["realms"])
        change.record(
            "realm.order",
            f"library/{library.id}",
            library=library.id,
            before={"realms": before},
            after={"realms": wanted},
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


class _Owners:
    """Who owns some names, and what lies above and below them, read for all of them at once."""

    def __init__(self, session: Session, names: Sequence[str], including: Sequence[str]) -> None:
        """Of `including` it is known what lies below them."""
        self._known: dict[str, tuple[str, bool]] = {}  # library, whether it includes its sub-realms
        self._below: dict[str, list[tuple[str, str]]] = {}  # name and library of what lies below
        asked = sorted({*names, *(parent for name in names for parent in _parents_of(name))})
        columns = select(RealmRow.name, RealmRow.library_id, RealmRow.includes_subrealms)
        for start in range(0, len(asked), NAMES_AT_A_TIME):
            found = session.execute(columns.where(RealmRow.name.in_(asked[start : start + NAMES_AT_A_TIME])))
            self._known.update((name, (library, includes)) for name, library, includes in found)
        if len(including) > FEW:  # one walk through all, instead of one for each
            self._below = {name: [] for name in including}
            for name, library in session.execute(select(RealmRow.name, RealmRow.library_id)):
                for parent in _parents_of(name):
                    if parent in self._below:
                        self._below[parent].append((name, library))
            return
        for parent in including:
            below = select(RealmRow.name, RealmRow.library_id).where(RealmRow.name.endswith(f".{parent}"))
            self._below[parent] = [(name, library) for name, library in session.execute(below)]

    def check(self, realm: str, library_id: str, *, includes_subrealms: bool) -> None:
        """One owner each; and nobody takes a name out of, or wraps one around, what is another library's."""
        owner, includes = self._known.get(realm, ("", False))
        if owner and owner != library_id:
            raise Conflict(f"{realm} has an owner already")
        if owner and includes == includes_subrealms:
            raise Conflict(f"library {library_id!r} has {realm} already")
        for parent in _parents_of(realm):
            its_owner, its_includes = self._known.get(parent, (library_id, False))
            if its_includes and its_owner != library_id:
                raise Conflict(f"{realm} lies under {parent}, which belongs to another library with its sub-realms")
        if includes_subrealms:
            for name, its_owner in self._below[realm]:
                if its_owner != library_id:
                    raise Conflict(f"{name} lies under {realm} and belongs to another library")

    def add(self, realm: str, library_id: str, *, includes_subrealms: bool) -> None:
        """It is the library's from now on, too."""
        self._known[realm] = (library_id, includes_subrealms)


def _parents_of(realm: str) -> list[str]:
    labels = realm.split(".")
    return [".".join(labels[start:]) for start in range(1, len(labels) - 1)]


def _check_owners(session: Session, realm: str, library_id: str, *, includes_subrealms: bool) -> None:
    including = [realm] if includes_subrealms else []
    _Owners(session, [realm], including).check(realm, library_id, includes_subrealms=includes_subrealms)


def _next_position(library_id: str) -> Select[int]:
    return select(func.max(RealmRow.position) + 1).where(RealmRow.library_id == library_id)


def _subject(row: RealmRow) -> str:
    return f"library/{row.library_id}/realm/{row.name}"


def _state(row: RealmRow) -> dict[str, object]:
    return {"includes_subrealms": row.includes_subrealms}


def _describe(row: RealmRow) -> RealmEntry:
    return RealmEntry(row.name, LibraryId(row.library_id), row.includes_subrealms, row.version)
