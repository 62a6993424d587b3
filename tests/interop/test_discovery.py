"""Dynamic discovery against a real nameserver, with realms as they should be and as somebody may make them."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from ipaddress import ip_address
from time import monotonic

import pytest

from radius.discovery.cache import Outcome, Pending, Targets
from radius.discovery.guards import Asker, Refusal, Rules, asker_at
from radius.transport.discovery import Discovery, is_own_address
from radius.transport.nameservers import Nameserver
from tests.interop.zones import LAB, ZONE
from tests.support.nameserver import start_knot
from tests.support.processes import free_port

pytestmark = pytest.mark.interop

STRANGER = asker_at("stranger", "9.9.8.8")


@pytest.fixture(scope="module")
def nameserver(tmp_path_factory: pytest.TempPathFactory) -> Generator[Nameserver]:
    """Knot, with a zone of realms and one that it can not load."""
    port = free_port()
    with start_knot(tmp_path_factory.mktemp("knot"), port=port, zones={"example": ZONE, "broken.test": None}):
        yield "127.0.0.1", port


@pytest.fixture
async def discovery(nameserver: Nameserver) -> AsyncGenerator[Discovery]:
    """Discovery with the rules as they are by default, on this machine."""
    made = Discovery(Rules(is_own=is_own_address), [nameserver])
    yield made
    await made.close()


@pytest.fixture
async def lab(nameserver: Nameserver) -> AsyncGenerator[Discovery]:
    """The same in a lab, where loopback addresses are allowed by configuration."""
    made = Discovery(Rules(is_own=is_own_address, allowed_networks=LAB), [nameserver])
    yield made
    await made.close()


async def find(discovery: Discovery, realm: str, asker: Asker = STRANGER) -> Outcome:
    """What a request for the realm gets, at once or after its wait."""
    told: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    outcome = discovery.find(realm, asker, monotonic(), lambda each, _: told.set_result(each))
    if isinstance(outcome, Pending):
        async with asyncio.timeout(5):
            return await told
    return outcome


def ignore(outcome: Outcome, now: float) -> None:
    """Who asks here does not wait."""


def places(outcome: Outcome) -> list[tuple[str, int, list[str]]]:
    assert isinstance(outcome, Targets), outcome
    return [(target.host, target.port, [str(each) for each in target.addresses]) for target in outcome.targets]


FED = ("radius.fed.example", 2083, ["2620:fe::9", "9.9.9.9"])


class TestGoodRealms:
    """Realms that are found."""

    @pytest.mark.parametrize("name", ["greatlib", "alias", "flaga", "step"])
    async def test_realm_leads_to_its_server(self, discovery: Discovery, name: str) -> None:
        """NAPTR with flag "s", "a" and none, and behind a CNAME, all lead to the federation's server."""
        assert places(await find(discovery, f"{name}.example")) == [FED]

    async def test_shortest_ttl_of_the_chain_holds(self, discovery: Discovery) -> None:
        """The NAPTR record says 300 s and the others 120: what was found holds for 120."""
        outcome = await find(discovery, "greatlib.example")
        assert isinstance(outcome, Targets)
        assert outcome.expires_at - monotonic() == pytest.approx(120, abs=5)

    @pytest.mark.parametrize(("name", "seconds"), [("zero", 60), ("forever", 3600)])
    async def test_extreme_ttl_is_bounded(self, discovery: Discovery, name: str, seconds: int) -> None:
        """A TTL of 0 counts as a minute (RFC 7585 §3.4.2), the longest one as an hour."""
        outcome = await find(discovery, f"{name}.example")
        assert isinstance(outcome, Targets)
        assert outcome.expires_at - monotonic() == pytest.approx(seconds, abs=5)

    async def test_answer_too_large_for_udp_comes_by_tcp(self, discovery: Discovery) -> None:
        """Records of many federations do not fit a datagram; they are fetched by TCP (RFC 7766)."""
        assert places(await find(discovery, "big.example")) == [FED]

    async def test_private_address_is_left_out(self, discovery: Discovery) -> None:
        """Of a server with a private and a public address, the public one is given."""
        assert places(await find(discovery, "mixed.example")) == [("radius.mixed.example", 2083, ["9.9.9.10"])]

    async def test_other_tag_by_configuration(self, nameserver: Nameserver) -> None:
        """Realms of another federation are found when its tag is configured."""
        discovery = Discovery(Rules(services=("x-eduroam:radius.tls",)), [nameserver])
        assert places(await find(discovery, "eduroam.example")) == [FED]
        assert await find(discovery, "greatlib.example") is Refusal.NO_SERVICE


class TestBadRealms:
    """Realms that nobody should be able to make trouble with."""

    @pytest.mark.parametrize(
        ("name", "refusal"),
        [
            ("loopback", Refusal.ADDRESS_NOT_ALLOWED),
            ("private", Refusal.ADDRESS_NOT_ALLOWED),
            ("nosrv", Refusal.NO_NAME),
            ("closed", Refusal.NOT_OFFERED),
            ("shell", Refusal.RECORD_MALFORMED),
            ("shell2", Refusal.RECORD_MALFORMED),
            ("expression", Refusal.RECORD_MALFORMED),
            ("cname1", Refusal.CHAIN_TOO_LONG),
            ("crowd", Refusal.TOO_MANY_RECORDS),
            ("hundred", Refusal.TOO_MANY_RECORDS),
            ("silent", Refusal.NO_SERVICE),
            ("eduroam", Refusal.NO_SERVICE),
            ("missing", Refusal.NO_NAME),
        ],
    )
    async def test_realm_is_refused_and_remembered(self, discovery: Discovery, name: str, refusal: Refusal) -> None:
        """Each is refused with its reason within the wait, and from memory the next time."""
        began = monotonic()
        assert await find(discovery, f"{name}.example") is refusal
        assert monotonic() - began < 3.2
        assert discovery.find(f"{name}.example", STRANGER, monotonic() + 500, ignore) is refusal

    async def test_failing_zone_is_asked_for_again_soon(self, discovery: Discovery) -> None:
        """SERVFAIL, and REFUSED for a zone that the nameserver does not know, block a realm for seconds only."""
        for name in ("lib.broken.test", "lib.elsewhere.test"):
            assert await find(discovery, name) is Refusal.NAMESERVER_FAILED
            assert isinstance(discovery.find(name, STRANGER, monotonic() + 6, ignore), Pending)

    async def test_realm_that_leads_to_this_node_is_a_loop(self, lab: Discovery) -> None:
        """A server on an address of this machine and the port of RADIUS/TLS is this node (RFC 7585 §3.4.4)."""
        assert await find(lab, "itself.example") is Refusal.LOOP_TO_SELF

    async def test_other_port_of_an_allowed_network_is_found(self, lab: Discovery) -> None:
        """In a network that is allowed by configuration another server may share the machine."""
        assert places(await find(lab, "local.example")) == [("radius.local.example", 8080, ["::1", "127.0.0.3"])]

    async def test_realm_that_leads_to_the_asker_is_a_loop_for_him(self, discovery: Discovery) -> None:
        """The peer that serves the realm is not sent its own requests; everybody else is sent there."""
        assert await find(discovery, "asker.example", asker_at("lib", "9.9.9.77")) is Refusal.LOOP_TO_ASKER
        assert places(await find(discovery, "asker.example")) == [("radius.asker.example", 2083, ["9.9.9.77"])]

    async def test_many_requests_cost_one_lookup(self, discovery: Discovery) -> None:
        """Fifty requests for one realm are answered by one lookup."""
        outcomes = await asyncio.gather(*(find(discovery, "greatlib.example") for _ in range(50)))
        assert {places(outcome)[0][0] for outcome in outcomes} == {"radius.fed.example"}
        assert discovery.counters()["found"] == 1


def test_own_addresses_are_known() -> None:
    """An address of this machine is its own, one of somebody else is not."""
    assert is_own_address(ip_address("127.0.0.1"))
    assert not is_own_address(ip_address("9.9.9.9"))
    assert not is_own_address(ip_address("2620:fe::9"))
