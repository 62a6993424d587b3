"""The device's side of EAP-TTLS with PAP inside (RFC 5281), without I/O.

States: identity → handshake → password sent → ended. The server's chain and name are verified before anything is sent
inside the tunnel; a server that is not the one expected never sees the name or the password.
"""

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from OpenSSL import SSL, crypto

EAP_TTLS: Final = 21
MSK_OCTETS: Final = 64
FRAGMENT_OCTETS: Final = 1024
MAX_MESSAGE_OCTETS: Final = 65_536  # no server flight comes near; a bound on what one can make us hold
_EXPORT_OCTETS: Final = 128  # in TLS 1.3 another length would give other octets
_LENGTH_INCLUDED, _MORE, _START = 0x80, 0x40, 0x20
_USER_NAME, _USER_PASSWORD = 1, 2
_MANDATORY: Final = 0x40


class EapCode(IntEnum):
    """RFC 3748 §4."""

    REQUEST = 1
    RESPONSE = 2
    SUCCESS = 3
    FAILURE = 4


class EapType(IntEnum):
    """RFC 3748 §5."""

    IDENTITY = 1
    NOTIFICATION = 2
    NAK = 3


class TunnelError(Exception):
    """The conversation can not go on; the text says why, for a person."""


@dataclass(frozen=True, slots=True)
class ServerSeen:
    """What the server showed of itself."""

    names: tuple[str, ...]
    not_valid_after: str  # ISO 8601
    tls_version: str


class TtlsDevice:
    """One login of a device."""

    def __init__(self, *, outer_identity: str, user: str, password: str, ca_pem: bytes, server_name: str) -> None:
        """Raises TunnelError when the anchors are no certificates."""
        self._outer = outer_identity.encode()
        self._user = user.encode()
        self._password = password.encode()
        self._server_name = server_name.lower()
        self._connection = SSL.Connection(_context(ca_pem), None)
        self._connection.set_connect_state()
        self._connection.set_tlsext_host_name(server_name.encode("ascii", "ignore"))
        self._incoming = b""
        self._outgoing: list[bytes] = []
        self._is_open = False
        self._has_sent_password = False
        self.server: ServerSeen | None = None
        self.msk = b""

    def answer(self, request: bytes) -> bytes:
        """Return the EAP-Response to an EAP-Request.

        Raises:
            TunnelError: the server is not the one expected, speaks another method, or breaks the protocol.
        """
        if len(request) < 5 or request[0] != EapCode.REQUEST or int.from_bytes(request[2:4]) != len(request):
            raise TunnelError("the server sent no EAP request")
        identifier, kind = request[1], request[4]
        if kind == EapType.IDENTITY:
            return _response(identifier, EapType.IDENTITY, self._outer)
        if kind == EapType.NOTIFICATION:
            return _response(identifier, EapType.NOTIFICATION, b"")
        if kind != EAP_TTLS:
            return _response(identifier, EapType.NAK, bytes((EAP_TTLS,)))
        return _response(identifier, EAP_TTLS, self._take(request[5:]))

    def _take(self, data: bytes) -> bytes:
        if not data:
            raise TunnelError("the server sent an EAP-TTLS message without flags")
        flags, body = data[0], data[1:]
        if flags & _LENGTH_INCLUDED:
            if len(body) < 4:
                raise TunnelError("the server sent a fragment that is too short")
            body = body[4:]
        self._incoming += body
        if len(self._incoming) > MAX_MESSAGE_OCTETS:
            raise TunnelError("the server sent more than it may")
        if flags & _MORE:
            return b"\x00"  # go on
        if self._outgoing and not body and not flags & _START:
            return self._next_fragment()
        message, self._incoming = self._incoming, b""
        self._queue(self._advance(message, is_start=bool(flags & _START)))
        return self._next_fragment()

    def _advance(self, message: bytes, *, is_start: bool) -> bytes:
        """Feed the server's octets to TLS; returns ours."""
        connection = self._connection
        if message:
            connection.bio_write(message)
        was_open = self._is_open
        if not self._is_open:
            self._shake_hands()
        out = self._drain()
        # In TLS 1.3 our Finished goes first, and the server's next message shows that it was taken (RFC 9427 §2.2).
        may_speak = self._is_open and (was_open or not out)
        if may_speak and not self._has_sent_password and not is_start:
            self._read_tickets()
            connection.send(self._credentials())
            self._has_sent_password = True
            out += self._drain()
        return out

    def _shake_hands(self) -> None:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error as error:
            raise TunnelError(_describe(error)) from None
        self._is_open = True
        self.server = self._verify_server()
        version = self._connection.get_protocol_version_name()
        if version == "TLSv1.3":
            label, context = b"EXPORTER_EAP_TLS_Key_Material", bytes((EAP_TTLS,))  # RFC 9427 §2.1
            exported = self._connection.export_keying_material(label, _EXPORT_OCTETS, context)
        else:
            exported = self._connection.export_keying_material(b"ttls keying material", _EXPORT_OCTETS)  # RFC 5281 §8
        self.msk = exported[:MSK_OCTETS]

    def _verify_server(self) -> ServerSeen:
        """The chain was verified by the handshake; the name is verified here (RFC 9525: subjectAltName, never CN)."""
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            raise TunnelError("the server showed no certificate")
        names = _names_of(certificate)
        if not any(_is_match(name, self._server_name) for name in names):
            raise TunnelError(f"the server is {', '.join(names) or 'nameless'}, not {self._server_name}")
        return ServerSeen(
            names, certificate.not_valid_after_utc.isoformat(), self._connection.get_protocol_version_name()
        )

    def _read_tickets(self) -> None:
        try:
            self._connection.recv(MAX_MESSAGE_OCTETS)
        except (SSL.WantReadError, SSL.ZeroReturnError):
            return
        except SSL.Error as error:
            raise TunnelError(_describe(error)) from None

    def _credentials(self) -> bytes:
        padded = self._password + b"\x00" * (-len(self._password) % 16 or (0 if self._password else 16))
        return _avp(_USER_NAME, self._user) + _avp(_USER_PASSWORD, padded)

    def _drain(self) -> bytes:
        try:
            return self._connection.bio_read(MAX_MESSAGE_OCTETS)
        except SSL.WantReadError:
            return b""

    def _queue(self, octets: bytes) -> None:
        pieces = [octets[at : at + FRAGMENT_OCTETS] for at in range(0, len(octets), FRAGMENT_OCTETS)] or [b""]
        self._outgoing = []
        for number, piece in enumerate(pieces):
            flags = _MORE if number < len(pieces) - 1 else 0
            length = b""
            if number == 0 and len(pieces) > 1:
                flags |= _LENGTH_INCLUDED
                length = len(octets).to_bytes(4)
            self._outgoing.append(bytes((flags,)) + length + piece)

    def _next_fragment(self) -> bytes:
        return self._outgoing.pop(0)


def _context(ca_pem: bytes) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_TICKET)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
    store = context.get_cert_store()
    try:
        anchors = x509.load_pem_x509_certificates(ca_pem)
    except ValueError:
        raise TunnelError("the trust anchors are no certificates in PEM") from None
    for anchor in anchors:
        if store is not None:
            store.add_cert(crypto.X509.from_cryptography(anchor))
    return context


def _names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in extension.value.get_values_for_type(x509.DNSName))


def _is_match(name: str, expected: str) -> bool:
    """Equal, or a wildcard as the whole left-most label that stands for one label (RFC 9525 §6.3)."""
    if name == expected:
        return True
    if not name.startswith("*.") or name.count(".") < 2 or _is_address(expected):
        return False
    return expected.partition(".")[2] == name[2:]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _response(identifier: int, kind: int, data: bytes) -> bytes:
    return bytes((EapCode.RESPONSE, identifier)) + (5 + len(data)).to_bytes(2) + bytes((kind,)) + data


def _avp(code: int, value: bytes) -> bytes:
    """RFC 5281 §10.1: code, flags, length with header, value, padded to four octets."""
    length = 8 + len(value)
    return code.to_bytes(4) + bytes((_MANDATORY,)) + length.to_bytes(3) + value + b"\x00" * (-length % 4)


def _describe(error: SSL.Error) -> str:
    text = str(error)  # a list of (library, function, reason)
    if "certificate verify failed" in text:
        return "the server's certificate is not from the authority that the device trusts"
    return f"TLS failed: {text}"
