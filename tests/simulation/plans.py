"""What happens in a run, drawn from its seed: who logs in, what breaks, what is changed, who attacks.

A plan is a list of small things, each of which can be left out: that is how a failure is made small. After
`CALM_AT` nothing breaks any more; what was broken is mended, and every realm has to work again.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random
from typing import Final

START: Final = 1000.0
TROUBLE_SECONDS: Final = 60.0
CALM_AT: Final = START + TROUBLE_SECONDS + 25.0
HEALED_AT: Final = CALM_AT + 90.0  # from now on no login may fail
PROBED_UNTIL: Final = HEALED_AT + 12.0
PROBE_SECONDS: Final = 5.0
QUIET_AT: Final = PROBED_UNTIL + 60.0  # nobody waits for anything


class Kind(StrEnum):
    """What can happen."""

    LOGIN = "login"
    CROWD = "crowd"
    ODD = "odd"
    WEATHER = "weather"
    HOME = "home"
    SWAP = "swap"
    ATTACK = "attack"
    CLOCK = "clock"
    RESTART = "restart"
    PORT = "port"


@dataclass(frozen=True)
class Step:
    """One thing that happens."""

    at: float
    kind: Kind
    seconds: float = 0.0
    """How long it lasts."""
    who: int = 0
    """Of the access points, the home servers or the proxies."""
    what: str = ""
    number: int = 0
    """What tells it from all others."""
    realm: int = 0


@dataclass(frozen=True)
class HomeShape:
    """A home server, as it was installed."""

    knows_status: bool = True
    requires_message_authenticator: bool = True


@dataclass(frozen=True)
class RealmShape:
    """A realm: how far away it is, and who answers for it."""

    depth: int
    """How many proxies lead there."""
    homes: tuple[HomeShape, ...]
    is_spread: bool
    """Its home servers are of equal rank."""


@dataclass(frozen=True)
class AskerShape:
    """An access point, or the proxy of another federation."""

    is_proxy: bool
    library: int
    """Whose it is: that of a realm, or of nobody's (-1)."""
    guest_vlan: int | None
    requests_cui: bool


@dataclass(frozen=True)
class Plan:
    """A federation, and what happens in it."""

    seed: int
    proxies: int
    realms: tuple[RealmShape, ...]
    askers: tuple[AskerShape, ...]
    has_default_route: bool
    """The last proxy sends what it does not know back to the first."""
    steps: tuple[Step, ...]

    def without(self, left_out: range) -> "Plan":
        """The same with some of the steps left out."""
        return replace(self, steps=tuple(step for at, step in enumerate(self.steps) if at not in left_out))


HOME_TROUBLES: Final = (
    "silent", "silent", "silent", "slow", "late", "restarted", "elsewhere", "careless", "altering", "blunt", "wordy",
    "unsigned", "wrong_code", "broken_key", "no_transport", "flapping",
)  # fmt: skip
SWAPS: Final = (
    "realm_removed", "realm_added", "server_moved", "server_secret", "client_removed", "client_secret",
    "server_removed", "order_reversed", "same",
)  # fmt: skip
ATTACKS: Final = (
    "replayed_request", "replayed_answer", "forged_answer", "altered_answer", "stranger", "borrowed_address",
    "crossed_answer", "status_flood", "altered_request",
)  # fmt: skip
PORT_TROUBLES: Final = ("deaf", "lost")  # of source ports towards home servers; neither is mended from outside
ODDITIES: Final = (
    "no_name", "no_realm", "two_at", "unknown_realm", "denied_realm", "eap_lies", "no_credentials", "no_seal",
    "many_states", "full", "accounting", "coa", "status", "response_code", "pap_away", "two_names",
    "password_beside_eap",
)  # fmt: skip


def make_plan(seed: int) -> Plan:
    """Return the plan of a seed, always the same."""
    random = Random(f"plan {seed}")
    proxies = random.choice((1, 1, 2, 3))
    realms = tuple(
        RealmShape(
            depth=random.randint(1, proxies),
            homes=tuple(
                HomeShape(random.random() < 0.7, random.random() < 0.7) for _ in range(random.choice((1, 1, 2, 3)))
            ),
            is_spread=random.random() < 0.3,
        )
        for _ in range(random.randint(1, 4))
    )
    askers = tuple(
        AskerShape(
            is_proxy=number > 0 and random.random() < 0.3,
            library=random.randrange(-1, len(realms)),
            guest_vlan=random.choice((None, 17)),
            requests_cui=random.random() < 0.3,
        )
        for number in range(random.randint(1, 3))
    )
    steps = [_make_step(random, number, len(realms), len(askers), proxies, realms) for number in range(_count(random))]
    return Plan(
        seed,
        proxies,
        realms,
        askers,
        has_default_route=random.random() < 0.3,
        steps=tuple(sorted(steps, key=lambda step: step.at)),
    )


def _count(random: Random) -> int:
    return random.choice((6, 15, 30, 60))


def _make_step(
    random: Random, number: int, realms: int, askers: int, proxies: int, shapes: tuple[RealmShape, ...]
) -> Step:
    at = START + random.random() * TROUBLE_SECONDS
    kind = random.choices(list(Kind), (24, 0.15, 8, 3, 5, 3, 8, 0.5, 0.5, 2))[0]
    realm = random.randrange(realms)
    seconds = random.choice((0.5, 4.0, 15.0, 40.0)) * (0.5 + random.random())
    seconds = min(seconds, START + TROUBLE_SECONDS - at + 5.0)
    match kind:
        case Kind.LOGIN:
            what = random.choices(("accept", "reject", "password", "long"), (10, 3, 2, 2))[0]
            return Step(at, kind, 0.0, random.randrange(askers), what, number, realm)
        case Kind.CROWD:
            return Step(at, kind, 0.0, random.randrange(askers), "accept", number, realm)
        case Kind.ODD:
            return Step(at, kind, 0.0, random.randrange(askers), random.choice(ODDITIES), number, realm)
        case Kind.WEATHER:
            return Step(at, kind, seconds, 0, random.choice(("rain", "storm", "echo", "fog", "spoilt")), number)
        case Kind.HOME:
            home = random.randrange(len(shapes[realm].homes))
            return Step(at, kind, seconds, home, random.choice(HOME_TROUBLES), number, realm)
        case Kind.SWAP:
            return Step(at, kind, seconds, random.randrange(proxies), random.choice(SWAPS), number, realm)
        case Kind.ATTACK:
            return Step(at, kind, 0.0, random.randrange(proxies), random.choice(ATTACKS), number, realm)
        case Kind.CLOCK:
            return Step(at, kind, 0.0, 0, random.choice(("-86400", "86400")), number)
        case Kind.RESTART:
            return Step(at, kind, 0.0, random.randrange(askers), "", number)
        case Kind.PORT:
            return Step(at, kind, 0.0, random.randrange(proxies), random.choice(PORT_TROUBLES), number)
