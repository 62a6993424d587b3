"""Asking before it hurts: how a request would be routed, and whether a login works."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field

from api.schemas.common import Schema
from federation.reasons import RefusalReason
from federation.services.explain import Explanation

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
