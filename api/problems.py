"""Every answer that says no, as `application/problem+json` (RFC 9457), with a type that stays the same for good."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

MEDIA_TYPE = "application/problem+json"
TYPE_ROOT = "https://biebroam.example/problems/"  # an identifier; docs/api.md says what each means


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem: its status and the two texts that never change."""

    code: str
    status: HTTPStatus
    title: str

    @property
    def uri(self) -> str:
        """The `type` of the problem."""
        return TYPE_ROOT + self.code


MALFORMED = Kind("malformed-request", HTTPStatus.BAD_REQUEST, "The request can not be read")
UNAUTHENTICATED = Kind("unauthenticated", HTTPStatus.UNAUTHORIZED, "A valid token is needed")
FORBIDDEN = Kind("forbidden", HTTPStatus.FORBIDDEN, "This token may not do that")
NOT_FOUND = Kind("not-found", HTTPStatus.NOT_FOUND, "There is no such thing")
METHOD_NOT_ALLOWED = Kind("method-not-allowed", HTTPStatus.METHOD_NOT_ALLOWED, "This path has no such method")
CONFLICT = Kind("conflict", HTTPStatus.CONFLICT, "That is taken or still in use")
CHANGED = Kind("changed-meanwhile", HTTPStatus.PRECONDITION_FAILED, "It was changed since you read it")
TOO_LARGE = Kind("too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request is too large")
MEDIA_TYPE_NOT_TAKEN = Kind("media-type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body has to be JSON")
INVALID = Kind("invalid", HTTPStatus.UNPROCESSABLE_ENTITY, "The request is not valid")
PRECONDITION_REQUIRED = Kind("if-match-needed", HTTPStatus.PRECONDITION_REQUIRED, "Say which version you change")
TOO_MANY = Kind("too-many-failures", HTTPStatus.TOO_MANY_REQUESTS, "Too many failed authentications")
INTERNAL = Kind("internal", HTTPStatus.INTERNAL_SERVER_ERROR, "This is our fault")
UNAVAILABLE = Kind("unavailable", HTTPStatus.SERVICE_UNAVAILABLE, "Not available at this moment")

KINDS: Mapping[str, Kind] = {
    kind.code: kind
    for kind in (
        MALFORMED,
        UNAUTHENTICATED,
        FORBIDDEN,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        CONFLICT,
        CHANGED,
        TOO_LARGE,
        MEDIA_TYPE_NOT_TAKEN,
        INVALID,
        PRECONDITION_REQUIRED,
        TOO_MANY,
        INTERNAL,
        UNAVAILABLE,
    )
}
KIND_OF_STATUS: Mapping[int, Kind] = {kind.status.value: kind for kind in KINDS.values()}


class Unavailable(Exception):  # noqa: N818 - the condition is the name
    """What was asked can not be done at this moment; the message says why."""


class FieldProblem(BaseModel):
    """What is wrong with one field of the body, or with one parameter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    detail: str
    pointer: Annotated[str | None, Field(description="JSON Pointer into the body, as a URI fragment")] = None
    parameter: Annotated[str | None, Field(description="The query, path or header parameter")] = None


class Problem(BaseModel):
    """A problem (RFC 9457)."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "type": INVALID.uri,
                    "title": INVALID.title,
                    "status": INVALID.status.value,
                    "detail": "one field is not valid",
                    "instance": "urn:uuid:018f6c2e-6c3a-7cc2-a6a5-0f6f5b3f4a11",
                    "errors": [{"pointer": "#/name", "detail": "Field required"}],
                }
            ]
        },
    )

    type: str
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str | None = None
    instance: Annotated[str | None, Field(description="The request id, which is also in the log")] = None
    errors: list[FieldProblem] = []


def build_problem(
    kind: Kind,
    detail: str | None = None,
    *,
    request_id: str | None = None,
    errors: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The answer for a problem of *kind*."""
    problem = Problem(
        type=kind.uri,
        title=kind.title,
        status=kind.status.value,
        detail=detail,
        instance=f"urn:uuid:{request_id}" if request_id else None,
        errors=list(errors),
    )
    content = problem.model_dump(exclude_none=True)
    if not errors:
        del content["errors"]
    return JSONResponse(content, kind.status.value, dict(headers or {}), MEDIA_TYPE)
