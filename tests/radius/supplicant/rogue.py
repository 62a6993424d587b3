"""A server with a good certificate that says inside its tunnel what it is told to: what a device must not believe."""

from collections.abc import Sequence

from radius.eap.context import EapServerContext
from radius.eap.fragments import START, Fragments
from radius.eap.packet import EapCode, EapType, build_eap, parse_eap
from radius.eap.tunnel import Tunnel
from radius.supplicant.device import Device
from tests.support.certificates import ServerCertificate

SERVER_NAME = "login.test.example"
USER = "anna@a.example"
PASSWORD = "pass-word"


def make_device(
    certificate: ServerCertificate, method: str, *, server_name: str = SERVER_NAME, ca_pem: bytes | None = None
) -> Device:
    """A device that trusts this certificate's authority."""
    return Device(
        outer_identity="anonymous@a.example",
        user=USER,
        password=PASSWORD,
        ca_pem=certificate.ca.read_bytes() if ca_pem is None else ca_pem,
        server_name=server_name,
        method=method,
    )


def make_context(certificate: ServerCertificate) -> EapServerContext:
    """The server's half of TLS with this certificate."""
    return EapServerContext(certificate.certificate.read_bytes(), certificate.key.read_bytes())


def play(context: EapServerContext, device: Device, kind: EapType, script: Sequence[bytes]) -> list[bytes]:
    """Build the tunnel and say each line of the script inside it; what the device said there.

    In EAP-TTLS the device speaks before the first line.
    """
    tunnel, fragments = Tunnel(context), Fragments(1024)
    lines, heard = list(script), list[bytes]()
    data, identifier = bytes((START,)), 0
    for _ in range(40):
        identifier += 1
        response = parse_eap(device.answer(build_eap(EapCode.REQUEST, identifier, kind, data)))
        assert response is not None
        assert response.kind == kind
        message = fragments.receive(response.data)
        if message is None:
            data = fragments.next_piece()
            continue
        was_open = tunnel.is_open
        out = b"" if was_open else tunnel.shake_hands(message)
        said = tunnel.read(message if was_open else b"") if tunnel.is_open else b""
        if said:
            heard.append(said)
        if tunnel.is_open and (heard or (was_open and kind is EapType.PEAP)):
            if not lines:
                return heard
            out += tunnel.write(lines.pop(0))
        data = fragments.send(out)
    raise AssertionError("no end")
