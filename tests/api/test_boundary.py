"""The outermost layer: every answer has its id and its headers, and a bug of ours is told once, to the log only."""

import logging
import uuid
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient

from api.boundary import SECURITY_HEADERS, Boundary


@pytest.fixture(name="client")
def a_client() -> TestClient:
    app = FastAPI()

    @app.get("/good")
    def good() -> str:  # pyright: ignore[reportUnusedFunction]  # the route is what is used
        return "good"

    @app.get("/bad")
    def bad() -> str:  # pyright: ignore[reportUnusedFunction]
        raise RuntimeError("the password is hunter2")

    @app.get("/torn")
    def torn() -> StreamingResponse:  # pyright: ignore[reportUnusedFunction]
        async def parts() -> AsyncIterator[bytes]:
            yield b"a"
            raise RuntimeError("halfway")

        return StreamingResponse(parts())

    app.add_middleware(Boundary)
    return TestClient(app)


class TestHeaders:
    @pytest.mark.parametrize("path", ["/good", "/missing", "/bad"])
    def test_every_answer_has_them(self, client: TestClient, path: str) -> None:
        """Routes, the framework's own refusals and our bugs alike have security headers and a request id."""
        answer = client.get(path)
        for name, value in SECURITY_HEADERS.items():
            assert answer.headers[name] == value
        assert answer.headers["Cache-Control"] == "no-store"
        assert uuid.UUID(answer.headers["X-Request-Id"]).version == 4

    def test_ids_are_ours(self, client: TestClient) -> None:
        """A request id that the client sends is not believed: the audit trail rests on it."""
        sent = str(uuid.uuid4())
        assert client.get("/good", headers={"X-Request-Id": sent}).headers["X-Request-Id"] != sent


class TestUnknownErrors:
    def test_answer_says_nothing(self, client: TestClient) -> None:
        """The client gets a problem with the request id, and nothing of the exception."""
        answer = client.get("/bad")
        assert answer.status_code == 500
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["instance"] == f"urn:uuid:{answer.headers['X-Request-Id']}"
        assert "hunter2" not in answer.text

    def test_log_says_it_once(self, client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
        """One error with its trace, under the request id that the client got."""
        with caplog.at_level(logging.INFO):
            answer = client.get("/bad")
        errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert [record.msg for record in errors] == ["api_request_failed"]
        assert vars(errors[0])["request_id"] == answer.headers["X-Request-Id"]

    def test_begun_answer_is_broken_off(self, client: TestClient) -> None:
        """When the answer has begun, it is not finished as if it were whole."""
        with pytest.raises(RuntimeError, match="halfway"):
            client.get("/torn")


class TestAccessLog:
    def test_one_line_per_request(self, client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
        """Method, path, status and time are fields; the query, which may hold names, is not there."""
        with caplog.at_level(logging.INFO, logger="api.boundary"):
            client.get("/good?user=jansen")
        (record,) = caplog.records
        fields = vars(record)
        assert (record.msg, fields["method"], fields["path"], fields["status"]) == ("api_request", "GET", "/good", 200)
        assert "jansen" not in str(fields)
