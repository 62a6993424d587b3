"""The application as a whole: who asks when nobody says, what is said of our own faults, and what is not."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api import errors
from api.app import create_app
from api.problems import KIND_OF_STATUS, KINDS, TYPE_ROOT
from api.routes import probes
from federation import errors as federation_errors
from federation.errors import FederationError
from federation.model import Actor, Role
from federation.trust.keystore import NodeKey, Sealer
from tests.api.federation import LibraryFederation
from tests.api.test_trust import build_request

LOCAL = Actor("root (local)", Role.OPERATOR, source_address="local")


class TestLocalActor:
    def test_acts_without_a_token(self, federation: LibraryFederation) -> None:
        """In the command line's own process whoever sits there acts, and stands in the audit trail."""
        client = TestClient(create_app(federation.registry, local_actor=LOCAL))
        answer = client.post("/v1/libraries", json={"id": "north", "name": "Noord"})
        assert answer.status_code == 201
        entry = client.get("/v1/audit?limit=1").json()["items"][0]
        assert (entry["actor"], entry["source_address"], entry["token_id"]) == ("root (local)", "local", "")
        assert entry["request_id"] == answer.headers["X-Request-Id"]

    def test_bad_token_is_still_refused(self, federation: LibraryFederation) -> None:
        """Who brings a token is judged by it."""
        client = TestClient(create_app(federation.registry, local_actor=LOCAL))
        assert client.get("/v1/libraries", headers={"Authorization": "Bearer bbr_x"}).status_code == 401

    def test_reader_stays_a_reader(self, federation: LibraryFederation) -> None:
        """The role counts however the actor came."""
        client = TestClient(create_app(federation.registry, local_actor=replace(LOCAL, role=Role.READER)))
        assert client.post("/v1/libraries", json={"id": "north", "name": "Noord"}).status_code == 403


class TestProblems:
    def test_every_error_of_the_federation_has_a_kind(self) -> None:
        """No error that a service may raise is answered as our own fault."""
        classes = [
            each
            for each in vars(federation_errors).values()
            if isinstance(each, type) and issubclass(each, FederationError) and each is not FederationError
        ]
        assert len(classes) > 8
        assert [each for each in classes if not any(base in errors.KIND_OF_ERROR for base in each.__mro__)] == []

    def test_kinds_are_one_to_one_with_their_status(self) -> None:
        """A status has one type, so that either tells the other."""
        assert len(KIND_OF_STATUS) == len(KINDS)
        assert all(kind.uri == TYPE_ROOT + code for code, kind in KINDS.items())

    def test_wrong_node_key_is_unavailable_and_logged(
        self, federation: LibraryFederation, caplog: pytest.LogCaptureFixture
    ) -> None:
        """When sealed things do not open, the answer is 503 and the operator's log has it."""
        federation.registry.sealer = Sealer([NodeKey.generate()])
        with caplog.at_level(logging.ERROR):
            answer = federation.client("operator").post(
                "/v1/certificates",
                json={"library": "east", "csr": build_request("ap.east.library.example")},
            )
        assert answer.status_code == 503
        assert "api_refused_unexpectedly" in caplog.text


class TestBusy:
    def test_too_many_probes_are_put_off(self, operator: TestClient) -> None:
        """Probes take threads for seconds; the fifth at once is told to come back."""
        taken = [probes.free_places.acquire(blocking=False) for _ in range(probes.MAX_PROBES)]
        try:
            body = {
                "user": "anna@east.library.example",
                "password": "x",
                "server": {"host": "127.0.0.1", "port": 9, "secret": "x"},
            }
            answer = operator.post("/v1/probes", json=body)
        finally:
            for _ in filter(None, taken):
                probes.free_places.release()
        assert all(taken)
        assert answer.status_code == 503
        assert answer.json()["type"].endswith("/unavailable")


class TestUnreachableDatabase:
    def test_is_told_without_detail(self, federation: LibraryFederation, caplog: pytest.LogCaptureFixture) -> None:
        """A database that can not be read makes the service unready; where it lies is the log's to know."""
        database = federation.registry.store.url.database
        assert database
        federation.close()
        Path(database).write_bytes(b"no database" * 100)
        answer = federation.client(None, address="127.0.0.1").get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["checks"][0] == {"name": "database", "passes": False, "detail": "it can not be reached"}
        assert database not in answer.text
        assert "readiness_check_failed" in caplog.text
