"""The audit trail: who did what, and whether anything was taken out of it."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from federation.errors import InvalidInput
from federation.model import Actor, AuditEntry, Page
from federation.services.registry import FIRST_DIGEST, cursor_page, digest_of
from federation.store.tables.registry import AuditRow

_CHUNK = 1000
_MAX_CURSOR_DIGITS = 18  # of a 64-bit row number


def list_audit(
    session: Session, actor: Actor, *, library: str | None = None, limit: int = 100, cursor: str | None = None
) -> Page[AuditEntry]:
    """Entries that the actor may see, the newest first; of one library when it is named."""
    query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit + 1)
    if actor.library is not None:
        query = query.where(AuditRow.library_id == actor.library)
    if library is not None:
        query = query.where(AuditRow.library_id == library)
    if cursor is not None:
        query = query.where(AuditRow.id < _parse_cursor(cursor))
    return cursor_page([_describe(row) for row in session.scalars(query)], limit, lambda entry: str(entry.id))


def find_break(session: Session) -> int | None:
    """The id of the first entry that does not follow from the one before it; None when the chain is whole."""
    digest, last = FIRST_DIGEST, 0
    while rows := session.scalars(select(AuditRow).where(AuditRow.id > last).order_by(AuditRow.id).limit(_CHUNK)).all():
        for row in rows:
            digest = digest_of(row, digest)
            if digest != row.digest:
                return row.id
            last = row.id
        session.expunge_all()
    return None


def _parse_cursor(cursor: str) -> int:
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > _MAX_CURSOR_DIGITS:
        raise InvalidInput("this is no cursor of this list", field="cursor")
    return int(cursor)


def _describe(row: AuditRow) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        at=row.at,
        revision=row.revision,
        actor=row.actor,
        role=row.role,
        token_id=row.token_id,
        source_address=row.source_address,
        request_id=row.request_id,
        action=row.action,
        subject=row.subject,
        library=row.library_id,
        reason=row.reason,
        before=row.before,
        after=row.after,
        digest=row.digest,
    )
