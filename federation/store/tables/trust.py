"""The tables of the two authorities and of what they issued."""

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from federation.store.tables.base import Base, UtcDateTime


class AuthorityRow(Base):
    """One certificate authority: the root or the issuing one, of the peers or of EAP."""

    __tablename__ = "authorities"

    purpose: Mapped[str] = mapped_column(String(8), primary_key=True)  # federation.trust.profiles.Purpose
    level: Mapped[str] = mapped_column(String(8), primary_key=True)  # "root" or "issuing"
    certificate_pem: Mapped[str] = mapped_column(Text)
    sealed_key: Mapped[bytes] = mapped_column(LargeBinary)
    crl_pem: Mapped[str] = mapped_column(Text)  # the newest revocation list
    crl_number: Mapped[int]  # grows with each list (RFC 5280 §5.2.3)
    crl_issued_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @property
    def key_context(self) -> str:
        """The context in which the key is sealed."""
        return f"authority/{self.purpose}/{self.level}/key"


class CertificateRow(Base):
    """One certificate that an issuing authority signed; it stays for as long as a revocation list may need it."""

    __tablename__ = "certificates"

    serial: Mapped[str] = mapped_column(String(40), primary_key=True)  # lower-case hexadecimal, no leading zero
    purpose: Mapped[str] = mapped_column(String(8), index=True)
    profile: Mapped[str] = mapped_column(String(16))  # federation.trust.profiles.Profile
    # Not a foreign key: a removed library's certificates have to stay, revoked, for the list to name them.
    library_id: Mapped[str | None] = mapped_column(String(63), index=True)
    names: Mapped[list[str]] = mapped_column(JSON)
    nai_realms: Mapped[list[str]] = mapped_column(JSON)
    certificate_pem: Mapped[str] = mapped_column(Text)
    sealed_key: Mapped[bytes | None] = mapped_column(LargeBinary)  # the hosted home server's; a peer's never comes here
    not_before: Mapped[datetime] = mapped_column(UtcDateTime)
    not_after: Mapped[datetime] = mapped_column(UtcDateTime)
    issued_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revocation_reason: Mapped[str | None] = mapped_column(String(32))  # as RFC 5280 §5.3.1 names it
    superseded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # a later one took its place
    renewal_sha256: Mapped[bytes | None] = mapped_column(LargeBinary(32))  # of the token that renews it, once

    @property
    def key_context(self) -> str:
        """The context in which the key is sealed, where there is one."""
        return f"certificate/{self.serial}/key"


class InvitationRow(Base):
    """One invitation: a secret with which a library gets one certificate, and then never again."""

    __tablename__ = "invitations"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    library_id: Mapped[str] = mapped_column(ForeignKey("libraries.id", ondelete="CASCADE"), index=True)
    profile: Mapped[str | None] = mapped_column(String(16))  # None: all that the library's roles allow
    secret_sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str] = mapped_column(String(200))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    serial: Mapped[str | None] = mapped_column(String(40))  # of the certificate that it gave
