from datetime import timedelta

import pytest

from federation.errors import InvalidInput
from federation.events import Outcome, SignIn
from federation.model import Actor
from federation.reasons import RefusalReason
from federation.services import sign_ins
from federation.services.sign_ins import SignInEntry, SignInFilter
from federation.statistics.stations import DailyKey
from tests.federation.members import BOEKENBURG, LEESSTAD, OPERATOR, READER, START, Members
from tests.federation.statistics.events import make_event

NOW = START.timestamp()


def record(members: Members, *events: SignIn) -> None:
    with members.store.write() as session:
        sign_ins.record_sign_ins(session, events, DailyKey())


def seen(members: Members, actor: Actor, wanted: SignInFilter | None = None) -> list[SignInEntry]:
    with members.store.read() as session:
        return list(sign_ins.list_sign_ins(session, actor, wanted).items)


class TestRecord:
    def test_row_tells_what_happened(self, members: Members) -> None:
        """An operator sees all of an event but the device's address."""
        record(members, make_event(Outcome.REJECTED, RefusalReason.REFUSED_BY_HOME, at=NOW))
        (entry,) = seen(members, OPERATOR)
        assert (entry.at, entry.visited, entry.client) == (START, "leesstad", "leesstad/hall")
        assert (entry.realm, entry.home, entry.home_server) == ("boekenburg.test", "boekenburg", "boekenburg/radius1")
        assert (entry.outcome, entry.reason) == (Outcome.REJECTED, RefusalReason.REFUSED_BY_HOME)
        assert (entry.milliseconds, entry.revision) == (250, 7)
        assert entry.station is not None
        assert len(entry.station) == 32
        assert "001122" not in entry.station.replace("-", "")

    def test_what_is_longer_than_its_column_is_cut(self, members: Members) -> None:
        """No event can make the database refuse a batch."""
        long = make_event(at=NOW, visited="v" * 300, realm="r" * 300)
        record(members, long._replace(client="c" * 300, home_server="h" * 300, seconds=1e12))
        assert len(seen(members, OPERATOR)[0].realm) == 253

    def test_nothing_is_nothing(self, members: Members) -> None:
        """An empty batch is no row."""
        record(members)
        assert seen(members, OPERATOR) == []


class TestTenants:
    def test_library_sees_its_patrons_and_its_guests_and_nothing_else(self, members: Members) -> None:
        """What concerns neither its patrons nor its access points does not exist for it."""
        record(
            members,
            make_event(at=NOW, visited="leesstad", home="boekenburg"),
            make_event(at=NOW, visited="leesstad", home="leesstad"),
            make_event(at=NOW, visited="verweg", home="boekenburg"),
            make_event(at=NOW, visited="verweg", home="", realm="nobody.test"),
        )
        assert [(entry.visited, entry.home) for entry in seen(members, LEESSTAD)] == [
            ("leesstad", "leesstad"),
            ("leesstad", "boekenburg"),
        ]
        assert [(entry.visited, entry.home) for entry in seen(members, BOEKENBURG)] == [
            ("verweg", "boekenburg"),
            ("leesstad", "boekenburg"),
        ]
        assert len(seen(members, OPERATOR)) == len(seen(members, READER)) == 4

    def test_filter_of_another_library_opens_nothing(self, members: Members) -> None:
        """The rule of the token holds beside the filter."""
        record(
            members,
            make_event(at=NOW, visited="verweg", home="boekenburg"),
            make_event(at=NOW, visited="leesstad", home="boekenburg"),
        )
        assert seen(members, LEESSTAD, SignInFilter(library="verweg")) == []
        assert len(seen(members, LEESSTAD, SignInFilter(library="boekenburg"))) == 1

    def test_home_does_not_learn_where_in_the_other_library(self, members: Members) -> None:
        """Neither access point nor device of another library is told to the patron's own."""
        record(members, make_event(at=NOW))
        (entry,) = seen(members, BOEKENBURG)
        assert (entry.visited, entry.client, entry.station) == ("leesstad", None, None)
        assert entry.home_server == "boekenburg/radius1"

    def test_visited_does_not_learn_which_home_server(self, members: Members) -> None:
        """The next hop inside another library is that library's own."""
        record(members, make_event(at=NOW))
        (entry,) = seen(members, LEESSTAD)
        assert (entry.client, entry.home, entry.home_server) == ("leesstad/hall", "boekenburg", None)


class TestFilters:
    def test_each_keeps_what_it_names(self, members: Members) -> None:
        """Realm, outcome, reason and time, alone and together."""
        refused = make_event(Outcome.REJECTED, RefusalReason.UNROUTABLE, at=NOW + 60, home="", realm="nobody.test")
        record(members, make_event(at=NOW), refused)
        wanted = [
            SignInFilter(realm="NOBODY.test"),
            SignInFilter(outcome=Outcome.REJECTED),
            SignInFilter(reason=RefusalReason.UNROUTABLE),
            SignInFilter(since=START + timedelta(seconds=1)),
            SignInFilter(realm="nobody.test", outcome=Outcome.REJECTED, library="leesstad"),
        ]
        for each in wanted:
            assert [entry.realm for entry in seen(members, OPERATOR, each)] == ["nobody.test"]
        assert seen(members, OPERATOR, SignInFilter(realm="nobody.test", outcome=Outcome.ACCEPTED)) == []

    def test_pages_follow_one_another(self, members: Members) -> None:
        """The newest come first; each page begins where the one before ended, also when more was added."""
        record(members, *(make_event(at=NOW + number) for number in range(5)))
        with members.store.read() as session:
            first = sign_ins.list_sign_ins(session, OPERATOR, limit=2)
        record(members, make_event(at=NOW + 9))
        with members.store.read() as session:
            second = sign_ins.list_sign_ins(session, OPERATOR, limit=2, cursor=first.next_cursor)
            third = sign_ins.list_sign_ins(session, OPERATOR, limit=2, cursor=second.next_cursor)
        times = [entry.at.timestamp() - NOW for page in (first, second, third) for entry in page.items]
        assert times == [4, 3, 2, 1, 0]
        assert third.next_cursor is None

    @pytest.mark.parametrize("cursor", ["", "x", "-1", "9" * 19, "\u0661"])
    def test_cursor_of_another_list_is_refused(self, members: Members, cursor: str) -> None:
        """It is an error of who asks."""
        with members.store.read() as session, pytest.raises(InvalidInput):
            sign_ins.list_sign_ins(session, OPERATOR, cursor=cursor)


class TestPurge:
    def test_takes_what_is_older_and_nothing_else(self, members: Members, monkeypatch: pytest.MonkeyPatch) -> None:
        """In parts, each as large as it may be, until nothing is left to take."""
        monkeypatch.setattr(sign_ins, "PURGE_ROWS", 2)
        record(members, *(make_event(at=NOW + number) for number in (0, 5, 1, 2)))
        with members.store.write() as session:
            assert sign_ins.purge_sign_ins(session, START + timedelta(seconds=4)) == 2
            assert sign_ins.purge_sign_ins(session, START + timedelta(seconds=4)) == 1
            assert sign_ins.purge_sign_ins(session, START + timedelta(seconds=4)) == 0
        assert [entry.at.timestamp() - NOW for entry in seen(members, OPERATOR)] == [5]
