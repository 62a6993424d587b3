"""Libraries and their realms."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import ConfigDict, Field

from api.schemas.common import SLUG_PATTERN, Schema
from federation.model import Library, MemberRole, RealmEntry

LibraryKey = Annotated[str, Field(pattern=SLUG_PATTERN, description="Stable key: a-z 0-9 -")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
# The service refuses an empty tuple; a bound here would be reported beside each wrong role.
Roles = Annotated[tuple[MemberRole, ...], Field(json_schema_extra={"minItems": 1})]
RealmName = Annotated[str, Field(min_length=1, max_length=253)]


class LibrarySettings(Schema):
    """What can be changed of a library."""

    name: Name
    roles: Roles = (MemberRole.HOME, MemberRole.VISITED)
    operator_name: Annotated[
        str, Field(max_length=253, description="Operator-Name (RFC 5580) of its access points; empty: its first realm")
    ] = ""
    is_active: Annotated[bool, Field(strict=True, description="False: it neither asks nor is asked")] = True


class NewLibrary(LibrarySettings):
    """A library to be made."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"id": "boekenburg", "name": "Bibliotheek Boekenburg", "realms": ["boekenburg.example"]}]
        }
    )

    id: LibraryKey
    realms: Annotated[
        tuple[RealmName, ...], Field(max_length=1000, description="Realms that it owns from the start")
    ] = ()


class LibraryPatch(Schema):
    """A merge patch (RFC 7396) of a library."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Bibliotheek Boekenburg aan Zee"}]})

    name: Name | None = None
    roles: Roles | None = None
    operator_name: Annotated[str, Field(max_length=253)] | None = None
    is_active: Annotated[bool, Field(strict=True)] | None = None


class LibraryView(Schema):
    """A member of the federation."""

    id: str
    name: str
    roles: list[MemberRole]
    operator_name: str
    is_active: bool
    realms: list[str]
    is_hosted: Annotated[bool, Field(description="It has no home servers of its own: Biebroam is its home server")]
    created_at: datetime
    changed_at: datetime
    version: int

    @classmethod
    def show(cls, library: Library) -> Self:
        """The library as JSON has it."""
        return cls.model_validate(library)


class RealmSettings(Schema):
    """What can be changed of a realm."""

    includes_subrealms: Annotated[bool, Field(strict=True, description="Its sub-realms are the library's too")] = False


class NewRealm(RealmSettings):
    """A realm to be made."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "boekenburg.example"}]})

    name: RealmName


class RealmPatch(Schema):
    """A merge patch (RFC 7396) of a realm."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"includes_subrealms": True}]})

    includes_subrealms: Annotated[bool, Field(strict=True)] | None = None


class RealmView(Schema):
    """A realm that a library owns."""

    name: str
    library: str
    includes_subrealms: bool
    version: int

    @classmethod
    def show(cls, realm: RealmEntry) -> Self:
        """The realm as JSON has it."""
        return cls.model_validate(realm)
