"""The revocation list where certificates say that it is, read by another program than ours."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from federation.trust.distribution import read_list_urls
from tests.support.biebroam import LOOPBACK, DataDirectory
from tests.support.processes import require_program

NAME = "radius1.boekenburg.example"
LIBRARY = {"id": "boekenburg", "name": "Bibliotheek Boekenburg", "realms": ["boekenburg.example"]}


def verify(folder: Path, certificate: str = "chain.pem") -> subprocess.CompletedProcess[str]:
    """What openssl says of the certificate, with the list that it fetches where the certificate leads."""
    return subprocess.run(
        [
            *("openssl", "verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-crl_check", "-crl_download"),
            *("-CAfile", folder / "anchors.pem", "-untrusted", folder / "chain.pem", folder / certificate),
        ],
        capture_output=True,
        text=True,
        check=False,
    )


def find_lists(data: DataDirectory) -> dict[str, Any]:
    """What `doctor` finds about revocation lists."""
    findings = json.loads(data.run("doctor", "--json", check=False).stdout)
    (found,) = (each for each in findings if each["check"] == "revocation lists")
    return dict(found)


@pytest.mark.system
def test_openssl_follows_a_chain_to_its_lists(tmp_path: Path) -> None:
    """A verifier that knows the anchor alone accepts a certificate, and refuses it right after its revocation.

    It accepts the authority that issued it, too, by the root's list. The lists come over plain HTTP without a token.
    `doctor` finds them there, names the certificate from before, and is content once that is renewed.
    """
    require_program("openssl", "openssl")
    data = DataDirectory(tmp_path / "data")
    data.take_initialised()
    with data.start("api"):
        document = {"federation": {"public_url": f"http://{LOOPBACK}:{data.ports['api']}/"}, "libraries": [LIBRARY]}
        assert data.request("PUT", "/v1/federation", document)[0] == 200
        subprocess.run(
            [
                *("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
                *("-keyout", tmp_path / "key.pem", "-out", tmp_path / "request.pem", "-subj", "/"),
                *("-addext", f"subjectAltName=DNS:{NAME}"),
            ],
            check=True,
            capture_output=True,
        )
        csr = (tmp_path / "request.pem").read_text()
        status, made = data.request("POST", "/v1/certificates", {"library": "boekenburg", "csr": csr})
        assert status == 201, made
        (tmp_path / "chain.pem").write_text(made["chain_pem"])
        (tmp_path / "anchors.pem").write_text(data.fetch_text("/v1/trust/peers.pem"))
        own, issuing = x509.load_pem_x509_certificates(made["chain_pem"].encode())
        (tmp_path / "issuing.pem").write_bytes(issuing.public_bytes(serialization.Encoding.PEM))
        for certificate in ("chain.pem", "issuing.pem"):
            accepted = verify(tmp_path, certificate)
            assert accepted.returncode == 0, accepted.stderr
        assert len({*read_list_urls(own), *read_list_urls(issuing)}) == 2

        found = find_lists(data)
        assert not found["passes"]
        assert "eap-server login.biebroam.example" in found["detail"]
        _, page = data.request("GET", "/v1/certificates")
        (serial,) = (each["serial"] for each in page["items"] if each["profile"] == "eap-server")
        assert data.request("POST", f"/v1/certificates/{serial}/renew")[0] in {200, 201}
        assert find_lists(data)["passes"], found

        assert data.request("POST", f"/v1/certificates/{made['serial']}/revoke", {})[0] == 200
        refused = verify(tmp_path)
        assert refused.returncode != 0
        assert "certificate revoked" in refused.stderr, refused.stderr
