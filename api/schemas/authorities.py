"""Authorities whose root is kept elsewhere."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import ConfigDict, Field, SecretStr

from api.schemas.certificates import EXAMPLE_REQUEST
from api.schemas.common import Schema
from federation.services.outside_roots import AuthorityRequest
from federation.trust.foreign import MAX_ANCHOR_OCTETS
from federation.trust.profiles import Purpose

_EXAMPLE_CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIH…\n-----END CERTIFICATE-----\n"
_EXAMPLE_LIST = "-----BEGIN X509 CRL-----\nMIH…\n-----END X509 CRL-----\n"
_Pem = Annotated[str, Field(min_length=1, max_length=MAX_ANCHOR_OCTETS, description="PEM")]


class NewAuthorityRequest(Schema):
    """A request for an issuing authority, to be signed by a root that is kept elsewhere."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"new_root": True}]})

    new_root: Annotated[
        bool, Field(description="For another root; else another term below the one that is kept elsewhere already")
    ] = False


class AuthorityRequestView(Schema):
    """The request, to be taken to where the root is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"request_pem": EXAMPLE_REQUEST}]})

    purpose: Purpose
    generation: int
    is_new_root: bool
    request_pem: str
    created_at: datetime

    @classmethod
    def show(cls, request: AuthorityRequest) -> Self:
        """The request as JSON has it."""
        return cls.model_validate(request)


class SignedAuthority(Schema):
    """What came back from where the root is."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"issuing": _EXAMPLE_CERTIFICATE, "root": _EXAMPLE_CERTIFICATE, "root_list": _EXAMPLE_LIST}]
        }
    )

    issuing: _Pem
    root: _Pem
    root_list: Annotated[_Pem | None, Field(description="The root's revocation list; it can come later")] = None


class SignedAuthorityView(Schema):
    """What the authority's certificate led to."""

    purpose: Purpose
    began_rollover: Annotated[bool, Field(description="The root is new: publish it when all is ready")]


class RootList(Schema):
    """A revocation list of a root that is kept elsewhere."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"root_list": _EXAMPLE_LIST}]})

    root_list: _Pem


class RootListView(Schema):
    """Until when the root's list holds: another is needed before."""

    purpose: Purpose
    holds_until: datetime


class Passphrase(Schema):
    """What the root's key is encrypted with on its way out."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"passphrase": "twaalf tekens of meer"}]})

    passphrase: Annotated[SecretStr, Field(min_length=12, max_length=200)]


class ExportedRootView(Schema):
    """The root as it goes out; its key is encrypted."""

    purpose: Purpose
    certificate_pem: str
    key_pem: str
    crl_number: Annotated[int, Field(description="Of its newest list: the next has a higher one")]


class Proof(Schema):
    """What only the holder of the root's key can make."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"proof": "MEUCIQ…"}]})

    proof: Annotated[str, Field(min_length=1, max_length=1000, description="Base64")]
