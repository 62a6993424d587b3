"""A conversation stays with its home server, and only failure moves it."""

from dataclasses import dataclass

from radius.exchange.selection import Pins, select_hop


@dataclass
class Hop:
    key: str
    is_down: bool = False
    weight: int = 0


def select(*hops: Hop, pinned: Hop | None = None, affinity: bytes = b"") -> Hop | None:
    return select_hop(hops, pinned=pinned, affinity=affinity)


def spread(*hops: Hop, devices: int = 1000) -> list[str]:
    """The hop of each device, by its key."""
    return [hop.key for n in range(devices) if (hop := select(*hops, affinity=b"device %d" % n)) is not None]


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


class TestPool:
    """Neighbours in the order that have a weight."""

    def test_device_keeps_its_hop_and_all_have_devices(self) -> None:
        """The same answer each time, in every process."""
        hops = [Hop("a/1", weight=1), Hop("a/2", weight=1), Hop("a/3", weight=1)]
        chosen = spread(*hops)
        assert chosen == spread(*hops) == spread(*reversed(hops))
        assert all(250 < chosen.count(hop.key) < 420 for hop in hops)

    def test_devices_are_shared_by_weight(self) -> None:
        """One of weight 3 has three times as many as one of weight 1."""
        chosen = spread(Hop("a/1", weight=30), Hop("a/2", weight=10), devices=2000)
        assert 1400 < chosen.count("a/1") < 1600

    def test_only_the_devices_of_a_dead_hop_move(self) -> None:
        """The others stay where they are, and the dead one's are shared by all that live."""
        hops = [Hop("a/1", weight=1), Hop("a/2", weight=1), Hop("a/3", weight=2)]
        before = spread(*hops)
        hops[0].is_down = True
        after = spread(*hops)
        assert all(old == new for old, new in zip(before, after, strict=True) if old != "a/1")
        moved = [new for old, new in zip(before, after, strict=True) if old == "a/1"]
        assert {"a/2", "a/3"} == set(moved)
        hops[0].is_down = False
        assert spread(*hops) == before

    def test_pool_goes_before_what_follows_it(self) -> None:
        """One without a weight is the fail-over of the pool before it, and one before a pool comes first."""
        first, second, last = Hop("a/1", weight=1), Hop("a/2", weight=1), Hop("a/3")
        assert set(spread(first, second, last)) == {"a/1", "a/2"}
        first.is_down = second.is_down = True
        assert set(spread(first, second, last)) == {"a/3"}
        assert set(spread(last, first, second)) == {"a/3"}
        last.is_down, first.is_down = True, False
        assert set(spread(last, first, second)) == {"a/1"}

    def test_second_pool_waits_for_the_first(self) -> None:
        """What stands between two pools parts them."""
        hops = [Hop("a/1", weight=1), Hop("a/2", is_down=True), Hop("a/3", weight=1)]
        assert set(spread(*hops)) == {"a/1"}
        hops[0].is_down = True
        assert set(spread(*hops)) == {"a/3"}

    def test_all_down_spreads_as_if_all_lived(self) -> None:
        """Silence is the same everywhere, and nobody's devices fall on one."""
        alive = [Hop("a/1", weight=1), Hop("a/2", weight=1)]
        dead = [Hop(hop.key, is_down=True, weight=1) for hop in alive]
        assert spread(*dead) == spread(*alive)

    def test_conversation_stays_whatever_the_weights(self) -> None:
        """The pinned hop is kept while it lives."""
        small, large = Hop("a/1", weight=1), Hop("a/2", weight=1000)
        assert all(select(small, large, pinned=small, affinity=b"%d" % n) is small for n in range(20))


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
