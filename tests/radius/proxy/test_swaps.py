"""Snapshots that follow one another: an engine that takes over only what differs is as one that began with the last."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.shards import Shards
from federation.snapshot import Client, Difference, HomeServer, SharedSecret, Snapshot
from radius.proxy.dynamic_authorization import Operators
from radius.proxy.engine import Engine
from radius.wire.codes import AttributeType
from radius.wire.packet import build_attribute
from tests.radius.proxy.world import World, access_request, home_server, make_snapshot, parse

HOSTS = ("192.0.2.1", "192.0.2.2", "2001:db8::1")
NETWORKS = ("198.51.100.0/24", "198.51.100.7/32", "2001:db8:1::/48", "")
ADDRESSES = ("198.51.100.7", "198.51.100.8", "2001:db8:1::5", "203.0.113.5")


def client_of(key: str, network: str) -> Client:
    """One of RADIUS/TLS where there is no network."""
    library = key.partition("/")[0]
    if network:
        return Client(key, library, "", (ip_network(network),), SharedSecret(b"0123456789abcdef"))
    return Client(key, library, "", certificate_name=f"{library}.Example")


# Each network is one client's at most: anything else is no snapshot.
CLIENTS = st.dictionaries(st.sampled_from(NETWORKS), st.sampled_from(["a/1", "a/2", "b/1", "b/2"]), max_size=4).map(
    lambda chosen: {key: client_of(key, network) for network, key in chosen.items()}
)
SERVERS = st.dictionaries(
    st.sampled_from(["a/s", "b/s", "b/t"]),
    st.sampled_from(HOSTS).map(lambda host: home_server("x/y", host)),
    max_size=3,
).map(lambda chosen: {key: replace(server, key=key) for key, server in chosen.items()})


def follow(
    before: Snapshot, clients: Mapping[str, Client], servers: Mapping[str, HomeServer]
) -> tuple[Snapshot, Difference]:
    """The next snapshot, as the compiler makes it."""
    known = {client.key: client for client in before.clients}
    difference = Difference(
        clients=before.clients,
        home_servers=before.home_servers,
        removed_clients=tuple(key for key in known if key not in clients),
        changed_clients=tuple(client for key, client in clients.items() if known.get(key) != client),
        removed_home_servers=tuple(key for key in before.home_servers if key not in servers),
        changed_home_servers=tuple(server for key, server in servers.items() if before.home_servers.get(key) != server),
    )
    after = replace(
        before,
        revision=before.revision + 1,
        clients=tuple(clients.values()),
        home_servers=Shards(servers),
        difference=difference,
    )
    return after, difference


def seen(engine: Engine) -> object:
    """What requests meet."""
    return (
        {key: state.client for key, state in engine.clients.states.items()},
        {name: state.key for name, state in engine.clients.by_name.items()},
        [state.key if (state := engine.clients.find(address)) else None for address in ADDRESSES],
        {key: (upstream.key, upstream.server) for key, upstream in engine.upstreams.items()},
        engine.revision,
    )


class TestSwap:
    @settings(deadline=None)
    @given(st.lists(st.tuples(CLIENTS, SERVERS), min_size=1, max_size=6))
    def test_engine_is_as_one_that_began_with_the_last_snapshot(
        self, steps: list[tuple[dict[str, Client], dict[str, HomeServer]]]
    ) -> None:
        """After any changes of clients and home servers, each found as it would be without the ones before."""
        snapshot = make_snapshot(clients=())
        world = World(snapshot)
        for clients, servers in steps:
            snapshot, _ = follow(snapshot, clients, servers)
            world.engine.swap(snapshot)
            assert seen(world.engine) == seen(World(replace(snapshot, difference=None)).engine)

    def test_what_did_not_change_is_kept(self) -> None:
        """A client and a home server that stay keep what they counted, and are not even looked at."""
        world = World(make_snapshot(home_server("a/s"), home_server("b/s"), clients=(client_of("a/1", NETWORKS[0]),)))
        before = world.engine.routes
        assert before is not None
        client, upstream = world.engine.clients.states["a/1"], world.engine.upstreams["a/s"]
        clients = {"a/1": client.client, "b/1": client_of("b/1", NETWORKS[2])}
        snapshot, _ = follow(before.snapshot, clients, {"a/s": upstream.server})
        world.engine.swap(snapshot)
        assert world.engine.clients.states["a/1"] is client
        assert world.engine.upstreams == {"a/s": upstream}

    def test_difference_to_another_snapshot_is_not_used(self) -> None:
        """Where another one is in force than it was made from, everything is taken over."""
        first = make_snapshot(home_server("a/s"), clients=(client_of("a/1", NETWORKS[0]),))
        world = World(first)
        second, _ = follow(first, {"a/2": client_of("a/2", NETWORKS[1])}, {})
        third, difference = follow(second, {"a/2": second.clients[0], "b/1": client_of("b/1", "")}, {})
        assert len(difference.changed_clients) == 1
        world.engine.swap(third)
        assert set(world.engine.clients.states) == {"a/2", "b/1"}
        assert world.engine.upstreams == {}

    def test_server_that_can_not_be_used_leaves_all_as_it_was(self) -> None:
        """A secret of no octets is refused, and nothing of that snapshot is in force."""
        world = World(make_snapshot(home_server("a/s"), clients=(client_of("a/1", NETWORKS[0]),)))
        routes = world.engine.routes
        assert routes is not None
        before = seen(world.engine)
        bad = replace(home_server("b/s"), secret=SharedSecret(b""))
        snapshot, _ = follow(routes.snapshot, {}, {"b/s": bad})
        with pytest.raises(ValueError, match="secret"):
            world.engine.swap(snapshot)
        assert seen(world.engine) == before


POINTS = st.dictionaries(
    st.sampled_from(["a/1", "a/2", "b/1", "c/1"]),
    st.tuples(st.sampled_from(["one.example", "two.example", ""]), st.booleans()),
)


class TestOperators:
    @given(st.lists(POINTS, min_size=1, max_size=5))
    def test_they_are_found_as_from_the_last_snapshot_alone(self, steps: list[dict[str, tuple[str, bool]]]) -> None:
        """Whichever clients came, went, or changed what they are called: names lead where they would without them."""
        server = home_server("a/1/coa", library=None)
        snapshot = replace(make_snapshot(clients=()), dynamic_authorization_servers={server.key: server})
        operators = Operators(snapshot)
        for points in steps:
            clients = {
                key: replace(client_of(key, ""), operator_name=name, dynamic_authorization_server=server.key * takes)
                for key, (name, takes) in points.items()
            }
            before = {client.key: client for client in snapshot.clients}
            snapshot, difference = follow(snapshot, dict(sorted(clients.items())), snapshot.home_servers)
            keys = (*difference.removed_clients, *(client.key for client in difference.changed_clients))
            gone = [before[key] for key in keys if key in before]
            operators.follow(snapshot, gone, difference.changed_clients)
            fresh = Operators(snapshot)
            assert operators.is_nobody == fresh.is_nobody
            for name in ("one.example", "two.example"):
                request = parse(access_request(build_attribute(AttributeType.OPERATOR_NAME, f"1{name}".encode())))
                assert operators.find(request) == fresh.find(request)
                for library in ("a", "b", "c"):
                    assert operators.choose(library, request) == fresh.choose(library, request)
