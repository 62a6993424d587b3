"""The registry as its users see it: reading, and changes that are whole, audited and announced.

A change is one write transaction. Whoever opens it records what was done; at the end the revision has risen by one, the
audit rows stand beside what they tell of, and after the commit the change is announced, so that running proxies take it
up at once. A change that recorded nothing did nothing: no revision, no announcement.
"""

import hashlib
import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.util import identity_key

from federation.errors import Conflict, Forbidden, NotFound, VersionConflict
from federation.model import Actor, Page, Role
from federation.services.cycles import find_cycles
from federation.store.session import Store
from federation.store.tables.registry import AuditRow, FederationRow, LibraryRow
from federation.trust.keystore import Sealer

__all__ = ["Actor", "Change", "Page", "Registry", "Role"]

FIRST_DIGEST = "0" * 64  # what the chain of the audit trail begins with
_AUDIT_COLUMNS = tuple(column.key for column in AuditRow.__table__.columns if not column.primary_key)
_LIBRARIES_AT_A_TIME = 500  # SQLite takes 32,766 values in a statement
_ROUTES = ("access-point.", "home-server.", "library.")  # actions that may change where requests go
Item = TypeVar("Item")


def utc_now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Change:
    """One change in the making; lives as long as its transaction."""

    session: Session
    sealer: Sealer
    actor: Actor
    reason: str
    now: datetime
    revision: int  # that the registry will have when this change is kept
    _records: list[AuditRow] = field(default_factory=list[AuditRow])
    _touched: set[str] = field(default_factory=set[str])  # libraries that are to be marked as changed

    def record(
        self,
        action: str,
        subject: str,
        *,
        library: str | None = None,
        before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None,
    ) -> None:
        """What was done stands in the audit trail; values are plain JSON and never secrets.

        `library` also marks that library as changed with this revision.
        """
        self._records.append(
            AuditRow(
                at=self.now,
                revision=self.revision,
                actor=self.actor.name,
                role=str(self.actor.role),
                token_id=self.actor.token_id,
                source_address=self.actor.source_address,
                request_id=self.actor.request_id,
                action=action,
                subject=subject,
                library_id=library,
                reason=self.reason,
                before=None if before is None else dict(before),
                after=None if after is None else dict(after),
            )
        )
        if library is not None:
            row = self.session.identity_map.get(identity_key(LibraryRow, library))
            if row is None:
                self._touched.add(library)
            elif row.revision != self.revision:
                row.revision = self.revision
                row.changed_at = self.now

    @property
    def records(self) -> tuple[AuditRow, ...]:
        """What was done so far, in order."""
        return tuple(self._records)

    def finish(self) -> None:
        """The audit rows are chained to those before them, and the revision is raised.

        Raises:
            Conflict: what was changed would send requests round; see `federation.services.cycles`.
        """
        routes = {row.subject for row in self._records if row.action.startswith(_ROUTES)}
        cycles = find_cycles(self.session, routes) if routes else []
        if cycles:
            raise Conflict("; ".join(cycle.describe(names_both=self.actor.is_operator) for cycle in cycles))
        last = self.session.scalars(select(AuditRow).order_by(AuditRow.id.desc()).limit(1)).first()
        digest = last.digest if last else FIRST_DIGEST
        for row in self._records:
            digest = row.digest = digest_of(row, digest)
        self.session.flush()
        # Rows, not objects: a document may make a hundred thousand of them, and all wait for the lock that is held.
        self.session.execute(insert(AuditRow), [_columns_of(row) for row in self._records])
        touched = sorted(self._touched)
        for start in range(0, len(touched), _LIBRARIES_AT_A_TIME):
            self.session.execute(
                update(LibraryRow)
                .where(LibraryRow.id.in_(touched[start : start + _LIBRARIES_AT_A_TIME]))
                .values(revision=self.revision, changed_at=self.now)
                .execution_options(synchronize_session=False)
            )
        settings = self.session.get(FederationRow, 1)
        if settings is not None:
            settings.revision = self.revision


class Registry:
    """The registry of one federation, over one database."""

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        announce: Callable[[int], None],
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """`announce` is called with the new revision after each change is kept; it must not raise."""
        self.store = store
        self.sealer = sealer
        self._announce = announce
        self._clock = clock

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        return self._clock()

    @contextmanager
    def read(self) -> Generator[Session]:
        """A session that sees one state of the registry."""
        with self.store.read() as session:
            yield session

    @contextmanager
    def change(self, actor: Actor, reason: str = "", *, dry_run: bool = False) -> Generator[Change]:
        """A change that is kept whole at the end of the block, or not at all when the block raises or is a dry run."""
        with self.store.write(keep=not dry_run) as session:
            # Locked, so that changes follow one another where a database has more than one writer (PostgreSQL).
            settings = session.get(FederationRow, 1, with_for_update=True)
            revision = (settings.revision if settings else 0) + 1
            change = Change(session, self.sealer, actor, reason, self.now(), revision)
            yield change
            if change.records:
                change.finish()
        if change.records and not dry_run:
            self._announce(revision)


def _columns_of(row: AuditRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in _AUDIT_COLUMNS}


def digest_of(row: AuditRow, before: str) -> str:
    """The SHA-256 that binds an audit row to all rows before it."""
    content = [
        before,
        row.at.astimezone(UTC).isoformat(),
        row.revision,
        row.actor,
        row.role,
        row.token_id,
        row.source_address,
        row.request_id,
        row.action,
        row.subject,
        row.library_id,
        row.reason,
        row.before,
        row.after,
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def require_writer(actor: Actor) -> None:
    """Raises Forbidden for one who may only look."""
    if not actor.may_write:
        raise Forbidden("a reader's token changes nothing")


def require_operator(actor: Actor) -> None:
    """Raises Forbidden for one who may not change what belongs to the whole federation."""
    if not actor.is_operator:
        raise Forbidden("only an operator may do this")


def find_library(session: Session, actor: Actor, library: str) -> LibraryRow:
    """The library, if the actor may see it; the tenant check of everything below it.

    Raises:
        NotFound: there is none, or it is another's; the two look the same.
    """
    query = select(LibraryRow).where(LibraryRow.id == library)
    if actor.library is not None:
        query = query.where(LibraryRow.id == actor.library)
    row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound(f"there is no library {library!r}")
    return row


def check_version(current: int, expected: int | None) -> None:
    """Raises VersionConflict when the thing is not the version that the change is for; None asks for no check."""
    if expected is not None and current != expected:
        raise VersionConflict("it has been changed since it was read; read it again and repeat the change")


def cursor_page(items: list[Item], limit: int, key: Callable[[Item], str]) -> Page[Item]:
    """A page of at most `limit` items from a query for `limit + 1`; the cursor is the key of the last one."""
    if len(items) > limit:
        return Page(tuple(items[:limit]), key(items[limit - 1]))
    return Page(tuple(items))
