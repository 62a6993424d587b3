"""What waited for a connection: in portions, each request once, and none for a connection that is lost."""

from typing import cast

from radius.proxy.pacing import PORTION, PORTION_SECONDS, Pacing
from radius.proxy.ports import Stream


class Sent:
    """What went out, by stream."""

    def __init__(self) -> None:
        self.numbers: list[tuple[str, int]] = []
        self.pacing: Pacing[int] = Pacing(self._send)

    def _send(self, number: int, stream: Stream) -> None:
        self.numbers.append((cast("str", stream), number))

    def begin(self, stream: str, numbers: range, now: float) -> None:
        """Numbers stand for requests: it asks only which is which."""
        self.pacing.begin(cast("Stream", stream), numbers, now)


class TestPacing:
    def test_portions_follow_each_other(self) -> None:
        """The first goes at once, the others one by one, in their order; then there is nothing to wait for."""
        sent = Sent()
        sent.begin("one", range(2 * PORTION + 1), 5.0)
        assert len(sent.numbers) == PORTION
        assert sent.pacing.next_timer() == 5.0 + PORTION_SECONDS
        sent.pacing.on_timer(5.0 + PORTION_SECONDS / 2)
        assert len(sent.numbers) == PORTION
        sent.pacing.on_timer(5.0 + PORTION_SECONDS)
        sent.pacing.on_timer(5.0 + 3 * PORTION_SECONDS)
        assert sent.numbers == [("one", number) for number in range(2 * PORTION + 1)]
        assert sent.pacing.next_timer() is None

    def test_lost_connection_sends_no_more(self) -> None:
        """Another one's requests go on."""
        sent = Sent()
        sent.begin("one", range(PORTION + 1), 5.0)
        sent.begin("two", range(PORTION + 1), 5.0)
        sent.pacing.forget(cast("Stream", "one"))
        sent.pacing.on_timer(6.0)
        assert len(sent.numbers) == 2 * PORTION + 1
        assert sent.numbers[-1] == ("two", PORTION)
        assert sent.pacing.next_timer() is None

    def test_request_is_sent_once(self) -> None:
        """One that still waits, and is told of again, stays in its place: a second would have another authenticator."""
        sent = Sent()
        sent.begin("one", range(PORTION + 10), 5.0)
        sent.begin("one", range(PORTION, PORTION + 20), 5.0)
        assert sent.numbers == [("one", number) for number in range(PORTION + 20)]
