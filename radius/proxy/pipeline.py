"""What becomes of an authentic Access-Request: pure, ordered checks, each with its one reason.

The order is the one that operators of roaming federations expect: the EAP packet, the loop guards, the name, the deny
list, the route, the direction, the credentials.
"""

from typing import Final

from federation.names import UserName, parse_user_name
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
from federation.snapshot import Realm, Snapshot, Transport
from radius.proxy.clients import ClientState
from radius.wire.attributes import is_eap_well_formed
from radius.wire.codes import AttributeType, VendorId
from radius.wire.packet import Packet

MAX_HOPS: Final = 16  # Proxy-States that a request may have collected; real chains have two to four
KEPT_NAMES: Final = 8192  # to forget them all at once takes less than a millisecond
_MICROSOFT: Final = int(VendorId.MICROSOFT).to_bytes(4)
_EAP_MESSAGE: Final = int(AttributeType.EAP_MESSAGE)
_USER_NAME: Final = int(AttributeType.USER_NAME)
_USER_PASSWORD: Final = int(AttributeType.USER_PASSWORD)
_CHAP_PASSWORD: Final = int(AttributeType.CHAP_PASSWORD)
_PROXY_STATE: Final = int(AttributeType.PROXY_STATE)


class Routes:
    """The routes of one snapshot, and the names that were looked up in them last.

    A conversation asks for one name several times; a name that is not kept costs little more than one that is, so that
    neither many realms nor many names make requests slow.
    """

    __slots__ = ("_denied", "_discoverable", "_names", "snapshot")

    def __init__(self, snapshot: Snapshot) -> None:
        """Nothing is looked up yet."""
        self.snapshot = snapshot
        self._denied = DenyList(snapshot.denied_realms)
        self._names: dict[bytes, Realm | RefusalReason] = {}
        policy = snapshot.discovery
        patterns = policy.realms if policy is not None else ()
        self._discoverable = RealmPatterns(patterns, field="discovery/realms") if patterns else None

    def find(self, name: bytes) -> Realm | RefusalReason:
        """Return the realm that a User-Name belongs to, or why it is refused."""
        found = self._names.get(name)
        if found is None:
            found = self._look_up(name)
            if len(self._names) >= KEPT_NAMES:
                self._names.clear()  # names come from devices: they must not fill the memory
            self._names[name] = found
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
