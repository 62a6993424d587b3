"""One TLS connection over memory: octets of the device in, octets for it out, and the keys."""

from typing import Final

from OpenSSL import SSL

from radius.eap.context import EapServerContext

MSK_OCTETS: Final = 64
EXPORT_OCTETS: Final = 128  # MSK and EMSK; TLS 1.3 gives other octets for another length
MAX_HANDSHAKE_OCTETS: Final = 32_768  # of the device's; OpenSSL would keep 128 KiB of a ClientHello without end
_READ_OCTETS: Final = 16_384  # a whole record (RFC 8446 §5.1); OpenSSL's binding makes a buffer of that size each time
_TLS13_LABEL: Final = b"EXPORTER_EAP_TLS_Key_Material"  # RFC 9190 §2.3, RFC 9427 §2.1


class Tunnel:
    """The server's end of the tunnel."""

    __slots__ = ("_connection", "_handshake_octets", "has_failed", "is_open")

    def __init__(self, context: EapServerContext) -> None:
        """The handshake begins with the device's first octets."""
        self._connection = context.connect()
        self._handshake_octets = 0
        self.is_open = False
        self.has_failed = False

    @property
    def is_tls13(self) -> bool:
        """Whether the tunnel is TLS 1.3; known once it is open."""
        return self._connection.get_protocol_version() >= SSL.TLS1_3_VERSION

    def advance(self, octets: bytes) -> bytes:
        """Feed the device's octets; returns ours, an alert among them when the handshake has failed."""
        if not self.is_open:
            self._handshake_octets += len(octets)
            if self._handshake_octets > MAX_HANDSHAKE_OCTETS:
                self.has_failed = True
        if octets and not self.has_failed:
            self._connection.bio_write(octets)
        if not self.is_open and not self.has_failed:
            try:
                self._connection.do_handshake()
            except SSL.WantReadError:
                pass
            except SSL.Error:
                self.has_failed = True
            else:
                self.is_open = True
        return self._drain()

    def read(self) -> bytes:
        """Return what the device said inside the tunnel since; empty when nothing, or when the tunnel broke."""
        pieces: list[bytes] = []
        try:
            while True:
                pieces.append(self._connection.recv(_READ_OCTETS))
        except SSL.WantReadError:
            pass
        except (SSL.ZeroReturnError, SSL.Error):
            self.has_failed = True
        return b"".join(pieces)

    def write(self, data: bytes) -> bytes:
        """Return the octets that carry the data inside the tunnel."""
        self._connection.send(data)
        return self._drain()

    def export_key(self, method: int, tls12_label: bytes) -> bytes:
        """Return 128 octets of key material for an EAP type."""
        if self.is_tls13:
            return self._connection.export_keying_material(_TLS13_LABEL, EXPORT_OCTETS, bytes((method,)))
        return self._connection.export_keying_material(tls12_label, EXPORT_OCTETS)

    def export_challenge(self, label: bytes, octets: int) -> bytes:
        """Return the implicit challenge of a method (RFC 5281 §11.1); without context in every version of TLS."""
        return self._connection.export_keying_material(label, octets)

    def _drain(self) -> bytes:
        pieces: list[bytes] = []
        try:
            while not pieces or len(pieces[-1]) == _READ_OCTETS:
                pieces.append(self._connection.bio_read(_READ_OCTETS))
        except SSL.WantReadError:
            pass
        return b"".join(pieces)
