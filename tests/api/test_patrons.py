"""Patrons over HTTP; a password goes in and never comes out."""

import pytest
from fastapi.testclient import TestClient

from federation.identity.local import LocalStore
from federation.reasons import RefusalReason
from tests.api.federation import LibraryFederation

PATRONS = "/v1/libraries/east/patrons"
REALM = "east.library.example"
PASSWORD = "Strandlezer-1-van-Oost"
ANY_VERSION = {"If-Match": "*"}


@pytest.fixture
def east(federation: LibraryFederation) -> TestClient:
    """A client with East's own token."""
    return federation.client("east")


def may_sign_in(federation: LibraryFederation, user: str, password: str) -> RefusalReason | None:
    """What the local store would answer a home server."""
    registry = federation.registry
    return LocalStore(registry.store, registry.sealer).check_password(REALM, user, password.encode())


class TestLife:
    def test_added_patron_signs_in(self, east: TestClient, federation: LibraryFederation) -> None:
        """A patron may sign in from the answer on; the answer holds no password."""
        made = east.post(PATRONS, json={"name": "Anna", "password": PASSWORD, "expires_on": "2999-12-31"})
        assert made.status_code == 201
        assert (made.json()["name"], made.json()["expires_on"]) == (f"anna@{REALM}", "2999-12-31")
        assert PASSWORD not in made.text
        assert east.get(made.headers["Location"]).json() == made.json()
        assert may_sign_in(federation, "anna", PASSWORD) is None

    def test_blocked_and_let_in_again(self, east: TestClient, federation: LibraryFederation) -> None:
        """A blocked patron is refused at once; null lets them in again."""
        path = east.post(PATRONS, json={"name": "anna", "password": PASSWORD}).headers["Location"]
        tag = {"If-Match": east.get(path).headers["ETag"]}
        blocked = east.patch(path, json={"is_blocked": True}, headers=tag)
        assert (blocked.status_code, blocked.json()["is_blocked"]) == (200, True)
        assert may_sign_in(federation, "anna", PASSWORD) is RefusalReason.PATRON_BLOCKED
        assert east.patch(path, json={"is_blocked": False}, headers=tag).status_code == 412
        assert east.patch(path, json={"is_blocked": None}, headers=ANY_VERSION).json()["is_blocked"] is False

    def test_password_is_replaced(self, east: TestClient, federation: LibraryFederation) -> None:
        """A new password is right and the earlier one wrong; a patron can not be without one."""
        path = east.post(PATRONS, json={"name": "anna", "password": PASSWORD}).headers["Location"]
        answer = east.patch(path, json={"password": "Een-ander-wachtwoord-2"}, headers=ANY_VERSION)
        assert answer.status_code == 200
        assert may_sign_in(federation, "anna", PASSWORD) is RefusalReason.WRONG_CREDENTIALS
        assert may_sign_in(federation, "anna", "Een-ander-wachtwoord-2") is None
        assert east.patch(path, json={"password": None}, headers=ANY_VERSION).status_code == 422

    def test_removed_patron_is_unknown(self, east: TestClient, federation: LibraryFederation) -> None:
        """Nothing is kept of a removed patron."""
        path = east.post(PATRONS, json={"name": "anna", "password": PASSWORD}).headers["Location"]
        assert east.delete(path).status_code == 428
        assert east.delete(path, headers=ANY_VERSION).status_code == 204
        assert east.get(path).status_code == 404
        assert federation.rows()["patrons"] == []

    def test_name_may_hold_a_slash(self, east: TestClient) -> None:
        """A card number with a slash or a question mark is found where Location says."""
        for name in ("a/b", "a b?c#d", "ü 100%"):
            made = east.post(PATRONS, json={"name": name, "password": PASSWORD})
            assert made.status_code == 201
            assert east.get(made.headers["Location"]).json()["user"] == made.json()["user"]


class TestPrivacy:
    def test_log_names_nobody(self, east: TestClient, caplog: pytest.LogCaptureFixture) -> None:
        """The line of a request about a patron does not say about whom."""
        with caplog.at_level("DEBUG"):
            path = east.post(PATRONS, json={"name": "anna", "password": PASSWORD}).headers["Location"]
            east.get(path)
            east.delete(path, headers=ANY_VERSION)
        ours = [vars(record) for record in caplog.records if record.name.startswith("api")]
        assert [fields["path"] for fields in ours] == [PATRONS, f"{PATRONS}/…", f"{PATRONS}/…"]
        assert "anna" not in repr(ours)


class TestRefused:
    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"name": "anna"}, "#/password"),
            ({"password": PASSWORD}, "#/name"),
            ({"name": "anna@west.library.example", "password": PASSWORD}, "#/name"),
            ({"name": " anna", "password": PASSWORD}, "#/name"),
            ({"name": "anna", "password": "\x00" * 9}, "#/password"),
            ({"name": "anna", "password": PASSWORD, "expires_on": "morgen"}, "#/expires_on"),
        ],
    )
    def test_bad_field_is_named(self, east: TestClient, body: dict[str, str], pointer: str) -> None:
        """What is wrong is named; the password is not repeated."""
        answer = east.post(PATRONS, json=body)
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
        assert PASSWORD not in answer.text

    def test_second_of_a_name_is_a_conflict(self, east: TestClient) -> None:
        """Names differ by more than case."""
        assert east.post(PATRONS, json={"name": "anna", "password": PASSWORD}).status_code == 201
        assert east.post(PATRONS, json={"name": "ANNA", "password": PASSWORD}).status_code == 409

    def test_reader_of_all_sees_no_names(self, federation: LibraryFederation) -> None:
        """Who reads the whole federation does not read who its patrons are."""
        assert federation.client("reader").get(PATRONS).status_code == 403
        assert federation.client("east-reader").get(PATRONS).status_code == 200


class TestImport:
    def test_all_are_kept(self, east: TestClient) -> None:
        """Every line becomes a patron; a second time only with `replaces`."""
        body = {"csv": f"user,password\nanna,{PASSWORD}\nbram,{PASSWORD}\n"}
        assert east.post(f"{PATRONS}/import", json=body).json() == {"added": 2, "replaced": 0}
        assert [item["user"] for item in east.get(PATRONS).json()["items"]] == ["anna", "bram"]
        assert east.post(f"{PATRONS}/import", json=body).status_code == 422
        assert east.post(f"{PATRONS}/import", json={**body, "replaces": True}).json() == {"added": 0, "replaced": 2}

    def test_wrong_line_is_named_and_none_is_kept(self, east: TestClient, federation: LibraryFederation) -> None:
        """One wrong line refuses the file; the line is named, no password repeated."""
        answer = east.post(f"{PATRONS}/import", json={"csv": f"user,password\nanna,{PASSWORD}\nbram@x,{PASSWORD}\n"})
        assert answer.status_code == 422
        assert "line 3" in answer.json()["errors"][0]["detail"]
        assert PASSWORD not in answer.text
        assert federation.rows()["patrons"] == []

    def test_large_file_is_taken(self, east: TestClient) -> None:
        """A file may be larger than an ordinary body; it is read before any password is hashed."""
        lines = "".join(f"reader{number},{PASSWORD}\n" for number in range(15_000))
        answer = east.post(f"{PATRONS}/import", json={"csv": f"user,password\n{lines}reader0,{PASSWORD}\n"})
        assert answer.status_code == 422
        assert "line 15002" in answer.json()["errors"][0]["detail"]
