"""What it costs to find the route of a name, in calls: devices choose names, as many and as odd as they like."""

import sys
from types import FrameType

import pytest

from federation.policy import DEFAULT_DENIED_REALMS
from federation.reasons import RefusalReason
from federation.shards import Shards
from federation.snapshot import Federation, Realm, Snapshot
from radius.proxy.pipeline import KEPT_REALMS, Routes

MOST_CALLS = 85


def routes_of(count: int) -> Routes:
    names = [f"r{number}.bench.example.nl" for number in range(count)]
    realms = Shards((name, Realm(name, "home", ("home/radius1",))) for name in names)
    federation = Federation("test", "NL", "login.test.example")
    return Routes(Snapshot(1, federation, realms=realms, denied_realms=DEFAULT_DENIED_REALMS))


def count_calls(routes: Routes, name: bytes) -> int:
    """How many functions and methods are called to find the route of a name that is asked for the first time."""
    calls = 0

    def profile(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        routes.find(name)
    finally:
        sys.setprofile(None)
    return calls


class TestRoutes:
    @pytest.mark.parametrize("count", [10, 20_000])
    @pytest.mark.parametrize(
        "name",
        [
            b"anonymous@r7.bench.example.nl",
            b"anonymous@nobody.bench.example.nl",
            b"x@" + b"a." * 120 + b"nl",
            b"x@" + b"a." * 119 + b"r7.nl",
            b"x@" + b"-" * 240 + b".nl",
            b"x@" + b"." * 240,
            b"@" * 253,
        ],
    )
    def test_name_costs_no_more_for_its_labels_or_for_more_realms(self, name: bytes, count: int) -> None:
        """Neither a name of a hundred labels nor a federation of thousands of realms makes a look-up longer."""
        assert count_calls(routes_of(count), name) < MOST_CALLS

    def test_more_names_than_are_kept_are_all_found(self) -> None:
        """A name that took the place of another is looked up again, and no wrong route comes of it."""
        routes = routes_of(50)
        asked = [f"p{number}@r{number % 60}.bench.example.nl".encode() for number in range(KEPT_REALMS + 500)]
        for _ in range(2):
            for number, name in enumerate(asked):
                found = routes.find(name)
                if number % 60 < 50:
                    assert isinstance(found, Realm)
                    assert found.name == f"r{number % 60}.bench.example.nl"
                else:
                    assert found is RefusalReason.UNROUTABLE
