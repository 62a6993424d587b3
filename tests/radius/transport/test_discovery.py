"""Dynamic discovery on real time, with nameservers that do as they are told."""

import asyncio
import logging
from time import monotonic

import dns.message
import dns.rcode
import pytest

from radius.discovery.cache import Outcome, Pending, Targets
from radius.discovery.guards import Asker, Refusal, Rules
from radius.discovery.ports import HOLD_SECONDS, RealmDiscovery
from radius.discovery.walk import Found
from radius.transport.discovery import Discovery, trace
from tests.support.nameserver import answer_with, scripted_nameserver

ASKER = Asker("one")
NAPTR = '100 10 "s" "x-biebroam:radius.tls" "" _radsec._tcp.lib.example.'
REALM = "lib.example"


def good_realm(query: dns.message.Message) -> bytes | None:
    """Every name has the records of a good realm."""
    records = {"NAPTR": NAPTR, "SRV": "0 0 2083 radius.lib.example.", "A": "9.9.9.9", "AAAA": "2620:fe::9"}
    return answer_with(records[query.question[0].rdtype.name])(query)


class Told:
    """Who waits, and what it is told."""

    def __init__(self) -> None:
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def resume(self, outcome: Outcome, now: float) -> None:
        assert now == pytest.approx(monotonic(), abs=1)
        self.outcome.set_result(outcome)  # a second time would raise

    async def wait(self) -> Outcome:
        async with asyncio.timeout(5):
            return await self.outcome


class TestDiscovery:
    async def test_realm_is_found_and_then_known(self) -> None:
        """The first request waits for the DNS, the second is answered at once."""
        async with scripted_nameserver(good_realm) as server:
            discovery: RealmDiscovery = Discovery(Rules(), [server.nameserver])
            told = Told()
            assert isinstance(discovery.find(REALM, ASKER, monotonic(), told.resume), Pending)
            assert isinstance(await told.wait(), Targets)
            assert server.asked == 4
            assert isinstance(discovery.find(REALM, ASKER, monotonic(), told.resume), Targets)
            assert server.asked == 4

    async def test_nobody_waits_longer_than_three_seconds(self) -> None:
        """A nameserver that takes ten seconds costs a request three (RFC 7585 §3.4.2), and the loop nothing."""
        async with scripted_nameserver(good_realm, delay=10) as slow:
            discovery = Discovery(Rules(), [slow.nameserver])
            told, began = Told(), monotonic()
            discovery.find(REALM, ASKER, began, told.resume)
            assert await told.wait() is Refusal.TIMED_OUT
            assert HOLD_SECONDS - 0.2 < monotonic() - began < HOLD_SECONDS + 0.5
            assert discovery.find(REALM, ASKER, monotonic(), told.resume) is Refusal.TIMED_OUT
            assert isinstance(discovery.find(REALM, ASKER, monotonic() + 5, Told().resume), Pending)
            await discovery.close()

    async def test_half_the_dns_is_enough(self) -> None:
        """Where questions for AAAA are never answered, the IPv4 addresses are used when time is up."""

        def without_aaaa(query: dns.message.Message) -> bytes | None:
            return None if query.question[0].rdtype.name == "AAAA" else good_realm(query)

        async with scripted_nameserver(without_aaaa) as server:
            discovery = Discovery(Rules(), [server.nameserver], hold_seconds=0.3)
            told = Told()
            discovery.find(REALM, ASKER, monotonic(), told.resume)
            outcome = await told.wait()
        assert isinstance(outcome, Targets)
        assert [str(address) for address in outcome.targets[0].addresses] == ["9.9.9.9"]

    async def test_close_tells_who_waits(self) -> None:
        """When the service ends, requests that wait are told so, also those that have just come."""
        async with scripted_nameserver(lambda _: None) as silent:
            discovery = Discovery(Rules(), [silent.nameserver])
            told = Told()
            discovery.find(REALM, ASKER, monotonic(), told.resume)
            await discovery.close()
            assert await told.wait() is Refusal.NAMESERVER_FAILED
            assert discovery.counters()["lookups"] == 0

    async def test_one_bad_waiter_does_not_cost_the_others(self, caplog: pytest.LogCaptureFixture) -> None:
        """A bug in one request's continuation is logged, and the next one is told all the same."""

        def fail(outcome: Outcome, now: float) -> None:
            raise RuntimeError

        async with scripted_nameserver(good_realm) as server:
            discovery = Discovery(Rules(), [server.nameserver])
            told = Told()
            discovery.find(REALM, ASKER, monotonic(), fail)
            discovery.find(REALM, ASKER, monotonic(), told.resume)
            assert isinstance(await told.wait(), Targets)
        assert "internal_error" in caplog.messages

    async def test_bug_on_the_way_leaves_nobody_waiting(self, caplog: pytest.LogCaptureFixture) -> None:
        """Whatever goes wrong in a lookup, who waits is told and the realm can be asked for again."""

        def fail() -> float:
            raise RuntimeError

        async with scripted_nameserver(good_realm) as server:
            discovery = Discovery(Rules(), [server.nameserver], random_fraction=fail)
            told = Told()
            discovery.find(REALM, ASKER, monotonic(), told.resume)
            assert await told.wait() is Refusal.NAMESERVER_FAILED
        assert "internal_error" in caplog.messages

    async def test_report_and_forget_reach_the_cache(self) -> None:
        """Servers that were no good are not returned again, until the realm is forgotten."""
        async with scripted_nameserver(good_realm) as server:
            discovery = Discovery(Rules(), [server.nameserver])
            told = Told()
            discovery.find(REALM, ASKER, monotonic(), told.resume)
            await told.wait()
            discovery.report(REALM, Refusal.CERTIFICATE, monotonic())
            assert discovery.find(REALM, ASKER, monotonic(), told.resume) is Refusal.CERTIFICATE
            discovery.forget(REALM)
            again = Told()
            discovery.find(REALM, ASKER, monotonic(), again.resume)
            assert isinstance(await again.wait(), Targets)

    async def test_counters_and_lines_tell_what_happened(self, caplog: pytest.LogCaptureFixture) -> None:
        """Each lookup is counted; what anybody can cause by typing a name is told at debug only."""
        caplog.set_level(logging.INFO, "radius.transport.discovery")
        async with (
            scripted_nameserver(good_realm) as good,
            scripted_nameserver(answer_with(rcode=dns.rcode.NXDOMAIN)) as empty,
        ):
            for server in (good, empty):
                discovery = Discovery(Rules(), [server.nameserver])
                told = Told()
                discovery.find(REALM, ASKER, monotonic(), told.resume)
                await told.wait()
        assert caplog.messages == ["realm_discovered"]
        counters = discovery.counters()
        assert counters.pop("seconds") == pytest.approx(0.5, abs=0.5)
        assert counters == {
            "found": 0,
            "refused": {"discovery_no_name": 1},
            "realms": 1,
            "evicted": 0,
            "lookups": 0,
            "waiting": 0,
        }

    async def test_thousand_random_realms_leave_the_loop_alone(self) -> None:
        """A flood of names begins a bounded number of lookups and is refused at once beyond."""
        async with scripted_nameserver(answer_with(rcode=dns.rcode.NXDOMAIN)) as server:
            discovery = Discovery(Rules(), [server.nameserver])
            began = monotonic()
            outcomes = [discovery.find(f"r{n}.example", ASKER, began, Told().resume) for n in range(1000)]
            assert monotonic() - began < 0.5
            assert sum(outcome is Refusal.BUSY for outcome in outcomes) == 1000 - 16
            await discovery.close()
            assert server.asked <= 16


async def test_trace_tells_every_question_and_remembers_nothing() -> None:
    """What is found, and on the way there each question with its answer; a second time all is asked again."""
    async with scripted_nameserver(good_realm) as server:
        for times in (1, 2):
            finding, log = await trace(REALM, Rules(), [server.nameserver])
            assert isinstance(finding, Found)
            assert [question.kind.value for question, _ in log] == ["NAPTR", "SRV", "AAAA", "A"]
            assert server.asked == 4 * times


async def test_it_runs_on_uvloop() -> None:
    """The proxy's loop is uvloop where it is installed; discovery works there too."""
    import uvloop  # noqa: PLC0415 - only here

    async def discover() -> Outcome:
        async with scripted_nameserver(good_realm) as server:
            discovery = Discovery(Rules(), [server.nameserver])
            told = Told()
            discovery.find(REALM, ASKER, monotonic(), told.resume)
            return await told.wait()

    def run() -> Outcome:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(discover())

    assert isinstance(await asyncio.to_thread(run), Targets)
