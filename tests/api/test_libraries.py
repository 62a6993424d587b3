"""Libraries over HTTP."""

from fastapi.testclient import TestClient

from tests.api.federation import LibraryFederation


class TestShow:
    def test_operator_sees_all(self, operator: TestClient) -> None:
        """The list has every library, ordered by id."""
        answer = operator.get("/v1/libraries")
        assert [item["id"] for item in answer.json()["items"]] == ["east", "west"]
        assert "Link" not in answer.headers

    def test_library_sees_itself(self, federation: LibraryFederation) -> None:
        """A library's token sees one library: its own."""
        answer = federation.client("east").get("/v1/libraries")
        assert [item["id"] for item in answer.json()["items"]] == ["east"]
