"""The application over a real registry in a temporary folder: two libraries, a token of each role."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.api.federation import LibraryFederation, build_federation


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that was migrated and filled once; each test works on a copy."""
    folder = tmp_path_factory.mktemp("pristine")
    build_federation(folder).close()
    return folder


@pytest.fixture
def federation(pristine: Path, tmp_path: Path) -> Iterator[LibraryFederation]:
    federation = LibraryFederation.copy_of(pristine, tmp_path)
    yield federation
    federation.close()


@pytest.fixture
def operator(federation: LibraryFederation) -> TestClient:
    """A client with the operator's token."""
    return federation.client("operator")
