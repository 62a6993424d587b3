"""Certificates, anchors and revocation lists over HTTP."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi.testclient import TestClient

from tests.api.federation import LibraryFederation


def build_request(name: str) -> str:
    """A PKCS #10 request for one DNS name, with a key of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def issue(client: TestClient, library: str = "east", name: str = "ap.east.library.example") -> dict[str, str]:
    """A certificate, or the problem."""
    answer: dict[str, str] = client.post(
        "/v1/certificates", json={"library": library, "csr": build_request(name)}
    ).json()
    return answer


class TestCertificates:
    def test_issued_shown_renewed_revoked(self, federation: LibraryFederation) -> None:
        """A library gets a certificate for its own names, and takes it back; the list then names it."""
        east = federation.client("east")
        made = east.post("/v1/certificates", json={"library": "east", "csr": build_request("ap.east.library.example")})
        assert made.status_code == 201
        leaf, issuer = x509.load_pem_x509_certificates(made.json()["chain_pem"].encode())
        leaf.verify_directly_issued_by(issuer)
        anchor = x509.load_pem_x509_certificate(federation.client(None).get("/v1/trust/peers.pem").content)
        issuer.verify_directly_issued_by(anchor)
        path = made.headers["Location"]
        assert east.get(path).json() == made.json()
        renewed = east.post(f"{path}/renew")
        assert (renewed.status_code, east.get(path).json()["state"]) == (201, "superseded")
        revoked = east.post(f"{path}/revoke", json={"reason": "keyCompromise"})
        assert (revoked.json()["state"], revoked.json()["revocation_reason"]) == ("revoked", "keyCompromise")
        crl = x509.load_der_x509_crl(federation.client(None).get("/v1/trust/peers.crl").content)
        assert crl.get_revoked_certificate_by_serial_number(leaf.serial_number) is not None
        assert east.post(f"{path}/renew").status_code == 409

    def test_revocation_needs_no_body(self, federation: LibraryFederation) -> None:
        """Without a reason it is `unspecified`; to revoke again changes nothing."""
        east = federation.client("east")
        path = f"/v1/certificates/{issue(east)['serial']}"
        assert east.post(f"{path}/revoke").json()["revocation_reason"] == "unspecified"
        before = federation.rows()
        assert east.post(f"{path}/revoke").status_code == 200
        assert federation.rows() == before

    @pytest.mark.parametrize(
        "csr", ["x", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"]
    )
    def test_what_is_no_request_is_named(self, operator: TestClient, csr: str) -> None:
        """A body that holds no certificate request is refused at its place."""
        answer = operator.post("/v1/certificates", json={"library": "east", "csr": csr})
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == ["#/csr"]

    def test_name_of_another_library_is_refused(self, federation: LibraryFederation) -> None:
        """Nobody gets a certificate for a neighbour's name."""
        problem = issue(federation.client("east"), name="ap.west.library.example")
        assert problem["type"].endswith("/invalid")

    def test_lists_by_library_and_page(self, operator: TestClient) -> None:
        """The operator sees all certificates, by library and page by page."""
        for _ in range(2):
            issue(operator)
        answer = operator.get("/v1/certificates?library=east&limit=1")
        assert len(answer.json()["items"]) == 1
        assert "library=east" in answer.headers["Link"]
        assert operator.get("/v1/certificates?library=west").json()["items"] == []


class TestPublic:
    @pytest.mark.parametrize("purpose", ["peers", "eap"])
    def test_anchors_and_lists_agree(self, federation: LibraryFederation, purpose: str) -> None:
        """The anchor is one self-signed root; its list as PEM is the issuing authority's and the root's."""
        client = federation.client(None)
        anchor = client.get(f"/v1/trust/{purpose}.pem")
        assert anchor.headers["Content-Type"].startswith("application/pem-certificate-chain")
        assert "public" in anchor.headers["Cache-Control"]
        (root,) = x509.load_pem_x509_certificates(anchor.content)
        root.verify_directly_issued_by(root)
        lists = client.get(f"/v1/trust/{purpose}.crl?form=pem")
        assert lists.text.count("BEGIN X509 CRL") == 2
        der = client.get(f"/v1/trust/{purpose}.crl")
        assert der.headers["Content-Type"] == "application/pkix-crl"
        assert x509.load_der_x509_crl(der.content).issuer != root.subject  # the issuing authority's, not the root's
        above = client.get(f"/v1/trust/{purpose}-root.crl?generation=1")
        assert above.headers["Content-Type"] == "application/pkix-crl"
        assert x509.load_der_x509_crl(above.content).issuer == root.subject
        assert client.get(f"/v1/trust/{purpose}-root.crl?generation=2").status_code == 404

    def test_bad_form_is_refused(self, federation: LibraryFederation) -> None:
        """A form that there is not is a 422, named."""
        answer = federation.client(None).get("/v1/trust/eap.crl?form=xml")
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["parameter"] == "form"


def test_days_left_are_shown_and_measured(operator: TestClient) -> None:
    """Each certificate says how many days it has left, to people and to monitoring."""
    serial = issue(operator)["serial"]
    assert operator.get(f"/v1/certificates/{serial}").json()["days_left"] == 89
    (line,) = [line for line in operator.get("/metrics").text.splitlines() if f'serial="{serial}"' in line]
    name, _, value = line.rpartition(" ")
    assert name.startswith("biebroam_certificate_days_left{")
    assert 89.9 < float(value) < 90
