"""EST (RFC 7030) as an administrator's script speaks it: curl and openssl, and nothing of ours at that end."""

import re
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.biebroam import LOOPBACK, DataDirectory
from tests.support.processes import require_program

NAME = "radius1.boekenburg.example"
FEDERATION = """
[[libraries]]
id = "boekenburg"
name = "Bibliotheek Boekenburg"
realms = ["boekenburg.example"]
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Generator[DataDirectory]:
    made = DataDirectory(tmp_path_factory.mktemp("est") / "data")
    made.take_initialised()
    made.apply(FEDERATION)
    with made.start("api"):
        yield made


def run(*command: str | Path, octets: bytes = b"") -> bytes:
    return subprocess.run(command, input=octets, check=True, capture_output=True, timeout=60).stdout


class Client:
    """A server's administrator, in a folder of their own."""

    def __init__(self, data: DataDirectory, folder: Path) -> None:
        self._curl = require_program("curl", "curl")
        self._base = f"http://{LOOPBACK}:{data.ports['api']}/.well-known/est"
        self._folder = folder
        self.token = ""

    def make_key(self) -> None:
        """A new key, and a request that it signs, as EST carries it: DER in base64 (RFC 8951 §3)."""
        alternative = f"subjectAltName=DNS:{NAME}"
        new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self._folder / "key.pem")
        octets = run("openssl", "req", "-new", *new, "-subj", "/", "-addext", alternative, "-outform", "DER")
        (self._folder / "request.b64").write_bytes(run("openssl", "base64", octets=octets))

    def ask(self, operation: str, *options: str | Path) -> tuple[str, bytes]:
        """Status and body of one operation; keeps the renewal token of its answer."""
        headers = self._folder / "headers"
        body = run(self._curl, "-s", "-D", headers, *options, f"{self._base}/{operation}")
        text = headers.read_text()
        found = re.search(r"(?im)^biebroam-renewal-token: (\S+)", text)
        self.token = found[1] if found else ""
        return text.split()[1], body

    def post(self, operation: str, secret: str = "") -> tuple[str, bytes]:
        """The request, with that secret as the password of HTTP Basic."""
        request = ("--data-binary", f"@{self._folder / 'request.b64'}", "-H", "Content-Type: application/pkcs10")
        return self.ask(operation, *request, *(("-u", f":{secret}") if secret else ()))

    def read(self, body: bytes) -> bytes:
        """The certificates of an answer, as openssl reads them."""
        der = run("openssl", "base64", "-d", octets=body)
        return run("openssl", "pkcs7", "-inform", "DER", "-print_certs", octets=der)

    def fits(self, certificates: bytes, anchors: bytes) -> bool:
        """Whether the one certificate is for this key and name, below the anchors."""
        assert certificates.count(b"BEGIN CERTIFICATE") == 1  # RFC 7030 §4.2.3
        (self._folder / "certificate.pem").write_bytes(certificates)
        (self._folder / "anchors.pem").write_bytes(anchors)
        purpose = ("-purpose", "sslserver", "-verify_hostname", NAME, "-x509_strict")
        run(
            *("openssl", "verify", "-no-CApath", "-no-CAstore", *purpose, "-CAfile", self._folder / "anchors.pem"),
            self._folder / "certificate.pem",
        )
        own = run("openssl", "pkey", "-in", self._folder / "key.pem", "-pubout")
        return own == run("openssl", "x509", "-noout", "-pubkey", octets=certificates)


@pytest.mark.interop
def test_curl_and_openssl_enrol_and_renew(data: DataDirectory, tmp_path: Path) -> None:
    """cacerts, simpleenroll, simplereenroll with the same key and with a new one; a spent secret opens nothing."""
    client = Client(data, tmp_path)
    status, body = client.ask("cacerts")
    assert status == "200"
    anchors = client.read(body)
    client.make_key()
    assert client.post("simpleenroll")[0] == "401"
    invitation = data.run("cert", "invite", "boekenburg").stdout.strip()
    status, body = client.post("simpleenroll", invitation)
    assert status == "200", body
    first, token = client.read(body), client.token
    assert client.fits(first, anchors)
    assert client.post("simpleenroll", invitation)[0] == "401"

    status, body = client.post("simplereenroll")  # the same key proves itself
    assert status == "200", body
    assert client.read(body) == first  # within a day it is the same one
    assert client.token == ""

    client.make_key()
    assert client.post("simplereenroll")[0] == "401"  # of that key nobody knows
    status, body = client.post("simplereenroll", token)
    assert status == "200", body
    second, next_token = client.read(body), client.token
    assert client.fits(second, anchors)
    assert second != first
    assert client.post("simplereenroll", token)[0] == "401"
    assert next_token not in {"", token}
