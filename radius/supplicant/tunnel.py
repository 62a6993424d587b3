"""The device's end of the TLS tunnel, without I/O.

The server's chain is verified by the handshake, against the anchors that the device was given and no others; its name
before anything is sent inside. A server that is not the one expected never sees a name or a password.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from OpenSSL import SSL, crypto

from radius.supplicant.failure import DeviceError, FailedStep

EXPORT_OCTETS: Final = 128  # in TLS 1.3 another length would give other octets
_READ_OCTETS: Final = 65_536
_TLS13_LABEL: Final = b"EXPORTER_EAP_TLS_Key_Material"  # RFC 9190 §2.3, RFC 9427 §2.1

# Error numbers of X509_verify_cert (openssl/x509_vfy.h) that have a remedy of their own.
_CHAIN_FAULTS: Final[dict[int, str]] = {
    9: "is not valid yet",
    10: "has expired",
    26: "is not made for a server",
}


@dataclass(frozen=True, slots=True)
class ServerSeen:
    """What the server showed of itself."""

    names: tuple[str, ...]
    not_valid_after: str  # ISO 8601
    tls_version: str


class DeviceTunnel:
    """One connection."""

    def __init__(self, ca_pem: bytes, server_name: str) -> None:
        """Trust these anchors and this name.

        Raises:
            DeviceError: the anchors are no certificates.
        """
        self._server_name = server_name.lower()
        self._fault: tuple[int, int] | None = None  # of the chain: error number and depth
        self._connection = SSL.Connection(self._make_context(ca_pem), None)
        self._connection.set_connect_state()
        self._connection.set_tlsext_host_name(server_name.encode("ascii", "ignore"))
        self.is_open = False
        self.server: ServerSeen | None = None

    @property
    def is_tls13(self) -> bool:
        """Known once it is open."""
        return self._connection.get_protocol_version() >= SSL.TLS1_3_VERSION

    def advance(self, octets: bytes) -> bytes:
        """Feed the server's octets; returns ours.

        Raises:
            DeviceError: TLS failed, or the server is not the one expected.
        """
        if octets:
            self._connection.bio_write(octets)
        if not self.is_open:
            try:
                self._connection.do_handshake()
            except SSL.WantReadError:
                return self._drain()
            except SSL.Error as error:
                raise self._describe(error) from None
            self.server = self._verify_server()
            self.is_open = True
        return self._drain()

    def read(self) -> bytes:
        """What the server said inside the tunnel since; tickets are read on the way."""
        pieces: list[bytes] = []
        try:
            while True:
                pieces.append(self._connection.recv(_READ_OCTETS))
        except SSL.WantReadError:
            return b"".join(pieces)
        except SSL.ZeroReturnError:
            raise DeviceError(FailedStep.TLS, "the server closed the tunnel") from None
        except SSL.Error as error:
            raise self._describe(error) from None

    def write(self, data: bytes) -> bytes:
        """The octets that carry the data inside the tunnel."""
        self._connection.send(data)
        return self._drain()

    def export_key(self, method: int, tls12_label: bytes) -> bytes:
        """128 octets of key material for an EAP type."""
        if self.is_tls13:
            return self._connection.export_keying_material(_TLS13_LABEL, EXPORT_OCTETS, bytes((method,)))
        return self._connection.export_keying_material(tls12_label, EXPORT_OCTETS)

    def export_challenge(self, label: bytes, octets: int) -> bytes:
        """The implicit challenge of a method (RFC 5281 §11.1); without context in every version of TLS."""
        return self._connection.export_keying_material(label, octets)

    def _make_context(self, ca_pem: bytes) -> SSL.Context:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_options(SSL.OP_NO_TICKET)
        context.set_verify(SSL.VERIFY_PEER, self._note_fault)  # for the purpose of a server, OpenSSL's own default here
        store = context.get_cert_store()
        try:
            anchors = x509.load_pem_x509_certificates(ca_pem)
        except ValueError:
            raise DeviceError(FailedStep.TRUST, "the trust anchors are no certificates in PEM") from None
        assert store is not None  # each context has one
        for anchor in anchors:
            store.add_cert(crypto.X509.from_cryptography(anchor))
        return context

    def _note_fault(
        self, connection: SSL.Connection, certificate: crypto.X509, fault: int, depth: int, is_right: int, /
    ) -> bool:
        del connection, certificate
        if not is_right and self._fault is None:
            self._fault = fault, depth
        return bool(is_right)

    def _verify_server(self) -> ServerSeen:
        """The chain was verified by the handshake; the name is verified here (RFC 9525: subjectAltName, never CN)."""
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            raise DeviceError(FailedStep.CERTIFICATE, "the server showed no certificate")
        names = _names_of(certificate)
        if not any(is_match(name, self._server_name) for name in names):
            text = f"the server is {', '.join(names) or 'nameless'}, not {self._server_name}"
            raise DeviceError(FailedStep.SERVER_NAME, text)
        return ServerSeen(
            names, certificate.not_valid_after_utc.isoformat(), self._connection.get_protocol_version_name()
        )

    def _describe(self, error: SSL.Error) -> DeviceError:
        if self._fault is not None:
            number, depth = self._fault
            fault = _CHAIN_FAULTS.get(number)
            if fault is None:
                fault, depth = f"is not from the authority that the device trusts (OpenSSL's error {number})", 0
            which = "an authority above the server's certificate" if depth else "the server's certificate"
            return DeviceError(FailedStep.CERTIFICATE, f"{which} {fault}")
        reasons = [str(entry[-1]) for entry in error.args[0]] if error.args else []
        return DeviceError(FailedStep.TLS, f"TLS failed: {', '.join(reasons) or 'for no reason that it told'}")

    def _drain(self) -> bytes:
        pieces: list[bytes] = []
        try:
            while True:
                pieces.append(self._connection.bio_read(_READ_OCTETS))
        except SSL.WantReadError:
            return b"".join(pieces)


def is_match(name: str, expected: str) -> bool:
    """Equal, or a wildcard as the whole left-most label that stands for one label (RFC 9525 §6.3)."""
    if name == expected:
        return True
    if not name.startswith("*.") or name.count(".") < 2 or _is_address(expected):
        return False
    return expected.partition(".")[2] == name[2:]


def _names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in extension.value.get_values_for_type(x509.DNSName))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
