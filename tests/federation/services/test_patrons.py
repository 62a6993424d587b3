"""Patrons in the registry: made, changed, imported, and never seen by who should not."""

import threading
from collections.abc import Callable
from datetime import date

import pytest
from sqlalchemy import select

from federation.errors import Conflict, Forbidden, InvalidInput, NotFound
from federation.identity.local import LocalStore
from federation.identity.passwords import PasswordHashes
from federation.identity.patron_files import InvalidPatronFile
from federation.model import Actor, Patron, Role
from federation.reasons import RefusalReason
from federation.services.identity_settings import change_identity
from federation.services.libraries import remove_library
from federation.services.patrons import (
    Imported,
    add_patron,
    block_patron,
    change_patron,
    import_patrons,
    list_patrons,
    pseudonym_of,
    remove_patron,
    set_password,
    show_patron,
)
from federation.services.registry import Change
from federation.store.tables.patrons import PatronRow
from federation.store.tables.registry import AuditRow, IdentityRow
from federation.trust.keystore import NodeKey, Sealer
from tests.federation.members import BOEKENBURG, CHEAP_HASHES, LEESSTAD, OPERATOR, READER, START, Members

NAME = "jansen@boekenburg.test"
Attempt = Callable[[Change], object]
OWN_READER = Actor("reader", Role.READER, "boekenburg")


def add(members: Members, name: str = NAME, password: str = "geheim", actor: Actor = BOEKENBURG) -> Patron:
    with members.change(actor) as change:
        return add_patron(change, actor, "boekenburg", name=name, password=password, hashes=CHEAP_HASHES)


def check(members: Members, password: bytes, user: str = "jansen") -> RefusalReason | None:
    store = LocalStore(members.store, members.sealer, CHEAP_HASHES, members.clock)
    return store.check_password("boekenburg.test", user, password)


def names(members: Members) -> list[str]:
    with members.registry.read() as session:
        return [patron.name for patron in list_patrons(session, BOEKENBURG, "boekenburg").items]


def audit(members: Members) -> str:
    with members.registry.read() as session:
        rows = session.scalars(select(AuditRow)).all()
        return repr([(row.action, row.subject, row.before, row.after, row.reason) for row in rows])


class TestAdd:
    def test_patron_signs_in(self, members: Members) -> None:
        """A patron who was added signs in with the password that was given."""
        added = add(members, "JanSen@Boekenburg.TEST")
        assert added == Patron(
            library="boekenburg",
            realm="boekenburg.test",
            user="jansen",
            is_blocked=False,
            expires_on=None,
            has_nt_hash=False,
            created_at=START,
            changed_at=START,
            version=1,
        )
        assert check(members, b"geheim") is None

    def test_realm_may_be_left_out_where_there_is_one(self, members: Members) -> None:
        """A library with one realm names its patrons by their cards."""
        with members.change(LEESSTAD) as change:
            added = add_patron(change, LEESSTAD, "leesstad", name="0020", password="x", hashes=CHEAP_HASHES)
        assert added.name == "0020@leesstad.test"

    @pytest.mark.parametrize(
        ("name", "field"),
        [
            ("jansen", "name"),
            ("jansen@leesstad.test", "name"),
            ("jansen@nobody.test", "name"),
            ("@boekenburg.test", "user"),
            ("a|b@boekenburg.test", "user"),
            ("a@b@boekenburg.test", "user"),
            ("a\r\n@boekenburg.test", "user"),
        ],
    )
    def test_name_that_can_not_be_is_refused(self, members: Members, name: str, field: str) -> None:
        """A realm of another library, a missing one, and a name that could break a line are refused."""
        with pytest.raises(InvalidInput) as caught:
            add(members, name)
        assert caught.value.field == field

    def test_realm_that_is_none_is_refused(self, members: Members) -> None:
        """A realm is a domain name."""
        with pytest.raises(InvalidInput):
            add(members, "jansen@..")

    @pytest.mark.parametrize("password", ["", "x" * 129, "a\x00b", "a\n"])
    def test_password_that_can_not_be_is_refused(self, members: Members, password: str) -> None:
        """Empty, over-long and control characters are refused, and nothing is kept."""
        with pytest.raises(InvalidInput) as caught:
            add(members, password=password)
        assert caught.value.field == "password"
        assert names(members) == []

    def test_same_name_in_another_case_is_refused(self, members: Members) -> None:
        """A patron is one, however the name is written."""
        add(members)
        with pytest.raises(Conflict):
            add(members, "JANSEN@boekenburg.test")

    def test_library_with_its_own_system_is_refused(self, members: Members) -> None:
        """Where patrons are checked elsewhere, adding one here would do nothing."""
        with members.store.write() as session:
            row = session.get(IdentityRow, "boekenburg")
            assert row is not None
            row.kind = "sip2"
        with pytest.raises(Conflict, match="sip2"):
            add(members)


class TestChange:
    def test_new_password_replaces_the_old_one(self, members: Members) -> None:
        """After a change only the new password is right."""
        add(members)
        with members.change(BOEKENBURG) as change:
            changed = set_password(change, BOEKENBURG, "boekenburg", NAME, "nieuw", hashes=CHEAP_HASHES)
        assert changed.version == 2
        assert check(members, b"nieuw") is None
        assert check(members, b"geheim") is RefusalReason.WRONG_CREDENTIALS

    def test_change_for_another_version_is_refused(self, members: Members) -> None:
        """Two people who change one patron do not undo each other's work unseen."""
        add(members)
        for expected_version in (0, 2):
            with pytest.raises(Conflict), members.change() as change:
                set_password(
                    change,
                    OPERATOR,
                    "boekenburg",
                    NAME,
                    "nieuw",
                    expected_version=expected_version,
                    hashes=CHEAP_HASHES,
                )
            with pytest.raises(Conflict), members.change() as change:
                change_patron(
                    change,
                    OPERATOR,
                    "boekenburg",
                    NAME,
                    is_blocked=True,
                    expires_on=None,
                    expected_version=expected_version,
                )
            with pytest.raises(Conflict), members.change() as change:
                remove_patron(change, OPERATOR, "boekenburg", NAME, expected_version=expected_version)
        assert check(members, b"geheim") is None

    def test_block_and_expiry_are_shown(self, members: Members) -> None:
        """What was changed is what is shown, with a version that rises."""
        add(members)
        with members.change() as change:
            change_patron(
                change, OPERATOR, "boekenburg", NAME, is_blocked=True, expires_on=date(2027, 1, 1), expected_version=1
            )
        with members.registry.read() as session:
            shown = show_patron(session, OWN_READER, "boekenburg", NAME)
        assert (shown.is_blocked, shown.expires_on, shown.version) == (True, date(2027, 1, 1), 2)
        with members.change() as change:
            assert not block_patron(change, OPERATOR, "boekenburg", NAME, is_blocked=False).is_blocked

    def test_removed_patron_is_gone(self, members: Members) -> None:
        """Nothing is kept of a removed patron, and the name is free."""
        add(members)
        with members.change() as change:
            remove_patron(change, OPERATOR, "boekenburg", NAME)
        assert check(members, b"geheim") is RefusalReason.UNKNOWN_PATRON
        with members.registry.read() as session:
            assert session.scalars(select(PatronRow)).all() == []
        add(members)

    def test_patrons_go_with_their_library(self, members: Members) -> None:
        """A library that leaves leaves no patrons behind."""
        add(members)
        with members.change() as change:
            remove_library(change, OPERATOR, "boekenburg")
        with members.registry.read() as session:
            assert session.scalars(select(PatronRow)).all() == []


class TestTenants:
    @pytest.mark.parametrize("name", ["pieters@boekenburg.test", "jansen@oud.test", "a|b@boekenburg.test", "jansen"])
    def test_patron_that_is_not_there_is_not_found(self, members: Members, name: str) -> None:
        """A name that nobody has, or can have, is not found."""
        add(members)
        with members.registry.read() as session, pytest.raises(NotFound):
            show_patron(session, BOEKENBURG, "boekenburg", name)

    def test_neighbour_sees_and_changes_nothing(self, members: Members) -> None:
        """To another library this one's patrons are not there."""
        add(members)
        with members.registry.read() as session:
            with pytest.raises(NotFound):
                show_patron(session, LEESSTAD, "boekenburg", NAME)
            with pytest.raises(NotFound):
                list_patrons(session, LEESSTAD, "boekenburg")
        attempts: tuple[Attempt, ...] = (
            lambda change: add_patron(change, LEESSTAD, "boekenburg", name=f"x{NAME}", password="x"),
            lambda change: set_password(change, LEESSTAD, "boekenburg", NAME, "x"),
            lambda change: block_patron(change, LEESSTAD, "boekenburg", NAME),
            lambda change: remove_patron(change, LEESSTAD, "boekenburg", NAME),
        )
        for attempt in attempts:
            with pytest.raises(NotFound), members.change(LEESSTAD) as change:
                attempt(change)
        with pytest.raises(NotFound):
            import_patrons(members.registry, LEESSTAD, "boekenburg", b"user,password\na@oud.test,x\n")
        assert check(members, b"geheim") is None

    def test_reader_of_the_federation_sees_no_names(self, members: Members) -> None:
        """Patrons' names are personal: a reader sees those of its own library, and only when it has one."""
        add(members)
        with members.registry.read() as session:
            assert len(list_patrons(session, OWN_READER, "boekenburg").items) == 1
            with pytest.raises(Forbidden):
                list_patrons(session, READER, "boekenburg")

    @pytest.mark.parametrize("reader", [READER, OWN_READER], ids=["federation", "library"])
    def test_reader_changes_nothing(self, members: Members, reader: Actor) -> None:
        """A reader may not even try a password by setting it."""
        add(members)
        with pytest.raises(Forbidden), members.change(reader) as change:
            set_password(change, reader, "boekenburg", NAME, "x")
        with pytest.raises(Forbidden):
            import_patrons(members.registry, reader, "boekenburg", b"user,password\na@oud.test,x\n")

    def test_pages_hold_every_patron_once(self, members: Members) -> None:
        """The cursor of a page leads to the rest, and another text is no cursor."""
        made = [add(members, f"p{number}@oud.test").name for number in range(5)]
        listed: list[str] = []
        cursor = None
        for _ in range(3):
            with members.registry.read() as session:
                page = list_patrons(session, BOEKENBURG, "boekenburg", limit=2, cursor=cursor)
            listed += [patron.name for patron in page.items]
            cursor = page.next_cursor
        assert listed == made
        assert cursor is None
        for wrong in ("x", "", "-1", "1" * 30, "\u0661"):
            with members.registry.read() as session, pytest.raises(InvalidInput):
                list_patrons(session, BOEKENBURG, "boekenburg", cursor=wrong)


class TestAudit:
    def test_trail_has_neither_name_nor_password(self, members: Members) -> None:
        """Everything that is done to a patron is in the trail under a pseudonym."""
        add(members)
        with members.change() as change:
            set_password(change, OPERATOR, "boekenburg", NAME, "nog-geheimer", hashes=CHEAP_HASHES)
            block_patron(change, OPERATOR, "boekenburg", NAME)
            change_patron(change, OPERATOR, "boekenburg", NAME, is_blocked=False, expires_on=None)
            remove_patron(change, OPERATOR, "boekenburg", NAME)
        trail = audit(members)
        for secret in ("jansen", "geheim", "nog-geheimer", "argon2"):
            assert secret not in trail
        pseudonym = pseudonym_of(members.sealer, "boekenburg", "boekenburg.test", "jansen")
        for action in ("add", "set-password", "block", "change", "remove"):
            assert f"('patron.{action}', 'library/boekenburg/{pseudonym}'" in trail

    def test_pseudonym_is_of_this_installation_and_this_patron(self, members: Members) -> None:
        """Nobody without the node key can try names, and no two patrons share one."""
        other = Sealer([NodeKey.generate()])
        pseudonyms = {
            pseudonym_of(members.sealer, "a", "b.test", "c"),
            pseudonym_of(members.sealer, "a", "b.test", "d"),
            pseudonym_of(members.sealer, "x", "b.test", "c"),
            pseudonym_of(other, "a", "b.test", "c"),
        }
        assert len(pseudonyms) == 4


class TestMschapv2:
    def test_turning_it_off_deletes_every_nt_hash(self, members: Members) -> None:
        """What is as good as a password is not kept a moment longer than it is wanted."""
        with members.change() as change:
            change_identity(change, OPERATOR, "boekenburg", mschapv2=True)
        assert add(members).has_nt_hash
        with members.change() as change:
            change_identity(change, OPERATOR, "boekenburg", mschapv2=False)
        with members.registry.read() as session:
            assert not show_patron(session, BOEKENBURG, "boekenburg", NAME).has_nt_hash
            assert list(session.scalars(select(PatronRow.sealed_nt_hash))) == [None]
        assert "'patron.forget-nt-hashes', 'library/boekenburg', None, {'forgotten': 1}" in audit(members)


class TestImport:
    def test_file_is_imported_with_progress(self, members: Members) -> None:
        """Every patron of the file signs in, progress is told for each, and one change announces them all."""
        file = b"user;password;expires\n" + b"".join(b"p%d@oud.test;pin-%d;2027-01-31\n" % (n, n) for n in range(50))
        progress: list[tuple[int, int]] = []
        announced = len(members.announced)
        done = import_patrons(
            members.registry,
            BOEKENBURG,
            "boekenburg",
            file,
            progress=lambda done, total: progress.append((done, total)),
            hashes=CHEAP_HASHES,
        )
        assert done == Imported(added=50, replaced=0)
        assert progress == [(number, 50) for number in range(1, 51)]
        assert len(members.announced) == announced + 1
        store = LocalStore(members.store, members.sealer, CHEAP_HASHES, members.clock)
        assert [store.check_password("oud.test", f"p{n}", b"pin-%d" % n) for n in range(50)] == [None] * 50
        with members.registry.read() as session:
            assert show_patron(session, BOEKENBURG, "boekenburg", "p7@oud.test").expires_on == date(2027, 1, 31)
        assert "pin-" not in audit(members)

    def test_one_wrong_line_keeps_the_whole_file_out(self, members: Members) -> None:
        """All or nothing: no hash is made and no patron kept, and each problem has its line."""
        progress: list[tuple[int, int]] = []
        with pytest.raises(InvalidPatronFile) as caught:
            import_patrons(
                members.registry,
                BOEKENBURG,
                "boekenburg",
                b"user,password\na@oud.test,x\nb@leesstad.test,x\nc@oud.test,\n",
                progress=lambda done, total: progress.append((done, total)),
                hashes=CHEAP_HASHES,
            )
        assert [problem.field for problem in caught.value.problems] == ["line 3", "line 4"]
        assert names(members) == []
        assert progress == []

    def test_patron_who_is_there_is_a_problem_unless_replaced(self, members: Members) -> None:
        """An import does not change patrons by surprise; when asked to, it does, and keeps their block."""
        add(members)
        with members.change() as change:
            block_patron(change, OPERATOR, "boekenburg", NAME)
        file = b"user,password\nJANSEN@boekenburg.test,nieuw\nnew@oud.test,x\n"
        with pytest.raises(InvalidPatronFile, match="line 2: there is a patron of that name already"):
            import_patrons(members.registry, BOEKENBURG, "boekenburg", file, hashes=CHEAP_HASHES)
        done = import_patrons(members.registry, BOEKENBURG, "boekenburg", file, replaces=True, hashes=CHEAP_HASHES)
        assert done == Imported(added=1, replaced=1)
        assert check(members, b"nieuw") is RefusalReason.PATRON_BLOCKED

    def test_patron_who_was_added_during_the_import_is_a_problem(self, members: Members) -> None:
        """What happens while the file is hashed is seen before it is kept."""

        def meddle(done: int, total: int) -> None:
            del total
            if done == 1:
                add(members, "late@oud.test")

        file = b"user,password\na@oud.test,x\nlate@oud.test,x\n"
        with pytest.raises(InvalidPatronFile, match="line 3"):
            import_patrons(members.registry, BOEKENBURG, "boekenburg", file, progress=meddle, hashes=CHEAP_HASHES)
        assert names(members) == ["late@oud.test"]

    def test_interrupted_import_keeps_nothing_and_stops_hashing(self, members: Members) -> None:
        """Ctrl-C in the middle leaves neither patrons nor threads behind."""
        hashed: list[bytes] = []

        class Noting(PasswordHashes):
            def hash(self, password: bytes) -> str:
                hashed.append(password)
                return super().hash(password)

        def interrupt(done: int, total: int) -> None:
            raise KeyboardInterrupt

        file = b"user,password\n" + b"".join(b"p%d@oud.test,x\n" % number for number in range(2000))
        with pytest.raises(KeyboardInterrupt):
            import_patrons(
                members.registry,
                BOEKENBURG,
                "boekenburg",
                file,
                progress=interrupt,
                hashes=Noting(memory_kib=64, passes=1),
            )
        assert names(members) == []
        assert len(hashed) < 2000
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("patron-import")]

    def test_nt_hashes_are_made_where_mschapv2_is_on(self, members: Members) -> None:
        """Imported patrons can sign in by every method that their library offers."""
        members.turn_mschapv2("boekenburg", on=True)
        file = b"user,password\nclient@boekenburg.test,clientPass\n"
        import_patrons(members.registry, BOEKENBURG, "boekenburg", file, hashes=CHEAP_HASHES)
        store = LocalStore(members.store, members.sealer, CHEAP_HASHES, members.clock)
        assert store.find_nt_hash("boekenburg.test", "client") == bytes.fromhex("44EBBA8D5312B8D611474411F56989AE")
