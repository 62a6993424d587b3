"""What `make bench` is asked for, and how figures are compared."""

from dataclasses import replace

from tests.load.bench import ROWS, choose_rows, compare, make_bars
from tests.load.laboratory import Load, Measurement

RUN = Measurement("biebroam", Load(), 20.0, 1000.0, 1, 2, 3, 0, 0, 10.0)


class TestChooseRows:
    def test_name_of_a_row_is_that_row_only(self) -> None:
        """Also where other names contain it."""
        assert list(choose_rows(["50 realms, 225 octets"])) == ["50 realms, 225 octets"]

    def test_part_of_a_name_is_all_that_contain_it(self) -> None:
        """So a kind of rows is asked for with one word."""
        assert all("1131" in name for name in choose_rows(["1131"]))
        assert choose_rows(["1131"])

    def test_nothing_wanted_is_everything(self) -> None:
        """`make bench` measures all rows."""
        assert choose_rows([]) == ROWS


class TestCompare:
    def test_ratio_is_taken_round_by_round(self) -> None:
        """The machine drifts between rounds: runs of one round are compared, then the middle one is taken."""
        ours = [replace(RUN, cpu_us=us) for us in (10.0, 20.0, 90.0)]
        its = [replace(RUN, cpu_us=us) for us in (20.0, 40.0, 90.0)]
        assert compare(ours, its) == "0.50 (0.50 to 1.00)"

    def test_latency_is_compared_alike(self) -> None:
        """The slowest hundredth too is a ratio of one round."""
        assert compare([replace(RUN, p99_us=30)], [replace(RUN, p99_us=20)], "p99_us") == "1.50 (1.50 to 1.50)"

    def test_peer_that_answered_nothing_has_no_ratio(self) -> None:
        """Nothing is divided by nothing."""
        assert compare([RUN], [replace(RUN, cpu_us=0.0)]) == "-"

    def test_chart_tells_ratios_to_others_only(self) -> None:
        """Ours beside ours says nothing."""
        notes = [bar.note for bar in make_bars({"biebroam": [RUN], "radsecproxy": [replace(RUN, cpu_us=40.0)]})]
        assert notes == ["", "ours: 0.50 (0.50 to 0.50)"]
