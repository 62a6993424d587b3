"""Who may ask a home server: found by the address that a packet came from, the longest prefix first, or by certificate.

Which certificates are genuine is decided before (`radius.transport.tls`); here a name in one says which client it is.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from federation.snapshot import RADSEC_SECRET, Client, SharedSecret
from radius.wire.authenticators import KeyedSecret

MAX_REMEMBERED = 10_000  # addresses; forged ones must not fill the memory
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@dataclass(frozen=True, slots=True)
class Peer:
    """A client, ready for use."""

    key: str
    keyed: KeyedSecret
    is_proxy: bool = False  # what it says of the visited library may be believed
    library: str = ""  # whose it is


class Peers:
    """The clients of one snapshot."""

    def __init__(self, clients: Collection[Client], loopback_secret: SharedSecret | None = None) -> None:
        """`loopback_secret` is that of the proxies on this machine; a client that is registered there goes before."""
        networks: list[tuple[IPv4Network | IPv6Network, Peer]] = [
            (network, Peer(client.key, KeyedSecret(client.secret), client.is_proxy, client.library))
            for client in clients
            if client.secret
            for network in client.networks
        ]
        if loopback_secret is not None:
            inner = Peer("proxy of this node", KeyedSecret(loopback_secret), is_proxy=True)
            networks.extend((network, inner) for network in LOOPBACK)
        networks.sort(key=lambda entry: entry[0].prefixlen, reverse=True)  # stable: registered ones stay first
        self._networks = networks
        self._remembered: dict[str, Peer | None] = {}
        radsec = KeyedSecret(RADSEC_SECRET)
        self._by_name = {
            client.certificate_name.lower(): Peer(client.key, radsec, client.is_proxy, client.library)
            for client in clients
            if client.certificate_name is not None
        }

    def __len__(self) -> int:
        """How many addresses are remembered."""
        return len(self._remembered)

    @property
    def names(self) -> frozenset[str]:
        """The names in the certificates of those who may ask over RADIUS/TLS, lower-case."""
        return frozenset(self._by_name)

    def find_by_certificate(self, names: Iterable[str]) -> Iterator[Peer]:
        """The clients whose name is among those of a verified certificate, lower-case; none when it is nobody's."""
        return (self._by_name[name] for name in names if name in self._by_name)

    def find(self, address: str) -> Peer | None:
        """The client at that address; None when nobody may ask from there."""
        try:
            return self._remembered[address]
        except KeyError:
            pass
        parsed = ip_address(address.partition("%")[0])
        found = next((peer for network, peer in self._networks if parsed in network), None)
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[address] = found
        return found
