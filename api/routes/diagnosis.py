"""Ask before it hurts."""

from fastapi import APIRouter

from api.requests import Outside, Source
from api.schemas.diagnosis import ExplainRequest, ExplanationView
from api.security import AnyActor
from federation.services.explain import explain
from federation.services.feed import compile_for_proxy

router = APIRouter(prefix="/v1", tags=["diagnosis"])


@router.post("/explain")
def explain_request(body: ExplainRequest, registry: Source, ports: Outside, actor: AnyActor) -> ExplanationView:
    """Tell how a request would be routed and why, without sending it."""
    with registry.read() as session:
        snapshot = compile_for_proxy(session, registry.sealer, ports.hosted_addresses)
    return ExplanationView.show(explain(snapshot, actor, name=body.name, client=body.client))
