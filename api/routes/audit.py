"""Who did what, when."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.pagination import Paging
from api.requests import Source
from api.schemas.audit import AuditView
from api.schemas.common import ListOf
from api.security import AnyActor
from federation.services import audit

router = APIRouter(prefix="/v1/audit", tags=["audit"])


@router.get("")
def list_audit(
    registry: Source,
    actor: AnyActor,
    page: Paging,
    library: Annotated[str | None, Query(max_length=63, description="Only of this library")] = None,
) -> ListOf[AuditView]:
    """List the entries that you may see, the newest first."""
    with registry.read() as session:
        found = audit.list_audit(session, actor, library=library, limit=page.limit, cursor=page.cursor)
    page.link_next(found.next_cursor)
    return ListOf(items=[AuditView.show(item) for item in found.items], next_cursor=found.next_cursor)
