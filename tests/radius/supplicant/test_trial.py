"""A new chain is tried on real servers of the loopback: who takes it, who does not, and who can not be asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL

from federation.snapshot import ForeignAnchor, HomeServer, PeerTrust
from radius.supplicant import trial
from radius.supplicant.trial import Trial, Verdict, try_chain
from radius.transport.tls.contexts import Trust
from radius.wire.packet import Packet
from tests.radius.proxy.streams import (
    HOME_NAME,
    OWN_NAME,
    RADSEC,
    TlsHome,
    issue,
    listen_for_streams,
    peer_trust,
    tls_home_server,
    trust_of,
)
from tests.radius.proxy.world import respond
from tests.radius.transport.tls.members import Authority, nai_realm, names_of
from tests.support.tampering import tamper


@pytest.fixture(scope="module")
def roots() -> tuple[Authority, Authority]:
    return Authority("old"), Authority("new")


class Place:
    """Home servers with certificates of the old root, and our chain below the new one."""

    def __init__(self, roots: tuple[Authority, Authority], stack: AsyncExitStack) -> None:
        self.old, self.new = roots
        self.stack = stack
        self.material: PeerTrust = peer_trust(self.new, issue(self.new, OWN_NAME), anchors=roots)

    async def server(self, trust: Trust) -> tuple[TlsHome, HomeServer]:
        home = TlsHome(trust)
        await home.start()
        self.stack.callback(home.stop)
        return home, tls_home_server(home.port)

    def trust(self, *anchors: Authority, realm: str = "home.example", by: Authority | None = None) -> Trust:
        names = [nai_realm(realm), *names_of(HOME_NAME)]
        return trust_of(self.old, (by or self.old).issue(names), *anchors)

    async def ask(self, *servers: HomeServer) -> list[Trial]:
        return await try_chain(self.material, servers)


@pytest.fixture
async def place(roots: tuple[Authority, Authority]) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        yield Place(roots, stack)


class OlderTrust(Trust):
    """Of a server that speaks TLS 1.2 alone."""

    def _build(self, method: int) -> SSL.Context:
        context = super()._build(method)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        return context


class TestVerdict:
    async def test_server_that_answers_has_accepted(self, place: Place) -> None:
        """And what it showed is told, so that its owner's certificate counts as knowing the new root."""
        home, server = await place.server(place.trust(place.old, place.new))
        (found,) = await place.ask(server)
        assert (found.peer, found.verdict) == ("home/tls", Verdict.ACCEPTED)
        assert found.own_anchor == place.new.certificate.fingerprint(hashes.SHA256()).hex()
        assert found.anchor == place.old.certificate.fingerprint(hashes.SHA256()).hex()
        assert found.serial
        assert found.not_after is not None
        assert [request.code for request in home.requests] == [12]

    @pytest.mark.parametrize("version", ["1.2", "1.3"])
    async def test_server_without_the_new_root_refuses(self, place: Place, version: str) -> None:
        """In the handshake of TLS 1.2; in TLS 1.3 after our end of it is done, which must not pass for a yes."""
        trust = place.trust(place.old)
        if version == "1.2":
            trust = OlderTrust(trust.credentials, trust.versions)
        home, server = await place.server(trust)
        (found,) = await place.ask(server)
        assert found.verdict is Verdict.REFUSED
        assert "unknown ca" in found.detail
        assert not home.requests

    async def test_silent_server_that_keeps_the_connection_has_accepted(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not every server answers Status-Server; who refuses a certificate closes."""
        monkeypatch.setattr(trial, "ANSWER_SECONDS", 0.3)
        home, server = await place.server(place.trust(place.old, place.new))
        home.answer = lambda _: None
        (found,) = await place.ask(server)
        assert (found.verdict, "not answered" in found.detail) == (Verdict.ACCEPTED, True)

    async def test_server_that_closes_without_a_word_refuses(self, place: Place) -> None:
        """A close after the handshake is taken for what it most likely is."""
        home, server = await place.server(place.trust(place.old, place.new))

        def close(_: Packet) -> None:
            home.connections[0].close()

        home.answer = close
        (found,) = await place.ask(server)
        assert (found.verdict, found.detail) == (Verdict.REFUSED, "it ended the connection: without a word")

    async def test_answer_with_a_wrong_authenticator_is_none(self, place: Place) -> None:
        """What can not be believed proves nothing of who sent it; the connection was kept all the same."""
        home, server = await place.server(place.trust(place.old, place.new))
        home.answer = lambda request: tamper(respond(request, keyed=RADSEC))
        (found,) = await place.ask(server)
        assert "answered Status-Server" not in found.detail


class TestUnknown:
    async def test_who_is_not_there_has_said_nothing(self, place: Place) -> None:
        """It is not taken for a refusal, and the others are asked all the same."""
        closed = listen_for_streams()
        port: int = closed.getsockname()[1]
        closed.close()
        _, server = await place.server(place.trust(place.old, place.new))
        absent, present = await place.ask(tls_home_server(port, "home/gone"), server)
        assert (absent.verdict, present.verdict) == (Verdict.UNKNOWN, Verdict.ACCEPTED)
        assert "there is no connection" in absent.detail

    async def test_who_is_somebody_else_has_said_nothing(self, place: Place) -> None:
        """It is we who refuse a server with another's name, or of an authority that we do not know."""
        stranger = Authority("stranger")
        _, other = await place.server(place.trust(place.old, place.new, realm="other.example"))
        _, unknown = await place.server(trust_of(stranger, issue(stranger, HOME_NAME), place.old, place.new))
        found = await place.ask(other, unknown)
        assert {each.verdict for each in found} == {Verdict.UNKNOWN}

    async def test_foreign_authority_speaks_for_its_library_only(self, place: Place) -> None:
        """A server below another library's authority is not asked to vouch for this one."""
        foreign = Authority("foreign")
        anchor = ForeignAnchor(foreign.pem, frozenset({"another"}))
        fingerprint = foreign.certificate.fingerprint(hashes.SHA256()).hex()
        place.material = replace(place.material, foreign_anchors={fingerprint: anchor})
        member = foreign.issue([nai_realm("home.example"), *names_of(HOME_NAME)])
        home, server = await place.server(trust_of(foreign, member, place.old, place.new))
        (found,) = await place.ask(server)
        assert (found.verdict, "may not speak" in found.detail) == (Verdict.UNKNOWN, True)
        await asyncio.sleep(0)
        assert not home.requests

    async def test_server_that_does_not_speak_tls_ends_in_time(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It takes the connection and says nothing."""
        monkeypatch.setattr(trial, "CONNECT_SECONDS", 0.3)
        silent = listen_for_streams()
        (found,) = await place.ask(tls_home_server(silent.getsockname()[1]))
        silent.close()
        assert (found.verdict, found.detail) == (Verdict.UNKNOWN, "there is no connection: time-out")
