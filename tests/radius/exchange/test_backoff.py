"""When a lost connection is dialled again."""

from radius.exchange.backoff import AT_ONCE_SECONDS, FIRST_PAUSE_SECONDS, MAXIMUM_PAUSE_SECONDS, Backoff


class TestBackoff:
    def test_connection_that_stood_is_dialled_at_once(self) -> None:
        """A peer that restarts is dialled within a moment, at a random time in it."""
        backoff = Backoff()
        backoff.succeed(100.0)
        assert backoff.next_pause(0.5, 200.0) == AT_ONCE_SECONDS / 2

    def test_failed_attempts_come_later_and_later(self) -> None:
        """Each pause is twice the one before, up to a minute."""
        backoff = Backoff()
        pauses = [backoff.next_pause(0.0, float(number)) for number in range(12)]
        assert pauses[:4] == [FIRST_PAUSE_SECONDS * factor for factor in (1, 2, 4, 8)]
        assert pauses[-1] == MAXIMUM_PAUSE_SECONDS

    def test_pause_after_a_failure_is_never_shorter_than_the_first(self) -> None:
        """Chance makes a pause longer, never shorter."""
        assert Backoff().next_pause(1.0, 0.0) > Backoff().next_pause(0.0, 0.0) == FIRST_PAUSE_SECONDS

    def test_connection_that_falls_at_once_counts_as_failed(self) -> None:
        """A peer that accepts and closes is not dialled in a circle."""
        backoff = Backoff()
        backoff.succeed(100.0)
        assert backoff.next_pause(0.0, 100.1) == FIRST_PAUSE_SECONDS
        backoff.succeed(101.0)
        assert backoff.next_pause(0.0, 101.1) == 2 * FIRST_PAUSE_SECONDS

    def test_long_connection_forgets_earlier_failures(self) -> None:
        """After a connection that stood the pauses begin anew."""
        backoff = Backoff()
        for _ in range(5):
            backoff.next_pause(0.0, 0.0)
        backoff.succeed(10.0)
        assert backoff.next_pause(0.0, 20.0) == 0.0
        assert backoff.next_pause(0.0, 20.1) == FIRST_PAUSE_SECONDS

    def test_connection_that_the_peer_spoils_counts_as_failed(self) -> None:
        """Garbage after some seconds, again and again, comes later and later."""
        backoff = Backoff()
        pauses: list[float] = []
        for number in range(4):
            backoff.succeed(100.0 * number)
            backoff.spoil(100.0 * number + 59)
            pauses.append(backoff.next_pause(0.0, 100.0 * number + 59))
        assert pauses == [FIRST_PAUSE_SECONDS * factor for factor in (1, 2, 4, 8)]

    def test_garbage_once_in_a_while_is_no_failure(self) -> None:
        """One that stood for a minute is dialled at once, however it ended; one that never stood has failed."""
        backoff = Backoff()
        backoff.spoil(0.0)
        assert backoff.next_pause(0.0, 0.0) == FIRST_PAUSE_SECONDS
        backoff.succeed(100.0)
        backoff.spoil(160.0)
        assert backoff.next_pause(0.0, 160.0) == 0.0
