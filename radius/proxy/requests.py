"""Requests as they go on to a home server."""

from typing import Final

from federation.reasons import RefusalReason
from federation.snapshot import Realm
from radius.errors import DropReason
from radius.proxy.clients import REQUEST_WITHIN_LIBRARY
from radius.proxy.exchange import Exchange
from radius.proxy.loops import NONCE_OCTETS, LoopGuard, hop_counter_of
from radius.proxy.upstreams import Upstream
from radius.wire.packet import AUTHENTICATOR_OCTETS, HEADER_OCTETS
from radius.wire.rewrite import RewriteRefusal, rewrite_request

RANDOM_OCTETS: Final = AUTHENTICATOR_OCTETS + NONCE_OCTETS
REWRITE_REFUSALS: Final = {
    RewriteRefusal.PASSWORD_MALFORMED: RefusalReason.PASSWORD_MALFORMED,
    RewriteRefusal.TOO_LARGE: RefusalReason.TOO_LARGE,
}


def write_request(
    exchange: Exchange,
    realm: Realm,
    upstream: Upstream,
    identifier: int,
    random: bytes,
    loop_guard: LoopGuard,
) -> RefusalReason | DropReason | None:
    """The exchange has its octets for that home server, with an authenticator of their own; or why it can not.

    `random`: `RANDOM_OCTETS` of them, which nobody can foresee.
    """
    packet, client = exchange.packet, exchange.client
    authenticator = random[:AUTHENTICATOR_OCTETS]
    proxy_state = loop_guard.take(random[AUTHENTICATOR_OCTETS:])
    passage = exchange.passage
    if passage is None:
        attribute_filter = REQUEST_WITHIN_LIBRARY if client.library == realm.library else client.request_filter
        appended = client.appended_to(packet) + hop_counter_of(packet, upstream.server)
    else:
        attribute_filter, appended = passage.request_filter, passage.appended
        if not passage.is_change:
            appended += hop_counter_of(packet, upstream.server)
        if not passage.adds_proxy_state:
            proxy_state = b""
    octets = rewrite_request(
        packet,
        identifier=identifier,
        authenticator=authenticator,
        downstream=client.keyed,
        upstream=upstream.keyed,
        attribute_filter=attribute_filter,
        appended=appended,
        proxy_state=proxy_state,
    )
    if not isinstance(octets, bytes):
        return octets if isinstance(octets, DropReason) else REWRITE_REFUSALS[octets]
    # That of accounting is computed, not drawn (RFC 2866 §3).
    exchange.authenticator = authenticator if passage is None else octets[4:HEADER_OCTETS]
    exchange.proxy_state, exchange.octets = proxy_state, octets
    return None
