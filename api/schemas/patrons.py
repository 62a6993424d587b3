"""Patrons of a hosted library. A password goes in and never comes out."""

from datetime import date, datetime
from typing import Annotated, Self

from pydantic import ConfigDict, Field, SecretStr

from api.schemas.common import Schema
from federation.model import Patron

MAX_CSV_CHARACTERS = 32 * 1024 * 1024

Password = Annotated[SecretStr, Field(min_length=1, max_length=1024)]
LastDay = Annotated[date | None, Field(description="The last day on which the patron may sign in; null: no end")]


class NewPatron(Schema):
    """A patron to be made."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "jansen@boekenburg.example", "password": "een goed wachtwoord"}]}
    )

    name: Annotated[
        str, Field(min_length=1, max_length=253, description="user@realm, or user where the library has one realm")
    ]
    password: Password
    expires_on: LastDay = None


class PatronSettings(Schema):
    """What can be changed of a patron and read back."""

    is_blocked: Annotated[bool, Field(strict=True)] = False
    expires_on: LastDay = None


class PatronPatch(Schema):
    """A merge patch (RFC 7396) of a patron."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"is_blocked": True}]})

    is_blocked: Annotated[bool, Field(strict=True)] | None = None
    expires_on: date | None = None
    password: Password | None = None


class PatronView(PatronSettings):
    """A patron of a hosted library with the local store."""

    name: Annotated[str, Field(description="user@realm")]
    user: str
    realm: str
    library: str
    has_nt_hash: Annotated[bool, Field(description="May use PEAP and TTLS/MSCHAPv2")]
    created_at: datetime
    changed_at: datetime
    version: int

    @classmethod
    def show(cls, patron: Patron) -> Self:
        """The patron as JSON has it."""
        return cls.model_validate(patron)


class PatronImport(Schema):
    """Patrons in a CSV file: all of them are kept, or none."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"csv": "user,password\njansen,een goed wachtwoord\n", "replaces": False}]}
    )

    csv: Annotated[
        SecretStr,
        Field(
            min_length=1,
            max_length=MAX_CSV_CHARACTERS,
            description="The first line names the columns: user, password and, if wanted, realm, expires",
        ),
    ]
    replaces: Annotated[
        bool, Field(strict=True, description="Patrons that are there already get the new password and expiry")
    ] = False


class PatronsImported(Schema):
    """What an import did."""

    added: int
    replaced: int
