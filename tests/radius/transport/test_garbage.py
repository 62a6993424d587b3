"""The collector looks at what is new in small portions."""

import gc
import weakref
from collections.abc import Generator

import pytest

from radius.transport.garbage import MIDDLE_LOOKS, YOUNG_SECONDS, YoungGarbage
from tests.support.cycles import Cycle, drop_cycle


@pytest.fixture(autouse=True)
def by_hand() -> Generator[None]:
    """The collector does not look by itself."""
    before = gc.get_threshold()
    gc.collect()
    gc.set_threshold(1_000_000, 1_000_000, 1_000_000)
    yield
    gc.set_threshold(*before)
    gc.enable()


class TestYoungGarbage:
    def test_look_takes_what_is_new(self) -> None:
        """A cycle that nobody needs is gone, and the next look is due a little later."""
        young = YoungGarbage()
        assert young.due <= 5.0
        dropped = drop_cycle()
        young.collect(5.0)
        assert dropped() is None
        assert young.due == 5.0 + YOUNG_SECONDS

    def test_what_survived_is_looked_at_now_and_then(self) -> None:
        """What became garbage after a look that found it needed goes with one of the next looks."""
        young = YoungGarbage()
        kept = Cycle()
        dropped = weakref.ref(kept)
        young.collect(0.0)
        del kept
        looks = 0
        while dropped() is not None and looks < 2 * MIDDLE_LOOKS:
            young.collect(0.0)
            looks += 1
        assert 1 <= looks <= MIDDLE_LOOKS

    def test_nothing_while_the_collector_is_off(self) -> None:
        """Another thread makes a hundred thousand objects that stay."""
        young = YoungGarbage()
        gc.disable()
        dropped = drop_cycle()
        young.collect(0.0)
        assert dropped() is not None
        assert young.due == YOUNG_SECONDS
        gc.enable()
        young.collect(1.0)
        assert dropped() is None

    def test_tuples_of_plain_values_are_looked_at_once(self) -> None:
        """They leave the collector's lists, where a steady load would leave those of the last ten seconds."""
        young = YoungGarbage()
        entries = [(number, b"octets", None) for number in range(10_000)]
        assert len(gc.get_objects(0)) > 10_000
        young.collect(0.0)
        assert sum(len(gc.get_objects(generation)) < 10_000 for generation in (0, 1)) == 2
        assert not any(gc.is_tracked(each) for each in entries)
