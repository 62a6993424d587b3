"""What a login costs: the figures before they are printed."""

from tests.load.logins import Cost, tell


class TestTell:
    def test_ratio_is_of_each_round(self) -> None:
        """The machine drifts: what is compared was measured in turns."""
        ours = [Cost("biebroam", "ttls-pap", "1.3", each, 0) for each in (2.0, 4.0, 3.0)]
        its = [Cost("freeradius", "ttls-pap", "1.3", each, 1) for each in (1.0, 1.0, 3.0)]
        assert tell(ours, its) == "| ttls-pap | 1.3 | 3.00 | 1.00 | 2.00 (1.00 to 4.00) | 3 |"
