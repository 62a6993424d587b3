"""One TLS connection over memory: octets of the device in, octets for it out, and the keys."""

from typing import Final

from OpenSSL import SSL

from radius.eap.context import EapServerContext
from radius.tls.records import State, open_records

MSK_OCTETS: Final = 64
EXPORT_OCTETS: Final = 128  # MSK and EMSK; TLS 1.3 gives other octets for another length
MAX_HANDSHAKE_OCTETS: Final = 32_768  # of the device's; OpenSSL would keep 128 KiB of a ClientHello without end
_TLS13_LABEL: Final = b"EXPORTER_EAP_TLS_Key_Material"  # RFC 9190 §2.3, RFC 9427 §2.1


class Tunnel:
    """The server's end of the tunnel."""

    __slots__ = ("_connection", "_handshake_octets", "_records", "has_failed", "is_open")

    def __init__(self, context: EapServerContext) -> None:
        """The handshake begins with the device's first octets."""
        self._connection = context.connect()
        self._records = open_records(self._connection)
        self._handshake_octets = 0
        self.is_open = False
        self.has_failed = False

    @property
    def is_tls13(self) -> bool:
        """Whether the tunnel is TLS 1.3; known once it is open."""
        return self._connection.get_protocol_version() >= SSL.TLS1_3_VERSION

    def shake_hands(self, octets: bytes) -> bytes:
        """Feed the device's octets to the handshake; returns ours, an alert among them when it has failed."""
        self._handshake_octets += len(octets)
        if self._handshake_octets > MAX_HANDSHAKE_OCTETS:
            self.has_failed = True
            return b""
        out = self._records.shake_hands(octets)
        self.is_open = self._records.is_established
        self._look()
        return out

    def read(self, octets: bytes = b"") -> bytes:
        """Return what the device says inside the tunnel; empty when nothing, or when the tunnel is over."""
        data = self._records.read(octets)
        self._look()
        return data

    def _look(self) -> None:
        """What has failed stays so, for whatever reason it did."""
        self.has_failed = self.has_failed or self._records.state != State.OPEN

    def write(self, data: bytes) -> bytes:
        """Return the octets that carry the data inside the tunnel."""
        records = self._records.seal([data])
        if records is None:
            raise ConnectionError("the tunnel is over, and was written to")
        return records

    def export_key(self, method: int, tls12_label: bytes) -> bytes:
        """Return 128 octets of key material for an EAP type."""
        if self.is_tls13:
            return self._connection.export_keying_material(_TLS13_LABEL, EXPORT_OCTETS, bytes((method,)))
        return self._connection.export_keying_material(tls12_label, EXPORT_OCTETS)

    def export_challenge(self, label: bytes, octets: int) -> bytes:
        """Return the implicit challenge of a method (RFC 5281 §11.1); without context in every version of TLS."""
        return self._connection.export_keying_material(label, octets)
