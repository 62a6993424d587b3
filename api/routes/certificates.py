"""Certificates of members' RADIUS/TLS peers."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from api.pagination import Paging
from api.requests import Changing, Source
from api.schemas.certificates import CertificateRequest, CertificateView, Revocation
from api.schemas.common import ListOf
from api.security import AnyActor
from federation.services import certificates

router = APIRouter(prefix="/v1/certificates", tags=["certificates"])


@router.get("")
def list_certificates(
    registry: Source,
    actor: AnyActor,
    page: Paging,
    library: Annotated[str | None, Query(max_length=63, description="Only of this library")] = None,
) -> ListOf[CertificateView]:
    """List the certificates that you may see."""
    with registry.read() as session:
        found = certificates.list_certificates(
            session, actor, registry.now(), library=library, limit=page.limit, cursor=page.cursor
        )
    page.link_next(found.next_cursor)
    return ListOf(items=[CertificateView.show(item) for item in found.items], next_cursor=found.next_cursor)


@router.post("", status_code=status.HTTP_201_CREATED)
def issue_certificate(body: CertificateRequest, changing: Changing, response: Response) -> CertificateView:
    """Issue a certificate for a library's peer, from a PKCS #10 request. The private key stays where it is."""
    with changing.open() as change:
        issued = certificates.issue_certificate(change, changing.actor, body.library, body.csr.encode(), body.profile)
    response.headers["Location"] = f"/v1/certificates/{issued.serial}"
    return CertificateView.show(issued)


@router.get("/{serial}")
def show_certificate(serial: str, registry: Source, actor: AnyActor) -> CertificateView:
    """Show one certificate."""
    with registry.read() as session:
        return CertificateView.show(certificates.show_certificate(session, actor, serial, registry.now()))


@router.post("/{serial}/renew", status_code=status.HTTP_201_CREATED)
def renew_certificate(serial: str, changing: Changing, response: Response) -> CertificateView:
    """Issue a certificate in the place of another, for the same key and names; the other stays valid to its end."""
    with changing.open() as change:
        issued = certificates.renew_certificate(change, changing.actor, serial)
    response.headers["Location"] = f"/v1/certificates/{issued.serial}"
    return CertificateView.show(issued)


@router.post("/{serial}/revoke")
def revoke_certificate(serial: str, changing: Changing, body: Revocation | None = None) -> CertificateView:
    """Revoke a certificate: the revocation list names it from now on. To revoke it again changes nothing."""
    reason = (body or Revocation()).reason
    with changing.open() as change:
        return CertificateView.show(certificates.revoke_certificate(change, changing.actor, serial, reason))
