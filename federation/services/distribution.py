"""Whether the certificates in force say where their revocation list is, and whether it is there."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from sqlalchemy import select
from sqlalchemy.orm import Session

from federation.errors import InvalidInput
from federation.services.authorities import (
    ISSUING,
    ROOT,
    find_federation,
    find_list_url,
    lacks_root_list,
    load_authority,
    load_trusted,
)
from federation.services.list_fetch import FetchFailed, fetch_list
from federation.services.registry import Registry
from federation.store.tables.trust import AuthorityRow, CertificateRow
from federation.trust.distribution import read_list_urls
from federation.trust.foreign import MAX_LIST_OCTETS, parse_revocation_list
from federation.trust.profiles import Purpose

Fetch = Callable[[str, int], bytes]
FETCH_SECONDS: Final = 5.0  # of each list; `doctor` is waited for
CACHE: Final = timedelta(hours=1)  # for which a list may be kept on its way, as the API says with each
_MOST_NAMED: Final = 5


def find_without_list_url(session: Session, now: datetime) -> list[CertificateRow]:
    """The certificates in force that do not name the list that they should; none where there is no public URL."""
    trusted = {(row.purpose, row.generation): row for purpose in Purpose for row in _issuing(session, purpose)}
    rows = session.scalars(
        select(CertificateRow)
        .where(
            CertificateRow.revoked_at.is_(None),
            CertificateRow.superseded_at.is_(None),
            CertificateRow.not_after > now,
        )
        .order_by(CertificateRow.library_id, CertificateRow.serial)
    )
    return [
        row
        for row in rows
        if (issuing := trusted.get((row.purpose, row.generation))) is not None and lacks_list_url(session, issuing, row)
    ]


def lacks_list_url(session: Session, issuing: AuthorityRow, row: CertificateRow) -> bool:
    """Whether a certificate of that authority would name another list, or one at all, if it were issued now."""
    wanted = find_list_url(session, issuing)
    return wanted is not None and wanted not in read_list_urls(
        x509.load_pem_x509_certificate(row.certificate_pem.encode())
    )


def check_distribution(registry: Registry, fetch: Fetch | None = None) -> str:
    """What `biebroam doctor` says when all is well with where certificates lead for revocation lists.

    Raises:
        ValueError: a list can not be had there, or certificates in force do not lead there; the text names each.
    """
    fetch = fetch or (lambda url, most: fetch_list(url, most, FETCH_SECONDS))
    with registry.read() as session:
        if not find_federation(session).public_url:
            return "there is no public_url: certificates do not say where their revocation list is"
        issuing = [row for purpose in Purpose for row in _issuing(session, purpose)]
        places = [(find_list_url(session, row) or "", row) for row in (*issuing, *_roots_led_to(session, issuing))]
        without = [
            f"the issuing authority of {row.purpose} does not lead to its root's list"
            for row in issuing
            if lacks_root_list(session, row)
        ]
        without += [
            f"{row.profile} {(*row.names, *row.nai_realms)[0]} ({row.serial}) does not lead there"
            for row in find_without_list_url(session, registry.now())
        ]
    troubles = [text for url, row in places for text in _look(url, row, fetch, registry.now())]
    troubles.extend(without[:_MOST_NAMED])
    if len(without) > _MOST_NAMED:
        troubles.append(f"{len(without) - _MOST_NAMED} more do not either")
    if troubles:
        raise ValueError("; ".join(troubles))
    return f"{', '.join(url for url, _ in places)}: each list is there, and every certificate in force leads to its own"


def _look(url: str, row: AuthorityRow, fetch: Fetch, now: datetime) -> Iterator[str]:
    """What is wrong with what is at one address, in words."""
    if not row.crl_pem:
        yield f"{url}: the root is kept elsewhere, and there is no list of it here"
        return
    authority = x509.load_pem_x509_certificate(row.certificate_pem.encode())
    own = x509.load_pem_x509_crl(row.crl_pem.encode())
    try:
        found = parse_revocation_list(fetch(url, MAX_LIST_OCTETS), [authority], now)
    except (FetchFailed, InvalidInput) as error:
        yield f"{url}: {error}"
        return
    if found.next_update <= now:
        yield f"{url}: the list that is there has run out"
    elif found.this_update < own.last_update_utc and now > row.crl_issued_at + CACHE:
        yield f"{url}: the list that is there is older than ours"


def _roots_led_to(session: Session, issuing: list[AuthorityRow]) -> Iterator[AuthorityRow]:
    """The roots whose lists the certificates of those authorities lead to."""
    for row in issuing:
        root = load_authority(session, Purpose(row.purpose), ROOT, row.generation)
        if find_list_url(session, root) in read_list_urls(x509.load_pem_x509_certificate(row.certificate_pem.encode())):
            yield root


def _issuing(session: Session, purpose: Purpose) -> list[AuthorityRow]:
    return [row for row in load_trusted(session, purpose) if row.level == ISSUING]
