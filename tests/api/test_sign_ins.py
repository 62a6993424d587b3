"""What happened lately, over HTTP."""

import pytest
from fastapi.testclient import TestClient

from federation.events import Outcome, SignIn
from federation.reasons import RefusalReason
from federation.services.sign_ins import record_sign_ins
from federation.statistics.stations import DailyKey
from tests.api.federation import LibraryFederation
from tests.federation.statistics.events import NOON, make_event

PATH = "/v1/sign-ins"


def east_at_west(outcome: Outcome = Outcome.ACCEPTED, reason: RefusalReason | None = None, at: float = NOON) -> SignIn:
    return make_event(outcome, reason, visited="west", home="east", realm="east.library.example", at=at)


@pytest.fixture(name="recorded")
def a_federation_where_something_happened(federation: LibraryFederation) -> LibraryFederation:
    """East at West twice, the second time refused; West at West; a stranger at West."""
    events = [
        east_at_west(),
        east_at_west(Outcome.REJECTED, RefusalReason.REFUSED_BY_HOME, NOON + 60),
        make_event(visited="west", home="west", realm="west.library.example"),
        make_event(Outcome.REJECTED, RefusalReason.UNROUTABLE, visited="west", home="", realm="nobody.example"),
    ]
    with federation.registry.store.write() as session:
        record_sign_ins(session, events, DailyKey())
    return federation


def realms(client: TestClient, **query: str) -> list[str]:
    return [item["realm"] for item in client.get(PATH, params=query).json()["items"]]


class TestSignIns:
    def test_shows_why_one_was_refused(self, recorded: LibraryFederation) -> None:
        """The reason has the code of log and metrics; no device's address and no name is anywhere."""
        answer = recorded.client("operator").get(PATH, params={"reason": "refused_by_home"})
        (item,) = answer.json()["items"]
        assert (item["outcome"], item["reason"]) == ("rejected", "refused_by_home")
        assert (item["visited"], item["client"], item["home"]) == ("west", "west/hall", "east")
        assert item["at"] == "2026-11-24T12:01:00Z"
        assert "00-11-22" not in answer.text

    def test_library_sees_its_own_patrons_and_guests(self, recorded: LibraryFederation) -> None:
        """East sees its patrons at West, not at which access point, and nothing of anybody else's."""
        items = recorded.client("east").get(PATH).json()["items"]
        assert [item["realm"] for item in items] == ["east.library.example"] * 2
        assert {(item["client"], item["station"]) for item in items} == {(None, None)}
        assert len(realms(recorded.client("west"))) == 4
        assert realms(recorded.client("east-reader")) == realms(recorded.client("east"))
        assert realms(recorded.client("east"), library="west") == ["east.library.example"] * 2

    def test_filters_work_together(self, recorded: LibraryFederation) -> None:
        """Each of the query's words narrows the list."""
        operator = recorded.client("operator")
        assert realms(operator, outcome="rejected", since="2026-11-24T12:00:30Z") == ["east.library.example"]
        assert realms(operator, library="west", realm="nobody.example") == ["nobody.example"]

    def test_pages_keep_their_filters(self, recorded: LibraryFederation) -> None:
        """The link to the next page asks for the same, and leads to the end."""
        operator = recorded.client("operator")
        first = operator.get(PATH, params={"outcome": "accepted", "limit": 1})
        assert 'rel="next"' in first.headers["Link"]
        target = first.headers["Link"].partition("<")[2].partition(">")[0]
        second = operator.get(target)
        assert "Link" not in second.headers
        assert [first.json()["items"][0]["realm"], second.json()["items"][0]["realm"]] == [
            "west.library.example",
            "east.library.example",
        ]

    @pytest.mark.parametrize(
        "query",
        [
            {"since": "2026-11-24T12:00:00"},
            {"since": "yesterday"},
            {"since": "1795521600"},
            {"outcome": "challenged"},
            {"reason": "too_short"},
            {"cursor": "x"},
            {"user": "jansen"},
        ],
    )
    def test_what_can_not_be_asked_is_refused(self, recorded: LibraryFederation, query: dict[str, str]) -> None:
        """A time without its zone, an outcome or reason of another list, a cursor of another list, a misspelt word."""
        assert recorded.client("operator").get(PATH, params=query).status_code == 422
