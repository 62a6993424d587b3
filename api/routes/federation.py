"""The whole federation as one document, in the shape of the federation file."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import JsonValue

from api.requests import Source
from api.schemas.federation import AppliedView, Content
from api.security import Operator, Overseer
from federation.services import apply
from federation.services.document import parse_document

router = APIRouter(prefix="/v1/federation", tags=["federation"])


@router.get("")
def export_federation(registry: Source, actor: Overseer) -> dict[str, JsonValue]:
    """Show the federation as one document, secrets left out; applied again it changes nothing."""
    del actor  # that it is one who sees the whole is all that counts
    with registry.read() as session:
        return apply.export_document(session)


@router.put("")
def apply_federation(
    body: Content,
    registry: Source,
    actor: Operator,
    dry_run: Annotated[bool, Query(description="Tell what would be done, and do nothing")] = False,  # noqa: FBT002 - a query parameter
    prune: Annotated[bool, Query(description="What the document does not name is removed")] = False,  # noqa: FBT002 - a query parameter
    reason: Annotated[str, Query(max_length=500, description="Why; it is kept in the audit log")] = "",
) -> AppliedView:
    """Make the federation as the document says, whole or not at all; what it leaves out stays, unless pruned.

    Generated secrets are in this answer and nowhere afterwards.
    """
    document = parse_document(body.root)
    applied = apply.apply_document(registry, actor, document, prune=prune, dry_run=dry_run, reason=reason)
    return AppliedView.show(applied, dry_run=dry_run)
