"""Asking before it hurts: how a request would be routed, and whether a login works."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import ConfigDict, Field, SecretStr

from api.schemas.common import Schema
from federation.reasons import RefusalReason
from federation.services.explain import Explanation
from radius.supplicant.failure import FailedStep, Outcome

if TYPE_CHECKING:
    from radius.supplicant.client import LoginResult

UserName = Annotated[str, Field(min_length=1, max_length=253, description="user@realm, as the device sends it")]


class ExplainRequest(Schema):
    """A request to be judged, without sending it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "jansen@boekenburg.example", "client": "duinrand/hal"}]}
    )

    name: UserName
    client: Annotated[str | None, Field(max_length=200, description="The access point that asks, as LIBRARY/NAME")] = (
        None
    )


class ExplainedStepView(Schema):
    """One decision."""

    step: str
    verdict: Literal["pass", "refuse", "note"]
    text: str
    reason: RefusalReason | None


class ExplanationView(Schema):
    """Where a request would go, and why."""

    name: str
    client: str | None
    revision: int
    outcome: Literal["forward", "refuse"]
    reason: Annotated[RefusalReason | None, Field(description="Of the refusal: the code of log and metrics")]
    realm: str | None
    library: str | None
    home_servers: list[str]
    steps: list[ExplainedStepView]

    @classmethod
    def show(cls, explanation: Explanation) -> Self:
        """The explanation as JSON has it."""
        return cls.model_validate(explanation)


class ProbeServer(Schema):
    """A server to be asked instead of this node's proxy."""

    host: Annotated[str, Field(min_length=1, max_length=253)]
    port: Annotated[int, Field(ge=1, le=65535, strict=True)] = 1812
    secret: Annotated[SecretStr, Field(min_length=1, max_length=128)]


class ProbeTrust(Schema):
    """What the device trusts, for a library with a home server of its own."""

    ca_pem: Annotated[str, Field(min_length=1, max_length=65_536, description="The anchors, as PEM")]
    server_name: Annotated[str, Field(min_length=1, max_length=253, description="The name in the certificate")]


class ProbeRequest(Schema):
    """A login to be tried."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user": "jansen@boekenburg.example", "password": "een goed wachtwoord"}]}
    )

    user: Annotated[str, Field(min_length=3, max_length=253, pattern=r"^[^@]+@[^@]+$")]
    password: Annotated[SecretStr, Field(min_length=1, max_length=1024)]
    method: Literal["ttls-pap", "ttls-mschapv2", "peap-mschapv2"] = "ttls-pap"
    outer_identity: Annotated[str, Field(max_length=253, description="Left out: anonymous@ the realm of the user")] = ""
    server: Annotated[ProbeServer | None, Field(description="Left out: this node's proxy; an operator's to name")] = (
        None
    )
    trust: Annotated[ProbeTrust | None, Field(description="Left out: this federation's EAP anchor and server name")] = (
        None
    )


class ProbeStepView(Schema):
    """One round of the login."""

    text: str
    seconds: float


class ProbeServerSeen(Schema):
    """What the home server showed of itself."""

    names: list[str]
    not_valid_after: str
    tls_version: str


class ProbeView(Schema):
    """How a login went."""

    is_accepted: Annotated[bool, Field(description="Accepted, with keys that match")]
    outcome: Outcome
    reason: str
    failed_step: Annotated[FailedStep | None, Field(description="Those before it succeeded; null: none failed")]
    seconds: float
    keys_match: bool
    server: Annotated[ProbeServerSeen | None, Field(description="null: the tunnel was never built")]
    error_cause: Annotated[int | None, Field(description="Of an Access-Reject (RFC 5176)")]
    steps: list[ProbeStepView]

    @classmethod
    def show(cls, result: "LoginResult") -> Self:
        """The result as JSON has it."""
        return cls.model_validate(result)
