"""One library, client or device does not hurt another."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from federation.reasons import RefusalReason
from federation.snapshot import Realm, Snapshot
from radius.exchange.bulkheads import MAX_OUTSTANDING_PER_SILENT_REALM
from radius.proxy.forwarding import DUE_AT_ONCE
from radius.proxy.ports import Flow
from radius.wire.codes import AttributeType, Code
from radius.wire.packet import build_attribute
from tests.radius.proxy.world import FakeFlow, World, access_request, eap, home_server, make_snapshot, parse, respond


def two_libraries(*, second_server: bool = False) -> World:
    """One library that will be silent, and one that answers."""
    servers = [home_server("silent/1", "203.0.113.9"), home_server("home/1")]
    if second_server:
        servers.append(home_server("silent/2", "203.0.113.8"))
    return World(
        make_snapshot(
            *servers,
            realms={
                "silent.example": Realm(
                    "silent.example", "silent", ("silent/1", "silent/2") if second_server else ("silent/1",)
                ),
                "home.example": Realm("home.example", "home", ("home/1",)),
            },
        )
    )


def one_library() -> Snapshot:
    """A library that answers."""
    return make_snapshot(home_server("home/1"), realms={"home.example": Realm("home.example", "home", ("home/1",))})


def ask_silent(world: World, number: int) -> None:
    """A request for the silent library, from a port of its own."""
    datagram = access_request(name=b"anna@silent.example", authenticator=number.to_bytes(16))
    world.send(datagram, ("192.0.2.1", 2000 + number))


def silence(world: World, seconds: int = 30) -> None:
    """So many seconds, in each of which the silent library is asked once."""
    for number in range(seconds):
        ask_silent(world, number)
        world.run(1.0)
    world.take_forwarded()
    world.take_answers()


class TestBreaker:
    """A silent library."""

    def test_is_refused_at_once(self) -> None:
        """Its patrons need not wait, and the reason says why."""
        world = two_libraries()
        silence(world)
        before = world.engine.notices.refusals[RefusalReason.REALM_UNAVAILABLE]
        for number in range(100, 105):
            ask_silent(world, number)
        assert world.engine.notices.refusals[RefusalReason.REALM_UNAVAILABLE] >= before + 4
        assert len(world.take_answers()) >= 4

    def test_leaves_the_others_alone(self) -> None:
        """A patron of another library is asked about and let in."""
        world = two_libraries()
        silence(world)
        world.send(access_request(), ("192.0.2.2", 1))
        forwarded = [pair for pair in world.take_forwarded() if pair[0].host != "203.0.113.9"]
        flow, octets = forwarded[0]
        world.answer(flow, respond(parse(octets)))
        assert len(world.take_answers()) == 1

    def test_is_asked_elsewhere_when_it_has_another_server(self) -> None:
        """The next home server of the realm takes over."""
        world = two_libraries(second_server=True)
        silence(world, 15)
        ask_silent(world, 200)
        assert [flow.host for flow, _ in world.take_forwarded()][-1] == "203.0.113.8"


class TestSilentRealm:
    """A library from which nothing has come for some requests in a row, long before its breaker opens."""

    def test_has_few_requests_outstanding(self) -> None:
        """One source port's worth waits; many silent libraries behind one hop leave its identifiers to the others."""
        world = two_libraries()
        for number in range(20):
            ask_silent(world, number)
        world.run(5.0)  # the first repeats, and more than a hiccup
        for number in range(20, 400):
            ask_silent(world, number)
        assert world.engine.upstreams["silent/1"].identifiers.outstanding == MAX_OUTSTANDING_PER_SILENT_REALM
        assert world.engine.notices.refusals == {RefusalReason.REALM_OVERLOAD: 400 - MAX_OUTSTANDING_PER_SILENT_REALM}

    def test_is_sent_few_repeats(self) -> None:
        """What nobody answers is not sent five times over, and what comes is heard at once."""
        world = two_libraries()
        for number in range(1000):
            ask_silent(world, number)
        assert len(world.take_requests()) == 1000
        world.run(10.0)
        repeats = world.take_requests()
        assert 1000 < len(repeats) < 1100  # once all of them, then a trickle that finds out when it is back
        flow, octets = repeats[-1]
        world.answer(flow, respond(parse(octets)))
        assert len(world.take_answers()) == 1

    def test_hop_that_answers_others_is_not_suspected(self) -> None:
        """A realm that is silent, or answers late, says nothing about the server behind which it stands."""
        world = World(
            make_snapshot(
                home_server("home/1"),
                realms={name: Realm(name, "home", ("home/1",)) for name in ("silent.example", "home.example")},
            )
        )
        for number in range(30):
            ask_silent(world, number)
            world.send(access_request(authenticator=number.to_bytes(16)), ("192.0.2.2", 2000 + number))
            for flow, octets in world.take_requests():
                packet = parse(octets)
                if packet.value_of(AttributeType.USER_NAME).endswith(b"home.example"):
                    world.answer(flow, respond(packet))
            world.run(1.0)
        assert [fields for event, fields in world.lines if event == "home_server_state"] == []

    def test_hop_that_answers_checks_is_asked_now_and_then(self) -> None:
        """However many requests go unanswered: each would be a Status-Server and two lines in the log else."""
        world = two_libraries()
        checks = 0
        for number in range(3000):  # 150 a second, for 20 seconds
            ask_silent(world, number)
            world.run(1 / 150)
            for flow, octets in world.take_forwarded():
                if octets[0] == Code.STATUS_SERVER:
                    checks += 1
                    world.answer(flow, respond(parse(octets)))
        assert 2 <= checks <= 10  # the least time between two repeats is 2 seconds
        lines = [fields["state"] for event, fields in world.lines if event == "home_server_state"]
        assert lines == ["suspect", "up"]  # and no more for a minute

    def test_timer_is_met_in_portions(self) -> None:
        """A thousand deadlines of one moment do not hold up what comes meanwhile."""
        world = two_libraries()
        for number in range(100):
            ask_silent(world, number)
        world.take_requests()
        portions: list[int] = []
        while world.now < 1003.0:
            world.now = max(world.now, world.engine.next_timer() or 0.0)
            world.engine.on_timer(world.now)
            portions.append(world.engine.upstreams["silent/1"].timeouts + len(world.take_requests()))
        assert max(portions) <= DUE_AT_ONCE


class TestWhoVariesWhatItSends:
    """Nobody gets round a bound by writing the same thing in another way, and nobody leaves anything behind."""

    NAMES = (b"anna@silent.example", b"anna@SILENT.example", b"bert@Silent.Example", b"anna@branch.silent.example")

    def ask(self, world: World, number: int) -> None:
        """One of the ways to name the silent library, from a device that nobody has seen."""
        body = eap() + build_attribute(AttributeType.CALLING_STATION_ID, number.to_bytes(6).hex().encode())
        name = self.NAMES[number % len(self.NAMES)]
        datagram = access_request(body, name=name, authenticator=number.to_bytes(16))
        world.send(datagram, ("192.0.2.1", 2000 + number))

    def world(self) -> World:
        """The silent library answers for its sub-realms, too."""
        made = two_libraries()
        assert made.engine.routes is not None
        snapshot = made.engine.routes.snapshot
        silent = snapshot.realms["silent.example"]._replace(includes_subrealms=True)
        made.engine.swap(replace(snapshot, realms={**snapshot.realms, "silent.example": silent}))
        return made

    def test_capitals_and_sub_realms_meet_the_same_breaker(self) -> None:
        """The library is silent, however its realm is written and whichever of its realms it is."""
        world = self.world()
        for number in range(30):
            self.ask(world, number)
            world.run(1.0)
        assert list(world.engine.protection.breakers.open) == [("silent.example", "silent/1")]
        before = world.engine.notices.refusals[RefusalReason.REALM_UNAVAILABLE]
        for number in range(100, 108):
            self.ask(world, number)
        assert world.engine.notices.refusals[RefusalReason.REALM_UNAVAILABLE] >= before + 7

    def test_capitals_and_sub_realms_share_one_bound(self) -> None:
        """Of the identifiers towards the hop they have no more than one realm has."""
        world = self.world()
        for number in range(20):
            self.ask(world, number)
        world.run(5.0)
        for number in range(20, 400):
            self.ask(world, number)
        assert world.engine.upstreams["silent/1"].identifiers.outstanding == MAX_OUTSTANDING_PER_SILENT_REALM

    def test_nothing_is_left_when_it_is_over(self) -> None:
        """A minute after a thousand requests that nobody answered, what counted them is empty."""
        world = self.world()
        for number in range(1000):
            self.ask(world, number)
        world.run(60.0)
        engine = world.engine
        assert (engine.outstanding, len(engine.duplicates), len(engine.protection.rejections)) == (0, 0, 0)
        bulkheads = (engine.protection.realms, engine.protection.clients)
        assert [each.count_of(name) for each in bulkheads for name in ("silent.example", "visited/ap")] == [0] * 4


class TestRejections:
    """A device with an old password."""

    def test_costs_its_home_server_one_question_in_an_interval(self) -> None:
        """After three refusals in a row the rest is answered here."""
        world = two_libraries()
        questions = 0
        for number in range(30):
            body = eap() + build_attribute(AttributeType.CALLING_STATION_ID, b"02-00-00-00-00-01")
            world.send(access_request(body, authenticator=number.to_bytes(16)), ("192.0.2.1", 3000 + number))
            for flow, octets in world.take_forwarded():
                questions += 1
                world.answer(flow, respond(parse(octets), code=Code.ACCESS_REJECT))
            world.run(1.0)
        assert questions == 3
        assert world.engine.notices.refusals[RefusalReason.REPEATED_REJECTS] == 27


class FaultyWorld(World):
    """A world in which the first port can not be opened, in a way that nobody thought of."""

    is_broken = True

    def _open(self, host: str, port: int, receive: Callable[[Flow, bytes, float], object], /) -> FakeFlow | None:
        if self.is_broken:
            self.is_broken = False
            raise RuntimeError("a bug")
        return super()._open(host, port, receive)


class TestFaults:
    """A bug of ours."""

    def test_does_not_hold_the_request(self) -> None:
        """Its repeat is a new request, and goes on."""
        world = FaultyWorld(one_library())
        with pytest.raises(RuntimeError):
            world.send(access_request())
        world.send(access_request())
        assert len(world.take_forwarded()) == 1


class TestPosture:
    """Where Message-Authenticator stands."""

    def test_is_counted_for_each_client(self) -> None:
        """Without it the request is dropped, and counted too."""
        world = World(one_library())
        world.send(access_request())
        client = world.engine.clients.find("192.0.2.1")
        assert client is not None
        assert client.counters()["message_authenticator_first"] == client.signed_first
        assert client.signed_first + client.signed_later == 1
        assert client.unsigned == 0
