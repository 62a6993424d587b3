"""The committed OpenAPI document is the code's, and it is whole."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.openapi import format_document, operations_of
from api.problems import KINDS
from api.security import LOOPBACK_PATHS, PUBLIC_PATHS
from tests.api.federation import DOCUMENT, LibraryFederation

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"
REFERENCE = COMMITTED.with_name("api.md")
OPERATIONS = list(operations_of(DOCUMENT))


def references(value: Any) -> set[str]:  # Any: JSON of many shapes
    """Every reference in a part of the document."""
    return set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(value)))


class TestCommitted:
    def test_is_the_code_s(self) -> None:
        """docs/openapi.json is what `python -m api.openapi` writes today."""
        assert format_document(DOCUMENT) == COMMITTED.read_text(), "run: python -m api.openapi > docs/openapi.json"

    def test_is_what_is_served(self, federation: LibraryFederation) -> None:
        """/openapi.json gives the same document."""
        assert federation.client(None).get("/openapi.json").json() == json.loads(COMMITTED.read_text())

    def test_version(self) -> None:
        """It is written in OpenAPI 3.1."""
        assert DOCUMENT["openapi"].startswith("3.1.")


class TestWhole:
    def test_references_lead_somewhere(self) -> None:
        """Each reference names a part of the document."""
        for reference in references(DOCUMENT):
            found: Any = DOCUMENT
            for part in reference.removeprefix("#/").split("/"):
                found = found[part]

    def test_operation_ids_are_unique(self) -> None:
        """Each operation has a name of its own, for generated clients."""
        names = [operation["operationId"] for _, _, operation in OPERATIONS]
        assert len(names) == len(set(names))

    @pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=lambda value: str(value)[:60])
    def test_operation_is_described(self, path: str, method: str, operation: dict[str, Any]) -> None:
        """Each operation says what it does, belongs to a group, names its problems and its security."""
        assert operation["description"].endswith((".", "?"))
        assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
        assert {"500", "503"} <= set(operation["responses"])
        if path in PUBLIC_PATHS:
            assert operation["security"] == []
        elif path in LOOPBACK_PATHS:
            assert {} in operation["security"]
        else:
            assert "security" not in operation  # the document's own: a token
            assert {"401", "403", "429"} <= set(operation["responses"])
        if method in {"patch", "delete"}:
            assert {"412", "428"} <= set(operation["responses"])
        body = operation.get("requestBody", {}).get("content", {})
        assert all("schema" in content for content in body.values())

    def test_bodies_have_examples(self) -> None:
        """Each body that can be sent has an example to begin with."""
        for _, _, operation in OPERATIONS:
            for content in operation.get("requestBody", {}).get("content", {}).values():
                schema = content["schema"]
                names = references(schema)
                assert any(DOCUMENT["components"]["schemas"][name.rpartition("/")[2]].get("examples") for name in names)


class TestReference:
    def test_every_kind_of_problem_is_documented(self) -> None:
        """docs/api.md has a row for each problem type and for nothing else."""
        rows = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", REFERENCE.read_text(), re.MULTILINE)
        assert sorted(rows) == sorted((kind.code, str(kind.status.value)) for kind in KINDS.values())

    def test_every_path_is_documented(self) -> None:
        """docs/api.md names each path."""
        text = REFERENCE.read_text()
        assert [path for path in DOCUMENT["paths"] if f"`{path}`" not in text] == []

    def test_page_needs_no_script_and_no_other_host(self, federation: LibraryFederation) -> None:
        """/docs is plain HTML that the security headers allow; it names each operation."""
        page = federation.client(None).get("/docs").text
        assert "<script" not in page
        assert "://" not in page.replace("https://biebroam.example", "")
        assert all(f'id="{operation["operationId"]}"' in page for _, _, operation in OPERATIONS)


def test_missing_method_is_refused(operator: TestClient) -> None:
    """A method that a path does not have gets 405, and Allow has those that it has (RFC 9110 §15.5.6)."""
    answer = operator.delete("/v1/libraries")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, POST"
    assert answer.headers["Content-Type"] == "application/problem+json"
