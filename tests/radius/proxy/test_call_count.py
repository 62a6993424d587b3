"""What a login costs, counted in calls of functions: the same on every machine, unlike time.

A number that grows is no bug by itself. Whoever raises it says in the commit what the packet path gets for it, and
measures with `make bench`.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from radius.exchange.identifiers import IDENTIFIERS_PER_FLOW
from radius.wire.codes import AttributeType
from radius.wire.packet import build_attribute
from tests.radius.proxy.counting import count_into
from tests.radius.proxy.world import World, access_request, eap, make_snapshot, mppe_keys, parse, respond
from tests.radius.wire.kernels import HAS_COMPILER, chosen

CALLS_WITHOUT_KERNEL = 279  # of a patron who was not here before: 303 when names were kept, and not realms
CALLS_WITH_KERNEL = 131  # 155 then
LOGINS = 20
WITH_KERNEL = """
import json
from radius.wire.calls import calls
from tests.radius.wire.kernels import load_kernel
calls.choose(load_kernel())  # before the filters are made, which happens at import
from tests.radius.proxy.test_call_count import count_calls
print(json.dumps(count_calls()))
"""
ATTRIBUTES = (
    build_attribute(AttributeType.NAS_IP_ADDRESS, bytes(4))
    + build_attribute(AttributeType.CALLED_STATION_ID, b"02-00-00-00-00-01:eduroam")
    + build_attribute(AttributeType.CALLING_STATION_ID, b"02-00-00-00-00-02")
    + eap()
)
"""What an access point says beside the name."""


def count_calls() -> Counter[str]:
    """The calls of one login's request and answer, Python's and built-in ones, by name; the mean of some logins."""
    world = World(make_snapshot())
    for number in range(IDENTIFIERS_PER_FLOW):
        log_in(world, number)  # ports are opened, names looked up, and each identifier's first use is over
    found: Counter[str] = Counter()
    profile = count_into(found)

    for number in range(1000, 1000 + LOGINS):
        request = ask(number)
        sys.setprofile(profile)
        world.send(request, ("192.0.2.1", 2000))  # from a port that has not asked yet: nothing is replaced
        sys.setprofile(None)
        flow, forwarded = world.forward_one()
        answer = respond(forwarded, attributes=eap(b"\x03\x01\x00\x04") + mppe_keys(forwarded.authenticator))
        sys.setprofile(profile)
        world.answer(flow, answer)
        sys.setprofile(None)
        assert [parse(octets).code for octets in world.take_answers()] == [2]
    return Counter({name: count // LOGINS for name, count in found.items() if count >= LOGINS})


def ask(number: int) -> bytes:
    """The request of a patron who was not here before."""
    name = b"reader%d@home.example" % number
    return access_request(ATTRIBUTES, name=name, identifier=number % 256, authenticator=number.to_bytes(16))


def log_in(world: World, number: int) -> None:
    world.send(ask(number))
    flow, forwarded = world.forward_one()
    world.answer(flow, respond(forwarded, attributes=mppe_keys(forwarded.authenticator)))
    world.take_answers()


class TestLogin:
    def test_calls_without_the_kernel_are_bounded(self) -> None:
        """One request and its answer with two keys take so many calls where everything is interpreted."""
        with chosen(None):
            calls = count_calls()
        assert calls.total() <= CALLS_WITHOUT_KERNEL, calls.most_common(99)

    @pytest.mark.skipif(not HAS_COMPILER, reason="the kernel is optional; it needs gcc and python3-dev")
    def test_calls_with_the_kernel_are_bounded(self) -> None:
        """With the native kernel they are fewer, and neither rewrite is done in Python."""
        counted = subprocess.run(
            [sys.executable, "-c", WITH_KERNEL],
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        )
        calls = Counter[str](json.loads(counted.stdout))
        assert not calls.keys() & {"sign_request", "sign_response"}
        assert calls.total() <= CALLS_WITH_KERNEL, calls.most_common(99)
