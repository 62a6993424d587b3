import socket
from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import partial

import pytest

from federation.reasons import RefusalReason
from radius.errors import DropReason
from radius.exchange.duplicates import PENDING_SECONDS
from radius.home.clients import Peer
from radius.home.replies import MAX_QUIET, REJECT_DELAY_SECONDS, Replies, Request
from radius.wire.attributes import concatenate
from radius.wire.authenticators import KeyedSecret, sign_request
from radius.wire.codes import AttributeType, Code
from radius.wire.packet import Packet, build_attribute, parse_packet

KEYED = KeyedSecret(b"secret of the access point")
PEER = Peer("west/hal", KEYED)


@dataclass
class Wire:
    """A listener, and an access point that hears what it sends."""

    replies: Replies
    listener: socket.socket
    access_point: socket.socket

    def request(self, identifier: int = 1, attributes: bytes = b"", eap: bytes = b"") -> Request:
        """A request that has just come and is no repeat."""
        packet = parse_packet(sign_request(Code.ACCESS_REQUEST, identifier, bytes(16), attributes, KEYED))
        assert isinstance(packet, Packet)
        key = ("west/hal", packet.code, identifier)
        send = partial(self.replies.send_datagram, self.listener, self.access_point.getsockname())
        self.replies.duplicates.receive(key, packet.authenticator, PEER.key, 0.0)
        return Request(packet, PEER, send, key, eap, 0.0)

    def heard(self) -> Packet | None:
        """What came by now, if anything."""
        try:
            packet = parse_packet(self.access_point.recv(4096))
        except BlockingIOError:
            return None
        assert isinstance(packet, Packet)
        return packet


@pytest.fixture
def wire() -> Generator[Wire]:
    """Two sockets on loopback."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as access_point,
    ):
        for each in (listener, access_point):
            each.bind(("127.0.0.1", 0))
            each.setblocking(False)
        yield Wire(Replies(lambda: 0.5), listener, access_point)


class TestRefuse:
    async def test_it_waits_and_can_be_hurried(self, wire: Wire) -> None:
        """A refusal takes about a second, but a stop does not wait for it."""
        wire.replies.refuse(wire.request(eap=b"\x02\x07\x00\x05\x01"), RefusalReason.NO_CREDENTIALS)
        assert wire.heard() is None
        assert REJECT_DELAY_SECONDS >= 1
        wire.replies.flush()
        packet = wire.heard()
        assert packet is not None
        assert (packet.code, concatenate(packet, AttributeType.EAP_MESSAGE)) == (
            Code.ACCESS_REJECT,
            b"\x04\x07\x00\x04",
        )
        wire.replies.flush()
        assert wire.heard() is None
        assert wire.replies.counters()["refusals"] == {"no_credentials": 1}

    async def test_client_that_moved_on_gets_nothing(self, wire: Wire) -> None:
        """The answer to a request that was replaced is for nobody (RFC 5080 §2.2.2)."""
        request = wire.request()
        wire.replies.refuse(request, RefusalReason.NO_CREDENTIALS)
        wire.replies.duplicates.receive(request.key, b"another authentic", PEER.key, 0.0)
        wire.replies.flush()
        assert wire.heard() is None


class TestAnswer:
    async def test_request_full_of_proxy_state_has_none(self, wire: Wire) -> None:
        """All of them would have to come back; there is no room for anything else."""
        request = wire.request(
            attributes=build_attribute(AttributeType.PROXY_STATE, bytes(253)) * 15 + b"\x21\xe0" + bytes(222)
        )
        wire.replies.answer(request, Code.ACCESS_CHALLENGE, build_attribute(AttributeType.STATE, bytes(16)))
        assert wire.heard() is None
        assert wire.replies.counters()["drops"] == {"too_many_attributes": 1}

    async def test_ignored_request_may_come_again(self, wire: Wire) -> None:
        """Nothing is sent, and its repeat is a new one."""
        request = wire.request()
        wire.replies.ignore(request)
        wire.replies.answer(wire.request(), Code.ACCESS_CHALLENGE, b"")
        assert wire.heard() is not None

    async def test_network_that_does_not_take_it_is_counted(self, wire: Wire) -> None:
        """As if it had been lost on the way; nothing is raised."""
        request = wire.request()
        wire.listener.close()
        wire.replies.answer(request, Code.ACCESS_CHALLENGE, b"")
        assert wire.replies.counters()["drops"] == {"not_sent": 1}


class TestTell:
    def test_flood_is_one_line(self, caplog: pytest.LogCaptureFixture) -> None:
        """One a minute for each peer and reason; forged addresses do not fill the memory."""
        replies = Replies(lambda: 0.5)
        for _ in range(1000):
            replies.drop(DropReason.TOO_SHORT, "192.0.2.7")
        replies.drop(DropReason.TOO_SHORT, "192.0.2.8")
        replies.tell("request_refused", RefusalReason.SESSION_UNKNOWN, "192.0.2.7")
        assert [record.message for record in caplog.records] == ["packet_dropped", "packet_dropped", "request_refused"]
        for number in range(MAX_QUIET + 10):
            replies.tell("packet_dropped", DropReason.UNKNOWN_CLIENT, str(number))
        assert len(getattr(replies, "_quiet_until")) <= MAX_QUIET  # noqa: B009 - private


class TestRadius11:
    @pytest.mark.parametrize(
        "reason", [RefusalReason.SESSIONS_FULL, RefusalReason.STORE_UNAVAILABLE, RefusalReason.STORE_TIMEOUT]
    )
    async def test_what_can_not_be_processed_is_no_refusal(self, wire: Wire, reason: RefusalReason) -> None:
        """At once a Protocol-Error with Error-Cause 506, since no other value says why (RFC 9765 §6.1)."""
        wire.replies.refuse(replace(wire.request(), requires_errors=True), reason)
        packet = wire.heard()
        assert packet is not None
        assert packet.code == Code.PROTOCOL_ERROR
        assert packet.value_of(AttributeType.ERROR_CAUSE) == (506).to_bytes(4)

    async def test_a_no_stays_an_access_reject_that_waits(self, wire: Wire) -> None:
        """A wrong password was processed."""
        wire.replies.refuse(replace(wire.request(), requires_errors=True), RefusalReason.WRONG_CREDENTIALS)
        assert wire.heard() is None
        wire.replies.flush()
        packet = wire.heard()
        assert packet is not None
        assert packet.code == Code.ACCESS_REJECT


class TestTimer:
    async def test_old_answers_are_forgotten_in_portions(self, wire: Wire) -> None:
        """Who asks for the timer is told while there are more, and each time there are fewer."""
        for identifier in range(40):
            wire.replies.duplicates.receive(identifier, bytes(16), PEER.key, 0.0)
        left = [len(wire.replies.duplicates)]
        while wire.replies.on_timer(PENDING_SECONDS + 1):
            left.append(len(wire.replies.duplicates))
            assert len(left) < 100
        assert len(left) > 2
        assert left == sorted(set(left), reverse=True)
        assert len(wire.replies.duplicates) == 0
