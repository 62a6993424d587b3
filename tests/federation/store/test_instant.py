"""A look at the database that does not wait: what it sees, and when it says that it can not be had."""

from collections.abc import Generator
from datetime import date

import pytest
from sqlalchemy import Integer, bindparam, literal_column, select, text

from federation.services.patrons import add_patron
from federation.store.instant import REST_SECONDS, SLOW_SECONDS, InstantLookUp, NotNow
from federation.store.session import Store
from federation.store.tables.patrons import PatronRow
from tests.federation.members import CHEAP_HASHES, OPERATOR, Members

FIND = select(PatronRow.user, PatronRow.sealed_nt_hash, PatronRow.is_blocked, PatronRow.expires_on).where(
    PatronRow.user == bindparam("user"), PatronRow.realm == bindparam("realm")
)
LAST_DAY = date(2027, 1, 31)
WANTED = {"realm": "boekenburg.test", "user": "jansen"}


class Clock:
    """Each look at it is so many seconds later."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.step = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Time that stands still."""
    return Clock()


@pytest.fixture
def look(members: Members, clock: Clock) -> Generator[InstantLookUp[str, bytes | None, bool, date | None]]:
    """At one patron."""
    with members.change() as change:
        add_patron(
            change,
            OPERATOR,
            "boekenburg",
            name="jansen@boekenburg.test",
            password="geheim",
            expires_on=LAST_DAY,
            hashes=CHEAP_HASHES,
        )
    made = InstantLookUp(members.store, FIND, clock)
    yield made
    made.close()


Look = InstantLookUp[str, bytes | None, bool, date | None]


class TestAsk:
    def test_gives_what_sqlalchemy_gives(self, members: Members, look: Look) -> None:
        """The same values of the same types, or None."""
        for values in (WANTED, {**WANTED, "user": "nobody"}):
            ours, its = look.ask(values), members.store.look_up(FIND, values)
            assert ours == its
            assert [type(value) for value in ours or ()] == [type(value) for value in its or ()]
        assert look.ask(WANTED) == ("jansen", None, False, LAST_DAY)

    def test_sees_each_change(self, members: Members, look: Look) -> None:
        """It keeps no state of the database, and stands in no writer's way."""
        for is_blocked in (True, False, True):
            with members.store.write() as session:
                session.execute(text("UPDATE patrons SET is_blocked = :is_blocked"), {"is_blocked": is_blocked})
                assert look.ask(WANTED) == ("jansen", None, not is_blocked, LAST_DAY)  # not yet
            assert look.ask(WANTED) == ("jansen", None, is_blocked, LAST_DAY)

    def test_changes_nothing(self, members: Members) -> None:
        """Its connection can not write, and waits for no lock."""
        for name, pragma, setting in (("query_only", "query_only", 1), ("timeout", "busy_timeout", 0)):
            asks = select(literal_column(name, Integer)).select_from(text(f"pragma_{pragma}"))
            look = InstantLookUp(members.store, asks)
            assert look.ask({}) == (setting,)
            look.close()

    def test_not_now_while_somebody_has_it_alone(self, members: Members, look: Look, clock: Clock) -> None:
        """Who has the database for themselves is not waited for, and asked again later."""
        assert look.ask(WANTED)
        look.close()
        with members.store.engine.connect() as connection:
            connection.exec_driver_sql("ROLLBACK")
            connection.exec_driver_sql("PRAGMA locking_mode = EXCLUSIVE")
            connection.exec_driver_sql("BEGIN EXCLUSIVE")
            connection.exec_driver_sql("UPDATE patrons SET version = 2")
            with pytest.raises(NotNow):
                look.ask(WANTED)
            connection.exec_driver_sql("ROLLBACK")
            connection.exec_driver_sql("PRAGMA locking_mode = NORMAL")
            connection.exec_driver_sql("SELECT * FROM patrons")
            connection.exec_driver_sql("BEGIN")
        with pytest.raises(NotNow):
            look.ask(WANTED)
        clock.now += REST_SECONDS
        assert look.ask(WANTED)

    def test_not_now_while_the_disk_is_slow(self, look: Look, clock: Clock) -> None:
        """One look that took long is the last for a while."""
        assert look.ask(WANTED)
        clock.step = SLOW_SECONDS * 2
        assert look.ask(WANTED)
        clock.step = 0
        with pytest.raises(NotNow):
            look.ask(WANTED)
        clock.now += REST_SECONDS
        assert look.ask(WANTED)

    def test_not_now_of_a_server(self) -> None:
        """PostgreSQL answers over a network, also when it is near."""
        look = InstantLookUp(Store("postgresql+psycopg://127.0.0.1/nothing"), FIND)
        with pytest.raises(NotNow):
            look.ask(WANTED)

    def test_not_now_without_a_database(self, tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> None:
        """It is asked again when it may be back."""
        path = tmp_path_factory.mktemp("gone") / "registry.db"
        look = InstantLookUp(Store(f"sqlite:///{path}"), FIND, clock)
        with pytest.raises(NotNow):
            look.ask(WANTED)
        made = Store(f"sqlite:///{path}", makes_file=True)
        made.migrate()
        made.close()
        with pytest.raises(NotNow):
            look.ask(WANTED)
        clock.now += REST_SECONDS
        assert look.ask(WANTED) is None
        look.close()
