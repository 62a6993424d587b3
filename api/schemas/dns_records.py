"""DNS records that a library publishes."""

from typing import Annotated

from pydantic import Field

from api.schemas.common import Schema


class DnsRecordView(Schema):
    """One record."""

    name: Annotated[str, Field(description="Absolute, with its final dot")]
    ttl: Annotated[int, Field(description="Seconds")]
    type: Annotated[str, Field(description="NAPTR, SRV, A or AAAA")]
    value: str
    text: Annotated[str, Field(description="As a zone file has it")]
