"""Everything is counted; the log hears of each peer and reason once a minute."""

from collections.abc import Mapping

import pytest

from radius.exchange.liveness import HopState
from radius.proxy.notices import MAX_LINES_A_MINUTE, MAX_REMEMBERED, Notices

Lines = list[tuple[str, Mapping[str, object]]]


@pytest.fixture
def lines() -> Lines:
    return []


@pytest.fixture
def notices(lines: Lines) -> Notices:
    return Notices(lambda event, fields: lines.append((event, fields)))


class TestLines:
    def test_thousand_drops_are_one_line_and_a_thousand_counts(self, notices: Notices, lines: Lines) -> None:
        """A flood of one peer does not fill the disk."""
        for _ in range(1000):
            notices.drop("too_short", "ap", 5.0)
        assert notices.drops == {"too_short": 1000}
        assert lines == [("packet_dropped", {"peer": "ap", "reason": "too_short"})]

    def test_line_after_a_minute_says_how_many_were_not_told(self, notices: Notices, lines: Lines) -> None:
        """Nothing is hidden."""
        for now in (0.0, 1.0, 2.0, 61.0):
            notices.refuse("unroutable", "ap", now, "nobody.org")
        assert lines[-1] == (
            "request_refused",
            {"peer": "ap", "reason": "unroutable", "realm": "nobody.org", "suppressed": 2},
        )
        assert len(lines) == 2

    def test_other_peer_and_other_reason_have_their_own_line(self, notices: Notices, lines: Lines) -> None:
        """One noisy access point hides no other."""
        notices.drop("too_short", "a", 0.0)
        notices.drop("too_short", "b", 0.0)
        notices.drop("length_field", "a", 0.0)
        assert len(lines) == 3

    def test_forged_addresses_do_not_fill_the_log(self, notices: Notices, lines: Lines) -> None:
        """Each is a new peer, so there is a bound over all peers; all are counted, and the next minute is new."""
        for number in range(10_000):
            notices.drop("unknown_client", str(number), 100.0)
        assert len(lines) == MAX_LINES_A_MINUTE
        assert notices.drops["unknown_client"] == 10_000
        notices.drop("unknown_client", "another", 160.0)
        assert len(lines) == MAX_LINES_A_MINUTE + 1

    def test_doubt_is_told_once_a_minute_and_the_end_each_time(self, notices: Notices, lines: Lines) -> None:
        """A library may be silent for days; that its home server is down, or is back, is always told."""
        up, suspect, down = HopState.UP, HopState.SUSPECT, HopState.DOWN
        for now in (0.0, 2.0, 4.0, 61.0):
            notices.tell_hop("home/1", up, suspect, now)
            notices.tell_hop("home/1", suspect, up, now)
        assert [fields.get("suppressed", 0) for _, fields in lines] == [0, 0, 2, 0]
        assert lines[-1][1]["state"] == "up"  # a doubt that is told of does not stay the last word
        assert lines[0] == ("home_server_state", {"peer": "home/1", "state": "suspect"})
        lines.clear()
        for now in (62.0, 63.0):
            notices.tell_hop("home/1", suspect, down, now)
            notices.tell_hop("home/1", down, up, now)
        assert [fields["state"] for _, fields in lines] == ["down", "up"] * 2

    def test_memory_of_peers_is_bounded(self, notices: Notices, lines: Lines) -> None:
        """However many peers there are over the hours."""
        for number in range(MAX_REMEMBERED + 10):
            notices.drop("unknown_client", str(number), number * 1.0)
        assert len(lines) == MAX_REMEMBERED + 10
        assert len(notices._remembered) <= MAX_REMEMBERED  # pyright: ignore[reportPrivateUsage] - memory is no answer
