"""What the proxy does about a next hop: idle checks, Protocol-Error, the hop counter, those that have left."""

import pytest

from federation.reasons import RefusalReason
from federation.snapshot import Realm
from radius.errors import DropReason
from radius.exchange.liveness import HopState
from radius.proxy.upstreams import choose_address
from radius.wire.authenticators import sign_response
from radius.wire.codes import AttributeType, Code
from radius.wire.packet import Packet, build_vendor_attribute
from tests.radius.proxy.world import (
    ACCESS_POINT,
    HOME,
    OTHER_PROXY,
    PROXY,
    PROXY_ADDRESS,
    UNAVAILABLE,
    World,
    access_request,
    eap,
    error_causes,
    home_server,
    make_snapshot,
    parse,
    respond,
)

HOP_VENDOR = 27262


def answer_check(octets: bytes) -> bytes:
    packet = parse(octets)
    return sign_response(Code.ACCESS_ACCEPT, packet.identifier, packet.authenticator, b"", HOME)


def log_in(world: World) -> None:
    world.send(access_request())
    flow, request = world.forward_one()
    world.answer(flow, respond(request))
    world.take_answers()


def hop_counters(packet: Packet) -> list[int]:
    octets = packet.octets
    return [
        int.from_bytes(octets[at + 8 : at + 12])
        for at in packet.vendor_specifics
        if octets[at + 2 : at + 6] == HOP_VENDOR.to_bytes(4)
    ]


class TestIdleChecks:
    def test_idle_home_server_is_asked_about_twice_a_minute(self) -> None:
        """One Status-Server in half a minute, after half a minute without a packet."""
        world = World(make_snapshot())
        log_in(world)
        world.run(26.0)
        assert world.take_forwarded() == []
        checks = 0
        for _ in range(240):
            world.run(1.0)
            for flow, octets in world.take_forwarded():
                assert octets[0] == Code.STATUS_SERVER
                world.answer(flow, answer_check(octets))
                checks += 1
        assert 6 <= checks <= 9
        assert world.engine.upstreams["home/1"].liveness.state is HopState.UP

    def test_busy_home_server_is_not_asked(self) -> None:
        """Its answers say that it lives."""
        world = World(make_snapshot())
        for _ in range(30):
            log_in(world)
            world.run(10.0)
            assert world.take_forwarded() == []

    def test_home_server_that_was_never_asked_anything_is_left_alone(self) -> None:
        """No port is opened to say hello."""
        world = World(make_snapshot(home_server("home/1"), home_server("home/2", "203.0.113.2")))
        log_in(world)
        world.run(300.0)
        assert {flow.host for flow in world.flows} == {"203.0.113.1"}

    def test_home_server_that_went_away_is_down_before_the_next_patron_comes(self) -> None:
        """It answered checks before and does not now: the next login goes to the other one at once."""
        world = World(make_snapshot(home_server("home/1"), home_server("home/2", "203.0.113.2")))
        log_in(world)
        for _ in range(70):
            world.run(1.0)
            for flow, octets in world.take_forwarded():
                world.answer(flow, answer_check(octets))
        world.run(60.0)  # silence
        assert world.engine.upstreams["home/1"].liveness.state is HopState.DOWN
        world.take_forwarded()
        world.send(access_request())
        flow, _ = world.forward_one()
        assert flow.host == "203.0.113.2"

    def test_home_server_that_does_not_know_status_server_stays_up(self) -> None:
        """It never answered a check, so that a missing answer says nothing."""
        world = World(make_snapshot())
        log_in(world)
        world.run(600.0)
        assert world.engine.upstreams["home/1"].liveness.state is HopState.UP

    def test_home_server_that_has_left_is_not_asked_any_more(self) -> None:
        """Its unanswered requests drain; no port is opened to it again."""
        world = World(make_snapshot())
        world.send(access_request())
        world.engine.swap(make_snapshot(home_server("home/2", "203.0.113.2"), revision=2))
        world.run(300.0)
        assert [(flow.host, flow.is_closed) for flow in world.flows] == [("203.0.113.1", True)]


class TestProtocolError:
    def test_another_home_server_is_asked(self) -> None:
        """RFC 7930 §4: the hop can not answer, and says so; the other one can."""
        world = World(make_snapshot(home_server("home/1"), home_server("home/2", "203.0.113.2")))
        world.send(access_request())
        flow, request = world.forward_one()
        world.answer(flow, respond(request, Code.PROTOCOL_ERROR, UNAVAILABLE))
        other, again = world.forward_one()
        assert other.host == "203.0.113.2"
        assert again.authenticator != request.authenticator
        world.answer(other, respond(again))
        assert [octets[0] for octets in world.take_answers()] == [Code.ACCESS_ACCEPT]
        assert world.engine.outstanding == 0

    def test_two_that_point_at_each_other_end_in_a_refusal(self) -> None:
        """A request is sent on once, not round and round."""
        world = World(make_snapshot(home_server("home/1"), home_server("home/2", "203.0.113.2")))
        world.send(access_request())
        for _ in range(2):
            flow, request = world.forward_one()
            world.answer(flow, respond(request, Code.PROTOCOL_ERROR, UNAVAILABLE))
        assert world.take_forwarded() == []
        (octets,) = world.take_answers()
        assert octets[0] == Code.ACCESS_REJECT
        assert error_causes(parse(octets)) == [502]
        assert world.notices.refusals[RefusalReason.HOP_ERROR] == 1
        assert world.notices.drops[DropReason.PROTOCOL_ERROR] == 2

    def test_forged_one_changes_nothing(self) -> None:
        """It has to be signed as every answer."""
        world = World(make_snapshot())
        world.send(access_request())
        flow, request = world.forward_one()
        world.answer(flow, respond(request, Code.PROTOCOL_ERROR, keyed=PROXY))
        assert world.take_answers() == []
        assert world.engine.outstanding == 1


class TestHopCounter:
    def test_request_gets_one(self) -> None:
        """A ring in which somebody takes all Proxy-States off ends by it."""
        world = World(make_snapshot())
        world.send(access_request())
        _, packet = world.forward_one()
        assert hop_counters(packet) == [20]

    def test_counter_that_is_there_is_counted_down_and_stays_the_only_one(self) -> None:
        """Radsecproxy's own attribute."""
        world = World(make_snapshot())
        counter = build_vendor_attribute(HOP_VENDOR, 1, (5).to_bytes(4))
        world.send(access_request(eap() + counter, keyed=PROXY), PROXY_ADDRESS)
        _, packet = world.forward_one()
        assert hop_counters(packet) == [4]

    def test_hosted_home_server_gets_none(self) -> None:
        """Behind it there is nobody."""
        world = World(make_snapshot(home_server("hosted/0", is_hosted=True)))
        world.send(access_request())
        _, packet = world.forward_one()
        assert AttributeType.VENDOR_SPECIFIC not in packet.types


class TestAddresses:
    @pytest.mark.parametrize(
        ("found", "current", "is_down", "chosen"),
        [
            (["192.0.2.1", "192.0.2.2"], None, True, "192.0.2.1"),
            (["192.0.2.1", "192.0.2.2"], "192.0.2.2", False, "192.0.2.2"),
            (["192.0.2.1", "192.0.2.2"], "192.0.2.1", True, "192.0.2.2"),
            (["192.0.2.1", "192.0.2.2"], "192.0.2.2", True, "192.0.2.1"),
            (["192.0.2.1"], "192.0.2.1", True, "192.0.2.1"),
            (["192.0.2.3"], "192.0.2.1", False, "192.0.2.3"),
            ([], "192.0.2.1", True, "192.0.2.1"),
            ([], None, True, None),
        ],
        ids=["first", "kept", "next", "round", "only", "moved", "no answer", "never"],
    )
    def test_name_with_several_addresses_leads_to_one_that_lives(
        self, found: list[str], current: str | None, *, is_down: bool, chosen: str | None
    ) -> None:
        """An address is kept while it holds and answers; when it is silent the next one has its turn."""
        assert choose_address(found, current, is_down=is_down) == chosen


class TestWayBack:
    def test_proxy_that_asks_gets_the_other_home_server(self) -> None:
        """A hop of the asking library is passed over while there is another."""
        snapshot = make_snapshot(
            home_server("other/1"),
            home_server("home/2", "203.0.113.2"),
            clients=(ACCESS_POINT, OTHER_PROXY),
            realms={"home.example": Realm("home.example", "home", ("other/1", "home/2"))},
        )
        world = World(snapshot)
        world.send(access_request(keyed=PROXY), PROXY_ADDRESS)
        flow, _ = world.forward_one()
        assert flow.host == "203.0.113.2"
