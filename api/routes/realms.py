"""The realms that a library owns. Operators give them: who owns one gets its patrons' requests."""

from fastapi import APIRouter, Response, status

from api.conditions import IfMatch, IfNoneMatch
from api.merge_patch import apply_patch
from api.pagination import Paging
from api.requests import Changing, Source, tag, tag_read, verify_version
from api.schemas.common import ListOf
from api.schemas.libraries import NewRealm, RealmPatch, RealmSettings, RealmView
from api.security import AnyActor
from federation.services import realms

router = APIRouter(prefix="/v1/libraries/{library}/realms", tags=["realms"])


@router.get("")
def list_realms(library: str, registry: Source, actor: AnyActor, page: Paging) -> ListOf[RealmView]:
    """List a library's realms, ordered by name."""
    with registry.read() as session:
        found = realms.list_realms(session, actor, library, limit=page.limit, cursor=page.cursor)
    page.link_next(found.next_cursor)
    return ListOf(items=[RealmView.show(item) for item in found.items], next_cursor=found.next_cursor)


@router.post("", status_code=status.HTTP_201_CREATED)
def add_realm(library: str, body: NewRealm, changing: Changing, response: Response) -> RealmView:
    """Add a realm; within a tenth of a second its patrons' requests are routed."""
    with changing.open() as change:
        realm = realms.add_realm(
            change, changing.actor, library, name=body.name, includes_subrealms=body.includes_subrealms
        )
    tag(response, realm.version, location=f"/v1/libraries/{library}/realms/{realm.name}")
    return RealmView.show(realm)


@router.get("/{realm}")
def show_realm(
    library: str,
    realm: str,
    registry: Source,
    actor: AnyActor,
    response: Response,
    if_none_match: IfNoneMatch = None,
) -> RealmView:
    """Show one realm."""
    with registry.read() as session:
        found = realms.show_realm(session, actor, library, realm)
    tag_read(response, found.version, if_none_match)
    return RealmView.show(found)


@router.patch("/{realm}")
def change_realm(
    library: str, realm: str, body: RealmPatch, changing: Changing, if_match: IfMatch, response: Response
) -> RealmView:
    """Change whether the realm's sub-realms are the library's too."""
    with changing.open() as change:
        found = realms.show_realm(change.session, changing.actor, library, realm)
        verify_version(found.version, if_match)
        wanted = apply_patch(RealmSettings(includes_subrealms=found.includes_subrealms), body)
        found = realms.change_realm(
            change, changing.actor, library, realm, includes_subrealms=wanted.includes_subrealms
        )
    tag(response, found.version)
    return RealmView.show(found)


@router.delete("/{realm}", status_code=status.HTTP_204_NO_CONTENT)
def remove_realm(library: str, realm: str, changing: Changing, if_match: IfMatch) -> None:
    """Remove a realm: its requests are refused from now on."""
    with changing.open() as change:
        found = realms.show_realm(change.session, changing.actor, library, realm)
        verify_version(found.version, if_match)
        realms.remove_realm(change, changing.actor, library, realm)
