"""Days left over the API: everything for who sees the whole, a library's own for the library."""

from tests.api.federation import LibraryFederation
from tests.api.test_trust import build_request

PATH = "/v1/trust/days-left"


def test_everything_is_there_who_runs_out_first_in_front(federation: LibraryFederation) -> None:
    """Peers' certificates, our own, and all four authorities, with the number of days that each has come to."""
    operator = federation.client("operator")
    body = {"library": "east", "csr": build_request("ap.east.library.example")}
    serial = operator.post("/v1/certificates", json=body).json()["serial"]
    items = operator.get(PATH).json()["items"]
    kinds = sorted(item["kind"] for item in items)
    assert kinds == ["eap-server", *2 * ["issuing authority"], "operator", "peer", *2 * ["root authority"]]
    days = [item["days_left"] for item in items]
    assert days == sorted(days)
    (own,) = (item for item in items if item["serial"] == serial)
    assert (own["library"], own["name"], own["threshold_days"], own["is_due"]) == (
        "east",
        "ap.east.library.example",
        None,
        False,
    )
    assert 89.9 < own["days_left"] < 90
    assert [item["serial"] for item in federation.client("east").get(PATH).json()["items"]] == [serial]
    assert federation.client("west").get(PATH).json()["items"] == []
    assert federation.client(None).get(PATH).status_code == 401
