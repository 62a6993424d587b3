"""Tokens and the audit trail over HTTP."""

import pytest
from fastapi.testclient import TestClient

from tests.api.federation import LibraryFederation


class TestTokens:
    def test_secret_is_shown_once_and_works(self, federation: LibraryFederation, operator: TestClient) -> None:
        """A new token is in its own answer and nowhere else; it does what its role may."""
        made = operator.post("/v1/tokens", json={"name": "beheer", "role": "library", "library": "east"})
        assert made.status_code == 201
        assert made.headers["Cache-Control"] == "no-store"
        token = made.json()["token"]
        shown = operator.get(made.headers["Location"])
        assert "token" not in shown.json()
        assert token not in operator.get("/v1/tokens").text
        own = federation.client(None).get("/v1/libraries", headers={"Authorization": f"Bearer {token}"})
        assert [item["id"] for item in own.json()["items"]] == ["east"]

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"name": "x", "role": "library"}, "#/library"),
            ({"name": "x", "role": "operator", "library": "east"}, "#/library"),
            ({"name": "x", "role": "king"}, "#/role"),
            ({"name": "", "role": "reader"}, "#/name"),
            ({"name": "x", "role": "reader", "expires_at": "2020-01-01T00:00:00Z"}, "#/expires_at"),
            ({"name": "x", "role": "reader", "expires_at": "2999-01-01T00:00:00"}, "#/expires_at"),
        ],
    )
    def test_bad_field_is_named(self, operator: TestClient, body: dict[str, str], pointer: str) -> None:
        """What is wrong is named by JSON Pointer."""
        answer = operator.post("/v1/tokens", json=body)
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]

    def test_library_makes_tokens_of_its_own(self, federation: LibraryFederation) -> None:
        """A library's token makes tokens for that library, and none that may more or elsewhere."""
        east = federation.client("east")
        assert east.post("/v1/tokens", json={"name": "x", "role": "reader", "library": "east"}).status_code == 201
        for body in (
            {"name": "x", "role": "operator"},
            {"name": "x", "role": "reader"},
            {"name": "x", "role": "library", "library": "west"},
        ):
            assert east.post("/v1/tokens", json=body).status_code == 403

    def test_revoked_is_listed_as_such(self, operator: TestClient) -> None:
        """A revoked token stays in the list, with when; to revoke it again changes nothing."""
        path = operator.post("/v1/tokens", json={"name": "x", "role": "reader"}).headers["Location"]
        revoked = operator.post(f"{path}/revoke")
        assert revoked.json()["revoked_at"]
        assert operator.post(f"{path}/revoke").json() == revoked.json()
        assert operator.get(path).headers["ETag"] == revoked.headers["ETag"]


class TestAudit:
    def test_who_what_and_why(self, federation: LibraryFederation, operator: TestClient) -> None:
        """A change stands in the trail with its actor, address, request id and reason, before and after."""
        answer = operator.patch(
            "/v1/libraries/east?reason=naam+veranderd", json={"name": "Oost"}, headers={"If-Match": "*"}
        )
        entry = operator.get("/v1/audit?limit=1").json()["items"][0]
        assert (entry["action"], entry["subject"], entry["library"]) == ("library.change", "library/east", "east")
        assert (entry["actor"], entry["role"], entry["reason"]) == ("operator", "operator", "naam veranderd")
        assert entry["source_address"] == "192.0.2.99"
        assert entry["request_id"] == answer.headers["X-Request-Id"]
        assert (entry["before"]["name"], entry["after"]["name"]) == ("Bibliotheek East", "Oost")
        assert entry["token_id"] == federation.tokens["operator"].split("_")[1]

    def test_library_sees_its_own(self, federation: LibraryFederation) -> None:
        """A library reads what concerns it and nothing of another's, also when it asks for that."""
        east = federation.client("east")
        assert {item["library"] for item in east.get("/v1/audit").json()["items"]} == {"east"}
        assert east.get("/v1/audit?library=west").json()["items"] == []

    def test_pages_go_back_in_time(self, operator: TestClient) -> None:
        """The newest first; the cursor leads on to the older."""
        first = operator.get("/v1/audit?limit=2").json()
        second = operator.get("/v1/audit", params={"limit": 2, "cursor": first["next_cursor"]}).json()
        numbers = [item["id"] for item in [*first["items"], *second["items"]]]
        assert numbers == sorted(numbers, reverse=True)
        assert len(set(numbers)) == 4
