"""The home server's second entrance: packets of a known client, whose answers go back over its connection."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from federation.snapshot import EapServerCredentials, Federation, HomeSnapshot, HostedRealm
from radius.errors import DropReason
from radius.home.clients import Peer
from radius.home.service import HomeService
from radius.wire.attributes import find
from radius.wire.authenticators import KeyedSecret, decide_response_authenticity, sign_request
from radius.wire.codes import AttributeType, Code
from radius.wire.packet import Packet, build_attribute, build_fragments, parse_packet
from tests.radius.home.nobody import NoPatrons
from tests.support.certificates import make_server_certificate

RADSEC = KeyedSecret(b"radsec")
PROXY = Peer("west/federation", RADSEC, is_proxy=True)
OTHER = Peer("west/other", RADSEC, is_proxy=True)
NAME = build_attribute(AttributeType.USER_NAME, b"anonymous@west.example")
EAP = build_fragments(AttributeType.EAP_MESSAGE, b"\x02\x01\x00\x1b\x01anonymous@west.example")
NOW = 1000.0


@dataclass
class Connection:
    """What a connection's other end gets."""

    service: HomeService
    number: int = 1
    peer: Peer = PROXY
    answers: list[Packet] = field(default_factory=list[Packet])

    def receive(self, octets: bytes) -> DropReason | None:
        return self.service.receive(octets, self.peer, ("tls", self.number), self.keep, NOW)

    def ask(self, attributes: bytes, code: int = Code.ACCESS_REQUEST, identifier: int = 1) -> DropReason | None:
        return self.receive(sign_request(code, identifier, bytes(16), attributes, RADSEC))

    def keep(self, octets: bytes) -> None:
        packet = parse_packet(octets)
        assert isinstance(packet, Packet)
        assert decide_response_authenticity(packet, RADSEC, bytes(16), requires_message_authenticator=True) is None
        self.answers.append(packet)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncGenerator[HomeService]:
    """A home server without a socket."""
    certificate = make_server_certificate(tmp_path, "login.test.example")
    home = HomeService([], {"local": NoPatrons()}, alias_key=b"k" * 32, jitter=lambda: 0.5)
    home.swap(
        HomeSnapshot(
            1,
            Federation("test", "NL", "login.test.example"),
            {"west.example": HostedRealm("west.example", "west", "local")},
            EapServerCredentials(certificate.certificate.read_bytes(), certificate.key.read_bytes()),
        )
    )
    home.start()
    yield home
    await home.stop(1)


class TestConnections:
    async def test_answer_goes_back_over_the_connection(self, service: HomeService) -> None:
        """At once where there is nothing to wait for; a repeat gets the same octets."""
        connection = Connection(service)
        assert connection.ask(NAME + EAP) is None
        assert connection.ask(NAME + EAP) is None
        first, second = connection.answers
        assert first.code == Code.ACCESS_CHALLENGE
        assert first.octets == second.octets

    async def test_connection_is_checked_with_status_server(self, service: HomeService) -> None:
        """As any other (RFC 5997 §4.2)."""
        connection = Connection(service)
        assert connection.ask(b"", Code.STATUS_SERVER, 0) is None
        assert [each.code for each in connection.answers] == [Code.ACCESS_ACCEPT]

    async def test_refusal_waits_and_goes_back_too(self, service: HomeService) -> None:
        """It comes when its second is over, or when the service stops."""
        connection = Connection(service)
        assert connection.ask(NAME) is None
        assert not connection.answers
        await service.stop(0)
        assert [each.code for each in connection.answers] == [Code.ACCESS_REJECT]

    async def test_two_connections_do_not_meet(self, service: HomeService) -> None:
        """The same identifier and authenticator on another connection is another request."""
        one, two = Connection(service, 1), Connection(service, 2)
        for each in (one, two):
            assert each.ask(NAME + EAP) is None
        states = {find(each.answers[0], AttributeType.STATE) for each in (one, two)}
        assert len(states) == 2

    async def test_another_client_does_not_join_a_conversation(self, service: HomeService) -> None:
        """Though both have the secret that all of RADIUS/TLS has (RFC 6614 §2.3)."""
        one, two = Connection(service, 1), Connection(service, 2, OTHER)
        one.ask(NAME + EAP)
        state = find(one.answers[0], AttributeType.STATE)
        assert state is not None
        two.ask(NAME + EAP + build_attribute(AttributeType.STATE, state))
        assert service.counters()["refusals"] == {"session_unknown": 1}

    @pytest.mark.parametrize(
        ("octets", "reason"),
        [
            (b"", DropReason.TOO_SHORT),
            (sign_request(1, 1, bytes(16), NAME, RADSEC)[:-1], DropReason.LENGTH_FIELD),
            (sign_request(1, 1, bytes(16), NAME, KeyedSecret(b"x")), DropReason.MESSAGE_AUTHENTICATOR_WRONG),
            (sign_request(4, 1, bytes(16), NAME, RADSEC), DropReason.CODE_NOT_EXPECTED),
        ],
    )
    async def test_listener_is_told_what_is_wrong(
        self, service: HomeService, octets: bytes, reason: DropReason
    ) -> None:
        """It knows which faults end a connection; each is counted."""
        connection = Connection(service)
        assert connection.receive(octets) is reason
        assert not connection.answers
        assert service.counters()["drops"] == {reason.value: 1}

    async def test_bug_costs_one_packet(self, service: HomeService) -> None:
        """A way back that breaks is no reason to lose the connection's other packets."""
        connection = Connection(service)

        def fail(_octets: bytes) -> None:
            raise RuntimeError("a bug")

        octets = sign_request(Code.STATUS_SERVER, 0, bytes(16), b"", RADSEC)
        assert service.receive(octets, PROXY, ("tls", 1), fail, NOW) is DropReason.INTERNAL_ERROR
        assert connection.ask(b"", Code.STATUS_SERVER, 3) is None
        await asyncio.sleep(0)
        assert len(connection.answers) == 1

    async def test_before_the_first_snapshot_nothing_is_answered(self) -> None:
        """There is nothing to answer with."""
        home = HomeService([], {}, alias_key=b"k" * 32)
        assert Connection(home).ask(NAME + EAP) is DropReason.NOT_READY
