"""What a login costs: the figures before they are printed."""

from tests.load.logins import Cost, tell


class TestTell:
    def test_hash_is_taken_out_of_pap_only(self) -> None:
        """FreeRADIUS has no such hash: the ratio compares the rest."""
        ours, its = Cost("biebroam", "ttls-pap", "1.3", 30.0, 0), Cost("freeradius", "ttls-pap", "1.3", 2.0, 0)
        assert "| 30.00 | 2.00 | 2.00 | 1.00 (1.00 to 1.00) | 0 |" in tell([ours], [its], 28.0)

    def test_mschapv2_is_compared_whole(self) -> None:
        """There neither has a slow hash."""
        ours, its = Cost("biebroam", "peap-mschapv2", "1.2", 3.0, 1), Cost("freeradius", "peap-mschapv2", "1.2", 2.0, 0)
        assert "| 3.00 | 3.00 | 2.00 | 1.50 (1.50 to 1.50) | 1 |" in tell([ours], [its], 28.0)
