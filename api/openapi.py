"""The OpenAPI document: what the framework derives, and what holds for every operation, put in by rule.

`python -m api.openapi > docs/openapi.json` writes the committed one.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.bodies import MERGE_PATCH
from api.idempotency import MAX_KEY_CHARACTERS
from api.problems import (
    CHANGED,
    CONFLICT,
    FORBIDDEN,
    INTERNAL,
    INVALID,
    MALFORMED,
    MEDIA_TYPE,
    MEDIA_TYPE_NOT_TAKEN,
    NOT_FOUND,
    PRECONDITION_REQUIRED,
    TOO_LARGE,
    TOO_MANY,
    UNAUTHENTICATED,
    UNAVAILABLE,
    Kind,
    Problem,
)
from api.routes.catalogue import ROUTERS
from api.schemas.federation import build_document_schema
from api.security import LOOPBACK_PATHS, PUBLIC_PATHS, SELF_PROVING_PATHS

API_VERSION = "1.0.0"  # of the paths under /v1, not of the program

_DESCRIPTION = """\
Manages a federation of libraries whose patrons sign in on each other's Wi-Fi.

Every refusal is a problem (RFC 9457) of a closed list. A change of a thing needs If-Match with the ETag that you read.
PATCH is a merge patch (RFC 7396): what you leave out stays, null returns to the default. Lists come in pages; follow
Link rel=next. What belongs to another library does not exist for a library's token.
"""
_TAGS = {
    "libraries": "The members.",
    "realms": "The realms that a library owns; who has which is unique in the federation.",
    "access-points": "Who may ask: access points, controllers, a library's own proxy.",
    "home-servers": "A library's own RADIUS servers, in order. Without any, Biebroam is its home server.",
    "identity": "Where the patrons of a hosted library are checked.",
    "patrons": "The patrons of a hosted library with the local store.",
    "federation": "The whole as one document, in the shape of the federation file.",
    "certificates": "Certificates of peers for RADIUS/TLS.",
    "trust": "Anchors and revocation lists, for anybody.",
    "tokens": "Tokens of this API.",
    "diagnosis": "Ask before it hurts.",
    "sign-ins": "What happened lately, without names of patrons.",
    "audit": "Who did what, when.",
    "operation": "How the service is doing.",
}
_METHODS = frozenset({"get", "post", "put", "patch", "delete"})

Json = dict[str, Any]  # Any: an OpenAPI document is JSON of many shapes


def build_document() -> Json:
    """The complete document of this code's routes, the same each time."""
    app = FastAPI(generate_unique_id_function=lambda route: route.name)  # functions are named as operations
    for router in ROUTERS:
        app.include_router(router)
    document = get_openapi(
        title="Biebroam",
        version=API_VERSION,
        description=_DESCRIPTION,
        routes=app.routes,
        tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
    )
    schemas: Json = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs"))
    schemas["Problem"] = problem
    _describe_document(document)
    document["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "A token of this API: bbr_<id>_<secret>"}
    }
    document["components"]["responses"] = {kind.code: _problem_response(kind) for kind in _KINDS}
    document["security"] = [{"token": []}]
    for path, method, operation in operations_of(document):
        _complete(path, method, operation)
    return document


def _describe_document(document: Json) -> None:
    """The federation document, which the routes take and give as it is, with the schema that its parser has."""
    schemas: Json = document["components"]["schemas"]
    schema = build_document_schema()
    schemas.update(schema.pop("$defs"))
    schemas["FederationDocument"] = schema
    schemas.pop("Content", None)
    reference = {"$ref": "#/components/schemas/FederationDocument"}
    item = document["paths"]["/v1/federation"]
    item["put"]["requestBody"]["content"]["application/json"]["schema"] = reference
    item["get"]["responses"]["200"]["content"]["application/json"]["schema"] = reference


def operations_of(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Json]]:
    """Every operation of *document*: its path, its method in lower case, and itself."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in _METHODS:
                yield path, method, operation


_KINDS = (
    MALFORMED,
    UNAUTHENTICATED,
    FORBIDDEN,
    NOT_FOUND,
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


def _complete(path: str, method: str, operation: Json) -> None:
    for parameter in operation.get("parameters", []):
        if parameter["name"] == "if-match":
            parameter["required"] = True  # optional for the framework only, so that a missing one is 428 and not 422
    if method == "post" and path not in PUBLIC_PATHS:
        operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
    responses: Json = operation["responses"]
    responses.pop("422", None)
    for kind in _possible(path, method, operation):
        responses.setdefault(str(kind.status.value), {"$ref": f"#/components/responses/{kind.code}"})
    _add_headers(path, operation)
    operation["responses"] = dict(sorted(responses.items()))
    if path in PUBLIC_PATHS:
        operation["security"] = []
    elif path in LOOPBACK_PATHS:
        operation["security"] = [{}, {"token": []}]
    if method == "patch":
        content = operation["requestBody"]["content"]
        operation["requestBody"]["content"] = {MERGE_PATCH: content["application/json"], **content}


def _add_headers(path: str, operation: Json) -> None:
    responses: Json = operation["responses"]
    parameters = {parameter["name"] for parameter in operation.get("parameters", [])}
    if "if-none-match" in parameters:
        responses["304"] = {"description": "You have this version already", "headers": _ETAG}
    if parameters & {"if-none-match", "if-match"} and "200" in responses:
        responses["200"]["headers"] = _ETAG
    if "cursor" in parameters:
        responses["200"]["headers"] = {
            "Link": {"description": 'The next page, rel="next" (RFC 8288)', "schema": {"type": "string"}}
        }
    if "201" in responses:
        location = {"Location": {"description": "Where the new thing is", "schema": {"type": "string"}}}
        responses["201"]["headers"] = (
            location if "certificates" in path or path.startswith("/v1/trust/") else location | _ETAG
        )


def _possible(path: str, method: str, operation: Json) -> Iterator[Kind]:
    yield INTERNAL
    yield UNAVAILABLE
    if path not in PUBLIC_PATHS:
        yield from (UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, TOO_MANY)
    elif any(parameter["name"] == "generation" for parameter in operation.get("parameters", [])):
        yield NOT_FOUND
    if path in SELF_PROVING_PATHS:
        yield UNAUTHENTICATED
    if operation.get("parameters") or "requestBody" in operation:
        yield INVALID
    if "requestBody" in operation:
        yield from (MALFORMED, TOO_LARGE, MEDIA_TYPE_NOT_TAKEN)
    if method != "get":
        yield CONFLICT
    if any(parameter["name"] == "if-match" for parameter in operation.get("parameters", [])):
        yield from (CHANGED, PRECONDITION_REQUIRED)


_IDEMPOTENCY_KEY: Json = {
    "name": "idempotency-key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_CHARACTERS, "pattern": "^[ -~]+$"},
    "description": "Repeated with the same key within a day, the request is done once and answered as the first time",
}
_ETAG: Json = {"ETag": {"description": "The version of what is shown", "schema": {"type": "string"}}}


def _problem_response(kind: Kind) -> Json:
    return {
        "description": kind.title,
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "example": {"type": kind.uri, "title": kind.title, "status": kind.status.value},
            }
        },
    }


def format_document(document: Json) -> str:
    """The text of docs/openapi.json."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the document of this code to standard output."""
    sys.stdout.write(format_document(build_document()))


if __name__ == "__main__":
    main()
