"""How long each certificate still lives, and who has to be told."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from sqlalchemy import select
from sqlalchemy.orm import Session

from federation.services.authorities import ISSUING, ROOT, list_authorities
from federation.services.sightings import list_sightings
from federation.store.tables.foreign import ForeignAnchorRow
from federation.store.tables.trust import AuthorityRow, CertificateRow
from federation.trust.authority import is_due
from federation.trust.rollover import Standing
from federation.trust.rows import format_serial

WARNING_DAYS = (1, 7, 14, 30, 60)
_TROUBLE_DAYS = 14  # what renews by itself does so with a third of its life left; with two weeks left it went wrong
_MOST_NAMED = 5  # by `doctor`; all of them are in `cert list` and the metrics
_SEEN = timedelta(days=30)  # a peer that was last seen before that is no peer any more


@dataclass(frozen=True, slots=True)
class Life:
    """What is left of a certificate's life."""

    serial: str
    kind: str  # its profile, or which authority it is
    name: str
    library: str | None
    not_after: datetime
    days_left: float  # negative when it has run out
    is_due: bool  # two thirds of its life have passed

    @property
    def threshold_days(self) -> int | None:
        """The smallest number of days of `WARNING_DAYS` that it has no more than; None when it has more than all."""
        return next((days for days in WARNING_DAYS if self.days_left <= days), None)


def list_lives(session: Session, now: datetime) -> list[Life]:
    """Every certificate that is presented or accepted here, authorities among them, who runs out first at the front.

    A certificate that another took the place of is left out, unless a proxy has seen a peer present it.
    """
    lives = [*_certificates(session, now), *_authorities(session, now), *_foreign_anchors(session, now)]
    known = {life.serial for life in lives}
    lives.extend(life for life in _presented(session, now) if life.serial not in known)
    return sorted(lives, key=lambda life: life.not_after)


def find_troubles(lives: Iterable[Life]) -> list[str]:
    """What an operator has to look at: each certificate that should have been renewed, in words, the worst first."""
    return [
        f"{life.kind} {life.name} {'has run out' if life.days_left <= 0 else f'runs out in {life.days_left:.0f} days'}"
        for life in lives
        if life.is_due and life.threshold_days is not None and life.threshold_days <= _TROUBLE_DAYS
    ]


def find_upkeep(session: Session, now: datetime) -> list[str]:
    """What somebody has to do for authorities whose root is kept elsewhere, in words: it does not happen by itself."""
    found: list[str] = []
    rows = list_authorities(session)
    outside = {(row.purpose, row.generation): row for row in rows if row.level == ROOT and row.sealed_key is None}
    for row in rows:
        root = outside.get((row.purpose, row.generation))
        certificate = x509.load_pem_x509_certificate(row.certificate_pem.encode())
        if root is not None and row.level == ISSUING and is_due(certificate, now):
            end = certificate.not_valid_after_utc
            found.append(
                f"the issuing authority of {row.purpose} runs out on {end:%Y-%m-%d} and its root is kept elsewhere: "
                f"biebroam cert authority request --purpose {row.purpose}"
            )
    for row in outside.values():
        end = x509.load_pem_x509_crl(row.crl_pem.encode()).next_update_utc if row.crl_pem else None
        if end is None or end <= now + timedelta(days=_TROUBLE_DAYS):
            state = f"runs out on {end:%Y-%m-%d}" if end and end > now else "is out of date" if end else "is missing"
            found.append(
                f"the revocation list of the root of {row.purpose} {state} and its root is kept elsewhere: "
                f"biebroam cert authority import-list --purpose {row.purpose}"
            )
    return found


def check_lives(session: Session, now: datetime) -> str:
    """What `biebroam doctor` says when all is well: how many there are, and which run out next, within 60 days if any.

    Raises:
        ValueError: certificates have run out, or soon will, that should have been renewed, or an authority whose root
            is kept elsewhere needs it; the text names each.
    """
    lives = list_lives(session, now)
    troubles = [*find_troubles(lives), *find_upkeep(session, now)]
    if troubles:
        raise ValueError("; ".join(troubles))
    soon = [life for life in lives if life.threshold_days is not None] or lives[:1]
    named = ", ".join(f"{life.kind} {life.name} in {life.days_left:.0f} days" for life in soon[:_MOST_NAMED])
    more = f" and {len(soon) - _MOST_NAMED} more" if len(soon) > _MOST_NAMED else ""
    return f"{len(lives)} in force" + (f"; next to run out: {named}{more}" if soon else "")


class Warnings:
    """Says each thing once: a certificate is told of when it comes to each number of `WARNING_DAYS`."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}

    def take(self, lives: Iterable[Life]) -> list[Life]:
        """Those of *lives* that have come to a number of days that has not been told of yet."""
        told: dict[str, int] = {}
        new: list[Life] = []
        for life in lives:
            threshold = life.threshold_days
            if threshold is not None:
                if self._told.get(life.serial) != threshold:
                    new.append(life)
                told[life.serial] = threshold
        self._told = told  # what is gone is forgotten
        return new


def _certificates(session: Session, now: datetime) -> Iterator[Life]:
    trusted = {(row.purpose, row.generation) for row in list_authorities(session)}
    rows = session.scalars(
        select(CertificateRow).where(CertificateRow.revoked_at.is_(None), CertificateRow.superseded_at.is_(None))
    )
    for row in rows:
        if (row.purpose, row.generation) not in trusted:  # its root is retired: nobody accepts it
            continue
        start, end = row.not_before, row.not_after
        yield Life(
            serial=row.serial,
            kind=row.profile,
            name=(*row.names, *row.nai_realms)[0],
            library=row.library_id,
            not_after=end,
            days_left=(end - now).total_seconds() / 86_400,
            is_due=now >= start + (end - start) * 2 / 3,
        )


def _authorities(session: Session, now: datetime) -> Iterator[Life]:
    for row in session.scalars(select(AuthorityRow).where(AuthorityRow.standing != Standing.RETIRED)):
        certificate = x509.load_pem_x509_certificate(row.certificate_pem.encode())
        end = certificate.not_valid_after_utc
        yield Life(
            serial=format_serial(certificate.serial_number),
            kind=f"{row.level} authority",
            name=row.purpose,
            library=None,
            not_after=end,
            days_left=(end - now).total_seconds() / 86_400,
            is_due=is_due(certificate, now),
        )


def _foreign_anchors(session: Session, now: datetime) -> Iterator[Life]:
    for row in session.scalars(select(ForeignAnchorRow)):
        certificate = x509.load_pem_x509_certificate(row.certificate_pem.encode())
        end = certificate.not_valid_after_utc
        yield Life(
            serial=format_serial(certificate.serial_number),
            kind="other authority",
            name=row.name,
            library=None,
            not_after=end,
            days_left=(end - now).total_seconds() / 86_400,
            is_due=is_due(certificate, now),
        )


def _presented(session: Session, now: datetime) -> Iterator[Life]:
    """What peers showed lately; its beginning is not known, so it is due with a month left."""
    for found in list_sightings(session):
        days_left = (found.not_after - now).total_seconds() / 86_400
        if found.seen_at > now - _SEEN:
            yield Life(
                serial=found.serial,
                kind="presented",
                name=found.peer,
                library=found.library,
                not_after=found.not_after,
                days_left=days_left,
                is_due=days_left <= _SEEN.days,
            )
