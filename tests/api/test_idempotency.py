"""A POST that is repeated with its Idempotency-Key is done once."""

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api import idempotency
from api.idempotency import KEPT_SECONDS, REPLAYED, Idempotency
from federation.model import Actor, Role
from tests.api.federation import LibraryFederation

PATH = "/v1/libraries/east/access-points"
BODY = {"name": "hal", "address": "192.0.2.7"}


def key(text: str = "") -> dict[str, str]:
    return {"Idempotency-Key": text or str(uuid.uuid4())}


class TestOverHttp:
    def test_repeat_is_answered_as_the_first_and_done_once(self, federation: LibraryFederation) -> None:
        """After a lost answer the same secret, place and version come again; nothing is made a second time."""
        east, headers = federation.client("east"), key()
        first = east.post(PATH, json=BODY, headers=headers)
        before = federation.rows()
        second = east.post(PATH, json=BODY, headers=headers)
        assert (first.status_code, second.status_code) == (201, 201)
        assert second.json() == first.json()
        assert first.json()["secret"]
        assert (second.headers["ETag"], second.headers["Location"]) == (
            first.headers["ETag"],
            first.headers["Location"],
        )
        assert REPLAYED not in first.headers
        assert second.headers[REPLAYED] == "true"
        assert second.headers["X-Request-Id"] != first.headers["X-Request-Id"]
        assert federation.rows() == before

    def test_another_request_with_the_key_is_refused(self, federation: LibraryFederation) -> None:
        """Another body, or the same to another path or with another query, is a mistake of who asks."""
        east, headers = federation.client("east"), key()
        assert east.post(PATH, json=BODY, headers=headers).status_code == 201
        assert east.post(PATH, json={**BODY, "guest_vlan": 40}, headers=headers).status_code == 422
        assert east.post(f"{PATH}?reason=x", json=BODY, headers=headers).status_code == 422
        assert east.post("/v1/explain", json=BODY, headers=headers).status_code == 422

    def test_keys_of_others_are_others(self, federation: LibraryFederation) -> None:
        """What one token was answered no other ever sees."""
        headers = key()
        assert federation.client("east").post(PATH, json=BODY, headers=headers).status_code == 201
        answer = federation.client("west").post(PATH, json=BODY, headers=headers)
        assert answer.status_code == 404

    def test_refused_request_may_be_repeated(self, federation: LibraryFederation) -> None:
        """What was refused did nothing: the same request is tried again, not answered from memory."""
        east, headers = federation.client("east"), key()
        assert east.post(PATH, json=BODY, headers=key()).status_code == 201
        assert east.post(PATH, json=BODY, headers=headers).status_code == 409
        assert east.delete(f"{PATH}/hal", headers={"If-Match": "*"}).status_code == 204
        assert east.post(PATH, json=BODY, headers=headers).status_code == 201

    @pytest.mark.parametrize("text", ["x" * 256, "a\tb", "é"])
    def test_what_is_no_key_is_refused(self, operator: TestClient, text: str) -> None:
        """Too long, or not printable ASCII."""
        answer = operator.post(PATH, json=BODY, headers=[(b"Idempotency-Key", text.encode())])
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["parameter"] == "Idempotency-Key"

    def test_body_over_the_limit_is_refused_as_ever(self, operator: TestClient) -> None:
        """A body that does not say its length is counted while it is read."""

        def parts() -> Any:  # Any: an iterator of octets, as the client takes one
            for _ in range(20):
                yield b" " * 65_536

        headers = {**key(), "Content-Type": "application/json"}
        assert operator.post(PATH, content=parts(), headers=headers).status_code == 413


class Application:
    """Counts what it is asked, and answers when it may."""

    def __init__(self) -> None:
        self.count = 0
        self.status = 201
        self.size = 1
        self.has_begun = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.now = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.count += 1
        self.has_begun.set()
        assert (await receive())["body"] == b"{}"
        await self.may_answer.wait()
        await Response(b"x" * self.size, self.status)(scope, receive, send)

    async def ask(self, layer: Idempotency, headers: Mapping[str, str]) -> int:
        """The status of an answer to a request through the layer."""

        async def with_actor(scope: Scope, receive: Receive, send: Send) -> None:
            scope["state"] = {"actor": Actor("a", Role.OPERATOR, token_id="t"), "request_id": str(uuid.uuid4())}
            await layer(scope, receive, send)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(with_actor), base_url="http://test") as client:
            return (await client.post("/", content=b"{}", headers=dict(headers))).status_code


@pytest.fixture(name="application")
async def an_application() -> Application:
    return Application()


class TestLayer:
    async def test_repeat_while_the_first_runs_is_a_conflict(self, application: Application) -> None:
        """Nothing is begun twice; once the first is answered so is the repeat."""
        layer, headers = Idempotency(application), key()
        application.may_answer.clear()
        first = asyncio.create_task(application.ask(layer, headers))
        async with asyncio.timeout(10):
            await application.has_begun.wait()
        assert await application.ask(layer, headers) == 409
        application.may_answer.set()
        assert await first == 201
        assert await application.ask(layer, headers) == 201
        assert application.count == 1

    async def test_server_error_is_not_kept(self, application: Application) -> None:
        """A request that met a 503 is tried again."""
        layer, headers = Idempotency(application), key()
        application.status = 503
        assert await application.ask(layer, headers) == 503
        application.status = 201
        assert await application.ask(layer, headers) == 201

    async def test_answer_is_forgotten_after_a_day(self, application: Application) -> None:
        """Whoever repeats a request the next day makes a new one."""
        layer, headers = Idempotency(application, monotonic=lambda: application.now), key()
        for now, count in ((0.0, 1), (KEPT_SECONDS, 1), (KEPT_SECONDS + 1, 2)):
            application.now = now
            await application.ask(layer, headers)
            assert application.count == count

    async def test_memory_is_bounded(self, application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
        """Beyond a number of answers, or of octets, the oldest is forgotten."""
        monkeypatch.setattr(idempotency, "MAX_KEPT", 2)
        monkeypatch.setattr(idempotency, "MAX_KEPT_OCTETS", 100)
        layer = Idempotency(application)
        keys = [key(str(number)) for number in range(3)]
        for headers in keys:
            await application.ask(layer, headers)
        await application.ask(layer, keys[0])
        assert application.count == 4
        application.size = 90
        await application.ask(layer, key("large"))
        await application.ask(layer, key("larger"))
        await application.ask(layer, key("large"))
        assert application.count == 7

    async def test_without_a_key_nothing_is_kept(self, application: Application) -> None:
        """Two POSTs are two."""
        layer = Idempotency(application)
        await application.ask(layer, {})
        await application.ask(layer, {})
        assert application.count == 2
