"""Failed authentications are counted per address."""

from api.failures import ALLOWED_FAILURES, MAX_ADDRESSES, REFILL_SECONDS, Failures


class TestFailures:
    def test_allowed_failures_need_no_wait(self) -> None:
        """As many failures as allowed are answered at once; the next has to wait."""
        failures = Failures()
        waits: list[int] = []
        for _ in range(ALLOWED_FAILURES + 1):
            waits.append(failures.retry_after_seconds("192.0.2.1", 100.0))
            failures.record("192.0.2.1", 100.0)
        assert waits[:-1] == [0] * ALLOWED_FAILURES
        assert waits[-1] > 0

    def test_time_forgives(self) -> None:
        """After the announced wait one more failure is looked at."""
        failures = Failures()
        for _ in range(ALLOWED_FAILURES * 3):
            failures.record("192.0.2.1", 0.0)
        wait = failures.retry_after_seconds("192.0.2.1", 0.0)
        assert 0 < wait <= 2 * REFILL_SECONDS + 1
        assert failures.retry_after_seconds("192.0.2.1", float(wait)) == 0

    def test_addresses_are_apart(self) -> None:
        """One address's failures are not another's."""
        failures = Failures()
        for _ in range(ALLOWED_FAILURES + 1):
            failures.record("192.0.2.1", 0.0)
        assert failures.retry_after_seconds("192.0.2.2", 0.0) == 0

    def test_ipv6_counts_by_site(self) -> None:
        """All of a /64 is one host's: changing the lower half gives no new tries (RFC 4291 §2.5.4)."""
        failures = Failures()
        for host in range(ALLOWED_FAILURES + 1):
            failures.record(f"2001:db8::{host:x}", 0.0)
        assert failures.retry_after_seconds("2001:db8::ffff", 0.0) > 0
        assert failures.retry_after_seconds("2001:db8:0:1::1", 0.0) == 0

    def test_mapped_address_is_its_ipv4(self) -> None:
        """A dual-stack socket's ::ffff:192.0.2.1 is 192.0.2.1 (RFC 4291 §2.5.5.2)."""
        failures = Failures()
        for _ in range(ALLOWED_FAILURES + 1):
            failures.record("::ffff:192.0.2.1", 0.0)
        assert failures.retry_after_seconds("192.0.2.1", 0.0) > 0
        assert failures.retry_after_seconds("::ffff:192.0.2.2", 0.0) == 0

    def test_memory_is_bounded(self) -> None:
        """Failures from ever new addresses push the oldest out, and keep the newest."""
        failures = Failures(allowed=1)
        for number in range(MAX_ADDRESSES + 10):
            failures.record(f"client-{number}", 0.0)
        assert failures.retry_after_seconds("client-0", 0.0) == 0
        assert failures.retry_after_seconds(f"client-{MAX_ADDRESSES + 9}", 0.0) > 0


class TestHeaders:
    def test_tell_what_is_left(self) -> None:
        """Each failure takes one away; when none is left they say when there will be one."""
        failures = Failures(allowed=3, refill_seconds=6.0)
        seen: list[str] = []
        for _ in range(4):
            failures.record("192.0.2.1", 0.0)
            seen.append(failures.describe("192.0.2.1", 0.0)["RateLimit"])
        assert [each.split(";")[1] for each in seen] == ["r=2", "r=1", "r=0", "r=0"]
        assert seen[-1] == f'"failures";r=0;t={failures.retry_after_seconds("192.0.2.1", 0.0)}'
        assert failures.describe("192.0.2.2", 0.0)["RateLimit-Policy"] == '"failures";q=3;w=18'
        assert failures.describe("192.0.2.2", 0.0)["RateLimit"] == '"failures";r=3;t=6'
