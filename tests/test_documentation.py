"""What the documents list, the code has, and the other way round."""

import re
from pathlib import Path

import pytest

from federation.reasons import RefusalReason
from radius.errors import DropReason
from radius.supplicant.failure import FailedStep

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("[A-Z]*.md"))]


class TestReasons:
    def test_every_reason_is_documented_once(self) -> None:
        """docs/reasons.md has a row for each code of the two enums and for nothing else."""
        rows = re.findall(r"^\| `([a-z_]+)` \|", (ROOT / "docs" / "reasons.md").read_text(), re.MULTILINE)
        assert sorted(rows) == sorted([*RefusalReason, *DropReason])

    def test_the_two_sets_share_no_code(self) -> None:
        """A code says by itself whether the client got an answer."""
        assert not set(RefusalReason) & {str(reason) for reason in DropReason}

    def test_every_reason_is_given_by_some_code(self) -> None:
        """A code that nothing gives would be a promise to operators that is not kept."""
        given: set[str] = set()
        for folder in ("radius", "federation"):
            for path in (ROOT / folder).rglob("*.py"):
                if path.name not in {"errors.py", "reasons.py"}:
                    given |= set(re.findall(r"\b((?:Drop|Refusal)Reason\.[A-Z_]+)", path.read_text()))
        expected = {f"{type(each).__name__}.{each.name}" for each in (*RefusalReason, *DropReason)}
        assert expected - given == set()


class TestSteps:
    def test_every_step_of_a_probe_is_documented(self) -> None:
        """docs/command-line.md says of each step at which a login can fail what it means."""
        rows = re.findall(r"^\| `([a-z_]+)` \|", (ROOT / "docs" / "command-line.md").read_text(), re.MULTILINE)
        assert set(FailedStep) <= set(rows)


class TestLinks:
    @pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
    def test_links_lead_to_files_that_exist(self, document: Path) -> None:
        """Each relative link of a document names a file or folder of the tree."""
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text()):
            if "://" not in target and not target.startswith("mailto:"):
                assert (document.parent / target).exists(), f"{document.name} links to {target}"


def missing_from(document: str) -> list[str]:
    """What a document names as `path.py` or `path.py::test` and the tree has not."""
    text = (ROOT / "docs" / document).read_text()
    named = re.findall(r"`((?:radius|federation|api|config|tests)/[\w/]+\.py)(?:::(\w+))?`", text)
    assert named
    return [
        f"{path}::{test}"
        for path, test in named
        if not (ROOT / path).exists() or (test and f"def {test}(" not in (ROOT / path).read_text())
    ]


class TestProtocolTable:
    @pytest.mark.parametrize("document", ["protocol.md", "security-tests.md"])
    def test_modules_and_tests_that_it_names_exist(self, document: str) -> None:
        """Each path in these tables is a file of the tree, and each test that they name stands in its file."""
        assert not missing_from(document)

    def test_every_rule_has_a_module_and_a_test(self) -> None:
        """A rule without a module is not kept, and one without a test is not known to be."""
        rows = re.findall(r"^\| (\d+(?:\.\d+)+) \|(.*)$", (ROOT / "docs" / "protocol.md").read_text(), re.MULTILINE)
        assert {number.split(".")[0] for number, _ in rows} == {str(part) for part in range(1, 12)}
        for number, row in rows:
            _, module, tests = re.split(r" \| ", row.strip("| "), maxsplit=2)
            assert re.match(r"`(?:radius|federation|api|config)/[\w/]+\.py`", module), number
            assert re.match(r"`tests/[\w/]+\.py::\w+`", tests), number


class TestBadInputTable:
    def test_tests_that_it_names_exist(self) -> None:
        """Each test that docs/bad-input.md names stands in its file."""
        assert not missing_from("bad-input.md")

    def test_every_item_has_a_verdict_and_a_test(self) -> None:
        """Each group from 1 to 28 is there but those that the page says are elsewhere; no row is without a test."""
        text = (ROOT / "docs" / "bad-input.md").read_text()
        rows = re.findall(r"^\| (\d+) \| (.+) \| (.+) \| (.+) \|$", text, re.MULTILINE)
        assert {int(group) for group, *_ in rows} >= {*range(1, 18), *range(19, 24), 27, 28}
        assert [row for row in rows if not re.match(r"`tests/[\w/]+\.py::\w+`", row[3])] == []
