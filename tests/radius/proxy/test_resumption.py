"""A session of TLS is never resumed, so that none outlives a revocation (CVE-2017-9148): openssl tries."""

import asyncio
from asyncio.subprocess import PIPE, STDOUT
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from radius.proxy.service import ProxyService
from tests.radius.proxy.streams import (
    CLIENT_NAME,
    OWN_NAME,
    Member,
    issue,
    listen_for_streams,
    peer_trust,
    running_proxy,
    serial_of,
    snapshot_of,
)
from tests.radius.transport.tls.members import Authority
from tests.support.processes import require_program

VERSIONS = ["-tls1_2", "-tls1_3"]
STAYS_SECONDS = 0.7  # a refusal comes after the client's end of the handshake, in TLS 1.3


class Door:
    """A proxy, and openssl as its client."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority()
        self.own = issue(self.authority, OWN_NAME)
        self.member: Member = issue(self.authority, CLIENT_NAME)
        self.listener = listen_for_streams()
        (folder / "chain.pem").write_bytes(self.member[0].public_bytes(serialization.Encoding.PEM))
        (folder / "key.pem").write_bytes(self.member[1])

    def swap(self, service: ProxyService, *revoked: str) -> None:
        service.swap(snapshot_of(peer_trust(self.authority, self.own, revoked=frozenset(revoked))))

    async def knock(self, *options: str | Path) -> str:
        """What s_client says of a connection that it holds for a moment."""
        port = self.listener.getsockname()[1]
        arguments = (
            "-connect",
            f"127.0.0.1:{port}",
            "-cert",
            self.folder / "chain.pem",
            "-key",
            self.folder / "key.pem",
        )
        program = require_program("openssl", "openssl")
        process = await asyncio.create_subprocess_exec(
            program, "s_client", *map(str, (*arguments, *options)), stdin=PIPE, stdout=PIPE, stderr=STDOUT
        )
        await asyncio.sleep(STAYS_SECONDS)
        output, _ = await process.communicate(b"Q\n")
        return output.decode(errors="replace")


@pytest.mark.parametrize("version", VERSIONS)
class TestResumption:
    async def test_session_that_was_kept_begins_anew(self, tmp_path: Path, version: str) -> None:
        """The control: who is believed is let in with a session of an earlier connection, by a whole handshake."""
        async with AsyncExitStack() as stack:
            door = Door(tmp_path)
            service = await stack.enter_async_context(running_proxy(door.listener))
            door.swap(service)
            kept = tmp_path / "session.pem"
            first = await door.knock(version, "-sess_out", kept)
            assert "alert" not in first, first
            second = await door.knock(version, *(("-sess_in", kept) if kept.exists() else ()))
            assert "alert" not in second, second
            assert "Reused" not in second
            assert service.streams.counters()["tls_handshakes"] == 2

    async def test_session_from_before_a_revocation_is_refused(self, tmp_path: Path, version: str) -> None:
        """The certificate is judged in each handshake, and the session does not stand for it."""
        async with AsyncExitStack() as stack:
            door = Door(tmp_path)
            service = await stack.enter_async_context(running_proxy(door.listener))
            door.swap(service)
            kept = tmp_path / "session.pem"
            assert "alert" not in await door.knock(version, "-sess_out", kept)
            door.swap(service, serial_of(door.member))
            refused = await door.knock(version, *(("-sess_in", kept) if kept.exists() else ()))
            assert "alert" in refused, refused
            assert "Reused" not in refused
            assert service.streams.counters()["tls_handshakes"] == 1
            assert service.streams.counters()["tls_connections"] == 0
