"""From what the services refuse to what HTTP says: one table, and the framework's own refusals in the same form."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from api.conditions import NotModified, PreconditionFailed, PreconditionRequired
from api.problems import (
    CHANGED,
    CONFLICT,
    FORBIDDEN,
    INTERNAL,
    INVALID,
    KIND_OF_STATUS,
    MALFORMED,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    PRECONDITION_REQUIRED,
    UNAUTHENTICATED,
    UNAVAILABLE,
    FieldProblem,
    Kind,
    Unavailable,
    build_problem,
)
from api.routes.catalogue import find_methods
from federation.errors import (
    Blocked,
    Conflict,
    FederationError,
    Forbidden,
    InvalidDocument,
    InvalidInput,
    NotFound,
    SnapshotRejected,
    TrustError,
    Unauthenticated,
    VersionConflict,
)

_log = logging.getLogger(__name__)

# The first class in an error's ancestry that stands here decides; what stands nowhere is our own fault.
KIND_OF_ERROR: Mapping[type[Exception], Kind] = {
    NotFound: NOT_FOUND,
    VersionConflict: CHANGED,
    Conflict: CONFLICT,
    Forbidden: FORBIDDEN,
    Unauthenticated: UNAUTHENTICATED,
    InvalidInput: INVALID,  # a realm, a rule, a password, a certificate request
    InvalidDocument: INVALID,  # a federation file, a file of patrons
    SnapshotRejected: INVALID,
    TrustError: UNAVAILABLE,  # the authorities are not made, or the node key is not the one that sealed
    Unavailable: UNAVAILABLE,
    PreconditionRequired: PRECONDITION_REQUIRED,
    PreconditionFailed: CHANGED,
}


def install_error_answers(app: FastAPI) -> None:
    """Every refusal that *app* makes is a problem of a closed list."""
    for error in (FederationError, *KIND_OF_ERROR):
        app.add_exception_handler(error, _answer_refusal)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_framework)
    app.add_exception_handler(NotModified, _answer_not_modified)


def find_kind(error: Exception) -> Kind:
    """The kind of problem that *error* is, by its nearest ancestor in the table."""
    return next((KIND_OF_ERROR[base] for base in type(error).__mro__ if base in KIND_OF_ERROR), INTERNAL)


async def _answer_refusal(request: Request, error: Exception) -> JSONResponse:
    kind = find_kind(error)
    request_id = _request_id(request)
    if kind.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("api_refused_unexpectedly", extra={"request_id": request_id, "error": type(error).__name__})
    # Messages of the services are written for the person who asked and hold no secret; an error that is in no line
    # of the table is not, so it tells nothing.
    return build_problem(
        kind,
        _detail_of(error) if kind is not INTERNAL else "the request id names it in the log",
        request_id=request_id,
        errors=_field_problems(error),
        headers={"WWW-Authenticate": 'Bearer realm="biebroam"'} if kind is UNAUTHENTICATED else None,
    )


async def _answer_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(item["type"] == "json_invalid" for item in found):
        reason = str(found[0].get("ctx", {}).get("error", ""))
        return build_problem(MALFORMED, f"the body is not JSON: {reason}", request_id=_request_id(request))
    problems = [_describe(item) for item in found]
    count = f"{len(problems)} fields are" if len(problems) > 1 else "one field is"
    return build_problem(INVALID, f"{count} not valid", request_id=_request_id(request), errors=problems)


async def _answer_framework(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    kind = KIND_OF_STATUS.get(error.status_code, INTERNAL)
    headers = dict(error.headers or {})
    if kind is METHOD_NOT_ALLOWED and (methods := find_methods(request.url.path)):
        headers["Allow"] = ", ".join(sorted(methods))  # the framework names those of one route; a path has several
    return build_problem(kind, str(error.detail) or None, request_id=_request_id(request), headers=headers)


async def _answer_not_modified(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, NotModified)
    return Response(status_code=304, headers={"ETag": error.etag})


def _detail_of(error: Exception) -> str:
    if isinstance(error, PreconditionRequired):
        return "send If-Match with the ETag that you read"
    if isinstance(error, PreconditionFailed):
        return "If-Match names another version than this one; read it again"
    if isinstance(error, InvalidDocument):
        return f"{len(error.problems)} places are not valid" if len(error.problems) > 1 else "one place is not valid"
    return str(error)


def _field_problems(error: Exception) -> list[FieldProblem]:
    if isinstance(error, InvalidDocument):
        return [_place(item) for item in error.problems]
    if isinstance(error, (SnapshotRejected, Blocked)):
        return [FieldProblem(detail=reason) for reason in error.reasons]
    return [_place(error)] if isinstance(error, InvalidInput) else []


def _place(error: InvalidInput) -> FieldProblem:
    """A service names a field, a JSON Pointer, or a line of a file; the first two are pointers here (RFC 6901 §6)."""
    field = error.field
    if field.startswith("/"):
        return FieldProblem(detail=error.message, pointer=f"#{field}")
    if field.isidentifier():
        return FieldProblem(detail=error.message, pointer=f"#/{field}")
    return FieldProblem(detail=f"{field}: {error.message}" if field else error.message)


def _describe(item: Mapping[str, Any]) -> FieldProblem:  # Any: pydantic's own error records
    """Only the message and the place: what was sent is not repeated, it may be a password."""
    place: Sequence[str | int] = item["loc"]
    detail = str(item["msg"])
    source, rest = (str(place[0]), place[1:]) if place else ("body", ())
    if source != "body":
        return FieldProblem(detail=detail, parameter=str(rest[0]) if rest else source)
    return FieldProblem(detail=detail, pointer="#" + "".join(f"/{_escape(str(part))}" for part in rest))


def _escape(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


def _request_id(request: Request) -> str | None:
    request_id: str | None = request.scope.get("state", {}).get("request_id")
    return request_id
