"""Who asks: every path needs a token unless this module names it.

What the token may do is decided in two places: reading or changing here, whose things it sees in the services' queries.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Annotated

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.failures import Failures
from api.problems import FORBIDDEN, TOO_MANY, UNAUTHENTICATED, build_problem
from federation.errors import Forbidden, NotFound
from federation.model import Role
from federation.services.registry import Actor

# Who comes here brings a secret that the path itself looks at, or proves to have a key; EST uses HTTP Basic.
SELF_PROVING_PATHS = frozenset(
    {
        "/v1/enrolments",
        "/.well-known/est/cacerts",
        "/.well-known/est/simpleenroll",
        "/.well-known/est/simplereenroll",
    }
)
# Trust anchors and revocation lists are public by nature: a relying party fetches them before it has any token.
PUBLIC_PATHS = SELF_PROVING_PATHS | frozenset(
    {
        "/openapi.json",
        "/docs",
        "/docs/style.css",
        "/v1/trust/peers.pem",
        "/v1/trust/eap.pem",
        "/v1/trust/peers.crl",
        "/v1/trust/eap.crl",
        "/v1/trust/peers-root.crl",
        "/v1/trust/eap-root.crl",
    }
)
LOOPBACK_PATHS = frozenset({"/livez", "/readyz", "/metrics"})  # for the machine's own probes; others bring a token
READING_POSTS = frozenset({"/v1/explain"})  # asks, and changes nothing
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_TOKEN_CHARACTERS = 256
# A proxy on this machine would make every address a loopback one; it says so with one of these.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")

Authenticate = Callable[[str, str, str], Actor | None]  # token, source address, request id


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request comes from, as far as the connection tells."""

    address: str
    is_loopback: bool


class Authentication:
    """Puts the `Actor` of a request in its state, or answers 401; a reader's changes are answered 403."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        authenticate: Authenticate,
        local_actor: Actor | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """*local_actor* is who asks without a token; only for an application that listens nowhere."""
        self._app = app
        self._authenticate = authenticate
        self._local_actor = local_actor
        self._failures = Failures()
        self._monotonic = monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request that may be here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = await self._refusal(scope)
        await (refusal or self._app)(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Response | None:
        path, method = scope["path"], scope["method"]
        state = scope["state"]
        request_id: str = state["request_id"]
        headers = Headers(scope=scope)
        caller = _caller_of(scope, headers)
        authorization = headers.get("authorization")
        if authorization is None or path in SELF_PROVING_PATHS:
            if path in PUBLIC_PATHS or (path in LOOPBACK_PATHS and caller.is_loopback):
                return None
            if self._local_actor is None:
                return _unauthenticated("send Authorization: Bearer <token>", request_id)
            actor: Actor | None = replace(self._local_actor, request_id=request_id)
        else:
            actor = await self._actor_of(authorization, caller.address, request_id)
        if actor is None:
            now = self._monotonic()
            seconds = self._failures.retry_after_seconds(caller.address, now)
            self._failures.record(caller.address, now)
            if seconds:
                return build_problem(
                    TOO_MANY,
                    "wait, then try with a valid token",
                    request_id=request_id,
                    headers={"Retry-After": str(seconds), **self._failures.describe(caller.address, now)},
                )
            limits = self._failures.describe(caller.address, now)
            return _unauthenticated("the token is unknown, expired or revoked", request_id, "invalid_token", limits)
        if actor.role is Role.READER and method not in SAFE_METHODS and path not in READING_POSTS:
            return build_problem(FORBIDDEN, "a reader changes nothing", request_id=request_id)
        state["actor"] = actor
        state["actor_name"] = actor.name
        return None

    async def _actor_of(self, authorization: str, address: str, request_id: str) -> Actor | None:
        """A valid token is always let in, also from an address with failures: a neighbour must not lock anybody out."""
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            return None
        return await run_in_threadpool(self._authenticate, token, address, request_id)  # one query: off the loop


def find_actor(request: Request) -> Actor:
    """Who asks, for a route."""
    actor: Actor = request.state.actor
    return actor


def find_operator(request: Request) -> Actor:
    """Who asks, when it is the federation's operator.

    Raises:
        Forbidden: it is another role, on a path that belongs to no library.
    """
    actor = find_actor(request)
    if actor.role is not Role.OPERATOR:
        raise Forbidden("only an operator may do that")
    return actor


def find_overseer(request: Request) -> Actor:
    """Who asks, when it sees the whole federation: an operator, or a reader that is bound to no library.

    Raises:
        NotFound: it belongs to one library; what is above it does not exist for it.
    """
    actor = find_actor(request)
    if actor.library is not None or actor.role is Role.LIBRARY:
        raise NotFound("there is nothing here for a library's token")
    return actor


AnyActor = Annotated[Actor, Depends(find_actor)]
Operator = Annotated[Actor, Depends(find_operator)]
Overseer = Annotated[Actor, Depends(find_overseer)]


def _caller_of(scope: Scope, headers: Headers) -> Caller:
    address = (scope.get("client") or ("",))[0]
    try:
        parsed = ip_address(address)
        is_loopback = (getattr(parsed, "ipv4_mapped", None) or parsed).is_loopback
    except ValueError:
        is_loopback = False
    return Caller(address, is_loopback and not any(name in headers for name in _FORWARDED))


def _unauthenticated(
    detail: str, request_id: str, error: str = "", limits: Mapping[str, str] | None = None
) -> Response:
    """RFC 6750 §3: the challenge; `error` only when a token was sent, `limits` of how many may fail."""
    challenge = 'Bearer realm="biebroam"' + (f', error="{error}"' if error else "")
    return build_problem(
        UNAUTHENTICATED, detail, request_id=request_id, headers={"WWW-Authenticate": challenge, **(limits or {})}
    )
