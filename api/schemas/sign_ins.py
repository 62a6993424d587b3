"""What happened lately."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import ConfigDict, Field

from api.schemas.common import Schema
from federation.events import Outcome
from federation.reasons import RefusalReason
from federation.services.sign_ins import SignInEntry


class SignInView(Schema):
    """One final answer to an access point. No name of a patron is in it, nor an address of a device."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": 4711,
                    "at": "2026-11-24T12:00:00Z",
                    "visited": "leesstad",
                    "client": "leesstad/hal",
                    "realm": "boekenburg.example",
                    "home": "boekenburg",
                    "home_server": "boekenburg/radius1",
                    "outcome": "rejected",
                    "reason": "refused_by_home",
                    "milliseconds": 180,
                    "revision": 42,
                    "station": "5f2b8e0c6d1a49738d0f6a2c4be17305",
                }
            ]
        }
    )

    id: int
    at: datetime
    visited: Annotated[str, Field(description="The library at whose access point it was")]
    client: Annotated[str | None, Field(description="The access point; null: of another library than yours")]
    realm: Annotated[str, Field(description="Of the outer name; empty when it had none")]
    home: Annotated[str | None, Field(description="The patron's library; null: no library owns the realm")]
    home_server: Annotated[str | None, Field(description="Who was asked; null: nobody, or another library's")]
    outcome: Outcome
    reason: Annotated[RefusalReason | None, Field(description="Of the refusal: the code of log and metrics")]
    milliseconds: Annotated[int, Field(description="From the last request to its answer")]
    revision: Annotated[int, Field(description="Of the registry's state that decided")]
    station: Annotated[
        str | None, Field(description="The device's pseudonym of that day at that library; null elsewhere")
    ]

    @classmethod
    def show(cls, entry: SignInEntry) -> Self:
        """The entry as JSON has it."""
        return cls.model_validate(entry)
