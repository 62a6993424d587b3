"""Patrons of a hosted library with the local store: added, changed, blocked, removed, imported.

Nobody reads a password or a hash back. The audit trail names a patron by a pseudonym that only this installation can
make, so that "what happened to this patron's entry" can be answered by who has the name, and the trail tells no names.
"""

import hashlib
import hmac
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from federation.errors import Conflict, Forbidden, InvalidInput, NotFound
from federation.identity.passwords import PasswordHashes, default_hashes, nt_hash, validate_new_password
from federation.identity.patron_files import InvalidPatronFile, NewPatron, build_problem, parse_patron_file
from federation.identity.patron_names import normalise_user
from federation.model import Actor, Page, Patron, StoreKind
from federation.names import normalise_realm
from federation.services.registry import Change, Registry, check_version, cursor_page, find_library, require_writer
from federation.store.tables.patrons import PatronRow
from federation.trust.keystore import Sealer

_MAX_THREADS = 8  # each verification takes 19 MiB
_PSEUDONYM_OCTETS = 10


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did."""

    added: int
    replaced: int


def add_patron(
    change: Change,
    actor: Actor,
    library: str,
    *,
    name: str,
    password: str,
    expires_on: date | None = None,
    hashes: PasswordHashes | None = None,
) -> Patron:
    """A patron who may sign in as *name*: `user@realm`, or `user` where the library has one realm.

    Raises:
        NotFound: there is no such library, or it is not the actor's.
        Forbidden: the actor may only read.
        InvalidInput: the name or the password can not be.
        Conflict: there is that patron already, or the library keeps its patrons elsewhere.
    """
    store = _open_store(change.session, actor, library, writes=True)
    realm, user = _parse_name(store, name)
    octets = validate_new_password(password)
    if change.session.scalars(_select(store, realm, user)).one_or_none() is not None:
        raise Conflict("there is a patron of that name already")
    row = PatronRow(
        library_id=store.library, realm=realm, user=user, is_blocked=False, expires_on=expires_on, created_at=change.now
    )
    _keep_password(change, store, row, (hashes or default_hashes()).hash(octets), octets)
    change.session.add(row)
    change.session.flush()
    _record(change, "patron.add", row)
    return _describe(row)


def set_password(
    change: Change,
    actor: Actor,
    library: str,
    name: str,
    password: str,
    *,
    expected_version: int | None = None,
    hashes: PasswordHashes | None = None,
) -> Patron:
    """The patron's password is another; the earlier one is right nowhere any more.

    Raises:
        NotFound: there is no such patron or library that the actor may see.
        Forbidden: the actor may only read.
        InvalidInput: the password can not be.
        Conflict: the patron has changed since *expected_version*.
    """
    octets = validate_new_password(password)
    store, row = _find_for_change(change, actor, library, name, expected_version)
    _keep_password(change, store, row, (hashes or default_hashes()).hash(octets), octets)
    return _finish(change, row, "patron.set-password")


def change_patron(
    change: Change,
    actor: Actor,
    library: str,
    name: str,
    *,
    is_blocked: bool,
    expires_on: date | None,
    expected_version: int | None = None,
) -> Patron:
    """The patron is blocked or not, and may sign in through *expires_on* (None: without end).

    Raises:
        NotFound: there is no such patron or library that the actor may see.
        Forbidden: the actor may only read.
        Conflict: the patron has changed since *expected_version*.
    """
    _, row = _find_for_change(change, actor, library, name, expected_version)
    row.is_blocked = is_blocked
    row.expires_on = expires_on
    return _finish(change, row, "patron.change")


def block_patron(change: Change, actor: Actor, library: str, name: str, *, is_blocked: bool = True) -> Patron:
    """The patron may not sign in any more, or may again; raises as `change_patron` does."""
    _, row = _find_for_change(change, actor, library, name, None)
    row.is_blocked = is_blocked
    return _finish(change, row, "patron.block" if is_blocked else "patron.unblock")


def remove_patron(
    change: Change, actor: Actor, library: str, name: str, *, expected_version: int | None = None
) -> None:
    """Nothing is kept of the patron; raises as `change_patron` does."""
    _, row = _find_for_change(change, actor, library, name, expected_version)
    _record(change, "patron.remove", row)
    change.session.delete(row)


def show_patron(session: Session, actor: Actor, library: str, name: str) -> Patron:
    """The patron called *name*.

    Raises:
        NotFound: there is no such patron or library that the actor may see.
    """
    store = _open_store(session, actor, library)
    return _describe(_find(session, store, name))


def list_patrons(
    session: Session, actor: Actor, library: str, *, limit: int = 100, cursor: str | None = None
) -> Page[Patron]:
    """The patrons of *library* in the order in which they were made, at most *limit* of them after *cursor*."""
    store = _open_store(session, actor, library)
    query = select(PatronRow).where(PatronRow.library_id == store.library).order_by(PatronRow.id).limit(limit + 1)
    if cursor is not None:
        query = query.where(PatronRow.id > _parse_cursor(cursor))
    page = cursor_page(list(session.scalars(query)), limit, lambda row: str(row.id))
    return Page([_describe(row) for row in page.items], page.next_cursor)


def import_patrons(
    registry: Registry,
    actor: Actor,
    library: str,
    octets: bytes,
    *,
    replaces: bool = False,
    progress: Callable[[int, int], None] | None = None,
    hashes: PasswordHashes | None = None,
) -> Imported:
    """Every patron in the CSV file *octets* is kept, or none is (`federation.identity.patron_files` has its form).

    Hashing takes about 28 ms of one core for each, so it is spread over the cores and done before the registry is
    locked; *progress* is called in this thread with how many are hashed, of how many. With *replaces*, patrons that
    are there already get the new password and expiry, and else the file is refused.

    Raises:
        InvalidPatronFile: a line is wrong; each is reported with its number.
        NotFound: there is no such library, or it is not the actor's.
        Forbidden: the actor may only read.
        Conflict: the library keeps its patrons elsewhere.
    """
    with registry.read() as session:
        store = _open_store(session, actor, library, writes=True)
        patrons = parse_patron_file(octets, store.realms, store.only_realm)
        _refuse_existing(_existing(session, store), patrons, replaces=replaces)
    hashed = list(_hash_all(hashes or default_hashes(), patrons, progress))
    with registry.change(actor) as change:
        store = _open_store(change.session, actor, library, writes=True)
        existing = _existing(change.session, store)
        _refuse_existing(existing, patrons, replaces=replaces)  # somebody may have added one meanwhile
        for patron, password_hash in zip(patrons, hashed, strict=True):
            row = existing.get((patron.realm, patron.user))
            if row is None:
                row = PatronRow(
                    library_id=library, realm=patron.realm, user=patron.user, is_blocked=False, created_at=change.now
                )
                change.session.add(row)
            else:
                row.version += 1
            row.expires_on = patron.expires_on
            _keep_password(change, store, row, password_hash, patron.password)
        replaced = sum((patron.realm, patron.user) in existing for patron in patrons)
        done = Imported(added=len(patrons) - replaced, replaced=replaced)
        counts = {"added": done.added, "replaced": done.replaced}
        change.record("patron.import", f"library/{library}", library=library, after=counts)
    return done


def forget_nt_hashes(change: Change, library: str) -> int:
    """No NT hash of *library* is kept any more: it has turned MSCHAPv2 off. Returns how many there were."""
    forgotten = len(
        change.session.scalars(
            update(PatronRow)
            .where(PatronRow.library_id == library, PatronRow.sealed_nt_hash.is_not(None))
            .values(sealed_nt_hash=None)
            .returning(PatronRow.id)
        ).all()
    )
    if forgotten:
        change.record("patron.forget-nt-hashes", f"library/{library}", library=library, after={"forgotten": forgotten})
    return forgotten


def pseudonym_of(sealer: Sealer, library: str, realm: str, user: str) -> str:
    """What the audit trail calls a patron."""
    name = f"{library}\x00{realm}\x00{user}".encode()
    digest = hmac.new(sealer.derive(b"patron-pseudonym"), name, hashlib.sha256).hexdigest()
    return f"patron/{digest[: 2 * _PSEUDONYM_OCTETS]}"


@dataclass(frozen=True, slots=True)
class _Store:
    """A library's local store, to which the actor has access."""

    library: str
    realms: tuple[str, ...]
    keeps_nt_hashes: bool

    @property
    def only_realm(self) -> str | None:
        return self.realms[0] if len(self.realms) == 1 else None


def _open_store(session: Session, actor: Actor, library: str, *, writes: bool = False) -> _Store:
    """The library's store; patrons' names are personal, so a reader of the whole federation does not see them."""
    if writes:
        require_writer(actor)
    elif not actor.may_write and actor.library is None:
        raise Forbidden("patrons are shown to their library and to the operator")
    row = find_library(session, actor, library)
    if row.identity is not None and row.identity.kind != StoreKind.LOCAL:
        raise Conflict(f"the patrons of {library} are in its own system ({row.identity.kind})")
    return _Store(row.id, tuple(realm.name for realm in row.realms), bool(row.identity and row.identity.mschapv2))


def _parse_cursor(cursor: str) -> int:
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
        raise InvalidInput("this is no cursor of this list", field="cursor")
    return int(cursor)


def _parse_name(store: _Store, name: str) -> tuple[str, str]:
    """The realm and the normalised user in *name*; "@" can not stand in a user name."""
    user, at, realm = name.rpartition("@")
    if not at:
        user, realm = name, store.only_realm or ""
    if not realm:
        raise InvalidInput(f"say which realm: one of {', '.join(store.realms)}", field="name")
    realm = normalise_realm(realm)
    if realm not in store.realms:
        raise InvalidInput(f"{realm} is not a realm of this library", field="name")
    return realm, normalise_user(user)


def _select(store: _Store, realm: str, user: str) -> Select[PatronRow]:
    return select(PatronRow).where(
        PatronRow.library_id == store.library, PatronRow.realm == realm, PatronRow.user == user
    )


def _find(session: Session, store: _Store, name: str) -> PatronRow:
    try:
        realm, user = _parse_name(store, name)
    except InvalidInput:  # a name that nobody can have
        raise NotFound("there is no such patron") from None
    row = session.scalars(_select(store, realm, user)).one_or_none()
    if row is None:
        raise NotFound("there is no such patron")
    return row


def _find_for_change(
    change: Change, actor: Actor, library: str, name: str, expected_version: int | None
) -> tuple[_Store, PatronRow]:
    store = _open_store(change.session, actor, library, writes=True)
    row = _find(change.session, store, name)
    check_version(row.version, expected_version)
    return store, row


def _keep_password(change: Change, store: _Store, row: PatronRow, password_hash: str, password: bytes) -> None:
    row.password_hash = password_hash
    digest = nt_hash(password) if store.keeps_nt_hashes else None
    row.sealed_nt_hash = None if digest is None else change.sealer.seal(digest, row.nt_hash_context)
    row.changed_at = change.now


def _finish(change: Change, row: PatronRow, action: str) -> Patron:
    row.version += 1
    row.changed_at = change.now
    change.session.flush()
    _record(change, action, row)
    return _describe(row)


def _record(change: Change, action: str, row: PatronRow) -> None:
    pseudonym = pseudonym_of(change.sealer, row.library_id, row.realm, row.user)
    change.record(action, f"library/{row.library_id}/{pseudonym}", library=row.library_id)


def _describe(row: PatronRow) -> Patron:
    return Patron(
        library=row.library_id,
        realm=row.realm,
        user=row.user,
        is_blocked=row.is_blocked,
        expires_on=row.expires_on,
        has_nt_hash=row.sealed_nt_hash is not None,
        created_at=row.created_at,
        changed_at=row.changed_at,
        version=row.version,
    )


def _existing(session: Session, store: _Store) -> dict[tuple[str, str], PatronRow]:
    rows = session.scalars(select(PatronRow).where(PatronRow.library_id == store.library))
    return {(row.realm, row.user): row for row in rows}


def _refuse_existing(
    existing: dict[tuple[str, str], PatronRow], patrons: Sequence[NewPatron], *, replaces: bool
) -> None:
    if not replaces:
        problems = [
            build_problem(patron.line, "there is a patron of that name already")
            for patron in patrons
            if (patron.realm, patron.user) in existing
        ]
        if problems:
            raise InvalidPatronFile(problems)


def _hash_all(
    hashes: PasswordHashes, patrons: Sequence[NewPatron], progress: Callable[[int, int], None] | None
) -> Iterator[str]:
    """The hashes in the order of *patrons*; argon2 releases the GIL, so threads use every core."""
    threads = min(_MAX_THREADS, os.cpu_count() or 1)
    executor = ThreadPoolExecutor(threads, thread_name_prefix="patron-import")
    try:
        passwords = (patron.password for patron in patrons)
        for done, password_hash in enumerate(executor.map(hashes.hash, passwords), 1):
            yield password_hash
            if progress is not None:
                progress(done, len(patrons))
    finally:  # an interrupted import does not go on hashing
        executor.shutdown(cancel_futures=True)
