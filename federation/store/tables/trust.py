"""The tables of the two authorities and of what they issued."""

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from federation.store.tables.base import Base, UtcDateTime


class AuthorityRow(Base):
    """One certificate authority: the root or the issuing one, of the peers or of EAP, of one generation."""

    __tablename__ = "authorities"

    purpose: Mapped[str] = mapped_column(String(8), primary_key=True)  # federation.trust.profiles.Purpose
    level: Mapped[str] = mapped_column(String(8), primary_key=True)  # "root" or "issuing"
    # Grows by one with each roll-over; never used twice.
    generation: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    standing: Mapped[str] = mapped_column(String(10))  # federation.trust.rollover.Standing
    certificate_pem: Mapped[str] = mapped_column(Text)
    sealed_key: Mapped[bytes | None] = mapped_column(LargeBinary)  # None: it is kept elsewhere, or was destroyed
    crl_pem: Mapped[str] = mapped_column(Text)  # the newest revocation list
    crl_number: Mapped[int]  # grows with each list (RFC 5280 §5.2.3)
    crl_issued_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @property
    def key_context(self) -> str:
        """The context in which the key is sealed."""
        return _authority_key_context(self.purpose, self.level, self.generation)


class AuthorityRequestRow(Base):
    """A request for an issuing authority, until a root that is kept elsewhere has signed it."""

    __tablename__ = "authority_requests"

    purpose: Mapped[str] = mapped_column(String(8), primary_key=True)
    generation: Mapped[int]  # that the authority will have; that of the one that issues now: another term for it
    request_pem: Mapped[str] = mapped_column(Text)
    sealed_key: Mapped[bytes | None] = mapped_column(LargeBinary)  # None: the key that the authority has already
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @property
    def key_context(self) -> str:
        """The context in which the key is sealed: the one that it will have as the authority's."""
        return _authority_key_context(self.purpose, "issuing", self.generation)


def _authority_key_context(purpose: str, level: str, generation: int) -> str:
    suffix = f"/{generation}" if generation > 1 else ""  # the first ones were sealed without
    return f"authority/{purpose}/{level}{suffix}/key"


class CertificateRow(Base):
    """One certificate that an issuing authority signed; it stays for as long as a revocation list may need it."""

    __tablename__ = "certificates"

    serial: Mapped[str] = mapped_column(String(40), primary_key=True)  # lower-case hexadecimal, no leading zero
    purpose: Mapped[str] = mapped_column(String(8), index=True)
    profile: Mapped[str] = mapped_column(String(16))  # federation.trust.profiles.Profile
    generation: Mapped[int]  # of the issuing authority that signed it
    anchors_generation: Mapped[int | None]  # the newest root that its owner was given with it; None: none was
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


class RolloverRow(Base):
    """One roll-over from a root to the next; of each purpose at most one is under way."""

    __tablename__ = "rollovers"

    id: Mapped[int] = mapped_column(primary_key=True)
    purpose: Mapped[str] = mapped_column(String(8), index=True)
    state: Mapped[str] = mapped_column(String(10))  # federation.trust.rollover.RolloverState
    old_generation: Mapped[int]
    new_generation: Mapped[int]
    revision: Mapped[int]  # of the registry, with the newest step
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)  # when the newest step was taken
    published_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    switched_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    confirmations: Mapped[dict[str, str]] = mapped_column(JSON)  # library → when it said that it has the new root


class TrialRow(Base):
    """What a peer made of the new chain of a roll-over when it was tried on it last."""

    __tablename__ = "rollover_trials"

    rollover_id: Mapped[int] = mapped_column(ForeignKey("rollovers.id", ondelete="CASCADE"), primary_key=True)
    peer: Mapped[str] = mapped_column(String(200), primary_key=True)  # "library/name"
    verdict: Mapped[str] = mapped_column(String(10))  # accepted, refused, unknown
    detail: Mapped[str] = mapped_column(String(200))
    serial: Mapped[str] = mapped_column(String(40))  # of the peer's certificate; empty where it was not seen
    tried_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SightingRow(Base):
    """What a RADIUS/TLS peer showed and accepted when a proxy of the federation last saw it."""

    __tablename__ = "peer_sightings"

    peer: Mapped[str] = mapped_column(String(200), primary_key=True)  # "library/name"
    end: Mapped[str] = mapped_column(String(8), primary_key=True)  # "client" or "server": what the peer was
    serial: Mapped[str] = mapped_column(String(40))
    anchor: Mapped[str] = mapped_column(String(64))  # SHA-256 of the root that its chain ended in
    own_anchor: Mapped[str] = mapped_column(String(64))  # of the root above our certificate, which it accepted
    not_after: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
