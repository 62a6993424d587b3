"""Invitations of a library, and joining with one."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response, status

from api.requests import Changing, Source, tag
from api.schemas.enrolment import (
    CreatedInvitationView,
    EnrolmentRequest,
    EnrolmentView,
    InvitationList,
    InvitationView,
    NewInvitation,
)
from api.security import AnyActor
from federation.model import Actor, Role
from federation.services import enrolment, invitations
from federation.services.configurations import build_configurations

router = APIRouter(tags=["certificates"])
InvitationId = Annotated[str, Path(max_length=16)]


@router.get("/v1/libraries/{library}/invitations")
def list_invitations(library: str, registry: Source, actor: AnyActor) -> InvitationList:
    """List the invitations of a library, used and expired ones among them; never their secrets."""
    with registry.read() as session:
        found = invitations.list_invitations(session, actor, library)
    return InvitationList(items=[InvitationView.show(item) for item in found])


@router.post("/v1/libraries/{library}/invitations", status_code=status.HTTP_201_CREATED)
def create_invitation(
    library: str, changing: Changing, response: Response, body: NewInvitation | None = None
) -> CreatedInvitationView:
    """Make an invitation: with it the library's server gets one certificate. Its secret is in this answer only."""
    wanted = body or NewInvitation()
    with changing.open() as change:
        created = invitations.create_invitation(
            change, changing.actor, library, profile=wanted.profile, days=wanted.days
        )
    tag(response, 1, location=f"/v1/libraries/{library}/invitations")
    return CreatedInvitationView.show_created(created)


@router.post("/v1/libraries/{library}/invitations/{invitation}/revoke")
def revoke_invitation(library: str, invitation: InvitationId, changing: Changing) -> InvitationView:
    """Revoke an invitation: it opens nothing from now on. To revoke it again changes nothing."""
    with changing.open() as change:
        return InvitationView.show(invitations.revoke_invitation(change, changing.actor, library, invitation))


@router.post("/v1/enrolments")
def enrol(body: EnrolmentRequest, registry: Source, request: Request) -> EnrolmentView:
    """Get a certificate, anchors and ready configuration, with an invitation; later ones with the renewal token.

    No token of the API is needed. The private key stays where it is.
    """
    with registry.change(stranger_of(request), "enrolment") as change:
        if body.invitation is not None:
            made = enrolment.enrol(change, body.invitation, body.csr.encode())
        else:
            made = enrolment.reenrol(change, body.renewal_token, body.csr.encode())
        place = enrolment.find_place(change.session, made)
    return EnrolmentView.show(made, build_configurations(place))


def stranger_of(request: Request) -> Actor:
    """Who comes with a secret that the service has still to look at; may do nothing by itself."""
    address = request.client.host if request.client else ""
    return Actor("enrolment", Role.READER, source_address=address, request_id=request.state.request_id)
