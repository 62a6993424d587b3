"""The federation file: parsed, located, applied, exported."""

from typing import Any

import pytest

from federation.errors import Forbidden, InvalidDocument
from federation.services.apply import Applied, apply_document, export_document
from federation.services.document import find_line, parse_document, parse_federation_file
from federation.store.compile import compile_snapshot, read_revision
from tests.federation.members import BOEKENBURG, OPERATOR, Members

FILE = """\
[federation]
name = "biebroam"

[[libraries]]
id = "boekenburg"
name = "Boekenburg"
realms = ["boekenburg.test", "oud.test"]

[[libraries.access_points]]
name = "hal"
address = "192.0.2.0/24"
guest_vlan = 40

[[libraries.access_points]]
name = "zaal"
address = "198.51.100.7"
coa_port = 3799
secret = "a-secret-of-enough-octets"

[libraries.identity]
kind = "local"

[[libraries]]
id = "nieuw"
name = "Nieuw"
realms = [{ name = "nieuw.test", subrealms = true }]

[[libraries.home_servers]]
name = "radius1"
host = "192.0.2.10"
accounting_port = 1813
secret_env = "RADIUS1_SECRET"
"""


def read_secret(key: str, value: str) -> str:
    if key == "secret_env":
        return {"RADIUS1_SECRET": "another-secret-of-enough\n"}[value]
    raise FileNotFoundError(2, "No such file or directory", value)


def content_of(text: str = FILE) -> dict[str, Any]:
    return parse_federation_file(text, file="federation.toml", read_secret=read_secret)


def apply(members: Members, text: str = FILE, *, prune: bool = False, dry_run: bool = False) -> Applied:
    document = parse_document(content_of(text))
    return apply_document(members.registry, OPERATOR, document, prune=prune, dry_run=dry_run)


def problems_of(text: str) -> list[str]:
    with pytest.raises(InvalidDocument) as refused:
        content_of(text)
    assert "federation.toml" in str(refused.value)
    return [problem.field for problem in refused.value.problems]


class TestParsing:
    def test_secret_comes_from_the_environment(self) -> None:
        """`secret_env` names a variable; the line end is not part of the secret."""
        assert content_of()["libraries"][1]["home_servers"][0]["secret"] == "another-secret-of-enough"

    def test_file_that_is_no_toml_names_the_line(self) -> None:
        """What TOML says of its place is passed on."""
        with pytest.raises(InvalidDocument, match="line 2"):
            content_of('[federation]\nname = "x\n')

    @pytest.mark.parametrize(
        ("before", "after", "place"),
        [
            ('name = "Nieuw"', 'nam = "Nieuw"', "line 25: /libraries/1/nam"),
            ("guest_vlan = 40", 'guest_vlan = "forty"', "line 12: /libraries/0/access_points/0/guest_vlan"),
            ('kind = "local"', 'kind = "magic"', "line 21: /libraries/0/identity/kind"),
            ("RADIUS1_SECRET", "NOT_THERE", "line 32: /libraries/1/home_servers/0/secret_env"),
            ('secret_env = "RADIUS1_SECRET"', 'secret_file = "x"', "line 28: /libraries/1/home_servers/0/secret_file"),
            (
                'secret = "a-secret-of-enough-octets"',
                'secret = "a-secret-of-enough-octets"\nsecret_env = "RADIUS1_SECRET"',
                "line 19: /libraries/0/access_points/1/secret_env",
            ),
        ],
    )
    def test_problem_is_found_with_its_line(self, before: str, after: str, place: str) -> None:
        """Every problem has the line where it stands, or the table that it is in, and its JSON pointer."""
        found = problems_of(FILE.replace(before, after, 1))
        assert any(place.split(": ")[1] in each for each in found)
        if "secret_file" not in place:
            assert place in found

    def test_all_problems_are_named_at_once(self) -> None:
        """A file is not mended one error at a time."""
        text = FILE.replace("guest_vlan = 40", 'guest_vlan = "x"').replace('name = "Nieuw"', "name = 7")
        assert len(problems_of(text)) == 2

    @pytest.mark.parametrize(
        ("before", "after", "words"),
        [
            ('id = "nieuw"', 'id = "boekenburg"', "more than one library"),
            ('name = "zaal"', 'name = "hal"', "more than once"),
            ('"nieuw.test"', '"oud.test"', "belongs to both"),
        ],
    )
    def test_contradiction_is_refused(self, before: str, after: str, words: str) -> None:
        """One library, one name, one owner each."""
        with pytest.raises(InvalidDocument, match=words):
            content_of(FILE.replace(before, after, 1))

    @pytest.mark.parametrize(
        "content", [{"libraries": 7}, {"libraries": ["x"]}, {"libraries": [{"realms": 3}]}, {"x": 1}]
    )
    def test_any_shape_is_judged_not_crashed_on(self, content: dict[str, Any]) -> None:
        """JSON of another shape is a list of problems."""
        with pytest.raises(InvalidDocument):
            parse_document(content)


class TestFindLine:
    @pytest.mark.parametrize(
        ("pointer", "line"),
        [
            ("/federation/name", 2),
            ("/libraries/0", 4),
            ("/libraries/1/name", 25),
            ("/libraries/0/access_points/1/address", 16),
            ("/libraries/0/access_points/1/missing", 14),
            ("/libraries/0/realms/1", 7),
            ("/nowhere", None),
        ],
    )
    def test_leads_to_the_key_or_its_table(self, pointer: str, line: int | None) -> None:
        """The line of the key; without it, of the table where it should stand."""
        assert find_line(FILE, pointer) == line


class TestApply:
    def test_makes_the_federation_as_the_file_says(self, members: Members) -> None:
        """Libraries, realms, access points and home servers are there, and compile."""
        done = apply(members)
        assert done.revision > 1
        with members.registry.read() as session:
            snapshot = compile_snapshot(session, members.sealer, ())
        assert snapshot.realms["nieuw.test"].includes_subrealms
        assert snapshot.home_servers["nieuw/radius1"].secret == b"another-secret-of-enough"
        assert snapshot.dynamic_authorization_servers["boekenburg/zaal/coa"].host == "198.51.100.7"
        assert snapshot.home_servers["nieuw/radius1/acct"].port == 1813
        assert {client.key for client in snapshot.clients} == {"boekenburg/hal", "boekenburg/zaal"}

    def test_generated_secrets_are_shown_once(self, members: Members) -> None:
        """A secret that the file leaves out is made and shown; the second time there is nothing to show."""
        assert [secret.subject for secret in apply(members).secrets] == ["library/boekenburg/access-point/hal"]
        assert apply(members).secrets == ()

    def test_second_time_changes_nothing(self, members: Members) -> None:
        """The same file again: no step, no revision."""
        first = apply(members)
        second = apply(members)
        assert second.steps == ()
        assert second.revision == first.revision

    def test_dry_run_tells_and_keeps_nothing(self, members: Members) -> None:
        """A dry run has the steps of the real one, no secrets, and leaves the registry as it was."""
        planned = apply(members, dry_run=True)
        with members.registry.read() as session:
            assert read_revision(session) == planned.revision - 1
        done = apply(members)
        assert [(step.action, step.subject) for step in planned.steps] == [
            (step.action, step.subject) for step in done.steps
        ]
        assert planned.secrets == ()

    def test_without_prune_the_rest_stays(self, members: Members) -> None:
        """What the file does not name is not touched."""
        apply(members)
        with members.registry.read() as session:
            names = {library["id"] for library in export_document(session)["libraries"]}
        assert names == {"boekenburg", "leesstad", "nieuw"}

    def test_prune_removes_what_is_not_named(self, members: Members) -> None:
        """Libraries, realms and access points that the file does not name are gone."""
        apply(members)
        without = FILE.replace(', "oud.test"', "").replace('"zaal"', '"kelder"')
        done = apply(members, without, prune=True)
        removed = {step.subject for step in done.steps if step.action.endswith(".remove")}
        assert {
            "library/leesstad",
            "library/boekenburg/realm/oud.test",
            "library/boekenburg/access-point/zaal",
        } <= removed
        with members.registry.read() as session:
            exported = export_document(session)
        assert [library["id"] for library in exported["libraries"]] == ["boekenburg", "nieuw"]

    def test_realm_moves_to_the_library_that_the_file_gives_it_to(self, members: Members) -> None:
        """A realm that changes hands is taken from the one and given to the other in one change."""
        moved = FILE.replace(', "oud.test"', "").replace("realms = [{", 'realms = ["leesstad.test", {')
        apply(members, moved)
        with members.registry.read() as session:
            snapshot = compile_snapshot(session, members.sealer, ())
        assert snapshot.realms["leesstad.test"].library == "nieuw"

    @pytest.mark.parametrize(
        ("before", "after", "pointer"),
        [
            ('"nieuw.test"', '"gmail.com"', "/libraries/1/realms/0/name"),
            ('"198.51.100.7"', '"192.0.2.0/24"', "/libraries/0/access_points/1"),
            ('"192.0.2.10"', '"no host"', "/libraries/1/home_servers/0/host"),
            ('id = "nieuw"', 'id = "Nieuw!"', "/libraries/1/id"),
            ('name = "biebroam"', 'name = "a b"', "/federation/name"),
        ],
    )
    def test_what_does_not_fit_is_refused_whole(self, members: Members, before: str, after: str, pointer: str) -> None:
        """The place is named, and nothing of the file is kept."""
        with members.registry.read() as session:
            earlier = export_document(session), read_revision(session)
        with pytest.raises(InvalidDocument) as refused:
            apply(members, FILE.replace(before, after, 1))
        assert [problem.field for problem in refused.value.problems] == [pointer]
        with members.registry.read() as session:
            assert (export_document(session), read_revision(session)) == earlier

    def test_only_operators_apply(self, members: Members) -> None:
        """The whole federation is an operator's."""
        with pytest.raises(Forbidden):
            apply_document(members.registry, BOEKENBURG, parse_document(content_of()))


class TestExport:
    def test_exported_document_applies_and_changes_nothing(self, members: Members) -> None:
        """What `export` prints is a file for `apply`, even with `prune`, and has what was said."""
        apply(
            members,
            FILE.replace(
                'address = "198.51.100.7"', 'address = "198.51.100.7"\nprotocol_errors = true\non_timeout = "drop"'
            ).replace('host = "192.0.2.10"', 'host = "192.0.2.10"\nweight = 3'),
        )
        with members.registry.read() as session:
            exported = export_document(session)
        libraries = {library["id"]: library for library in exported["libraries"]}
        library = libraries["boekenburg"]
        assert library["access_points"][1].items() >= {"protocol_errors": True, "on_timeout": "drop"}.items()
        assert "on_timeout" not in library["access_points"][0]
        assert libraries["nieuw"]["home_servers"][0]["weight"] == 3
        done = apply_document(members.registry, OPERATOR, parse_document(exported), prune=True)
        assert done.steps == ()

    def test_exported_document_holds_no_secret(self, members: Members) -> None:
        """Secrets leave once, when they are made."""
        apply(members)
        with members.registry.read() as session:
            text = str(export_document(session))
        assert "a-secret-of-enough-octets" not in text
        assert "another-secret-of-enough" not in text
