"""What clients get when a request can not be carried: a no, a Protocol-Error, or nothing (RFC 7930 §4)."""

from dataclasses import replace

import pytest

from federation.events import Outcome
from federation.reasons import RefusalReason
from federation.snapshot import Client, OnTimeout
from radius.proxy.clients import ClientState
from radius.proxy.replies import PROTOCOL_ERROR_CAUSES, report_error
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
    home_server,
    is_signed,
    make_snapshot,
    parse,
    respond,
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


class TestRadius11:
    """Over RADIUS/1.1 nobody has to say that it takes Protocol-Error: all do (RFC 9765 §6.1)."""

    @pytest.fixture
    def world(self) -> World:
        made = world_of(OTHER_PROXY)
        made.listener.requires_errors = True
        return made

    def test_what_can_not_be_forwarded_is_answered_with_it(self, world: World) -> None:
        """Without a setting, and with 502 where there is no route (RFC 9765 §6.1)."""
        ask(world, b"anna@nobody.org")
        (octets,) = world.take_answers()
        assert (octets[0], error_causes(parse(octets))) == (Code.PROTOCOL_ERROR, [502])

    def test_silent_home_server_is_told_of(self, world: World) -> None:
        """Where a proxy over RADIUS/1.0 would be left in silence; with 505, as of two a proxy may say (§6.1)."""
        ask(world)
        world.run(25.0)
        (octets,) = world.take_answers()
        assert (octets[0], error_causes(parse(octets))) == (Code.PROTOCOL_ERROR, [505])

    def test_proxy_never_says_that_resources_are_missing(self) -> None:
        """506 is a home server's: who hears 502 or 505 knows that the fault is on the way (§6.1)."""
        packet = parse(access_request())
        for reason in PROTOCOL_ERROR_CAUSES:
            octets = report_error(packet, PROXY, reason, requires_errors=True)
            assert octets is not None
            assert set(error_causes(parse(octets))) <= {502, 505}

    def test_a_no_is_still_an_access_reject(self, world: World) -> None:
        """The name may not travel: that was processed."""
        ask(world, b"anna@@home.example")
        assert [octets[0] for octets in world.take_answers()] == [Code.ACCESS_REJECT]

    def test_operator_s_word_goes_before(self) -> None:
        """A client for which `on_timeout` was set gets that."""
        world = world_of(replace(OTHER_PROXY, on_timeout=OnTimeout.REJECT))
        world.listener.requires_errors = True
        ask(world)
        world.run(25.0)
        assert [octets[0] for octets in world.take_answers()] == [Code.ACCESS_REJECT]

    def test_client_with_too_many_pending_is_told(self, world: World) -> None:
        """Over UDP it gets silence."""
        world.engine.duplicates._max_pending = 1  # pyright: ignore[reportPrivateUsage] - a small bound for the test
        ask(world)
        ask(world, number=8)
        (octets,) = world.take_answers()
        assert (octets[:2], error_causes(parse(octets))) == (bytes((Code.PROTOCOL_ERROR, 8)), [505])


class TestNextHopSaysProtocolError:
    @pytest.mark.parametrize("cause", [401, 404, 405])
    def test_what_is_not_of_the_way_is_for_who_asked(self, cause: int) -> None:
        """Another home server would say the same; the client hears the cause (RFC 9765 §6.1)."""
        servers = (home_server("home/1"), home_server("home/2", "203.0.113.2"))
        world = World(make_snapshot(*servers, clients=(TestProtocolError.TAKER,)))
        ask(world)
        flow, request = world.forward_one()
        value = build_attribute(AttributeType.ERROR_CAUSE, cause.to_bytes(4))
        world.answer(flow, respond(request, Code.PROTOCOL_ERROR, value))
        assert world.take_forwarded() == []
        (octets,) = world.take_answers()
        assert (octets[0], error_causes(parse(octets))) == (Code.PROTOCOL_ERROR, [cause])
        assert is_signed(octets, PROXY, AUTHENTICATOR)

    @pytest.mark.parametrize("cause", [502, 505, 506])
    def test_what_is_of_the_way_leads_to_another_home_server(self, cause: int) -> None:
        """It may know a way, or have room (RFC 9765 §6.1)."""
        world = World(make_snapshot(home_server("home/1"), home_server("home/2", "203.0.113.2")))
        world.send(access_request())
        flow, request = world.forward_one()
        value = build_attribute(AttributeType.ERROR_CAUSE, cause.to_bytes(4))
        world.answer(flow, respond(request, Code.PROTOCOL_ERROR, value))
        other, _ = world.forward_one()
        assert other.host != flow.host

    @pytest.mark.parametrize("values", [[], [b"\0\0\1"], [bytes(4), bytes(4)], [b"\0\0\1\x91"] * 2], ids=str)
    def test_without_a_cause_it_is_for_who_asked(self, values: list[bytes]) -> None:
        """It goes back as it came, and nobody else is asked (RFC 9765 §6.1). Several causes, or a broken one: none."""
        servers = (home_server("home/1"), home_server("home/2", "203.0.113.2"))
        world = World(make_snapshot(*servers, clients=(TestProtocolError.TAKER,)))
        ask(world)
        flow, request = world.forward_one()
        body = b"".join(build_attribute(AttributeType.ERROR_CAUSE, value) for value in values)
        world.answer(flow, respond(request, Code.PROTOCOL_ERROR, body))
        assert world.take_forwarded() == []
        (octets,) = world.take_answers()
        assert (octets[0], error_causes(parse(octets))) == (Code.PROTOCOL_ERROR, [])
        assert is_signed(octets, PROXY, AUTHENTICATOR)
