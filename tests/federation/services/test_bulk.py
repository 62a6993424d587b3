"""Many realms at once: what is asked of the database is counted, and does not grow with them."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from federation.errors import Conflict, InvalidDocument, InvalidInput
from federation.services import realms
from federation.services.apply import apply_document, export_document
from federation.services.audit import find_break
from federation.services.certificates import issue_certificate, show_certificate
from federation.services.document import FederationDocument, parse_document
from federation.services.libraries import add_library, show_library
from federation.store.tables.registry import LibraryRow
from tests.federation.members import OPERATOR, START, Members
from tests.federation.trust.certificates import openssl_request


@contextmanager
def statements(members: Members) -> Generator[list[str]]:
    """What is said to the database inside the block; rows that are written together are said once."""
    said: list[str] = []

    def note(*arguments: object) -> None:
        said.append(str(arguments[2]))

    event.listen(members.store.engine, "before_cursor_execute", note)
    yield said
    event.remove(members.store.engine, "before_cursor_execute", note)


def document_of(libraries: int, count: int, **more: Any) -> FederationDocument:
    sections: list[dict[str, Any]] = [
        {"id": f"l{library}", "name": "Many", "realms": [f"r{realm}.l{library}.test" for realm in range(count)]}
        for library in range(libraries)
    ]
    return parse_document({"libraries": sections, **more})


class TestAddRealms:
    def test_statements_do_not_grow_with_the_realms(self, members: Members) -> None:
        """A library with 400 realms asks of the database what one with 4 does, but for shares of 500 names."""
        costs: list[int] = []
        for library, count in (("few", 4), ("many", 400)):
            with statements(members) as said, members.change() as change:
                add_library(change, OPERATOR, library_id=library, name=library)
                wanted = [(f"r{number}.{library}.test", False) for number in range(count)]
                made = realms.add_realms(change, OPERATOR, library, wanted)
            assert [entry.name for entry in made] == [name for name, _ in wanted]
            costs.append(len(said))
        assert costs[1] <= costs[0] + 2
        with members.registry.read() as session:
            assert show_library(session, OPERATOR, "many").realms == tuple(name for name, _ in wanted)
            assert find_break(session) is None

    @pytest.mark.parametrize("count", [3, 30])
    def test_one_that_can_not_be_refuses_all(self, members: Members, count: int) -> None:
        """Twice the same, one of another library, or one wrapped around another's: nothing is added."""
        good = [(f"r{number}.test", True) for number in range(count)]
        for bad in (("r0.test", False), ("leesstad.test", False), ("test.test", True), ("gmail.com", False)):
            with members.change() as change:
                if bad[0] == "test.test":
                    realms.add_realm(change, OPERATOR, "leesstad", name="below.test.test")
            with pytest.raises((Conflict, InvalidInput)), members.change() as change:
                realms.add_realms(change, OPERATOR, "boekenburg", [*good[1:], ("r0.test", False), bad])
        with members.registry.read() as session:
            assert show_library(session, OPERATOR, "boekenburg").realms == ("boekenburg.test", "oud.test")

    def test_certificates_below_them_are_revoked(self, members: Members, tmp_path: Path) -> None:
        """A certificate whose name lies under one of many realms that are another library's now is revoked."""
        with members.change() as change:
            csr = openssl_request(tmp_path, "DNS:radius1.branch.boekenburg.test")
            serial = issue_certificate(change, OPERATOR, "boekenburg", csr).serial
        wanted = [(f"r{number}.test", False) for number in range(20)]
        with members.change() as change:
            realms.add_realms(change, OPERATOR, "leesstad", wanted)
        with members.registry.read() as session:
            assert show_certificate(session, OPERATOR, serial, START).revoked_at is None
        with members.change() as change:
            more = [("branch.boekenburg.test", False), ("other.test", False)]
            realms.add_realms(change, OPERATOR, "leesstad", more)
        with members.registry.read() as session:
            assert show_certificate(session, OPERATOR, serial, START).revoked_at is not None


class TestApply:
    def test_statements_do_not_grow_with_the_realms(self, members: Members) -> None:
        """Of two documents with as many libraries, the one with thirty times the realms asks hardly more."""
        costs: list[int] = []
        for count in (3, 90):
            with statements(members) as said:
                apply_document(members.registry, OPERATOR, document_of(4, count), dry_run=True)
            costs.append(len(said))
        assert costs[1] <= costs[0] + 2

    def test_applied_again_nothing_is_done(self, members: Members) -> None:
        """All realms are where they are to be, in their order, and the trail is whole."""
        document = document_of(3, 40)
        applied = apply_document(members.registry, OPERATOR, document)
        assert len(applied.steps) == 3 * 41
        assert apply_document(members.registry, OPERATOR, document).steps == ()
        with members.registry.read() as session:
            assert find_break(session) is None
            exported = {library["id"]: library["realms"] for library in export_document(session)["libraries"]}
            row = session.get(LibraryRow, "l1")
            assert row is not None
            assert row.revision == applied.revision
        assert exported["l1"] == [f"r{realm}.l1.test" for realm in range(40)]

    def test_realm_that_can_not_be_is_named_by_its_place(self, members: Members) -> None:
        """Among many, the one that is refused is told by its pointer, and nothing is kept."""
        content = {"libraries": [{"id": "l0", "name": "Many", "realms": ["a.test", "b.test", "gmail.com", "c.test"]}]}
        with pytest.raises(InvalidDocument) as refused:
            apply_document(members.registry, OPERATOR, parse_document(content))
        assert [problem.field for problem in refused.value.problems] == ["/libraries/0/realms/2/name"]
        with members.registry.read() as session:
            assert session.get(LibraryRow, "l0") is None
