"""Roll-overs of a root: plan, look, and take one step after the other."""

from fastapi import APIRouter, Response, status

from api.requests import Changing, Outside, Source
from api.schemas.rollovers import Confirmation, ConfirmationView, NewRollover, RolloverView, Step
from api.security import Operator, Overseer
from federation.services import rollovers
from federation.trust.profiles import Purpose

router = APIRouter(prefix="/v1/trust/rollovers", tags=["trust"])


@router.post("", status_code=status.HTTP_201_CREATED)
def plan_rollover(body: NewRollover, changing: Changing, response: Response, actor: Operator) -> RolloverView:
    """Make the next root and its issuing authority. Nobody is told of them yet."""
    with changing.open() as change:
        made = rollovers.plan_rollover(change, actor, body.purpose)
    response.headers["Location"] = f"/v1/trust/rollovers/{body.purpose}"
    return RolloverView.show(made)


@router.get("/{purpose}")
def show_rollover(purpose: Purpose, registry: Source, ports: Outside, actor: Overseer) -> RolloverView:
    """Show the newest roll-over: how far each library is, and who would break by the next step."""
    del actor
    with registry.read() as session:
        return RolloverView.show(rollovers.show_rollover(session, purpose, ports.read_reports(), registry.now()))


@router.post("/{purpose}/steps")
def take_rollover_step(
    purpose: Purpose, body: Step, changing: Changing, ports: Outside, actor: Operator
) -> RolloverView:
    """Take a step; it is refused with the names of those who would break by it, unless it is forced."""
    with changing.open() as change:
        made = rollovers.take_step(change, actor, purpose, body.step, ports.read_reports(), force=body.force)
    return RolloverView.show(made)


@router.post("/{purpose}/confirmations")
def confirm_new_root(purpose: Purpose, body: Confirmation, changing: Changing) -> ConfirmationView:
    """Say for a library that all that is its own knows the new root. Said again, it changes nothing."""
    with changing.open() as change:
        at = rollovers.confirm_library(change, changing.actor, purpose, body.library)
    return ConfirmationView(purpose=purpose, library=body.library, confirmed_at=at)
