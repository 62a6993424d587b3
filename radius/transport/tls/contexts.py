"""What both ends show and whom they believe: TLS 1.2 and 1.3, always with both certificates (RFC 6614 §2.3, RFC 9325).

The trust store is the application's own, and what is not in it is not believed. Sessions are not resumed: each
connection is judged by the certificate that it shows.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL, crypto

from radius.transport.tls.identity import PeerIdentity, read_identity, serial_of
from radius.transport.tls.versions import (
    DEFAULT_VERSIONS,
    RadiusVersion,
    decide_version,
    list_protocols,
    select_protocol,
)

CIPHERS: Final = b"ECDHE+AESGCM:ECDHE+CHACHA20:!AESCCM"  # of TLS 1.2: forward secrecy and AEAD (RFC 9325 §4.2)
MAX_CHAIN: Final = 4  # authorities between the peer's certificate and the anchor; OpenSSL takes 100 KiB of them

Judge = Callable[[PeerIdentity], bool]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What this end shows, and whom it believes."""

    chain_pem: bytes  # end entity first, without the root
    key_pem: bytes = field(repr=False)
    anchors_pem: bytes
    revoked_serials: frozenset[str] = frozenset()  # of our own authority, lower-case hexadecimal
    revocation_lists_pem: bytes = b""  # of other authorities
    foreign_anchors_pem: bytes = b""  # of authorities that speak for some peers only: who asks has to judge each chain


class Trust:
    """The credentials, read; contexts for either end are made from it."""

    def __init__(self, credentials: Credentials, versions: frozenset[RadiusVersion] = DEFAULT_VERSIONS) -> None:
        """`versions` of RADIUS are offered by ALPN, and chosen.

        Raises:
            ValueError: a certificate, a key or a list can not be read, or they do not belong together.
        """
        self.credentials = credentials
        self.versions = versions
        self._chain = x509.load_pem_x509_certificates(credentials.chain_pem)
        self._anchors = x509.load_pem_x509_certificates(credentials.anchors_pem)
        if credentials.foreign_anchors_pem:
            self._anchors += x509.load_pem_x509_certificates(credentials.foreign_anchors_pem)
        key = serialization.load_pem_private_key(credentials.key_pem, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ValueError("the key for RADIUS/TLS is neither RSA nor ECDSA")  # noqa: TRY004 - a value
        if key.public_key() != self._chain[0].public_key():
            raise ValueError("the key does not belong to the certificate for RADIUS/TLS")
        self._key = key
        self._revoked = frozenset(_read_lists(credentials.revocation_lists_pem))
        own = read_identity(self._chain)
        self._own = own.fingerprint
        self.own_names = frozenset(own.names)
        """The DNS names in our own certificate."""
        self.own_anchor = self._find_own_anchor()
        """The SHA-256 fingerprint of the anchor that our own chain ends in; empty when we do not have it."""
        self._server = self._build(SSL.TLS_SERVER_METHOD)
        self._client = self._build(SSL.TLS_CLIENT_METHOD)
        # Not a method of ours: then the context held the trust, and the collector alone would let go of the two.
        self._server.set_alpn_select_callback(partial(_select_protocol, versions))
        self._client.set_alpn_protos(list(list_protocols(versions)))

    def accept(self, judge: Judge) -> SSL.Connection:
        """The server's end of a connection over memory; inside the handshake `judge` says yes or no to the peer."""
        connection = self._connect(self._server, judge)
        connection.set_accept_state()
        return connection

    def dial(self, judge: Judge, server_name: str | None = None) -> SSL.Connection:
        """The client's end; `server_name` is told to the server, unless it is an address (RFC 6066 §3)."""
        connection = self._connect(self._client, judge)
        if server_name is not None:
            connection.set_tlsext_host_name(server_name.encode("idna"))
        connection.set_connect_state()
        return connection

    def has_accepted(self, connection: SSL.Connection) -> bool:
        """Whether a connection is the server's end of one."""
        return connection.get_context() is self._server

    def _find_own_anchor(self) -> str:
        store = self._build_store()
        peer, *others = (crypto.X509.from_cryptography(each) for each in self._chain)
        try:
            chain = crypto.X509StoreContext(store, peer, others).get_verified_chain()
        except crypto.X509StoreContextError:
            return ""
        return chain[-1].to_cryptography().fingerprint(hashes.SHA256()).hex()

    def shows_the_same(self, other: "Trust") -> bool:
        """Whether a peer that has met one of the two has seen the certificates of both."""
        return self.credentials.chain_pem == other.credentials.chain_pem

    def is_revoked(self, identity: PeerIdentity) -> bool:
        """Whether a certificate of the peer's chain is revoked."""
        own = self.credentials.revoked_serials
        return any(serial in own or (issuer, serial) in self._revoked for issuer, serial in identity.serials)

    def believes(self, chain: tuple[x509.Certificate, ...]) -> bool:
        """Whether a chain that was verified once, the peer's first, would be again, by anchors and time."""
        store = self._build_store()
        peer, *others = (crypto.X509.from_cryptography(each) for each in chain)
        try:
            crypto.X509StoreContext(store, peer, others).verify_certificate()
        except crypto.X509StoreContextError:
            return False
        return True

    def _build_store(self) -> crypto.X509Store:
        store = crypto.X509Store()
        for anchor in self._anchors:
            store.add_cert(crypto.X509.from_cryptography(anchor))
        return store

    def _build(self, method: int) -> SSL.Context:
        context = SSL.Context(method)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
        context.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE)
        context.set_cipher_list(CIPHERS)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.set_verify_depth(MAX_CHAIN)
        store = context.get_cert_store()
        assert store is not None  # every context has one
        for anchor in self._anchors:
            store.add_cert(crypto.X509.from_cryptography(anchor))
        context.use_certificate(self._chain[0])
        for certificate in self._chain[1:]:
            context.add_extra_chain_cert(certificate)
        context.use_privatekey(self._key)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _verify)
        return context

    def _connect(self, context: SSL.Context, judge: Judge) -> SSL.Connection:
        connection = SSL.Connection(context, None)
        connection.set_app_data((self, judge))
        return connection

    def admits(self, certificate: x509.Certificate, depth: int, judge: Judge) -> bool:
        """Whether a certificate of a chain in verification is neither revoked nor, at depth 0, a stranger's."""
        issuer, serial = serial_of(certificate)
        if serial in self.credentials.revoked_serials or (issuer, serial) in self._revoked:
            return False
        if depth:
            return True
        identity = read_identity((certificate,))
        # Our own certificate at the far end: we talk to ourselves, or to a mirror.
        return identity.fingerprint != self._own and judge(identity)


def is_believed(
    trust: Trust | None, chain: tuple[x509.Certificate, ...], identity: PeerIdentity | None, met: Trust | None
) -> bool:
    """Whether the certificates that a connection stands on are good still; `met` is the trust of its handshake."""
    if trust is None or identity is None:
        return False
    if trust is met:  # nothing has changed since
        return True
    if trust.is_revoked(identity):
        return False
    has_same_anchors = (
        met is not None
        and trust.credentials.anchors_pem == met.credentials.anchors_pem
        and trust.credentials.foreign_anchors_pem == met.credentials.foreign_anchors_pem
    )
    return has_same_anchors or trust.believes(chain)


def has_tickets(connection: SSL.Connection) -> bool:
    """Whether what waits to travel after the handshake are tickets, which nobody asked for.

    In TLS 1.3 the server's OpenSSL makes two (RFC 8446 §4.6.1), also where sessions are not resumed, and pyOpenSSL has
    no way to tell it not to.
    """
    trust, _ = connection.get_app_data()
    return _is_tls_1_3(connection) and bool(trust.has_accepted(connection))


def _select_protocol(versions: frozenset[RadiusVersion], connection: SSL.Connection, offered: list[bytes]) -> bytes:
    return select_protocol(offered, versions, is_tls_1_3=_is_tls_1_3(connection))


def _is_tls_1_3(connection: SSL.Connection) -> bool:
    return connection.get_protocol_version() >= SSL.TLS1_3_VERSION


def read_chain(connection: SSL.Connection) -> tuple[x509.Certificate, ...]:
    """The chain that was verified in the handshake, the peer's certificate first, the anchor last."""
    return tuple(connection.get_verified_chain(as_cryptography=True) or ())


def read_version(connection: SSL.Connection) -> RadiusVersion | None:
    """Which RADIUS a connection carries after its handshake; None: it has to be closed (RFC 9765 §3.3)."""
    trust, _ = connection.get_app_data()
    negotiated = connection.get_alpn_proto_negotiated()
    return decide_version(negotiated, trust.versions, is_tls_1_3=_is_tls_1_3(connection))


def _verify(connection: SSL.Connection, certificate: crypto.X509, _error: int, depth: int, is_good: int) -> bool:
    """OpenSSL asks for each certificate, the anchor first; a no ends the handshake with an alert."""
    if not is_good:
        return False
    trust, judge = connection.get_app_data()
    try:
        return bool(trust.admits(certificate.to_cryptography(), depth, judge))
    except ValueError:  # a certificate that OpenSSL reads and we do not
        return False


def _read_lists(pem: bytes) -> set[tuple[bytes, str]]:
    """Issuer and serial of all that the lists name."""
    marker = b"-----BEGIN X509 CRL-----"
    revoked: set[tuple[bytes, str]] = set()
    for part in pem.split(marker)[1:]:
        revocations = x509.load_pem_x509_crl(marker + part)
        issuer = revocations.issuer.public_bytes()
        revoked.update((issuer, f"{each.serial_number:x}") for each in revocations)
    return revoked
