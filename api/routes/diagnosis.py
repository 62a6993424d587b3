"""Ask before it hurts."""

from fastapi import APIRouter

from api.requests import Outside, Recent, Source
from api.schemas.diagnosis import ExplainRequest, ExplanationView
from api.security import AnyActor
from federation.services.explain import explain

router = APIRouter(prefix="/v1", tags=["diagnosis"])


@router.post("/explain")
def explain_request(
    body: ExplainRequest, registry: Source, recent: Recent, actor: AnyActor, outside: Outside
) -> ExplanationView:
    """Tell how a request would be routed and why, without sending it.

    Where the federation discovers realms, the DNS is asked for one that no library owns.
    """
    with registry.read() as session:
        snapshot = recent.find(session)
    return ExplanationView.show(
        explain(snapshot, actor, name=body.name, client=body.client, look_up=outside.look_up_realm)
    )
