"""Home servers behind a real proxy die and return, start anew each second, answer late, or from elsewhere.

All of it happens at once, each to a library of its own, before one proxy worker: half a minute, after which each test
looks at what became of one library's requests. What befalls one of them is nothing to the others.
"""

import socket
import statistics
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from federation.statistics.reports import read_reports
from federation.statistics.worker import REPORT_SECONDS
from radius.wire.codes import Code
from tests.support.biebroam import DataDirectory
from tests.support.processes import Program, free_port
from tests.support.traffic import SimulatedHome, Traffic, TrafficReport
from tests.support.usage import Usage, usage_of
from tests.system.federations import CLIENT_SECRET, HEAD, HOME_SECRET, WEST_CLIENT, library

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("next-hops")]

DEADLINE_SECONDS = 20.0  # of a request at the proxy
SLOW_SECONDS = 3.0
LATE_SECONDS = DEADLINE_SECONDS + 1.5
RESTLESS_SECONDS = 15.0
DEAD_SECONDS = 6.0
RETURN_SECONDS = 12.0  # until the breaker, which may have opened, lets a trial through
PATIENCE_SECONDS = 30.0
RATE = 20.0


@dataclass(frozen=True)
class Weather:
    """What was seen in half a minute."""

    reports: dict[str, TrafficReport]
    asked: dict[str, int]  # how many different requests came to a home server
    returned_at: float  # when the mortal one was back
    drops: dict[str, int]  # the proxy's, by reason
    before: Usage
    after: Usage


def start_home(folder: Path, name: str, port: int) -> Program:
    """A home server in a process of its own, when it answers."""
    command = [sys.executable, "-m", "tests.support.home_process", str(port), HOME_SECRET]
    log = folder / f"{name}-{time.monotonic_ns()}.log"
    home = Program(command, log, folder=Path(__file__).parents[2])
    return home.wait_ready(lambda: "answers" in home.output)


def run_restless(folder: Path, port: int) -> None:
    """A home server that is killed when it has worked for most of a second, and started anew at once."""
    ends = time.monotonic() + RESTLESS_SECONDS
    while time.monotonic() < ends:
        with start_home(folder, "restless", port) as home:
            time.sleep(0.8)
            home.process.kill()


def play(folder: Path, traffics: Mapping[str, Traffic], ports: Mapping[str, int]) -> float:
    """Half a minute; returns when the mortal home server was back."""
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        mortal = stack.enter_context(start_home(folder, "mortal", ports["mortal"]))
        began = time.monotonic()

        def wait_for(seconds: float) -> None:
            time.sleep(max(0.0, began + seconds - time.monotonic()))

        restless = pool.submit(run_restless, folder, ports["restless"])
        for traffic in traffics.values():
            stack.enter_context(traffic)
        wait_for(1)
        for name in ("late", "elsewhere", "mirror"):
            traffics[name].stop_sending()
        wait_for(3)
        mortal.process.kill()
        traffics["slow"].stop_sending()
        wait_for(3 + DEAD_SECONDS)
        stack.enter_context(start_home(folder, "mortal", ports["mortal"]))
        returned_at = time.monotonic()
        restless.result()
        traffics["restless"].stop_sending()
        stack.enter_context(start_home(folder, "restless", ports["restless"]))
        wait_for(LATE_SECONDS + 2)
        for traffic in traffics.values():
            traffic.stop()
        return returned_at


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Weather:
    """One proxy, and every kind of home server behind it."""
    folder = tmp_path_factory.mktemp("weather")
    data = DataDirectory(folder / "data")
    data.take_initialised()
    with ExitStack() as stack:

        def simulate(delay_seconds: float = 0.0, answers_from: str = "") -> SimulatedHome:
            port, other = free_port(), None
            if answers_from:
                other = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                other.bind((answers_from, port if answers_from != "127.0.0.1" else 0))
            home = SimulatedHome(secret=HOME_SECRET, port=port, delay_seconds=delay_seconds, answers_from=other)
            return stack.enter_context(home)

        homes = {
            "west": simulate(),
            "steady": simulate(),
            "slow": simulate(SLOW_SECONDS),
            "late": simulate(LATE_SECONDS),
            "elsewhere": simulate(answers_from="127.0.0.1"),
            "mirror": simulate(answers_from="127.0.0.9"),
        }
        ports = {name: home.port for name, home in homes.items()} | {"mortal": free_port(), "restless": free_port()}
        data.apply(HEAD + "".join(library(name, ports[name], client=WEST_CLIENT * (name == "west")) for name in ports))
        proxy = stack.enter_context(data.start("proxy"))
        traffics = {
            name: Traffic(
                port=int(data.ports["auth"]),
                secret=CLIENT_SECRET,
                realms=[f"{name}.example"],
                rate=RATE,
                timeout_seconds=PATIENCE_SECONDS,
            )
            for name in ports
            if name != "west"
        }
        before = usage_of(proxy.process.pid)
        returned_at = play(folder, traffics, ports)
        after = usage_of(proxy.process.pid)
        time.sleep(REPORT_SECONDS + 0.2)
        (report,) = (each for each in read_reports(data.folder / "run") if each.role == "proxy")
        drops = cast("dict[str, int]", report.counters["drops"])
        return Weather(
            {name: traffic.report for name, traffic in traffics.items()},
            {name: len(home.asked) for name, home in homes.items()},
            returned_at,
            drops,
            before,
            after,
        )


@pytest.mark.parametrize("name", ["steady", "slow", "late", "elsewhere", "mirror", "mortal", "restless"])
def test_every_request_has_one_authentic_answer(weather: Weather, name: str) -> None:
    """Whatever its home server does, an access point that asks again gets one answer, from the proxy it asked."""
    report = weather.reports[name]
    assert report.sent > 10
    assert (report.lost, report.unauthentic, report.contradicted) == (0, 0, 0)


class TestNeighbour:
    def test_feels_nothing(self, weather: Weather) -> None:
        """All requests of a library whose home server is well go to it once and are answered at once."""
        report = weather.reports["steady"]
        assert report.count(Code.ACCESS_ACCEPT) == report.sent
        assert weather.asked["steady"] == report.sent
        assert statistics.median(report.seconds) < 0.1


class TestSlowHomeServer:
    def test_is_waited_for(self, weather: Weather) -> None:
        """Three seconds are no reason to ask anybody else, nor to ask it as if it were another request."""
        report = weather.reports["slow"]
        assert report.count(Code.ACCESS_ACCEPT) == report.sent == weather.asked["slow"]
        assert min(report.seconds) >= SLOW_SECONDS


class TestAnswerAfterTheDeadline:
    def test_lets_nobody_in(self, weather: Weather) -> None:
        """The access point had its no when the time was over; what comes then is counted and goes nowhere."""
        report = weather.reports["late"]
        assert report.count(Code.ACCESS_REJECT) == report.sent == weather.asked["late"]
        assert min(report.seconds) >= DEADLINE_SECONDS - 0.5  # the sender reads its clock after it has sent
        assert weather.drops["late_response"] >= report.sent


class TestAnswerFromElsewhere:
    @pytest.mark.parametrize("name", ["elsewhere", "mirror"], ids=["other-port", "other-address"])
    def test_is_none(self, weather: Weather, name: str) -> None:
        """A well signed answer that comes from another port or address than was asked lets nobody in."""
        report = weather.reports[name]
        assert weather.asked[name] == report.sent
        assert report.count(Code.ACCESS_REJECT) == report.sent


class TestHomeServerThatDies:
    def test_is_used_again_when_it_is_back(self, weather: Weather) -> None:
        """Its patrons get in before and after; those who came between get in late or are refused."""
        log = weather.reports["mortal"].log
        assert log[0][2] == Code.ACCESS_ACCEPT
        assert next(when for when, _, code in log if when > weather.returned_at and code == Code.ACCESS_ACCEPT) < (
            weather.returned_at + RETURN_SECONDS
        )
        assert {code for _, _, code in log[-20:]} == {Code.ACCESS_ACCEPT}


class TestHomeServerThatStartsAnewEachSecond:
    def test_lets_nearly_everybody_in(self, weather: Weather) -> None:
        """What dies with it is asked again, within the time that the access point has."""
        report = weather.reports["restless"]
        assert report.count(Code.ACCESS_ACCEPT) > 0.9 * report.sent


class TestProxy:
    def test_keeps_no_more_than_it_needs(self, weather: Weather) -> None:
        """After it all there is a source port for each home server, and no memory went with what was never answered."""
        assert weather.after.descriptors <= weather.before.descriptors + 2 * len(weather.asked) + 4
        assert weather.after.resident_kib < weather.before.resident_kib + 16 * 1024
