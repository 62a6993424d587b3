"""What one realm or client may hold."""

from radius.exchange.bulkheads import Bulkhead


class TestBulkhead:
    """A bound for each."""

    def test_is_full_at_its_limit(self) -> None:
        """The bound counts for each by itself."""
        bulkhead = Bulkhead(2)
        bulkhead.enter("a")
        assert not bulkhead.is_full("a")
        bulkhead.enter("a")
        assert bulkhead.is_full("a")
        assert not bulkhead.is_full("b")

    def test_forgets_who_holds_nothing(self) -> None:
        """Who left holds nothing, and there is room again."""
        bulkhead = Bulkhead(2)
        bulkhead.enter("a")
        bulkhead.enter("a")
        bulkhead.leave("a")
        assert bulkhead.count_of("a") == 1
        bulkhead.leave("a")
        assert bulkhead.count_of("a") == 0
        assert not bulkhead.is_full("a")
