"""Revocation lists of other authorities: fetched in time, verified, and kept when they are newer.

A list is fetched a day after the last time, or when two thirds of its life have passed if that is sooner, and never
more than once an hour; after a failure every quarter of an hour. Fetching is outside of every transaction. A list that
says the same changes nothing; one that says something else is a change of the registry, so that proxies take it up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from federation.errors import InvalidInput
from federation.model import Actor, Role
from federation.services.foreign_anchors import is_fresh, read_root
from federation.services.list_fetch import FetchFailed, fetch_list
from federation.services.registry import Registry
from federation.store.tables.foreign import ForeignAnchorRow, ForeignListRow
from federation.trust.foreign import MAX_LIST_OCTETS, ListPolicy, RevocationList, parse_revocation_list

RETRY: Final = timedelta(minutes=15)
LEAST: Final = timedelta(hours=1)
MOST: Final = timedelta(days=1)
FETCHER: Final = Actor("biebroam", Role.OPERATOR, source_address="local")

Fetch = Callable[[str, int], bytes]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one try."""

    anchor: str
    url: str
    error: str  # empty: it went well
    is_news: bool  # the error is another than that of the try before, or the list is another


def is_fetch_due(row: ForeignListRow, now: datetime) -> bool:
    """Whether the list should be fetched again."""
    if row.tried_at is None or row.tried_at > now:  # never, or by a clock that was wrong
        return True
    if row.error or row.this_update is None or row.next_update is None:
        return now >= row.tried_at + RETRY
    early = row.this_update + (row.next_update - row.this_update) * 2 / 3
    return now >= max(row.tried_at + LEAST, min(row.tried_at + MOST, early))


def refresh_lists(registry: Registry, fetch: Fetch = fetch_list) -> list[Outcome]:
    """Every list that is due has been tried; returns what became of each."""
    with registry.read() as session:
        due = [
            (row.anchor, row.url)
            for row in session.scalars(select(ForeignListRow).order_by(ForeignListRow.anchor, ForeignListRow.url))
            if is_fetch_due(row, registry.now())
        ]
    outcomes: list[Outcome] = []
    for anchor, url in due:
        try:
            octets: bytes | FetchFailed = fetch(url, MAX_LIST_OCTETS)
        except FetchFailed as error:
            octets = error
        outcome = _keep(registry, anchor, url, octets)
        if outcome is not None:
            outcomes.append(outcome)
    return outcomes


def find_list_troubles(session: Session, now: datetime) -> list[str]:
    """What an operator has to look at: each list that is out of date or can not be had, in words."""
    found: list[str] = []
    for row in session.scalars(select(ForeignAnchorRow).order_by(ForeignAnchorRow.name)):
        for each in sorted(row.lists, key=lambda each: each.url):
            if is_fresh(each, now) and not each.error:
                continue
            verb = "holds" if is_fresh(each, now) else "held"
            end = each.next_update
            state = f"it {verb} until {end:%Y-%m-%d %H:%M} UTC" if end else "there is none yet"
            is_refused = row.policy == ListPolicy.HARD and not is_fresh(each, now)
            result = "; certificates of that authority are refused" if is_refused else ""
            found.append(
                f"revocation list {each.url} of {row.name}: {each.error or 'not fetched yet'}; {state}{result}"
            )
    return found


def _keep(registry: Registry, anchor: str, url: str, octets: bytes | FetchFailed) -> Outcome | None:
    """What was fetched is in the registry, or why it is not; None when the anchor has gone meanwhile."""
    with registry.read() as session:
        row = session.get(ForeignListRow, (anchor, url))
        owner = session.get(ForeignAnchorRow, anchor)
        if row is None or owner is None:
            return None
        try:
            if isinstance(octets, FetchFailed):
                raise octets
            found = parse_revocation_list(octets, read_root(owner).authorities, registry.now(), row.crl_pem)
        except (FetchFailed, InvalidInput) as error:
            return _note(registry, anchor, url, str(error))
    return _take(registry, anchor, url, found)


def _note(registry: Registry, anchor: str, url: str, error: str) -> Outcome | None:
    """No change of the registry: no revision, no audit."""
    with registry.store.write() as session:
        row = session.get(ForeignListRow, (anchor, url))
        if row is None:
            return None
        is_news = row.error != error
        row.tried_at, row.error = registry.now(), error[:500]
        return Outcome(anchor, url, error, is_news)


def _take(registry: Registry, anchor: str, url: str, found: RevocationList) -> Outcome | None:
    with registry.change(FETCHER, "fetched") as change:
        row = change.session.get(ForeignListRow, (anchor, url))
        if row is None:
            return None
        is_news = row.crl_pem != found.pem
        row.tried_at = row.fetched_at = change.now
        row.error = ""
        if is_news:
            row.crl_pem, row.this_update, row.next_update = found.pem, found.this_update, found.next_update
            after = {"url": url, "next_update": found.next_update.isoformat()}
            change.record("foreign-list.take", f"foreign-anchor/{anchor}", after=after)
        change.session.flush()
        return Outcome(anchor, url, "", is_news)
