"""What clients get when a request can not be carried: a no, a Protocol-Error, or nothing (RFC 7930 §4)."""

from dataclasses import replace

import pytest

from federation.events import Outcome
from federation.reasons import RefusalReason
from federation.snapshot import Client, OnTimeout
from radius.proxy.clients import ClientState
from radius.proxy.replies import PROTOCOL_ERROR_CAUSES
from radius.wire.codes import AttributeType, Code
from radius.wire.packet import build_attribute
from tests.radius.proxy.world import (
    ACCESS_POINT,
    OTHER_PROXY,
    PROXY,
    PROXY_ADDRESS,
    World,
    access_request,
    eap,
    error_causes,
    is_signed,
    make_snapshot,
    parse,
)

AUTHENTICATOR = bytes(range(16))


def world_of(client: Client) -> World:
    return World(make_snapshot(clients=(client,)))


def ask(world: World, name: bytes = b"anna@home.example", number: int = 7) -> None:
    """A request of the proxy's, with a Proxy-State of its own."""
    body = eap() + build_attribute(AttributeType.PROXY_STATE, b"theirs")
    world.send(access_request(body, name=name, keyed=PROXY, identifier=number), PROXY_ADDRESS)


def codes_after_timeout(client: Client) -> list[int]:
    """What the client got to a request that nobody answered."""
    world = world_of(client)
    ask(world)
    world.run(25.0)
    return [octets[0] for octets in world.take_answers()]


class TestProtocolError:
    TAKER = replace(OTHER_PROXY, takes_protocol_errors=True)

    def test_says_why_and_to_what(self) -> None:
        """Error-Cause and Original-Packet-Code (241.4) are in it, Message-Authenticator first, Proxy-State back."""
        world = world_of(self.TAKER)
        ask(world, b"anna@nobody.org")
        (octets,) = world.take_answers()
        packet = parse(octets)
        assert packet.code == Code.PROTOCOL_ERROR
        assert is_signed(octets, PROXY, AUTHENTICATOR)
        assert error_causes(packet) == [502]
        assert packet.value_of(AttributeType.EXTENDED_1) == b"\x04\x00\x00\x00\x01"
        assert packet.value_of(AttributeType.PROXY_STATE) == b"theirs"
        assert not packet.value_of(AttributeType.EAP_MESSAGE)
        assert world.notices.refusals == {RefusalReason.UNROUTABLE: 1}
        assert world.notices.answers == {"protocol_error": 1}

    def test_is_no_refusal_of_the_patron(self) -> None:
        """Statistics and F-Ticks count nobody as rejected: somebody else may answer yet."""
        world = world_of(self.TAKER)
        ask(world, b"anna@nobody.org")
        (event,) = world.events
        assert (event.outcome, event.reason) == (Outcome.UNANSWERED, RefusalReason.UNROUTABLE)

    def test_a_no_is_still_an_access_reject(self) -> None:
        """What the name or the policy forbids is forbidden everywhere."""
        world = world_of(self.TAKER)
        ask(world, b"anna@@home.example")
        assert [octets[0] for octets in world.take_answers()] == [Code.ACCESS_REJECT]

    def test_client_that_did_not_ask_for_it_gets_none(self) -> None:
        """Most implementations do not know the code, and drop it."""
        world = world_of(OTHER_PROXY)
        ask(world, b"anna@nobody.org")
        assert [octets[0] for octets in world.take_answers()] == [Code.ACCESS_REJECT]

    def test_every_cause_is_of_the_way(self) -> None:
        """No reason that the device or its library is to blame for is among them."""
        assert RefusalReason.REFUSED_BY_HOME not in PROTOCOL_ERROR_CAUSES
        assert RefusalReason.EAP_MALFORMED not in PROTOCOL_ERROR_CAUSES
        assert set(PROTOCOL_ERROR_CAUSES.values()) <= {502, 505, 506}


class TestOnTimeout:
    @pytest.mark.parametrize(
        ("policy", "takes", "code"),
        [
            (OnTimeout.AUTO, False, []),
            (OnTimeout.AUTO, True, [Code.PROTOCOL_ERROR]),
            (OnTimeout.REJECT, False, [Code.ACCESS_REJECT]),
            (OnTimeout.REJECT, True, [Code.ACCESS_REJECT]),
            (OnTimeout.DROP, True, []),
            (OnTimeout.PROTOCOL_ERROR, True, [Code.PROTOCOL_ERROR]),
        ],
    )
    def test_proxy_gets_what_its_policy_says(self, policy: OnTimeout, *, takes: bool, code: list[int]) -> None:
        """Without one it gets a Protocol-Error if it takes that, else silence: it may know another way."""
        assert codes_after_timeout(replace(OTHER_PROXY, on_timeout=policy, takes_protocol_errors=takes)) == code

    @pytest.mark.parametrize(("policy", "is_silent"), [(OnTimeout.AUTO, False), (OnTimeout.DROP, True)])
    def test_access_point_gets_a_no_unless_it_is_told_otherwise(self, policy: OnTimeout, *, is_silent: bool) -> None:
        """Its patron waits, and there is no other way."""
        state = ClientState(replace(ACCESS_POINT, on_timeout=policy))
        assert state.hears_nothing(is_realm_silent=False) is is_silent

    def test_proxy_gets_a_no_once_the_realm_is_known_to_be_silent(self) -> None:
        """One slow login is no final no, but endless silence would make it believe that this proxy is dead."""
        world = world_of(OTHER_PROXY)
        got: list[int] = []
        for number in range(30):
            ask(world, number=number)
            world.run(1.0)
            got += [octets[0] for octets in world.take_answers()]
        assert got
        assert set(got) == {Code.ACCESS_REJECT}
        assert ClientState(OTHER_PROXY).hears_nothing(is_realm_silent=False)
        assert not ClientState(OTHER_PROXY).hears_nothing(is_realm_silent=True)
