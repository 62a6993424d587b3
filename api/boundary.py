"""The outermost layer of the API: request ids, security headers, the access log, and the last word on our own bugs.

Plain ASGI, so that it holds for every answer, those of the framework included.
"""

import logging
import time
import uuid

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.outages import answer_outage, is_outage
from api.problems import INTERNAL, UNAVAILABLE, build_problem

_log = logging.getLogger(__name__)

# OWASP's REST guidance: nothing of this is ever a page that another site may frame, sniff or keep.
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; frame-ancestors 'none'",
}
_PATRONS = "/patrons/"
READINESS_PATH = "/readyz"  # asked by what takes a node out of service: whatever fails there, it is not ready (503)
DEFAULT_CACHE_CONTROL = "no-store"  # answers hold addresses and names; a route that may be cached says so itself


class Boundary:
    """Gives each request an id, each answer its headers and one log line, and an unknown error one trace."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an HTTP request on; the id is in the scope's state as `request_id`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = str(uuid.uuid4())
        scope.setdefault("state", {})["request_id"] = request_id
        started_at = time.monotonic()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers.setdefault("Cache-Control", DEFAULT_CACHE_CONTROL)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:
            if is_outage(error) and not status:
                answer = answer_outage(error, request_id)
            elif scope["path"] == READINESS_PATH and not status:
                _log.exception("readiness_not_known", extra={"request_id": request_id})
                answer = build_problem(UNAVAILABLE, "whether it is ready can not be said", request_id=request_id)
            else:
                place = redact_path(scope["path"])
                _log.exception("api_request_failed", extra={"request_id": request_id, "path": place})
                if status:  # the answer has begun: all that is left is to break the connection off
                    raise
                answer = build_problem(INTERNAL, "the request id names it in the log", request_id=request_id)
            await answer(scope, receive, send_with_headers)
        _log.info(
            "api_request",
            extra={
                "request_id": request_id,
                "method": scope["method"],
                "path": redact_path(scope["path"]),
                "status": status,
                "milliseconds": round((time.monotonic() - started_at) * 1000, 1),
                "client": (scope.get("client") or ("",))[0],
                "actor": scope["state"].get("actor_name", ""),
            },
        )


def redact_path(path: str) -> str:
    """The path as a log may have it: a patron's name is a person's."""
    before, marker, name = path.partition(_PATRONS)
    return f"{before}{marker}…" if name and name != "import" else path
