"""The DNS records that a library publishes, so that others find it."""

from fastapi import APIRouter

from api.requests import Source
from api.schemas.common import ListOf
from api.schemas.dns_records import DnsRecordView
from api.security import AnyActor
from federation.services.dns_records import list_dns_records

router = APIRouter(prefix="/v1/libraries/{library}/dns-records", tags=["libraries"])


@router.get("")
def show_dns_records(library: str, registry: Source, actor: AnyActor) -> ListOf[DnsRecordView]:
    """List the NAPTR, SRV and address records with which others find the library's realms (RFC 7585)."""
    with registry.read() as session:
        found = list_dns_records(session, actor, library)
    return ListOf(items=[DnsRecordView.model_validate(record) for record in found], next_cursor=None)
