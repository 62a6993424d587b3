"""Proxies that send what they do not know to each other: every request ends, with a no, after a bounded number of hops.

Engines are wired in memory: what one sends to the address of another is what the other receives.
"""

from ipaddress import ip_network

import pytest

from federation.snapshot import Client, HomeServer, SharedSecret, Snapshot
from radius.proxy.pipeline import MAX_HOPS
from radius.wire.codes import Code
from radius.wire.packet import build_attribute
from tests.radius.proxy.world import (
    ACCESS_POINT,
    AP,
    FakeFlow,
    World,
    access_request,
    eap,
    is_signed,
    make_snapshot,
    parse,
    proxy_states_of,
)

AUTHENTICATOR = bytes(range(16))
SECRET = SharedSecret(b"secret between the proxies")
UNKNOWN = b"anna@nobody.test"
FIRST_PORT = 40_000


def address_of(node: int) -> str:
    return f"10.0.0.{node + 1}"


def make_node(node: int, previous: int, following: int, *, knows_members: bool = True) -> Snapshot:
    """A proxy that sends every unknown realm to the next one and takes requests from the one before.

    With `knows_members` the client and the home server of one node are known as the same member's.
    """
    client = Client(
        f"node{previous}/proxy",
        f"node{previous}",
        f"node{previous}.example",
        (ip_network(f"{address_of(previous)}/32"),),
        SECRET,
        is_proxy=True,
    )
    library = f"node{following}" if knows_members else f"unrelated{following}"
    server = HomeServer(f"{library}/radius", host=address_of(following), port=1812, secret=SECRET, library=library)
    return make_snapshot(server, clients=(ACCESS_POINT, client), realms={}, default_home_servers=(server.key,))


class Ring:
    """Proxies in a ring, each with a key of its own, and the datagrams between them."""

    def __init__(self, size: int, *, knows_members: bool = True) -> None:
        self.nodes = [
            World(
                make_node(node, (node - 1) % size, (node + 1) % size, knows_members=knows_members),
                node_key=bytes((node + 1,)) * 32,
            )
            for node in range(size)
        ]
        self.hops = 0

    def deliver(self) -> None:
        """All datagrams between the proxies arrive, and those that they cause, until there are none."""
        is_busy = True
        while is_busy:
            is_busy = False
            for number, node in enumerate(self.nodes):
                for flow, octets in node.take_forwarded():
                    is_busy = True
                    self.hops += octets[0] == Code.ACCESS_REQUEST
                    assert self.hops < 1000, "the request goes round without an end"
                    target = self.nodes[[address_of(each) for each in range(len(self.nodes))].index(flow.host)]
                    target.send(octets, (address_of(number), FIRST_PORT + node.flows.index(flow)))
            for node in self.nodes:
                is_busy = self._return_answers(node) or is_busy

    def _return_answers(self, node: World) -> bool:
        returned = [sent for sent in node.listener.sent if sent[1][1] != 50_000]
        node.listener.sent[:] = [sent for sent in node.listener.sent if sent[1][1] == 50_000]
        for octets, (host, port) in returned:
            asker = self.nodes[[address_of(each) for each in range(len(self.nodes))].index(host)]
            flow: FakeFlow = asker.flows[int(port) - FIRST_PORT]
            asker.answer(flow, octets)
        return bool(returned)

    def ask(self, octets: bytes | None = None) -> bytes:
        """The one answer that the access point of the first node gets."""
        self.nodes[0].send(octets or access_request(name=UNKNOWN))
        self.deliver()
        (answer,) = self.nodes[0].take_answers()
        return answer


class TestTwoProxies:
    def test_request_is_not_sent_back_to_who_sent_it(self) -> None:
        """Each has the other as its default route: the second says no, and the access point hears it at once."""
        ring = Ring(2)
        answer = ring.ask()
        assert answer[0] == Code.ACCESS_REJECT
        assert is_signed(answer, AP, AUTHENTICATOR)
        assert ring.hops == 1
        assert ring.nodes[1].notices.refusals == {"loop_back": 1}

    def test_unrecognised_member_is_found_out_by_our_own_proxy_state(self) -> None:
        """Where client and home server are not known as one member's, the request comes back once, and ends."""
        ring = Ring(2, knows_members=False)
        assert ring.ask()[0] == Code.ACCESS_REJECT
        assert ring.hops == 2
        assert ring.nodes[0].notices.refusals["loop"] == 1


class TestRings:
    @pytest.mark.parametrize("size", [3, 5, 16])
    def test_request_goes_round_once(self, size: int) -> None:
        """It comes back to the first, which knows its own Proxy-State; every node lets go of it."""
        ring = Ring(size)
        answer = ring.ask()
        assert answer[0] == Code.ACCESS_REJECT
        assert is_signed(answer, AP, AUTHENTICATOR)
        assert ring.hops == size
        assert ring.nodes[0].notices.refusals["loop"] == 1
        assert [node.engine.outstanding for node in ring.nodes] == [0] * size

    def test_ring_beyond_the_largest_number_of_hops_ends_before_it_closes(self) -> None:
        """A request with more Proxy-States than any real chain has is going round (RFC 2865 §5.33)."""
        ring = Ring(MAX_HOPS + 5)
        assert ring.ask()[0] == Code.ACCESS_REJECT
        assert ring.hops == MAX_HOPS + 1
        assert ring.nodes[MAX_HOPS + 1].notices.refusals == {"too_many_hops": 1}

    def test_client_gets_its_own_proxy_states_back(self) -> None:
        """Through three proxies that each added one and took it away again (RFC 2865 §2.3)."""
        ring = Ring(3)
        states = build_attribute(33, b"one") + build_attribute(33, b"two")
        answer = ring.ask(access_request(eap() + states, name=UNKNOWN))
        assert proxy_states_of(parse(answer)) == states

    def test_repeats_do_not_grow(self) -> None:
        """A thousand repeats of a request that went round cost no hop more."""
        ring = Ring(3)
        first = ring.ask()
        for _ in range(1000):
            assert ring.ask() == first
        assert ring.hops == 3

    def test_repeats_while_it_goes_round_do_not_grow(self) -> None:
        """The access point and every proxy repeat; each node forwards the request once, whatever comes again."""
        ring = Ring(3)
        for _ in range(5):
            ring.nodes[0].send(access_request(name=UNKNOWN))
        for node in ring.nodes:
            node.run(7)  # nothing arrives: each repeats what it has
        ring.deliver()
        assert len(set(ring.nodes[0].take_answers())) == 1
        assert [upstream.requests for node in ring.nodes for upstream in node.engine.upstreams.values()] == [1, 1, 1]
        assert [node.engine.outstanding for node in ring.nodes] == [0, 0, 0]
