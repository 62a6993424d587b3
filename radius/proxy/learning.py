"""Home servers that the proxy learns from the DNS: requests wait for their realm, then go to what was found.

What a realm's records say is `radius.discovery`'s to judge, and a certificate is judged when its connection stands
(`streams`). Here are the requests between the two, and the servers that came of it: next hops like any other, with a
breaker for each realm and the same watch. Each realm has connections of its own, even where the DNS leads several to
one server: what one realm's owner writes there can then cost no other realm anything.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_network
from typing import Final, Protocol

from federation.reasons import RefusalReason
from federation.snapshot import HomeServer, Realm, Transport
from radius.discovery.cache import Outcome, Pending, Targets
from radius.discovery.guards import Asker, IPNetwork, Refusal
from radius.discovery.ports import RealmDiscovery
from radius.errors import DropReason
from radius.exchange.duplicates import Duplicates
from radius.proxy.clients import ClientState
from radius.proxy.exchange import Exchange
from radius.proxy.forwarding import Forwarding
from radius.proxy.pipeline import Routes
from radius.proxy.protection import Protection
from radius.proxy.upstreams import Upstream

MAX_LEARNED: Final = 512  # realms with servers; each costs a connection or more
MAX_UNPROVEN_PER_ASKER: Final = 16  # realms whose servers have shown no good certificate yet
SPARE_SECONDS: Final = 60.0  # unused for so long it may go, once its records are no longer valid
IDLE_SECONDS: Final = 600.0  # and after this though they are
_MAX_ASKERS: Final = 4096

REFUSALS: Final = {
    Refusal.NO_NAME: RefusalReason.DISCOVERY_NO_NAME,
    Refusal.NO_SERVICE: RefusalReason.DISCOVERY_NO_SERVICE,
    Refusal.NOT_OFFERED: RefusalReason.DISCOVERY_NOT_OFFERED,
    Refusal.NO_SERVER: RefusalReason.DISCOVERY_NO_SERVER,
    Refusal.NO_ADDRESS: RefusalReason.DISCOVERY_NO_ADDRESS,
    Refusal.RECORD_MALFORMED: RefusalReason.DISCOVERY_RECORD_MALFORMED,
    Refusal.TOO_MANY_RECORDS: RefusalReason.DISCOVERY_TOO_MANY_RECORDS,
    Refusal.CHAIN_TOO_LONG: RefusalReason.DISCOVERY_CHAIN_TOO_LONG,
    Refusal.ADDRESS_NOT_ALLOWED: RefusalReason.DISCOVERY_ADDRESS_NOT_ALLOWED,
    Refusal.LOOP_TO_SELF: RefusalReason.DISCOVERY_LOOP_TO_SELF,
    Refusal.CERTIFICATE: RefusalReason.DISCOVERY_CERTIFICATE,
    Refusal.LOOP_TO_ASKER: RefusalReason.DISCOVERY_LOOP_TO_ASKER,
    Refusal.NAMESERVER_FAILED: RefusalReason.DISCOVERY_NAMESERVER_FAILED,
    Refusal.TIMED_OUT: RefusalReason.DISCOVERY_TIMED_OUT,
    Refusal.UNREACHABLE: RefusalReason.DISCOVERY_UNREACHABLE,
    Refusal.BUSY: RefusalReason.DISCOVERY_BUSY,
}


class Router(Protocol):
    """What an engine does for requests that were held."""

    forwarding: Forwarding
    protection: Protection
    duplicates: Duplicates
    routes: Routes | None

    def conclude(self, exchange: Exchange, decided: RefusalReason | DropReason, now: float, /) -> None:
        """A request that does not go on has its answer, or gets none."""
        ...


@dataclass(slots=True)
class _Learned:
    """A realm's servers, as next hops."""

    realm: Realm
    servers: dict[str, HomeServer]  # without those that were refused
    places: frozenset[tuple[str, int, frozenset[str]]]
    asker: str  # who asked first
    expires_at: float
    used_at: float


class Learning:
    """The realms of the DNS that requests go to now, and the requests that wait for one."""

    def __init__(self, router: Router, discovery: RealmDiscovery, keep_time: Callable[[], None]) -> None:
        """Nothing is known; `keep_time` is called when a request that was held has gone on."""
        self._router = router
        self._discovery = discovery
        self._keep_time = keep_time
        self._realms: dict[str, _Learned] = {}
        self._askers: dict[tuple[str, str], Asker] = {}
        self.held = 0  # requests that wait for their realm
        self.hits = 0  # requests whose realm was known
        self.waits = 0  # requests that had to wait

    @property
    def servers(self) -> dict[str, HomeServer]:
        """The home servers that were learned, by their keys."""
        return {key: server for learned in self._realms.values() for key, server in learned.servers.items()}

    def forward(self, exchange: Exchange, realm: Realm, now: float) -> RefusalReason | DropReason | None:
        """The request is on its way to a server of the realm, or waits for the DNS; or why neither."""
        asker = self._find_asker(exchange.client, str(exchange.source[0]))
        outcome = self._discovery.find(realm.name, asker, now, partial(self._resume, exchange, realm))
        if isinstance(outcome, Pending):
            self.held += 1
            self.waits += 1
            return None
        self.hits += 1
        return self._go_on(exchange, realm, outcome, now)

    def refuse(self, server: HomeServer, now: float) -> bool:
        """The certificate of that server may not serve its realm; returns whether it was one of these."""
        learned = next((each for each in self._realms.values() if each.servers.get(server.key) is server), None)
        if learned is None:
            return False
        name = learned.realm.name
        left = tuple(key for key in learned.realm.home_servers if key != server.key)
        learned.realm = learned.realm._replace(home_servers=left)
        del learned.servers[server.key]
        if not left:
            self._discovery.report(name, Refusal.CERTIFICATE, now)
            del self._realms[name]
        upstream = self._router.forwarding.upstreams.get(server.key)
        if upstream is not None:
            self._router.forwarding.refuse(upstream, RefusalReason.DISCOVERY_CERTIFICATE, now)
        return True

    def tidy(self, now: float) -> None:
        """Realms without a server that can be reached are looked up again when asked for, unused ones are forgotten."""
        for name, learned in list(self._realms.items()):
            upstreams = self._upstreams_of(learned)
            if upstreams and all(upstream.address is None for upstream in upstreams):
                self._discovery.report(name, Refusal.UNREACHABLE, now)
                self._forget(name)
            elif not _is_busy(upstreams):
                unused = now - learned.used_at
                if unused >= IDLE_SECONDS or (unused >= SPARE_SECONDS and now >= learned.expires_at):
                    self._forget(name)

    def close(self) -> None:
        """Nothing is known any more; what is outstanding may still be answered."""
        for name in list(self._realms):
            self._forget(name)

    def counters(self) -> dict[str, object]:
        """What a status report tells."""
        return {
            "discovery_hits": self.hits,
            "discovery_waits": self.waits,
            "discovery_held": self.held,
            "discovery_learned": len(self._realms),
        }

    def _resume(self, exchange: Exchange, realm: Realm, outcome: Outcome, now: float) -> None:
        """The realm of a request that was held is known, or known not to be."""
        self.held -= 1
        router = self._router
        if exchange.listener.is_closed or not router.duplicates.is_pending(exchange.key, exchange.packet.authenticator):
            return  # the client has moved on (RFC 5080 §2.2.2), or has gone
        decided: RefusalReason | DropReason | None = router.protection.decide(exchange, realm, now)
        if decided is None:
            decided = self._go_on(exchange, realm, outcome, now)
        if decided is not None:
            router.conclude(exchange, decided, now)
        self._keep_time()

    def _go_on(
        self, exchange: Exchange, realm: Realm, outcome: Outcome, now: float
    ) -> RefusalReason | DropReason | None:
        found = self._learn(outcome, exchange.client.key, now) if isinstance(outcome, Targets) else outcome
        if isinstance(found, Refusal):
            routes = self._router.routes
            default = routes.find_default(realm.name) if routes is not None else None
            if not isinstance(default, Realm):
                return REFUSALS[found]
            found = default
        exchange.realm = found
        return self._router.forwarding.forward(exchange, found, now)

    def _learn(self, targets: Targets, asker: str, now: float) -> Realm | Refusal:
        """The realm with these servers as its next hops, the same ones as before where they are where they were."""
        name = targets.realm
        places = frozenset((each.host, each.port, frozenset(map(str, each.addresses))) for each in targets.targets)
        known = self._realms.get(name)
        if known is not None and known.places == places:
            known.expires_at, known.used_at = targets.expires_at, now
            return known.realm
        if known is None and not self._make_room(asker):
            return Refusal.BUSY
        before = known.servers if known is not None else {}
        servers: dict[str, HomeServer] = {}
        for target in targets.targets:
            key = f"discovered:{name}/{target.host}:{target.port}"
            addresses = tuple(map(str, target.addresses))
            earlier = before.get(key)
            if earlier is None or set(earlier.addresses) != set(addresses):
                earlier = HomeServer(
                    key, None, target.host, target.port, Transport.TLS, realms=(name,), addresses=addresses
                )
            servers[key] = earlier
        self._router.forwarding.change([key for key in before if key not in servers], servers.values())
        realm = Realm(name, "", tuple(servers), is_discovered=True)
        self._realms[name] = _Learned(realm, servers, places, asker, targets.expires_at, now)
        return realm

    def _make_room(self, asker: str) -> bool:
        """Whether one more realm may be learned for that asker; an unused one of who has most goes for it."""
        unproven = 0
        for learned in self._realms.values():
            if learned.asker == asker and not any(each.standing for each in self._upstreams_of(learned)):
                unproven += 1
        if unproven >= MAX_UNPROVEN_PER_ASKER:
            return False
        if len(self._realms) < MAX_LEARNED:
            return True
        counts = Counter(learned.asker for learned in self._realms.values())
        spare = [
            (counts[learned.asker], -learned.used_at, name)
            for name, learned in self._realms.items()
            if not _is_busy(self._upstreams_of(learned))
        ]
        if not spare:
            return False
        self._forget(max(spare)[2])
        return True

    def _forget(self, name: str) -> None:
        self._router.forwarding.change(self._realms.pop(name).servers, ())

    def _upstreams_of(self, learned: _Learned) -> list[Upstream]:
        upstreams = self._router.forwarding.upstreams
        return [upstreams[key] for key in learned.realm.home_servers if key in upstreams]

    def _find_asker(self, client: ClientState, address: str) -> Asker:
        """Who asks, and where he may be found: the address that he asks from, and of a proxy its whole network."""
        asker = self._askers.get((client.key, address))
        if asker is None:
            networks: list[IPNetwork] = [ip_network(address.partition("%")[0])]
            names = [client.client.certificate_name] if client.client.certificate_name else []
            if client.is_proxy:
                networks += client.client.networks
            if len(self._askers) >= _MAX_ASKERS:
                self._askers.clear()
            asker = Asker(client.key, tuple(networks), tuple(name.lower() for name in names))
            self._askers[client.key, address] = asker
        return asker


def _is_busy(upstreams: Iterable[Upstream]) -> bool:
    return any(upstream.identifiers.outstanding for upstream in upstreams)
