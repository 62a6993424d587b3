"""Roots of other authorities, each trusted for some libraries' peers and for nobody else's."""

from fastapi import APIRouter, Response, status

from api.conditions import IfMatch
from api.requests import Changing, Source, tag, verify_version
from api.schemas.foreign_anchors import ForeignAnchorList, ForeignAnchorView, NewForeignAnchor
from api.security import Operator, Overseer
from federation.services import foreign_anchors

router = APIRouter(prefix="/v1/trust/foreign-anchors", tags=["trust"])

_VERSION = 1  # an anchor never changes: another one is added and this one removed


@router.get("")
def list_foreign_anchors(registry: Source, actor: Overseer) -> ForeignAnchorList:
    """List the roots of other authorities, with whom they may speak for and how their revocation lists are."""
    del actor
    with registry.read() as session:
        found = foreign_anchors.list_anchors(session, registry.now())
    return ForeignAnchorList(items=[ForeignAnchorView.show(item) for item in found])


@router.post("", status_code=status.HTTP_201_CREATED)
def add_foreign_anchor(
    body: NewForeignAnchor, changing: Changing, response: Response, actor: Operator
) -> ForeignAnchorView:
    """Trust the root of another authority for the peers of some libraries. Its lists are fetched within a minute."""
    with changing.open() as change:
        made = foreign_anchors.add_anchor(
            change,
            actor,
            name=body.name,
            certificates_pem=body.certificates.encode(),
            libraries=body.libraries,
            list_urls=body.list_urls,
            policy=body.policy,
        )
    tag(response, _VERSION, location=f"/v1/trust/foreign-anchors/{made.name}")
    return ForeignAnchorView.show(made)


@router.get("/{name}")
def show_foreign_anchor(name: str, registry: Source, response: Response, actor: Overseer) -> ForeignAnchorView:
    """Show the root of another authority."""
    del actor
    with registry.read() as session:
        found = foreign_anchors.show_anchor(session, name, registry.now())
    tag(response, _VERSION)
    return ForeignAnchorView.show(found)


@router.delete("/{name}", status_code=status.HTTP_204_NO_CONTENT)
def remove_foreign_anchor(name: str, changing: Changing, if_match: IfMatch, actor: Operator) -> None:
    """Believe nothing below that root any more."""
    with changing.open() as change:
        foreign_anchors.show_anchor(change.session, name, change.now)
        verify_version(_VERSION, if_match)
        foreign_anchors.remove_anchor(change, actor, name)
