"""What anybody may fetch: the anchors to trust and the revocation lists. No token: they are public by nature."""

from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from api.requests import Source
from federation.services import authorities
from federation.trust.profiles import Purpose

router = APIRouter(prefix="/v1/trust", tags=["trust"])

PEM_MEDIA_TYPE = "application/pem-certificate-chain"  # RFC 8555 §9.1
CRL_MEDIA_TYPE = "application/pkix-crl"  # RFC 2585 §4.2
PEM_FILE_MEDIA_TYPE = "application/x-pem-file"  # there is no registered one for lists as PEM
_CRL_RESPONSES: dict[int | str, dict[str, Any]] = {  # Any: parts of the OpenAPI document
    200: {"content": {PEM_FILE_MEDIA_TYPE: {"schema": {"type": "string"}}}, "description": "The list"}
}
_CACHE = {"Cache-Control": "public, max-age=3600"}  # anchors live for decades, lists for a week


class CrlForm(StrEnum):
    """How a revocation list is written."""

    DER = "der"  # the issuing authority's, as a distribution point has it (RFC 5280 §4.2.1.13)
    PEM = "pem"  # the issuing authority's and the root's, of both generations, as servers read them from a file


Form = Annotated[
    CrlForm, Query(description="der: the issuing authority's list; pem: that and the root's, for a server's file")
]


Generation = Annotated[
    int | None,
    Query(ge=1, le=2**31 - 1, description="Of the issuing authority, for der; default: the one that issues now"),
]


class PemResponse(Response):
    """Certificates as PEM."""

    media_type = PEM_MEDIA_TYPE


class CrlResponse(Response):
    """A revocation list."""

    media_type = CRL_MEDIA_TYPE


@router.get("/peers.pem", response_class=PemResponse)
def show_peer_anchors(registry: Source) -> Response:
    """Fetch the root that peers of this federation trust for RADIUS/TLS; both of them during a roll-over."""
    return _anchors(registry, Purpose.PEERS)


@router.get("/eap.pem", response_class=PemResponse)
def show_eap_anchors(registry: Source) -> Response:
    """Fetch the root that patrons' devices trust for the Wi-Fi of hosted libraries; both of them during a roll-over."""
    return _anchors(registry, Purpose.EAP)


@router.get("/peers.crl", response_class=CrlResponse, responses=_CRL_RESPONSES)
def show_peer_revocations(registry: Source, form: Form = CrlForm.DER, generation: Generation = None) -> Response:
    """Fetch the revocation list of the peers' authority."""
    return _revocations(registry, Purpose.PEERS, form, generation)


@router.get("/eap.crl", response_class=CrlResponse, responses=_CRL_RESPONSES)
def show_eap_revocations(registry: Source, form: Form = CrlForm.DER, generation: Generation = None) -> Response:
    """Fetch the revocation list of the EAP authority."""
    return _revocations(registry, Purpose.EAP, form, generation)


@router.get("/peers-root.crl", response_class=CrlResponse)
def show_peer_root_revocations(registry: Source, generation: Generation = None) -> Response:
    """Fetch the revocation list of the peers' root, which would name an issuing authority."""
    return _root_revocations(registry, Purpose.PEERS, generation)


@router.get("/eap-root.crl", response_class=CrlResponse)
def show_eap_root_revocations(registry: Source, generation: Generation = None) -> Response:
    """Fetch the revocation list of the EAP root, which would name an issuing authority."""
    return _root_revocations(registry, Purpose.EAP, generation)


def _anchors(registry: Source, purpose: Purpose) -> Response:
    with registry.read() as session:
        return PemResponse(authorities.load_anchors(session, purpose), headers=_CACHE)


def _revocations(registry: Source, purpose: Purpose, form: CrlForm, generation: int | None) -> Response:
    with registry.read() as session:
        if form is CrlForm.PEM:
            text = authorities.load_crl_pem(session, purpose)
            return Response(text, media_type=PEM_FILE_MEDIA_TYPE, headers=_CACHE)
        return CrlResponse(authorities.load_crl_der(session, purpose, generation), headers=_CACHE)


def _root_revocations(registry: Source, purpose: Purpose, generation: int | None) -> Response:
    with registry.read() as session:
        return CrlResponse(authorities.load_crl_der(session, purpose, generation, of_root=True), headers=_CACHE)
