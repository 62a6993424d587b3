"""Libraries and realms over HTTP: shown, made, changed, removed, refused."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.api.federation import LibraryFederation


def pointers(problem: Any) -> list[str]:  # Any: the JSON of an answer
    """Where a problem says that something is wrong."""
    return [error.get("pointer") or error.get("parameter") for error in problem["errors"]]


class TestShow:
    def test_operator_sees_all(self, operator: TestClient) -> None:
        """The list has every library, ordered by id, on one page."""
        answer = operator.get("/v1/libraries")
        assert [item["id"] for item in answer.json()["items"]] == ["east", "west"]
        assert answer.json()["next_cursor"] is None
        assert "Link" not in answer.headers

    def test_library_sees_itself(self, federation: LibraryFederation) -> None:
        """A library's token sees one library: its own."""
        answer = federation.client("east").get("/v1/libraries")
        assert [item["id"] for item in answer.json()["items"]] == ["east"]

    def test_pages_lead_through_all(self, operator: TestClient) -> None:
        """Following Link rel=next, which keeps the limit, gives every item once."""
        seen: list[str] = []
        path: str | None = "/v1/libraries?limit=1"
        while path:
            answer = operator.get(path)
            assert len(answer.json()["items"]) == 1
            seen += [item["id"] for item in answer.json()["items"]]
            link = answer.headers.get("Link")
            assert (link is None) == (answer.json()["next_cursor"] is None)
            path = link.removeprefix("<").partition(">")[0] if link else None
        assert seen == ["east", "west"]

    @pytest.mark.parametrize(
        ("query", "parameter"), [("limit=0", "limit"), ("limit=501", "limit"), ("limit=x", "limit")]
    )
    def test_bad_limit_is_named(self, operator: TestClient, query: str, parameter: str) -> None:
        """A limit out of bounds is refused, and named as a parameter."""
        answer = operator.get(f"/v1/libraries?{query}")
        assert answer.status_code == 422
        assert pointers(answer.json()) == [parameter]

    def test_unchanged_is_not_sent_again(self, operator: TestClient) -> None:
        """A reader that has the version gets 304 without a body (RFC 9110 §15.4.5)."""
        etag = operator.get("/v1/libraries/east").headers["ETag"]
        answer = operator.get("/v1/libraries/east", headers={"If-None-Match": etag})
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", etag)


class TestAdd:
    def test_made_with_its_realms(self, operator: TestClient, federation: LibraryFederation) -> None:
        """A new library has its realms, its place and its version; the change is announced once."""
        body = {"id": "duinrand", "name": "Bibliotheek Duinrand", "realms": ["Duinrand.library.example"]}
        answer = operator.post("/v1/libraries", json=body)
        assert answer.status_code == 201
        assert answer.json()["realms"] == ["duinrand.library.example"]
        assert answer.json()["is_hosted"] is True
        shown = operator.get(answer.headers["Location"])
        assert shown.json() == answer.json()
        assert shown.headers["ETag"] == answer.headers["ETag"]
        assert len(federation.announced) == 1

    def test_can_begin_inactive(self, operator: TestClient) -> None:
        """A library that is still being set up neither asks nor is asked."""
        answer = operator.post("/v1/libraries", json={"id": "later", "name": "Later", "is_active": False})
        assert (answer.status_code, answer.json()["is_active"]) == (201, False)

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"id": "x"}, "#/name"),
            ({"name": "X"}, "#/id"),
            ({"id": "X", "name": "X"}, "#/id"),
            ({"id": "x", "name": "X", "rolse": []}, "#/rolse"),
            ({"id": "x", "name": "X", "roles": ["guest"]}, "#/roles/0"),
            ({"id": "x", "name": "X", "is_active": "yes"}, "#/is_active"),
            ({"id": "x", "name": "X", "realms": ["ok.library.example", "no realm"]}, "#/realms/1"),
            ({"id": "x", "name": "X", "operator_name": "-"}, "#/operator_name"),
            ({"id": "x", "name": "\x00"}, "#/name"),
            ({"id": "x", "name": "\ud800"}, "#/name"),
            ([], "#"),
            (None, "#"),
        ],
    )
    def test_bad_field_is_named_and_changes_nothing(
        self, operator: TestClient, federation: LibraryFederation, body: object, pointer: str
    ) -> None:
        """What is wrong is named by JSON Pointer (RFC 6901 §6), and nothing is kept."""
        before = federation.rows()
        text = json.dumps(body)  # a lone surrogate travels as an escape only
        answer = operator.post("/v1/libraries", content=text, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert pointers(answer.json()) == [pointer]
        assert federation.rows() == before
        assert federation.announced == []

    @pytest.mark.parametrize("text", ["{", "", "nul", "[" * 100_000, '{"id": NaN}', "\xff"])
    def test_what_is_no_json_is_refused(self, operator: TestClient, text: str) -> None:
        """Anything that is no JSON object is a 4xx, however deep or broken."""
        answer = operator.post(
            "/v1/libraries", content=text.encode("latin-1"), headers={"Content-Type": "application/json"}
        )
        assert answer.status_code in {400, 422}
        assert answer.json()["type"].startswith("https://biebroam.example/problems/")

    def test_taken_id_is_a_conflict(self, operator: TestClient) -> None:
        """There is one library of each id."""
        assert operator.post("/v1/libraries", json={"id": "east", "name": "X"}).status_code == 409

    def test_taken_realm_leaves_no_library_behind(self, operator: TestClient) -> None:
        """When one of its realms has an owner, the library is not made either."""
        body = {"id": "thief", "name": "X", "realms": ["east.library.example"]}
        assert operator.post("/v1/libraries", json=body).status_code == 409
        assert operator.get("/v1/libraries/thief").status_code == 404

    def test_is_an_operators(self, federation: LibraryFederation) -> None:
        """A library makes no libraries."""
        assert federation.client("east").post("/v1/libraries", json={"id": "x", "name": "X"}).status_code == 403


class TestChange:
    def test_patch_changes_what_it_names(self, operator: TestClient) -> None:
        """A merge patch leaves the rest as it was and raises the version (RFC 7396)."""
        before = operator.get("/v1/libraries/east")
        answer = operator.patch(
            "/v1/libraries/east",
            content=b'{"name": "Oost"}',
            headers={"If-Match": before.headers["ETag"], "Content-Type": "application/merge-patch+json"},
        )
        assert answer.status_code == 200
        assert answer.json() == {
            **before.json(),
            "name": "Oost",
            "version": before.json()["version"] + 1,
            "changed_at": answer.json()["changed_at"],
        }
        assert answer.headers["ETag"] != before.headers["ETag"]

    def test_null_returns_to_the_default(self, operator: TestClient) -> None:
        """A field that is set to null has its default again."""
        any_version = {"If-Match": "*"}
        operator.patch("/v1/libraries/east", json={"operator_name": "oost.example.nl"}, headers=any_version)
        answer = operator.patch("/v1/libraries/east", json={"operator_name": None}, headers=any_version)
        assert answer.json()["operator_name"] == ""

    @pytest.mark.parametrize("body", [{"name": None}, {"name": ""}, {"nam": "x"}, [], {"roles": []}])
    def test_bad_patch_changes_nothing(self, operator: TestClient, federation: LibraryFederation, body: object) -> None:
        """A patch whose result is not valid is refused whole."""
        before = federation.rows()
        assert operator.patch("/v1/libraries/east", json=body, headers={"If-Match": "*"}).status_code == 422
        assert federation.rows() == before

    def test_library_changes_its_name_and_no_more(self, federation: LibraryFederation) -> None:
        """A library's own token changes its name; what it is in the federation is the operator's to say."""
        east = federation.client("east")
        assert east.patch("/v1/libraries/east", json={"name": "Oost"}, headers={"If-Match": "*"}).status_code == 200
        for change in ({"roles": ["visited"]}, {"operator_name": "west.library.example"}, {"is_active": False}):
            assert east.patch("/v1/libraries/east", json=change, headers={"If-Match": "*"}).status_code == 403


class TestRemove:
    def test_takes_its_own_with_it(self, operator: TestClient) -> None:
        """A removed library's realms are free again."""
        assert operator.delete("/v1/libraries/east", headers={"If-Match": "*"}).status_code == 204
        assert operator.get("/v1/libraries/east").status_code == 404
        answer = operator.post("/v1/libraries/west/realms", json={"name": "east.library.example"})
        assert answer.status_code == 201

    def test_is_an_operators(self, federation: LibraryFederation) -> None:
        """A library does not remove itself."""
        answer = federation.client("east").delete("/v1/libraries/east", headers={"If-Match": "*"})
        assert answer.status_code == 403


class TestRealms:
    def test_life_of_a_realm(self, operator: TestClient) -> None:
        """Added, shown, changed, listed and removed, each with its version."""
        made = operator.post("/v1/libraries/east/realms", json={"name": "Jeugd.east.library.example"})
        assert (made.status_code, made.json()["name"]) == (201, "jeugd.east.library.example")
        path = made.headers["Location"]
        assert operator.get(path).json() == made.json()
        tag = {"If-Match": made.headers["ETag"]}
        changed = operator.patch(path, json={"includes_subrealms": True}, headers=tag)
        assert changed.json()["includes_subrealms"] is True
        assert operator.patch(path, json={"includes_subrealms": False}, headers=tag).status_code == 412
        names = [item["name"] for item in operator.get("/v1/libraries/east/realms").json()["items"]]
        assert names == ["east.library.example", "jeugd.east.library.example"]
        assert operator.delete(path, headers={"If-Match": changed.headers["ETag"]}).status_code == 204
        assert operator.get(path).status_code == 404

    @pytest.mark.parametrize(
        ("name", "status"),
        [
            ("east.library.example", 409),
            ("west.library.example", 409),
            ("*.example", 422),
            ("example", 422),
            ("gmail.com", 422),
        ],
    )
    def test_refused_realms(self, operator: TestClient, name: str, status: int) -> None:
        """A realm that has an owner, is none, or is on the deny list."""
        assert operator.post("/v1/libraries/east/realms", json={"name": name}).status_code == status

    def test_are_an_operators_to_give(self, federation: LibraryFederation) -> None:
        """A library does not take realms: who owns one gets its patrons' requests."""
        answer = federation.client("east").post("/v1/libraries/east/realms", json={"name": "new.library.example"})
        assert answer.status_code == 403


class TestVersions:
    @pytest.mark.parametrize("path", ["/v1/libraries/east", "/v1/libraries/east/realms/east.library.example"])
    @pytest.mark.parametrize("method", ["PATCH", "DELETE"])
    @pytest.mark.parametrize(
        ("headers", "status"),
        [({}, 428), ({"If-Match": '"99"'}, 412), ({"If-Match": "99"}, 412), ({"If-Match": 'W/"1"'}, 412)],
    )
    def test_change_needs_the_version_that_is_there(
        self,
        operator: TestClient,
        federation: LibraryFederation,
        path: str,
        method: str,
        headers: dict[str, str],
        status: int,
    ) -> None:
        """Without If-Match 428 (RFC 6585 §3), with another version 412 (RFC 9110 §15.5.13); nothing is changed."""
        before = federation.rows()
        body: dict[str, str] | None = {} if method == "PATCH" else None
        assert operator.request(method, path, json=body, headers=headers).status_code == status
        assert federation.rows() == before


class TestDnsRecords:
    def test_records_of_each_realm(self, federation: LibraryFederation) -> None:
        """What the library publishes, as a zone file has it; another library's token sees nothing of it."""
        answer = federation.client("east").get("/v1/libraries/east/dns-records")
        assert answer.status_code == 200
        texts = [item["text"] for item in answer.json()["items"]]
        assert any(text.startswith("east.library.example. 3600 IN NAPTR 100 10") for text in texts)
        assert federation.client("west").get("/v1/libraries/east/dns-records").status_code == 404
