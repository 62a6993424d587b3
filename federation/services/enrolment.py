"""Enrolment: a library's server gets its certificate with an invitation, and renews it by itself from then on.

RFC 7030 §3.3.2 proves a renewal by a TLS client certificate, which does not reach an API behind a TLS front. Two things
stand for it. A request for the *same key* needs nothing more: it is signed with the certificate's private key, and
whoever replays it gets what only the owner of that key can use. A request for a *new key* brings the renewal token,
`bbn_<serial>_<secret>`, that went with the certificate, good for one renewal: whoever finds it could have a certificate
for the same names, until the owner's next renewal fails and tells of it. A certificate that is revoked, superseded or
has run out is renewed in neither way.
"""

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Text, cast, or_, select
from sqlalchemy.orm import Session

from federation.errors import Unauthenticated
from federation.model import Actor, Role
from federation.services.authorities import ISSUING, ROOT, load_anchors, load_authority, load_trusted
from federation.services.certificates import Certificate, issue_certificate, show_certificate, supersede_certificate
from federation.services.configurations import Place
from federation.services.distribution import lacks_list_url
from federation.services.invitations import take_invitation
from federation.services.registry import Change
from federation.store.tables.registry import FederationRow, RealmRow
from federation.store.tables.trust import CertificateRow
from federation.trust.profiles import (
    PeerRequest,
    Profile,
    Purpose,
    RequestRefused,
    parse_peer_request,
    reread_certificate,
)

_ALPHABET = string.ascii_letters + string.digits
_RENEWAL = re.compile(r"bbn_([0-9a-f]{1,40})_[A-Za-z0-9]{43}")
_NO_DIGEST = bytes(32)
_REPLAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a library's server goes away with."""

    certificate: Certificate
    anchors_pem: str
    renewal_token: str | None  # None: what proved the renewal could be a replay, so it is given no more than that
    server_name: str  # the federation's proxy: where to connect, and the name to expect there


def enrol(change: Change, invitation: str, request_pem: bytes, *, delivers_anchors: bool = True) -> Enrolment:
    """A first certificate, for an invitation that is used up by it.

    *delivers_anchors* says whether the answer that goes out has the anchors in it, as those of EST have not: a
    roll-over of the root asks who was given the new one.

    Raises:
        Unauthenticated: the invitation opens nothing.
        Conflict: the library is suspended.
        RequestRefused: the request is not one that the library may make; the invitation stays as it was.
    """
    row, library, actor = take_invitation(change, invitation)
    change.actor = actor
    profile = Profile(row.profile) if row.profile else None
    issued = issue_certificate(change, actor, library.id, request_pem, profile)
    row.serial = issued.serial
    return _hand_out(change, issued, token=True, delivers_anchors=delivers_anchors)


def reenrol(change: Change, token: str | None, request_pem: bytes, *, delivers_anchors: bool = True) -> Enrolment:
    """Another certificate for the names of one that is in force; that one stays valid to its end, its token is spent.

    Without a token the request has to be for the same key. One for a key that got its certificate less than a day ago
    gets that certificate again, so that a request that is replayed fills no table; unless another authority issues
    meanwhile, or it would lead to a revocation list now.

    Raises:
        Unauthenticated: the token opens nothing, or there is none and no certificate in force has that key and names.
        Conflict: the library is suspended.
        RequestRefused: the request has other names than the certificate (RFC 7030 §4.2.2), or one that is no longer the
            library's.
    """
    request = parse_peer_request(request_pem)
    row = _find_by_key(change, request) if token is None else _find_renewable(change, token)
    change.actor = Actor(f"renewal of {row.serial}", Role.LIBRARY, row.library_id, change.actor.source_address)
    issuing = load_authority(change.session, Purpose.PEERS, ISSUING)
    is_current = row.generation == issuing.generation and not lacks_list_url(change.session, issuing, row)
    if token is None and is_current and change.now - row.issued_at < _REPLAY:
        found = show_certificate(change.session, change.actor, row.serial, change.now)
        return _hand_out(change, found, token=False, delivers_anchors=delivers_anchors)
    if set(request.names) != set(row.names) or set(request.nai_realms) != set(row.nai_realms):
        wanted = ", ".join((*row.names, *row.nai_realms))
        raise RequestRefused(f"a renewal has the same names as the certificate: {wanted}")
    made = supersede_certificate(change, row, request)
    return _hand_out(change, made, token=token is not None, delivers_anchors=delivers_anchors)


def load_server_name(session: Session) -> str:
    """The name of the federation's proxy."""
    federation = session.get(FederationRow, 1)
    assert federation is not None  # there are no libraries before it
    return federation.eap_server_name


def find_place(session: Session, made: Enrolment) -> Place:
    """What a ready configuration for the owner of a new certificate has to know."""
    library = made.certificate.library or ""
    realms = session.scalars(
        select(RealmRow.name).where(RealmRow.library_id == library).order_by(RealmRow.position, RealmRow.name)
    )
    return Place(library=library, realms=tuple(realms), server_name=made.server_name, host=made.server_name)


def _find_renewable(change: Change, token: str) -> CertificateRow:
    match = _RENEWAL.fullmatch(token)
    row = change.session.get(CertificateRow, match[1], with_for_update=True) if match else None
    expected = row.renewal_sha256 if row else None
    is_known = hmac.compare_digest(expected or _NO_DIGEST, _digest(token))
    if (
        row is None
        or row.library_id is None
        or not is_known
        or row.revoked_at is not None
        or row.superseded_at is not None
        or row.not_after <= change.now
    ):
        raise Unauthenticated("the renewal token is unknown or spent, or its certificate is no longer in force")
    return row


def _find_by_key(change: Change, request: PeerRequest) -> CertificateRow:
    """The certificate in force with the names and the key of *request*, which has proved to hold it."""
    name = (*request.names, *request.nai_realms)[0]
    candidates = change.session.scalars(
        select(CertificateRow).where(
            CertificateRow.purpose == Purpose.PEERS,
            CertificateRow.library_id.is_not(None),
            CertificateRow.revoked_at.is_(None),
            CertificateRow.superseded_at.is_(None),
            CertificateRow.not_after > change.now,
            or_(
                cast(CertificateRow.names, Text).contains(name, autoescape=True),
                cast(CertificateRow.nai_realms, Text).contains(name, autoescape=True),
            ),
        )
    )
    for row in candidates:
        known = reread_certificate(row.certificate_pem.encode())
        if (
            known.public_key == request.public_key
            and set(known.names) == set(request.names)
            and set(known.nai_realms) == set(request.nai_realms)
        ):
            return row
    raise Unauthenticated("no certificate in force has this key and these names: send the renewal token")


def _hand_out(change: Change, issued: Certificate, *, token: bool, delivers_anchors: bool) -> Enrolment:
    """A renewal token goes only to who has shown a secret: a replayed request would turn it into another key."""
    row = change.session.get(CertificateRow, issued.serial)
    assert row is not None  # it has just been issued, or found
    if delivers_anchors:
        roots = [each for each in load_trusted(change.session, Purpose.PEERS) if each.level == ROOT]
        row.anchors_generation = max(each.generation for each in roots)
    secret = f"bbn_{issued.serial}_{''.join(secrets.choice(_ALPHABET) for _ in range(43))}" if token else None
    if secret is not None:
        row.renewal_sha256 = _digest(secret)
    return Enrolment(
        certificate=issued,
        anchors_pem=load_anchors(change.session, Purpose.PEERS),
        renewal_token=secret,
        server_name=load_server_name(change.session),
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
