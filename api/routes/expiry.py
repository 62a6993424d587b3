"""How long every certificate still lives, whoever issued it."""

from fastapi import APIRouter

from api.requests import Source
from api.schemas.common import ListOf
from api.schemas.expiry import LifeView
from api.security import AnyActor
from federation.services.expiry import list_lives

router = APIRouter(prefix="/v1/trust/days-left", tags=["trust"])


@router.get("")
def list_days_left(registry: Source, actor: AnyActor) -> ListOf[LifeView]:
    """List every certificate that is presented or accepted here, authorities among them, who runs out first in front.

    A library's token sees those of its own peers.
    """
    with registry.read() as session:
        lives = list_lives(session, registry.now())
    visible = [life for life in lives if actor.library is None or life.library == actor.library]
    return ListOf(items=[LifeView.show(life) for life in visible], next_cursor=None)
