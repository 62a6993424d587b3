"""What is secret leaves once, in the answer that made it; nothing that is kept or shown later holds it."""

from typing import Any

import pytest

from api.openapi import operations_of
from tests.api.federation import DOCUMENT, LibraryFederation
from tests.api.test_trust import build_request

READS = [path for path, method, _ in operations_of(DOCUMENT) if method == "get"]
OWN = {
    "ap": "access-point-secret-chosen-by-east",
    "hs": "home-server-secret-chosen-by-east",
    "pw": "Strandlezer-1-van-Oost",
}


@pytest.fixture(name="made")
def secrets_that_were_made(federation: LibraryFederation) -> list[str]:
    """One of each thing that has a secret, and all those secrets."""
    operator = federation.client("operator")
    base = "/v1/libraries/east"
    answers: list[Any] = [
        operator.post(f"{base}/access-points", json={"name": "hal", "address": "192.0.2.7", "secret": OWN["ap"]}),
        operator.post(f"{base}/access-points", json={"name": "zaal", "address": "192.0.2.8"}),
        operator.post(f"{base}/home-servers", json={"name": "radius1", "host": "192.0.2.9", "secret": OWN["hs"]}),
        operator.post(f"{base}/home-servers", json={"name": "radius2", "host": "192.0.2.10"}),
        operator.patch(f"{base}/identity", json={"mschapv2": True}, headers={"If-Match": "*"}),
        operator.post(f"{base}/patrons", json={"name": "anna", "password": OWN["pw"]}),
        operator.patch(f"{base}/access-points/zaal", json={"secret": None}, headers={"If-Match": "*"}),
        operator.post("/v1/tokens", json={"name": "nieuw", "role": "reader"}),
        operator.post("/v1/certificates", json={"library": "east", "csr": build_request("ap.east.library.example")}),
    ]
    assert all(answer.status_code < 300 for answer in answers)
    generated = [answer.json()[key] for answer in answers for key in ("secret", "token") if answer.json().get(key)]
    assert len(generated) == 4
    assert all(answer.headers["Cache-Control"] == "no-store" for answer in answers)
    return [*generated, *OWN.values(), *(token.split("_")[2] for token in federation.tokens.values())]


class TestNeverAgain:
    @pytest.mark.parametrize("token", ["operator", "east", "reader"])
    def test_no_read_shows_a_secret(self, federation: LibraryFederation, made: list[str], token: str) -> None:
        """Every GET there is, for every thing there is, shows no shared secret, password, hash or token."""
        client = federation.client(token)
        serials = [item["serial"] for item in federation.client("operator").get("/v1/certificates").json()["items"]]
        tokens = [item["id"] for item in federation.client("operator").get("/v1/tokens").json()["items"]]
        names = ["hal", "zaal", "radius1", "radius2", "anna@east.library.example"]
        seen = 0
        for path in READS:
            for serial, token_id, name in zip([*serials, *serials], tokens, names, strict=False):
                answer = client.get(
                    path.format(
                        library="east",
                        realm="east.library.example",
                        name=name,
                        serial=serial,
                        token_id=token_id,
                        purpose="peers",
                    )
                )
                seen += answer.status_code == 200
                for secret in (*made, "argon2", "PRIVATE KEY", 'nt_hash": "'):
                    assert secret not in answer.text, f"GET {path} shows a secret"
        assert seen > len(READS)

    def test_database_holds_none_in_clear(self, federation: LibraryFederation, made: list[str]) -> None:
        """What is on disk is sealed or hashed, the audit trail included."""
        rows = repr(federation.rows())
        assert [secret for secret in made if secret in rows] == []

    def test_log_holds_none(
        self, federation: LibraryFederation, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
    ) -> None:
        """Nothing that is logged while secrets are made and used holds one."""
        with caplog.at_level("DEBUG"):
            made: list[str] = request.getfixturevalue("made")
            federation.client("operator").post("/v1/libraries/east/patrons", json={"password": OWN["pw"]})
        logged = " ".join(repr(vars(record)) for record in caplog.records)
        assert logged
        assert [secret for secret in made if secret in logged] == []
