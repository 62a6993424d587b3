"""Roots of other authorities."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Self

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from api.schemas.common import EntryName, Schema
from federation.services.foreign_anchors import MAX_LISTS, MAX_URL_CHARACTERS, Anchor
from federation.trust.foreign import MAX_ANCHOR_OCTETS, ListPolicy

_EXAMPLE: JsonDict = {
    "name": "surf",
    "certificates": "-----BEGIN CERTIFICATE-----\nMIH…\n-----END CERTIFICATE-----\n",
    "libraries": ["boekenburg"],
    "list_urls": ["http://crl.surf.example/radius.crl"],
    "policy": "soft",
}


class NewForeignAnchor(Schema):
    """A root to be trusted for some libraries."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    name: EntryName
    certificates: Annotated[
        str,
        Field(
            min_length=1,
            max_length=MAX_ANCHOR_OCTETS,
            description="PEM: the root first, then authorities below it that sign lists",
        ),
    ]
    libraries: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=63)]],
        Field(
            max_length=1000,
            description="Whom certificates below it may speak for; nobody else. None: it is for servers in the DNS "
            "alone, where the federation's `discovery` names it",
        ),
    ] = []  # noqa: RUF012 - pydantic copies it
    list_urls: Annotated[
        Sequence[Annotated[str, Field(min_length=1, max_length=MAX_URL_CHARACTERS)]],
        Field(max_length=MAX_LISTS, description="Where its revocation lists are, http or https"),
    ] = ()
    policy: Annotated[
        ListPolicy,
        Field(description="When a list is out of date: soft, the last one goes on; hard, nothing below it is believed"),
    ] = ListPolicy.SOFT


class ForeignListView(Schema):
    """A place of revocation lists, and what was last there."""

    url: str
    this_update: datetime | None
    next_update: datetime | None
    fetched_at: datetime | None
    tried_at: datetime | None
    error: Annotated[str, Field(description="Of the last try; empty when it went well")]
    is_fresh: bool


class ForeignAnchorView(Schema):
    """A root of another authority."""

    name: str
    fingerprint: Annotated[str, Field(description="SHA-256 of the root, hexadecimal")]
    subject: str
    not_after: datetime
    libraries: Sequence[str]
    policy: ListPolicy
    is_believed: Annotated[bool, Field(description="False: the policy is hard, and a list is out of date")]
    lists: Sequence[ForeignListView]
    created_at: datetime

    @classmethod
    def show(cls, anchor: Anchor) -> Self:
        """The anchor as JSON has it."""
        return cls.model_validate(anchor)


class ForeignAnchorList(Schema):
    """All of them, by name."""

    items: Sequence[ForeignAnchorView]
