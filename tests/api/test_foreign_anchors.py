"""Roots of other authorities over HTTP."""

from fastapi.testclient import TestClient

from tests.api.federation import LibraryFederation
from tests.federation.trust.authorities import OtherAuthority
from tests.federation.trust.certificates import pem

PATH = "/v1/trust/foreign-anchors"


def add(client: TestClient, **more: object) -> dict[str, object]:
    """An anchor for East, or the problem."""
    body = {"name": "surf", "certificates": pem(OtherAuthority("SURF root").certificate).decode()}
    answer: dict[str, object] = client.post(PATH, json={**body, "libraries": ["east"], **more}).json()
    return answer


class TestAnchors:
    def test_added_listed_shown_removed(self, federation: LibraryFederation) -> None:
        """The operator adds and removes it; those who see the whole federation see it."""
        operator = federation.client("operator")
        made = add(operator, list_urls=["http://crl.example/ca.crl"], policy="hard")
        assert (made["libraries"], made["policy"], made["is_believed"]) == (["east"], "hard", False)
        shown = federation.client("reader").get(f"{PATH}/surf")
        assert shown.json() == made
        assert operator.get(PATH).json()["items"] == [made]
        assert operator.delete(f"{PATH}/surf").status_code == 428
        assert operator.delete(f"{PATH}/surf", headers={"If-Match": shown.headers["ETag"]}).status_code == 204
        assert operator.get(f"{PATH}/surf").status_code == 404

    def test_refusals_name_their_field(self, operator: TestClient) -> None:
        """What can not be is a 422 at its place."""
        assert "pointer" in str(add(operator, certificates="x"))
        for wrong, pointer in (
            ({"certificates": "x"}, "#/certificates"),
            ({"list_urls": ["file:///x"]}, "#/list_urls"),
            ({"policy": "hard"}, "#/list_urls"),
        ):
            problem = add(operator, **wrong)
            assert problem["status"] == 422
            assert f"'pointer': '{pointer}'" in str(problem["errors"])

    def test_libraries_have_no_part_in_it(self, federation: LibraryFederation) -> None:
        """Whom the federation trusts is not a library's to say or to see."""
        add(federation.client("operator"))
        east = federation.client("east")
        assert add(east)["status"] == 403
        assert east.get(PATH).status_code == 404
        assert east.get(f"{PATH}/surf").status_code == 404
        assert east.delete(f"{PATH}/surf", headers={"If-Match": "*"}).status_code == 403
