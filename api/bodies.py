"""What a request body may be: JSON, and not larger than its path allows. Checked before anybody parses it."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import MEDIA_TYPE_NOT_TAKEN, TOO_LARGE, build_problem

MERGE_PATCH = "application/merge-patch+json"  # RFC 7396
CERTIFICATE_REQUEST = "application/pkcs10"  # RFC 5967, for RFC 7030
EST_PATHS = ("/.well-known/est/simpleenroll", "/.well-known/est/simplereenroll")
MAX_BODY_OCTETS = 256 * 1024  # the largest ordinary body is a library with some hundreds of realms
MAX_DOCUMENT_OCTETS = 32 * 1024 * 1024  # a federation of 100,000 realms, or 200,000 patrons, is about 10 MB
LARGE_PATHS = ("/v1/federation", "/patrons/import")  # as they end


class BodyRules:
    """Refuses a body of another media type (415) or over the limit (413), whether or not it says its length."""

    def __init__(self, app: ASGIApp, *, max_octets: int = MAX_BODY_OCTETS) -> None:
        self._app = app
        self._max_octets = max_octets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request whose body is allowed."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit = MAX_DOCUMENT_OCTETS if scope["path"].endswith(LARGE_PATHS) else self._max_octets
        request_id: str = scope["state"]["request_id"]
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:18]) > limit:
            refusal = build_problem(TOO_LARGE, f"at most {limit} octets", request_id=request_id)
            await refusal(scope, receive, send)
            return
        has_body = length != "0" or "transfer-encoding" in headers
        is_est = scope["path"] in EST_PATHS
        content_type = headers.get("content-type", "")
        if has_body and not (
            _is(content_type, CERTIFICATE_REQUEST) if is_est else _is_json(content_type, scope["method"])
        ):
            refusal = build_problem(
                MEDIA_TYPE_NOT_TAKEN,
                f"send {CERTIFICATE_REQUEST}"
                if is_est
                else "send application/json" + (f" or {MERGE_PATCH}" if scope["method"] == "PATCH" else ""),
                request_id=request_id,
                headers={"Accept-Patch": f"{MERGE_PATCH}, application/json"} if scope["method"] == "PATCH" else None,
            )
            await refusal(scope, receive, send)
            return
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > limit:
                    raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {limit} octets")
            return message

        await self._app(scope, receive_within_limit, send)


def _is_json(content_type: str, method: str) -> bool:
    return _is(content_type, "application/json") or (method == "PATCH" and _is(content_type, MERGE_PATCH))


def _is(content_type: str, media_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == media_type
