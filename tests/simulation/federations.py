"""The federation of a plan: names, addresses and secrets, and the snapshot of each proxy as it stands now."""

from dataclasses import dataclass, field
from ipaddress import ip_network

from federation.policy import DEFAULT_DENIED_REALMS
from federation.snapshot import Client, Federation, HomeServer, Realm, SharedSecret, Snapshot
from tests.simulation.network import Address
from tests.simulation.plans import Plan

PORT = 1812
ACCOUNTING_PORT = 1813
GUEST_DOMAIN = "visited.example"


@dataclass
class HomeSite:
    """A home server as the registry knows it: every proxy that leads to it has the same entry."""

    realm: int
    number: int
    key: str
    host: str
    secret: bytes
    library: str | None
    is_hosted: bool
    requires_message_authenticator: bool
    is_listed: bool = True


@dataclass
class AskerSite:
    """A client of the first proxy."""

    key: str
    library: str
    host: str
    secret: bytes
    operator_name: str
    is_proxy: bool
    allows_pap: bool
    guest_vlan: int | None
    requests_cui: bool
    is_listed: bool = True
    secrets: set[bytes] = field(default_factory=set[bytes])
    """All that it ever had."""


class Registry:
    """Who is who now."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.revision = 0
        self.realms = [f"r{number}.realm.test" for number in range(len(plan.realms))]
        self.listed_realms = set(self.realms)
        self.is_reversed = False
        self.askers = [self._make_asker(number) for number in range(len(plan.askers))]
        self.homes = [
            [self._make_home(realm, number) for number in range(len(shape.homes))]
            for realm, shape in enumerate(plan.realms)
        ]

    def _make_asker(self, number: int) -> AskerSite:
        shape = self.plan.askers[number]
        library = self.library(shape.library) if shape.library >= 0 else "visited"
        if shape.is_proxy and shape.library >= 0:
            library = "roaming"
        site = AskerSite(
            key=f"{library}/asker-{number}",
            library=library,
            host=f"192.0.2.{number + 1}",
            secret=f"secret of asker {number}, 16".encode(),
            operator_name=GUEST_DOMAIN,
            is_proxy=shape.is_proxy,
            allows_pap=not shape.is_proxy and shape.library >= 0,
            guest_vlan=shape.guest_vlan,
            requests_cui=shape.requests_cui,
        )
        site.secrets.add(site.secret)
        return site

    def _make_home(self, realm: int, number: int) -> HomeSite:
        shape = self.plan.realms[realm]
        return HomeSite(
            realm,
            number,
            key=f"hosted/{realm}-{number}" if shape.is_spread else f"{self.library(realm)}/{number}",
            host=f"203.0.{realm}.{number + 1}",
            secret=f"secret of home {realm}-{number}".encode(),
            library=None if shape.is_spread else self.library(realm),
            is_hosted=shape.is_spread,
            requires_message_authenticator=shape.homes[number].requires_message_authenticator,
        )

    @staticmethod
    def library(realm: int) -> str:
        """Who owns a realm."""
        return f"lib{realm}"

    @staticmethod
    def proxy_host(number: int) -> str:
        """Where a proxy is."""
        return f"198.51.100.{number + 1}"

    @staticmethod
    def proxy_library(number: int) -> str:
        """Whose proxy it is."""
        return f"net{number}"

    @staticmethod
    def proxy_secret(first: int, second: int) -> bytes:
        """What two proxies share."""
        return f"between {first} and {second}".encode()

    def secrets_towards(self, proxy: int, source: str) -> set[bytes]:
        """The secrets that a client of a proxy ever had, by its address."""
        for number in range(self.plan.proxies):
            if source == self.proxy_host(number):
                return {self.proxy_secret(number, proxy)}
        return next((site.secrets for site in self.askers if site.host == source), set[bytes]())

    def asker_at(self, host: str) -> AskerSite | None:
        """The client of the first proxy with that address."""
        return next((site for site in self.askers if site.host == host), None)

    def home_at(self, address: Address) -> HomeSite | None:
        """The home server with that address now."""
        return next((site for sites in self.homes for site in sites if site.host == address[0]), None)

    def make_snapshot(self, proxy: int) -> Snapshot:
        """Return what a proxy is to know now."""
        self.revision += 1
        servers: dict[str, HomeServer] = {}
        realms: dict[str, Realm] = {}
        for number, shape in enumerate(self.plan.realms):
            name = self.realms[number]
            if name not in self.listed_realms and proxy == 0:
                continue
            if shape.depth - 1 == proxy:
                listed = [site for site in self.homes[number] if site.is_listed]
                for site in reversed(listed) if self.is_reversed else listed:
                    servers[site.key] = _server_of(site)
                keys = tuple(key for key in servers if servers[key].host.startswith(f"203.0.{number}."))
            elif shape.depth - 1 > proxy:
                keys = (self._lead_on(proxy, proxy + 1, servers),)
            else:
                continue
            if keys:
                realms[name] = Realm(name, self.library(number), keys, includes_subrealms=number % 2 == 0)
        default: tuple[str, ...] = ()
        if self.plan.has_default_route and self.plan.proxies > 1:
            default = (self._lead_on(proxy, (proxy + 1) % self.plan.proxies, servers),)
        return Snapshot(
            self.revision,
            Federation("biebroam", "NL", "login.test"),
            tuple(self._clients_of(proxy)),
            home_servers=servers,
            realms=realms,
            denied_realms=DEFAULT_DENIED_REALMS,
            default_home_servers=default,
        )

    def _lead_on(self, proxy: int, other: int, servers: dict[str, HomeServer]) -> str:
        key = f"{self.proxy_library(other)}/proxy"
        servers[key] = HomeServer(
            key,
            self.proxy_library(other),
            self.proxy_host(other),
            PORT,
            secret=SharedSecret(self.proxy_secret(proxy, other)),
        )
        return key

    def _clients_of(self, proxy: int) -> list[Client]:
        clients: list[Client] = []
        if proxy == 0:
            clients = [
                Client(
                    site.key,
                    site.library,
                    site.operator_name,
                    (ip_network(f"{site.host}/32"),),
                    SharedSecret(site.secret),
                    is_proxy=site.is_proxy,
                    allows_pap=site.allows_pap,
                    guest_vlan=site.guest_vlan,
                    requests_cui=site.requests_cui,
                )
                for site in self.askers
                if site.is_listed
            ]
        before = (proxy - 1) % self.plan.proxies
        if self.plan.proxies > 1 and (proxy > 0 or self.plan.has_default_route):
            library = self.proxy_library(before)
            clients.append(
                Client(
                    f"{library}/proxy",
                    library,
                    f"{library}.test",
                    (ip_network(f"{self.proxy_host(before)}/32"),),
                    SharedSecret(self.proxy_secret(before, proxy)),
                    is_proxy=True,
                )
            )
        return clients


def _server_of(site: HomeSite) -> HomeServer:
    return HomeServer(
        site.key,
        site.library,
        site.host,
        PORT,
        secret=SharedSecret(site.secret),
        requires_message_authenticator=site.requires_message_authenticator,
        is_hosted=site.is_hosted,
    )
