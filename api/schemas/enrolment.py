"""Invitations, and what is gained with them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Self

from pydantic import ConfigDict, Field

from api.schemas.certificates import EXAMPLE_REQUEST, CertificateView
from api.schemas.common import Schema
from federation.model import Created
from federation.services.configurations import Configuration
from federation.services.enrolment import Enrolment
from federation.services.invitations import DEFAULT_DAYS, MAX_DAYS, Invitation
from federation.trust.profiles import MAX_REQUEST_OCTETS, Profile

_Secret = Annotated[str | None, Field(max_length=128)]


class NewInvitation(Schema):
    """An invitation to be made."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"days": 7}]})

    profile: Annotated[
        Profile | None, Field(description="peer, home-server or access-point; null: all that the library's roles allow")
    ] = None
    days: Annotated[int, Field(ge=1, le=MAX_DAYS, description="How long it can be used")] = DEFAULT_DAYS


class InvitationView(Schema):
    """An invitation; never its secret."""

    id: str
    library: str
    profile: Profile | None
    created_at: datetime
    created_by: str
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None
    serial: Annotated[str | None, Field(description="Of the certificate that it gave")]

    @classmethod
    def show(cls, invitation: Invitation) -> Self:
        """The invitation as JSON has it."""
        return cls.model_validate(invitation)


class CreatedInvitationView(InvitationView):
    """A new invitation with its secret."""

    invitation: Annotated[str, Field(description="What to give to the library. It is shown this once and never again")]

    @classmethod
    def show_created(cls, created: Created[Invitation]) -> Self:
        """The answer that holds the secret."""
        shown = InvitationView.show(created.item)
        return cls(**shown.model_dump(), invitation=created.secret or "")


class InvitationList(Schema):
    """All invitations of a library, the newest first."""

    items: Sequence[InvitationView]


class EnrolmentRequest(Schema):
    """A request for a certificate, with what proves that it may be made."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"invitation": "bbi_…", "csr": EXAMPLE_REQUEST}]})

    invitation: Annotated[_Secret, Field(description="For the first certificate")] = None
    renewal_token: Annotated[
        _Secret, Field(description="For the next one, with a new key; neither: for the next one with the same key")
    ] = None
    csr: Annotated[str, Field(min_length=1, max_length=MAX_REQUEST_OCTETS, description="PKCS #10, as PEM")]


class ConfigurationView(Schema):
    """What to put in place for one program."""

    program: str
    files: Annotated[Mapping[str, str], Field(description="Path → text")]
    steps: Sequence[str]

    @classmethod
    def show(cls, configuration: Configuration) -> Self:
        """The configuration as JSON has it."""
        return cls.model_validate(configuration)


class EnrolmentView(Schema):
    """A certificate, the anchors, and ready configuration for what a library may run."""

    certificate: CertificateView
    anchors_pem: Annotated[str, Field(description="The authorities to trust for RADIUS/TLS")]
    renewal_token: Annotated[str | None, Field(description="Renews this certificate once, with a new key")]
    server_name: Annotated[str, Field(description="The federation's proxy: where to connect, and the name to expect")]
    configurations: Sequence[ConfigurationView]

    @classmethod
    def show(cls, enrolment: Enrolment, configurations: Sequence[Configuration]) -> Self:
        """All of it as JSON has it."""
        return cls(
            certificate=CertificateView.show(enrolment.certificate),
            anchors_pem=enrolment.anchors_pem,
            renewal_token=enrolment.renewal_token,
            server_name=enrolment.server_name,
            configurations=[ConfigurationView.show(item) for item in configurations],
        )
