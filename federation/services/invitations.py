"""Invitations: how a library gets its first certificate without a token of the API.

An invitation is `bbi_<id>_<secret>`, given to one library, for one certificate, within some days. Only the SHA-256 of
its 256 random bits is kept. A request that is refused does not use it up; an issued certificate does, in the same
transaction, so that two that come at once get one certificate between them.
"""

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from federation.errors import InvalidInput, NotFound, Unauthenticated
from federation.model import Actor, Created, Role
from federation.services.registry import Change, find_library, require_writer
from federation.store.tables.registry import LibraryRow
from federation.store.tables.trust import InvitationRow
from federation.trust.profiles import Profile, choose_profile

DEFAULT_DAYS = 7
MAX_DAYS = 30
_ALPHABET = string.ascii_letters + string.digits
_INVITATION = re.compile(r"bbi_([A-Za-z0-9]{12})_[A-Za-z0-9]{43}")
_NO_DIGEST = bytes(32)


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation as the registry tells of it; never its secret."""

    id: str
    library: str
    profile: Profile | None
    created_at: datetime
    created_by: str
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None
    serial: str | None  # of the certificate that it gave


def create_invitation(
    change: Change, actor: Actor, library: str, *, profile: Profile | None = None, days: int = DEFAULT_DAYS
) -> Created[Invitation]:
    """A new invitation for *library*; its secret is in the answer and nowhere afterwards.

    Raises:
        NotFound: there is no such library, or it is not the actor's.
        Forbidden: the actor may only read.
        InvalidInput: it would live too long.
        RequestRefused: the library's roles do not reach for that profile.
    """
    require_writer(actor)
    row = find_library(change.session, actor, library)
    if not 0 < days <= MAX_DAYS:
        raise InvalidInput(f"an invitation lives 1 to {MAX_DAYS} days", field="days")
    choose_profile(row.roles, profile)
    invitation = InvitationRow(
        id=_random(12),
        library_id=library,
        profile=profile,
        created_at=change.now,
        created_by=actor.name,
        expires_at=change.now + timedelta(days=days),
    )
    secret = f"bbi_{invitation.id}_{_random(43)}"
    invitation.secret_sha256 = _digest(secret)
    change.session.add(invitation)
    change.session.flush()
    change.record("invitation.create", f"invitation/{invitation.id}", library=library, after={"profile": profile})
    return Created(_describe(invitation), secret)


def list_invitations(session: Session, actor: Actor, library: str) -> list[Invitation]:
    """All invitations of *library*, the newest first.

    Raises:
        NotFound: there is no such library, or it is not the actor's.
    """
    find_library(session, actor, library)
    rows = session.scalars(
        select(InvitationRow)
        .where(InvitationRow.library_id == library)
        .order_by(InvitationRow.created_at.desc(), InvitationRow.id)
    )
    return [_describe(row) for row in rows]


def revoke_invitation(change: Change, actor: Actor, library: str, invitation_id: str) -> Invitation:
    """The invitation opens nothing any more; to revoke it again changes nothing.

    Raises:
        NotFound: there is none that the actor may see.
        Forbidden: the actor may only read.
    """
    require_writer(actor)
    find_library(change.session, actor, library)
    row = change.session.get(InvitationRow, invitation_id)
    if row is None or row.library_id != library:
        raise NotFound("there is no such invitation")
    if row.revoked_at is None:
        row.revoked_at = change.now
        change.record("invitation.revoke", f"invitation/{row.id}", library=library)
    return _describe(row)


def take_invitation(change: Change, secret: str) -> tuple[InvitationRow, LibraryRow, Actor]:
    """The invitation, its library, and who acts with it; it counts as used when the change is kept.

    Raises:
        Unauthenticated: it is none, was used or revoked, or has expired; which of these is not told.
    """
    match = _INVITATION.fullmatch(secret)
    row = change.session.get(InvitationRow, match[1], with_for_update=True) if match else None
    is_known = hmac.compare_digest(row.secret_sha256 if row else _NO_DIGEST, _digest(secret))
    library = change.session.get(LibraryRow, row.library_id) if row else None
    if (
        row is None
        or library is None
        or not is_known
        or row.used_at is not None
        or row.revoked_at is not None
        or row.expires_at <= change.now
    ):
        raise Unauthenticated("the invitation is unknown, used, revoked or expired; ask for another")
    row.used_at = change.now
    return row, library, Actor(f"invitation {row.id}", Role.LIBRARY, row.library_id, change.actor.source_address)


def _random(characters: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(characters))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="replace")).digest()


def _describe(row: InvitationRow) -> Invitation:
    return Invitation(
        id=row.id,
        library=row.library_id,
        profile=Profile(row.profile) if row.profile else None,
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        used_at=row.used_at,
        revoked_at=row.revoked_at,
        serial=row.serial,
    )
