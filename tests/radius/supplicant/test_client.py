"""Logins of our own device against a real FreeRADIUS: what it accepts, and whom it turns away from."""

import asyncio
import socket
import threading
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from radius.supplicant.client import LoginRequest, LoginResult, Outcome, log_in
from radius.supplicant.device import METHODS
from radius.supplicant.failure import FailedStep
from radius.wire.authenticators import KeyedSecret, sign_response
from radius.wire.codes import Code
from radius.wire.packet import Packet, parse_packet
from tests.support.certificates import make_server_certificate
from tests.support.freeradius import start_freeradius_home
from tests.support.processes import free_port

SECRET = "home-server-secret"
SERVER_NAME = "radius.kasteel.example"


@dataclass(frozen=True)
class Server:
    """A running FreeRADIUS, and a login that it accepts."""

    request: LoginRequest
    other_ca: bytes
    tls_version: str


@pytest.fixture(scope="module", params=["1.2", "1.3"], ids=["TLS 1.2", "TLS 1.3"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """FreeRADIUS with one patron, of each version of TLS."""
    tls = str(request.param)
    folder = tmp_path_factory.mktemp("supplicant")
    (folder / "other").mkdir()
    certificate = make_server_certificate(folder, SERVER_NAME)
    other = make_server_certificate(folder / "other", SERVER_NAME)
    port = free_port()
    users = {"cato@kasteel.example": "Torenlezer-3"}
    with start_freeradius_home(folder / "home", port=port, secret=SECRET, users=users, server=certificate, tls=tls):
        login = LoginRequest(
            host="127.0.0.1",
            port=port,
            secret=SECRET.encode(),
            user="cato@kasteel.example",
            password="Torenlezer-3",
            ca_pem=certificate.ca.read_bytes(),
            server_name=SERVER_NAME,
        )
        yield Server(login, other.ca.read_bytes(), f"TLSv{tls}")


def log_in_now(request: LoginRequest) -> LoginResult:
    return asyncio.run(log_in(request))


@pytest.mark.interop
class TestAgainstFreeradius:
    @pytest.mark.parametrize("method", sorted(METHODS))
    def test_right_password_gives_the_same_keys(self, server: Server, method: str) -> None:
        """Accepted, with the keys that the device made, and with a time for each round."""
        result = log_in_now(replace(server.request, method=method))
        assert result.is_accepted, result.summary
        assert result.server is not None
        assert (result.server.names, result.server.tls_version) == ((SERVER_NAME,), server.tls_version)
        assert len(result.steps) >= 4
        assert "keys match" in result.summary
        assert result.failed_step is None

    @pytest.mark.parametrize("method", sorted(METHODS))
    def test_wrong_password_is_rejected(self, server: Server, method: str) -> None:
        """The tunnel was built, the server is the right one, and it says no to the patron."""
        result = log_in_now(replace(server.request, method=method, password="not-hers"))
        assert (result.outcome, result.failed_step) == (Outcome.REJECTED, FailedStep.CREDENTIALS)
        assert result.server is not None
        assert not result.is_accepted

    def test_server_of_another_name_never_sees_the_password(self, server: Server) -> None:
        """The name in the certificate is checked before anything is sent inside the tunnel (RFC 9525)."""
        result = log_in_now(replace(server.request, server_name="login.biebroam.example"))
        assert (result.outcome, result.failed_step) == (Outcome.ABORTED, FailedStep.SERVER_NAME)
        assert SERVER_NAME in result.reason

    def test_server_of_another_authority_never_sees_the_password(self, server: Server) -> None:
        """An authority of the same name with another key is another authority."""
        result = log_in_now(replace(server.request, ca_pem=server.other_ca))
        assert (result.outcome, result.failed_step) == (Outcome.ABORTED, FailedStep.CERTIFICATE)
        assert "authority" in result.reason

    def test_wrong_shared_secret_is_silence(self, server: Server) -> None:
        """Answers that do not prove the server are as if they had not come."""
        request = replace(server.request, secret=b"another", retransmit_seconds=0.2, tries=2)
        result = log_in_now(request)
        assert (result.outcome, result.failed_step) == (Outcome.TIMEOUT, FailedStep.REACH)

    def test_result_is_plain_values(self, server: Server) -> None:
        """What `--json` prints holds no secret."""
        text = str(log_in_now(server.request).as_json())
        assert "Torenlezer-3" not in text
        assert SECRET not in text


class TestRequest:
    def test_hides_its_secrets(self) -> None:
        """A request that reaches a log shows neither password nor secret."""
        request = LoginRequest("127.0.0.1", 1, b"secret-octets", "a@b.example", "pass-word", b"", "x")
        assert "pass-word" not in repr(request)
        assert "secret-octets" not in repr(request)

    def test_method_that_it_does_not_speak_is_named(self) -> None:
        """Another method is refused before anything is sent."""
        request = LoginRequest("127.0.0.1", 1, b"s", "a@b.example", "p", b"", "x", method="tls")
        with pytest.raises(ValueError, match="tls"):
            log_in_now(request)

    def test_anchors_that_are_none_end_it(self, tmp_path: Path) -> None:
        """Nothing is trusted by default."""
        del tmp_path
        request = LoginRequest("127.0.0.1", 9, b"s", "a@b.example", "p", b"not PEM", "x")
        result = log_in_now(request)
        assert (result.outcome, result.failed_step) == (Outcome.ABORTED, FailedStep.TRUST)
        assert "PEM" in result.reason


class TestAttackerOnTheWay:
    """A server that answers what the device must not believe."""

    def play(self, answers: list[bytes | None], code: Code = Code.ACCESS_REJECT) -> LoginResult:
        """Answer the requests with these packets (None: a signed one of this code)."""
        keyed = KeyedSecret(SECRET.encode())
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(5)

        def serve() -> None:
            datagram, sender = udp.recvfrom(4096)
            packet = parse_packet(datagram)
            assert isinstance(packet, Packet)
            for answer in answers:
                if answer is None:
                    signed = sign_response(code, packet.identifier, packet.authenticator, b"", keyed)
                    udp.sendto(signed, sender)
                else:
                    udp.sendto(answer.replace(b"ID", bytes((packet.identifier,)), 1), sender)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = udp.getsockname()[1]
        ca = make_ca()
        request = LoginRequest(
            "127.0.0.1", port, SECRET.encode(), "a@b.example", "p", ca, "x.example", retransmit_seconds=1.0, tries=2
        )
        result = log_in_now(request)
        thread.join(5)
        udp.close()
        return result

    def test_accept_before_the_tunnel_is_no_login(self) -> None:
        """Somebody with the secret who lets everybody in has not shown that he is the home server."""
        result = self.play([None], code=Code.ACCESS_ACCEPT)
        assert (result.outcome, result.failed_step) == (Outcome.ACCEPTED, FailedStep.SERVER_PROOF)
        assert not result.is_accepted

    def test_refusal_before_the_tunnel_is_the_way_there(self) -> None:
        """An Access-Reject to the first packet comes from a proxy: the home server has not been reached."""
        assert self.play([None]).failed_step is FailedStep.ROUTE

    def test_forged_accept_is_not_believed(self) -> None:
        """An Access-Accept with any authenticator is dropped; the signed answer behind it counts."""
        forged = bytes((Code.ACCESS_ACCEPT,)) + b"ID" + bytes((0, 20)) + bytes(16)
        assert self.play([forged[:2] + forged[3:], forged, b"", b"\x02", None]).outcome is Outcome.REJECTED


def make_ca() -> bytes:
    """Some authority."""
    import tempfile  # noqa: PLC0415 - here only

    with tempfile.TemporaryDirectory() as folder:
        return make_server_certificate(Path(folder), "x.example").ca.read_bytes()
