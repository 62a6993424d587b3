"""A library's own RADIUS servers. Without any, Biebroam is its home server."""

from fastapi import APIRouter, Response, status

from api.conditions import IfMatch, IfNoneMatch
from api.merge_patch import apply_patch
from api.pagination import Paging
from api.requests import Changing, Source, tag, tag_read, verify_version
from api.schemas.common import ListOf, reveal
from api.schemas.home_servers import (
    CreatedHomeServer,
    HomeServerPatch,
    HomeServerSettings,
    HomeServerView,
    NewHomeServer,
)
from api.security import AnyActor
from federation.errors import InvalidInput
from federation.services import home_servers
from federation.services.home_servers import HomeServerValues

router = APIRouter(prefix="/v1/libraries/{library}/home-servers", tags=["home-servers"])


@router.get("")
def list_home_servers(library: str, registry: Source, actor: AnyActor, page: Paging) -> ListOf[HomeServerView]:
    """List a library's home servers, ordered by name; `position` is the order in which they are asked."""
    with registry.read() as session:
        found = home_servers.list_home_servers(session, actor, library, limit=page.limit, cursor=page.cursor)
    page.link_next(found.next_cursor)
    return ListOf(items=[HomeServerView.show(item) for item in found.items], next_cursor=found.next_cursor)


@router.post("", status_code=status.HTTP_201_CREATED)
def add_home_server(library: str, body: NewHomeServer, changing: Changing, response: Response) -> CreatedHomeServer:
    """Add a home server. Without a secret one is generated; it is in this answer and nowhere afterwards."""
    with changing.open() as change:
        created = home_servers.add_home_server(
            change, changing.actor, library, name=body.name, values=_values(body), secret=reveal(body.secret)
        )
    name = created.item.name
    tag(response, created.item.version, location=f"/v1/libraries/{library}/home-servers/{name}")
    return CreatedHomeServer.show_created(created)


@router.get("/{name}")
def show_home_server(
    library: str, name: str, registry: Source, actor: AnyActor, response: Response, if_none_match: IfNoneMatch = None
) -> HomeServerView:
    """Show one home server."""
    with registry.read() as session:
        found = home_servers.show_home_server(session, actor, library, name)
    tag_read(response, found.version, if_none_match)
    return HomeServerView.show(found)


@router.patch("/{name}")
def change_home_server(
    library: str, name: str, body: HomeServerPatch, changing: Changing, if_match: IfMatch, response: Response
) -> CreatedHomeServer:
    """Change a home server; another transport brings its usual port, unless the patch names one."""
    if "secret" in body.model_fields_set and body.secret is None:
        raise InvalidInput("a home server's secret is set on the server first; give the new one", field="/secret")
    with changing.open() as change:
        found = home_servers.show_home_server(change.session, changing.actor, library, name)
        verify_version(found.version, if_match)
        before = HomeServerSettings.model_validate(found, from_attributes=True)
        if body.transport is not None and body.transport is not before.transport:
            before = before.model_copy(update={"port": None})
        wanted = apply_patch(before, body, besides={"secret"})
        changed = home_servers.change_home_server(
            change, changing.actor, library, name, values=_values(wanted), secret=reveal(body.secret)
        )
    tag(response, changed.item.version)
    return CreatedHomeServer.show_created(changed)


@router.delete("/{name}", status_code=status.HTTP_204_NO_CONTENT)
def remove_home_server(library: str, name: str, changing: Changing, if_match: IfMatch) -> None:
    """Remove a home server; a library that has none left is hosted by Biebroam."""
    with changing.open() as change:
        found = home_servers.show_home_server(change.session, changing.actor, library, name)
        verify_version(found.version, if_match)
        home_servers.remove_home_server(change, changing.actor, library, name)


def _values(settings: HomeServerSettings) -> HomeServerValues:
    return HomeServerValues(
        host=settings.host,
        port=settings.port,
        transport=settings.transport,
        accounting_port=settings.accounting_port,
        position=settings.position,
        weight=settings.weight,
        require_message_authenticator=settings.require_message_authenticator,
    )
