"""The table of the patrons whose passwords Biebroam keeps for a hosted library."""

from datetime import date, datetime

from sqlalchemy import ForeignKey, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from federation.store.tables.base import Base, UtcDateTime


class PatronRow(Base):
    """One patron of a library with the local store.

    The realm is a name, not a reference: a realm that leaves and comes back finds its patrons, and a realm that moves
    to another library does not take them along, because both columns have to match.
    """

    __tablename__ = "patrons"
    __table_args__ = (UniqueConstraint("realm", "user", "library_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    library_id: Mapped[str] = mapped_column(ForeignKey("libraries.id", ondelete="CASCADE"), index=True)
    realm: Mapped[str] = mapped_column(String(253))
    user: Mapped[str] = mapped_column(String(128))  # as federation.identity.patron_names.normalise_user writes it
    password_hash: Mapped[str] = mapped_column(Text)  # argon2id, with its salt and parameters
    sealed_nt_hash: Mapped[bytes | None] = mapped_column(LargeBinary)  # only where the library turned MSCHAPv2 on
    is_blocked: Mapped[bool] = mapped_column(default=False)
    expires_on: Mapped[date | None]  # the last day, in UTC
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column(default=1)

    @property
    def nt_hash_context(self) -> str:
        """The context in which the NT hash is sealed."""
        return build_nt_hash_context(self.library_id, self.realm, self.user)


def build_nt_hash_context(library: str, realm: str, user: str) -> str:
    """The context in which a patron's NT hash is sealed; library and realm have no "/" in them."""
    return f"patron/{library}/{realm}/{user}/nt-hash"
