"""Where a discovered server may be."""

from ipaddress import ip_address, ip_network

import pytest

from radius.discovery.guards import Asker, Refusal, Rules, Target, asker_at, judge_address, leads_back
from radius.discovery.records import IPAddress

UNREACHABLE = (
    "127.0.0.1",
    "127.255.255.254",
    "::1",
    "0.0.0.0",
    "::",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",  # the metadata service of clouds
    "fe80::1",
    "fd00::1",
    "fec0::1",
    "224.0.0.1",
    "239.1.1.1",
    "ff02::1",
    "ff0e::1",
    "255.255.255.255",
    "240.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "2001:db8::1",
    "2001::1",
    "192.88.99.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2002:a00:1::1",
)


def own(*texts: str) -> frozenset[IPAddress]:
    return frozenset(map(ip_address, texts))


class TestJudgeAddress:
    """Whether something may be connected to."""

    @pytest.mark.parametrize("text", UNREACHABLE)
    def test_address_that_is_not_global_unicast_is_refused(self, text: str) -> None:
        """Loopback, link-local, private, multicast and reserved addresses are refused, wrapped in IPv6 too."""
        assert judge_address(ip_address(text), 2083, Rules()) is Refusal.ADDRESS_NOT_ALLOWED

    @pytest.mark.parametrize("text", ["9.9.9.9", "2620:fe::9", "::ffff:9.9.9.9", "64:ff9b::909:909"])
    def test_global_unicast_address_passes(self, text: str) -> None:
        """An address of the open internet may be connected to."""
        assert judge_address(ip_address(text), 2083, Rules()) is None

    def test_network_of_the_configuration_passes(self) -> None:
        """A private network that the configuration names may be connected to; its neighbours may not."""
        rules = Rules(allowed_networks=(ip_network("10.9.0.0/16"),))
        assert judge_address(ip_address("10.9.1.1"), 2083, rules) is None
        assert judge_address(ip_address("10.8.1.1"), 2083, rules) is Refusal.ADDRESS_NOT_ALLOWED

    def test_own_address_is_a_loop_at_any_port(self) -> None:
        """An own address is refused at every port: other services of this machine are no home servers."""
        rules = Rules(is_own=own("9.9.9.9").__contains__)
        assert judge_address(ip_address("9.9.9.9"), 2083, rules) is Refusal.LOOP_TO_SELF
        assert judge_address(ip_address("9.9.9.9"), 8080, rules) is Refusal.LOOP_TO_SELF
        assert judge_address(ip_address("::ffff:9.9.9.9"), 2083, rules) is Refusal.LOOP_TO_SELF

    def test_own_address_in_an_allowed_network_is_a_loop_at_an_own_port(self) -> None:
        """Where several servers share a machine by configuration, only this node's own port is a loop."""
        rules = Rules(
            is_own=own("127.0.0.1").__contains__,
            allowed_networks=(ip_network("127.0.0.0/8"),),
            own_ports=frozenset({2083, 12083}),
        )
        assert judge_address(ip_address("127.0.0.1"), 12083, rules) is Refusal.LOOP_TO_SELF
        assert judge_address(ip_address("127.0.0.1"), 22083, rules) is None


class TestLeadsBack:
    """Whether the answer is the asker."""

    TARGETS = (
        Target("one.lib.example", 2083, (ip_address("9.9.9.1"),)),
        Target("two.lib.example", 2083, (ip_address("9.9.9.2"), ip_address("::ffff:9.9.9.3"))),
    )

    @pytest.mark.parametrize("address", ["9.9.9.1", "9.9.9.2", "9.9.9.3"])
    def test_any_address_of_any_target_counts(self, address: str) -> None:
        """One server that is the asker is enough to be a loop (RFC 7585 §3.4.4)."""
        assert leads_back(self.TARGETS, asker_at("peer", address))

    def test_name_in_the_asker_certificate_counts(self) -> None:
        """A peer behind another address is known by the names in its certificate."""
        assert leads_back(self.TARGETS, asker_at("peer", "9.9.8.1", names=["TWO.lib.example"]))

    def test_another_asker_is_no_loop(self) -> None:
        """Somebody else may be sent there, also one whose networks are of the other family."""
        assert not leads_back(self.TARGETS, asker_at("peer", "9.9.8.1", names=["three.lib.example"]))
        assert not leads_back(self.TARGETS, Asker("peer", (ip_network("2620:fe::/48"), ip_network("9.9.8.0/24"))))

    def test_link_local_asker_has_no_zone(self) -> None:
        """An asker's address may come with the zone of its interface."""
        assert asker_at("peer", "fe80::1%eth0").networks == (ip_network("fe80::1/128"),)
