"""Sign-ins: what happened lately, for who has to find out why a patron is not on the network.

A library sees the sign-ins of its own patrons everywhere and of everybody at its own access points. Of the former it
does not see at which access point of another library, of the latter not which home server of another library answered:
neither is needed to help anybody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import delete, func, insert, or_, select
from sqlalchemy.orm import Session

from federation.errors import InvalidInput
from federation.events import Outcome, SignIn
from federation.model import Actor, Page
from federation.reasons import RefusalReason
from federation.services.registry import cursor_page
from federation.statistics.stations import DailyKey
from federation.store.tables.registry import LibraryRow
from federation.store.tables.sign_ins import SignInRow

PURGE_ROWS: Final = 5_000  # in one transaction, so that nobody waits for the purge
_MAX_CURSOR_DIGITS: Final = 18  # of a 64-bit row number
_MAX_MILLISECONDS: Final = 3_600_000  # a column of 32 bits; nothing waits for an hour


@dataclass(frozen=True, slots=True)
class SignInFilter:
    """Which sign-ins are asked for; what is None is not looked at."""

    library: str | None = None  # its patrons, and who signed in at it
    realm: str | None = None
    outcome: Outcome | None = None
    reason: RefusalReason | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class SignInEntry:
    """One sign-in as the actor may see it."""

    id: int
    at: datetime
    visited: str
    client: str | None  # None: of another library
    realm: str
    home: str | None  # None: no library owns the realm
    home_server: str | None  # None: none was asked, or it is another library's
    outcome: Outcome
    reason: RefusalReason | None
    milliseconds: int
    revision: int
    station: str | None


def record_sign_ins(session: Session, events: Sequence[SignIn], key: DailyKey) -> None:
    """The events are rows; devices by the key's pseudonyms."""
    if events:
        session.execute(insert(SignInRow), [_row(event, key) for event in events])


def list_sign_ins(
    session: Session, actor: Actor, wanted: SignInFilter | None = None, *, limit: int = 100, cursor: str | None = None
) -> Page[SignInEntry]:
    """Those that the actor may see, the newest first.

    Raises:
        InvalidInput: the cursor is none of this list.
    """
    wanted = wanted or SignInFilter()
    query = select(SignInRow).order_by(SignInRow.id.desc()).limit(limit + 1)
    for library in (actor.library, wanted.library):
        if library is not None:
            query = query.where(or_(SignInRow.visited == library, SignInRow.home == library))
    if wanted.realm is not None:
        query = query.where(SignInRow.realm == wanted.realm.lower())
    if wanted.outcome is not None:
        query = query.where(SignInRow.outcome == str(wanted.outcome))
    if wanted.reason is not None:
        query = query.where(SignInRow.reason == str(wanted.reason))
    if wanted.since is not None:
        query = query.where(SignInRow.at >= wanted.since)
    if cursor is not None:
        query = query.where(SignInRow.id < _parse_cursor(cursor))
    rows = [_describe(row, actor) for row in session.scalars(query)]
    return cursor_page(rows, limit, lambda entry: str(entry.id))


def purge_sign_ins(session: Session, before: datetime) -> int:
    """The oldest from before that moment are gone, a few thousand at most; returns how many."""
    oldest = select(SignInRow.id).where(SignInRow.at < before).order_by(SignInRow.id).limit(PURGE_ROWS)
    ids = session.scalars(oldest).all()
    if ids:
        session.execute(delete(SignInRow).where(SignInRow.id <= ids[-1], SignInRow.at < before))
    return len(ids)


def count_sign_ins(session: Session) -> int:
    """How many are kept."""
    return session.scalar(select(func.count()).select_from(SignInRow)) or 0


def load_operator_names(session: Session) -> dict[str, str]:
    """Library → the domain that it has as an operator: as set, else its first realm."""
    return {row.id: row.operator_name or (row.realms[0].name if row.realms else "") for row in _libraries(session)}


def _libraries(session: Session) -> Sequence[LibraryRow]:
    return session.scalars(select(LibraryRow)).all()


def _row(event: SignIn, key: DailyKey) -> dict[str, object]:
    at = datetime.fromtimestamp(event.at, UTC)
    return {
        "at": at,
        "client": event.client[:130],
        "visited": event.visited[:63],
        "realm": event.realm[:253],
        "home": event.home[:63],
        "home_server": event.home_server[:130],
        "outcome": str(event.outcome),
        "reason": "" if event.reason is None else str(event.reason),
        "milliseconds": min(max(round(event.seconds * 1000), 0), _MAX_MILLISECONDS),
        "revision": event.revision,
        "station": key.pseudonym(event.station, event.visited, at),
    }


def _parse_cursor(cursor: str) -> int:
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > _MAX_CURSOR_DIGITS:
        raise InvalidInput("this is no cursor of this list", field="cursor")
    return int(cursor)


def _describe(row: SignInRow, actor: Actor) -> SignInEntry:
    is_at_own = actor.library in (None, row.visited)
    is_own_patron = actor.library in (None, row.home)
    return SignInEntry(
        id=row.id,
        at=row.at,
        visited=row.visited,
        client=row.client if is_at_own else None,
        realm=row.realm,
        home=row.home or None,
        home_server=(row.home_server or None) if is_own_patron else None,
        outcome=Outcome(row.outcome),
        reason=RefusalReason(row.reason) if row.reason else None,
        milliseconds=row.milliseconds,
        revision=row.revision,
        station=(row.station or None) if is_at_own else None,
    )
