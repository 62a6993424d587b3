"""`Idempotency-Key`: a POST that is repeated after a lost answer is done once.

draft-ietf-httpapi-idempotency-key-header says what the header means.

What was answered is kept for a day, in this process: it may hold a secret that is shown once, and then belongs in no
database. Only what was done is kept; a request that was refused did nothing, and may be repeated as it is.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import CONFLICT, INVALID, KIND_OF_STATUS, FieldProblem, build_problem
from federation.model import Actor

KEPT_SECONDS = 86_400.0
MAX_KEPT = 2_000  # answers; beyond, the oldest goes
MAX_KEPT_OCTETS = 16 * 1024 * 1024  # of all of them
MAX_KEY_CHARACTERS = 255
HEADER = "idempotency-key"
REPLAYED = "Idempotency-Replayed"


@dataclass(slots=True)
class _Answer:
    """What is, or is being, answered to a request."""

    fingerprint: bytes
    began_at: float
    start: Message | None = None
    body: bytearray = field(default_factory=bytearray)
    is_complete: bool = False


class Idempotency:
    """Answers a repeated POST with what the first was answered: 409 while that runs, 422 when it is another request."""

    def __init__(self, app: ASGIApp, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._monotonic = monotonic
        self._answers: OrderedDict[tuple[str, str], _Answer] = OrderedDict()
        self._octets = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request, unless it was answered already."""
        key = Headers(scope=scope).get(HEADER) if scope["type"] == "http" and scope["method"] == "POST" else None
        actor: Actor | None = scope.get("state", {}).get("actor")
        if key is None or actor is None:
            await self._app(scope, receive, send)
            return
        request_id: str = scope["state"]["request_id"]
        if not key.isascii() or not key.isprintable() or not 0 < len(key) <= MAX_KEY_CHARACTERS:
            problem = FieldProblem(detail="1 to 255 printable characters, such as a UUID", parameter="Idempotency-Key")
            refusal = build_problem(INVALID, "one field is not valid", request_id=request_id, errors=[problem])
            await refusal(scope, receive, send)
            return
        try:
            body = await _read_body(receive)
        except HTTPException as error:  # too large
            refusal = build_problem(KIND_OF_STATUS[error.status_code], error.detail, request_id=request_id)
            await refusal(scope, receive, send)
            return
        place = (actor.token_id or actor.name, key)
        fingerprint = _fingerprint(scope, body)
        self._forget_old()
        known = self._answers.get(place)
        if known is None:
            await self._answer_first(place, _Answer(fingerprint, self._monotonic()), (scope, body, receive, send))
        elif known.fingerprint != fingerprint:
            refusal = build_problem(
                INVALID, "another request had that Idempotency-Key; each has one of its own", request_id=request_id
            )
            await refusal(scope, receive, send)
        elif not known.is_complete:
            refusal = build_problem(
                CONFLICT, "the request with that Idempotency-Key is still being worked on", request_id=request_id
            )
            await refusal(scope, receive, send)
        else:
            await _replay(known, send)

    async def _answer_first(
        self, place: tuple[str, str], answer: _Answer, request: tuple[Scope, bytes, Receive, Send]
    ) -> None:
        scope, body, receive, send = request
        self._answers[place] = answer

        async def send_and_keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.start = {**message, "headers": list(message["headers"])}  # layers above add to their own
            else:
                answer.body += message.get("body", b"")
                answer.is_complete = _is_done(answer) and not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, _replaying(body, receive), send_and_keep)
        finally:
            if answer.is_complete:
                self._octets += len(answer.body)
                self._forget_surplus()
            elif self._answers.get(place) is answer:
                del self._answers[place]  # nothing was done

    def _forget_old(self) -> None:
        before = self._monotonic() - KEPT_SECONDS
        while self._answers and next(iter(self._answers.values())).began_at < before:
            self._forget_first()

    def _forget_surplus(self) -> None:
        while len(self._answers) > MAX_KEPT or self._octets > MAX_KEPT_OCTETS:
            self._forget_first()

    def _forget_first(self) -> None:
        _, answer = self._answers.popitem(last=False)
        if answer.is_complete:
            self._octets -= len(answer.body)


def _is_done(answer: _Answer) -> bool:
    return answer.start is not None and answer.start["status"] < HTTPStatus.MULTIPLE_CHOICES


def _fingerprint(scope: Scope, body: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in (scope["path"].encode(), scope["query_string"], body):
        digest.update(len(part).to_bytes(8) + part)
    return digest.digest()


async def _read_body(receive: Receive) -> bytes:
    """The whole body; the layer above limits its size.

    Raises:
        HTTPException: it is larger.
    """
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


def _replaying(body: bytes, receive: Receive) -> Receive:
    """The body once more, then whatever comes."""
    waiting = [body]

    async def receive_again() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return receive_again


async def _replay(answer: _Answer, send: Send) -> None:
    assert answer.start is not None  # it is complete
    start = {**answer.start, "headers": list(answer.start["headers"])}
    MutableHeaders(scope=start)[REPLAYED] = "true"
    await send(start)
    await send({"type": "http.response.body", "body": bytes(answer.body)})
