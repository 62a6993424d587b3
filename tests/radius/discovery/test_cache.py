"""What is remembered of realms, who waits, and what may begin."""

from ipaddress import ip_address

import pytest

from radius.discovery.cache import (
    BACK_OFF_SECONDS,
    LOOKUP_BURST,
    LOOKUPS_PER_SECOND,
    MAX_LOOKUPS,
    MAX_LOOKUPS_PER_ASKER,
    MAX_WAITERS,
    MAX_WAITERS_PER_REALM,
    RETRY_SECONDS,
    STALE_SECONDS,
    DiscoveryCache,
    Outcome,
    Pending,
    Targets,
)
from radius.discovery.guards import Asker, Refusal, Target, asker_at
from radius.discovery.walk import Finding, Found

ASKER = Asker("one")
OTHER = Asker("two")
FOUND = Found((Target("radius.lib.example", 2083, (ip_address("9.9.9.9"),)),), 100)
MOVED = Found((Target("new.lib.example", 2083, (ip_address("9.9.9.8"),)),), 100)
PERMANENT = (Refusal.NO_NAME, Refusal.NO_SERVICE, Refusal.NOT_OFFERED, Refusal.LOOP_TO_SELF, Refusal.TOO_MANY_RECORDS)
PASSING = (Refusal.NAMESERVER_FAILED, Refusal.TIMED_OUT)


class Bench:
    """A cache, and what everybody who waited was told."""

    def __init__(self, **options: int) -> None:
        self.cache = DiscoveryCache(**options)
        self.told: list[Outcome] = []

    def find(self, realm: str, now: float, asker: Asker = ASKER) -> Outcome | Pending:
        return self.cache.find(realm, asker, now, lambda outcome, _: self.told.append(outcome))

    def finish(self, realm: str, finding: Finding, now: float) -> None:
        for resume, outcome in self.cache.finish(realm, finding, now):
            resume(outcome, now)

    def learn(self, realm: str, finding: Finding, now: float, asker: Asker = ASKER) -> None:
        """The realm is asked for and looked up within no time."""
        assert isinstance(self.find(realm, now, asker), Pending)
        assert self.cache.take_lookups() == [realm]
        self.finish(realm, finding, now)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def hosts(outcome: Outcome | Pending) -> list[str]:
    assert isinstance(outcome, Targets)
    return [target.host for target in outcome.targets]


class TestFind:
    """Asking for a realm."""

    def test_first_one_waits_and_is_told(self, bench: Bench) -> None:
        """A realm that is not known is looked up, and who asked is told what was found."""
        assert isinstance(bench.find("lib.example", 0.0), Pending)
        assert bench.cache.take_lookups() == ["lib.example"]
        bench.finish("lib.example", FOUND, 1.0)
        assert bench.told == [Targets("lib.example", FOUND.targets, 101.0)]

    def test_lookups_of_one_realm_coalesce(self, bench: Bench) -> None:
        """However many ask for a realm at once, it is looked up once, and all are told."""
        for asker in (ASKER, OTHER, ASKER):
            bench.find("lib.example", 0.0, asker)
        assert bench.cache.take_lookups() == ["lib.example"]
        assert bench.cache.take_lookups() == []
        bench.finish("lib.example", FOUND, 1.0)
        assert len(bench.told) == 3

    def test_known_realm_is_answered_until_its_ttl(self, bench: Bench) -> None:
        """What was found holds for its seconds, and not one longer."""
        bench.learn("lib.example", FOUND, 0.0)
        assert hosts(bench.find("lib.example", 74.9)) == ["radius.lib.example"]
        assert bench.cache.take_lookups() == []
        assert isinstance(bench.find("lib.example", 100.0), Pending)

    def test_realm_in_use_is_refreshed_before_anybody_waits(self, bench: Bench) -> None:
        """After three quarters of the TTL the next request begins a lookup and is answered from what is known."""
        bench.learn("lib.example", FOUND, 0.0)
        assert hosts(bench.find("lib.example", 75.0)) == ["radius.lib.example"]
        assert hosts(bench.find("lib.example", 75.1)) == ["radius.lib.example"]
        assert bench.cache.take_lookups() == ["lib.example"]
        bench.finish("lib.example", MOVED, 76.0)
        assert hosts(bench.find("lib.example", 120.0)) == ["new.lib.example"]
        assert len(bench.told) == 1  # only the first one ever waited

    def test_who_gave_up_is_not_told(self, bench: Bench) -> None:
        """A request that was cancelled hears nothing; the lookup goes on for the next one."""
        pending = bench.find("lib.example", 0.0)
        assert isinstance(pending, Pending)
        pending.cancel()
        pending.cancel()
        assert bench.cache.waiting == 0
        bench.finish("lib.example", FOUND, 1.0)
        assert bench.told == []
        assert hosts(bench.find("lib.example", 2.0)) == ["radius.lib.example"]

    def test_nobody_is_sent_to_himself(self, bench: Bench) -> None:
        """A realm that leads to the peer that asks is a loop for that peer, from the lookup and from memory alike."""
        asker = asker_at("loop", "9.9.9.9")
        bench.find("lib.example", 0.0)
        bench.find("lib.example", 0.0, asker)
        bench.finish("lib.example", FOUND, 0.0)
        assert bench.told == [Targets("lib.example", FOUND.targets, 100.0), Refusal.LOOP_TO_ASKER]
        assert bench.find("lib.example", 1.0, asker) is Refusal.LOOP_TO_ASKER
        assert hosts(bench.find("lib.example", 1.0)) == ["radius.lib.example"]


class TestRefused:
    """Negative entries."""

    @pytest.mark.parametrize("refusal", PERMANENT)
    def test_permanent_refusal_is_kept_for_the_back_off(self, bench: Bench, refusal: Refusal) -> None:
        """A realm without servers is refused at once for 600 s, and then asked for again (RFC 7585 §3.4.2)."""
        bench.learn("lib.example", refusal, 0.0)
        assert bench.told == [refusal]
        assert bench.find("lib.example", BACK_OFF_SECONDS - 0.1) is refusal
        assert bench.cache.take_lookups() == []
        assert isinstance(bench.find("lib.example", BACK_OFF_SECONDS), Pending)

    @pytest.mark.parametrize("refusal", PASSING)
    def test_hiccup_blocks_a_realm_for_seconds(self, bench: Bench, refusal: Refusal) -> None:
        """A DNS server that fails once does not cost a realm ten minutes."""
        bench.learn("lib.example", refusal, 0.0)
        assert bench.find("lib.example", RETRY_SECONDS - 0.1) is refusal
        assert isinstance(bench.find("lib.example", RETRY_SECONDS), Pending)

    def test_hiccups_in_a_row_wait_longer_up_to_a_minute(self, bench: Bench) -> None:
        """The wait doubles while the DNS keeps failing, to a minute at most; one success resets it."""
        now = 0.0
        for wait in (5, 10, 20, 40, 60, 60):
            bench.learn("lib.example", Refusal.TIMED_OUT, now)
            assert bench.find("lib.example", now + wait - 0.1) is Refusal.TIMED_OUT
            now += wait
        bench.learn("lib.example", FOUND, now)
        now += FOUND.seconds + STALE_SECONDS
        bench.learn("lib.example", Refusal.TIMED_OUT, now)
        assert isinstance(bench.find("lib.example", now + RETRY_SECONDS), Pending)

    def test_known_realm_outlives_a_failing_dns(self, bench: Bench) -> None:
        """While the DNS fails, what was known is used on for half an hour, and asked for again and again."""
        bench.learn("lib.example", FOUND, 0.0)
        now = 100.0
        while now < 100.0 + STALE_SECONDS:
            outcome = bench.find("lib.example", now)
            if isinstance(outcome, Pending):
                bench.cache.take_lookups()
                bench.finish("lib.example", Refusal.NAMESERVER_FAILED, now)
            now += 10
        assert {type(outcome) for outcome in bench.told} == {Targets}
        bench.find("lib.example", now)
        bench.finish("lib.example", Refusal.NAMESERVER_FAILED, now)
        assert bench.told[-1] is Refusal.NAMESERVER_FAILED

    def test_known_realm_does_not_outlive_a_plain_no(self, bench: Bench) -> None:
        """When its owner takes the records away, the realm is gone with the next lookup."""
        bench.learn("lib.example", FOUND, 0.0)
        bench.find("lib.example", 75.0)
        bench.finish("lib.example", Refusal.NO_SERVICE, 75.0)
        assert bench.find("lib.example", 76.0) is Refusal.NO_SERVICE

    def test_report_of_a_wrong_certificate_blocks_the_realm(self, bench: Bench) -> None:
        """Servers whose certificate does not hold the realm are not connected to again for the long back-off."""
        bench.learn("lib.example", FOUND, 0.0)
        bench.cache.report("lib.example", Refusal.CERTIFICATE, 10.0)
        assert bench.find("lib.example", 10.0 + BACK_OFF_SECONDS - 1) is Refusal.CERTIFICATE

    def test_report_of_unreachable_servers_blocks_it_shortly(self, bench: Bench) -> None:
        """Servers that can not be connected to are looked for again after a few seconds."""
        bench.learn("lib.example", FOUND, 0.0)
        bench.cache.report("lib.example", Refusal.UNREACHABLE, 10.0)
        assert bench.find("lib.example", 14.0) is Refusal.UNREACHABLE
        assert isinstance(bench.find("lib.example", 15.0), Pending)

    def test_report_of_a_realm_that_is_not_known_changes_nothing(self, bench: Bench) -> None:
        """A late report does not touch what has been learnt since, nor make an entry."""
        bench.cache.report("lib.example", Refusal.UNREACHABLE, 0.0)
        bench.learn("gone.example", Refusal.NO_NAME, 0.0)
        bench.cache.report("gone.example", Refusal.UNREACHABLE, 0.0)
        assert len(bench.cache) == 1
        assert bench.find("gone.example", 1.0) is Refusal.NO_NAME

    def test_forget_and_clear_ask_anew(self, bench: Bench) -> None:
        """A realm, or all, can be forgotten, also while a lookup is under way."""
        bench.learn("a.example", Refusal.NO_NAME, 0.0)
        bench.learn("b.example", FOUND, 0.0)
        bench.cache.forget("a.example")
        bench.cache.forget("never.example")
        assert isinstance(bench.find("a.example", 1.0), Pending)
        bench.cache.clear()
        assert isinstance(bench.find("b.example", 1.0), Pending)
        bench.finish("a.example", FOUND, 1.0)
        assert hosts(bench.find("a.example", 2.0)) == ["radius.lib.example"]


class TestBounds:
    """Floods."""

    def test_waiters_of_one_realm_are_bounded(self, bench: Bench) -> None:
        """More requests for one slow realm than may wait are refused at once."""
        outcomes = [bench.find("slow.example", 0.0) for _ in range(MAX_WAITERS_PER_REALM + 1)]
        assert outcomes[-1] is Refusal.BUSY
        assert bench.cache.waiting == MAX_WAITERS_PER_REALM

    def test_waiters_in_all_are_bounded(self, bench: Bench) -> None:
        """All slow realms together hold a bounded number of requests."""
        for n in range(MAX_LOOKUPS):
            for _ in range(MAX_WAITERS_PER_REALM):
                bench.find(f"r{n}.example", 0.0, Asker(str(n)))
        assert bench.cache.waiting == MAX_WAITERS

    def test_lookups_of_one_asker_leave_room_for_others(self, bench: Bench) -> None:
        """An asker with slow realms uses up his own lookups; another one's begin at once."""
        outcomes = [bench.find(f"r{n}.example", 0.0) for n in range(MAX_LOOKUPS_PER_ASKER + 1)]
        assert outcomes[-1] is Refusal.BUSY
        assert isinstance(bench.find("good.example", 0.0, OTHER), Pending)
        bench.finish("r0.example", Refusal.TIMED_OUT, 1.0)
        assert isinstance(bench.find("last.example", 1.0), Pending)

    def test_lookups_in_all_are_bounded(self, bench: Bench) -> None:
        """No number of askers begins more lookups than the bound."""
        for n in range(MAX_LOOKUPS + 10):
            bench.find(f"r{n}.example", 0.0, Asker(str(n)))
        assert bench.cache.lookups == len(bench.cache.take_lookups()) == MAX_LOOKUPS

    def test_rate_of_one_asker_is_bounded(self, bench: Bench) -> None:
        """Random realms, refused quickly, begin a burst of lookups and then so many a second (the DNS is not ours)."""
        begun = 0
        for n in range(2000):
            now = n / 200  # 200 a second, for ten seconds
            if isinstance(bench.find(f"r{n}.example", now), Pending):
                begun += 1
                bench.finish(f"r{n}.example", Refusal.NO_NAME, now)
        assert begun == pytest.approx(LOOKUP_BURST + 10 * LOOKUPS_PER_SECOND, abs=2)
        assert isinstance(bench.find("good.example", 10.0, OTHER), Pending)

    def test_budgets_of_many_askers_are_forgotten_when_full(self, bench: Bench) -> None:
        """An asker that was quiet for long takes no memory, and has his whole burst again."""
        for n in range(5000):
            bench.learn("r.example", Refusal.NO_NAME, n * 1000.0, Asker(f"asker{n}"))
        assert bench.cache.askers <= 4096

    def test_flood_of_random_realms_pushes_out_the_flooders_own(self) -> None:
        """When memory is full the asker with most gives up his oldest; others' realms, known and refused, stay."""
        bench = Bench(max_realms=100)
        bench.learn("lib.example", FOUND, 0.0, OTHER)
        bench.learn("gone.example", Refusal.NO_NAME, 0.0, OTHER)
        for n in range(1000):
            bench.learn(f"r{n}.example", Refusal.NO_NAME, n * 0.09)
        assert len(bench.cache) == 100
        assert bench.cache.evicted == 902
        assert hosts(bench.find("lib.example", 60.0, OTHER)) == ["radius.lib.example"]
        assert bench.find("gone.example", 60.0, OTHER) is Refusal.NO_NAME

    def test_last_realm_of_an_asker_goes_too(self) -> None:
        """Who asked long ago keeps no place that another needs; his realm is looked up anew."""
        bench = Bench(max_realms=1)
        bench.learn("lib.example", FOUND, 0.0)
        bench.learn("other.example", FOUND, 1.0, OTHER)
        assert (len(bench.cache), bench.cache.evicted) == (1, 1)
        bench.learn("lib.example", MOVED, 2.0)
        assert hosts(bench.find("lib.example", 3.0)) == ["new.lib.example"]

    def test_refused_realms_go_before_known_ones(self) -> None:
        """Of one asker's realms those that lead nowhere are given up first, then those used longest ago."""
        bench = Bench(max_realms=3)
        bench.learn("a.example", FOUND, 0.0)
        bench.learn("b.example", FOUND, 1.0)
        bench.learn("no.example", Refusal.NO_NAME, 2.0)
        bench.find("a.example", 3.0)
        bench.learn("c.example", FOUND, 4.0)  # pushes out no.example
        bench.learn("d.example", FOUND, 5.0)  # pushes out b.example
        assert hosts(bench.find("a.example", 6.0))
        assert isinstance(bench.find("b.example", 6.0), Pending)
