"""Enrolment over Secure Transport (RFC 7030), for servers that renew with a standard client.

The secrets of `/v1/enrolments` come as the password of HTTP Basic (RFC 7030 §3.2.3). A renewal for the same key needs
none. The renewal token for the next key is in the header `Biebroam-Renewal-Token` of the answer.
"""

import base64
import binascii
from http import HTTPStatus

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from api.requests import Source
from api.routes.invitations import stranger_of
from federation.errors import Unauthenticated
from federation.services import authorities, enrolment
from federation.services.registry import Registry
from federation.trust.profiles import MAX_REQUEST_OCTETS, Purpose, RequestRefused

router = APIRouter(prefix="/.well-known/est", include_in_schema=False)  # described by the RFC, and not by OpenAPI

CERTIFICATES_MEDIA_TYPE = "application/pkcs7-mime; smime-type=certs-only"  # RFC 7030 §4.1.3
TOKEN_HEADER = "Biebroam-Renewal-Token"  # noqa: S105 - the name of a header
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="biebroam"'}


@router.get("/cacerts")
def show_authorities(registry: Source) -> Response:
    """The anchors that peers trust, and the authorities below them that issue (RFC 7030 §4.1.3)."""
    with registry.read() as session:
        rows = authorities.load_trusted(session, Purpose.PEERS)
        found = "".join(row.certificate_pem for row in rows).encode()
    return _certificates(x509.load_pem_x509_certificates(found))


@router.post("/simpleenroll")
async def enrol(registry: Source, request: Request) -> Response:
    """A first certificate, with an invitation as the password (RFC 7030 §4.2.1)."""
    password = _password_of(request)
    if password is None:
        return Response("send the invitation as the password of HTTP Basic", HTTPStatus.UNAUTHORIZED, _CHALLENGE)
    return await run_in_threadpool(_answer, registry, request, await _request_pem(request), password, is_first=True)


@router.post("/simplereenroll")
async def reenrol(registry: Source, request: Request) -> Response:
    """Another certificate for the same names (RFC 7030 §4.2.2)."""
    pem = await _request_pem(request)
    return await run_in_threadpool(_answer, registry, request, pem, _password_of(request), is_first=False)


def _answer(registry: Registry, request: Request, pem: bytes, password: str | None, *, is_first: bool) -> Response:
    try:
        with registry.change(stranger_of(request), "EST") as change:
            if is_first:
                made = enrolment.enrol(change, password or "", pem, delivers_anchors=False)
            else:
                made = enrolment.reenrol(change, password, pem, delivers_anchors=False)
    except Unauthenticated as error:
        return Response(str(error), HTTPStatus.UNAUTHORIZED, _CHALLENGE, media_type="text/plain")
    except RequestRefused as error:  # RFC 7030 §4.2.3: 4xx, with a text for a person
        return Response(error.message, HTTPStatus.BAD_REQUEST, media_type="text/plain")
    headers = {TOKEN_HEADER: made.renewal_token} if made.renewal_token else {}
    # The certificate alone (RFC 7030 §4.2.3): DER sorts a set, and its issuer could stand first.
    return _certificates([x509.load_pem_x509_certificate(made.certificate.certificate_pem.encode())], headers)


async def _request_pem(request: Request) -> bytes:
    """The body, base64 of a PKCS #10 request (RFC 7030 §4.2.1), as PEM; clients that send PEM are taken too."""
    body = await request.body()  # bounded before it comes here
    if len(body) > MAX_REQUEST_OCTETS:
        raise RequestRefused(f"the request is longer than {MAX_REQUEST_OCTETS} octets")
    if body.lstrip().startswith(b"-----BEGIN"):
        return body
    try:
        octets = base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error:
        raise RequestRefused("this is not base64 of a PKCS #10 request") from None
    text = base64.encodebytes(octets)
    return b"-----BEGIN CERTIFICATE REQUEST-----\n" + text + b"-----END CERTIFICATE REQUEST-----\n"


def _password_of(request: Request) -> str | None:
    """The password of HTTP Basic (RFC 7617); None when there is none that can be read."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        _, colon, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return password if colon else None


def _certificates(certificates: list[x509.Certificate], headers: dict[str, str] | None = None) -> Response:
    """Certificates as PKCS #7 without signature, in base64 (RFC 7030 §4.1.3, RFC 8951 §3)."""
    octets = base64.encodebytes(pkcs7.serialize_certificates(certificates, Encoding.DER))
    return Response(
        octets,
        headers={"Content-Transfer-Encoding": "base64", **(headers or {})},
        media_type=CERTIFICATES_MEDIA_TYPE,
    )
