"""Commands that only tell, on a data directory without a service."""

import json

import pytest

from tests.support.biebroam import DataDirectory

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataDirectory:
    directory = DataDirectory(tmp_path_factory.mktemp("reports") / "data")
    directory.take_initialised()
    return directory


def test_days_left_are_told_of_all(data: DataDirectory) -> None:
    """Both authorities with their roots, the proxy's and the home server's certificates."""
    rows = json.loads(data.run("cert", "days-left", "--json").stdout)
    assert sorted(row["kind"] for row in rows) == [
        "eap-server",
        *2 * ["issuing authority"],
        "operator",
        *2 * ["root authority"],
    ]
    assert "login.biebroam.example" in data.run("cert", "days-left").stdout


def test_posture_of_nobody(data: DataDirectory) -> None:
    """Where no worker has counted anything there is an empty list."""
    assert json.loads(data.run("posture", "--json").stdout) == []
