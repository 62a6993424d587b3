"""What all bodies have in common: no field that we do not know, and lists as pages."""

from collections.abc import Sequence
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr

_Item = TypeVar("_Item", bound=BaseModel)

SLUG_PATTERN = r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$"

EntryName = Annotated[str, Field(pattern=SLUG_PATTERN, description="a-z 0-9 -, unique in its library")]
SecretText = Annotated[
    SecretStr, Field(min_length=16, max_length=128, description="Shared secret; left out, one is generated")
]
GeneratedSecret = Annotated[
    str | None, Field(description="The secret that was generated for it. It is shown this once and never again")
]


class Schema(BaseModel):
    """A body: frozen, and without room for a misspelt field."""

    model_config = ConfigDict(extra="forbid", frozen=True, from_attributes=True)


class ListOf(Schema, Generic[_Item]):
    """One page of a list; `next_cursor` is in the Link header too."""

    items: Sequence[_Item]
    next_cursor: Annotated[str | None, Field(description="The cursor of the next page; null on the last")] = None


def reveal(secret: SecretStr | None) -> str | None:
    """The text of a secret that was sent, or None."""
    return None if secret is None else secret.get_secret_value()
