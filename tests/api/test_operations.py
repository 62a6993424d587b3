"""Liveness, readiness, metrics and the snapshot over HTTP."""

import os
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient

from api.ports import Ports
from federation.services import tokens
from federation.statistics.reports import WorkerReport
from tests.api.federation import LibraryFederation


def report(
    revision: int = 7, *, role: str = "proxy", age_seconds: float = 0, refused: tuple[str, ...] = ()
) -> WorkerReport:
    """What a worker that runs in this process said a moment ago."""
    at = datetime.now(UTC) - timedelta(seconds=age_seconds)
    return WorkerReport(role, 0, os.getpid(), revision, at, refused, {"requests": 3})


def local(federation: LibraryFederation, *reports: WorkerReport) -> TestClient:
    """A probe of the machine itself, beside a service with these workers."""
    federation.use(Ports(read_reports=lambda: reports, runs_workers=True))
    return federation.client(None, address="127.0.0.1")


class TestReadiness:
    def test_ready_with_database_and_proxy(self, federation: LibraryFederation) -> None:
        """With the database reached and a proxy that routes, it is ready."""
        answer = local(federation, report()).get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (200, "ready")

    @pytest.mark.parametrize(
        "reports",
        [(), (report(0),), (report(age_seconds=60),), (report(role="home"),)],
        ids=["none", "no-snapshot", "stale", "home"],
    )
    def test_not_ready_without_a_proxy_that_routes(
        self, federation: LibraryFederation, reports: tuple[WorkerReport, ...]
    ) -> None:
        """A proxy that is not there, hangs, or has nothing to route by keeps it from being ready."""
        answer = local(federation, *reports).get("/readyz")
        assert answer.status_code == 503
        assert [check["name"] for check in answer.json()["checks"] if not check["passes"]] == ["proxy"]

    def test_api_alone_needs_no_proxy(self, federation: LibraryFederation) -> None:
        """An API that runs by itself answers for itself."""
        assert federation.client(None, address="127.0.0.1").get("/readyz").status_code == 200

    def test_not_ready_without_the_schema(self, federation: LibraryFederation) -> None:
        """A database of another version, or of none, is not one to work with; no detail of it leaves."""
        with federation.registry.store.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM alembic_version")
        answer = federation.client(None, address="127.0.0.1").get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["checks"][0]["name"] == "database"

    def test_still_ready_on_an_older_snapshot(self, federation: LibraryFederation) -> None:
        """A refused snapshot is told, and the one in force goes on routing."""
        answer = local(federation, report(refused=("a realm without an owner",))).get("/readyz")
        assert answer.status_code == 200
        assert "refused" in answer.json()["checks"][-1]["detail"]
        assert "owner" not in answer.text

    def test_reports_that_can_not_be_read_are_no_failure_of_the_question(self, federation: LibraryFederation) -> None:
        """No descriptor is left for the folder, or the clock is mad: not ready, and no 500."""

        def read_reports() -> list[WorkerReport]:
            raise OSError(24, "Too many open files")

        federation.use(Ports(read_reports=read_reports, runs_workers=True))
        answer = federation.client(None, address="127.0.0.1").get("/readyz")
        assert answer.status_code == 503
        assert [check["name"] for check in answer.json()["checks"] if not check["passes"]] == ["proxy"]

    @pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), OSError(22, "Invalid argument")])
    def test_nothing_at_all_makes_it_a_500(
        self, federation: LibraryFederation, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        """Whatever breaks before the question is looked at, the token's check included: 503, and the log has it."""

        def fail(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(tokens, "authenticate", fail)
        assert federation.client("operator").get("/readyz").status_code == 503
        assert federation.client("operator").get("/v1/libraries").status_code == 500

    def test_lives_without_anything(self, federation: LibraryFederation) -> None:
        """Liveness asks nobody else."""
        assert local(federation).get("/livez").json() == {"status": "live"}


class TestMetrics:
    def test_counters_in_prometheus_form(self, federation: LibraryFederation) -> None:
        """Each worker's counters, with its role."""
        answer = local(federation, report()).get("/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert 'biebroam_requests_total{role="proxy",worker="0"} 3' in answer.text


class TestSnapshot:
    def test_registry_and_workers(self, federation: LibraryFederation) -> None:
        """The registry's revision rises with each change; each worker's is what it said."""
        local(federation, report(1), report(1, role="home", age_seconds=60))
        operator = federation.client("operator")
        before = operator.get("/v1/snapshot").json()
        operator.post("/v1/libraries", json={"id": "north", "name": "Noord"})
        after = operator.get("/v1/snapshot").json()
        assert after["revision"] == before["revision"] + 1 == federation.announced[-1]
        assert [(worker["role"], worker["is_fresh"]) for worker in after["workers"]] == [
            ("proxy", True),
            ("home", False),
        ]

    def test_reasons_are_the_operators(self, federation: LibraryFederation) -> None:
        """Why a snapshot is refused names things of other libraries, so only an operator reads it."""
        local(federation, report(refused=("west has no realm",)))
        assert "west has no realm" in federation.client("operator").get("/v1/snapshot").text
        assert "west has no realm" not in federation.client("east").get("/v1/snapshot").text
