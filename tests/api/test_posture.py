"""Who signs what it sends, over HTTP."""

from datetime import UTC, datetime

from api.ports import Ports
from federation.statistics.reports import WorkerReport
from tests.api.federation import LibraryFederation

COUNTS = {
    "message_authenticator_first": 5,
    "message_authenticator_later": 1,
    "message_authenticator_missing": 2,
    "message_authenticator_required": 0,
}
REPORT = WorkerReport(
    "proxy",
    0,
    1,
    1,
    datetime(2026, 1, 2, tzinfo=UTC),
    (),
    {"clients": {"west/hall": COUNTS, "east/desk": COUNTS}, "home_servers": {"east/radius1": COUNTS}},
)


class TestPosture:
    def test_tells_what_would_change(self, federation: LibraryFederation) -> None:
        """Of each peer: how often Message-Authenticator was there, and what requiring it would do."""
        federation.use(Ports(read_reports=lambda: [REPORT]))
        items = federation.client("operator").get("/v1/posture").json()["items"]
        assert [item["peer"] for item in items] == ["east/desk", "west/hall", "east/radius1"]
        assert items[0] == {
            "kind": "client",
            "peer": "east/desk",
            "transport": "udp",
            "is_required": False,
            "first": 5,
            "later": 1,
            "missing": 2,
            "if_required": "drops",
        }

    def test_library_sees_its_own_peers(self, federation: LibraryFederation) -> None:
        """Who else is excused from signing is no business of its."""
        federation.use(Ports(read_reports=lambda: [REPORT]))
        items = federation.client("east").get("/v1/posture").json()["items"]
        assert {item["peer"] for item in items} == {"east/desk", "east/radius1"}

    def test_nothing_runs_here(self, federation: LibraryFederation) -> None:
        """An API without workers has nothing to tell."""
        assert federation.client("operator").get("/v1/posture").json()["items"] == []
