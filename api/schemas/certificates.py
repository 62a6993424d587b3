"""Certificates of peers."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import ConfigDict, Field

from api.schemas.common import Schema
from federation.services.certificates import Certificate, CertificateState, RevocationReason
from federation.trust.profiles import MAX_REQUEST_OCTETS, Profile, Purpose

EXAMPLE_REQUEST = "-----BEGIN CERTIFICATE REQUEST-----\nMIH…\n-----END CERTIFICATE REQUEST-----\n"


class CertificateRequest(Schema):
    """A PKCS #10 request for one of a library's peers."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"library": "boekenburg", "csr": EXAMPLE_REQUEST}]})

    library: Annotated[str, Field(min_length=1, max_length=63, description="The library whose peer it is")]
    csr: Annotated[str, Field(min_length=1, max_length=MAX_REQUEST_OCTETS, description="The request, as PEM")]
    profile: Annotated[
        Profile | None, Field(description="peer, home-server or access-point; null: all that the library's roles allow")
    ] = None


class Revocation(Schema):
    """Why a certificate is revoked."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "keyCompromise"}]})

    reason: RevocationReason = RevocationReason.UNSPECIFIED


class CertificateView(Schema):
    """A certificate that one of the federation's authorities issued."""

    serial: Annotated[str, Field(description="Hexadecimal")]
    purpose: Purpose
    profile: Profile
    library: str | None
    names: list[str]
    nai_realms: list[str]
    state: CertificateState
    not_before: datetime
    not_after: datetime
    days_left: Annotated[int, Field(description="Whole days; negative when it has run out")]
    issued_at: datetime
    revoked_at: datetime | None
    revocation_reason: RevocationReason | None
    certificate_pem: str
    chain_pem: Annotated[str, Field(description="The certificate and its issuer: what a TLS server sends")]

    @classmethod
    def show(cls, certificate: Certificate) -> Self:
        """The certificate as JSON has it."""
        return cls.model_validate(certificate)
