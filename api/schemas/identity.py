"""Where a hosted library's patrons are checked."""

from typing import Annotated, Self

from pydantic import ConfigDict, Field

from api.schemas.common import Schema
from federation.model import IdentitySettings, StoreKind
from federation.snapshot import EapMethod


class IdentityChoice(Schema):
    """Where a hosted library's patrons are checked."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "local", "mschapv2": False}]})

    kind: StoreKind = StoreKind.LOCAL
    mschapv2: Annotated[
        bool, Field(strict=True, description="Keep NT hashes, for PEAP and TTLS/MSCHAPv2; off removes them")
    ] = False


class IdentityPatch(Schema):
    """A merge patch (RFC 7396) of an identity store's settings."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"mschapv2": True}]})

    kind: StoreKind | None = None
    mschapv2: Annotated[bool, Field(strict=True)] | None = None


class IdentityView(IdentityChoice):
    """Where a hosted library's patrons are checked, and the methods that are offered."""

    library: str
    methods: Annotated[list[EapMethod], Field(description="In the order in which they are offered")]
    version: int

    @classmethod
    def show(cls, identity: IdentitySettings) -> Self:
        """The settings as JSON has them."""
        return cls.model_validate(identity)
