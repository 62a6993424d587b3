"""Passwords that were right a moment ago: for minutes, for one hash, within a bound."""

from federation.identity.recent import RecentPasswords


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class TestRecentPasswords:
    def test_is_known_for_its_time(self) -> None:
        """And being asked for does not make the time longer."""
        clock = Clock()
        recent = RecentPasswords(600.0, 10, clock)
        recent.add("hash", b"geheim")
        clock.now += 599
        assert recent.has("hash", b"geheim")
        clock.now += 1
        assert not recent.has("hash", b"geheim")

    def test_belongs_to_one_hash(self) -> None:
        """Neither another password nor another patron's hash is known, however the two are put together."""
        recent = RecentPasswords()
        recent.add("hash", b"geheim")
        assert not recent.has("hash", b"Geheim")
        assert not recent.has("hashg", b"eheim")
        assert not recent.has("has", b"hgeheim")

    def test_password_is_nowhere(self) -> None:
        """Two lists have nothing in common for the same password: each process has a key of its own."""
        one, two = RecentPasswords(), RecentPasswords()
        for each in (one, two):
            each.add("hash", b"geheim")
        kept = [set(each._until) for each in (one, two)]  # pyright: ignore[reportPrivateUsage] # what memory holds
        assert not kept[0] & kept[1]
        assert all(b"geheim" not in digest for digest in kept[0] | kept[1])

    def test_has_a_bound(self) -> None:
        """The oldest go first, and those whose time is over with them."""
        clock = Clock()
        recent = RecentPasswords(600.0, 3, clock)
        for number in range(5):
            recent.add(f"hash {number}", b"geheim")
        assert [number for number in range(5) if recent.has(f"hash {number}", b"geheim")] == [2, 3, 4]
        clock.now += 600
        recent.add("hash 2", b"geheim")
        assert len(recent) == 1
