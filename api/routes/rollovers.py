"""Roll-overs of a root: plan, look, try, and take one step after the other."""

import asyncio
from threading import BoundedSemaphore

from fastapi import APIRouter, Response, status

from api.problems import Unavailable
from api.requests import Changing, Outside, Source
from api.schemas.rollovers import (
    Confirmation,
    ConfirmationView,
    NewRollover,
    RolloverView,
    Step,
    TrialList,
    TrialView,
)
from api.security import Operator, Overseer
from federation.services import rollovers, trials
from federation.trust.profiles import Purpose
from radius.supplicant.trial import try_chain

router = APIRouter(prefix="/v1/trust/rollovers", tags=["trust"])

_free = BoundedSemaphore(1)  # a trial dials everybody, and holds a thread while it does


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


@router.post("/{purpose}/trials")
def try_new_chain(purpose: Purpose, changing: Changing, registry: Source, actor: Operator) -> TrialList:
    """Try the new chain on every RADIUS/TLS home server, by a connection of its own beside those that stand.

    Who refuses it is a blocker of the switch until it has accepted it. Peers that only come in can not be asked.
    """
    if not _free.acquire(blocking=False):
        raise Unavailable("another trial is running; try again in a moment")
    try:
        with changing.open() as change:
            prepared = trials.prepare_trial(change, actor, purpose)
        # In a thread of the pool, which has no event loop, and with no transaction open while others take their time.
        outcomes = asyncio.run(try_chain(prepared.material, prepared.servers))
        made = trials.record_trials(registry, prepared.rollover, outcomes)
    finally:
        _free.release()
    return TrialList(items=[TrialView.show(each) for each in made])


@router.get("/{purpose}/trials")
def list_trials(purpose: Purpose, registry: Source, actor: Overseer) -> TrialList:
    """List what each RADIUS/TLS home server made of the new chain when it was tried last."""
    del actor
    with registry.read() as session:
        found = trials.show_trials(session, rollovers.find_rollover(session, purpose).id)
    return TrialList(items=[TrialView.show(each) for each in found])


@router.post("/{purpose}/confirmations")
def confirm_new_root(purpose: Purpose, body: Confirmation, changing: Changing) -> ConfirmationView:
    """Say for a library that all that is its own knows the new root. Said again, it changes nothing."""
    with changing.open() as change:
        at = rollovers.confirm_library(change, changing.actor, purpose, body.library)
    return ConfirmationView(purpose=purpose, library=body.library, confirmed_at=at)
