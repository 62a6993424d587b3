"""A library is cut off through the API while it asks: closed and refused within a second, and nobody else feels it."""

from collections.abc import Generator
from contextlib import ExitStack

import pytest

from tests.load.revocation import CASES, OTHERS, Service

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("load")]

RATE = 70.0  # requests a second, of all
SECONDS = 5.0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[Service]:
    with ExitStack() as stack:
        yield Service(tmp_path_factory.mktemp("revocation"), stack, RATE, OTHERS + len(CASES))


@pytest.mark.parametrize("case", CASES)
def test_who_is_cut_off_is_out_within_a_second_and_others_lose_nothing(service: Service, case: str) -> None:
    """Certificate revoked, access point removed, library suspended: the connection ends, and none follows."""
    found = service.cut(case, SECONDS)
    print(found)
    assert found.closed_seconds < 1.0
    assert found.refused_seconds < 1.0
    assert found.asked_after == 0
    assert (found.others_lost, found.others_closed) == (0, 0)
    assert found.others_sent > 0
