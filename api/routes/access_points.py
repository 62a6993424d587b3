"""Access points, controllers and libraries' own proxies: who may ask."""

from fastapi import APIRouter, Response, status

from api.conditions import IfMatch, IfNoneMatch
from api.merge_patch import apply_patch
from api.pagination import Paging
from api.requests import Changing, Source, tag, tag_read, verify_version
from api.schemas.access_points import (
    AccessPointPatch,
    AccessPointSettings,
    AccessPointView,
    CreatedAccessPoint,
    NewAccessPoint,
)
from api.schemas.common import ListOf, reveal
from api.security import AnyActor
from federation.services import access_points
from federation.services.access_points import AccessPointValues

router = APIRouter(prefix="/v1/libraries/{library}/access-points", tags=["access-points"])


@router.get("")
def list_access_points(library: str, registry: Source, actor: AnyActor, page: Paging) -> ListOf[AccessPointView]:
    """List a library's access points, ordered by name; never their secrets."""
    with registry.read() as session:
        found = access_points.list_access_points(session, actor, library, limit=page.limit, cursor=page.cursor)
    page.link_next(found.next_cursor)
    return ListOf(items=[AccessPointView.show(item) for item in found.items], next_cursor=found.next_cursor)


@router.post("", status_code=status.HTTP_201_CREATED)
def add_access_point(library: str, body: NewAccessPoint, changing: Changing, response: Response) -> CreatedAccessPoint:
    """Add an access point. Without a secret one is generated; it is in this answer and nowhere afterwards."""
    with changing.open() as change:
        created = access_points.add_access_point(
            change, changing.actor, library, name=body.name, values=_values(body), secret=reveal(body.secret)
        )
    name = created.item.name
    tag(response, created.item.version, location=f"/v1/libraries/{library}/access-points/{name}")
    return CreatedAccessPoint.show_created(created)


@router.get("/{name}")
def show_access_point(
    library: str, name: str, registry: Source, actor: AnyActor, response: Response, if_none_match: IfNoneMatch = None
) -> AccessPointView:
    """Show one access point."""
    with registry.read() as session:
        found = access_points.show_access_point(session, actor, library, name)
    tag_read(response, found.version, if_none_match)
    return AccessPointView.show(found)


@router.patch("/{name}")
def change_access_point(
    library: str, name: str, body: AccessPointPatch, changing: Changing, if_match: IfMatch, response: Response
) -> CreatedAccessPoint:
    """Change an access point; a `secret` of null has a new one generated, which is in this answer only."""
    actor = changing.actor
    with changing.open() as change:
        found = access_points.show_access_point(change.session, actor, library, name)
        verify_version(found.version, if_match)
        before = AccessPointSettings.model_validate(found, from_attributes=True)
        wanted = apply_patch(before, body, besides={"secret"})
        changed = access_points.change_access_point(
            change, actor, library, name, values=_values(wanted), secret=reveal(body.secret)
        )
        if "secret" in body.model_fields_set and body.secret is None:
            changed = access_points.renew_secret(change, actor, library, name)
    tag(response, changed.item.version)
    return CreatedAccessPoint.show_created(changed)


@router.delete("/{name}", status_code=status.HTTP_204_NO_CONTENT)
def remove_access_point(library: str, name: str, changing: Changing, if_match: IfMatch) -> None:
    """Remove an access point: it gets no answer from now on."""
    with changing.open() as change:
        found = access_points.show_access_point(change.session, changing.actor, library, name)
        verify_version(found.version, if_match)
        access_points.remove_access_point(change, changing.actor, library, name)


def _values(settings: AccessPointSettings) -> AccessPointValues:
    return AccessPointValues(
        kind=settings.kind,
        address=settings.address,
        certificate=settings.certificate,
        guest_vlan=settings.guest_vlan,
        allow_pap=settings.allow_pap,
        request_cui=settings.request_cui,
        coa_port=settings.coa_port,
        coa_host=settings.coa_host,
        require_event_timestamp=settings.require_event_timestamp,
        protocol_errors=settings.protocol_errors,
        on_timeout=settings.on_timeout,
        require_message_authenticator=settings.require_message_authenticator,
    )
