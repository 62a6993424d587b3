"""The server's half of TLS, as all conversations share it."""

from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL

# Of TLS 1.2: forward secrecy always, so that a key that leaks does not open the PINs of years (RFC 9325 §4.1).
# AES-128 first: its handshake hashes with SHA-256, for which processors have instructions, and a login is little else.
CIPHERS: Final = b"ECDHE+AESGCM+AES128:ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!AESCCM"
TLS13_CIPHERS: Final = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
FRAGMENT_OCTETS: Final = 1024  # with RADIUS around it and a few Proxy-States below one Ethernet frame


class EapServerContext:
    """Certificate, key and rules; made anew when the certificate is, since OpenSSL freezes a context at its first use.

    Resumption is off: a session that is resumed would have to be judged again, patron and all.
    """

    def __init__(
        self,
        certificate_chain_pem: bytes,
        private_key_pem: bytes,
        *,
        fragment_octets: int = FRAGMENT_OCTETS,
        requires_crypto_binding: bool = False,
    ) -> None:
        """The chain begins with the server's own certificate and leaves the root out.

        PEAP offers crypto-binding to every device, and verifies the answer of those that know it; with
        `requires_crypto_binding` the others are refused. Without it a stranger who gets a device to answer MS-CHAP-V2
        outside a tunnel can carry that into a tunnel of his own (MS-PEAP §3.1.5.5).

        Raises:
            ValueError: it is no chain, no key, or they do not belong together.
        """
        self.fragment_octets = fragment_octets
        self.requires_crypto_binding = requires_crypto_binding
        chain = x509.load_pem_x509_certificates(certificate_chain_pem)
        key = serialization.load_pem_private_key(private_key_pem, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ValueError("the key of the EAP server certificate is neither RSA nor ECDSA")  # noqa: TRY004 - a value
        if key.public_key() != chain[0].public_key():
            raise ValueError("the key does not belong to the EAP server certificate")
        self._ssl = SSL.Context(SSL.TLS_SERVER_METHOD)
        self._ssl.set_min_proto_version(SSL.TLS1_2_VERSION)
        self._ssl.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
        self._ssl.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE)
        self._ssl.set_cipher_list(CIPHERS)
        self._ssl.set_tls13_ciphersuites(TLS13_CIPHERS)
        self._ssl.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        self._ssl.set_mode(SSL.MODE_RELEASE_BUFFERS)  # 7 KiB for a conversation that waits, instead of 72
        self._ssl.use_certificate(chain[0])
        for certificate in chain[1:]:
            self._ssl.add_extra_chain_cert(certificate)
        self._ssl.use_privatekey(key)

    def connect(self) -> SSL.Connection:
        """Return the server's side of a new connection, over memory."""
        connection = SSL.Connection(self._ssl, None)
        connection.set_accept_state()
        return connection
