"""The federation as one document, and what applying one does."""

from typing import Annotated, Any, Self

from pydantic import Field, JsonValue, RootModel

from api.schemas.common import Schema
from federation.services.apply import Applied
from federation.services.document import FederationDocument

EXAMPLE_DOCUMENT: dict[str, JsonValue] = {
    "federation": {"name": "biebroam", "country": "NL", "eap_server_name": "login.biebroam.example"},
    "libraries": [
        {
            "id": "boekenburg",
            "name": "Bibliotheek Boekenburg",
            "realms": ["boekenburg.example"],
            "access_points": [{"name": "hoofdvestiging", "address": "192.0.2.0/24", "guest_vlan": 40}],
            "home_servers": [{"name": "radius1", "host": "192.0.2.10"}],
        }
    ],
}


def build_document_schema() -> dict[str, Any]:  # Any: a JSON schema is JSON of many shapes
    """The schema of the document, in which a plain realm may be written as text."""
    schema = FederationDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    realms = schema["$defs"]["LibrarySection"]["properties"]["realms"]
    realms["items"] = {"anyOf": [{"type": "string"}, realms["items"]]}
    schema["examples"] = [EXAMPLE_DOCUMENT]
    return schema


class Content(RootModel[dict[str, JsonValue]]):
    """A document as it came: it is read by the same code as the federation file."""


class StepView(Schema):
    """One thing that was, or would be, done."""

    action: str
    subject: str
    before: dict[str, JsonValue] | None
    after: dict[str, JsonValue] | None


class GeneratedSecretView(Schema):
    """A secret that was made because the document had none. It is shown this once and never again."""

    subject: str
    secret: str


class AppliedView(Schema):
    """What applying a document did, or would do."""

    dry_run: bool
    revision: Annotated[int, Field(description="Of the registry afterwards; of a dry run, what it would be")]
    steps: list[StepView]
    secrets: Annotated[list[GeneratedSecretView], Field(description="Empty for a dry run")]

    @classmethod
    def show(cls, applied: Applied, *, dry_run: bool) -> Self:
        """What was done, as JSON has it."""
        return cls(
            dry_run=dry_run,
            revision=applied.revision,
            steps=[StepView.model_validate(step) for step in applied.steps],
            secrets=[GeneratedSecretView.model_validate(secret) for secret in applied.secrets],
        )
