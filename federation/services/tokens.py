"""Tokens of the management API: making, listing, revoking them, and knowing who holds one.

A token is `bbr_<id>_<secret>`. The id finds the row; of the 256-bit secret only its SHA-256 is kept, which is enough
for a secret that nobody chose. The whole token leaves once, when it is made.
"""

import contextlib
import hashlib
import hmac
import re
import secrets
import string
from datetime import datetime, timedelta

from sqlalchemy import Select, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from federation.errors import Forbidden, InvalidInput, NotFound
from federation.model import Actor, Created, Page, Role, Token
from federation.services.registry import Change, Registry, cursor_page, find_library, require_writer
from federation.store.tables.tokens import TokenRow

_ALPHABET = string.ascii_letters + string.digits
_ID_CHARACTERS = 12
_SECRET_CHARACTERS = 43  # of 62 each: 256 bits
_TOKEN = re.compile(rf"bbr_([A-Za-z0-9]{{{_ID_CHARACTERS}}})_([A-Za-z0-9]{{{_SECRET_CHARACTERS}}})")
_MAX_NAME_CHARACTERS = 100
_LAST_USED_STEP = timedelta(minutes=5)  # a write for every request would make readers queue behind one writer
_NO_DIGEST = bytes(32)


def _random(characters: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(characters))


def create_token(
    change: Change,
    actor: Actor,
    *,
    name: str,
    role: Role,
    library: str | None = None,
    expires_at: datetime | None = None,
) -> Created[Token]:
    """A new token; a library's token makes tokens for that library only, and none that outlives it.

    Raises:
        Forbidden: the actor may not give that role.
        NotFound: there is no such library, or it is not the actor's.
        InvalidInput: the name, the library or the expiry does not fit.
    """
    require_writer(actor)
    name = name.strip()
    if not name or len(name) > _MAX_NAME_CHARACTERS or not name.isprintable():
        raise InvalidInput(f"a name has 1 to {_MAX_NAME_CHARACTERS} printable characters", field="name")
    if role is Role.OPERATOR and library is not None:
        raise InvalidInput("an operator's token is for the whole federation", field="library")
    if role is Role.LIBRARY and library is None:
        raise InvalidInput("a library's token needs a library", field="library")
    if actor.library is not None and library != actor.library:
        raise Forbidden("a library's token makes tokens for that library only")
    if library is not None:
        find_library(change.session, actor, library)
    if expires_at is not None and expires_at <= change.now:
        raise InvalidInput("the expiry has passed", field="expires_at")
    row = TokenRow(
        id=_random(_ID_CHARACTERS),
        name=name,
        role=role,
        library_id=library,
        created_at=change.now,
        created_by=actor.name,
        expires_at=_bounded_expiry(change.session, actor, expires_at),
    )
    token = f"bbr_{row.id}_{_random(_SECRET_CHARACTERS)}"
    row.secret_sha256 = _digest(token)
    change.session.add(row)
    change.session.flush()
    change.record("token.create", f"token/{row.id}", library=library, after={"name": name, "role": role})
    return Created(_describe(row), token)


def show_token(session: Session, actor: Actor, token_id: str) -> Token:
    """The token with this id.

    Raises:
        NotFound: there is none that the actor may see.
    """
    return _describe(_find(session, actor, token_id))


def list_tokens(
    session: Session, actor: Actor, *, library: str | None = None, limit: int = 100, cursor: str | None = None
) -> Page[Token]:
    """Tokens that the actor may see, revoked ones among them, ordered by id."""
    query = _visible(actor).order_by(TokenRow.id).limit(limit + 1)
    if library is not None:
        query = query.where(TokenRow.library_id == library)
    if cursor is not None:
        query = query.where(TokenRow.id > cursor)
    page = cursor_page(list(session.scalars(query)), limit, lambda row: row.id)
    return Page([_describe(row) for row in page.items], page.next_cursor)


def revoke_token(change: Change, actor: Actor, token_id: str) -> Token:
    """The token opens nothing any more; to revoke it again changes nothing.

    Raises:
        NotFound: there is none that the actor may see.
        Forbidden: the actor may only read, and the token is not its own.
    """
    if actor.token_id != token_id:  # whoever holds a token may give it up
        require_writer(actor)
    row = _find(change.session, actor, token_id)
    if row.revoked_at is None:
        row.revoked_at = change.now
        row.version += 1
        change.record("token.revoke", f"token/{row.id}", library=row.library_id)
    return _describe(row)


def authenticate(registry: Registry, token: str, *, source_address: str = "", request_id: str = "") -> Actor | None:
    """Who holds *token*; None when it is none, is revoked or has expired, and which of these is not told."""
    match = _TOKEN.fullmatch(token)
    now = registry.now()
    with registry.read() as session:
        row = session.get(TokenRow, match[1]) if match else None
        # The digest hides where two secrets first differ; comparing in constant time costs nothing on top.
        is_known = hmac.compare_digest(row.secret_sha256 if row else _NO_DIGEST, _digest(token))
        if row is None or not is_known or not _is_live(row, now):
            return None
        actor = Actor(
            name=row.name,
            role=Role(row.role),
            library=row.library_id,
            source_address=source_address,
            request_id=request_id,
            token_id=row.id,
        )
        was_used = row.last_used_at is not None and now - row.last_used_at < _LAST_USED_STEP
    if not was_used:
        _note_use(registry, actor.token_id, now)
    return actor


def _bounded_expiry(session: Session, actor: Actor, expires_at: datetime | None) -> datetime | None:
    """No later than the token that asks: else whoever finds a token that ends soon makes one that does not."""
    own = session.get(TokenRow, actor.token_id) if actor.token_id else None
    if own is None or own.expires_at is None:
        return expires_at
    return own.expires_at if expires_at is None else min(expires_at, own.expires_at)


def _note_use(registry: Registry, token_id: str, now: datetime) -> None:
    """The row says when the token was last used; a busy database may keep it from saying so this time."""
    with contextlib.suppress(OperationalError), registry.store.write() as session:
        session.execute(update(TokenRow).where(TokenRow.id == token_id).values(last_used_at=now))


def _visible(actor: Actor) -> Select[TokenRow]:
    """The tenant check is in the query: what is another's is not found."""
    query = select(TokenRow)
    return query if actor.library is None else query.where(TokenRow.library_id == actor.library)


def _find(session: Session, actor: Actor, token_id: str) -> TokenRow:
    row = session.scalars(_visible(actor).where(TokenRow.id == token_id)).one_or_none()
    if row is None:
        raise NotFound("there is no such token")
    return row


def _describe(row: TokenRow) -> Token:
    return Token(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        library=row.library_id,
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        version=row.version,
    )


def _is_live(row: TokenRow, now: datetime) -> bool:
    return row.revoked_at is None and (row.expires_at is None or now < row.expires_at)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
