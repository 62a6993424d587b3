"""Libraries, the members of the federation."""

from collections.abc import Generator
from contextlib import contextmanager

from fastapi import APIRouter, Response, status

from api.conditions import IfMatch, IfNoneMatch
from api.merge_patch import apply_patch
from api.pagination import Paging
from api.requests import Changing, Source, tag, tag_read, verify_version
from api.schemas.common import ListOf
from api.schemas.libraries import LibraryPatch, LibrarySettings, LibraryView, NewLibrary
from api.security import AnyActor
from federation.errors import InvalidInput
from federation.services import libraries, realms

router = APIRouter(prefix="/v1/libraries", tags=["libraries"])


@contextmanager
def _at_realm(number: int) -> Generator[None]:
    """What can not be inside the block is the body's realm with that number."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(error.message, field=f"/realms/{number}") from None


@router.get("")
def list_libraries(registry: Source, actor: AnyActor, page: Paging) -> ListOf[LibraryView]:
    """List the libraries that you may see, ordered by id."""
    with registry.read() as session:
        found = libraries.list_libraries(session, actor, limit=page.limit, cursor=page.cursor)
    page.link_next(found.next_cursor)
    return ListOf(items=[LibraryView.show(item) for item in found.items], next_cursor=found.next_cursor)


@router.post("", status_code=status.HTTP_201_CREATED)
def add_library(body: NewLibrary, changing: Changing, response: Response) -> LibraryView:
    """Add a library, with the realms that it owns from the start."""
    with changing.open() as change:
        actor = changing.actor
        libraries.add_library(
            change, actor, library_id=body.id, name=body.name, roles=body.roles, operator_name=body.operator_name
        )
        realms.add_realms(change, actor, body.id, [(name, False) for name in body.realms], at=_at_realm)
        library = libraries.show_library(change.session, actor, body.id)
        if not body.is_active:
            library = libraries.change_library(
                change,
                actor,
                body.id,
                name=library.name,
                roles=library.roles,
                operator_name=library.operator_name,
                is_active=False,
            )
    tag(response, library.version, location=f"/v1/libraries/{library.id}")
    return LibraryView.show(library)


@router.get("/{library}")
def show_library(
    library: str, registry: Source, actor: AnyActor, response: Response, if_none_match: IfNoneMatch = None
) -> LibraryView:
    """Show one library."""
    with registry.read() as session:
        found = libraries.show_library(session, actor, library)
    tag_read(response, found.version, if_none_match)
    return LibraryView.show(found)


@router.patch("/{library}")
def change_library(
    library: str, body: LibraryPatch, changing: Changing, if_match: IfMatch, response: Response
) -> LibraryView:
    """Change a library. Its name is its own to change; the rest is the operator's."""
    with changing.open() as change:
        found = libraries.show_library(change.session, changing.actor, library)
        verify_version(found.version, if_match)
        wanted = apply_patch(LibrarySettings.model_validate(found), body)
        found = libraries.change_library(
            change,
            changing.actor,
            library,
            name=wanted.name,
            roles=wanted.roles,
            operator_name=wanted.operator_name,
            is_active=wanted.is_active,
        )
    tag(response, found.version)
    return LibraryView.show(found)


@router.delete("/{library}", status_code=status.HTTP_204_NO_CONTENT)
def remove_library(library: str, changing: Changing, if_match: IfMatch) -> None:
    """Remove a library with all that is its own; its certificates are revoked."""
    with changing.open() as change:
        found = libraries.show_library(change.session, changing.actor, library)
        verify_version(found.version, if_match)
        libraries.remove_library(change, changing.actor, library)
