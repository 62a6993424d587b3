"""What proxies report of their peers: read with care, kept beyond the report."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from federation.services.sightings import list_sightings, read_sightings, record_sightings
from federation.statistics.reports import WorkerReport
from tests.federation.members import START, Members

ENTRY: dict[str, Any] = {  # Any: as JSON has it
    "end": "client",
    "connections": 1,
    "anchor": "a" * 64,
    "presented": "b" * 64,
    "serial": "0A1b",
    "not_after": (START + timedelta(days=90)).timestamp(),
    "own_anchor": "C" * 64,
    "seen_at": START.timestamp(),
}


def report(peers: object, number: int = 0) -> WorkerReport:
    return WorkerReport("proxy", number, 1, 1, datetime.now(UTC), counters={"peers": peers})


class TestReading:
    def test_entry_is_read_in_one_spelling(self) -> None:
        """Hexadecimal is compared as text, so it is lower-case and without leading zeros."""
        (found,) = read_sightings([report({"boekenburg/radius": ENTRY})])
        assert (found.serial, found.own_anchor, found.library) == ("a1b", "c" * 64, "boekenburg")
        assert found.seen_at == START

    def test_newest_of_all_workers_counts(self) -> None:
        """A peer that speaks to two workers is where it was last."""
        later = {**ENTRY, "seen_at": ENTRY["seen_at"] + 5, "serial": "2"}
        reports = [report({"x/y": later}, 0), report({"x/y": ENTRY}, 1)]
        assert [found.serial for found in read_sightings(reports)] == ["2"]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"end": "both"},
            {"serial": ""},
            {"serial": "xyz"},
            {"serial": "1" * 41},
            {"anchor": "a" * 63},
            {"own_anchor": None},
            {"not_after": "soon"},
            {"seen_at": float("inf")},
            {"seen_at": 1e300},
        ],
        ids=str,
    )
    def test_what_is_not_as_agreed_is_left_out(self, wrong: dict[str, object]) -> None:
        """A report of another version, or a damaged one, tells nothing and breaks nothing."""
        assert read_sightings([report({"x/y": {**ENTRY, **wrong}})]) == []

    @pytest.mark.parametrize("peers", [None, 3, [], {"x/y": None}, {"": ENTRY}, {"x" * 201: ENTRY}], ids=repr)
    def test_other_shapes_are_left_out(self, peers: object) -> None:
        """So does one that is no mapping at all."""
        assert read_sightings([report(peers)]) == []


class TestKeeping:
    def test_rows_outlive_the_report_and_change_no_revision(self, members: Members) -> None:
        """What was seen is there after a restart, and no proxy compiles anew for it."""
        announced = list(members.announced)
        assert record_sightings(members.store, [report({"x/y": ENTRY})]) == 1
        with members.registry.read() as session:
            assert [found.peer for found in list_sightings(session)] == ["x/y"]
        assert members.announced == announced

    def test_nothing_new_writes_nothing(self, members: Members) -> None:
        """A handshake like the last one is written again after ten minutes only; another chain at once."""
        record_sightings(members.store, [report({"x/y": ENTRY})])
        soon = {**ENTRY, "seen_at": ENTRY["seen_at"] + 60}
        assert record_sightings(members.store, [report({"x/y": soon})]) == 0
        assert record_sightings(members.store, [report({"x/y": {**soon, "anchor": "d" * 64}})]) == 1
        late = {**ENTRY, "anchor": "d" * 64, "seen_at": ENTRY["seen_at"] + 700}
        assert record_sightings(members.store, [report({"x/y": late})]) == 1
        assert record_sightings(members.store, [report({"x/y": ENTRY})]) == 0  # from before

    def test_report_of_this_moment_counts_before_it_is_kept(self, members: Members) -> None:
        """Who asks sees the newest of both."""
        record_sightings(members.store, [report({"x/y": ENTRY})])
        newer = {**ENTRY, "seen_at": ENTRY["seen_at"] + 1, "serial": "ff"}
        with members.registry.read() as session:
            assert [found.serial for found in list_sightings(session, [report({"x/y": newer})])] == ["ff"]
