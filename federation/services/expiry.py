"""How long each certificate still lives, and who has to be told."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from sqlalchemy import select
from sqlalchemy.orm import Session

from federation.store.tables.trust import AuthorityRow, CertificateRow
from federation.trust.authority import is_due
from federation.trust.rollover import Standing
from federation.trust.rows import format_serial

WARNING_DAYS = (1, 7, 14, 30, 60)


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

    A certificate that another took the place of is left out: nobody waits for its end.
    """
    return sorted((*_certificates(session, now), *_authorities(session, now)), key=lambda life: life.not_after)


def find_troubles(lives: Iterable[Life]) -> list[str]:
    """What an operator has to look at: each certificate that should have been renewed, in words, the worst first."""
    return [
        f"{life.kind} {life.name} {'has run out' if life.days_left <= 0 else f'runs out in {life.days_left:.0f} days'}"
        for life in lives
        if life.is_due and life.threshold_days is not None and life.threshold_days <= 14
    ]  # what renews by itself does so with a third of its life left; with two weeks left that has gone wrong


def check_lives(session: Session, now: datetime) -> str:
    """What `biebroam doctor` says when all is well: how many there are, and which runs out first.

    Raises:
        ValueError: certificates have run out, or soon will, that should have been renewed; the text names each.
    """
    lives = list_lives(session, now)
    troubles = find_troubles(lives)
    if troubles:
        raise ValueError("; ".join(troubles))
    first = f"; {lives[0].kind} {lives[0].name} runs out first, in {lives[0].days_left:.0f} days" if lives else ""
    return f"{len(lives)} in force{first}"


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
    rows = session.scalars(
        select(CertificateRow).where(CertificateRow.revoked_at.is_(None), CertificateRow.superseded_at.is_(None))
    )
    for row in rows:
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
