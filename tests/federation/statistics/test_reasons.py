"""One stable code for each reason, the same in the log, in metrics, among the sign-ins and in the document."""

import json
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.rendering import clean_text
from federation.events import Outcome
from federation.reasons import RefusalReason
from federation.services.sign_ins import SignInFilter, list_sign_ins, record_sign_ins
from federation.statistics.metrics import render_metrics
from federation.statistics.outlet import decode_events, encode_events
from federation.statistics.reports import WorkerReport
from federation.statistics.stations import DailyKey
from federation.store.tables.sign_ins import MAX_REASON_CHARACTERS
from radius.errors import DropReason
from radius.proxy.notices import Notices
from tests.federation.members import OPERATOR, Members
from tests.federation.statistics.events import make_event

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "reasons.md"
ROWS = {
    code: (happened.strip(), advice.strip())
    for code, happened, advice in re.findall(
        r"^\| `([a-z_]+)` \| ([^|]*) \| ([^|]*) \|$", DOCUMENT.read_text(), re.MULTILINE
    )
}
REASONS = [*RefusalReason, *DropReason]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize("reason", REASONS, ids=str)
class TestEachReason:
    def test_is_in_the_log_and_in_metrics_under_its_code(self, reason: RefusalReason | DropReason) -> None:
        """A proxy that drops or refuses writes the code into a line and counts it under the code."""
        lines: list[tuple[str, str]] = []

        def write(event: str, fields: Mapping[str, object]) -> None:
            lines.append((event, json.loads(json.dumps(fields))["reason"]))

        notices = Notices(write)
        if isinstance(reason, DropReason):
            notices.drop(reason, "192.0.2.1", 0.0)
            event, family = "packet_dropped", "drops"
        else:
            notices.refuse(reason, "leesstad/hall", 0.0)
            event, family = "request_refused", "refusals"
        assert lines == [(event, reason.value)]
        counters = json.loads(json.dumps({"drops": notices.drops, "refusals": notices.refusals}))
        report = WorkerReport("proxy", 0, os.getpid(), 1, NOW, (), counters)
        sample = f'biebroam_{family}_total{{role="proxy",worker="0",reason="{reason.value}"}} 1\n'
        assert sample in render_metrics([report], NOW)
        assert clean_text(reason.value, 100) == reason.value  # the log's own rules leave it as it is

    def test_is_explained_with_what_to_do(self, reason: RefusalReason | DropReason) -> None:
        """docs/reasons.md says what happened and what to do, each in words."""
        happened, advice = ROWS[reason.value]
        assert len(happened.split()) >= 3
        assert advice


@pytest.mark.parametrize("reason", list(RefusalReason), ids=str)
def test_refusal_is_found_among_sign_ins_by_its_code(members: Members, reason: RefusalReason) -> None:
    """From a worker through the recorder's database to the list the code stays the same."""
    (event,) = decode_events(encode_events([make_event(Outcome.REJECTED, reason)]))
    with members.store.write() as session:
        record_sign_ins(session, [event, make_event()], DailyKey())
    with members.store.read() as session:
        (found,) = list_sign_ins(session, OPERATOR, SignInFilter(reason=RefusalReason(reason.value))).items
    assert found.reason is reason
    assert len(reason) <= MAX_REASON_CHARACTERS  # SQLite would not mind; PostgreSQL does
