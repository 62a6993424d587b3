"""Where accounting goes: to the patron's own library if that has asked for it, else no further than here.

Roaming federations do not carry accounting (RFC 7593 §5): it tells one library how its visitors spend their time. A
home library that has to know, for it charges its patrons or owes somebody a count, says so by a port for it. Whatever
goes wrong on the way, the client gets its answer from here, and nobody's session waits for a report of it.
"""

from typing import Final

from federation.policy import ACCOUNTING_ATTRIBUTES, decide_direction
from federation.reasons import RefusalReason
from federation.snapshot import Realm
from radius.proxy.clients import ClientState
from radius.proxy.exchange import Passage
from radius.proxy.pipeline import MAX_HOPS, Routes
from radius.wire.codes import AttributeType
from radius.wire.packet import Packet
from radius.wire.rewrite import AttributeFilter, build_filter

_USER_NAME: Final = int(AttributeType.USER_NAME)
_PROXY_STATE: Final = int(AttributeType.PROXY_STATE)
_OPERATOR_NAME: Final = int(AttributeType.OPERATOR_NAME)
_VENDOR_SPECIFIC: Final = int(AttributeType.VENDOR_SPECIFIC)

# Of vendors' attributes only the hop counter goes on: the rewrite counts it down whatever a filter says.
_KEPT: Final = ACCOUNTING_ATTRIBUTES | {_VENDOR_SPECIFIC}
FROM_ACCESS_POINT: Final[AttributeFilter] = build_filter(kept=_KEPT, vendors={}, removed=(_OPERATOR_NAME,))
FROM_PROXY: Final[AttributeFilter] = build_filter(kept=_KEPT, vendors={})
WITHIN_LIBRARY: Final[AttributeFilter] = build_filter(
    # No password belongs into accounting (RFC 2866 §5.13), and one could not be hidden anew in it.
    removed=(
        _OPERATOR_NAME,
        AttributeType.USER_PASSWORD,
        AttributeType.CHAP_PASSWORD,
        AttributeType.TUNNEL_PASSWORD,
    )
)
ANSWER_FROM_MEMBER: Final[AttributeFilter] = build_filter(kept=())  # it has nothing to say (RFC 2866 §5.13)
ANSWER_WITHIN_LIBRARY: Final[AttributeFilter] = build_filter()


def decide_accounting(packet: Packet, client: ClientState, routes: Routes) -> Realm | RefusalReason | None:
    """Return the realm as it is for accounting, or why it is answered here.

    None: nobody has asked for it, which is usual. That holds for what tells of no patron, too: an access point that has
    started or stops (RFC 2866 §5.1). A reason: a library has asked for it, and it does not get there.
    """
    types = packet.types
    if types.count(_USER_NAME) != 1:
        return None
    realm = routes.find(packet.value_of(_USER_NAME))
    if not isinstance(realm, Realm) or not realm.accounting_servers:
        return None
    if types.count(_PROXY_STATE) > MAX_HOPS:
        return RefusalReason.TOO_MANY_HOPS
    refusal = decide_direction(client.client, realm)
    return Realm(realm.name, realm.library, realm.accounting_servers) if refusal is None else refusal


def accounting_passage(packet: Packet, client: ClientState, realm: Realm) -> Passage:
    """Return what goes along to that realm and comes back: all of it at home, the agreed part from a visitor."""
    appended = client.origin_of(packet)
    if client.library == realm.library:
        return Passage(WITHIN_LIBRARY, ANSWER_WITHIN_LIBRARY, appended)
    return Passage(FROM_PROXY if client.is_proxy else FROM_ACCESS_POINT, ANSWER_FROM_MEMBER, appended)
