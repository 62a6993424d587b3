"""Certificates of members' RADIUS/TLS peers: issued from a request, listed, renewed and revoked.

A member sees and revokes its own; the federation's operator sees all. Only a request comes in and only a certificate
goes out: no private key of a peer is ever here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Select, Text, cast, or_, select
from sqlalchemy.orm import Session

from federation.errors import Conflict, NotFound
from federation.model import Actor, Page
from federation.services.authorities import (
    ISSUING,
    SYSTEM,
    build_row,
    find_list_url,
    load_authority,
    publish_crl,
    renew_own_certificate,
)
from federation.services.registry import Change, cursor_page, find_library, require_writer
from federation.store.tables.registry import FederationRow, LibraryRow, RealmRow
from federation.store.tables.trust import CertificateRow
from federation.trust.authority import issue_peer
from federation.trust.profiles import (
    PeerRequest,
    Profile,
    Purpose,
    RequestRefused,
    choose_profile,
    parse_peer_request,
    reread_certificate,
    verify_ownership,
)
from federation.trust.rows import open_authority


class CertificateState(StrEnum):
    """What became of a certificate."""

    ACTIVE = "active"
    SUPERSEDED = "superseded"  # valid still, and another took its place
    EXPIRED = "expired"
    REVOKED = "revoked"


class RevocationReason(StrEnum):
    """Why a certificate is revoked, in the words of RFC 5280 §5.3.1."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as the registry tells of it."""

    serial: str
    purpose: Purpose
    profile: Profile
    library: str | None
    names: tuple[str, ...]
    nai_realms: tuple[str, ...]
    state: CertificateState
    not_before: datetime
    not_after: datetime
    days_left: int  # whole ones; negative when it has run out
    issued_at: datetime
    revoked_at: datetime | None
    revocation_reason: RevocationReason | None
    certificate_pem: str
    chain_pem: str  # the certificate and its issuer, without the root: what a TLS server sends


def issue_certificate(
    change: Change, actor: Actor, library: str, request_pem: bytes, profile: Profile | None = None
) -> Certificate:
    """A new certificate for a peer of *library*, from a PKCS #10 request in PEM.

    Without *profile* it is for all that the library's roles allow.

    Raises:
        NotFound: there is no such library, or it is not the actor's.
        Forbidden: the actor may only read.
        Conflict: the library is suspended.
        RequestRefused: the request is not one that the profile allows, or has a name that is not the library's.
    """
    require_writer(actor)
    row = find_library(change.session, actor, library)
    request = parse_peer_request(request_pem)
    return _issue(change, row, request, choose_profile(row.roles, profile))


def show_certificate(session: Session, actor: Actor, serial: str, now: datetime) -> Certificate:
    """The certificate with this serial number.

    Raises:
        NotFound: there is none that the actor may see.
    """
    row = _find(session, actor, serial)
    return _describe(session, row, now)


def list_certificates(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    library: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[Certificate]:
    """Certificates that the actor may see, ordered by serial number, at most *limit* of them after *cursor*."""
    query = _visible(actor).order_by(CertificateRow.serial)
    if library is not None:
        query = query.where(CertificateRow.library_id == library)
    if cursor is not None:
        query = query.where(CertificateRow.serial > cursor)
    page = cursor_page(list(session.scalars(query.limit(limit + 1))), limit, lambda row: row.serial)
    return Page([_describe(session, row, now) for row in page.items], page.next_cursor)


def renew_certificate(change: Change, actor: Actor, serial: str) -> Certificate:
    """A new certificate in the place of another, which stays valid to its end.

    A peer's has the same key and names, if they are still the library's; the hosted home server's and the proxy's
    have a new key.

    Raises:
        NotFound: there is none that the actor may see.
        Forbidden: the actor may only read.
        Conflict: it is revoked: a new request has to be made, with a new key; or its library is suspended.
        RequestRefused: a name is no longer the library's.
    """
    require_writer(actor)
    row = _find(change.session, actor, serial)
    if row.revoked_at is not None:
        raise Conflict(f"certificate {serial} is revoked: make a new request with a new key")
    if row.library_id is None:
        renewed = renew_own_certificate(change, Profile(row.profile))
        return _describe(change.session, _find(change.session, actor, renewed), change.now)
    find_library(change.session, actor, row.library_id)
    return supersede_certificate(change, row, reread_certificate(row.certificate_pem.encode()))


def supersede_certificate(change: Change, row: CertificateRow, request: PeerRequest) -> Certificate:
    """A new certificate of the same library and profile in the place of *row*'s, which stays valid to its end.

    Raises:
        Conflict: the library is suspended.
        RequestRefused: a name is no longer the library's.
    """
    library = find_library(change.session, SYSTEM, row.library_id or "")
    row.superseded_at = change.now
    return _issue(change, library, request, _profile_of_successor(library, Profile(row.profile)))


def revoke_certificate(
    change: Change, actor: Actor, serial: str, reason: RevocationReason = RevocationReason.UNSPECIFIED
) -> Certificate:
    """The certificate is revoked, and the new revocation list says so; to revoke it again changes nothing.

    When it was the hosted home server's or the proxy's, that has a new one at once.

    Raises:
        NotFound: there is none that the actor may see.
        Forbidden: the actor may only read.
    """
    require_writer(actor)
    row = _find(change.session, actor, serial)
    if row.revoked_at is None:
        row.revoked_at = change.now
        row.revocation_reason = reason
        change.session.flush()
        change.record(
            "certificate.revoke", f"certificate/{row.serial}", library=row.library_id, after={"reason": reason}
        )
        publish_crl(change, Purpose(row.purpose))
        if row.library_id is None and row.superseded_at is None:
            renew_own_certificate(change, Profile(row.profile))
    return _describe(change.session, row, change.now)


def revoke_all(change: Change, library: str) -> int:
    """Every certificate of *library* is revoked, because it leaves; returns how many were."""
    rows = change.session.scalars(_active_peers().where(CertificateRow.library_id == library)).all()
    return _revoke_rows(change, rows, RevocationReason.CESSATION_OF_OPERATION)


def revoke_unowned(change: Change, realm: str, *others: str) -> int:
    """Every certificate with a name in these realms that is no longer its library's is revoked; returns how many were.

    Call it when realms have gained or lost their owners: what was a library's own name may be its neighbour's now.
    """
    rows: Sequence[CertificateRow]
    if not others:
        rows = change.session.scalars(_active_peers().where(_mentions(realm))).all()
    else:  # one look at all certificates costs less than one for each realm
        realms = {realm, *others}
        columns = _active_peers().with_only_columns(
            CertificateRow.serial, CertificateRow.names, CertificateRow.nai_realms
        )
        serials = [
            serial
            for serial, names, nai_realms in change.session.execute(columns)
            if any(_is_below(name, realms) for name in (*names, *nai_realms))
        ]
        rows = [row for serial in serials if (row := change.session.get(CertificateRow, serial)) is not None]
    if not rows:  # as nearly always: then a realm costs no look at all the others
        return 0
    owners = _owners_of_realms(change.session)
    unowned: list[CertificateRow] = []
    for row in rows:
        try:
            verify_ownership(row.names, row.nai_realms, row.library_id or "", owners)
        except RequestRefused:
            unowned.append(row)
    return _revoke_rows(change, unowned, RevocationReason.AFFILIATION_CHANGED)


def _mentions(realm: str) -> ColumnElement[bool]:
    return or_(
        cast(CertificateRow.names, Text).contains(realm, autoescape=True),
        cast(CertificateRow.nai_realms, Text).contains(realm, autoescape=True),
    )


def _is_below(name: str, realms: set[str]) -> bool:
    labels = name.removeprefix("*.").split(".")
    return any(".".join(labels[start:]) in realms for start in range(len(labels)))


def _active_peers() -> Select[CertificateRow]:
    return select(CertificateRow).where(CertificateRow.purpose == Purpose.PEERS, CertificateRow.revoked_at.is_(None))


def _revoke_rows(change: Change, rows: Sequence[CertificateRow], reason: RevocationReason) -> int:
    for row in rows:
        row.revoked_at = change.now
        row.revocation_reason = reason
        change.record(
            "certificate.revoke", f"certificate/{row.serial}", library=row.library_id, after={"reason": reason}
        )
    if rows:
        change.session.flush()
        publish_crl(change, Purpose.PEERS)
    return len(rows)


def _profile_of_successor(library: LibraryRow, profile: Profile) -> Profile:
    """The same, unless the library's roles no longer reach for it."""
    try:
        return choose_profile(library.roles, profile)
    except RequestRefused:
        return choose_profile(library.roles)


def _issue(change: Change, library: LibraryRow, request: PeerRequest, profile: Profile) -> Certificate:
    if not library.is_active:
        raise Conflict(f"library {library.id} is suspended; it gets no certificates")
    verify_ownership(request.names, request.nai_realms, library.id, _owners_of_realms(change.session))
    federation = change.session.scalars(select(FederationRow)).one()
    if federation.eap_server_name in request.names:  # though it may stand under a library's realm
        raise RequestRefused(f"{federation.eap_server_name} is the federation's own name")
    issuing = load_authority(change.session, Purpose.PEERS, ISSUING)
    certificate = issue_peer(
        open_authority(issuing, change.sealer),
        request,
        unit=library.id,
        profile=profile,
        federation_name=federation.name,
        now=change.now,
        crl_url=find_list_url(change.session, issuing),
    )
    row = build_row(
        certificate,
        issuing,
        profile,
        names=request.names,
        nai_realms=request.nai_realms,
        now=change.now,
        library=library.id,
    )
    change.session.add(row)
    change.session.flush()
    names = [*request.names, *request.nai_realms]
    change.record("certificate.issue", f"certificate/{row.serial}", library=library.id, after={"names": names})
    return _describe(change.session, row, change.now)


def _owners_of_realms(session: Session) -> Mapping[str, str]:
    return {row.name: row.library_id for row in session.execute(select(RealmRow.name, RealmRow.library_id))}


def _visible(actor: Actor) -> Select[CertificateRow]:
    """The tenant check is in the query: what is another's is not found."""
    query = select(CertificateRow)
    return query if actor.library is None else query.where(CertificateRow.library_id == actor.library)


def _find(session: Session, actor: Actor, serial: str) -> CertificateRow:
    row = session.scalars(_visible(actor).where(CertificateRow.serial == serial.lower())).one_or_none()
    if row is None:
        raise NotFound("there is no such certificate")
    return row


def _describe(session: Session, row: CertificateRow, now: datetime) -> Certificate:
    purpose = Purpose(row.purpose)
    issuing = load_authority(session, purpose, ISSUING, row.generation)
    return Certificate(
        serial=row.serial,
        purpose=purpose,
        profile=Profile(row.profile),
        library=row.library_id,
        names=tuple(row.names),
        nai_realms=tuple(row.nai_realms),
        state=_state_of(row, now),
        not_before=row.not_before,
        not_after=row.not_after,
        days_left=(row.not_after - now).days,
        issued_at=row.issued_at,
        revoked_at=row.revoked_at,
        revocation_reason=RevocationReason(row.revocation_reason) if row.revocation_reason else None,
        certificate_pem=row.certificate_pem,
        chain_pem=row.certificate_pem + issuing.certificate_pem,
    )


def _state_of(row: CertificateRow, now: datetime) -> CertificateState:
    if row.revoked_at is not None:
        return CertificateState.REVOKED
    if row.not_after <= now:
        return CertificateState.EXPIRED
    return CertificateState.ACTIVE if row.superseded_at is None else CertificateState.SUPERSEDED
