"""Bodies are JSON and bounded, whatever the sender says about their length."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from api.bodies import MERGE_PATCH, BodyRules
from api.boundary import Boundary


@pytest.fixture(name="client")
def a_client() -> Iterator[TestClient]:
    app = FastAPI()

    @app.api_route("/thing", methods=["POST", "PATCH", "DELETE"])
    async def echo(request: Request) -> int:  # pyright: ignore[reportUnusedFunction]  # the route is what is used
        return len(await request.body())

    app.add_middleware(BodyRules, max_octets=100)
    app.add_middleware(Boundary)
    with TestClient(app) as client:
        yield client


class TestMediaType:
    @pytest.mark.parametrize("media_type", ["application/json", "Application/JSON; charset=utf-8"])
    def test_json_is_taken(self, client: TestClient, media_type: str) -> None:
        """JSON, however its name is written, reaches the route."""
        answer = client.post("/thing", content=b"{}", headers={"Content-Type": media_type})
        assert (answer.status_code, answer.json()) == (200, 2)

    @pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "text/json", ""])
    def test_anything_else_is_refused(self, client: TestClient, media_type: str) -> None:
        """A form, which a page of another site could send, and any other type get 415."""
        answer = client.post("/thing", content=b"{}", headers={"Content-Type": media_type})
        assert answer.status_code == 415
        assert answer.headers["Content-Type"] == "application/problem+json"

    def test_merge_patch_is_for_patch(self, client: TestClient) -> None:
        """application/merge-patch+json is taken with PATCH only, and a refused PATCH says what it takes (RFC 5789)."""
        headers = {"Content-Type": MERGE_PATCH}
        assert client.patch("/thing", content=b"{}", headers=headers).status_code == 200
        assert client.post("/thing", content=b"{}", headers=headers).status_code == 415
        refused = client.patch("/thing", content=b"{}", headers={"Content-Type": "text/plain"})
        assert MERGE_PATCH in refused.headers["Accept-Patch"]

    def test_no_body_needs_no_type(self, client: TestClient) -> None:
        """A DELETE without a body is not asked what its body is."""
        assert client.delete("/thing").status_code == 200


class TestSize:
    def test_announced_length_is_refused_unread(self, client: TestClient) -> None:
        """A Content-Length over the limit gets 413."""
        answer = client.post("/thing", content=b" " * 101, headers={"Content-Type": "application/json"})
        assert answer.status_code == 413

    def test_the_limit_itself_is_taken(self, client: TestClient) -> None:
        """Exactly as much as allowed is allowed."""
        answer = client.post("/thing", content=b" " * 100, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()) == (200, 100)

    @pytest.mark.parametrize("parts", [[b" " * 101], [b" " * 60, b" " * 60]])
    def test_unannounced_octets_are_counted(self, client: TestClient, parts: list[bytes]) -> None:
        """A body in chunks, without a length, is cut off where it passes the limit."""
        answer = client.post("/thing", content=iter(parts), headers={"Content-Type": "application/json"})
        assert answer.status_code == 413

    def test_lying_length_is_counted(self, client: TestClient) -> None:
        """The octets count, not what the header says of them."""
        answer = client.post(
            "/thing",
            content=b" " * 101,
            headers={"Content-Type": "application/json", "Content-Length": "00000000000000000001"},
        )
        assert answer.status_code == 413
