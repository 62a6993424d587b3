"""The new chain is tried on the peers before the switch, and who refuses it stands in the way of the switch.

Who dials is not here: `prepare_trial` says whom and with what, `record_trials` keeps what came of it. A peer is named
until it has accepted the new chain, in another trial or in a connection that a proxy saw.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from federation.errors import Conflict, NotFound
from federation.model import Actor
from federation.services.authorities import ISSUING, build_row, find_federation, load_authority, load_peer_trust
from federation.services.registry import Change, Registry, require_operator
from federation.services.rollover_gates import list_peers
from federation.services.rollovers import find_rollover
from federation.snapshot import HomeServer, PeerTrust, Transport
from federation.store.compile import compile_snapshot
from federation.store.tables.trust import RolloverRow, TrialRow
from federation.trust.authority import issue_operator
from federation.trust.profiles import Profile, Purpose
from federation.trust.rollover import RolloverState
from federation.trust.rows import open_authority

_MAX_DETAIL = 200


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a trial needs."""

    rollover: int  # its row
    material: PeerTrust  # what we would show after the switch
    servers: tuple[HomeServer, ...]


class Outcome(Protocol):
    """What came of one connection; see `radius.supplicant.trial.Trial`."""

    @property
    def peer(self) -> str:
        """The key of the home server, "library/name"."""
        ...

    @property
    def verdict(self) -> str:
        """accepted, refused or unknown."""
        ...

    @property
    def detail(self) -> str:
        """Why, in words."""
        ...

    @property
    def serial(self) -> str:
        """Of the peer's certificate; empty where it was not seen."""
        ...


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """The last trial with a peer."""

    peer: str
    verdict: str
    detail: str
    tried_at: datetime


def prepare_trial(change: Change, actor: Actor, purpose: Purpose) -> Preparation:
    """A certificate below the new root is made for the trial, for our own name, and kept by nobody after it.

    Raises:
        Forbidden: the actor is no operator.
        NotFound: there has been no roll-over.
        Conflict: the roll-over is not between publishing and the switch, or there is nobody to ask.
        TrustError: the key of the new issuing authority is not here.
    """
    require_operator(actor)
    if purpose is not Purpose.PEERS:
        raise Conflict("devices can not be asked what they trust: only the root of the peers can be tried")
    row = find_rollover(change.session, purpose)
    if row.state != RolloverState.OVERLAP:
        raise Conflict(
            f"the roll-over of {purpose} is {row.state}: the new chain is tried while both roots are published"
        )
    federation = find_federation(change.session)
    authority = load_authority(change.session, purpose, ISSUING, row.new_generation)
    keyed = issue_operator(
        open_authority(authority, change.sealer), federation.eap_server_name, federation.name, change.now
    )
    issued = build_row(
        keyed.certificate, authority, Profile.OPERATOR, names=(federation.eap_server_name,), now=change.now
    )
    issued.superseded_at = change.now  # what the switch makes is another one; the key of this is not kept
    change.session.add(issued)
    change.session.flush()
    change.record("rollover.try", f"rollover/{purpose}", after={"certificate": issued.serial})
    material = replace(
        load_peer_trust(change.session, change.sealer),
        certificate_chain_pem=(issued.certificate_pem + authority.certificate_pem).encode(),
        private_key_pem=keyed.key_pem,
    )
    known = set(list_peers(change.session))
    servers = compile_snapshot(change.session, change.sealer, ()).home_servers
    return Preparation(
        row.id,
        material,
        tuple(each for key, each in sorted(servers.items()) if each.transport is Transport.TLS and key in known),
    )


def record_trials(registry: Registry, rollover: int, outcomes: Iterable[Outcome]) -> list[TrialRecord]:
    """What came of the trial is kept; as with sightings it is no change of the registry.

    Raises:
        NotFound: the roll-over is gone.
    """
    made: list[TrialRecord] = []
    with registry.store.write() as session:
        if session.get(RolloverRow, rollover) is None:
            raise NotFound("the roll-over is gone")
        for outcome in outcomes:
            row = TrialRow(
                rollover_id=rollover,
                peer=outcome.peer,
                verdict=str(outcome.verdict),
                detail=outcome.detail[:_MAX_DETAIL],
                serial=outcome.serial,
                tried_at=registry.now(),
            )
            session.merge(row)
            made.append(TrialRecord(row.peer, row.verdict, row.detail, row.tried_at))
    return made


def show_trials(session: Session, rollover: int) -> Sequence[TrialRecord]:
    """The last trial with each peer, by peer."""
    rows = session.scalars(select(TrialRow).where(TrialRow.rollover_id == rollover).order_by(TrialRow.peer))
    return [TrialRecord(row.peer, row.verdict, row.detail, row.tried_at) for row in rows]
