"""Certificates, item by item: whom the real listener lets in, and whom the real dialler stays with.

The other side is Python's TLS over the system's OpenSSL, which checks nothing but the proxy's own chain.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from federation.snapshot import ForeignAnchor, PeerTrust
from federation.trust.profiles import POLICY_VISITED
from tests.interop.certificate_shapes import CLIENT_AUTH, SERVER_AUTH, Issued, Issuer, Shape, build_context
from tests.interop.strange_tls import SECONDS, STATUS_SERVER, Home, dns, is_answered, keeps, proxy_with, trust_with
from tests.radius.proxy.streams import CLIENT_NAME, HOME_NAME, LOOPBACK, OWN_NAME, TLS_CLIENT, snapshot_of
from tests.radius.transport.tls.members import nai_realm

REALM = "home.example"
Issue = Callable[[Issuer, Issued], Issued]  # from the federation's authority and the proxy's own certificate


def ip(text: str) -> list[x509.GeneralName]:
    return [x509.IPAddress(ip_address(text))]


def realms(*names: str) -> list[x509.GeneralName]:
    return [nai_realm(name) for name in names]


def shaped(names: list[x509.GeneralName], **odd: Any) -> Issue:  # Any: fields of Shape
    """From the federation's authority."""
    return lambda authority, _: authority.issue(Shape(names, **odd))


def deep(names: list[x509.GeneralName], depth: int) -> Issue:
    """With so many authorities between it and the root, all of them shown."""
    return lambda authority, _: authority.below(depth).issue(Shape(names))


def foreign(names: list[x509.GeneralName]) -> Issue:
    """From an authority that nobody trusts, with the same name as the federation's."""
    return lambda _, __: Issuer().issue(Shape(names))


def self_signed(names: list[x509.GeneralName]) -> Issue:
    return lambda authority, _: authority.issue(Shape(names, common_name=CLIENT_NAME), signs_itself=True)


def mirrored(_authority: Issuer, own: Issued) -> Issued:
    return own


@pytest.fixture(scope="module")
def authority() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def own(authority: Issuer) -> Issued:
    """The proxy's certificate; its name is that of a client too, so that nothing but the mirror is refused."""
    return authority.issue(Shape(dns(OWN_NAME)))


GOOD = dns(CLIENT_NAME)
LISTENER = {
    "as it should be": (shaped(GOOD), True),
    "upper case": (shaped(dns(CLIENT_NAME.upper())), True),
    "one of three names": (shaped(dns("a.example.org", CLIENT_NAME, "b.example.org")), True),
    "expired": (shaped(GOOD, begins_in=timedelta(days=-2), ends_in=timedelta(minutes=-1)), False),
    "not yet valid": (shaped(GOOD, begins_in=timedelta(hours=1)), False),
    "self-signed": (self_signed(GOOD), False),
    "another authority of the same name": (foreign(GOOD), False),
    "wrong name": (shaped(dns("ap.elsewhere.example")), False),
    "no names": (shaped([], common_name=CLIENT_NAME), False),
    "right common name, wrong name": (shaped(dns("ap.elsewhere.example"), common_name=CLIENT_NAME), False),
    "wildcard over it": (shaped(dns("*.visited.example")), False),
    "wildcard in a label": (shaped(dns("a*.visited.example")), False),
    "wildcards": (shaped(dns("*.*.example")), False),
    "wildcard over two labels": (shaped(dns("*.example")), False),
    "wildcard alone": (shaped(dns("*")), False),
    "wildcard inside": (shaped(dns("ap.*.example")), False),
    "wildcard below": (shaped(dns(f"*.{CLIENT_NAME}")), False),
    "iPAddress where a name is configured": (shaped(ip("127.0.0.1")), False),
    "NUL in the name": (shaped(dns(f"{CLIENT_NAME}\0.evil.example")), False),
    "NAIRealm of its parent": (shaped(realms("visited.example")), False),
    "NAIRealm wildcard": (shaped(realms("*.visited.example")), False),
    "clientAuth alone": (shaped(GOOD, usages=(CLIENT_AUTH,)), True),
    "without clientAuth": (shaped(GOOD, usages=(SERVER_AUTH,)), False),
    "no extended key usage": (shaped(GOOD, usages=None), True),
    "no policy": (shaped(GOOD, policies=()), True),
    "the federation's policy": (shaped(GOOD, policies=(POLICY_VISITED,)), True),
    "chain of 4 authorities": (deep(GOOD, 4), True),
    "chain of 5 authorities": (deep(GOOD, 5), False),
    "chain of 20 authorities": (deep(GOOD, 20), False),
    "16 kB": (shaped(GOOD, padding_octets=16_000), True),
    "150 kB": (shaped(GOOD, padding_octets=150_000), False),
    "RSA of 1024 bits": (shaped(GOOD, rsa_bits=1024), False),
    "RSA of 2048 bits": (shaped(GOOD, rsa_bits=2048), True),
    "our own, mirrored back": (mirrored, False),
}


class TestListener:
    @pytest.mark.parametrize(("issue", "is_let_in"), LISTENER.values(), ids=LISTENER)
    async def test_client_certificate(
        self, authority: Issuer, own: Issued, tmp_path: Path, issue: Issue, *, is_let_in: bool
    ) -> None:
        """A client is who a dNSName of a chain in force says, word for word, and what may act as a client."""
        context = build_context(ssl.PROTOCOL_TLS_CLIENT, issue(authority, own), authority.pem, tmp_path)
        async with proxy_with(trust_with(authority, own)) as (service, port):
            assert await is_answered(port, context) is is_let_in
            counters = service.streams.counters()
            assert counters["tls_handshakes"] == int(is_let_in)
            assert counters["tls_refused"] == ({} if is_let_in else {"handshake_failed": 1})

    @pytest.mark.parametrize(
        ("names", "is_let_in"),
        [(ip("192.0.2.7"), True), (dns("192.0.2.7"), False), (realms("192.0.2.7"), False), (ip("192.0.2.8"), False)],
        ids=["iPAddress", "dNSName with its text", "NAIRealm with its text", "another address"],
    )
    async def test_client_named_by_address(
        self, authority: Issuer, own: Issued, tmp_path: Path, names: list[x509.GeneralName], *, is_let_in: bool
    ) -> None:
        """A client that the registry names by an address is known by an iPAddress, and by no text (RFC 9525 §4.1)."""
        context = build_context(ssl.PROTOCOL_TLS_CLIENT, authority.issue(Shape(names)), authority.pem, tmp_path)
        async with proxy_with(trust_with(authority, own), client_name="192.0.2.7") as (_, port):
            assert await is_answered(port, context) is is_let_in

    async def test_revoked_before_and_while_connected(self, authority: Issuer, own: Issued, tmp_path: Path) -> None:
        """A revoked certificate gets no connection, and one that is revoked loses the one that it has."""
        member = authority.issue(Shape(GOOD))
        context = build_context(ssl.PROTOCOL_TLS_CLIENT, member, authority.pem, tmp_path)
        async with proxy_with(trust_with(authority, own)) as (service, port):
            reader, writer = await asyncio.open_connection(LOOPBACK, port, ssl=context)
            writer.write(STATUS_SERVER)
            await reader.readexactly(20)
            revoked = trust_with(authority, own, frozenset({member.serial}))
            clients = (replace(TLS_CLIENT, certificate_name=CLIENT_NAME),)
            service.swap(snapshot_of(revoked, clients=clients, revision=2))
            async with asyncio.timeout(SECONDS):
                await reader.read()  # to the end
            assert service.streams.counters()["tls_connections"] == 0
            writer.transport.abort()
            assert not await is_answered(port, context)

    async def test_lines_may_end_as_in_dos(self, authority: Issuer, own: Issued, tmp_path: Path) -> None:
        """Chain, key and anchors with CR LF are read as those without (radsecproxy issue 129)."""
        chain, key, anchors = (pem.replace(b"\n", b"\r\n") for pem in (own.chain_pem, own.key_pem, authority.pem))
        context = build_context(ssl.PROTOCOL_TLS_CLIENT, authority.issue(Shape(GOOD)), authority.pem, tmp_path)
        async with proxy_with(PeerTrust(chain, key, anchors)) as (_, port):
            assert await is_answered(port, context)


@pytest.fixture
def resolving(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of this test's home servers lead to the loopback."""
    resolve = socket.getaddrinfo

    def find(host: str, *arguments: Any, **options: Any) -> Any:  # Any: those of getaddrinfo
        return resolve(LOOPBACK if host == HOME_NAME else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", find)


async def stays_with(issued: Issued, authority: Issuer, own: Issued, host: str, folder: Path, **trust: Any) -> bool:
    """Whether the proxy stays connected to a home server at *host* that shows that certificate."""
    home = Home(build_context(ssl.PROTOCOL_TLS_SERVER, issued, authority.pem, folder))
    return await keeps(home, host, trust_with(authority, own, **trust), REALM)


SERVER = dns(HOME_NAME)
DIALLER = {
    "as it should be": (shaped(SERVER), True),
    "upper case": (shaped(dns(HOME_NAME.upper())), True),
    "expired": (shaped(SERVER, begins_in=timedelta(days=-2), ends_in=timedelta(minutes=-1)), False),
    "not yet valid": (shaped(SERVER, begins_in=timedelta(hours=1)), False),
    "self-signed": (self_signed(SERVER), False),
    "another authority of the same name": (foreign(SERVER), False),
    "wrong name": (shaped(dns("radius.neighbour.example")), False),
    "common name alone": (shaped([], common_name=HOME_NAME), False),
    "right common name, wrong name": (shaped(dns("radius.neighbour.example"), common_name=HOME_NAME), False),
    "*.a.b": (shaped(dns("*.home.example")), True),
    "s*.a.b": (shaped(dns("r*.home.example")), False),
    "*s.a.b": (shaped(dns("*s.home.example")), False),
    "*.*.a": (shaped(dns("*.*.example")), False),
    "*.b": (shaped(dns("*.example")), False),
    "*": (shaped(dns("*")), False),
    "a.*.b": (shaped(dns("radius.*.example")), False),
    "*.host": (shaped(dns(f"*.{HOME_NAME}")), False),
    "NUL in the name": (shaped(dns(f"{HOME_NAME}\0.evil.example")), False),
    "NAIRealm": (shaped(realms(REALM)), True),
    "NAIRealm, upper case": (shaped(realms(REALM.upper())), True),
    "NAIRealm of another": (shaped(realms("neighbour.example")), False),
    "NAIRealm wildcard of its parent": (shaped(realms("*.example")), False),
    "NAIRealm wildcard of sub-realms": (shaped(realms(f"*.{REALM}")), False),
    "two NAIRealms": (shaped(realms("neighbour.example", REALM)), True),
    "dNSName with the realm": (shaped(dns(REALM)), False),
    "iPAddress where a name is configured": (shaped(ip(LOOPBACK)), False),
    "serverAuth alone": (shaped(SERVER, usages=(SERVER_AUTH,)), True),
    "without serverAuth": (shaped(SERVER, usages=(CLIENT_AUTH,)), False),
    "no policy": (shaped(SERVER, policies=()), True),
    "chain of 4 authorities": (deep(SERVER, 4), True),
    "chain of 5 authorities": (deep(SERVER, 5), False),
    "chain of 20 authorities": (deep(SERVER, 20), False),
    "16 kB": (shaped(SERVER, padding_octets=16_000), True),
    "150 kB": (shaped(SERVER, padding_octets=150_000), False),
    "RSA of 1024 bits": (shaped(SERVER, rsa_bits=1024), False),
    "our own, mirrored back": (mirrored, False),
}


class TestDialler:
    @pytest.mark.usefixtures("resolving")
    @pytest.mark.parametrize(("issue", "is_kept"), DIALLER.values(), ids=DIALLER)
    async def test_server_certificate(
        self, authority: Issuer, own: Issued, tmp_path: Path, issue: Issue, *, is_kept: bool
    ) -> None:
        """A home server is who its NAIRealm or its dNSName says; a wildcard is one whole label (RFC 9525 §6.3)."""
        assert await stays_with(issue(authority, own), authority, own, HOME_NAME, tmp_path) is is_kept

    @pytest.mark.parametrize(
        ("names", "is_kept"),
        [(ip(LOOPBACK), True), (dns(LOOPBACK), False), (ip("127.0.0.2"), False), (dns("*.0.0.1"), False)],
        ids=["iPAddress", "dNSName with its text", "another address", "wildcard"],
    )
    async def test_server_configured_by_address(
        self, authority: Issuer, own: Issued, tmp_path: Path, names: list[x509.GeneralName], *, is_kept: bool
    ) -> None:
        """An address is matched by an iPAddress, and by no text (RFC 9525 §4.1)."""
        assert await stays_with(authority.issue(Shape(names)), authority, own, LOOPBACK, tmp_path) is is_kept

    @pytest.mark.parametrize(("library", "is_kept"), [("home", True), ("visited", False)])
    async def test_server_under_the_authority_of_a_library(
        self, authority: Issuer, own: Issued, tmp_path: Path, library: str, *, is_kept: bool
    ) -> None:
        """An authority that was taken in for one library speaks for no other's server (CVE-2012-4523)."""
        other = Issuer("authority of a library")
        fingerprint = other.certificate.fingerprint(hashes.SHA256()).hex()
        anchors = {fingerprint: ForeignAnchor(other.pem, frozenset({library}))}
        trust = replace(trust_with(authority, own), foreign_anchors=anchors)
        issued = other.issue(Shape(realms(REALM)))
        home = Home(build_context(ssl.PROTOCOL_TLS_SERVER, issued, authority.pem, tmp_path))
        assert await keeps(home, LOOPBACK, trust, REALM) is is_kept

    @pytest.mark.usefixtures("resolving")
    async def test_revoked(self, authority: Issuer, own: Issued, tmp_path: Path) -> None:
        """A home server whose certificate is revoked is asked nothing."""
        issued = authority.issue(Shape(SERVER))
        revoked = frozenset({issued.serial})
        assert not await stays_with(issued, authority, own, HOME_NAME, tmp_path, revoked=revoked)
