"""A home server that stands alone, over RADIUS/TLS on the loopback."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic, time
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL

from federation.snapshot import (
    Client,
    EapServerCredentials,
    Federation,
    ForeignAnchor,
    HomeSnapshot,
    HostedRealm,
    PeerTrust,
)
from radius.exchange.edges import ClientEdge
from radius.home.conversations import Conversations
from radius.home.service import HomeService
from radius.transport.tls.contexts import Trust
from radius.transport.tls.turnover import OF_AGE_SECONDS, TURNOVER_SECONDS
from radius.transport.tls.versions import RadiusVersion
from radius.wire.attributes import find
from radius.wire.authenticators import sign_request
from radius.wire.codes import AttributeType, Code
from radius.wire.packet import build_attribute, build_fragments
from tests.radius.home.nobody import NoPatrons
from tests.radius.proxy.streams import (
    RADSEC,
    Member,
    TlsDevice,
    issue,
    listen_for_streams,
    peer_trust,
    serial_of,
    trust_of,
    until,
)
from tests.radius.transport.tls.members import Authority
from tests.support.certificates import make_server_certificate
from tests.support.tampering import tamper

HOME_NAME = "radius.west.example"
PROXY_NAME = "login.fed.example"
NAME = build_attribute(AttributeType.USER_NAME, b"anonymous@west.example")
EAP = build_fragments(AttributeType.EAP_MESSAGE, b"\x02\x01\x00\x1b\x01anonymous@west.example")
PROXY = Client("west/federation", "west", "", certificate_name=PROXY_NAME, is_proxy=True)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


class Library:
    """A home server, and the federation's proxy that comes to it."""

    def __init__(self, authority: Authority, folder: Path, stack: AsyncExitStack) -> None:
        certificate = make_server_certificate(folder, "login.west.example")
        self.eap = EapServerCredentials(certificate.certificate.read_bytes(), certificate.key.read_bytes())
        self.authority = authority
        self.stack = stack
        self.own = issue(authority, HOME_NAME)
        self.proxy = issue(authority, PROXY_NAME)
        self.listener = listen_for_streams()
        self.port: int = self.listener.getsockname()[1]
        self.service = HomeService(
            [],
            {"local": NoPatrons()},
            radsec_sockets=[self.listener],
            alias_key=b"k" * 32,
            serves_access_points=True,
            jitter=lambda: 0.5,
        )

    def swap(
        self,
        *,
        clients: tuple[Client, ...] = (PROXY,),
        own: Member | None = None,
        revoked: frozenset[str] = frozenset(),
        anchors: tuple[Authority, ...] = (),
    ) -> None:
        trust = peer_trust(self.authority, own or self.own, revoked=revoked, anchors=anchors)
        self.service.swap(self.snapshot(trust, clients))

    def snapshot(self, trust: PeerTrust | None, clients: tuple[Client, ...] = (PROXY,)) -> HomeSnapshot:
        realms = {"west.example": HostedRealm("west.example", "west", "local")}
        return HomeSnapshot(1, Federation("test", "NL", "login.west.example"), realms, self.eap, clients, trust)

    def device(self, member: Member | None = None) -> TlsDevice:
        device = TlsDevice(trust_of(self.authority, member or self.proxy), self.port, name=HOME_NAME)
        self.stack.callback(device.link.close)
        return device

    async def connect(self, member: Member | None = None) -> TlsDevice:
        device = self.device(member)
        await device.connect()
        return device

    @property
    def connections(self) -> object:
        return self.service.streams.counters()["connections"]


@pytest.fixture
async def library(authority: Authority, tmp_path: Path) -> AsyncIterator[Library]:
    async with AsyncExitStack() as stack:
        made = Library(authority, tmp_path, stack)
        made.swap()
        made.service.start()
        yield made
        await made.service.stop(0)


def request(attributes: bytes, identifier: int = 1, code: int = Code.ACCESS_REQUEST) -> bytes:
    return sign_request(code, identifier, bytes(range(16)), attributes, RADSEC)


class TestClients:
    async def test_client_of_the_registry_is_answered(self, library: Library) -> None:
        """Known by the name in its certificate, wherever it comes from (RFC 6614 §2.4)."""
        device = await library.connect()
        challenge = await device.ask(request(NAME + EAP))
        assert challenge.code == Code.ACCESS_CHALLENGE
        assert find(challenge, AttributeType.STATE) is not None
        status = await device.ask(request(b"", 0, Code.STATUS_SERVER))
        assert status.code == Code.ACCESS_ACCEPT

    async def test_neighbour_is_refused_in_the_handshake(self, library: Library) -> None:
        """A good certificate of the same authority is not yet one of somebody who may ask."""
        device = library.device(issue(library.authority, "radius.east.example"))
        device.link.start()
        await until(lambda: bool(library.service.streams.counters()["refused"]) and not device.link.is_up)
        assert library.connections == 0

    async def test_refusal_that_waits_goes_out_with_the_stop(self, library: Library) -> None:
        """Then the connection ends in order."""
        device = await library.connect()
        assert device.link.send(request(NAME))
        await until(lambda: library.service.counters()["refusals"] == {"no_credentials": 1})
        await library.service.stop(1)
        await until(lambda: bool(device.downs))
        assert [packet.code for packet in device.packets] == [Code.ACCESS_REJECT]

    async def test_over_radius_1_1_a_full_server_says_so(
        self, library: Library, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Protocol-Error instead of a no, so that the proxy may ask another server (RFC 9765 §6.1)."""

        def make_no_room(*_: object) -> bool:
            return False  # all that there are go on

        monkeypatch.setattr(Conversations, "_make_room", make_no_room)
        await self.check_error(library)
        assert library.service.counters()["refusals"] == {"sessions_full": 1}

    async def test_over_radius_1_1_a_client_with_too_many_pending_hears_so(self, library: Library) -> None:
        """Over RADIUS/1.0 it gets silence (RFC 9765 §6.1)."""
        library.service._replies.duplicates._max_pending = 0  # pyright: ignore[reportPrivateUsage] - a bound for the test
        await self.check_error(library)
        assert library.service.counters()["drops"] == {"queue_full": 1}

    async def test_over_radius_1_1_accounting_is_refused_aloud(self, library: Library) -> None:
        """No home server of ours takes it: Error-Cause 406 says so (RFC 9765 §6.1)."""
        await self.check_error(library, request(NAME, code=Code.ACCOUNTING_REQUEST), 406)
        assert library.service.counters()["drops"] == {"code_not_expected": 1}

    async def test_who_was_turned_away_does_not_wait(self, library: Library) -> None:
        """Its connection goes at once when its time has come, and not at the bound."""
        await self.check_error(library, request(NAME, code=Code.ACCOUNTING_REQUEST), 406)
        streams = library.service.streams
        streams.departures.begin(dict.fromkeys(streams.connections, 0.0), lambda: 0.0, monotonic())
        streams.look(monotonic(), time())
        await until(lambda: library.connections == 0)

    async def check_error(self, library: Library, octets: bytes = request(NAME + EAP), cause: int = 506) -> None:
        """A request over RADIUS/1.1 is answered with Protocol-Error, and that Error-Cause."""
        trust = Trust(library.authority.credentials(library.proxy), frozenset({RadiusVersion.V1_1}))
        device = TlsDevice(trust, library.port, name=HOME_NAME)
        library.stack.callback(device.link.close)
        await device.connect()
        travelling = ClientEdge(RADSEC, 7).send(0, octets)
        assert isinstance(travelling, bytes)
        answer = await device.ask(travelling)
        assert answer.code == Code.PROTOCOL_ERROR
        assert answer.value_of(AttributeType.ERROR_CAUSE) == cause.to_bytes(4)

    async def test_packet_that_nobody_can_follow_ends_the_connection(self, library: Library) -> None:
        """A wrong Message-Authenticator too: over TLS it is no accident of the network (RFC 6613 §2.6.4)."""
        device = await library.connect()
        assert device.link.send(tamper(request(NAME + EAP)))
        await until(lambda: bool(device.downs))
        assert library.service.counters()["drops"] == {"message_authenticator_wrong": 1}

    async def test_code_that_is_not_taken_costs_one_packet(self, library: Library) -> None:
        """The connection goes on."""
        device = await library.connect()
        assert device.link.send(request(NAME, code=Code.ACCOUNTING_REQUEST))
        assert (await device.ask(request(b"", 0, Code.STATUS_SERVER))).code == Code.ACCESS_ACCEPT
        assert library.service.counters()["drops"] == {"code_not_expected": 1}


def leave_registry(library: Library) -> None:
    library.swap(clients=())


def take_another_name(library: Library) -> None:
    library.swap(clients=(replace(PROXY, certificate_name="other.fed.example"),))


def be_revoked(library: Library) -> None:
    library.swap(revoked=frozenset((serial_of(library.proxy),)))


def lose_anchor(library: Library) -> None:
    library.swap(anchors=(Authority("another"),))


def lose_trust(library: Library) -> None:
    library.service.swap(library.snapshot(None))


CHANGES = (leave_registry, take_another_name, be_revoked, lose_anchor, lose_trust)


class TestJudging:
    @pytest.mark.parametrize("change", CHANGES)
    async def test_who_is_believed_no_more_is_cut_off(
        self, library: Library, change: Callable[[Library], None]
    ) -> None:
        """Left the registry, got another name, was revoked, lost its anchor; or we have nothing to show."""
        device = await library.connect()
        await until(lambda: library.connections == 1)
        change(library)
        await until(lambda: bool(device.downs))
        assert library.connections == 0

    @pytest.mark.parametrize("change", CHANGES)
    async def test_change_during_the_handshake_is_heeded(
        self, library: Library, change: Callable[[Library], None]
    ) -> None:
        """What a connection was judged by is not what holds when it is ready."""
        reader, writer = await asyncio.open_connection("127.0.0.1", library.port)
        tls = trust_of(library.authority, library.proxy).dial(lambda _: True)
        with pytest.raises(SSL.WantReadError):
            tls.do_handshake()
        writer.write(tls.bio_read(65_536))
        for _ in range(5):  # until this end is done, with its certificate not yet sent
            tls.bio_write(await reader.read(65_536))
            with suppress(SSL.WantReadError):
                tls.do_handshake()
                break
        change(library)
        writer.write(tls.bio_read(65_536))
        async with asyncio.timeout(10):
            while await reader.read(65_536):
                pass
        writer.close()
        assert (library.connections, library.service.streams.counters()["handshakes"]) == (0, 0)

    async def test_renewed_certificate_is_for_new_connections(self, library: Library) -> None:
        """What stands goes on, for some seconds."""
        first = await library.connect()
        library.swap(own=issue(library.authority, HOME_NAME))
        second = await library.connect()
        for device in (first, second):
            assert (await device.ask(request(b"", 0, Code.STATUS_SERVER))).code == Code.ACCESS_ACCEPT
        seen = {each.link.connection.identity for each in (first, second) if each.link.connection is not None}
        assert len(seen) == 2
        assert library.connections == 2

    async def test_renewed_certificate_is_met_by_all_within_the_bound(self, library: Library) -> None:
        """What is outstanding is answered, then the connection ends in order, and the proxy comes again by itself."""
        device = await library.connect()
        assert (await device.ask(request(NAME + EAP))).code == Code.ACCESS_CHALLENGE
        assert device.link.send(request(NAME, 2))  # its no comes after a while
        await until(lambda: library.service.counters()["refusals"] == {"no_credentials": 1})
        library.swap(own=issue(library.authority, HOME_NAME))
        library.service.streams.look(monotonic() + OF_AGE_SECONDS + TURNOVER_SECONDS - 5, time())
        assert device.downs == 0
        await until(lambda: len(device.packets) == 2)
        library.service.streams.look(monotonic() + OF_AGE_SECONDS + TURNOVER_SECONDS - 5, time())
        await until(lambda: device.downs == 1)
        await until(lambda: device.link.is_up)
        assert (await device.ask(request(b"", 0, Code.STATUS_SERVER))).code == Code.ACCESS_ACCEPT

    async def test_nothing_new_is_taken_shortly_before_the_bound(self, library: Library) -> None:
        """A login that could not be answered any more does not begin; the connection ends all the same."""
        device = await library.connect()
        assert device.link.send(request(NAME, 2))
        await until(lambda: library.service.counters()["refusals"] == {"no_credentials": 1})
        streams = library.service.streams
        began = monotonic() - TURNOVER_SECONDS + 0.7
        streams.departures.begin(dict.fromkeys(streams.connections, 0.0), lambda: 0.0, began)
        assert device.link.send(request(NAME + EAP, 3))
        await until(lambda: device.downs == 1)
        assert Code.ACCESS_CHALLENGE not in {packet.code for packet in device.packets}

    async def test_trust_that_can_not_be_used_changes_nothing(self, library: Library) -> None:
        """The snapshot is refused, with why, and the earlier one stays."""
        device = await library.connect()
        with pytest.raises(ValueError, match="PEM"):
            library.service.swap(library.snapshot(PeerTrust(b"", b"", b"")))
        library.swap()
        assert (await device.ask(request(b"", 0, Code.STATUS_SERVER))).code == Code.ACCESS_ACCEPT

    async def test_silence_after_the_handshake_ends(self, library: Library) -> None:
        """Deadlines hold here as at the proxy."""
        device = await library.connect()
        await until(lambda: library.connections == 1)
        library.service.streams.look(monotonic() + 31, time())
        await until(lambda: bool(device.downs))


class TestForeignAnchors:
    """A root of another authority stands for the libraries that it was taken in for, as at the proxy."""

    def swap(
        self, library: Library, foreign: Authority, libraries: set[str], **options: Any
    ) -> None:  # Any: its fields
        anchor = ForeignAnchor(foreign.pem, frozenset(libraries), **options)
        fingerprint = foreign.certificate.fingerprint(hashes.SHA256()).hex()
        trust = replace(peer_trust(library.authority, library.own), foreign_anchors={fingerprint: anchor})
        library.service.swap(library.snapshot(trust))

    def device(self, library: Library, foreign: Authority) -> TlsDevice:
        credentials = foreign.credentials(issue(foreign, PROXY_NAME), (library.authority,))
        device = TlsDevice(Trust(credentials, frozenset({RadiusVersion.V1_0})), library.port, name=HOME_NAME)
        library.stack.callback(device.link.close)
        device.link.start()
        return device

    async def test_its_library_is_let_in(self, library: Library) -> None:
        """A certificate of the other authority identifies a client of that library."""
        foreign = Authority("foreign")
        self.swap(library, foreign, {"west"})
        device = self.device(library, foreign)
        await until(lambda: device.link.is_up)
        assert (await device.ask(request(b"", 0, Code.STATUS_SERVER))).code == Code.ACCESS_ACCEPT

    async def test_nobody_else_is(self, library: Library) -> None:
        """Another library's name in its certificate opens nothing (CVE-2012-4523, CVE-2012-4566)."""
        foreign = Authority("foreign")
        self.swap(library, foreign, {"east"})
        device = self.device(library, foreign)
        await until(lambda: device.downs > 0)
        assert library.connections == 0

    async def test_list_that_runs_out_ends_what_stands(self, library: Library) -> None:
        """Where a list is required, its end ends the connections below it, and no snapshot has to say so."""
        foreign = Authority("foreign")
        issuers = frozenset({foreign.certificate.subject.public_bytes()})
        self.swap(library, foreign, {"west"}, requires_list=True, listed_issuers=issuers, listed_until=time() + 3.0)
        device = self.device(library, foreign)
        await until(lambda: device.link.is_up)
        await until(lambda: device.downs > 0)
        assert library.connections == 0


class TestWithoutTrust:
    async def test_nobody_is_taken(self, authority: Authority, tmp_path: Path) -> None:
        """A home server that was given no certificate does not speak RADIUS/TLS."""
        async with AsyncExitStack() as stack:
            library = Library(authority, tmp_path, stack)
            library.service.swap(library.snapshot(None))
            library.service.start()
            await asyncio.sleep(0)
            with socket.create_connection(("127.0.0.1", library.port), 1) as knocking:
                knocking.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    knocking.recv(1)
            await library.service.stop(0)
