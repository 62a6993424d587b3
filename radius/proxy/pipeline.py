"""What becomes of an authentic Access-Request: pure, ordered checks, each with its one reason.

The order is the one that operators of roaming federations expect: the EAP packet, the loop guards, the name, the deny
list, the route, the direction, the credentials.
"""

from typing import Final

from federation.names import MAX_NAME_OCTETS, UserName, is_user, parse_user_name
from federation.policy import (
    Credentials,
    Crossing,
    DenyList,
    RealmPatterns,
    decide_credentials,
    decide_direction,
)
from federation.reasons import RefusalReason
from federation.routing import find_realm
from federation.shards import Shards
from federation.snapshot import Realm, Snapshot, Transport
from radius.proxy.clients import ClientState
from radius.wire.attributes import is_eap_well_formed
from radius.wire.codes import AttributeType, VendorId
from radius.wire.packet import Packet

MAX_HOPS: Final = 16  # Proxy-States that a request may have collected; real chains have two to four
KEPT_REALMS: Final = 8192  # to forget them all at once takes less than a millisecond
_SHORTEST_USER: Final = b"x@"
_MICROSOFT: Final = int(VendorId.MICROSOFT).to_bytes(4)
_EAP_MESSAGE: Final = int(AttributeType.EAP_MESSAGE)
_USER_NAME: Final = int(AttributeType.USER_NAME)
_USER_PASSWORD: Final = int(AttributeType.USER_PASSWORD)
_CHAP_PASSWORD: Final = int(AttributeType.CHAP_PASSWORD)
_PROXY_STATE: Final = int(AttributeType.PROXY_STATE)


class Routes:
    """The routes of one snapshot, and the realms that were judged under it.

    What is kept are realms, not names: patrons are many, and each may be here for the first time.
    """

    __slots__ = ("_allowed", "_denied", "_discoverable", "_mask", "_others", "_realms", "snapshot")

    def __init__(self, snapshot: Snapshot) -> None:
        """Nothing is looked up yet."""
        self.snapshot = snapshot
        self._denied = DenyList(snapshot.denied_realms)
        realms = snapshot.realms
        self._realms = realms.parts if isinstance(realms, Shards) else [dict(realms)]
        self._mask = len(self._realms) - 1
        nothing: dict[str, Realm] = {}  # shared by all parts of which nobody was asked for, and never written to
        self._allowed = [nothing] * len(self._realms)  # registered ones, by the same parts
        self._others: dict[bytes, Realm | RefusalReason] = {}  # sub-realms, other spellings, what nobody has
        policy = snapshot.discovery
        patterns = policy.realms if policy is not None else ()
        self._discoverable = RealmPatterns(patterns, field="discovery/realms") if patterns else None

    def find(self, name: bytes) -> Realm | RefusalReason:
        """Return the realm that a User-Name belongs to, or why it is refused."""
        parts = name.split(b"@")
        if len(parts) != 2 or len(name) > MAX_NAME_OCTETS or not is_user(parts[0]):
            return self._look_up(name)
        realm = self._find_registered(parts[1].decode("latin-1"))
        return realm if realm is not None else self._find_other(parts[1])

    def _find_registered(self, realm: str) -> Realm | None:
        """Return the entry of exactly that realm, if it is not on the deny list, which is looked at once for each.

        That costs the same however many realms there are, and bounds what is kept.
        """
        part = hash(realm) & self._mask
        found = self._allowed[part].get(realm)
        if found is None:
            found = self._realms[part].get(realm)
            if found is None or self._denied.denies(realm):
                return None
            if self._allowed[part]:
                self._allowed[part][found.name] = found
            else:
                self._allowed[part] = {found.name: found}
        return found

    def _find_other(self, realm: bytes) -> Realm | RefusalReason:
        """Return where any name goes that may travel and has these octets behind its "@"."""
        found = self._others.get(realm)
        if found is None:
            found = self._look_up(_SHORTEST_USER + realm)
            if len(self._others) >= KEPT_REALMS:
                self._others.clear()  # names come from devices: they must not fill the memory
            self._others[realm] = found
        return found

    def _look_up(self, name: bytes) -> Realm | RefusalReason:
        parsed = parse_user_name(name)
        if not isinstance(parsed, UserName):
            return parsed
        if self._denied.denies(parsed.realm):
            return RefusalReason.REALM_DENIED
        realm = find_realm(self.snapshot, parsed.realm)
        if realm is not None:
            return realm
        if self._may_be_discovered(parsed.realm):
            return Realm(parsed.realm, "", (), is_discovered=True)
        return self.find_default(parsed.realm)

    def _may_be_discovered(self, realm: str) -> bool:
        if self.snapshot.discovery is None:
            return False
        return self._discoverable is None or self._discoverable.match(realm)

    def find_default(self, realm: str) -> Realm | RefusalReason:
        """Return where a realm goes that nobody has, and that is not found elsewhere."""
        servers = self.snapshot.default_home_servers
        return Realm(realm, "", servers) if servers else RefusalReason.UNROUTABLE


def decide_request(packet: Packet, client: ClientState, routes: Routes) -> Realm | RefusalReason:
    """Return the realm that an authentic Access-Request goes to, or why it is refused.

    Whether the request was here before is not looked at: that needs the key of our own Proxy-States.
    """
    counts = packet.counts
    has_eap = counts[_EAP_MESSAGE] > 0
    if has_eap and (counts[_USER_PASSWORD] or counts[_CHAP_PASSWORD] or not is_eap_well_formed(packet)):
        return RefusalReason.EAP_MALFORMED  # a password beside EAP would cross unjudged (RFC 3579 §3.3)
    if counts[_USER_NAME] > 1:  # RFC 2865 §5.44: the home server might read another one than we route by
        return RefusalReason.NAME_SYNTAX
    if counts[_PROXY_STATE] > MAX_HOPS:
        return RefusalReason.TOO_MANY_HOPS
    realm = routes.find(packet.value_of(_USER_NAME))
    if not isinstance(realm, Realm):
        return realm
    refusal = decide_direction(client.client, realm) if client.is_proxy else None  # an access point has no way back
    if refusal is None and not has_eap:
        refusal = decide_credentials(
            Crossing(client.client, realm, credentials_of(packet), _goes_over_udp(routes.snapshot, realm))
        )
    return realm if refusal is None else refusal


def credentials_of(packet: Packet) -> Credentials:
    """What a request without EAP carries to prove who asks."""
    if packet.counts[_USER_PASSWORD]:
        return Credentials.PAP
    if packet.counts[_CHAP_PASSWORD]:
        return Credentials.CHAP
    for offset in packet.offsets_of(AttributeType.VENDOR_SPECIFIC):
        if packet.octets[offset + 2 : offset + 6] == _MICROSOFT:
            return Credentials.MSCHAP
    return Credentials.NONE


def _goes_over_udp(snapshot: Snapshot, realm: Realm) -> bool:
    servers = snapshot.home_servers
    return any(servers[key].transport is Transport.UDP for key in realm.home_servers)
