"""The proxy over RADIUS/TLS, on real sockets of the loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from time import time
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes

from federation.snapshot import ForeignAnchor, Snapshot
from radius.exchange.liveness import HopState
from radius.proxy.service import ProxyService
from radius.transport.tls.contexts import Trust
from radius.transport.tls.versions import RadiusVersion
from radius.wire.authenticators import (
    Verdict,
    sign_request,
    verify_message_authenticator,
    verify_request_authenticator,
    verify_response,
)
from radius.wire.codes import Code
from radius.wire.packet import HEADER_OCTETS, Packet
from tests.radius.proxy.streams import (
    CLIENT_NAME,
    HOME_NAME,
    OWN_NAME,
    RADSEC,
    TLS_CLIENT,
    Member,
    TlsDevice,
    TlsHome,
    issue,
    listen_for_streams,
    peer_trust,
    running_proxy,
    serial_of,
    snapshot_of,
    tls_home_server,
    trust_of,
    until,
)
from tests.radius.proxy.world import access_request, respond, user_name
from tests.radius.transport.tls.members import Authority, nai_realm, names_of

AUTHENTICATOR = bytes(range(16))


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


class Federation:
    """A proxy between a client and a home server, all three over TLS."""

    def __init__(self, authority: Authority, stack: AsyncExitStack) -> None:
        self.authority = authority
        self.stack = stack
        self.own = issue(authority, OWN_NAME)
        self.member = issue(authority, CLIENT_NAME)
        self.home_member: Member = authority.issue([nai_realm("home.example"), *names_of(HOME_NAME)])
        self.home = TlsHome(trust_of(authority, self.home_member))
        self.listener = listen_for_streams()
        self.port: int = self.listener.getsockname()[1]

    async def start(self) -> ProxyService:
        await self.home.start()
        self.stack.callback(self.home.stop)
        self.service = await self.stack.enter_async_context(running_proxy(self.listener))
        self.service.swap(self.snapshot())
        return self.service

    def snapshot(self, revision: int = 1, revoked: frozenset[str] = frozenset()) -> Snapshot:
        trust = peer_trust(self.authority, self.own, revoked=revoked)
        return snapshot_of(trust, tls_home_server(self.home.port), revision=revision)

    async def device(self, member: Member | None = None) -> TlsDevice:
        device = TlsDevice(trust_of(self.authority, member or self.member), self.port)
        self.stack.callback(device.link.close)
        await device.connect()
        return device


@pytest.fixture
async def federation(authority: Authority) -> AsyncIterator[Federation]:
    async with AsyncExitStack() as stack:
        made = Federation(authority, stack)
        await made.start()
        yield made


def is_signed(packet: Packet) -> bool:
    is_first = packet.message_authenticator == HEADER_OCTETS
    return is_first and verify_message_authenticator(packet, RADSEC, AUTHENTICATOR) is Verdict.VALID


class TestLogin:
    async def test_request_goes_through_and_its_answer_comes_back(self, federation: Federation) -> None:
        """From a client over TLS to a home server over TLS, and back (RFC 6614 §2)."""
        device = await federation.device()
        answer = await device.ask(access_request(keyed=RADSEC))
        assert (answer.code, answer.identifier) == (Code.ACCESS_ACCEPT, 7)
        assert is_signed(answer)
        counters = federation.service.counters()
        assert counters["answers"] == {"access_accept": 1}
        assert counters["outstanding"] == 0

    async def test_many_requests_are_on_their_way_at_once(self, federation: Federation) -> None:
        """More than one connection's identifiers hold; each request gets its own answer."""
        device, more = await federation.device(), await federation.device()
        asked = [
            (each, identifier, bytes((number,)) * 16)
            for number, each in enumerate((device, more))
            for identifier in range(256)
        ]
        for each, identifier, authenticator in asked:
            assert each.link.send(access_request(keyed=RADSEC, identifier=identifier, authenticator=authenticator))
        await until(lambda: len(device.packets) == len(more.packets) == 256)
        assert {packet.identifier for packet in device.packets} == set(range(256))
        assert len(federation.service.engine.upstreams["home/tls"].identifiers.flows) > 1

    async def test_accounting_and_status_share_the_port(self, federation: Federation) -> None:
        """All kinds of requests come on one connection (RFC 6614 §2.5)."""
        device = await federation.device()
        status = await device.ask(sign_request(Code.STATUS_SERVER, 3, AUTHENTICATOR, b"", RADSEC))
        assert status.code == Code.ACCESS_ACCEPT
        accounting = await device.ask(
            sign_request(Code.ACCOUNTING_REQUEST, 4, b"", b"\x28\x06\x00\x00\x00\x01", RADSEC)
        )
        assert accounting.code == Code.ACCOUNTING_RESPONSE

    async def test_accounting_goes_to_a_library_that_asked_for_it(self, federation: Federation) -> None:
        """Over a connection of its own, to whose certificate fits as for sign-ins; the answer comes back."""
        snapshot = federation.snapshot(revision=2)
        server = replace(snapshot.home_servers["home/tls"], key="home/tls/acct")
        realm = snapshot.realms["home.example"]._replace(accounting_servers=(server.key,))
        servers = {**snapshot.home_servers, server.key: server}
        federation.service.swap(replace(snapshot, home_servers=servers, realms={"home.example": realm}))
        federation.home.answer = lambda request: respond(
            request, Code.ACCOUNTING_RESPONSE if request.code == Code.ACCOUNTING_REQUEST else 2, keyed=RADSEC
        )
        device = await federation.device()
        report = sign_request(Code.ACCOUNTING_REQUEST, 4, b"", user_name() + b"\x28\x06\x00\x00\x00\x01", RADSEC)
        answer = await device.ask(report)
        assert (answer.code, answer.identifier) == (Code.ACCOUNTING_RESPONSE, 4)
        assert verify_response(answer, RADSEC, report[4:20])
        assert [request.code for request in federation.home.requests] == [Code.ACCOUNTING_REQUEST]
        assert verify_request_authenticator(federation.home.requests[0], RADSEC)
        assert federation.service.notices.accounting == {"forwarded": 1}

    async def test_where_message_authenticators_stand_is_told_of_both_ends(self, federation: Federation) -> None:
        """It is counted as over UDP, where it has to be there; here TLS protects what has none (RFC 6614 §2.3)."""
        device = await federation.device()
        await device.ask(access_request(keyed=RADSEC))
        engine = federation.service.engine
        for counted in (engine.clients.states["visited/tls"].counters(), engine.upstreams["home/tls"].counters()):
            assert (counted["transport"], counted["message_authenticator_first"]) == ("tls", 1)
            assert "message_authenticator_required" not in counted

    async def test_repeat_is_not_forwarded_again(self, federation: Federation) -> None:
        """A duplicate on the same connection gets the same octets, and the home server is asked once."""
        device = await federation.device()
        first = await device.ask(access_request(keyed=RADSEC))
        again = await device.ask(access_request(keyed=RADSEC))
        assert first.octets == again.octets
        assert len(federation.home.requests) == 1


class TestClients:
    async def test_stranger_is_refused_in_the_handshake(self, federation: Federation) -> None:
        """A certificate of the right authority that is nobody's client in this federation gets no connection."""
        stranger = issue(federation.authority, "ap.elsewhere.example")
        device = TlsDevice(trust_of(federation.authority, stranger), federation.port)
        federation.stack.callback(device.link.close)
        device.link.start()
        await until(lambda: device.downs > 0)
        streams = federation.service.streams
        assert streams.counters()["tls_connections"] == 0
        assert streams.counters()["tls_refused"] == {"handshake_failed": 1}

    async def test_wrong_secret_ends_the_connection(self, federation: Federation) -> None:
        """A Message-Authenticator that is wrong can not come from a peer that speaks RADIUS/TLS (RFC 6613 §2.6.4)."""
        device = await federation.device()
        wrong = bytearray(access_request(keyed=RADSEC))
        wrong[30] ^= 1
        assert device.link.send(bytes(wrong))
        await until(lambda: device.downs >= 1)

    async def test_unknown_code_does_not(self, federation: Federation) -> None:
        """A code that is not expected is dropped, and the next request is answered (radiusdtls-bis)."""
        device = await federation.device()
        unknown = bytearray(access_request(keyed=RADSEC))
        unknown[0] = 200
        assert device.link.send(bytes(unknown))
        answer = await device.ask(access_request(keyed=RADSEC))
        assert answer.code == Code.ACCESS_ACCEPT
        assert device.downs == 0

    async def test_request_of_a_connection_that_closed_is_given_up(self, federation: Federation) -> None:
        """Nobody waits for its answer: it is not told as a sign-in when it comes late (RFC 6613 §2.6.1)."""
        federation.home.answer = lambda _: None
        device = await federation.device()
        assert device.link.send(access_request(keyed=RADSEC))
        await until(lambda: len(federation.home.requests) == 1)
        device.link.close()
        await until(lambda: federation.service.streams.counters()["tls_connections"] == 0)
        await until(lambda: federation.service.engine.outstanding == 0)
        assert federation.service.take_events() == []


class TestRevocation:
    async def test_live_connection_ends_at_once(self, federation: Federation) -> None:
        """A client whose certificate is revoked loses its connection, and does not come back."""
        device = await federation.device()
        federation.service.swap(federation.snapshot(2, frozenset({serial_of(federation.member)})))
        await until(lambda: device.downs >= 1)
        await until(lambda: device.downs >= 2)
        assert federation.service.streams.counters()["tls_connections"] == 0

    async def test_home_server_is_left(self, federation: Federation) -> None:
        """A home server whose certificate is revoked is asked nothing more."""
        await until(lambda: len(federation.home.connections) == 1)
        federation.service.swap(federation.snapshot(2, frozenset({serial_of(federation.home_member)})))
        await until(lambda: not federation.home.connections)
        device = await federation.device()
        answer = await device.ask(access_request(keyed=RADSEC))
        assert answer.code == Code.ACCESS_REJECT
        assert not federation.home.requests

    async def test_client_that_left_the_registry_is_cut_off(self, federation: Federation) -> None:
        """Its certificate is good still; it stands for nobody any more."""
        device = await federation.device()
        federation.service.swap(replace(federation.snapshot(2), clients=()))
        await until(lambda: device.downs >= 1)

    async def test_others_keep_their_connections(self, federation: Federation) -> None:
        """A revocation costs nobody else a packet."""
        other = issue(federation.authority, "other.visited.example")
        device = await federation.device()
        federation.service.swap(federation.snapshot(2, frozenset({serial_of(other)})))
        answer = await device.ask(access_request(keyed=RADSEC))
        assert answer.code == Code.ACCESS_ACCEPT
        assert device.downs == 0

    async def test_changed_client_keeps_its_connection_under_the_new_rules(self, federation: Federation) -> None:
        """The next request of a connection that stands meets the client as the registry has it now."""
        device = await federation.device()
        await device.ask(access_request(keyed=RADSEC))
        changed = replace(TLS_CLIENT, library="home")
        federation.service.swap(replace(federation.snapshot(2), clients=(changed,)))
        await device.ask(access_request(keyed=RADSEC, identifier=8))
        assert device.downs == 0
        assert federation.service.engine.clients.states["visited/tls"].library == "home"


class TestHomeServers:
    async def test_wrong_name_is_not_asked(self, authority: Authority) -> None:
        """A server with another's certificate, from the right authority, gets no request (RFC 6614 §2.3)."""
        async with AsyncExitStack() as stack:
            federation = Federation(authority, stack)
            federation.home = TlsHome(trust_of(authority, issue(authority, "radius.neighbour.example")))
            await federation.start()
            device = await federation.device()
            answer = await device.ask(access_request(keyed=RADSEC))
            assert answer.code == Code.ACCESS_REJECT
            assert not federation.home.requests

    async def test_killed_and_back_at_once_loses_nothing(self, federation: Federation) -> None:
        """What was on the wire is asked again on the next connection; what comes meanwhile waits for it."""
        device = await federation.device()
        federation.home.answer = lambda _: None
        for identifier in range(20):
            assert device.link.send(access_request(keyed=RADSEC, identifier=identifier))
        await until(lambda: len(federation.home.requests) == 20)
        federation.home.stop()
        back = TlsHome(federation.home.trust, federation.home.port)
        federation.stack.callback(back.stop)
        for identifier in range(20, 40):
            assert device.link.send(access_request(keyed=RADSEC, identifier=identifier))
        await asyncio.sleep(0)
        await back.start()
        await until(lambda: len(device.packets) == 40, seconds=2.0)
        assert {packet.code for packet in device.packets} == {Code.ACCESS_ACCEPT}
        assert len(back.requests) == 40
        authenticators = {request.authenticator for request in (*federation.home.requests, *back.requests)}
        assert len(authenticators) == 60

    async def test_gone_for_long_is_a_no_at_once(self, federation: Federation) -> None:
        """After three seconds without a connection nobody waits for one; when it is back, it is asked again."""
        device = await federation.device()
        await until(lambda: len(federation.home.connections) == 1)
        federation.home.stop()
        upstream = federation.service.engine.upstreams["home/tls"]
        answer = await device.ask(access_request(keyed=RADSEC))
        assert answer.code == Code.ACCESS_REJECT
        assert upstream.is_down
        back = TlsHome(federation.home.trust, federation.home.port)
        federation.stack.callback(back.stop)
        await back.start()
        await until(lambda: not upstream.is_down)
        answer = await device.ask(access_request(keyed=RADSEC, identifier=9))
        assert answer.code == Code.ACCESS_ACCEPT

    async def test_library_that_comes_in_is_dialled_at_once(self, federation: Federation) -> None:
        """A library whose client connects has most likely restarted: its home server is not left waiting."""
        federation.home.stop()
        upstream = federation.service.engine.upstreams["home/tls"]
        await until(lambda: upstream.address is None)
        own = replace(TLS_CLIENT, key="home/proxy", library="home", certificate_name="proxy.home.example")
        federation.service.swap(replace(federation.snapshot(2), clients=(own,)))
        back = TlsHome(federation.home.trust, federation.home.port)
        federation.stack.callback(back.stop)
        await back.start()
        await federation.device(issue(federation.authority, "proxy.home.example"))
        await until(lambda: upstream.address is not None, seconds=2.0)

    async def test_another_server_is_asked_at_once(self, federation: Federation) -> None:
        """When a connection is lost, what waited on it goes to the realm's next server."""
        second = TlsHome(federation.home.trust)
        await second.start()
        federation.stack.callback(second.stop)
        servers = (tls_home_server(federation.home.port), tls_home_server(second.port, "home/second"))
        trust = peer_trust(federation.authority, federation.own)
        federation.service.swap(snapshot_of(trust, *servers, revision=2))
        await until(lambda: bool(second.connections))
        federation.home.answer = lambda _: None
        device = await federation.device()
        assert device.link.send(access_request(keyed=RADSEC))
        await until(lambda: len(federation.home.requests) == 1)
        federation.home.stop()
        await until(lambda: len(device.packets) == 1, seconds=1.5)
        assert device.packets[0].code == Code.ACCESS_ACCEPT
        assert len(second.requests) == 1

    async def test_nothing_is_sent_twice_on_a_connection(self, federation: Federation) -> None:
        """A request without an answer is not repeated while its connection stands (RFC 6613 §2.6.1)."""
        federation.home.answer = lambda _: None
        device = await federation.device()
        assert device.link.send(access_request(keyed=RADSEC))
        upstream = federation.service.engine.upstreams["home/tls"]
        await until(lambda: upstream.liveness.state is not HopState.UP)  # the time of the first repeat is over
        assert upstream.repeats == 0
        asked = [request for request in federation.home.requests if request.code == Code.ACCESS_REQUEST]
        assert len(asked) == 1

    async def test_renewed_certificate_is_shown_without_a_loss(self, federation: Federation) -> None:
        """When our own certificate changes, connections to home servers are made anew, before the old ones end."""
        device = await federation.device()
        await until(lambda: len(federation.home.connections) == 1)
        federation.own = issue(federation.authority, OWN_NAME)
        federation.service.swap(federation.snapshot(2))
        await until(lambda: len(federation.home.connections) == 2)
        answer = await device.ask(access_request(keyed=RADSEC))
        assert answer.code == Code.ACCESS_ACCEPT
        assert device.downs == 0


class TestReport:
    async def test_peers_and_their_certificates_are_told(self, federation: Federation) -> None:
        """For each peer: the end it is of, its certificate and anchor, and the anchor of ours that it accepted."""
        await federation.device()
        await until(lambda: len(federation.service.streams.peers()) == 2)
        peers = federation.service.streams.peers()
        assert peers["visited/tls"]["serial"] == serial_of(federation.member)
        assert (peers["visited/tls"]["end"], peers["home/tls"]["end"]) == ("client", "server")
        assert peers["home/tls"]["serial"] == serial_of(federation.home_member)
        assert peers["home/tls"]["anchor"] == peers["home/tls"]["own_anchor"] != ""

    async def test_trust_that_can_not_be_read_changes_nothing(self, federation: Federation) -> None:
        """The snapshot is refused, and connections stand."""
        device = await federation.device()
        bad = replace(peer_trust(federation.authority, federation.own), private_key_pem=b"no key")
        with pytest.raises(ValueError, match=r"."):
            federation.service.swap(replace(federation.snapshot(2), peer_trust=bad))
        answer = await device.ask(access_request(keyed=RADSEC))
        assert answer.code == Code.ACCESS_ACCEPT


class TestForeignAnchors:
    """A root of another authority stands for the libraries that it was taken in for, and for nobody else."""

    def snapshot(self, federation: Federation, foreign: Authority, **options: Any) -> Snapshot:  # Any: its fields
        anchor = ForeignAnchor(foreign.pem, **options)
        fingerprint = foreign.certificate.fingerprint(hashes.SHA256()).hex()
        trust = replace(peer_trust(federation.authority, federation.own), foreign_anchors={fingerprint: anchor})
        return replace(federation.snapshot(2), peer_trust=trust)

    def device(self, federation: Federation, foreign: Authority) -> TlsDevice:
        """A client with a certificate of the other authority, with the name that the registry has."""
        certificate = issue(foreign, CLIENT_NAME)
        credentials = foreign.credentials(certificate, (federation.authority,))
        device = TlsDevice(Trust(credentials, frozenset({RadiusVersion.V1_0})), federation.port)
        federation.stack.callback(device.link.close)
        device.link.start()
        return device

    async def test_own_library_is_let_in(self, federation: Federation) -> None:
        """Its certificate identifies the library that the anchor was taken in for."""
        foreign = Authority("foreign")
        federation.service.swap(self.snapshot(federation, foreign, libraries=frozenset({"visited"})))
        device = self.device(federation, foreign)
        await until(lambda: device.link.is_up)
        answer = await device.ask(access_request(keyed=RADSEC))
        assert answer.code == Code.ACCESS_ACCEPT

    async def test_nobody_else_is(self, federation: Federation) -> None:
        """Another library's name in its certificate opens nothing (CVE-2012-4523, CVE-2012-4566)."""
        foreign = Authority("foreign")
        federation.service.swap(self.snapshot(federation, foreign, libraries=frozenset({"home"})))
        device = self.device(federation, foreign)
        await until(lambda: device.downs > 0)
        assert federation.service.streams.counters()["tls_connections"] == 0

    async def test_list_that_runs_out_ends_what_stands(self, federation: Federation) -> None:
        """Where a list is required, its end ends the connections below it, and no snapshot has to say so."""
        foreign = Authority("foreign")
        issuer = foreign.certificate.subject.public_bytes()
        federation.service.swap(
            self.snapshot(
                federation,
                foreign,
                libraries=frozenset({"visited"}),
                requires_list=True,
                listed_issuers=frozenset({issuer}),
                listed_until=time() + 3.0,
            )
        )
        device = self.device(federation, foreign)
        await until(lambda: device.link.is_up)
        await until(lambda: device.downs > 0)
        assert federation.service.streams.counters()["tls_connections"] == 0
