"""One library, realm, client or device never hurts another: what may not go on now, and why."""

from typing import Final

from federation.reasons import RefusalReason
from federation.snapshot import Realm
from radius.exchange.breaker import Breakers
from radius.exchange.bulkheads import (
    MAX_OUTSTANDING_PER_CLIENT,
    MAX_OUTSTANDING_PER_REALM,
    MAX_OUTSTANDING_PER_SILENT_REALM,
    Bulkhead,
)
from radius.exchange.rejections import Device, Rejections
from radius.proxy.exchange import Exchange
from radius.proxy.notices import Notices
from radius.wire.codes import AttributeType

_STATE: Final = int(AttributeType.STATE)
_USER_NAME: Final = int(AttributeType.USER_NAME)
_CALLING_STATION_ID: Final = int(AttributeType.CALLING_STATION_ID)


class Protection:
    """The breakers, the bounds and the devices that were refused."""

    __slots__ = ("_notices", "breakers", "clients", "other_clients", "other_realms", "realms", "rejections")

    def __init__(self, notices: Notices) -> None:
        """Everything may go on."""
        self._notices = notices
        self.breakers = Breakers()
        self.realms = Bulkhead(MAX_OUTSTANDING_PER_REALM)
        self.clients = Bulkhead(MAX_OUTSTANDING_PER_CLIENT)
        # Accounting that nobody answers must not keep anybody from signing in.
        self.other_realms = Bulkhead(MAX_OUTSTANDING_PER_REALM)
        self.other_clients = Bulkhead(MAX_OUTSTANDING_PER_CLIENT)
        self.rejections = Rejections()

    def decide(self, exchange: Exchange, realm: Realm, now: float) -> RefusalReason | None:
        """Why a new request does not go on; None when it does."""
        is_sign_in = exchange.passage is None
        if (self.clients if is_sign_in else self.other_clients).is_full(exchange.client.key):
            return RefusalReason.CLIENT_OVERLOAD
        if (self.realms if is_sign_in else self.other_realms).is_full(realm.name):
            return RefusalReason.REALM_OVERLOAD
        if is_sign_in and len(self.rejections) and not exchange.packet.counts[_STATE]:
            device = _device_of(exchange)
            if device is not None and not self.rejections.may_ask(device, now):
                return RefusalReason.REPEATED_REJECTS
        return None

    def enter(self, exchange: Exchange, realm: Realm) -> None:
        """The request waits for an answer."""
        is_sign_in = exchange.passage is None
        (self.realms if is_sign_in else self.other_realms).enter(realm.name)
        (self.clients if is_sign_in else self.other_clients).enter(exchange.client.key)

    def leave(self, exchange: Exchange) -> None:
        """It waits no more."""
        assert exchange.realm is not None  # else it would not have been sent
        is_sign_in = exchange.passage is None
        (self.realms if is_sign_in else self.other_realms).leave(exchange.realm.name)
        (self.clients if is_sign_in else self.other_clients).leave(exchange.client.key)

    def miss(self, exchange: Exchange, hop: str, now: float) -> None:
        """The home server let a request wait so long that it is sent again."""
        realm = exchange.realm
        if realm is not None and self.breakers.miss(realm.name, hop, now):
            self._notices.tell_breaker(realm.name, hop, "open")

    def fail(self, exchange: Exchange, hop: str, now: float) -> None:
        """The home server did not answer a request at all."""
        realm = exchange.realm
        if realm is not None and self.breakers.fail(realm.name, hop, now):
            self._notices.tell_breaker(realm.name, hop, "open")

    def may_repeat(self, exchange: Exchange, hop: str, now: float) -> bool:
        """Whether this repeat goes out: where nothing comes back, not everything is sent again."""
        realm = exchange.realm
        return realm is None or self.breakers.may_repeat(realm.name, hop, now)

    def decide_hop(self, realm: Realm, hop: str, now: float) -> RefusalReason | None:
        """Why a request of the realm does not go to that home server; None when it does."""
        breakers = self.breakers
        if not breakers.by_key:
            return None
        is_crowded = self.realms.count_of(realm.name) >= MAX_OUTSTANDING_PER_SILENT_REALM
        if is_crowded and breakers.is_silent(realm.name, hop, now):
            return RefusalReason.REALM_OVERLOAD
        return None if breakers.admit(realm.name, hop, now) else RefusalReason.REALM_UNAVAILABLE

    def is_silent(self, exchange: Exchange, hop: str, now: float) -> bool:
        """Whether the breaker of the request's realm at that home server is open."""
        realm = exchange.realm
        return realm is not None and not self.breakers.would_admit(realm.name, hop, now)

    def is_doubted(self, exchange: Exchange, hop: str) -> bool:
        """Whether the request's realm has left several in a row at that home server."""
        realm = exchange.realm
        return realm is not None and self.breakers.is_doubted(realm.name, hop)

    def hear(self, exchange: Exchange, hop: str) -> None:
        """The home server has answered, in time or late."""
        realm = exchange.realm
        if realm is not None and self.breakers.answer(realm.name, hop):
            self._notices.tell_breaker(realm.name, hop, "closed")

    def reject(self, exchange: Exchange, now: float) -> None:
        """The home server has said no."""
        device = _device_of(exchange)
        if device is not None:
            self.rejections.reject(device, now)

    def accept(self, exchange: Exchange) -> None:
        """The home server has said yes."""
        if len(self.rejections):
            device = _device_of(exchange)
            if device is not None:
                self.rejections.accept(device)


def _device_of(exchange: Exchange) -> Device | None:
    """The device, as this client tells it; None when it does not tell."""
    station = exchange.packet.value_of(_CALLING_STATION_ID)
    return (exchange.client.key, station, exchange.packet.value_of(_USER_NAME)) if station else None
