"""Two who change the same thing at the same moment: one of them is told."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from tests.api.federation import LibraryFederation

WRITERS = 6


@pytest.mark.parametrize("round_number", range(3))
def test_one_of_many_changes_wins(federation: LibraryFederation, round_number: int) -> None:
    """Of changes made from one version exactly one is kept; the others get 412, and no version is skipped."""
    etag = federation.client("operator").get("/v1/libraries/east").headers["ETag"]
    barrier = Barrier(WRITERS)

    def write(number: int) -> int:
        client = federation.client("operator")
        barrier.wait(timeout=10)
        body = {"name": f"Oost {round_number} {number}"}
        return client.patch("/v1/libraries/east", json=body, headers={"If-Match": etag}).status_code

    with ThreadPoolExecutor(WRITERS) as executor:
        statuses = sorted(executor.map(write, range(WRITERS)))
    assert statuses == [200] + [412] * (WRITERS - 1)
    assert len(federation.announced) == 1


def test_one_of_many_additions_wins(federation: LibraryFederation) -> None:
    """Of libraries made under one id exactly one is; the others are conflicts, and none is half there."""
    barrier = Barrier(WRITERS)

    def write(number: int) -> int:
        client = federation.client("operator")
        barrier.wait(timeout=10)
        body = {"id": "north", "name": f"Noord {number}", "realms": [f"north{number}.library.example"]}
        return client.post("/v1/libraries", json=body).status_code

    with ThreadPoolExecutor(WRITERS) as executor:
        statuses = sorted(executor.map(write, range(WRITERS)))
    assert statuses == [201] + [409] * (WRITERS - 1)
    assert len(federation.client("operator").get("/v1/libraries/north").json()["realms"]) == 1
