"""Roots of other authorities in the registry: taken for named libraries, shown with their lists, and given up.

A federation may trust another authority for some of its libraries, such as one that has its certificates from a
national research network. What such an authority signs speaks for those libraries and for nobody else; the proxies
hold to that (`federation.snapshot.PeerTrust.admits`). `federation.services.foreign_lists` fetches its lists.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from sqlalchemy import select
from sqlalchemy.orm import Session

from federation.errors import Conflict, InvalidInput, NotFound
from federation.model import Actor
from federation.services.registry import Change, find_library, require_operator
from federation.services.values import parse_id
from federation.snapshot import ForeignAnchor
from federation.store.discovery import read_discovery_anchors
from federation.store.tables.foreign import ForeignAnchorRow, ForeignListRow, ForeignScopeRow
from federation.store.tables.registry import LibraryRow
from federation.store.tables.trust import AuthorityRow
from federation.trust.foreign import ForeignRoot, ListPolicy, parse_foreign_root

MAX_LISTS: Final = 8
MAX_URL_CHARACTERS: Final = 500
_PEM: Final = serialization.Encoding.PEM
_PRINTABLE: Final = frozenset(map(chr, range(33, 127)))


@dataclass(frozen=True, slots=True)
class ForeignList:
    """A place of revocation lists, and what was last there."""

    url: str
    this_update: datetime | None  # None: there has been none
    next_update: datetime | None
    fetched_at: datetime | None
    tried_at: datetime | None
    error: str  # of the last try; empty: it went well
    is_fresh: bool  # the list is in force


@dataclass(frozen=True, slots=True)
class Anchor:
    """A root of another authority as the registry tells of it."""

    name: str
    fingerprint: str
    subject: str
    not_after: datetime
    libraries: tuple[str, ...]
    policy: ListPolicy
    is_believed: bool  # False: the policy is hard, and there is no list in force
    lists: tuple[ForeignList, ...]
    created_at: datetime


def add_anchor(
    change: Change,
    actor: Actor,
    *,
    name: str,
    certificates_pem: bytes,
    libraries: Sequence[str],
    list_urls: Sequence[str] = (),
    policy: ListPolicy = ListPolicy.SOFT,
) -> Anchor:
    """The root in *certificates_pem*, with the authorities below it that sign lists, is trusted for *libraries*.

    Without any it is trusted for nobody, unless the federation's discovery names it.

    Raises:
        Forbidden: the actor is no operator.
        Conflict: there is an anchor of that name.
        NotFound: there is no such library.
        InvalidInput: the certificates are no authority's, or one that is known; a URL can not be; or the policy is hard
            and there is no list to hold it by.
    """
    require_operator(actor)
    parse_id(name, "/name")
    if change.session.get(ForeignAnchorRow, name) is not None:
        raise Conflict(f"there is an anchor {name!r} already")
    for library in libraries:
        find_library(change.session, actor, library)
    urls = list(dict.fromkeys(_parse_url(url) for url in list_urls))
    if len(urls) > MAX_LISTS:
        raise InvalidInput(f"there are more than {MAX_LISTS} lists", field="/list_urls")
    if policy is ListPolicy.HARD and not urls:
        raise InvalidInput("a hard policy needs a list: without one nothing would be believed", field="/list_urls")
    found = parse_foreign_root(certificates_pem, change.now, _names_taken(change.session))
    encoded = [each.public_bytes(_PEM).decode() for each in found.authorities]
    row = ForeignAnchorRow(
        name=name,
        fingerprint=found.fingerprint,
        certificate_pem=encoded[0],
        intermediates_pem="".join(encoded[1:]),
        policy=policy,
        created_at=change.now,
        scopes=[ForeignScopeRow(anchor=name, library_id=library) for library in dict.fromkeys(libraries)],
        lists=[ForeignListRow(anchor=name, url=url, error="") for url in urls],
    )
    change.session.add(row)
    change.session.flush()
    after = {"fingerprint": row.fingerprint, "libraries": list(libraries), "lists": urls, "policy": policy}
    change.record("foreign-anchor.add", f"foreign-anchor/{name}", after=after)
    return _describe(row, change.now)


def show_anchor(session: Session, name: str, now: datetime) -> Anchor:
    """The anchor of that name.

    Raises:
        NotFound: there is none.
    """
    return _describe(_find(session, name), now)


def list_anchors(session: Session, now: datetime) -> list[Anchor]:
    """All of them, by name."""
    return [_describe(row, now) for row in session.scalars(select(ForeignAnchorRow).order_by(ForeignAnchorRow.name))]


def remove_anchor(change: Change, actor: Actor, name: str) -> None:
    """Nothing below that root is believed any more, and its lists are gone.

    Raises:
        Forbidden: the actor is no operator.
        NotFound: there is no such anchor.
        Conflict: the federation's discovery names it.
    """
    require_operator(actor)
    row = _find(change.session, name)
    if name in read_discovery_anchors(change.session, if_disabled=True):
        raise Conflict(f"the federation's discovery names {name!r}: take it out there first")
    change.record("foreign-anchor.remove", f"foreign-anchor/{name}", before={"fingerprint": row.fingerprint})
    change.session.delete(row)
    change.session.flush()


def load_foreign(session: Session) -> tuple[bytes, dict[str, ForeignAnchor]]:
    """For the proxies: the newest lists as PEM, and by fingerprint the roots with what each may.

    A list that is out of date goes on being held: what it revoked stays revoked. A root without an active library is
    left out, and so trusted for nobody, unless the federation's discovery names it.
    """
    lists: list[str] = []
    anchors: dict[str, ForeignAnchor] = {}
    discovering = read_discovery_anchors(session)
    scoped = select(ForeignScopeRow.library_id)  # few, where the federation may have very many
    active = set(session.scalars(select(LibraryRow.id).where(LibraryRow.is_active, LibraryRow.id.in_(scoped))))
    for row in session.scalars(select(ForeignAnchorRow).order_by(ForeignAnchorRow.name)):
        libraries = active.intersection(scope.library_id for scope in row.scopes)
        if not libraries and row.name not in discovering:
            continue
        held = [each for each in row.lists if each.crl_pem is not None]
        lists.extend(each.crl_pem or "" for each in held)
        ends = [each.next_update.timestamp() if each.next_update else 0.0 for each in row.lists]
        anchors[row.fingerprint] = ForeignAnchor(
            certificate_pem=row.certificate_pem.encode(),
            libraries=frozenset(libraries),
            requires_list=row.policy == ListPolicy.HARD,
            listed_issuers=frozenset(
                x509.load_pem_x509_crl((each.crl_pem or "").encode()).issuer.public_bytes() for each in held
            ),
            listed_until=min(ends, default=0.0),
        )
    return "".join(lists).encode(), anchors


def read_root(row: ForeignAnchorRow) -> ForeignRoot:
    """The certificates of a row."""
    return ForeignRoot(
        x509.load_pem_x509_certificate(row.certificate_pem.encode()),
        tuple(x509.load_pem_x509_certificates(row.intermediates_pem.encode())) if row.intermediates_pem else (),
    )


def is_believed(row: ForeignAnchorRow, now: datetime) -> bool:
    """Whether certificates below the root are believed now."""
    return row.policy != ListPolicy.HARD or all(is_fresh(each, now) for each in row.lists)


def is_fresh(row: ForeignListRow, now: datetime) -> bool:
    """Whether there is a list, and it is in force."""
    return row.next_update is not None and now < row.next_update


def _names_taken(session: Session) -> Iterator[x509.Name]:
    """Of every authority that is known, retired ones too: certificates below them may be about."""
    for row in session.scalars(select(AuthorityRow)):
        yield x509.load_pem_x509_certificate(row.certificate_pem.encode()).subject
    for row in session.scalars(select(ForeignAnchorRow)):
        yield from (each.subject for each in read_root(row).authorities)


def _parse_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        is_good = is_good and parts.username is None and not parts.fragment
    except ValueError:
        is_good = False
    if not is_good or len(url) > MAX_URL_CHARACTERS or not set(url) <= _PRINTABLE:
        raise InvalidInput(f"{url[:100]!r} is no URL of a list, such as http://crl.example/ca.crl", field="/list_urls")
    return url


def _find(session: Session, name: str) -> ForeignAnchorRow:
    row = session.get(ForeignAnchorRow, name)
    if row is None:
        raise NotFound(f"there is no anchor {name!r}")
    return row


def _describe(row: ForeignAnchorRow, now: datetime) -> Anchor:
    root = read_root(row).root
    return Anchor(
        name=row.name,
        fingerprint=row.fingerprint,
        subject=root.subject.rfc4514_string(),
        not_after=root.not_valid_after_utc,
        libraries=tuple(sorted(scope.library_id for scope in row.scopes)),
        policy=ListPolicy(row.policy),
        is_believed=is_believed(row, now),
        lists=tuple(
            ForeignList(
                url=each.url,
                this_update=each.this_update,
                next_update=each.next_update,
                fetched_at=each.fetched_at,
                tried_at=each.tried_at,
                error=each.error,
                is_fresh=is_fresh(each, now),
            )
            for each in sorted(row.lists, key=lambda each: each.url)
        ),
        created_at=row.created_at,
    )
