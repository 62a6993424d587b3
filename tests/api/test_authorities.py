"""Roots that are kept elsewhere, over HTTP."""

import base64

from fastapi.testclient import TestClient

from federation.trust.outside import open_root, sign_proof
from tests.api.federation import LibraryFederation

PATH = "/v1/trust/authorities/peers"
PASSPHRASE = "twaalf tekens of meer"


def test_key_goes_out_encrypted_and_is_forgotten_for_a_proof(federation: LibraryFederation) -> None:
    """Only an operator takes it, once; what proves that it is elsewhere is made with the file that went out."""
    operator = federation.client("operator")
    assert federation.client("east").post(f"{PATH}/export-root", json={"passphrase": PASSPHRASE}).status_code == 403
    found = operator.post(f"{PATH}/export-root", json={"passphrase": PASSPHRASE}).json()
    assert "ENCRYPTED" in found["key_pem"]
    root = open_root(found["key_pem"].encode(), found["certificate_pem"].encode(), PASSPHRASE)
    for wrong in ("x", "é", base64.b64encode(b"x" * 70).decode()):
        refused = operator.post(f"{PATH}/forget-root", json={"proof": wrong})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "#/proof")
    proof = base64.b64encode(sign_proof(root)).decode()
    assert operator.post(f"{PATH}/forget-root", json={"proof": proof}).status_code == 200
    assert operator.post(f"{PATH}/export-root", json={"passphrase": PASSPHRASE}).status_code == 409


def test_request_waits_and_what_can_not_be_is_refused(operator: TestClient) -> None:
    """The same request until it is answered; without one nothing is taken in."""
    assert operator.post(f"{PATH}/request", json={}).status_code == 409
    made = operator.post(f"{PATH}/request", json={"new_root": True}).json()
    assert operator.post(f"{PATH}/request", json={"new_root": True}).json() == made
    assert made["request_pem"].startswith("-----BEGIN CERTIFICATE REQUEST-----")
    bad = operator.post(f"{PATH}/import", json={"issuing": "x", "root": "y"})
    assert (bad.status_code, bad.json()["errors"][0]["pointer"]) == (422, "#/certificates")
    assert operator.post("/v1/trust/authorities/eap/import", json={"issuing": "x", "root": "y"}).status_code == 404
    assert operator.post(f"{PATH}/root-list", json={"root_list": "x"}).status_code == 409
