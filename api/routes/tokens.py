"""Tokens of this API: made, listed, revoked. A library's token sees and makes those of its own library."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from api.conditions import IfNoneMatch
from api.pagination import Paging
from api.requests import Changing, Source, tag, tag_read
from api.schemas.common import ListOf
from api.schemas.tokens import CreatedTokenView, NewToken, TokenView
from api.security import AnyActor
from federation.services import tokens

router = APIRouter(prefix="/v1/tokens", tags=["tokens"])


@router.get("")
def list_tokens(
    registry: Source,
    actor: AnyActor,
    page: Paging,
    library: Annotated[str | None, Query(max_length=63, description="Only of this library")] = None,
) -> ListOf[TokenView]:
    """List the tokens that you may see, revoked ones among them; never their secrets."""
    with registry.read() as session:
        found = tokens.list_tokens(session, actor, library=library, limit=page.limit, cursor=page.cursor)
    page.link_next(found.next_cursor)
    return ListOf(items=[TokenView.show(token) for token in found.items], next_cursor=found.next_cursor)


@router.post("", status_code=status.HTTP_201_CREATED)
def create_token(body: NewToken, changing: Changing, response: Response) -> CreatedTokenView:
    """Make a token. Its secret is in this answer and nowhere afterwards."""
    with changing.open() as change:
        created = tokens.create_token(
            change,
            changing.actor,
            name=body.name,
            role=body.role,
            library=body.library,
            expires_at=body.expires_at,
        )
    tag(response, created.item.version, location=f"/v1/tokens/{created.item.id}")
    return CreatedTokenView.show_created(created)


@router.get("/{token_id}")
def show_token(
    token_id: str, registry: Source, actor: AnyActor, response: Response, if_none_match: IfNoneMatch = None
) -> TokenView:
    """Show one token."""
    with registry.read() as session:
        token = tokens.show_token(session, actor, token_id)
    tag_read(response, token.version, if_none_match)
    return TokenView.show(token)


@router.post("/{token_id}/revoke")
def revoke_token(token_id: str, changing: Changing, response: Response) -> TokenView:
    """Revoke a token: it opens nothing from now on. To revoke it again changes nothing."""
    with changing.open() as change:
        token = tokens.revoke_token(change, changing.actor, token_id)
    tag(response, token.version)
    return TokenView.show(token)
