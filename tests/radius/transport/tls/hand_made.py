"""Records as no library makes them, under the keys of a connection whose handshake is done (RFC 8446 §5, RFC 5246 §6).

One end of the connection is given up for it: from then on its records come from here, with what is wanted in them.
"""

import hmac
from contextlib import suppress
from enum import IntEnum

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from OpenSSL import SSL

from radius.transport.tls.contexts import Credentials

HEADER_OCTETS = 5
_SUITE_OF_1_3 = b"TLS_AES_128_GCM_SHA256"
_SUITE_OF_1_2 = b"ECDHE-ECDSA-AES128-GCM-SHA256"
_VERSION_OCTETS = b"\x03\x03"


class Content(IntEnum):
    """What a record has in it (RFC 8446 §5.1)."""

    ALERT = 21
    HANDSHAKE = 22
    APPLICATION = 23


def _message(kind: int, body: bytes = b"") -> bytes:
    return bytes((kind,)) + len(body).to_bytes(3) + body


KEY_UPDATE = _message(24, b"\x00")
KEY_UPDATE_FOR_BOTH = _message(24, b"\x01")  # it asks for the other end's
HELLO_REQUEST = _message(0)
# TLS 1.2 with one cipher suite and renegotiation_info, empty as of somebody who begins (RFC 5746 §3.4).
CLIENT_HELLO = _message(1, b"\x03\x03" + bytes(33) + bytes.fromhex("0002 c02b 0100 0005 ff01 0001 00"))
# A context of one octet, and signature_algorithms with ecdsa_secp256r1_sha256 (RFC 8446 §4.3.2).
CERTIFICATE_REQUEST = _message(13, bytes.fromhex("0107 0008 000d 0004 0002 0403"))
# An hour, a nonce, a ticket, no extensions (RFC 8446 §4.6.1).
NEW_SESSION_TICKET = _message(4, (3600).to_bytes(4) + bytes(4) + b"\x01\x07" + (32).to_bytes(2) + bytes(34))
USER_CANCELED = b"\x01\x5a"  # warnings
NO_RENEGOTIATION = b"\x01\x64"


def _expand(secret: bytes, label: str, octets: int) -> bytes:
    """HKDF-Expand-Label without a context (RFC 8446 §7.1)."""
    name = b"tls13 " + label.encode()
    info = octets.to_bytes(2) + bytes((len(name),)) + name + b"\0"
    return HKDFExpand(hashes.SHA256(), octets, info).derive(secret)


def _stretch(secret: bytes, seed: bytes, octets: int) -> bytes:
    """The PRF of TLS 1.2 (RFC 5246 §5)."""
    made, turn = b"", seed
    while len(made) < octets:
        turn = hmac.digest(secret, turn, "sha256")
        made += hmac.digest(secret, turn + seed, "sha256")
    return made[:octets]


def _believe(*_: object) -> bool:
    return True


class HandMadeEnd:
    """An end of a connection that says whatever it likes once the handshake is done."""

    def __init__(self, credentials: Credentials, *, is_server: bool, is_1_3: bool) -> None:
        """`tls` is for the handshake; it knows one version, one cipher suite, and asks for no name."""
        self.is_1_3 = is_1_3
        self._is_server = is_server
        self._secrets: dict[str, bytes] = {}
        self._flight = b""
        self._sequence = 0
        version = SSL.TLS1_3_VERSION if is_1_3 else SSL.TLS1_2_VERSION
        context = SSL.Context(SSL.TLS_SERVER_METHOD if is_server else SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(version)
        context.set_max_proto_version(version)
        context.set_options(SSL.OP_NO_TICKET)
        context.set_cipher_list(_SUITE_OF_1_2)
        context.set_tls13_ciphersuites(_SUITE_OF_1_3)
        key = serialization.load_pem_private_key(credentials.key_pem, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        context.use_certificate(x509.load_pem_x509_certificate(credentials.chain_pem))
        context.use_privatekey(key)
        context.set_verify(SSL.VERIFY_PEER, _believe)
        context.set_keylog_callback(self._keep_secret)
        self.tls = SSL.Connection(context, None)
        if is_server:
            self.tls.set_accept_state()
        else:
            self.tls.set_connect_state()

    def receive(self, octets: bytes) -> bool:
        """Take what came during the handshake; whether it is done."""
        if octets:
            self.tls.bio_write(octets)
        try:
            self.tls.do_handshake()
        except SSL.WantReadError:
            return False
        return True

    def take(self) -> bytes:
        """What the handshake has to say."""
        with suppress(SSL.WantReadError):
            said = self.tls.bio_read(1 << 16)
            self._flight += said
            return said
        return b""

    def take_over(self) -> None:
        """The handshake is done, and all of it has been taken: the records that follow are made here."""
        if self.is_1_3:
            self._secret = self._secrets["SERVER" if self._is_server else "CLIENT"]
            self._begin_1_3()
            self._skip_sent()
        else:
            master, ours, theirs = self.tls.master_key(), self.tls.server_random(), self.tls.client_random()
            assert master is not None
            assert ours is not None
            assert theirs is not None
            block = _stretch(master, b"key expansion" + ours + theirs, 2 * 16 + 2 * 4)
            which = int(self._is_server)
            self._key = AESGCM(block[16 * which : 16 * (which + 1)])
            self._iv = block[32 + 4 * which : 36 + 4 * which]
            self._sequence = 1  # its Finished was the first

    def make(self, content: Content, octets: bytes = b"") -> bytes:
        """The next record."""
        if self.is_1_3:
            header = bytes((Content.APPLICATION,)) + _VERSION_OCTETS + (len(octets) + 17).to_bytes(2)
            record = header + self._key.encrypt(self._nonce(), octets + bytes((content,)), header)
        else:
            explicit = self._sequence.to_bytes(8)
            head = bytes((content,)) + _VERSION_OCTETS
            sealed = self._key.encrypt(self._iv + explicit, octets, explicit + head + len(octets).to_bytes(2))
            record = head + (len(sealed) + 8).to_bytes(2) + explicit + sealed
        self._sequence += 1
        if self.is_1_3 and content is Content.HANDSHAKE and octets in {KEY_UPDATE, KEY_UPDATE_FOR_BOTH}:
            self._secret = _expand(self._secret, "traffic upd", 32)
            self._begin_1_3()
        return record

    def _begin_1_3(self) -> None:
        self._key = AESGCM(_expand(self._secret, "key", 16))
        self._iv = _expand(self._secret, "iv", 12)
        self._sequence = 0

    def _nonce(self) -> bytes:
        return (int.from_bytes(self._iv) ^ self._sequence).to_bytes(12)

    def _skip_sent(self) -> None:
        """Count what the library has sent under these keys: tickets, from a server."""
        at = 0
        while at < len(self._flight):
            header = self._flight[at : at + HEADER_OCTETS]
            end = at + HEADER_OCTETS + int.from_bytes(header[3:])
            with suppress(InvalidTag):
                self._key.decrypt(self._nonce(), self._flight[at + HEADER_OCTETS : end], header)
                self._sequence += 1
            at = end

    def _keep_secret(self, _connection: SSL.Connection, line: bytes) -> None:
        label, _, secret = line.decode().split()
        who, found, number = label.partition("_TRAFFIC_SECRET_")
        if found and number == "0":
            self._secrets[who] = bytes.fromhex(secret)
