"""How the service is doing: for the machine's own probes, and for who watches a change arrive."""

import logging
from collections.abc import Callable
from datetime import datetime

from fastapi import APIRouter, Depends, Request, Response, status

from api.ports import Ports
from api.requests import Outside, Source
from api.schemas.operations import Check, Liveness, Readiness, SnapshotView, WorkerView
from api.security import AnyActor, find_overseer
from federation.model import Role
from federation.services.expiry import list_lives
from federation.services.foreign_anchors import list_anchors
from federation.services.registry import Registry
from federation.services.revision import show_revision
from federation.statistics.metrics import render_days_left, render_metrics

router = APIRouter(tags=["operation"])

METRICS_MEDIA_TYPE = "text/plain; version=0.0.4"  # Prometheus's text format

_log = logging.getLogger(__name__)


class MetricsResponse(Response):
    """Counters in Prometheus's text format."""

    media_type = METRICS_MEDIA_TYPE


def require_overseer_if_named(request: Request) -> None:
    """On loopback nobody is asked who they are; whoever brings a token must be one that sees the whole federation."""
    if hasattr(request.state, "actor"):
        find_overseer(request)


_OVERSEER = [Depends(require_overseer_if_named)]


@router.get("/livez")
def show_liveness() -> Liveness:
    """Say that this process answers."""
    return Liveness()


@router.get("/readyz", responses={503: {"model": Readiness, "description": "Something keeps it from its work"}})
def show_readiness(registry: Source, ports: Outside, response: Response) -> Readiness:
    """Say whether the service can do its work, and what keeps it from it."""
    checks = [_check("database", lambda: _reach_database(registry)), *_check_workers_safely(registry, ports)]
    is_ready = all(check.passes for check in checks)
    if not is_ready:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return Readiness(status="ready" if is_ready else "not-ready", checks=checks)


@router.get("/metrics", response_class=MetricsResponse, dependencies=_OVERSEER)
def show_metrics(registry: Source, ports: Outside) -> Response:
    """Show every worker's counters, and the days that each certificate has left, in Prometheus's text format."""
    now = registry.now()
    return MetricsResponse(render_metrics(ports.read_reports(), now) + _render_certificates(registry, now))


def _render_certificates(registry: Registry, now: datetime) -> str:
    try:
        with registry.read() as session:
            lives = list_lives(session, now)
            anchors = list_anchors(session, now)
    except Exception as error:  # noqa: BLE001 - the workers' counters are wanted most of all while the database is away
        _log.warning("certificates_not_counted", extra={"error": type(error).__name__})
        return ""
    lists = (
        ({"anchor": anchor.name, "url": each.url}, (each.next_update - now).total_seconds() / 86_400)
        for anchor in anchors
        for each in anchor.lists
        if each.next_update is not None
    )
    certificates = (
        ({"serial": life.serial, "kind": life.kind, "name": life.name, "library": life.library or ""}, life.days_left)
        for life in lives
    )
    return render_days_left("certificate", certificates) + render_days_left("foreign_list", lists)


@router.get("/v1/snapshot")
def show_snapshot(registry: Source, ports: Outside, actor: AnyActor) -> SnapshotView:
    """Show the registry's revision and the one that each worker runs: has a change arrived everywhere?"""
    now = registry.now()
    with registry.read() as session:
        revision = show_revision(session)
    sees_reasons = actor.role is Role.OPERATOR  # they name other libraries' things
    workers = [
        WorkerView(
            role=report.role,
            number=report.number,
            pid=report.pid,
            revision=report.revision,
            reported_at=report.reported_at,
            is_fresh=report.is_fresh(now),
            refused=list(report.refused) if sees_reasons else [],
        )
        for report in ports.read_reports()
    ]
    return SnapshotView(revision=revision, workers=workers)


def _check_workers_safely(registry: Registry, ports: Ports) -> list[Check]:
    try:
        return _check_workers(registry, ports)
    except Exception as error:  # noqa: BLE001 - no descriptor left, a report that nobody can make sense of: not ready
        _log.warning("readiness_check_failed", extra={"check": "proxy", "error": type(error).__name__})
        return [Check(name="proxy", passes=False, detail="its reports can not be read")]


def _check_workers(registry: Registry, ports: Ports) -> list[Check]:
    if not ports.runs_workers:
        return []
    now = registry.now()
    proxies = [report for report in ports.read_reports() if report.role == "proxy" and report.is_fresh(now)]
    routing = [report for report in proxies if report.revision]
    refused = sorted({reason for report in proxies for reason in report.refused})
    return [
        Check(name="proxy", passes=bool(routing), detail=f"{len(routing)} of {len(proxies)} have a snapshot"),
        # An older snapshot still routes; that it is older is for the operator to know, not for a load balancer.
        Check(
            name="snapshot", passes=True, detail=f"a newer one is refused: {len(refused)} reasons" if refused else ""
        ),
    ]


def _reach_database(registry: Registry) -> str:
    return "" if registry.store.is_migrated() else "its schema is not this version's: run biebroam init"


def _check(name: str, probe: Callable[[], str]) -> Check:
    """A check whose probe returns what is wrong; whatever it raises is in the log, not in the answer."""
    try:
        wrong = probe()
    except Exception as error:  # noqa: BLE001 - every way not to reach the database means the same here
        _log.warning("readiness_check_failed", extra={"check": name, "error": type(error).__name__})
        return Check(name=name, passes=False, detail="it can not be reached")
    return Check(name=name, passes=not wrong, detail=wrong)
