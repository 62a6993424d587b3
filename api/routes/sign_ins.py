"""What happened lately."""

import re
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BeforeValidator

from api.pagination import Paging
from api.requests import Source
from api.schemas.common import ListOf
from api.schemas.sign_ins import SignInView
from api.security import AnyActor
from federation.events import Outcome
from federation.reasons import RefusalReason
from federation.services.sign_ins import SignInFilter
from federation.services.sign_ins import list_sign_ins as list_entries

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _require_date(value: object) -> object:
    """The text, when it begins as RFC 3339 says: a bare number could be seconds, or milliseconds, since when?"""
    if not isinstance(value, str) or not _DATE.match(value):
        raise ValueError("a moment looks like 2026-11-24T12:00:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_require_date)]

router = APIRouter(prefix="/v1/sign-ins", tags=["sign-ins"])


@router.get("")
def list_sign_ins(
    registry: Source,
    actor: AnyActor,
    page: Paging,
    library: Annotated[str | None, Query(max_length=63, description="Its patrons, and who was at it")] = None,
    realm: Annotated[str | None, Query(max_length=253, description="Of the outer name")] = None,
    outcome: Annotated[Literal["accepted", "rejected", "unanswered"] | None, Query()] = None,
    reason: Annotated[RefusalReason | None, Query(description="Of the refusal")] = None,
    since: Annotated[Moment | None, Query(description="At that moment or later; with its time zone")] = None,
) -> ListOf[SignInView]:
    """List the sign-ins that you may see, the newest first.

    A library's token sees its own patrons everywhere and everybody at its own access points.
    """
    wanted = SignInFilter(library, realm, Outcome(outcome) if outcome else None, reason, since)
    with registry.read() as session:
        found = list_entries(session, actor, wanted, limit=page.limit, cursor=page.cursor)
    page.link_next(found.next_cursor)
    return ListOf(items=[SignInView.show(item) for item in found.items], next_cursor=found.next_cursor)
