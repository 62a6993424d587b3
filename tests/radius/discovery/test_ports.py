"""What the proxy sees of discovery."""

from ipaddress import ip_address

from radius.discovery.cache import DiscoveryCache, Outcome, Pending, Targets
from radius.discovery.guards import Asker, Refusal, Target
from radius.discovery.ports import HOLD_SECONDS, RealmDiscovery
from radius.discovery.walk import Found

ASKER = Asker("one")


def resume(outcome: Outcome, now: float) -> None:
    """Nobody waits."""


def test_servers_that_are_no_good_are_not_given_again() -> None:
    """Found within the time that a request is held, reported, and refused from then on."""
    cache = DiscoveryCache()
    discovery: RealmDiscovery = cache
    assert isinstance(discovery.find("lib.example", ASKER, 0.0, resume), Pending)
    cache.finish("lib.example", Found((Target("radius.lib.example", 2083, (ip_address("9.9.9.9"),)),), 100), 1.0)
    assert isinstance(discovery.find("lib.example", ASKER, HOLD_SECONDS, resume), Targets)
    discovery.report("lib.example", Refusal.CERTIFICATE, HOLD_SECONDS)
    assert discovery.find("lib.example", ASKER, HOLD_SECONDS, resume) is Refusal.CERTIFICATE
