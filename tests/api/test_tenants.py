"""What belongs to one library does not exist for another: every path, every method, both ways to ask."""

import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from api.openapi import operations_of
from federation.store.tables.trust import InvitationRow
from tests.api.federation import DOCUMENT, LibraryFederation
from tests.api.test_trust import build_request

TENANT_OPERATIONS = [
    (method, path) for path, method, _ in operations_of(DOCUMENT) if path.startswith("/v1/libraries/{library}")
]
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("post", "realms"): {"name": "more.west.library.example"},
    ("post", "access-points"): {"name": "new", "address": "198.51.100.7"},
    ("post", "home-servers"): {"name": "new", "host": "198.51.100.8"},
    ("post", "patrons"): {"name": "dirk", "password": "Strandlezer-1-van-West"},
    ("post", "import"): {"csv": "user,password\ndirk,Strandlezer-1-van-West\n"},
    ("put", "identity"): {"kind": "local", "mschapv2": True},
}
NAMES = {
    "realms": "west.library.example",
    "access-points": "hal",
    "home-servers": "radius1",
    "patrons": "bram@west.library.example",
    "invitations": "invitation00",
}


@pytest.fixture(scope="module")
def filled_once(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database in which West has one of each thing; each test works on a copy."""
    folder = tmp_path_factory.mktemp("filled")
    shutil.copy(pristine / "kept.json", folder)
    federation = LibraryFederation.copy_of(pristine, folder)
    west = federation.client("west")
    base = "/v1/libraries/west"
    assert west.post(f"{base}/access-points", json={"name": "hal", "address": "192.0.2.7"}).status_code == 201
    assert west.post(f"{base}/home-servers", json={"name": "radius1", "host": "192.0.2.8"}).status_code == 201
    patron = {"name": "bram", "password": "Strandlezer-1-van-West"}
    assert west.post(f"{base}/patrons", json=patron).status_code == 201
    csr = build_request("ap.west.library.example")
    assert west.post("/v1/certificates", json={"library": "west", "csr": csr}).status_code == 201
    assert west.post(f"{base}/invitations").status_code == 201
    with federation.registry.store.write() as session:
        session.execute(update(InvitationRow).values(id=NAMES["invitations"]))
    federation.close()
    return folder


@pytest.fixture(name="filled")
def a_filled_federation(filled_once: Path, tmp_path: Path) -> Generator[LibraryFederation]:
    """West has one of each thing."""
    federation = LibraryFederation.copy_of(filled_once, tmp_path)
    yield federation
    federation.close()


def send(client: TestClient, method: str, path: str, library: str) -> Any:  # Any: of the test client's own library
    """A request that would do something, were the thing the asker's own."""
    kind = path.removeprefix("/v1/libraries/{library}").strip("/").split("/")
    name = NAMES.get(kind[0], "")
    nothing: dict[str, Any] | None = {} if method == "patch" else None
    body = BODIES.get((method, kind[-1]), nothing)
    return client.request(
        method,
        path.format(library=library, realm=name, name=name, invitation=name),
        json=body,
        headers={"If-Match": "*"},
    )


class TestMatrix:
    @pytest.mark.parametrize(("method", "path"), TENANT_OPERATIONS)
    def test_other_library_does_not_exist(self, filled: LibraryFederation, method: str, path: str) -> None:
        """A library's token gets for another library what it gets for none: the same 404, and nothing changes."""
        before = filled.rows()
        asked = send(filled.client("east"), method, path, "west")
        unknown = send(filled.client("east"), method, path, "nobody")
        # An operator's alone: that is said before anything is looked up, alike for what is there and what is not.
        allowed = {404, 403} if (method, path) == ("delete", "/v1/libraries/{library}") else {404}
        assert asked.status_code in allowed
        assert asked.status_code == unknown.status_code
        told = {key: value for key, value in asked.json().items() if key != "instance"}
        for_none = {key: value for key, value in unknown.json().items() if key != "instance"}
        assert str(told).replace("west", "nobody") == str(for_none)
        assert filled.rows() == before
        assert "192.0.2" not in asked.text

    @pytest.mark.parametrize(("method", "path"), TENANT_OPERATIONS)
    def test_owner_reaches_it(self, filled: LibraryFederation, method: str, path: str) -> None:
        """The same requests reach the thing when its owner sends them: the matrix tests the tenant, not the request."""
        status = send(filled.client("west"), method, path, "west").status_code
        kind = path.removeprefix("/v1/libraries/{library}").strip("/").split("/")[0]
        is_operators = method != "get" and (kind == "realms" or (kind == "" and method == "delete"))
        assert (status == 403) if is_operators else (status < 300)


class TestTopLevel:
    def test_certificates_of_another(self, filled: LibraryFederation) -> None:
        """Another library's certificates are not listed, shown, renewed or revoked, nor issued in its name."""
        serial = filled.client("west").get("/v1/certificates").json()["items"][0]["serial"]
        east = filled.client("east")
        before = filled.rows()
        assert east.get("/v1/certificates").json()["items"] == []
        assert east.get("/v1/certificates?library=west").json()["items"] == []
        assert east.get(f"/v1/certificates/{serial}").status_code == 404
        assert east.post(f"/v1/certificates/{serial}/renew").status_code == 404
        assert east.post(f"/v1/certificates/{serial}/revoke").status_code == 404
        csr = build_request("ap.west.library.example")
        assert east.post("/v1/certificates", json={"library": "west", "csr": csr}).status_code == 404
        assert filled.rows() == before

    def test_tokens_of_another(self, filled: LibraryFederation) -> None:
        """Another library's tokens, and the operator's, are not listed, shown or revoked."""
        east = filled.client("east")
        before = filled.rows()
        assert {item["library"] for item in east.get("/v1/tokens").json()["items"]} == {"east"}
        for other in ("west", "operator", "reader"):
            token_id = filled.tokens[other].split("_")[1]
            assert east.get(f"/v1/tokens/{token_id}").status_code == 404
            assert east.post(f"/v1/tokens/{token_id}/revoke").status_code == 404
        assert filled.rows() == before
