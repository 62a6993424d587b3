"""Roll-overs over HTTP and from the command line."""

import json
import os
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7

from api.ports import Ports
from federation.statistics.reports import WorkerReport
from tests.api.federation import LibraryFederation
from tests.api.test_trust import build_request, issue

PATH = "/v1/trust/rollovers/peers"


@pytest.fixture(name="published")
def a_published_root(federation: LibraryFederation) -> LibraryFederation:
    """East has a certificate from before, and both roots are published."""
    operator = federation.client("operator")
    issue(operator)
    assert operator.post("/v1/trust/rollovers", json={"purpose": "peers"}).status_code == 201
    assert operator.post(f"{PATH}/steps", json={"step": "publish"}).status_code == 200
    return federation


class TestSteps:
    def test_plan_is_shown_and_told_to_nobody(self, federation: LibraryFederation) -> None:
        """A planned root is the operator's to see; the anchors are still one."""
        operator = federation.client("operator")
        assert operator.get(PATH).status_code == 404
        made = operator.post("/v1/trust/rollovers", json={"purpose": "peers"})
        assert (made.status_code, made.headers["Location"]) == (201, PATH)
        shown = operator.get(PATH).json()
        assert (shown["state"], shown["next_step"], shown["new"]["standing"]) == ("planned", "publish", "planned")
        assert federation.client(None).get("/v1/trust/peers.pem").text.count("BEGIN") == 1
        assert operator.post("/v1/trust/rollovers", json={"purpose": "peers"}).status_code == 409

    def test_both_roots_are_wherever_anchors_are(self, published: LibraryFederation) -> None:
        """The public file, EST, the answer to an enrolment and the lists have both (RFC 7030 §4.1)."""
        stranger = published.client(None)
        anchors = stranger.get("/v1/trust/peers.pem")
        assert len(x509.load_pem_x509_certificates(anchors.content)) == 2
        est = stranger.get("/.well-known/est/cacerts")
        octets = b"-----BEGIN PKCS7-----\n" + est.content + b"-----END PKCS7-----\n"
        found = pkcs7.load_pem_pkcs7_certificates(octets)
        assert sum(each.issuer == each.subject for each in found) == 2
        assert len(found) == 4  # the authorities that issue, as well (§4.1.3)
        invitation = published.client("operator").post("/v1/libraries/west/invitations").json()["invitation"]
        body = {"invitation": invitation, "csr": build_request("ap.west.library.example")}
        enrolment = stranger.post("/v1/enrolments", json=body).json()
        assert enrolment["anchors_pem"] == anchors.text
        assert stranger.get("/v1/trust/peers.crl?form=pem").text.count("BEGIN X509 CRL") == 4
        lists = [stranger.get(f"/v1/trust/peers.crl?generation={number}") for number in (1, 2)]
        assert len({x509.load_der_x509_crl(each.content).issuer for each in lists}) == 2
        assert stranger.get("/v1/trust/peers.crl?generation=3").status_code == 404

    def test_step_that_would_break_somebody_names_them(self, published: LibraryFederation) -> None:
        """409, and `errors` has one line for each; forced, the step is taken."""
        operator = published.client("operator")
        refused = operator.post(f"{PATH}/steps", json={"step": "switch"})
        assert refused.status_code == 409
        assert refused.json()["type"].endswith("/conflict")
        assert any("library/east: " in error["detail"] for error in refused.json()["errors"])
        taken = operator.post(f"{PATH}/steps", json={"step": "switch", "force": True})
        assert (taken.status_code, taken.json()["state"]) == (200, "switched")
        assert operator.post(f"{PATH}/steps", json={"step": "switch", "force": True}).status_code == 409  # sent twice
        (entry,) = [item for item in operator.get("/v1/audit").json()["items"] if item["action"] == "rollover.switch"]
        assert entry["after"]["named"] == ["authority/peers", "library/east"]

    def test_worker_that_is_behind_is_in_the_answer(self, published: LibraryFederation) -> None:
        """The gate looks at what this node's workers report."""
        behind = WorkerReport("proxy", 1, os.getpid(), 1, datetime.now(UTC))
        published.use(Ports(read_reports=lambda: (behind,)))
        blockers = published.client("operator").get(PATH).json()["blockers"]
        assert "worker/proxy-1" in [blocker["subject"] for blocker in blockers]


class TestRights:
    def test_libraries_confirm_and_see_nothing_of_others(self, published: LibraryFederation) -> None:
        """A library confirms for itself; the whole is for those who see the whole federation."""
        east = published.client("east")
        confirmed = east.post(f"{PATH}/confirmations", json={"library": "east"})
        assert confirmed.json()["library"] == "east"
        assert east.post(f"{PATH}/confirmations", json={"library": "west"}).status_code == 404
        assert east.get(PATH).status_code == 404
        for path, body in ((f"{PATH}/steps", {"step": "abort"}), ("/v1/trust/rollovers", {"purpose": "eap"})):
            assert east.post(path, json=body).status_code == 403
        assert published.client("reader").get(PATH).status_code == 200
        assert published.client("east-reader").get(PATH).status_code == 404

    def test_step_that_there_is_not_is_refused(self, published: LibraryFederation) -> None:
        """A step of another name is a 422 at its place."""
        answer = published.client("operator").post(f"{PATH}/steps", json={"step": "leap"})
        assert answer.json()["errors"][0]["pointer"] == "#/step"
        assert json.loads(answer.text)["status"] == 422
