"""`biebroam sign-ins` on a data directory."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer

from api.commands.sign_ins import parse_moment
from federation.events import Outcome
from federation.reasons import RefusalReason
from federation.services.sign_ins import record_sign_ins
from federation.statistics.stations import DailyKey
from federation.store.session import Store
from tests.federation.statistics.events import make_event
from tests.support.biebroam import DataDirectory

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class TestMoments:
    @pytest.mark.parametrize(
        ("text", "age"),
        [
            ("30s", timedelta(seconds=30)),
            ("5m", timedelta(minutes=5)),
            ("2H", timedelta(hours=2)),
            ("1d", timedelta(1)),
        ],
    )
    def test_age_counts_back(self, text: str, age: timedelta) -> None:
        """A number with its unit is that long ago."""
        assert datetime.fromisoformat(parse_moment(text, NOW)) == NOW - age

    def test_time_has_a_zone_in_the_end(self) -> None:
        """One that is written without is this machine's."""
        assert parse_moment("2026-11-24T12:00:00Z", NOW) == "2026-11-24T12:00:00+00:00"
        assert datetime.fromisoformat(parse_moment("2026-11-24T12:00:00", NOW)).tzinfo is not None

    @pytest.mark.parametrize("text", ["", "yesterday", "2x", "-2h"])
    def test_what_is_neither_ends_with_status_two(self, text: str) -> None:
        """It is a wrong use, and said in words."""
        with pytest.raises(typer.Exit) as caught:
            parse_moment(text, NOW)
        assert caught.value.exit_code == 2


@pytest.mark.system
class TestCommand:
    def test_lists_what_the_recorder_kept(self, tmp_path: Path) -> None:
        """A line has the reason's code; JSON has every field."""
        directory = DataDirectory(tmp_path / "data")
        directory.initialise()
        store = Store(f"sqlite:///{directory.folder}/biebroam.db")
        with store.write() as session:
            events = [
                make_event(),
                make_event(Outcome.REJECTED, RefusalReason.UNROUTABLE, realm="nobody.test", home=""),
            ]
            record_sign_ins(session, events, DailyKey())
        store.close()
        (line,) = directory.run("sign-ins", "--outcome", "rejected").stdout.splitlines()
        assert line.endswith("  rejected    unroutable            nobody.test of nobody at leesstad/hall  250 ms")
        assert directory.run("sign-ins", "--library", "none-such").stdout == "none\n"
        found = json.loads(directory.run("sign-ins", "--limit", "1", "--json").stdout)
        assert [item["realm"] for item in found] == ["nobody.test"]
