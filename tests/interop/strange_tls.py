"""A proxy in this process, and strange ends of TLS for it: Python's, over the system's OpenSSL."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

from cryptography import x509

from federation.snapshot import HomeServer, PeerTrust, Transport
from radius.proxy.service import ProxyService
from radius.wire.authenticators import sign_request
from radius.wire.codes import Code
from tests.interop.certificate_shapes import Issued, Issuer
from tests.radius.proxy.streams import (
    CLIENT_NAME,
    LOOPBACK,
    OWN_NAME,
    RADSEC,
    TLS_CLIENT,
    listen_for_streams,
    running_proxy,
    snapshot_of,
    until,
)

SECONDS = 20.0
STATUS_SERVER = sign_request(Code.STATUS_SERVER, 3, bytes(range(16)), b"", RADSEC)


def dns(*names: str) -> list[x509.GeneralName]:
    """As dNSNames."""
    return [x509.DNSName(name) for name in names]


def trust_with(authority: Issuer, own: Issued, revoked: frozenset[str] = frozenset()) -> PeerTrust:
    """What the proxy shows and believes."""
    return PeerTrust(own.chain_pem, own.key_pem, authority.pem, revoked)


@asynccontextmanager
async def proxy_with(
    trust: PeerTrust, *servers: HomeServer, client_name: str = CLIENT_NAME
) -> AsyncGenerator[tuple[ProxyService, int]]:
    """A proxy that listens, and the port; it knows one client, and itself under its own name."""
    listener = listen_for_streams()
    clients = (
        replace(TLS_CLIENT, certificate_name=client_name),
        replace(TLS_CLIENT, key="visited/self", certificate_name=OWN_NAME),
    )
    async with running_proxy(listener) as service:
        service.swap(snapshot_of(trust, *servers, clients=clients))
        yield service, listener.getsockname()[1]


async def is_answered(port: int, context: ssl.SSLContext) -> bool:
    """Whether Status-Server over a connection of that context gets an answer; False: there is no connection."""
    async with asyncio.timeout(SECONDS):
        try:
            reader, writer = await asyncio.open_connection(LOOPBACK, port, ssl=context)
        except (ssl.SSLError, ConnectionError):
            return False
        try:
            writer.write(STATUS_SERVER)
            head = await reader.readexactly(4)
        except (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError):
            return False
        finally:
            writer.transport.abort()
    return head[0] == Code.ACCESS_ACCEPT


class Home:
    """A home server over TLS, which tells what became of the proxy's first attempt."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.ended = asyncio.Event()
        self._context = context

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[int]:
        """The port, for as long as the block."""
        server = await asyncio.start_server(self._take, LOOPBACK, 0)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await writer.start_tls(self._context)
            while await reader.read(4096):
                pass
        except (ssl.SSLError, ConnectionError):
            pass
        finally:
            self.ended.set()
            writer.transport.abort()


async def keeps(home: Home, host: str, trust: PeerTrust, realm: str) -> bool:
    """Whether the proxy stays connected to that home server, configured as *host*."""
    async with home.listening() as port:
        server = HomeServer("home/tls", "home", host, port, Transport.TLS, realms=(realm,))
        async with proxy_with(trust, server) as (service, _):
            await until(lambda: service.streams.counters()["tls_links_up"] == 1 or home.ended.is_set(), SECONDS)
            is_up = service.streams.counters()["tls_links_up"] == 1
            assert is_up is not home.ended.is_set()
    async with asyncio.timeout(SECONDS):
        await home.ended.wait()
    return is_up
