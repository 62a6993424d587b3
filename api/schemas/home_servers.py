"""Home servers: a library's own RADIUS servers."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import ConfigDict, Field

from api.schemas.common import EntryName, GeneratedSecret, Schema, SecretText
from federation.model import Created, HomeServerEntry
from federation.snapshot import Transport

Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
Weight = Annotated[int, Field(ge=0, le=1000, strict=True)]


class HomeServerSettings(Schema):
    """What can be changed of a home server."""

    host: Annotated[str, Field(min_length=1, max_length=253, description="IP address or DNS name")]
    port: Port | None = None
    transport: Transport = Transport.UDP
    accounting_port: Annotated[
        Port | None, Field(description="Where accounting of the library's patrons goes; null: it stays where they are")
    ] = None
    position: Annotated[
        int | None, Field(ge=0, le=1000, strict=True, description="Place in the order; 0 is asked first, null: last")
    ] = None
    weight: Annotated[
        Weight, Field(description="Its share of the devices among neighbours that have one, too; 0: asked in its order")
    ] = 0
    require_message_authenticator: Annotated[bool, Field(strict=True)] = True


class NewHomeServer(HomeServerSettings):
    """A home server to be made."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "radius1", "host": "192.0.2.10", "port": 1812}]})

    name: EntryName
    secret: SecretText | None = None


class HomeServerPatch(Schema):
    """A merge patch (RFC 7396) of a home server."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"host": "192.0.2.11"}]})

    host: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    port: Port | None = None
    transport: Transport | None = None
    accounting_port: Port | None = None
    position: Annotated[int, Field(ge=0, le=1000, strict=True)] | None = None
    weight: Weight | None = None
    require_message_authenticator: Annotated[bool, Field(strict=True)] | None = None
    secret: SecretText | None = None


class HomeServerView(Schema):
    """A library's own RADIUS server."""

    library: str
    name: str
    position: int
    transport: Transport
    host: str
    port: int
    accounting_port: int | None
    weight: int
    require_message_authenticator: bool
    secret_changed_at: datetime | None
    version: int

    @classmethod
    def show(cls, home_server: HomeServerEntry) -> Self:
        """The home server as JSON has it."""
        return cls.model_validate(home_server)


class CreatedHomeServer(HomeServerView):
    """A home server, and the secret that was generated for it."""

    secret: GeneratedSecret = None

    @classmethod
    def show_created(cls, created: Created[HomeServerEntry]) -> Self:
        """The home server as JSON has it, this once with its secret."""
        return cls.model_validate({**HomeServerView.show(created.item).model_dump(), "secret": created.secret})
