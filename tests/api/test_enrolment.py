"""Joining over HTTP: invitations, enrolment, and EST as `curl` and `openssl` speak it."""

import base64
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7
from fastapi.testclient import TestClient

from tests.api.federation import LibraryFederation
from tests.api.test_trust import build_request
from tests.federation.trust.certificates import run_openssl

NAME = "ap.east.library.example"
PKCS10 = {"Content-Type": "application/pkcs10"}


@pytest.fixture
def invitation(federation: LibraryFederation) -> str:
    made = federation.client("operator").post("/v1/libraries/east/invitations", json={"days": 3})
    assert made.status_code == 201
    secret: str = made.json()["invitation"]
    return secret


@pytest.fixture
def stranger(federation: LibraryFederation) -> TestClient:
    """A client without a token."""
    return federation.client(None)


def as_est(csr: str) -> bytes:
    """A request as RFC 7030 §4.2.1 has it: base64 of DER."""
    request = x509.load_pem_x509_csr(csr.encode())
    return base64.encodebytes(request.public_bytes(serialization.Encoding.DER))


class TestInvitations:
    def test_secret_is_shown_once(self, federation: LibraryFederation, invitation: str) -> None:
        """The list tells of the invitation and not its secret; a library sees its own."""
        listed = federation.client("east").get("/v1/libraries/east/invitations")
        assert [item["used_at"] for item in listed.json()["items"]] == [None]
        assert invitation.rpartition("_")[2] not in listed.text
        assert federation.client("west").get("/v1/libraries/east/invitations").status_code == 404

    def test_revoked_one_opens_nothing(
        self, federation: LibraryFederation, invitation: str, stranger: TestClient
    ) -> None:
        """After its revocation the answer is the same as for one that never was."""
        path = f"/v1/libraries/east/invitations/{invitation.split('_')[1]}/revoke"
        assert federation.client("east").post(path).json()["revoked_at"]
        body = {"invitation": invitation, "csr": build_request(NAME)}
        refused = stranger.post("/v1/enrolments", json=body)
        unknown = stranger.post("/v1/enrolments", json=body | {"invitation": "bbi_x"})
        assert refused.status_code == unknown.status_code == 401
        assert refused.json()["detail"] == unknown.json()["detail"]


class TestEnrolment:
    def test_library_joins_without_a_token(self, stranger: TestClient, invitation: str) -> None:
        """One POST gives certificate, anchors, the token for the next, and configuration with the library's names."""
        answer = stranger.post("/v1/enrolments", json={"invitation": invitation, "csr": build_request(NAME)})
        assert answer.status_code == 200, answer.text
        joined = answer.json()
        _, issuer = x509.load_pem_x509_certificates(joined["certificate"]["chain_pem"].encode())
        issuer.verify_directly_issued_by(x509.load_pem_x509_certificate(joined["anchors_pem"].encode()))
        texts = {item["program"]: "".join(item["files"].values()) for item in joined["configurations"]}
        assert "realm east.library.example" in texts["freeradius"]
        assert joined["server_name"] in texts["radsecproxy"]
        body = {"renewal_token": joined["renewal_token"], "csr": build_request(NAME)}
        assert stranger.post("/v1/enrolments", json=body).json()["certificate"]["library"] == "east"
        assert stranger.post("/v1/enrolments", json=body).status_code == 401

    def test_refused_request_keeps_the_invitation(
        self, federation: LibraryFederation, stranger: TestClient, invitation: str
    ) -> None:
        """A name of a neighbour's is named as the fault, and nothing has changed."""
        before = federation.rows()
        body = {"invitation": invitation, "csr": build_request("ap.west.library.example")}
        refused = stranger.post("/v1/enrolments", json=body)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "#/csr")
        assert federation.rows() == before


class TestEst:
    def test_openssl_reads_what_curl_gets(self, stranger: TestClient, invitation: str, tmp_path: Path) -> None:
        """The answers are certs-only PKCS #7 in base64 (RFC 7030 §4.1.3), and the certificate verifies by cacerts."""
        anchors = stranger.get("/.well-known/est/cacerts")
        made = stranger.post(
            "/.well-known/est/simpleenroll", content=as_est(build_request(NAME)), headers=PKCS10, auth=("", invitation)
        )
        assert made.status_code == 200, made.text
        for name, answer in (("anchors", anchors), ("made", made)):
            assert answer.headers["Content-Type"] == "application/pkcs7-mime; smime-type=certs-only"
            assert answer.headers["Content-Transfer-Encoding"] == "base64"
            (tmp_path / f"{name}.p7").write_bytes(base64.b64decode(answer.content))
            arguments = ("-inform", "DER", "-print_certs", "-in", tmp_path / f"{name}.p7")
            (tmp_path / f"{name}.pem").write_bytes(run_openssl("pkcs7", *arguments).stdout)
        found = run_openssl("verify", "-CAfile", tmp_path / "anchors.pem", tmp_path / "made.pem")
        assert found.returncode == 0, found.stderr
        made_pem, anchors_pem = ((tmp_path / f"{name}.pem").read_bytes() for name in ("made", "anchors"))
        (issued,) = x509.load_pem_x509_certificates(made_pem)  # that alone (RFC 7030 §4.2.3)
        assert issued.issuer in {each.subject for each in x509.load_pem_x509_certificates(anchors_pem)}

    def test_renewal_for_the_same_key_needs_no_secret(self, stranger: TestClient, invitation: str) -> None:
        """The same request again gives the certificate that is there; a request with another key is refused."""
        csr = as_est(build_request(NAME))
        first = stranger.post("/.well-known/est/simpleenroll", content=csr, headers=PKCS10, auth=("", invitation))
        again = stranger.post("/.well-known/est/simplereenroll", content=csr, headers=PKCS10)
        assert again.status_code == 200
        assert base64.b64decode(again.content) == base64.b64decode(first.content)
        other = as_est(build_request(NAME))
        assert stranger.post("/.well-known/est/simplereenroll", content=other, headers=PKCS10).status_code == 401

    def test_renewal_with_the_token_changes_the_key(self, stranger: TestClient, invitation: str) -> None:
        """The token of one answer is the password of the next request."""
        first = stranger.post(
            "/.well-known/est/simpleenroll", content=as_est(build_request(NAME)), headers=PKCS10, auth=("", invitation)
        )
        token = first.headers["Biebroam-Renewal-Token"]
        second = stranger.post(
            "/.well-known/est/simplereenroll", content=as_est(build_request(NAME)), headers=PKCS10, auth=("", token)
        )
        assert second.status_code == 200
        assert second.headers["Biebroam-Renewal-Token"] != token
        leaf = pkcs7.load_der_pkcs7_certificates(base64.b64decode(second.content))
        assert any(certificate.subject.rfc4514_string().startswith("OU=east") for certificate in leaf)

    @pytest.mark.parametrize(
        "authorization",
        ["", "Basic", "Basic !", "Basic " + base64.b64encode(b"none").decode(), "Bearer x", "Basic /w=="],
    )
    def test_missing_secret_is_asked_for(self, stranger: TestClient, authorization: str) -> None:
        """Without a password that can be read the answer is a challenge (RFC 7030 §3.2.3)."""
        headers = PKCS10 | ({"Authorization": authorization} if authorization else {})
        answer = stranger.post("/.well-known/est/simpleenroll", content=as_est(build_request(NAME)), headers=headers)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Basic realm="biebroam"')

    @pytest.mark.parametrize("body", [b"", b"%%%", b"AAAA", b"x" * 20_000])
    def test_what_is_no_request_is_refused(self, stranger: TestClient, invitation: str, body: bytes) -> None:
        """Rubbish is a 4xx and uses nothing up (RFC 7030 §4.2.3)."""
        path = "/.well-known/est/simpleenroll"
        assert 400 <= stranger.post(path, content=body, headers=PKCS10, auth=("", invitation)).status_code < 500
        csr = as_est(build_request(NAME))
        assert stranger.post(path, content=csr, headers=PKCS10, auth=("", invitation)).status_code == 200

    def test_another_media_type_is_refused(self, stranger: TestClient) -> None:
        """Only application/pkcs10 is read there (RFC 7030 §4.2.1)."""
        answer = stranger.post("/.well-known/est/simpleenroll", json={})
        assert answer.status_code == 415
        assert "application/pkcs10" in answer.json()["detail"]
