"""The tables of other federations' and authorities' roots, and of their revocation lists."""

from datetime import datetime

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from federation.store.tables.base import Base, UtcDateTime


class ForeignScopeRow(Base):
    """A library that an anchor of others may speak for; it goes with the library."""

    __tablename__ = "foreign_scopes"

    anchor: Mapped[str] = mapped_column(ForeignKey("foreign_anchors.name", ondelete="CASCADE"), primary_key=True)
    library_id: Mapped[str] = mapped_column(ForeignKey("libraries.id", ondelete="CASCADE"), primary_key=True)


class ForeignListRow(Base):
    """One place of revocation lists of an anchor, and the newest list that was there."""

    __tablename__ = "foreign_lists"

    anchor: Mapped[str] = mapped_column(ForeignKey("foreign_anchors.name", ondelete="CASCADE"), primary_key=True)
    url: Mapped[str] = mapped_column(String(500), primary_key=True)
    crl_pem: Mapped[str | None] = mapped_column(Text)  # None: there has been none that could be verified
    this_update: Mapped[datetime | None] = mapped_column(UtcDateTime)
    next_update: Mapped[datetime | None] = mapped_column(UtcDateTime)
    fetched_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # when it was last there and good
    tried_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str] = mapped_column(String(500))  # of the last try; empty: it went well


class ForeignAnchorRow(Base):
    """A root of another authority that is trusted for some libraries' peers."""

    __tablename__ = "foreign_anchors"

    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64), unique=True)  # SHA-256 of the root, lower-case hexadecimal
    certificate_pem: Mapped[str] = mapped_column(Text)
    intermediates_pem: Mapped[str] = mapped_column(Text)  # authorities below it that sign its lists
    policy: Mapped[str] = mapped_column(String(8))  # federation.trust.foreign.ListPolicy
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    scopes: Mapped[list[ForeignScopeRow]] = relationship(cascade="all, delete-orphan", passive_deletes=True)
    lists: Mapped[list[ForeignListRow]] = relationship(cascade="all, delete-orphan", passive_deletes=True)
