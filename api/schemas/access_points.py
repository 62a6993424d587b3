"""Access points, controllers and libraries' own proxies."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import ConfigDict, Field

from api.schemas.common import EntryName, GeneratedSecret, Schema, SecretText
from federation.model import AccessPoint, ClientKind, Created
from federation.snapshot import OnTimeout

Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
Vlan = Annotated[int, Field(ge=1, le=4094, strict=True)]


class AccessPointSettings(Schema):
    """What can be changed of an access point; either an address (UDP) or a certificate's name (RADIUS/TLS)."""

    kind: ClientKind = ClientKind.ACCESS_POINT
    address: Annotated[str | None, Field(max_length=64, description="Address or prefix that its UDP comes from")] = None
    certificate: Annotated[
        str | None, Field(max_length=253, description="RADIUS/TLS: the name in its client certificate")
    ] = None
    guest_vlan: Annotated[Vlan | None, Field(description="What visitors get here")] = None
    allow_pap: Annotated[
        bool, Field(strict=True, description="User-Password may be used, towards its own library's patrons only")
    ] = False
    request_cui: Annotated[bool, Field(strict=True, description="Ask for Chargeable-User-Identity (RFC 4372)")] = False
    coa_port: Annotated[
        Port | None, Field(description="Where it takes CoA and Disconnect from visitors' libraries; null: nowhere")
    ] = None
    coa_host: Annotated[
        str | None, Field(min_length=1, max_length=253, description="The host of that port; null: its address")
    ] = None
    require_event_timestamp: Annotated[
        bool, Field(strict=True, description="CoA and Disconnect say when they were sent (RFC 5176)")
    ] = True
    protocol_errors: Annotated[
        bool, Field(strict=True, description="It understands Protocol-Error (RFC 7930): a request that is not carried")
    ] = False
    on_timeout: Annotated[
        OnTimeout, Field(description="What it gets when no home server answers in time; auto: what its kind needs")
    ] = OnTimeout.AUTO
    require_message_authenticator: Annotated[bool, Field(strict=True)] = True


class NewAccessPoint(AccessPointSettings):
    """An access point to be made."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "hoofdvestiging", "address": "192.0.2.0/24", "guest_vlan": 40}]}
    )

    name: EntryName
    secret: SecretText | None = None


class AccessPointPatch(Schema):
    """A merge patch (RFC 7396) of an access point; a `secret` of null has a new one generated."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"guest_vlan": 41}]})

    kind: ClientKind | None = None
    address: Annotated[str, Field(max_length=64)] | None = None
    certificate: Annotated[str, Field(max_length=253)] | None = None
    guest_vlan: Vlan | None = None
    allow_pap: Annotated[bool, Field(strict=True)] | None = None
    request_cui: Annotated[bool, Field(strict=True)] | None = None
    coa_port: Port | None = None
    coa_host: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    require_event_timestamp: Annotated[bool, Field(strict=True)] | None = None
    protocol_errors: Annotated[bool, Field(strict=True)] | None = None
    on_timeout: OnTimeout | None = None
    require_message_authenticator: Annotated[bool, Field(strict=True)] | None = None
    secret: SecretText | None = None


class AccessPointView(AccessPointSettings):
    """Who may ask: an access point, a controller, or a library's own proxy."""

    library: str
    name: str
    secret_changed_at: datetime | None
    version: int

    @classmethod
    def show(cls, access_point: AccessPoint) -> Self:
        """The access point as JSON has it."""
        return cls.model_validate(access_point)


class CreatedAccessPoint(AccessPointView):
    """An access point, and the secret that was generated for it."""

    secret: GeneratedSecret = None

    @classmethod
    def show_created(cls, created: Created[AccessPoint]) -> Self:
        """The access point as JSON has it, this once with its secret."""
        return cls.model_validate({**AccessPointView.show(created.item).model_dump(), "secret": created.secret})
