"""The audit trail."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, JsonValue

from api.schemas.common import Schema
from federation.model import AuditEntry


class AuditView(Schema):
    """Who did what, when, and why; no value here is a secret."""

    id: int
    at: datetime
    revision: int
    actor: str
    role: str
    token_id: str
    source_address: str
    request_id: str
    action: str
    subject: str
    library: str | None
    reason: str
    before: dict[str, JsonValue] | None
    after: dict[str, JsonValue] | None
    digest: Annotated[str, Field(description="SHA-256 over this entry and the digest before it, hexadecimal")]

    @classmethod
    def show(cls, entry: AuditEntry) -> Self:
        """The entry as JSON has it."""
        return cls.model_validate(entry)
