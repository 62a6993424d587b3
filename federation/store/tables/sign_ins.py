"""What happened lately: one row for each sign-in, without the patron's name, for some days."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from federation.store.tables.base import Base, UtcDateTime

MAX_REASON_CHARACTERS = 40
# SQLite numbers rows by itself only in a column that is called INTEGER; there it holds 64 bits all the same.
RowNumber = BigInteger().with_variant(Integer, "sqlite")


class SignInRow(Base):
    """One final answer to an access point. Nothing refers to it and it refers to nothing: libraries come and go."""

    __tablename__ = "sign_ins"
    __table_args__ = (
        Index("ix_sign_ins_visited", "visited", "id"),
        Index("ix_sign_ins_home", "home", "id"),
    )

    id: Mapped[int] = mapped_column(RowNumber, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    client: Mapped[str] = mapped_column(String(130))  # "library/name"
    visited: Mapped[str] = mapped_column(String(63))
    realm: Mapped[str] = mapped_column(String(253))
    home: Mapped[str] = mapped_column(String(63))  # empty: no library owns the realm
    home_server: Mapped[str] = mapped_column(String(130))
    outcome: Mapped[str] = mapped_column(String(16))  # federation.events.Outcome
    reason: Mapped[str] = mapped_column(String(MAX_REASON_CHARACTERS), default="")  # RefusalReason; empty: none
    milliseconds: Mapped[int]
    revision: Mapped[int]
    station: Mapped[str] = mapped_column(String(32), default="")  # a pseudonym of one day at one library
