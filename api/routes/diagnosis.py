"""Ask before it hurts."""

from fastapi import APIRouter

from api.requests import Recent, Source
from api.schemas.diagnosis import ExplainRequest, ExplanationView
from api.security import AnyActor
from federation.services.explain import explain

router = APIRouter(prefix="/v1", tags=["diagnosis"])


@router.post("/explain")
def explain_request(body: ExplainRequest, registry: Source, recent: Recent, actor: AnyActor) -> ExplanationView:
    """Tell how a request would be routed and why, without sending it."""
    with registry.read() as session:
        snapshot = recent.find(session)
    return ExplanationView.show(explain(snapshot, actor, name=body.name, client=body.client))
