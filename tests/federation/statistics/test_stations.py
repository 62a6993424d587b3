from datetime import UTC, datetime, timedelta

import pytest

from federation.statistics.stations import DailyKey, StationForm, normalise_station, render_station

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
ADDRESS = b"001122334455"


class TestNormalise:
    @pytest.mark.parametrize(
        "written",
        [
            b"00-11-22-33-44-55",
            b"00:11:22:33:44:55",
            b"0011.2233.4455",
            b"001122334455",
            b" 00-11-22-33-44-55 ",
            b"00-11-22-33-44-55:eduroam",
        ],
    )
    def test_writings_of_one_device_are_one(self, written: bytes) -> None:
        """Each product's way to write an address leads to the same digits."""
        assert normalise_station(written) == ADDRESS

    def test_case_makes_no_other_device(self) -> None:
        """AA and aa are one octet."""
        assert normalise_station(b"AA-BB-CC-DD-EE-FF") == normalise_station(b"aabbccddeeff")

    @pytest.mark.parametrize("written", [b"", b"+31 6 1234", b"00-11-22", b"\xff\x00", b"zz-11-22-33-44-55"])
    def test_what_is_no_address_is_nothing(self, written: bytes) -> None:
        """A phone number, or rubbish, is not hashed as if it were a device."""
        assert normalise_station(written) == b""


class TestDailyKey:
    def test_one_device_is_one_all_day(self) -> None:
        """Repeats of a device can be counted."""
        key = DailyKey()
        assert key.pseudonym(ADDRESS, "leesstad", NOON) == key.pseudonym(
            b"00-11-22-33-44-55", "leesstad", NOON + timedelta(hours=11)
        )

    def test_another_library_another_day_and_another_process_know_nothing(self) -> None:
        """Nobody can follow a device over libraries, days or restarts."""
        key = DailyKey()
        here = key.pseudonym(ADDRESS, "leesstad", NOON)
        there = key.pseudonym(ADDRESS, "boekenburg", NOON)
        elsewhere = DailyKey().pseudonym(ADDRESS, "leesstad", NOON)
        later = key.pseudonym(ADDRESS, "leesstad", NOON + timedelta(days=1))
        assert len({here, there, elsewhere, later}) == 4

    def test_the_key_of_a_day_that_is_over_is_gone(self) -> None:
        """An event that comes after midnight has the new day's pseudonym: the old key does not come back."""
        key = DailyKey()
        before = key.pseudonym(ADDRESS, "leesstad", NOON)
        key.pseudonym(ADDRESS, "leesstad", NOON + timedelta(days=1))
        assert key.pseudonym(ADDRESS, "leesstad", NOON) != before

    def test_event_of_a_moment_before_midnight_is_of_the_new_day(self) -> None:
        """Workers report in turn: around midnight one device is not two in each of their reports."""
        key = DailyKey()
        midnight = NOON + timedelta(hours=12)
        after = key.pseudonym(ADDRESS, "leesstad", midnight + timedelta(seconds=1))
        assert key.pseudonym(ADDRESS, "leesstad", midnight - timedelta(seconds=1)) == after

    @pytest.mark.parametrize("days", [1, 400])
    def test_key_of_a_day_that_has_not_come_does_not_last(self, days: int) -> None:
        """A clock that was ahead leaves no key with which the days until then could be brought together."""
        key = DailyKey()
        ahead = key.pseudonym(ADDRESS, "leesstad", NOON + timedelta(days=days))
        today = key.pseudonym(ADDRESS, "leesstad", NOON + timedelta(minutes=1))
        tomorrow = key.pseudonym(ADDRESS, "leesstad", NOON + timedelta(days=1))
        assert len({ahead, today, tomorrow}) == 3

    def test_no_address_has_no_pseudonym(self) -> None:
        """Devices that said nothing are not counted as one."""
        assert DailyKey().pseudonym(b"", "leesstad", NOON) == ""


class TestRender:
    @pytest.mark.parametrize("form", list(StationForm))
    def test_without_an_address_nothing_is_disclosed(self, form: StationForm) -> None:
        """Whatever the form."""
        assert render_station(b"", form, b"key") == "undisclosed"

    def test_forms(self) -> None:
        """The vendor in the clear only where the form says so; the address only in `original`."""
        rendered = {form: render_station(b"00:11:22:33:44:55", form, b"key") for form in StationForm}
        assert rendered[StationForm.STATIC] == "undisclosed"
        assert rendered[StationForm.ORIGINAL] == "00-11-22-33-44-55"
        for form in (StationForm.VENDOR_HASHED, StationForm.VENDOR_KEY_HASHED):
            assert rendered[form].startswith("00-11-22-")
            assert len(rendered[form]) == len("00-11-22-") + 64
        for form in (StationForm.FULLY_HASHED, StationForm.FULLY_KEY_HASHED):
            assert len(rendered[form]) == 64
        assert len(set(rendered.values())) == len(StationForm)

    @pytest.mark.parametrize("form", [StationForm.VENDOR_KEY_HASHED, StationForm.FULLY_KEY_HASHED])
    def test_another_key_is_another_name(self, form: StationForm) -> None:
        """Without the key nobody can try all addresses of a vendor."""
        assert render_station(ADDRESS, form, b"one") != render_station(ADDRESS, form, b"two")
