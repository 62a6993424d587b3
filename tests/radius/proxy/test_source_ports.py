"""A source port of which nothing is heard any more, while its home server lives."""

from itertools import count

import pytest

from federation.snapshot import Realm
from radius.exchange.liveness import HopState
from radius.wire.codes import Code
from tests.radius.proxy.test_next_hops import answer_check
from tests.radius.proxy.world import FakeFlow, World, access_request, home_server, make_snapshot, parse, respond

REALMS = {name: Realm(name, "home", ("home/1",)) for name in ("home.example", "silent.example")}
A_SECOND = 200  # requests of a busy realm: it goes through the identifiers of both ports in 2.5 s


class Busy:
    """A proxy whose home server is asked through two source ports."""

    def __init__(self) -> None:
        self.world = World(make_snapshot(realms=REALMS))
        self.lost: set[int] = set()  # ports from which nothing gets through, by their place
        self.silent = b"@silent.example"  # whose realm is not answered
        self._numbers = count()
        self.answered = 0
        for _ in range(256):
            self.ask()
        for flow, octets in self.world.take_requests():  # a burst has opened the second
            self.world.answer(flow, respond(parse(octets)))
        assert len(self.world.flows) == 2
        self.world.take_answers()

    def ask(self, name: bytes = b"anonymous@home.example") -> None:
        number = next(self._numbers)
        source = ("192.0.2.1", 1000 + number // 256)
        self.world.send(access_request(name=name, identifier=number % 256, authenticator=number.to_bytes(16)), source)

    def run(self, seconds: float, *names: bytes) -> list[tuple[FakeFlow, bytes]]:
        """So many seconds of a busy realm, and of others that are asked as often; returns what went out."""
        sent: list[tuple[FakeFlow, bytes]] = []
        for _ in range(round(seconds * A_SECOND)):
            for name in names or (b"anonymous@home.example",):
                self.ask(name)
            self.world.run(1 / A_SECOND)
            for flow, octets in self.world.take_forwarded():
                sent.append((flow, octets))
                if self.world.flows.index(flow) in self.lost or self.silent in octets:
                    continue
                is_check = octets[0] == Code.STATUS_SERVER
                self.world.answer(flow, answer_check(octets) if is_check else respond(parse(octets)))
            self.answered += len(self.world.take_answers())
        return sent

    @property
    def counters(self) -> dict[str, object]:
        return self.world.engine.upstreams["home/1"].counters()


class TestDeafPort:
    """What came to it was not read."""

    def test_is_watched_anew_when_a_request_is_sent_again(self) -> None:
        world = World(make_snapshot())
        world.send(access_request())
        (flow,) = world.flows
        world.run(1.7)
        assert flow.watched_again == 0
        world.run(0.6)
        assert flow.watched_again == 1
        assert world.engine.upstreams["home/1"].counters()["source_ports_watched_again"] == 1

    def test_is_watched_anew_now_and_then(self) -> None:
        """However many requests wait on it."""
        world = World(make_snapshot())
        for number in range(98):
            world.send(access_request(identifier=number, authenticator=number.to_bytes(16)))
            world.run(0.05)
        assert world.flows[0].watched_again == 2  # after 2 and 3 s

    def test_of_a_silent_library_is_none_that_is_left(self) -> None:
        """Its requests fill whole ports, on which nothing is heard, while its neighbour is answered on others."""
        busy = Busy()
        busy.run(20.0, b"anonymous@home.example", *[b"anonymous@silent.example"] * 5)
        assert len(busy.world.flows) > 5
        assert max(flow.watched_again for flow in busy.world.flows) <= 5
        assert busy.counters["source_ports_left"] == 0
        assert not any(busy.world.engine.upstreams["home/1"].identifiers.is_retired(flow) for flow in busy.world.flows)

    def test_is_watched_anew_though_its_library_is_given_up(self) -> None:
        """The breaker is open, and the trials go on to another home server: the port brings none of their answers."""
        world = World(make_snapshot(home_server("home/1"), home_server("home/2", "203.0.113.2")))
        watched: list[int] = []
        for number in range(70):
            world.send(access_request(identifier=number, authenticator=number.to_bytes(16)))
            world.run(1.0)
            for flow, octets in world.take_forwarded():
                if octets[0] == Code.STATUS_SERVER:
                    world.answer(flow, answer_check(octets))
                elif flow is not world.flows[0]:
                    world.answer(flow, respond(parse(octets)))
            watched.append(world.flows[0].watched_again)
        assert not world.engine.protection.breakers.would_admit("home.example", "home/1", world.now - 5.0)
        assert watched[69] - watched[30] >= 3  # with each trial


class TestLostPort:
    """Something on the way lets nothing through from it, or to it."""

    def test_is_left_while_others_are_answered(self) -> None:
        busy = Busy()
        busy.lost = {0}
        busy.run(7.0)
        assert busy.counters["source_ports_left"] == 1
        assert [event for event, _ in busy.world.lines if event == "source_port_left"] == ["source_port_left"]
        later = {octets for _, octets in busy.run(2.0) if octets[0] == Code.ACCESS_REQUEST}
        waiting = busy.world.engine.upstreams["home/1"].identifiers.waiting_on(busy.world.flows[0])
        assert later.isdisjoint(exchange.octets for exchange in waiting)

    def test_what_waits_on_it_goes_out_from_another(self) -> None:
        """As a new request, with an authenticator of its own; everybody is answered, within the deadline of 20 s."""
        busy = Busy()
        busy.lost = {0}
        asked = len([octets for _, octets in busy.run(14.0) if octets[0] == Code.ACCESS_REQUEST])
        assert asked > 14 * A_SECOND
        assert busy.world.notices.refusals == {}
        assert busy.answered >= 14 * A_SECOND - 1
        assert busy.world.engine.outstanding <= 1

    def test_its_late_answers_count(self) -> None:
        """It was left too early: what is answered on it before its request went elsewhere is answered."""
        busy = Busy()
        busy.lost = {0}
        busy.run(7.0)
        assert busy.counters["source_ports_left"] == 1
        (*_, waiting) = busy.world.engine.upstreams["home/1"].identifiers.waiting_on(busy.world.flows[0])
        busy.world.answer(busy.world.flows[0], respond(parse(waiting.octets)))
        assert [octets[0] for octets in busy.world.take_answers()] == [Code.ACCESS_ACCEPT]

    def test_is_closed_when_nothing_waits_on_it(self) -> None:
        busy = Busy()
        busy.lost = {0}
        busy.run(14.0)
        busy.world.run(90.0)
        assert busy.world.flows[0].is_closed
        assert busy.counters["source_ports"] == 1

    def test_one_slow_answer_moves_nothing(self) -> None:
        """A request goes to another port after 6 s, not after 2: a round of EAP that is asked twice is refused."""
        busy = Busy()
        busy.lost = {0}
        sent = busy.run(12.0)
        first = next(octets for flow, octets in sent if flow is busy.world.flows[0])
        assert [flow for flow, octets in sent if octets == first] == [busy.world.flows[0]] * 2


def answer_all(world: World, lost: FakeFlow | None = None) -> None:
    """Everything is answered but what went out from the lost port."""
    for flow, octets in world.take_forwarded():
        if flow is not lost:
            is_check = octets[0] == Code.STATUS_SERVER
            world.answer(flow, answer_check(octets) if is_check else respond(parse(octets)))


@pytest.fixture
def idle() -> World:
    """A home server that was asked once, and has answered Status-Server since."""
    world = World(make_snapshot())
    world.send(access_request())
    for _ in range(400):
        answer_all(world)
        world.run(0.1)
    world.take_answers()
    return world


class TestChecks:
    """Status-Server, from a port that is lost."""

    def test_goes_out_from_another_port_after_one_that_was_missed(self, idle: World) -> None:
        """With little to do a home server has one port: it would be down until the proxy is started anew."""
        (lost,) = idle.flows
        answers: list[bytes] = []
        for number in range(1, 61):
            idle.send(access_request(identifier=number, authenticator=number.to_bytes(16)))
            idle.run(1.0)
            answer_all(idle, lost)
            answers += idle.take_answers()
        upstream = idle.engine.upstreams["home/1"]
        assert upstream.liveness.state is HopState.UP
        assert upstream.counters()["source_ports_left"] == 0  # nobody can say that it was the port
        assert [octets[0] for octets in answers] == [Code.ACCESS_ACCEPT] * 60
        for _ in range(60):
            idle.run(1.0)
            answer_all(idle, lost)
        assert [flow.is_closed for flow in idle.flows] == [True, False]

    def test_of_a_home_server_that_is_gone_keep_no_ports(self, idle: World) -> None:
        """One in half a minute goes out from a port of its own, and those before it are closed."""
        for _ in range(600):
            idle.run(1.0)
            assert sum(not flow.is_closed for flow in idle.flows) <= 3
        assert idle.engine.upstreams["home/1"].liveness.state is HopState.DOWN
        assert 15 <= len(idle.flows) <= 25

    def test_leave_open_where_requests_were_given_up(self, idle: World) -> None:
        """A home server that was away for long answers all of them when it is back, which shows that it is."""
        idle.send(access_request(identifier=1, authenticator=b"1" * 16))
        (flow, octets), *_ = idle.take_requests()
        idle.run(22.0)
        upstream = idle.engine.upstreams["home/1"]
        assert upstream.liveness.state is HopState.DOWN
        assert idle.take_answers() != []
        assert not flow.is_closed
        idle.answer(flow, respond(parse(octets)))
        assert upstream.late == 1
        assert upstream.liveness.state is HopState.UP

    def test_of_one_that_may_not_know_them_stay_where_they_are(self) -> None:
        """It is up, and has never answered any."""
        world = World(make_snapshot())
        for number in range(10):
            world.send(access_request(identifier=number, authenticator=number.to_bytes(16)))
            for flow, octets in world.take_requests():
                world.answer(flow, respond(parse(octets)))
            world.run(60.0)
        assert len(world.flows) == 1
