"""A client, the proxy and a home server over a network that loses, repeats and reorders."""

from dataclasses import dataclass, field
from random import Random
from typing import Generic, TypeVar

import pytest

from radius.wire.codes import Code
from tests.radius.proxy.world import AP, FakeFlow, World, access_request, is_signed, make_snapshot, parse, respond

LOGINS = 60
CLIENT_RETRY_SECONDS = 3.0
STEP_SECONDS = 0.05


Load = TypeVar("Load")


@dataclass
class Network(Generic[Load]):
    """Datagrams on their way, each with the time of its arrival."""

    random: Random
    loss: float
    repeats: float
    under_way: list[tuple[float, Load]] = field(default_factory=list[tuple[float, Load]])

    def carry(self, what: Load, now: float) -> None:
        for _ in range(1 + (self.random.random() < self.repeats)):
            if self.random.random() >= self.loss:
                self.under_way.append((now + self.random.random() * 0.3, what))

    def arrived(self, now: float) -> list[Load]:
        due = [what for at, what in self.under_way if at <= now]
        self.under_way = [item for item in self.under_way if item[0] > now]
        return due


class TestBadNetwork:
    @pytest.mark.parametrize("seed", range(4))
    def test_every_login_ends_once_and_right(self, seed: int) -> None:
        """With a fifth of all datagrams lost and as many doubled, each client gets one answer, always the same."""
        random = Random(seed)
        world = World(make_snapshot())
        to_proxy: Network[bytes] = Network(random, 0.2, 0.2)
        to_home: Network[tuple[FakeFlow, bytes]] = Network(random, 0.2, 0.2)
        to_client: Network[tuple[FakeFlow, bytes]] = Network(random, 0.2, 0.2)
        requests = [access_request(identifier=n, authenticator=random.randbytes(16)) for n in range(LOGINS)]
        next_try = [random.random() * 2 for _ in requests]
        answers: list[set[bytes]] = [set() for _ in requests]
        logins_at_home = 0
        known_at_home: dict[bytes, bytes] = {}
        end = world.now + 60
        start = world.now
        while world.now < end and not all(answers):
            world.run(STEP_SECONDS)
            for number, octets in enumerate(requests):
                if not answers[number] and world.now - start >= next_try[number]:
                    next_try[number] += CLIENT_RETRY_SECONDS
                    to_proxy.carry(octets, world.now)
            for octets in to_proxy.arrived(world.now):
                world.send(octets)
            for sent in world.take_forwarded():
                to_home.carry(sent, world.now)
            for flow, octets in to_home.arrived(world.now):
                if octets not in known_at_home:
                    logins_at_home += octets[0] == Code.ACCESS_REQUEST
                    known_at_home[octets] = respond(parse(octets))
                to_client.carry((flow, known_at_home[octets]), world.now)
            for flow, octets in to_client.arrived(world.now):
                world.answer(flow, octets)
            for octets in world.take_answers():
                if random.random() >= 0.2:
                    answers[octets[1]].add(octets)
        assert [len(each) for each in answers] == [1] * LOGINS
        for number, (octets,) in enumerate(answers):
            assert octets[0] == Code.ACCESS_ACCEPT
            assert is_signed(octets, AP, requests[number][4:20])
        assert logins_at_home == LOGINS
        assert world.engine.outstanding == 0
