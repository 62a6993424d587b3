"""The tables of the federation itself: settings, libraries, what belongs to them, and who changed it."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from federation.store.tables.base import Base, UtcDateTime


class FederationRow(Base):
    """The one row of settings, and the revision that every change raises."""

    __tablename__ = "federation"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, default=1)
    name: Mapped[str] = mapped_column(String(64))
    country: Mapped[str] = mapped_column(String(2))
    eap_server_name: Mapped[str] = mapped_column(String(253))
    denied_realms: Mapped[list[str]] = mapped_column(JSON)
    public_url: Mapped[str] = mapped_column(String(500), default="")  # empty: certificates lead to no revocation list
    # federation.services.discovery; empty: as federation.model.DiscoverySettings has it
    discovery: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    revision: Mapped[int] = mapped_column(default=0)
    version: Mapped[int] = mapped_column(default=1)


class LibraryRow(Base):
    """A member."""

    __tablename__ = "libraries"

    id: Mapped[str] = mapped_column(String(63), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    roles: Mapped[list[str]] = mapped_column(JSON)  # federation.model.MemberRole
    operator_name: Mapped[str] = mapped_column(String(253), default="")  # empty: the first realm
    is_active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revision: Mapped[int] = mapped_column(default=0, index=True)  # at which it, or a thing of its own, last changed
    version: Mapped[int] = mapped_column(default=1)

    realms: Mapped[list["RealmRow"]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, order_by="(RealmRow.position, RealmRow.name)"
    )
    access_points: Mapped[list["AccessPointRow"]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, order_by="AccessPointRow.name"
    )
    home_servers: Mapped[list["HomeServerRow"]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, order_by="(HomeServerRow.position, HomeServerRow.id)"
    )
    identity: Mapped["IdentityRow | None"] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, single_parent=True
    )


class RealmRow(Base):
    """A realm; its name is the key, so nobody can own it twice."""

    __tablename__ = "realms"

    name: Mapped[str] = mapped_column(String(253), primary_key=True)
    library_id: Mapped[str] = mapped_column(ForeignKey("libraries.id", ondelete="CASCADE"), index=True)
    position: Mapped[int] = mapped_column(default=0)
    includes_subrealms: Mapped[bool] = mapped_column(default=False)
    version: Mapped[int] = mapped_column(default=1)


class AccessPointRow(Base):
    """Who may ask."""

    __tablename__ = "access_points"
    __table_args__ = (UniqueConstraint("library_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    library_id: Mapped[str] = mapped_column(ForeignKey("libraries.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(63))
    kind: Mapped[str] = mapped_column(String(16))  # federation.model.ClientKind
    address: Mapped[str | None] = mapped_column(String(50))
    certificate: Mapped[str | None] = mapped_column(String(253))
    sealed_secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    secret_changed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    guest_vlan: Mapped[int | None]
    allow_pap: Mapped[bool] = mapped_column(default=False)
    request_cui: Mapped[bool] = mapped_column(default=False)
    coa_port: Mapped[int | None]
    coa_host: Mapped[str | None] = mapped_column(String(253))
    require_event_timestamp: Mapped[bool] = mapped_column(default=True)
    protocol_errors: Mapped[bool] = mapped_column(default=False)
    on_timeout: Mapped[str] = mapped_column(String(16), default="auto")  # federation.snapshot.OnTimeout
    require_message_authenticator: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(default=1)

    @property
    def secret_context(self) -> str:
        """What the seal of the secret is bound to."""
        return self.context_of(self.library_id, self.name)

    @staticmethod
    def context_of(library_id: str, name: str) -> str:
        """The same, for who has no row."""
        return f"access-point:{library_id}/{name}"


class HomeServerRow(Base):
    """A library's own RADIUS server."""

    __tablename__ = "home_servers"
    __table_args__ = (UniqueConstraint("library_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    library_id: Mapped[str] = mapped_column(ForeignKey("libraries.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(63))
    position: Mapped[int] = mapped_column(default=0)
    weight: Mapped[int] = mapped_column(default=0)
    transport: Mapped[str] = mapped_column(String(8))  # federation.snapshot.Transport
    host: Mapped[str] = mapped_column(String(253))
    port: Mapped[int]
    accounting_port: Mapped[int | None]
    sealed_secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    secret_changed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    require_message_authenticator: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(default=1)

    @property
    def secret_context(self) -> str:
        """What the seal of the secret is bound to."""
        return self.context_of(self.library_id, self.name)

    @staticmethod
    def context_of(library_id: str, name: str) -> str:
        """The same, for who has no row."""
        return f"home-server:{library_id}/{name}"


class IdentityRow(Base):
    """Where a hosted library's patrons are checked."""

    __tablename__ = "identity_settings"

    library_id: Mapped[str] = mapped_column(ForeignKey("libraries.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))  # federation.model.StoreKind
    mschapv2: Mapped[bool] = mapped_column(default=False)
    methods: Mapped[list[str]] = mapped_column(JSON)  # federation.snapshot.EapMethod, in the order offered
    version: Mapped[int] = mapped_column(default=1)


class AuditRow(Base):
    """Who did what: only ever added to."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    revision: Mapped[int]
    actor: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(16))
    token_id: Mapped[str] = mapped_column(String(16), default="")
    source_address: Mapped[str] = mapped_column(String(64), default="")
    request_id: Mapped[str] = mapped_column(String(64), default="")
    action: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(600))
    library_id: Mapped[str | None] = mapped_column(String(63), index=True)  # stays when the library goes
    reason: Mapped[str] = mapped_column(Text, default="")
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    digest: Mapped[str] = mapped_column(String(64))
