"""A client is found by the longest prefix of the address it sends from."""

from dataclasses import replace
from ipaddress import IPv4Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.snapshot import Client, SharedSecret
from radius.proxy import clients
from radius.proxy.clients import Clients

SECRET = SharedSecret(b"secret of this very client")


def make_client(key: str, *networks: str) -> Client:
    return Client(key, key, f"{key}.example", tuple(map(ip_network, networks)), SECRET)


def found(table: Clients, host: str) -> str | None:
    state = table.find(host)
    return None if state is None else state.key


class TestFind:
    def test_longest_prefix_wins(self) -> None:
        """An access point inside a library's network may have a secret of its own."""
        table = Clients(
            [make_client("all", "10.0.0.0/8"), make_client("one", "10.1.2.3/32"), make_client("some", "10.1.0.0/16")]
        )
        assert found(table, "10.1.2.3") == "one"
        assert found(table, "10.1.9.9") == "some"
        assert found(table, "10.9.9.9") == "all"
        assert found(table, "11.0.0.1") is None

    def test_families_do_not_mix(self) -> None:
        """A prefix of IPv6 says nothing about IPv4, unless an IPv4 address is written in it."""
        table = Clients([make_client("six", "2001:db8::/32"), make_client("four", "192.0.2.0/24")])
        assert found(table, "2001:db8::1") == "six"
        assert found(table, "::ffff:192.0.2.1") == "four"
        assert found(table, "2001:db9::1") is None

    def test_scope_of_a_link_local_address_is_no_part_of_it(self) -> None:
        """The kernel adds the interface's name."""
        assert found(Clients([make_client("link", "fe80::/10")]), "fe80::1%eth0") == "link"

    def test_answer_is_remembered_and_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Forged addresses do not fill the memory."""
        monkeypatch.setattr(clients, "MAX_CACHED_ADDRESSES", 4)
        table = Clients([make_client("ap", "10.0.0.0/8")])
        for number in range(20):
            assert found(table, f"10.0.0.{number}") == "ap"
            assert found(table, f"10.0.0.{number}") == "ap"
            assert found(table, f"203.0.113.{number}") is None

    @given(st.integers(0, 2**32 - 1), st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)), max_size=8))
    def test_find_agrees_with_trying_each_prefix(self, address: int, prefixes: list[tuple[int, int]]) -> None:
        """The table finds what a search through all networks finds."""
        networks = {ip_network((number, length), strict=False) for number, length in prefixes}
        table = Clients([make_client(str(network), str(network)) for network in networks])
        host = str(IPv4Address(address))
        holding = [network for network in networks if IPv4Address(address) in network]
        longest = max(holding, key=lambda network: network.prefixlen, default=None)
        assert found(table, host) == (None if longest is None else str(longest))


class TestStates:
    def test_same_client_keeps_its_state_and_a_changed_one_does_not(self) -> None:
        """What is computed from a secret is computed once."""
        first = Clients([make_client("a", "10.0.0.1/32"), make_client("b", "10.0.0.2/32")])
        changed = replace(make_client("b", "10.0.0.2/32"), secret=SharedSecret(b"another secret for this"))
        second = Clients([make_client("a", "10.0.0.1/32"), changed], first.states)
        assert second.find("10.0.0.1") is first.find("10.0.0.1")
        assert second.find("10.0.0.2") is not first.find("10.0.0.2")
