"""The federation as one document over HTTP."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.api.federation import LibraryFederation

DOCUMENT = "/v1/federation"
NORTH: dict[str, Any] = {
    "id": "north",
    "name": "Bibliotheek Noord",
    "realms": ["north.library.example", {"name": "noord.library.example", "subrealms": True}],
    "access_points": [{"name": "hal", "address": "192.0.2.0/24"}],
    "home_servers": [{"name": "radius1", "host": "192.0.2.10", "secret": "een-geheim-van-genoeg-tekens"}],
}


class TestExport:
    def test_applied_again_changes_nothing(self, operator: TestClient, federation: LibraryFederation) -> None:
        """What is exported and applied as it is, pruned as well, does nothing."""
        operator.put(DOCUMENT, json={"libraries": [NORTH]})
        before = federation.rows()
        answer = operator.put(f"{DOCUMENT}?prune=true", json=operator.get(DOCUMENT).json())
        assert (answer.status_code, answer.json()["steps"]) == (200, [])
        assert federation.rows() == before

    @pytest.mark.parametrize(
        ("token", "status"), [("operator", 200), ("reader", 200), ("east", 404), ("east-reader", 404)]
    )
    def test_is_for_overseers(self, federation: LibraryFederation, token: str, status: int) -> None:
        """The whole is shown to who sees the whole."""
        assert federation.client(token).get(DOCUMENT).status_code == status


class TestApply:
    def test_makes_it_so_and_shows_secrets_once(self, operator: TestClient, federation: LibraryFederation) -> None:
        """The registry is as the document says; the generated secret is in that answer alone; one announcement."""
        answer = operator.put(f"{DOCUMENT}?reason=nieuw+lid", json={"libraries": [NORTH]})
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        (made,) = answer.json()["secrets"]
        assert made["subject"] == "library/north/access-point/hal"
        assert made["secret"] not in operator.get(DOCUMENT).text
        assert operator.get("/v1/libraries/north").json()["realms"] == [
            "north.library.example",
            "noord.library.example",
        ]
        assert federation.announced == [answer.json()["revision"]]
        assert operator.get("/v1/audit?limit=1").json()["items"][0]["reason"] == "nieuw lid"

    def test_dry_run_tells_and_does_nothing(self, operator: TestClient, federation: LibraryFederation) -> None:
        """The steps are those that would be done; nothing is kept, announced or generated."""
        before = federation.rows()
        answer = operator.put(f"{DOCUMENT}?dry_run=true", json={"libraries": [NORTH]})
        assert answer.json()["dry_run"] is True
        assert "library.add" in {step["action"] for step in answer.json()["steps"]}
        assert answer.json()["secrets"] == []
        assert (federation.rows(), federation.announced) == (before, [])

    def test_misspelt_trial_is_no_change(self, operator: TestClient, federation: LibraryFederation) -> None:
        """A query parameter that there is not is refused: `dryrun` must not apply what was to be tried."""
        before = federation.rows()
        answer = operator.put(f"{DOCUMENT}?dryrun=true", json={"libraries": [NORTH]})
        assert answer.status_code == 422
        assert [error["parameter"] for error in answer.json()["errors"]] == ["dryrun"]
        assert federation.rows() == before

    def test_prune_removes_what_is_not_named(self, operator: TestClient) -> None:
        """Only with `prune` do libraries leave that the document does not name."""
        operator.put(DOCUMENT, json={"libraries": [NORTH]})
        assert len(operator.get("/v1/libraries").json()["items"]) == 3
        operator.put(f"{DOCUMENT}?prune=true", json={"libraries": [NORTH]})
        assert [item["id"] for item in operator.get("/v1/libraries").json()["items"]] == ["north"]

    @pytest.mark.parametrize(
        ("document", "pointer"),
        [
            ({"libraries": [{"id": "x"}]}, "#/libraries/0/name"),
            ({"libraries": [NORTH | {"realms": ["*"]}]}, "#/libraries/0/realms/0"),
            ({"libraries": [NORTH | {"rooms": 3}]}, "#/libraries/0/rooms"),
            (
                {"libraries": [NORTH | {"access_points": [{"name": "a", "address": "x"}]}]},
                "#/libraries/0/access_points/0/address",
            ),
            ({"federation": {"country": "NLD"}}, "#/federation/country"),
            (
                {"libraries": [NORTH | {"access_points": [{"name": "a", "secret_file": "/etc/shadow"}]}]},
                "#/libraries/0/access_points/0/secret_file",
            ),
            ({"libraries": [NORTH | {"name": "\ud800"}]}, "#/libraries/0/name"),
        ],
    )
    def test_bad_place_is_named_and_nothing_changes(
        self, operator: TestClient, federation: LibraryFederation, document: dict[str, Any], pointer: str
    ) -> None:
        """An error anywhere refuses the whole, naming its place; files of this machine are not read."""
        before = federation.rows()
        text = json.dumps(document)
        answer = operator.put(DOCUMENT, content=text, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422
        assert pointer in [error.get("pointer") for error in answer.json()["errors"]]
        assert (federation.rows(), federation.announced) == (before, [])

    @pytest.mark.parametrize(("token", "status"), [("reader", 403), ("east", 403), ("east-reader", 403)])
    def test_is_an_operators(self, federation: LibraryFederation, token: str, status: int) -> None:
        """Nobody else makes the federation."""
        before = federation.rows()
        assert federation.client(token).put(DOCUMENT, json={"libraries": [NORTH]}).status_code == status
        assert federation.rows() == before
