"""Where the patrons of a hosted library are checked."""

from collections.abc import Callable

from fastapi import APIRouter, Response

from api.conditions import IfMatch, IfNoneMatch
from api.merge_patch import apply_patch
from api.requests import ChangeRequest, Changing, Source, tag, tag_read, verify_version
from api.schemas.identity import IdentityChoice, IdentityPatch, IdentityView
from api.security import AnyActor
from federation.services import identity_settings

router = APIRouter(prefix="/v1/libraries/{library}/identity", tags=["identity"])


@router.get("")
def show_identity(
    library: str, registry: Source, actor: AnyActor, response: Response, if_none_match: IfNoneMatch = None
) -> IdentityView:
    """Show where a library's patrons are checked, and the methods that are offered."""
    with registry.read() as session:
        found = identity_settings.show_identity(session, actor, library)
    tag_read(response, found.version, if_none_match)
    return IdentityView.show(found)


@router.put("")
def set_identity(
    library: str, body: IdentityChoice, changing: Changing, if_match: IfMatch, response: Response
) -> IdentityView:
    """Set where a library's patrons are checked."""
    return _change(library, changing, if_match, response, lambda _: body)


@router.patch("")
def change_identity(
    library: str, body: IdentityPatch, changing: Changing, if_match: IfMatch, response: Response
) -> IdentityView:
    """Change where a library's patrons are checked."""
    return _change(library, changing, if_match, response, lambda before: apply_patch(before, body))


def _change(
    library: str,
    changing: ChangeRequest,
    if_match: int | None,
    response: Response,
    choose: Callable[[IdentityChoice], IdentityChoice],
) -> IdentityView:
    with changing.open() as change:
        found = identity_settings.show_identity(change.session, changing.actor, library)
        verify_version(found.version, if_match)
        wanted = choose(IdentityChoice(kind=found.kind, mschapv2=found.mschapv2))
        found = identity_settings.change_identity(
            change, changing.actor, library, kind=wanted.kind, mschapv2=wanted.mschapv2
        )
    tag(response, found.version)
    return IdentityView.show(found)
