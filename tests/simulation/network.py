"""Time, and datagrams that are lost, repeated, late, spoilt and read along.

Whatever chance decides on a link comes from that link's own source of randomness, seeded with its name: a plan from
which something is left out still meets the same weather elsewhere, so that a failure can be made small.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import Final, NamedTuple

Address = tuple[str, int]
HEARD_ALONG: Final = 40  # datagrams of each link that an attacker remembers
TRAVEL_SECONDS: Final = (0.0005, 0.02)


class Datagram(NamedTuple):
    """One datagram; `is_genuine`: it is what its sender sent."""

    source: Address
    target: Address
    octets: bytes
    is_genuine: bool = True


@dataclass(frozen=True)
class Weather:
    """What becomes of datagrams, as shares of them."""

    lost: float = 0.0
    repeated: float = 0.0
    spoilt: float = 0.0
    late: float = 0.0
    late_seconds: float = 0.0


FINE: Final = Weather()
_Event = tuple[float, int, Callable[[], None]]


@dataclass
class Network:
    """Everything that happens, in its order."""

    seed: str
    now: float = 1000.0
    weather: Weather = FINE
    log: list[str] | None = None
    """What happened, when somebody wants to read it."""
    check: Callable[[], None] | None = None
    """Called after everything that happens."""
    planned: int = 0
    heard: dict[tuple[str, str], deque[Datagram]] = field(default_factory=dict[tuple[str, str], deque[Datagram]])
    _receivers: dict[str, Callable[[Datagram], None]] = field(default_factory=dict[str, Callable[[Datagram], None]])
    _randoms: dict[str, Random] = field(default_factory=dict[str, Random])
    _events: list[_Event] = field(default_factory=list[_Event])

    def random(self, name: str) -> Random:
        """The source of randomness of that name."""
        found = self._randoms.get(name)
        if found is None:
            found = self._randoms[name] = Random(f"{self.seed}/{name}")
        return found

    def note(self, text: str) -> None:
        """Put a line into the log."""
        if self.log is not None:
            self.log.append(f"{self.now - 1000:9.3f}  {text}")

    def attach(self, host: str, receive: Callable[[Datagram], None]) -> None:
        """The host's datagrams go there."""
        self._receivers[host] = receive

    def at(self, when: float, act: Callable[[], None]) -> None:
        """It is done at that time."""
        self.planned += 1  # so that what comes at one time keeps its order
        heappush(self._events, (max(when, self.now), self.planned, act))

    def send(self, datagram: Datagram) -> None:
        """The datagram is on its way, or lost."""
        link = (datagram.source[0], datagram.target[0])
        self.heard.setdefault(link, deque(maxlen=HEARD_ALONG)).append(datagram)
        weather, random = self.weather, self.random("/".join(link))
        if random.random() < weather.lost:
            self.note(f"lost      {describe(datagram)}")
            return
        for _ in range(2 if random.random() < weather.repeated else 1):
            travelling = datagram
            if random.random() < weather.spoilt:
                travelling = spoil(datagram, random)
            seconds = random.uniform(*TRAVEL_SECONDS)
            if random.random() < weather.late:
                seconds += random.random() * weather.late_seconds
            self.bring(travelling, seconds)

    def bring(self, datagram: Datagram, seconds: float) -> None:
        """The datagram arrives after so long."""
        self.at(self.now + seconds, lambda: self._arrive(datagram))

    def _arrive(self, datagram: Datagram) -> None:
        receive = self._receivers.get(datagram.target[0])
        self.note(f"{'arrives' if datagram.is_genuine else 'FORGED'}   {describe(datagram)}")
        if receive is not None:
            receive(datagram)

    def run(self, until: float) -> None:
        """Let everything happen that is due until then."""
        while self._events and self._events[0][0] <= until:
            self.now, _, act = heappop(self._events)
            act()
            if self.check is not None:
                self.check()
        self.now = until


def spoil(datagram: Datagram, random: Random) -> Datagram:
    """The datagram with some of its octets changed, or cut, or grown."""
    octets = bytearray(datagram.octets)
    kind = random.randrange(4)
    if kind == 0:
        octets = octets[: random.randrange(len(octets) + 1)]
    elif kind == 1 and len(octets) > 20:  # the lengths say what is not so
        octets[random.randrange(20, len(octets))] = random.randrange(256)
    elif kind == 2:
        octets[random.choice((0, 1, 2, 3))] ^= 1 << random.randrange(8)
    else:
        at = random.randrange(len(octets)) if octets else 0
        octets[at : at + 1] = random.randbytes(random.randrange(1, 9))
    is_same = bytes(octets) == datagram.octets
    return datagram._replace(octets=bytes(octets), is_genuine=is_same and datagram.is_genuine)


def describe(datagram: Datagram) -> str:
    """One line of the log."""
    octets = datagram.octets
    head = f"code {octets[0]:2} id {octets[1]:3}" if len(octets) > 1 else "empty"
    (source, port), (target, other) = datagram.source, datagram.target
    return f"{source}:{port} > {target}:{other} {head} {len(octets)} octets {octets[4:8].hex()}"
