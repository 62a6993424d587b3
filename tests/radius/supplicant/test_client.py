"""Logins of our own device against a real FreeRADIUS: what it accepts, and whom it turns away from."""

import asyncio
import socket
import threading
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from radius.supplicant.client import LoginRequest, LoginResult, Outcome, log_in
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


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """FreeRADIUS with one patron."""
    folder = tmp_path_factory.mktemp("supplicant")
    (folder / "other").mkdir()
    certificate = make_server_certificate(folder, SERVER_NAME)
    other = make_server_certificate(folder / "other", SERVER_NAME)
    port = free_port()
    users = {"cato@kasteel.example": "Torenlezer-3"}
    with start_freeradius_home(folder / "home", port=port, secret=SECRET, users=users, server=certificate):
        request = LoginRequest(
            host="127.0.0.1",
            port=port,
            secret=SECRET.encode(),
            user="cato@kasteel.example",
            password="Torenlezer-3",
            ca_pem=certificate.ca.read_bytes(),
            server_name=SERVER_NAME,
        )
        yield Server(request, other.ca.read_bytes())


def log_in_now(request: LoginRequest) -> LoginResult:
    return asyncio.run(log_in(request))


@pytest.mark.interop
class TestAgainstFreeradius:
    def test_right_password_gives_the_same_keys(self, server: Server) -> None:
        """Accepted, with the keys that the device made, and with a time for each round."""
        result = log_in_now(server.request)
        assert result.is_accepted, result.summary
        assert result.server is not None
        assert result.server.names == (SERVER_NAME,)
        assert len(result.steps) >= 4
        assert "keys match" in result.summary

    def test_wrong_password_is_rejected(self, server: Server) -> None:
        """An Access-Reject is the end, not an error."""
        result = log_in_now(replace(server.request, password="not-hers"))
        assert result.outcome is Outcome.REJECTED
        assert not result.is_accepted

    def test_server_of_another_name_never_sees_the_password(self, server: Server) -> None:
        """The name in the certificate is checked before anything is sent inside the tunnel (RFC 9525)."""
        result = log_in_now(replace(server.request, server_name="login.biebroam.example"))
        assert result.outcome is Outcome.ABORTED
        assert SERVER_NAME in result.reason

    def test_server_of_another_authority_never_sees_the_password(self, server: Server) -> None:
        """An authority of the same name with another key is another authority."""
        result = log_in_now(replace(server.request, ca_pem=server.other_ca))
        assert result.outcome is Outcome.ABORTED
        assert "authority" in result.reason

    def test_wrong_shared_secret_is_silence(self, server: Server) -> None:
        """Answers that do not prove the server are as if they had not come."""
        request = replace(server.request, secret=b"another", retransmit_seconds=0.2, tries=2)
        assert log_in_now(request).outcome is Outcome.TIMEOUT

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
        assert result.outcome is Outcome.ABORTED
        assert "PEM" in result.reason


class TestAttackerOnTheWay:
    """A server that answers what the device must not believe."""

    def play(self, answers: list[bytes | None]) -> LoginResult:
        """Answer the requests with these packets (None: a signed Access-Reject)."""
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
                    signed = sign_response(Code.ACCESS_REJECT, packet.identifier, packet.authenticator, b"", keyed)
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

    def test_forged_accept_is_not_believed(self) -> None:
        """An Access-Accept with any authenticator is dropped; the signed answer behind it counts."""
        forged = bytes((Code.ACCESS_ACCEPT,)) + b"ID" + bytes((0, 20)) + bytes(16)
        assert self.play([forged[:2] + forged[3:], forged, b"", b"\x02", None]).outcome is Outcome.REJECTED


def make_ca() -> bytes:
    """Some authority."""
    import tempfile  # noqa: PLC0415 - here only

    with tempfile.TemporaryDirectory() as folder:
        return make_server_certificate(Path(folder), "x.example").ca.read_bytes()
