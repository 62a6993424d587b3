"""The local store: patrons whose passwords Biebroam keeps itself, for a library that has no system to ask.

Every check of a password that was not right a moment ago does one argon2id verification, whoever is asked for: an
unknown patron, a wrong password and a blocked patron cost the same work, so that the time of an answer tells nothing
about who is a patron. (A hash of earlier parameters costs what it cost then, until its patron has signed in once.)
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial

from sqlalchemy import bindparam, select, update
from sqlalchemy.exc import SQLAlchemyError

from federation.errors import TrustError
from federation.identity.passwords import MAX_PASSWORD_OCTETS, PasswordHashes, default_hashes, nt_hash
from federation.identity.patron_names import InvalidPatronName, normalise_user
from federation.identity.recent import RecentPasswords
from federation.reasons import RefusalReason
from federation.store.instant import InstantLookUp, NotNow
from federation.store.session import Store
from federation.store.tables.patrons import PatronRow, build_nt_hash_context
from federation.store.tables.registry import IdentityRow, RealmRow
from federation.trust.keystore import Sealer

_log = logging.getLogger(__name__)

# Made once, and of columns: to put the statement together and to map a row to an object costs more than to ask.
# The realm has to be that of the patron's library now: a realm that has moved took nobody along.
_FIND = (
    select(
        PatronRow.id,
        PatronRow.library_id,
        PatronRow.password_hash,
        PatronRow.sealed_nt_hash,
        PatronRow.is_blocked,
        PatronRow.expires_on,
        IdentityRow.mschapv2,
    )
    .join(RealmRow, (RealmRow.name == PatronRow.realm) & (RealmRow.library_id == PatronRow.library_id))
    .outerjoin(IdentityRow, IdentityRow.library_id == PatronRow.library_id)
    .where(PatronRow.realm == bindparam("realm"), PatronRow.user == bindparam("user"))
)
_Columns = tuple[int, str, str, bytes | None, bool, date | None, bool | None]


@dataclass(frozen=True, slots=True)
class _Found:
    """A patron as one look-up finds them; no session stays open while a password is hashed."""

    id: int
    context: str
    password_hash: str = field(repr=False)
    sealed_nt_hash: bytes | None = field(repr=False)
    keeps_nt_hash: bool
    is_blocked: bool
    expires_on: date | None

    @property
    def lacks_nt_hash(self) -> bool:
        """Whether the next right password is to leave one."""
        return self.keeps_nt_hash and self.sealed_nt_hash is None

    def refusal(self, today: date) -> RefusalReason | None:
        if self.is_blocked:
            return RefusalReason.PATRON_BLOCKED
        if self.expires_on is not None and self.expires_on < today:
            return RefusalReason.PATRON_EXPIRED
        return None


class LocalStore:
    """Answers whether a patron may sign in.

    To begin a question takes no longer than a look at the database in memory. What it gives then may be the rest of the
    work, which is for a bounded pool of threads: that and all other methods block, and are safe for threads.
    """

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        hashes: PasswordHashes | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        recent: RecentPasswords | None = None,
    ) -> None:
        self._store = store
        self._instant = InstantLookUp(store, _FIND)
        self._sealer = sealer
        self._hashes = hashes or default_hashes()
        self._recent = recent if recent is not None else RecentPasswords()
        self._clock = clock

    def begin_password_check(
        self, realm: str, user: str, password: bytes
    ) -> RefusalReason | Callable[[], RefusalReason | None] | None:
        """What `check_password` says, when that takes no time: the password was right a moment ago. Else the call."""
        rest = partial(self.check_password, realm, user, password)
        try:
            patron = self._find_now(realm, user)
        except NotNow:
            return rest
        if patron is None or not self._recent.has(patron.password_hash, password):
            return rest
        refusal = patron.refusal(self._clock().date())
        return rest if refusal is None and patron.lacks_nt_hash else refusal

    def begin_nt_hash_search(
        self, realm: str, user: str
    ) -> bytes | RefusalReason | Callable[[], bytes | RefusalReason]:
        """What `find_nt_hash` says, when the database can be asked without waiting, else the call."""
        try:
            patron = self._find_now(realm, user)
        except NotNow:
            return partial(self.find_nt_hash, realm, user)
        return self._open_nt_hash(patron)

    def check_password(self, realm: str, user: str, password: bytes) -> RefusalReason | None:
        """None when *password* is that of a patron who may sign in, else why not.

        About 28 ms of one core, unless the password was right within the last minutes.

        *realm* is the realm's name in the registry; *user* is the name before the "@", in any case.
        """
        try:
            patron = self._find(realm, user)
        except SQLAlchemyError as error:
            return _unavailable(error)
        is_recent = patron is not None and self._recent.has(patron.password_hash, password)
        is_right = is_recent or self._hashes.verify(patron.password_hash if patron else None, password)
        if patron is None:
            return RefusalReason.UNKNOWN_PATRON
        if not is_right or not 1 <= len(password) <= MAX_PASSWORD_OCTETS:
            return RefusalReason.WRONG_CREDENTIALS
        if not is_recent:
            self._recent.add(patron.password_hash, password)
        refusal = patron.refusal(self._clock().date())
        if refusal is None:
            self._refresh(patron, password)
        return refusal

    def find_nt_hash(self, realm: str, user: str) -> bytes | RefusalReason:
        """The NT hash of a patron who may sign in, 16 octets for MSCHAPv2, else why there is none."""
        try:
            patron = self._find(realm, user)
        except SQLAlchemyError as error:
            return _unavailable(error)
        return self._open_nt_hash(patron)

    def _open_nt_hash(self, patron: _Found | None) -> bytes | RefusalReason:
        if patron is None:
            return RefusalReason.UNKNOWN_PATRON
        refusal = patron.refusal(self._clock().date())
        if refusal is not None:
            return refusal
        if patron.sealed_nt_hash is None or not patron.keeps_nt_hash:
            return RefusalReason.METHOD_NOT_OFFERED
        try:
            return self._sealer.open(patron.sealed_nt_hash, patron.context)
        except TrustError as error:
            return _unavailable(error)

    def _find(self, realm: str, user: str) -> _Found | None:
        return _find_with(partial(self._store.look_up, _FIND), realm, user)

    def _find_now(self, realm: str, user: str) -> _Found | None:
        return _find_with(self._instant.ask, realm, user)

    def _refresh(self, patron: _Found, password: bytes) -> None:
        """Keep what the patron's right password allows to keep: a hash of today's parameters, a missing NT hash."""
        values: dict[str, object] = {}
        if self._hashes.is_outdated(patron.password_hash):
            values["password_hash"] = self._hashes.hash(password)
        if patron.lacks_nt_hash:
            digest = nt_hash(password)
            if digest is not None:
                values["sealed_nt_hash"] = self._sealer.seal(digest, patron.context)
        if not values:
            return
        unchanged = (PatronRow.id == patron.id) & (PatronRow.password_hash == patron.password_hash)
        try:
            with self._store.write() as session:
                session.execute(update(PatronRow).where(unchanged).values(values))
        except SQLAlchemyError as error:  # the patron is who they say; the next sign-in tries again
            _log.warning("patron_hash_not_refreshed", extra={"error": type(error).__name__})


def _find_with(look_up: Callable[[dict[str, object]], _Columns | None], realm: str, user: str) -> _Found | None:
    try:
        normal = normalise_user(user)
    except InvalidPatronName:
        return None
    row = look_up({"realm": realm, "user": normal})
    if row is None:
        return None
    key, library, password_hash, sealed_nt_hash, is_blocked, expires_on, mschapv2 = row
    return _Found(
        id=key,
        context=build_nt_hash_context(library, realm, normal),
        password_hash=password_hash,
        sealed_nt_hash=sealed_nt_hash,
        keeps_nt_hash=bool(mschapv2),
        is_blocked=is_blocked,
        expires_on=expires_on,
    )


def _unavailable(error: Exception) -> RefusalReason:
    # Only the kind of error: a database's message can carry the name that was asked for.
    _log.error("patron_store_unavailable", extra={"error": type(error).__name__})
    return RefusalReason.STORE_UNAVAILABLE
