"""How long certificates still live."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import ConfigDict, Field

from api.schemas.common import Schema
from federation.services.expiry import Life


class LifeView(Schema):
    """What is left of the life of a certificate that is presented or accepted here."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "serial": "5f1c0a",
                    "kind": "presented",
                    "name": "leesstad/radius1",
                    "library": "leesstad",
                    "not_after": "2027-01-03T12:00:00Z",
                    "days_left": 38.5,
                    "threshold_days": 60,
                    "is_due": False,
                }
            ]
        }
    )

    serial: Annotated[str, Field(description="Hexadecimal")]
    kind: Annotated[
        str,
        Field(
            description="Its profile; `root authority`, `issuing authority` or `other authority`; `presented`: by a"
            " peer within the last month, and issued elsewhere or replaced since"
        ),
    ]
    name: str
    library: str | None
    not_after: datetime
    days_left: Annotated[float, Field(description="Negative when it has run out")]
    threshold_days: Annotated[
        int | None, Field(description="The smallest of 60, 30, 14, 7 and 1 days that it has no more than")
    ]
    is_due: Annotated[bool, Field(description="Two thirds of its life have passed")]

    @classmethod
    def show(cls, life: Life) -> Self:
        """The life as JSON has it."""
        return cls.model_validate(life)
