"""Enrolment: a library's server gets its certificate with an invitation, and renews it by itself from then on.

With each certificate goes a renewal token, `bbn_<serial>_<secret>`, good for one renewal of that certificate. It stands
for the TLS client certificate of RFC 7030 §3.3.2, which does not reach an API behind somebody else's TLS front. It is
weaker than the private key alone would be and stronger than a password: whoever finds it can have a certificate for the
same names and a key of its own (RFC 7030 §4.2.2 lets the key change), until the true owner's next renewal fails and tells
of it. So the token of a revoked, superseded or run-out certificate opens nothing.
"""

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass

from sqlalchemy.orm import Session

from federation.errors import Unauthenticated
from federation.model import Actor, Role
from federation.services.authorities import load_anchors
from federation.services.certificates import Certificate, issue_certificate, supersede_certificate
from federation.services.invitations import take_invitation
from federation.services.registry import Change
from federation.store.tables.registry import FederationRow
from federation.store.tables.trust import CertificateRow
from federation.trust.profiles import Profile, Purpose, RequestRefused, parse_peer_request

_ALPHABET = string.ascii_letters + string.digits
_RENEWAL = re.compile(r"bbn_([0-9a-f]{1,40})_[A-Za-z0-9]{43}")
_NO_DIGEST = bytes(32)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a library's server goes away with."""

    certificate: Certificate
    anchors_pem: str
    renewal_token: str
    server_name: str  # the federation's proxy: where to connect, and the name to expect there


def enrol(change: Change, invitation: str, request_pem: bytes) -> Enrolment:
    """A first certificate, for an invitation that is used up by it.

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
    return _hand_out(change, issued)


def reenrol(change: Change, token: str, request_pem: bytes) -> Enrolment:
    """Another certificate for the names of one that is in force; that one stays valid to its end, its token is spent.

    Raises:
        Unauthenticated: the token opens nothing.
        Conflict: the library is suspended.
        RequestRefused: the request has other names than the certificate (RFC 7030 §4.2.2), or one that is no longer the
            library's.
    """
    row = _find_renewable(change, token)
    change.actor = Actor(f"renewal of {row.serial}", Role.LIBRARY, row.library_id, change.actor.source_address)
    request = parse_peer_request(request_pem)
    if set(request.names) != set(row.names) or set(request.nai_realms) != set(row.nai_realms):
        wanted = ", ".join((*row.names, *row.nai_realms))
        raise RequestRefused(f"a renewal has the same names as the certificate: {wanted}")
    return _hand_out(change, supersede_certificate(change, row, request))


def load_server_name(session: Session) -> str:
    """The name of the federation's proxy."""
    federation = session.get(FederationRow, 1)
    assert federation is not None  # there are no libraries before it
    return federation.eap_server_name


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


def _hand_out(change: Change, issued: Certificate) -> Enrolment:
    token = f"bbn_{issued.serial}_{''.join(secrets.choice(_ALPHABET) for _ in range(43))}"
    row = change.session.get(CertificateRow, issued.serial)
    assert row is not None  # it has just been issued
    row.renewal_sha256 = _digest(token)
    return Enrolment(
        certificate=issued,
        anchors_pem=load_anchors(change.session, Purpose.PEERS),
        renewal_token=token,
        server_name=load_server_name(change.session),
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
