"""Changes: whole or not at all, audited, announced."""

import pytest
from sqlalchemy import select

from federation.errors import Conflict, Forbidden, NotFound
from federation.services import libraries
from federation.services.audit import find_break, list_audit
from federation.services.registry import check_version, cursor_page, find_library
from federation.store.compile import read_revision
from federation.store.tables.registry import AuditRow, LibraryRow
from tests.federation.members import BOEKENBURG, LEESSTAD, OPERATOR, READER, Members


def revision_of(members: Members) -> int:
    with members.registry.read() as session:
        return read_revision(session)


class TestChange:
    def test_kept_change_raises_the_revision_by_one_and_is_announced(self, members: Members) -> None:
        """However many steps a change has, the revision rises by one, and is announced after the commit."""
        before = revision_of(members)
        members.announced.clear()
        with members.change() as change:
            for name in ("a", "b"):
                libraries.add_library(change, OPERATOR, library_id=name, name=name)
            assert members.announced == []
        assert revision_of(members) == before + 1
        assert members.announced == [before + 1]

    def test_change_that_raises_leaves_nothing(self, members: Members) -> None:
        """An error in the block undoes all of it; nobody is told."""
        before = revision_of(members)
        members.announced.clear()
        with pytest.raises(Conflict), members.change() as change:
            libraries.add_library(change, OPERATOR, library_id="new", name="New")
            libraries.add_library(change, OPERATOR, library_id="boekenburg", name="Again")
        assert revision_of(members) == before
        assert members.announced == []
        with members.registry.read() as session:
            assert session.get(LibraryRow, "new") is None

    def test_change_that_did_nothing_is_none(self, members: Members) -> None:
        """A change without a step leaves the revision and tells nobody."""
        before = revision_of(members)
        members.announced.clear()
        with members.change():
            pass
        assert revision_of(members) == before
        assert members.announced == []

    def test_dry_run_is_not_kept(self, members: Members) -> None:
        """A dry run does the steps, shows them, and keeps nothing."""
        before = revision_of(members)
        members.announced.clear()
        with members.registry.change(OPERATOR, dry_run=True) as change:
            libraries.add_library(change, OPERATOR, library_id="new", name="New")
            assert [row.action for row in change.records] == ["library.add"]
        assert revision_of(members) == before
        assert members.announced == []
        with members.registry.read() as session:
            assert session.get(LibraryRow, "new") is None

    def test_touched_library_carries_the_revision(self, members: Members) -> None:
        """The library that a step belongs to has the revision at which it last changed; others keep theirs."""
        with members.change() as change:
            libraries.change_library(
                change, OPERATOR, "leesstad", name="Nieuw", roles=libraries.BOTH_ROLES, operator_name="", is_active=True
            )
        with members.registry.read() as session:
            revisions = {row.id: row.revision for row in session.scalars(select(LibraryRow))}
        assert revisions["leesstad"] == revision_of(members)
        assert revisions["boekenburg"] < revisions["leesstad"]


class TestAudit:
    def test_tells_who_did_what(self, members: Members) -> None:
        """An entry has the actor, the action, its subject, and the values before and after."""
        with members.registry.change(OPERATOR, "moves to the new building") as change:
            libraries.change_library(
                change,
                OPERATOR,
                "boekenburg",
                name="Boekenburg aan Zee",
                roles=libraries.BOTH_ROLES,
                operator_name="",
                is_active=True,
            )
        with members.registry.read() as session:
            entry = list_audit(session, OPERATOR, limit=1).items[0]
        assert (entry.actor, entry.action, entry.subject) == ("operator", "library.change", "library/boekenburg")
        assert entry.reason == "moves to the new building"
        assert entry.before is not None
        assert entry.after is not None
        assert (entry.before["name"], entry.after["name"]) == ("Boekenburg", "Boekenburg aan Zee")

    def test_library_sees_its_own_entries_only(self, members: Members) -> None:
        """The trail of another library does not exist for a library's token, asked for by name or not."""
        with members.registry.read() as session:
            seen = {entry.library for entry in list_audit(session, LEESSTAD).items}
            other = list_audit(session, LEESSTAD, library="boekenburg").items
        assert seen == {"leesstad"}
        assert not other

    def test_pages_follow_each_other(self, members: Members) -> None:
        """Cursors lead through all entries, the newest first, none twice."""
        seen: list[int] = []
        cursor = None
        with members.registry.read() as session:
            total = len(list_audit(session, OPERATOR, limit=1000).items)
            while True:
                page = list_audit(session, OPERATOR, limit=2, cursor=cursor)
                seen += [entry.id for entry in page.items]
                cursor = page.next_cursor
                if cursor is None:
                    break
        assert len(seen) == total
        assert seen == sorted(seen, reverse=True)

    def test_chain_is_whole(self, members: Members) -> None:
        """Nothing was taken out of an untouched trail."""
        with members.registry.read() as session:
            assert find_break(session) is None

    @pytest.mark.parametrize("field", ["actor", "action", "reason"])
    def test_changed_entry_breaks_the_chain(self, members: Members, field: str) -> None:
        """An entry that was changed afterwards is found."""
        with members.store.write() as session:
            row = session.scalars(select(AuditRow).order_by(AuditRow.id).limit(1)).one()
            setattr(row, field, "somebody else")
            changed = row.id
        with members.registry.read() as session:
            assert find_break(session) == changed

    def test_removed_entry_breaks_the_chain(self, members: Members) -> None:
        """An entry that was taken out is missed by the one after it."""
        with members.store.write() as session:
            rows = session.scalars(select(AuditRow).order_by(AuditRow.id).limit(3)).all()
            session.delete(rows[1])
            after = rows[2].id
        with members.registry.read() as session:
            assert find_break(session) == after


class TestRights:
    def test_other_library_does_not_exist(self, members: Members) -> None:
        """For a library's token another library looks like one that never was."""
        with members.registry.read() as session:
            with pytest.raises(NotFound) as other:
                find_library(session, LEESSTAD, "boekenburg")
            with pytest.raises(NotFound) as never:
                find_library(session, LEESSTAD, "never")
        assert str(other.value).replace("boekenburg", "never") == str(never.value)

    def test_reader_changes_nothing(self, members: Members) -> None:
        """A reader's token is refused."""
        with pytest.raises(Forbidden), members.change(READER) as change:
            libraries.remove_library(change, READER, "boekenburg")

    def test_library_can_not_give_itself_another_role(self, members: Members) -> None:
        """What a library is in the federation, and under which name, is an operator's to say."""
        for changed in ({"operator_name": "leesstad.test"}, {"is_active": False}):
            values = {"name": "B", "roles": libraries.BOTH_ROLES, "operator_name": "", "is_active": True} | changed
            with pytest.raises(Forbidden), members.change(BOEKENBURG) as change:
                libraries.change_library(change, BOEKENBURG, "boekenburg", **values)  # type: ignore[arg-type] - a table

    def test_version_that_has_passed_is_a_conflict(self) -> None:
        """Who changes what somebody else has changed meanwhile is told."""
        check_version(3, 3)
        check_version(3, None)
        with pytest.raises(Conflict):
            check_version(3, 2)


class TestCursorPage:
    def test_one_more_than_the_page_means_another(self) -> None:
        """The item beyond the limit is not shown; the cursor is the last one that is."""
        assert cursor_page(["a", "b", "c"], 2, str).next_cursor == "b"
        assert cursor_page(["a", "b"], 2, str).next_cursor is None
