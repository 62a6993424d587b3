"""Who would break by the next step of a roll-over: each one named, with what would help.

Publishing a second root breaks nobody. The switch breaks who does not know the new root when the federation's own
certificate comes from it; known is what a library was given, what it has said itself, and what its peers have accepted.
Retiring the old root breaks who still shows a certificate below it. Nobody can look into patrons' devices: for the EAP
root, what their libraries say is all that there is.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from sqlalchemy import select
from sqlalchemy.orm import Session

from federation.model import MemberRole
from federation.services.authorities import ISSUING, ROOT, load_authority
from federation.services.sightings import Sighting, list_sightings
from federation.snapshot import Transport
from federation.statistics.reports import WorkerReport
from federation.store.tables.registry import AccessPointRow, HomeServerRow, LibraryRow
from federation.store.tables.trust import AuthorityRow, CertificateRow, RolloverRow, TrialRow
from federation.trust.profiles import Purpose
from federation.trust.rollover import RolloverEvent

PUBLIC_CACHE: Final = timedelta(hours=1)  # for so long a copy of the anchors may be given out; see api.routes.trust
_PROXY: Final = "proxy"
_ACCEPTED: Final = "accepted"  # verdicts of trials
_REFUSED: Final = "refused"


class Obstacle(StrEnum):
    """Why a step would break somebody."""

    AUTHORITY_NOT_READY = "authority-not-ready"
    WORKER_BEHIND = "worker-behind"
    COPIES_ABOUT = "copies-about"
    ROOT_NOT_DELIVERED = "root-not-delivered"
    CHAIN_REFUSED = "chain-refused"
    CHAIN_NOT_ACCEPTED = "chain-not-accepted"
    CERTIFICATE_IN_FORCE = "certificate-in-force"
    CERTIFICATE_IN_USE = "certificate-in-use"


@dataclass(frozen=True, slots=True)
class Blocker:
    """One who would break."""

    obstacle: Obstacle
    subject: str  # "library/x", "peer/x/name", "certificate/1a2b", "worker/proxy-0", "authority/peers"
    library: str | None
    detail: str  # why, and what would help


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a gate looks at."""

    session: Session
    rollover: RolloverRow
    reports: Sequence[WorkerReport]
    now: datetime

    @property
    def purpose(self) -> Purpose:
        """Of the roots."""
        return Purpose(self.rollover.purpose)

    def anchor(self, generation: int) -> str:
        """SHA-256 of the root of that generation, in hexadecimal."""
        return fingerprint_of(load_authority(self.session, self.purpose, ROOT, generation))

    def sightings(self) -> list[Sighting]:
        """Of peers that are registered still."""
        known = set(list_peers(self.session))
        return [found for found in list_sightings(self.session, self.reports) if found.peer in known]

    def trials(self) -> list[TrialRow]:
        """Of the new chain, with peers that are registered still."""
        known = set(list_peers(self.session))
        query = select(TrialRow).where(TrialRow.rollover_id == self.rollover.id).order_by(TrialRow.peer)
        return [row for row in self.session.scalars(query) if row.peer in known]

    def certificates(self, generation: int) -> list[CertificateRow]:
        """Of libraries, below the root of that generation, valid, and neither revoked nor of a suspended library."""
        query = (
            select(CertificateRow)
            .join(LibraryRow, LibraryRow.id == CertificateRow.library_id)
            .where(
                LibraryRow.is_active,
                CertificateRow.purpose == self.purpose,
                CertificateRow.generation == generation,
                CertificateRow.revoked_at.is_(None),
                CertificateRow.not_after > self.now,
            )
            .order_by(CertificateRow.library_id, CertificateRow.serial)
        )
        return list(self.session.scalars(query))


def find_blockers(evidence: Evidence, event: RolloverEvent) -> list[Blocker]:
    """Everyone who would break by that step; empty when it may be taken."""
    return [blocker for gate in _GATES[event] for blocker in gate(evidence)]


def fingerprint_of(row: AuthorityRow) -> str:
    """SHA-256 of an authority's certificate, in lower-case hexadecimal."""
    return x509.load_pem_x509_certificate(row.certificate_pem.encode()).fingerprint(hashes.SHA256()).hex()


def list_peers(session: Session) -> list[str]:
    """The keys of every RADIUS/TLS peer of active libraries, as proxies report them; ordered."""
    clients = (
        select(AccessPointRow.library_id, AccessPointRow.name)
        .join(LibraryRow, LibraryRow.id == AccessPointRow.library_id)
        .where(LibraryRow.is_active, AccessPointRow.certificate.is_not(None))
    )
    servers = (
        select(HomeServerRow.library_id, HomeServerRow.name)
        .join(LibraryRow, LibraryRow.id == HomeServerRow.library_id)
        .where(LibraryRow.is_active, HomeServerRow.transport == Transport.TLS)
    )
    rows = (*session.execute(clients), *session.execute(servers))
    return sorted({f"{library}/{name}" for library, name in rows})


def is_delivered(evidence: Evidence, row: CertificateRow, seen_serials: frozenset[str]) -> bool:
    """Whether the owner of a certificate has been given the new root with it.

    A request without a secret may be a replay of somebody else's, and the answer lost to its owner: such a certificate
    counts once a proxy has seen it in use.
    """
    return (row.anchors_generation or 0) >= evidence.rollover.new_generation and (
        row.renewal_sha256 is not None or row.serial in seen_serials
    )


def _authority(evidence: Evidence) -> Iterator[Blocker]:
    """The new authorities can be verified now, by lists too."""
    for level in (ROOT, ISSUING):
        row = load_authority(evidence.session, evidence.purpose, level, evidence.rollover.new_generation)
        certificate = x509.load_pem_x509_certificate(row.certificate_pem.encode())
        subject = f"authority/{evidence.purpose}/{level}/{row.generation}"
        if not certificate.not_valid_before_utc <= evidence.now < certificate.not_valid_after_utc:
            yield Blocker(
                Obstacle.AUTHORITY_NOT_READY, subject, None, f"the new {level} authority is not valid at this time"
            )
        if not row.crl_pem or _next_update(row) <= evidence.now:
            yield Blocker(
                Obstacle.AUTHORITY_NOT_READY,
                subject,
                None,
                f"the new {level} authority has no revocation list in force: whoever reads lists would refuse it",
            )


def _next_update(row: AuthorityRow) -> datetime:
    found = x509.load_pem_x509_crl(row.crl_pem.encode()).next_update_utc
    assert found is not None  # RFC 5280 §5.1.2.5: there is one, and nothing else is kept
    return found


def _workers(evidence: Evidence) -> Iterator[Blocker]:
    for report in evidence.reports:
        if report.role == _PROXY and report.is_fresh(evidence.now) and report.revision < evidence.rollover.revision:
            yield Blocker(
                Obstacle.WORKER_BEHIND,
                f"worker/{report.role}-{report.number}",
                None,
                f"it works with revision {report.revision}, and not yet with {evidence.rollover.revision}",
            )


def _copies(evidence: Evidence) -> Iterator[Blocker]:
    published = evidence.rollover.published_at
    if published is not None and evidence.now < published + PUBLIC_CACHE:
        yield Blocker(
            Obstacle.COPIES_ABOUT,
            f"authority/{evidence.purpose}",
            None,
            f"until {published + PUBLIC_CACHE:%Y-%m-%d %H:%M} UTC caches may give out the anchors without the new root",
        )


def _undelivered(evidence: Evidence) -> Iterator[Blocker]:
    """Libraries with a peer of which nothing says that it knows the new root."""
    if evidence.purpose is Purpose.EAP:
        yield from _undelivered_devices(evidence)
        return
    new = evidence.anchor(evidence.rollover.new_generation)
    sightings = evidence.sightings()
    seen = frozenset(found.serial for found in sightings)
    accepted = [(found.peer, found.serial) for found in sightings if found.own_anchor == new]
    accepted += [(trial.peer, trial.serial) for trial in evidence.trials() if trial.verdict == _ACCEPTED]
    accepting = {(peer.partition("/")[0], serial) for peer, serial in accepted}
    accepting_peers = {peer for peer, _ in accepted}
    held: dict[str, list[CertificateRow]] = defaultdict(list)
    for generation in (evidence.rollover.old_generation, evidence.rollover.new_generation):
        for row in evidence.certificates(generation):
            if row.superseded_at is None and row.library_id is not None:
                held[row.library_id].append(row)
    peers: dict[str, list[str]] = defaultdict(list)
    for peer in list_peers(evidence.session):
        peers[peer.partition("/")[0]].append(peer)
    for library in sorted({*held, *peers} - evidence.rollover.confirmations.keys()):
        missing = [
            ", ".join((*row.names, *row.nai_realms))
            for row in held[library]
            if (library, row.serial) not in accepting and not is_delivered(evidence, row, seen)
        ]
        if not held[library]:  # its peers have certificates of another authority
            missing = [peer for peer in peers[library] if peer not in accepting_peers]
        if missing:
            yield Blocker(
                Obstacle.ROOT_NOT_DELIVERED,
                f"library/{library}",
                library,
                f"nothing says that {'; '.join(missing)} knows the new root: it has to renew by /v1/enrolments, or to "
                "fetch /v1/trust/peers.pem and confirm it",
            )


def _refusing(evidence: Evidence) -> Iterator[Blocker]:
    """Peers on which the new chain was tried, and who did not take it; what they say themselves does not count."""
    new = evidence.anchor(evidence.rollover.new_generation)
    accepted_at = {found.peer: found.seen_at for found in evidence.sightings() if found.own_anchor == new}
    for trial in evidence.trials():
        if trial.verdict == _REFUSED and trial.tried_at >= accepted_at.get(trial.peer, trial.tried_at):
            yield Blocker(
                Obstacle.CHAIN_REFUSED,
                f"peer/{trial.peer}",
                trial.peer.partition("/")[0],
                f"tried {trial.tried_at:%Y-%m-%d %H:%M} UTC with the new chain: {trial.detail}; it has to trust the "
                "new root, and to be tried again",
            )


def _undelivered_devices(evidence: Evidence) -> Iterator[Blocker]:
    rows = evidence.session.scalars(select(LibraryRow).where(LibraryRow.is_active).order_by(LibraryRow.id))
    with_servers = set(evidence.session.scalars(select(HomeServerRow.library_id)))
    for row in rows:
        is_hosted = MemberRole.HOME in row.roles and row.id not in with_servers
        if is_hosted and row.id not in evidence.rollover.confirmations:
            yield Blocker(
                Obstacle.ROOT_NOT_DELIVERED,
                f"library/{row.id}",
                row.id,
                "devices of its patrons may know the old root only: give them a profile with both, then confirm it",
            )


def _unaccepting(evidence: Evidence) -> Iterator[Blocker]:
    """Peers that were last seen with our old certificate: to retire the old root would take the way back."""
    if evidence.purpose is Purpose.EAP:
        return
    old = evidence.anchor(evidence.rollover.old_generation)
    for found in evidence.sightings():
        if found.own_anchor == old:
            yield Blocker(
                Obstacle.CHAIN_NOT_ACCEPTED,
                f"peer/{found.peer}",
                found.library,
                f"last seen {found.seen_at:%Y-%m-%d %H:%M} UTC with our old certificate: it has not accepted the new",
            )


def _remaining(evidence: Evidence) -> Iterator[Blocker]:
    """Certificates below the old root that are presented, or may be."""
    new = evidence.rollover.new_generation
    sightings = evidence.sightings()
    seen = {found.serial for found in sightings}
    replaced = {_owner_of(row) for row in evidence.certificates(new) if row.serial in seen}
    for row in evidence.certificates(evidence.rollover.old_generation):
        names = ", ".join((*row.names, *row.nai_realms))
        subject = f"certificate/{row.serial}"
        if row.superseded_at is None:
            yield Blocker(
                Obstacle.CERTIFICATE_IN_FORCE,
                subject,
                row.library_id,
                f"{names} has its certificate from the old authority, until {row.not_after:%Y-%m-%d}: it has to renew",
            )
        elif row.serial in seen or _owner_of(row) not in replaced:
            shown = "is shown still" if row.serial in seen else "may be in use, for no proxy has seen the one after it"
            yield Blocker(
                Obstacle.CERTIFICATE_IN_USE,
                subject,
                row.library_id,
                f"the earlier certificate of {names} {shown}: put the new one in place, or wait for "
                f"{row.not_after:%Y-%m-%d}",
            )


def _issued_below_new(evidence: Evidence) -> Iterator[Blocker]:
    """Certificates below a root that is to be given up."""
    for row in evidence.certificates(evidence.rollover.new_generation):
        yield Blocker(
            Obstacle.CERTIFICATE_IN_FORCE,
            f"certificate/{row.serial}",
            row.library_id,
            f"{', '.join((*row.names, *row.nai_realms))} has its certificate from the new authority: it has to renew",
        )


def _owner_of(row: CertificateRow) -> tuple[str | None, tuple[str, ...]]:
    return row.library_id, tuple(sorted((*row.names, *row.nai_realms)))


_GATES: Final[Mapping[RolloverEvent, tuple[Callable[[Evidence], Iterator[Blocker]], ...]]] = {
    RolloverEvent.PUBLISH: (_authority,),
    RolloverEvent.SWITCH: (_authority, _workers, _copies, _undelivered, _refusing),
    RolloverEvent.RETIRE: (_workers, _unaccepting, _remaining),
    RolloverEvent.REVERT: (),  # who is trusted now is trusted then; a way back that can be barred is none
    RolloverEvent.ABORT: (_issued_below_new,),
}
