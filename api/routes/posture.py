"""How well peers sign what they send."""

from fastapi import APIRouter

from api.requests import Outside
from api.schemas.common import ListOf
from api.schemas.posture import PostureView
from api.security import AnyActor
from federation.statistics.posture import assess_posture

router = APIRouter(prefix="/v1/posture", tags=["operation"])


@router.get("")
def show_posture(ports: Outside, actor: AnyActor) -> ListOf[PostureView]:
    """Say of each UDP peer how often Message-Authenticator was there, and what would change if it were required.

    Counted by this node's workers since they started. A library's token sees the library's own peers.
    """
    found = assess_posture(ports.read_reports())
    own = f"{actor.library}/"
    return ListOf(
        items=[PostureView.show(each) for each in found if actor.library is None or each.key.startswith(own)],
        next_cursor=None,
    )
