"""Patrons of a hosted library with the local store."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Response, status

from api.conditions import IfMatch, IfNoneMatch
from api.merge_patch import apply_patch
from api.pagination import Paging
from api.requests import Changing, Source, tag, tag_read, verify_version
from api.schemas.common import ListOf
from api.schemas.patrons import NewPatron, PatronImport, PatronPatch, PatronSettings, PatronsImported, PatronView
from api.security import AnyActor
from federation.errors import InvalidInput
from federation.services import patrons

router = APIRouter(prefix="/v1/libraries/{library}/patrons", tags=["patrons"])

# A user name may hold a slash, so the name takes the rest of the path.
PatronName = Annotated[str, Path(description="user@realm, or user where the library has one realm")]


@router.get("")
def list_patrons(library: str, registry: Source, actor: AnyActor, page: Paging) -> ListOf[PatronView]:
    """List a library's patrons; never their passwords or hashes."""
    with registry.read() as session:
        found = patrons.list_patrons(session, actor, library, limit=page.limit, cursor=page.cursor)
    page.link_next(found.next_cursor)
    return ListOf(items=[PatronView.show(patron) for patron in found.items], next_cursor=found.next_cursor)


@router.post("", status_code=status.HTTP_201_CREATED)
def add_patron(library: str, body: NewPatron, changing: Changing, response: Response) -> PatronView:
    """Add a patron, who may sign in at once."""
    try:
        with changing.open() as change:
            patron = patrons.add_patron(
                change,
                changing.actor,
                library,
                name=body.name,
                password=body.password.get_secret_value(),
                expires_on=body.expires_on,
            )
    except InvalidInput as error:  # the service speaks of the name's two parts
        raise InvalidInput(error.message, field="name" if error.field in {"user", "realm"} else error.field) from None
    tag(response, patron.version, location=f"/v1/libraries/{library}/patrons/{quote(patron.name)}")
    return PatronView.show(patron)


@router.post("/import")
def import_patrons(library: str, body: PatronImport, registry: Source, actor: AnyActor) -> PatronsImported:
    """Import patrons from CSV: all of them are kept, or none, and each wrong line is named."""
    octets = body.csv.get_secret_value().encode()
    done = patrons.import_patrons(registry, actor, library, octets, replaces=body.replaces)
    return PatronsImported.model_validate(done)


@router.get("/{name:path}")
def show_patron(
    library: str,
    name: PatronName,
    registry: Source,
    actor: AnyActor,
    response: Response,
    if_none_match: IfNoneMatch = None,
) -> PatronView:
    """Show one patron."""
    with registry.read() as session:
        patron = patrons.show_patron(session, actor, library, name)
    tag_read(response, patron.version, if_none_match)
    return PatronView.show(patron)


@router.patch("/{name:path}")
def change_patron(
    library: str, name: PatronName, body: PatronPatch, changing: Changing, if_match: IfMatch, response: Response
) -> PatronView:
    """Change a patron: block, set the last day, or give a new password."""
    if "password" in body.model_fields_set and body.password is None:
        raise InvalidInput("a patron can not be without a password", field="/password")
    with changing.open() as change:
        patron = patrons.show_patron(change.session, changing.actor, library, name)
        verify_version(patron.version, if_match)
        settings = PatronSettings(is_blocked=patron.is_blocked, expires_on=patron.expires_on)
        wanted = apply_patch(settings, body, besides={"password"})
        if body.password is not None:
            password = body.password.get_secret_value()
            patron = patrons.set_password(change, changing.actor, library, name, password)
        if wanted != settings:
            patron = patrons.change_patron(
                change,
                changing.actor,
                library,
                name,
                is_blocked=wanted.is_blocked,
                expires_on=wanted.expires_on,
            )
    tag(response, patron.version)
    return PatronView.show(patron)


@router.delete("/{name:path}", status_code=status.HTTP_204_NO_CONTENT)
def remove_patron(library: str, name: PatronName, changing: Changing, if_match: IfMatch) -> None:
    """Remove a patron; nothing of theirs is kept."""
    with changing.open() as change:
        patron = patrons.show_patron(change.session, changing.actor, library, name)
        verify_version(patron.version, if_match)
        patrons.remove_patron(change, changing.actor, library, name)
