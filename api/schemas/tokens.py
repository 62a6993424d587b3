"""Tokens of this API."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import AwareDatetime, ConfigDict, Field

from api.schemas.common import Schema
from federation.model import Created, Role, Token


class NewToken(Schema):
    """A token to be made."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "beheer Boekenburg", "role": "library", "library": "boekenburg"}]}
    )

    name: Annotated[str, Field(min_length=1, max_length=100)]
    role: Role
    library: Annotated[str | None, Field(max_length=63, description="Needed for the role library")] = None
    expires_at: AwareDatetime | None = None


class TokenView(Schema):
    """A token, without its secret."""

    id: str
    name: str
    role: Role
    library: str | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    version: int

    @classmethod
    def show(cls, token: Token) -> Self:
        """The token as JSON has it."""
        return cls.model_validate(token)


class CreatedTokenView(TokenView):
    """A new token with its secret."""

    token: Annotated[str, Field(description="What goes after `Bearer`. It is shown this once and never again")]

    @classmethod
    def show_created(cls, created: Created[Token]) -> Self:
        """The token as JSON has it, this once with its secret."""
        return cls.model_validate({**TokenView.show(created.item).model_dump(), "token": created.secret})
