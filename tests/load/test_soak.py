"""What `make soak` calls growth."""

import pytest

from tests.load.soak import GROWTH_KIB, Sample, find_trend, judge


def line(grows_kib: float = 0.0, descriptors: float = 0.0, warm_up_kib: int = 0) -> list[Sample]:
    """A hundred seconds; growth is by the second."""
    return [
        Sample(
            float(at),
            60_000 + int(grows_kib * at) + (warm_up_kib * at // 10 if at < 10 else warm_up_kib),
            40 + int(descriptors * at),
            10,
            20_000,
        )
        for at in range(100)
    ]


class TestJudge:
    def test_level_line_is_no_growth(self) -> None:
        """Also when it rose while the tables filled."""
        assert judge(line()) == []
        assert judge(line(warm_up_kib=50_000)) == []

    def test_leak_of_memory_is_seen(self) -> None:
        """What grows steadily by more than the bound between the thirds."""
        (trouble,) = judge(line(grows_kib=GROWTH_KIB / 40))
        assert trouble.startswith("resident KiB grew")

    def test_leak_of_descriptors_is_seen(self) -> None:
        """One every five seconds."""
        (trouble,) = judge(line(descriptors=0.2))
        assert trouble.startswith("descriptors grew")


class TestTrend:
    def test_slope_is_of_a_minute(self) -> None:
        """Of the straight line through all values."""
        trend = find_trend([0.0, 30.0, 60.0], [1.0, 2.0, 3.0])
        assert trend.slope == pytest.approx(2.0)
        assert trend.growth == pytest.approx(2.0)

    def test_line_that_became_level_is_told_from_one_that_rises(self) -> None:
        """By the slope of its last third."""
        times = [float(at) for at in range(90)]
        assert find_trend(times, [min(at, 40.0) for at in times]).last_slope == pytest.approx(0.0)
        assert find_trend(times, times).last_slope == pytest.approx(60.0)
