"""A root is rolled over: planned, published beside the old one, switched to, and the old one retired.

`federation.trust.rollover` is the order of the steps, `federation.services.rollover_gates` says who would break by one.
A step that would break somebody is refused with their names; *force* takes it all the same, and the audit trail says
who was named. All that there is stands in the database, so a roll-over goes on after a restart as after a night.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from federation.errors import Blocked, Conflict, NotFound
from federation.model import Actor
from federation.services.authorities import (
    ROOT,
    create_generation,
    load_authority,
    renew_due,
)
from federation.services.registry import Change, find_library, require_operator, require_writer
from federation.services.rollover_gates import (
    Blocker,
    Evidence,
    find_blockers,
    fingerprint_of,
    is_delivered,
    list_peers,
)
from federation.services.sightings import Sighting
from federation.statistics.reports import WorkerReport
from federation.store.tables.trust import AuthorityRow, CertificateRow, RolloverRow
from federation.trust.profiles import Purpose
from federation.trust.rollover import (
    RolloverEvent,
    RolloverState,
    Standing,
    decide_next,
    forward_event,
    is_under_way,
    possible_events,
    standings_in,
)

_MAX_NAMED: Final = 200  # blockers that an audit row names; a federation has more libraries than a row needs


@dataclass(frozen=True, slots=True)
class Root:
    """A root as a roll-over shows it."""

    generation: int
    standing: Standing
    fingerprint: str  # SHA-256, lower-case hexadecimal
    subject: str
    not_after: datetime
    is_key_here: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one library is."""

    library: str
    old_certificates: int  # in force, from the old authority
    new_certificates: int
    is_delivered: bool  # each of its certificates came with the new root, in an answer that its owner has had
    confirmed_at: datetime | None
    peers: int  # RADIUS/TLS peers that are registered
    presenting: tuple[str, ...]  # peers that were last seen with a chain below the new root
    accepting: tuple[str, ...]  # peers that were last seen accepting our chain below it


@dataclass(frozen=True, slots=True)
class Rollover:
    """A roll-over as the registry tells of it."""

    purpose: Purpose
    state: RolloverState
    old: Root
    new: Root
    started_at: datetime
    changed_at: datetime
    published_at: datetime | None
    switched_at: datetime | None
    next_step: RolloverEvent | None
    possible_steps: tuple[RolloverEvent, ...]
    blockers: tuple[Blocker, ...]  # of the next step
    libraries: tuple[Progress, ...]


def plan_rollover(change: Change, actor: Actor, purpose: Purpose) -> Rollover:
    """The next root and its issuing authority are made, and nobody is told yet.

    Raises:
        Forbidden: the actor is no operator.
        Conflict: a roll-over of that purpose is under way.
    """
    require_operator(actor)
    require_none_under_way(change.session, purpose)
    create_generation(change, purpose, next_generation(change.session, purpose), Standing.PLANNED)
    return begin_rollover(change, purpose)


def begin_rollover(change: Change, purpose: Purpose) -> Rollover:
    """The roll-over to the authorities of *purpose* that stand as planned, made here or outside, is on its way."""
    old = load_authority(change.session, purpose, ROOT)
    new = change.session.scalars(
        select(AuthorityRow).where(
            AuthorityRow.purpose == purpose,
            AuthorityRow.level == ROOT,
            AuthorityRow.standing == Standing.PLANNED,
        )
    ).one()
    row = RolloverRow(
        purpose=purpose,
        state=RolloverState.PLANNED,
        old_generation=old.generation,
        new_generation=new.generation,
        revision=change.revision,
        started_at=change.now,
        changed_at=change.now,
        confirmations={},
    )
    change.session.add(row)
    change.session.flush()
    change.record("rollover.plan", f"rollover/{purpose}", after={"root": fingerprint_of(new)})
    return _describe(change.session, row, (), change.now)


def show_rollover(session: Session, purpose: Purpose, reports: Sequence[WorkerReport], now: datetime) -> Rollover:
    """The newest roll-over of *purpose*, with who would break by its next step.

    Raises:
        NotFound: there has been none.
    """
    return _describe(session, find_rollover(session, purpose), reports, now)


def advance_rollover(
    change: Change, actor: Actor, purpose: Purpose, reports: Sequence[WorkerReport], *, force: bool = False
) -> Rollover:
    """The next step is taken: publish, switch or retire.

    Raises:
        Forbidden: the actor is no operator.
        NotFound: there has been no roll-over.
        Conflict: it has ended.
        Blocked: somebody would break, and *force* is False.
    """
    row = find_rollover(change.session, purpose)
    event = forward_event(RolloverState(row.state))
    if event is None:
        raise Conflict(f"the roll-over of {purpose} is {row.state}: plan another")
    return take_step(change, actor, purpose, event, reports, force=force)


def take_step(
    change: Change,
    actor: Actor,
    purpose: Purpose,
    event: RolloverEvent,
    reports: Sequence[WorkerReport],
    *,
    force: bool = False,
) -> Rollover:
    """One step is taken; with *force* also when somebody is named who would break by it.

    Raises:
        Forbidden: the actor is no operator.
        NotFound: there has been no roll-over.
        Conflict: the step can not be taken from where the roll-over is.
        Blocked: somebody would break, and *force* is False.
    """
    require_operator(actor)
    row = find_rollover(change.session, purpose)
    state = decide_next(RolloverState(row.state), event)
    blockers = find_blockers(Evidence(change.session, row, reports, change.now), event)
    if blockers and not force:
        raise Blocked(
            f"{len(blockers)} would break by the step {event}; force it to take it all the same",
            tuple(f"{each.subject}: {each.detail}" for each in blockers),
        )
    before = row.state
    row.state, row.changed_at, row.revision = state, change.now, change.revision
    if event is RolloverEvent.PUBLISH:
        row.published_at = change.now
    if event is RolloverEvent.SWITCH:
        row.switched_at = change.now
    if event is RolloverEvent.REVERT:
        row.switched_at = None
    _stand(change, row)
    change.session.flush()
    after: dict[str, object] = {"state": state}
    if blockers:
        after |= {"forced": True, "named": [each.subject for each in blockers[:_MAX_NAMED]]}
    change.record(f"rollover.{event}", f"rollover/{purpose}", before={"state": before}, after=after)
    renew_due(change)  # our own certificates come from the authority that issues now
    return _describe(change.session, row, reports, change.now)


def confirm_library(change: Change, actor: Actor, purpose: Purpose, library: str) -> datetime:
    """The library has said that all that is its own knows the new root; returns when it first did.

    Raises:
        NotFound: there is no such library, or it is not the actor's, or no roll-over.
        Forbidden: the actor may only read.
        Conflict: the new root is not published, or the switch is over.
    """
    require_writer(actor)
    find_library(change.session, actor, library)
    row = find_rollover(change.session, purpose)
    if row.state != RolloverState.OVERLAP:
        raise Conflict(f"the roll-over of {purpose} is {row.state}: there is nothing to confirm")
    if library not in row.confirmations:
        row.confirmations = {**row.confirmations, library: change.now.isoformat()}
        change.session.flush()
        change.record("rollover.confirm", f"rollover/{purpose}", library=library)
    return datetime.fromisoformat(row.confirmations[library])


def next_generation(session: Session, purpose: Purpose) -> int:
    """A number that no authority of *purpose* has had."""
    return (session.scalar(select(func.max(AuthorityRow.generation)).where(AuthorityRow.purpose == purpose)) or 0) + 1


def require_none_under_way(session: Session, purpose: Purpose) -> None:
    """Return when no roll-over of *purpose* is under way.

    Raises:
        Conflict: one is.
    """
    row = session.scalars(_newest(purpose)).first()
    if row is not None and is_under_way(RolloverState(row.state)):
        raise Conflict(f"a roll-over of {purpose} is {row.state}: end it, or abort it, before there is another")


def _newest(purpose: Purpose) -> Select[RolloverRow]:
    return select(RolloverRow).where(RolloverRow.purpose == purpose).order_by(RolloverRow.id.desc()).limit(1)


def find_rollover(session: Session, purpose: Purpose) -> RolloverRow:
    """The row of the newest roll-over of *purpose*.

    Raises:
        NotFound: there has been none.
    """
    row = session.scalars(_newest(purpose)).first()
    if row is None:
        raise NotFound(f"there has been no roll-over of {purpose}")
    return row


def _stand(change: Change, rollover: RolloverRow) -> None:
    """Each authority is what the state says; what is retired can not sign any more."""
    standings = standings_in(RolloverState(rollover.state))
    for generation, standing in zip((rollover.old_generation, rollover.new_generation), standings, strict=True):
        rows = change.session.scalars(
            select(AuthorityRow).where(AuthorityRow.purpose == rollover.purpose, AuthorityRow.generation == generation)
        )
        for row in rows:
            row.standing = standing
            if standing is Standing.RETIRED:
                row.sealed_key = None
    change.session.flush()


def _describe(session: Session, row: RolloverRow, reports: Sequence[WorkerReport], now: datetime) -> Rollover:
    evidence = Evidence(session, row, reports, now)
    state = RolloverState(row.state)
    event = forward_event(state)
    return Rollover(
        purpose=evidence.purpose,
        state=state,
        old=_describe_root(session, evidence.purpose, row.old_generation),
        new=_describe_root(session, evidence.purpose, row.new_generation),
        started_at=row.started_at,
        changed_at=row.changed_at,
        published_at=row.published_at,
        switched_at=row.switched_at,
        next_step=event,
        possible_steps=possible_events(state),
        blockers=tuple(find_blockers(evidence, event)) if event else (),
        libraries=tuple(_measure(evidence)) if evidence.purpose is Purpose.PEERS else _confirmed(row),
    )


def _describe_root(session: Session, purpose: Purpose, generation: int) -> Root:
    row = load_authority(session, purpose, ROOT, generation)
    certificate = x509.load_pem_x509_certificate(row.certificate_pem.encode())
    return Root(
        generation=generation,
        standing=Standing(row.standing),
        fingerprint=fingerprint_of(row),
        subject=certificate.subject.rfc4514_string(),
        not_after=certificate.not_valid_after_utc,
        is_key_here=row.sealed_key is not None,
    )


def _confirmed(row: RolloverRow) -> tuple[Progress, ...]:
    return tuple(
        Progress(
            library,
            0,
            0,
            is_delivered=False,
            confirmed_at=datetime.fromisoformat(at),
            peers=0,
            presenting=(),
            accepting=(),
        )
        for library, at in sorted(row.confirmations.items())
    )


def _measure(evidence: Evidence) -> list[Progress]:
    row = evidence.rollover
    new_anchor = evidence.anchor(row.new_generation)
    sightings = evidence.sightings()
    seen = frozenset(found.serial for found in sightings)
    old = [each for each in evidence.certificates(row.old_generation) if each.superseded_at is None]
    new = [each for each in evidence.certificates(row.new_generation) if each.superseded_at is None]
    peers = [peer.partition("/")[0] for peer in list_peers(evidence.session)]
    libraries = sorted({*peers, *(each.library_id or "" for each in (*old, *new)), *row.confirmations})
    return [
        Progress(
            library=library,
            old_certificates=_count(old, library),
            new_certificates=_count(new, library),
            is_delivered=_all_delivered(evidence, [*old, *new], library, seen),
            confirmed_at=_confirmed_at(row.confirmations, library),
            peers=peers.count(library),
            presenting=_peers_of(sightings, library, [found.anchor == new_anchor for found in sightings]),
            accepting=_peers_of(sightings, library, [found.own_anchor == new_anchor for found in sightings]),
        )
        for library in libraries
    ]


def _count(rows: Sequence[CertificateRow], library: str) -> int:
    return sum(row.library_id == library for row in rows)


def _all_delivered(evidence: Evidence, rows: Sequence[CertificateRow], library: str, seen: frozenset[str]) -> bool:
    own = [row for row in rows if row.library_id == library]
    return bool(own) and all(is_delivered(evidence, row, seen) for row in own)


def _confirmed_at(confirmations: Mapping[str, str], library: str) -> datetime | None:
    text = confirmations.get(library)
    return None if text is None else datetime.fromisoformat(text)


def _peers_of(sightings: Sequence[Sighting], library: str, holds: Sequence[bool]) -> tuple[str, ...]:
    found = zip(sightings, holds, strict=True)
    return tuple(sorted({each.peer for each, is_so in found if is_so and each.library == library}))
