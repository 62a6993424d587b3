"""What a proxied login costs in instructions: the same on a busy machine, unlike time.

    python -m tests.load.instructions [--octets 1131] [--realms 10000] [--functions 30]

The engine of `make compiled`, without sockets, runs under callgrind, which begins to count when all is prepared: a pass
records what home servers answer, half of it is carried once more to warm up, and the other half is counted.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
COMPILED: Final = ROOT / ".venv-compiled" / "bin" / "python"
COUNTED: Final = "BIEBROAM_COUNTED"  # in the environment of the process under callgrind
LOGINS: Final = 500
SECONDS_BETWEEN: Final = 1 / 30_000  # as many logins a second as a worker does


def replay(logins: int, octets: int, realms: int) -> float:
    """The engine has carried so many requests and their answers; microseconds for each, unless they are counted."""
    from radius.proxy.randomness import RandomPool  # noqa: PLC0415 - of the build that is measured: see below

    requests = [build_request(number, octets, realms) for number in range(2 * logins)]
    os.urandom = random.Random(1).randbytes
    recorded = _Lane(RandomPool().take, realms)
    answers = [recorded.record(request) for request in requests]
    os.urandom = random.Random(1).randbytes  # the same again: what was recorded answers what is sent now
    lane = _Lane(RandomPool().take, realms)
    lane.run(requests[:logins], answers[:logins])
    _count(True)
    began = time.perf_counter()
    lane.run(requests[logins:], answers[logins:])
    spent = time.perf_counter() - began
    _count(False)
    assert lane.sent == 2 * logins, "an answer was not passed on"
    return spent * 1e6 / max(1, logins)


def _count(is_on: bool) -> None:  # noqa: FBT001 - on or off
    if COUNTED in os.environ:
        subprocess.run(["callgrind_control", f"--instr={'on' if is_on else 'off'}", str(os.getpid())], check=True)


def build_request(number: int, octets: int, realms: int) -> bytes:
    """A request as an access point sends it, filled up with EAP."""
    from tests.radius.proxy import world  # noqa: PLC0415

    def build(eap_octets: int) -> bytes:
        eap = b"\x02" + bytes((number % 256,)) + eap_octets.to_bytes(2) + b"\x15" + bytes(eap_octets - 5)
        return world.access_request(
            world.build_attribute(4, bytes(4))
            + world.build_attribute(6, b"\0\0\0\x02")
            + world.build_attribute(12, b"\0\0\x05\x78")
            + world.build_attribute(30, b"02-00-00-00-00-01:eduroam")
            + world.build_attribute(31, b"02-00-00-00-00-02")
            + world.build_attribute(61, b"\0\0\0\x13")
            + world.eap(eap),
            name=b"reader%d@r%d.bench.example" % (number, number % realms),  # each its own, as in the load
            identifier=number % 256,
            authenticator=number.to_bytes(16),
        )

    size = 5
    while len(built := build(size)) < octets:
        size += 1
    return built


class _Lane:
    """An engine between a client and a home server in memory."""

    def __init__(self, random_octets: Callable[[int], bytes], realms: int) -> None:
        from federation.shards import Shards  # noqa: PLC0415
        from federation.snapshot import Realm  # noqa: PLC0415
        from radius.proxy.engine import Engine  # noqa: PLC0415
        from radius.proxy.loops import LoopGuard  # noqa: PLC0415
        from radius.proxy.notices import Notices  # noqa: PLC0415
        from tests.radius.proxy import world  # noqa: PLC0415

        self.now = 1000.0
        self.sent = 0
        self.is_accounting = self.is_closed = self.requires_errors = False
        self._world = world
        self._flow = _Flow()
        self.engine = Engine(
            notices=Notices(_write),
            open_flow=self._open,
            random_octets=random_octets,
            random_fraction=random.random,
            wall_clock=time.time,
            emit=_ignore,
            loop_guard=LoopGuard(bytes(32)),
        )
        names = [f"r{number}.bench.example" for number in range(realms)]
        self.engine.swap(world.make_snapshot(realms=Shards((name, Realm(name, "home", ("home/1",))) for name in names)))

    def _open(self, host: str, port: int, receive: Callable[..., object], /) -> "_Flow":
        self._flow.receive = receive
        return self._flow

    def send(self, octets: bytes, address: object, /) -> bool:
        """What its client gets."""
        self.sent += octets[0] == 2
        return True

    def record(self, request: bytes) -> bytes:
        """The home server's answer to what comes of the request; the client gets it, too."""
        world = self._world
        self.engine.receive_request(self, request, world.AP_ADDRESS, self.now)
        forwarded = world.parse(self._flow.octets)
        name = world.user_name(forwarded.value_of(1))
        answer = world.respond(
            forwarded,
            attributes=name + world.eap(b"\x03\x01\x00\x04") + world.mppe_keys(forwarded.authenticator),
        )
        self._flow.receive(self._flow, answer, self.now)
        self.now += SECONDS_BETWEEN
        return answer

    def run(self, requests: list[bytes], answers: list[bytes]) -> None:
        """Each request and its answer."""
        engine, flow, source = self.engine, self._flow, self._world.AP_ADDRESS
        for request, answer in zip(requests, answers, strict=True):
            now = self.now = self.now + SECONDS_BETWEEN
            engine.receive_request(self, request, source, now)
            flow.receive(flow, answer, now)


class _Flow:
    receive: Callable[..., object]
    octets: bytes

    def send(self, octets: bytes, /) -> bool:
        self.octets = octets
        return True

    def watch_again(self) -> None: ...

    def close(self) -> None: ...


def _ignore(event: object) -> None: ...


def _write(event: str, fields: object) -> None: ...


def count(logins: int, octets: int, realms: int) -> Counter[str]:
    """Instructions of so many logins, by function."""
    with tempfile.TemporaryDirectory(prefix="instructions-") as folder:
        output = Path(folder, "callgrind.out")
        subprocess.run(
            [
                *("valgrind", "--tool=callgrind", "--instr-atstart=no", "--compress-strings=no", "--compress-pos=no"),
                *(f"--callgrind-out-file={output}", COMPILED, "-P", __file__),
                *("--replay", str(logins), "--octets", str(octets), "--realms", str(realms)),
            ],
            check=True,
            capture_output=True,
            env={**os.environ, COUNTED: "1", "PYTHONHASHSEED": "0"},
        )
        return parse_callgrind(output.read_text(errors="replace"))


def parse_callgrind(text: str) -> Counter[str]:
    """Each function's own instructions; what it calls is the called one's."""
    found: Counter[str] = Counter()
    function, is_call = "", False
    for line in text.splitlines():
        if line.startswith("fn="):
            function = line[3:]
        elif line.startswith("calls="):
            is_call = True
        elif line[:1].isdigit() or line[:1] in "+-*":
            if is_call:
                is_call = False
            elif function and len(fields := line.split()) > 1:
                found[function] += int(fields[1])
    return found


def main() -> int:
    """Count and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.instructions", description=__doc__)
    parser.add_argument("--octets", type=int, default=225, help="of each request")
    parser.add_argument("--realms", type=int, default=50, help="each asked in turn")
    parser.add_argument("--functions", type=int, default=25, help="how many are told")
    parser.add_argument("--replay", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.replay is not None:
        sys.path.append(str(ROOT))  # behind the build's own packages, which `tests` is then about
        print(f"{replay(options.replay, options.octets, options.realms):.1f} us")
        return 0
    return print_costs(count(LOGINS, options.octets, options.realms), options.functions)


def print_costs(costs: Counter[str], functions: int) -> int:
    """The whole, and the dearest functions."""
    print(f"{costs.total() / LOGINS:,.0f} instructions for a request with its answer\n")
    for name, cost in costs.most_common(functions):
        print(f"{cost / LOGINS:9,.0f}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
