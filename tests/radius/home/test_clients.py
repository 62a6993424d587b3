from ipaddress import ip_network

from federation.snapshot import Client, SharedSecret
from radius.home.clients import MAX_REMEMBERED, Peers


def client(key: str, network: str, secret: bytes = b"a secret of its own") -> Client:
    return Client(key, "west", "west.example", (ip_network(network),), SharedSecret(secret))


class TestPeers:
    def test_longest_prefix_wins(self) -> None:
        """An access point of its own goes before the network that it stands in."""
        peers = Peers([client("wide", "192.0.2.0/24"), client("narrow", "192.0.2.7/32")])
        found = [peers.find(address) for address in ("192.0.2.7", "192.0.2.8", "198.51.100.1")]
        assert [peer and peer.key for peer in found] == ["narrow", "wide", None]

    def test_loopback_is_for_proxies_of_this_node(self) -> None:
        """The node's own proxies ask from loopback, IPv4 and IPv6."""
        peers = Peers((), SharedSecret(b"inner"))
        for address in ("127.0.0.1", "127.9.9.9", "::1"):
            peer = peers.find(address)
            assert peer is not None
            assert peer.keyed.secret == b"inner"
            assert peer.is_proxy
        assert peers.find("192.0.2.1") is None

    def test_registered_client_on_loopback_goes_before_the_inner_one(self) -> None:
        """A client that an operator registered there is that client."""
        peers = Peers([client("own", "127.0.0.0/8")], SharedSecret(b"inner"))
        peer = peers.find("127.0.0.1")
        assert peer is not None
        assert peer.key == "own"

    def test_scope_of_a_link_local_address_does_not_matter(self) -> None:
        """fe80::1%eth0 is fe80::1."""
        peers = Peers([client("near", "fe80::/64")])
        assert peers.find("fe80::1%eth0") is not None

    def test_client_is_found_by_a_name_in_its_certificate(self) -> None:
        """Over RADIUS/TLS the secret is always the same (RFC 6614 §2.3), and an address makes nobody a client."""
        proxy = Client("west/federation", "west", "", certificate_name="Login.Fed.Example", is_proxy=True)
        peers = Peers([proxy, client("near", "192.0.2.0/24")])
        (peer,) = peers.find_by_certificate(("other.example", "login.fed.example"))
        assert (peer.key, peer.keyed.secret, peer.is_proxy) == ("west/federation", b"radsec", True)
        assert not list(peers.find_by_certificate(("fed.example", "192.0.2.1")))
        assert not list(peers.find_by_certificate(()))
        assert peers.names == {"login.fed.example"}
        assert peers.find("127.0.0.1") is None

    def test_many_addresses_do_not_fill_the_memory(self) -> None:
        """What is remembered of addresses has a bound."""
        peers = Peers([client("all", "10.0.0.0/8")])
        for number in range(MAX_REMEMBERED + 10):
            peers.find(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        assert len(peers) <= MAX_REMEMBERED
