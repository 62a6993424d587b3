"""A conversation stays with its home server, and only failure moves it."""

from dataclasses import dataclass

from radius.exchange.selection import Pins, select_hop


@dataclass
class Hop:
    name: str
    is_down: bool = False


def select(*hops: Hop, pinned: Hop | None = None, affinity: bytes = b"", spreads: bool = False) -> Hop | None:
    return select_hop(hops, pinned=pinned, affinity=affinity, spreads=spreads)


class TestSelect:
    def test_no_candidate_gives_none(self) -> None:
        """A realm without home servers goes nowhere."""
        assert select() is None

    def test_first_in_order_that_lives_is_taken(self) -> None:
        """The library's own order holds; the next is taken only when one is down."""
        first, second, third = Hop("1"), Hop("2"), Hop("3")
        assert select(first, second, third) is first
        first.is_down = True
        assert select(first, second, third) is second

    def test_all_down_gives_the_first(self) -> None:
        """Silence is the same everywhere, and the first may be back."""
        first = Hop("1", is_down=True)
        assert select(first, Hop("2", is_down=True)) is first

    def test_pinned_hop_is_kept_while_it_lives(self) -> None:
        """A round of EAP goes to the server that issued its State."""
        first, second = Hop("1"), Hop("2")
        assert select(first, second, pinned=second) is second
        second.is_down = True
        assert select(first, second, pinned=second) is first

    def test_devices_spread_over_hops_of_equal_rank(self) -> None:
        """One device meets one server, all devices meet all."""
        hops = [Hop("1"), Hop("2"), Hop("3")]
        chosen = [select(*hops, affinity=b"device %d" % number, spreads=True) for number in range(300)]
        again = [select(*hops, affinity=b"device %d" % number, spreads=True) for number in range(300)]
        assert all(left is right for left, right in zip(chosen, again, strict=True))
        for hop in hops:
            assert 50 < sum(one is hop for one in chosen) < 150

    def test_spread_leaves_out_what_is_down(self) -> None:
        """A dead one among equals gets no device."""
        dead, alive = Hop("1", is_down=True), Hop("2")
        assert all(select(dead, alive, affinity=b"%d" % n, spreads=True) is alive for n in range(20))


class TestPins:
    def test_state_is_known_for_its_realm_only(self) -> None:
        """One member's State says nothing about another's conversation, even when the octets are the same."""
        pins = Pins()
        pins.pin("a.example", b"state", "a/1")
        assert pins.find("a.example", b"state") == "a/1"
        assert pins.find("b.example", b"state") is None

    def test_challenge_without_state_pins_nothing(self) -> None:
        """Else every first request of the realm would follow it."""
        pins = Pins()
        pins.pin("a.example", b"", "a/1")
        assert pins.find("a.example", b"") is None

    def test_oldest_are_forgotten_when_there_are_too_many(self) -> None:
        """The table is bounded, and the newest conversation is always in it."""
        pins = Pins(max_pinned=8)
        for number in range(100):
            pins.pin("a.example", b"%d" % number, "a/1")
            assert pins.find("a.example", b"%d" % number) == "a/1"
        assert sum(pins.find("a.example", b"%d" % number) is not None for number in range(100)) <= 8
