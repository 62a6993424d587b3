"""One run of a plan, from the first login to the long quiet after the last; and how a failure is made small."""

from dataclasses import dataclass
from functools import partial
from typing import Final

from tests.simulation.attacks import attack, send_odd
from tests.simulation.clients import Asker, Conversation
from tests.simulation.federations import Registry
from tests.simulation.homes import Home
from tests.simulation.ledger import Ledger, Violation, demand
from tests.simulation.network import FINE, Network, Weather
from tests.simulation.plans import (
    CALM_AT,
    HEALED_AT,
    PROBE_SECONDS,
    PROBED_UNTIL,
    QUIET_AT,
    START,
    Kind,
    Plan,
    Step,
    make_plan,
)
from tests.simulation.proxies import Proxy, Tamper

CROWD: Final = 300
CROWD_A_SECOND: Final = 250
LOG_LINES: Final = 200
WEATHERS: Final = {
    "rain": Weather(lost=0.1, repeated=0.05, late=0.1, late_seconds=1.0),
    "storm": Weather(lost=0.4, repeated=0.2, late=0.4, late_seconds=6.0),
    "echo": Weather(repeated=0.8, late=0.5, late_seconds=12.0),
    "fog": Weather(late=1.0, late_seconds=4.0),
    "spoilt": Weather(spoilt=0.3),
}


@dataclass
class Failure:
    """What must not happen, and how it came."""

    plan: Plan
    reason: str
    log: list[str]

    def __str__(self) -> str:
        steps = "\n".join(f"  {step}" for step in self.plan.steps)
        log = "\n".join(self.log[-LOG_LINES:])
        shape = f"{self.plan.proxies} proxies, realms {self.plan.realms}, clients {self.plan.askers}"
        return (
            f"seed {self.plan.seed}: {self.reason}\n{shape}\n{len(self.plan.steps)} steps suffice:\n{steps}\n{log}\n"
            f"again: python -m tests.simulation --seed {self.plan.seed}"
        )


class Run:
    """A federation at work."""

    def __init__(self, plan: Plan, *, tamper: Tamper | None = None, is_logged: bool = False) -> None:
        self.plan = plan
        self.network = Network(str(plan.seed), log=[] if is_logged else None)
        self.ledger = Ledger()
        self.registry = Registry(plan)
        self.proxies = [
            Proxy(self.network, self.registry, self.ledger, number, tamper) for number in range(plan.proxies)
        ]
        self.homes = [
            [
                Home(self.network, self.registry, self.ledger, site, knows_status=shape.homes[site.number].knows_status)
                for site in sites
            ]
            for sites, shape in zip(self.registry.homes, plan.realms, strict=True)
        ]
        self.askers = [Asker(self.network, self.registry, self.ledger, site) for site in self.registry.askers]
        self.probes: list[Conversation] = []
        self._numbers = 1000
        self._swap()

    def play(self) -> None:
        """Let everything happen; raises what went wrong."""
        network = self.network
        network.check = self._check
        for step in self.plan.steps:
            network.at(step.at, partial(self._take, step))
        network.at(CALM_AT, self._mend)
        for realm in range(len(self.plan.realms)):
            network.at(CALM_AT + realm / 4, partial(self._probe, realm))
        second = START
        while second < QUIET_AT:
            second += 1.0
            network.run(second)
            for proxy in self.proxies:
                proxy.check_slowly()
        for probe in self.probes:
            demand(
                probe.started_at < HEALED_AT or probe.outcome == "accepted",
                f"realm {probe.realm} does not work again: login {probe.number} is {probe.outcome or 'without answer'}",
            )
        for asker in self.askers:
            demand(not asker.waiting, f"{asker.site.key} waits for ever")
            open_ended = [each.number for each in asker.conversations if not each.outcome]
            demand(not open_ended, f"logins {open_ended} of {asker.site.key} have no end")
        for proxy in self.proxies:
            proxy.check_quiet()

    def _check(self) -> None:
        for proxy in self.proxies:
            proxy.check()

    def _swap(self) -> None:
        for proxy in self.proxies:
            proxy.swap(self.registry.make_snapshot(proxy.number))

    def _begin(self, who: int, number: int, realm: int) -> None:
        self.askers[who].begin(number, realm, "accept")

    def _probe(self, realm: int) -> None:
        self._numbers += 1
        self.probes.append(self.askers[0].begin(self._numbers, realm, "accept"))
        if self.network.now + PROBE_SECONDS < PROBED_UNTIL:
            self.network.at(self.network.now + PROBE_SECONDS, partial(self._probe, realm))

    def _mend(self) -> None:
        """Everything that was broken or taken away is back."""
        self.network.note("from here on everything is mended")
        self.network.weather = FINE
        registry = self.registry
        registry.listed_realms = set(registry.realms)
        for site in (*registry.askers, *(site for sites in registry.homes for site in sites)):
            site.is_listed = True
        for homes in self.homes:
            for home in homes:
                home.troubles.clear()
                home.secret = home.site.secret
        for proxy in self.proxies:
            proxy.unreachable.clear()
        self._swap()

    # What happens.

    def _take(self, step: Step) -> None:
        self.network.note(f"--- {step.kind} {step.what} {step.who} {step.realm} {step.seconds:.1f} s")
        match step.kind:
            case Kind.LOGIN:
                asker = self.askers[step.who]
                may_use = asker.site.allows_pap and self.plan.realms[step.realm].depth == 1
                is_home = asker.site.library == self.registry.library(step.realm)
                wish = "accept" if step.what == "password" and not (may_use and is_home) else step.what
                asker.begin(step.number, step.realm, wish)
            case Kind.CROWD:
                for number in range(CROWD):
                    begin = partial(self._begin, step.who, 10_000 + number, step.realm)
                    self.network.at(self.network.now + number / CROWD_A_SECOND, begin)
            case Kind.ODD:
                send_odd(self.askers[step.who], step.what, step.realm)
            case Kind.WEATHER:
                self.network.weather = WEATHERS[step.what]
                self.network.at(self.network.now + step.seconds, self._clear_up)
            case Kind.HOME:
                self._trouble(step)
            case Kind.SWAP:
                self._change(step)
            case Kind.ATTACK:
                attack(self.proxies[step.who], self.askers, step.what)
            case Kind.CLOCK:
                for proxy in self.proxies:
                    proxy.clock_offset += float(step.what)
            case Kind.RESTART:
                self.askers[step.who].restart()
            case Kind.PORT:
                self.proxies[step.who].spoil_ports(step.what, step.number)

    def _clear_up(self) -> None:
        self.network.weather = FINE

    def _trouble(self, step: Step) -> None:
        home = self.homes[step.realm][step.who]
        if step.what == "restarted":
            home.restart()
            return
        home.troubles[step.what] += 1
        hosts = {home.site.host}
        if step.what == "no_transport":
            for proxy in self.proxies:
                proxy.unreachable |= hosts
        self.network.at(self.network.now + step.seconds, partial(self._end_trouble, home, step.what, hosts))

    def _end_trouble(self, home: Home, what: str, hosts: set[str]) -> None:
        home.troubles[what] -= home.troubles[what] > 0
        if what == "no_transport":
            for proxy in self.proxies:
                proxy.unreachable -= hosts

    def _change(self, step: Step) -> None:
        registry, network = self.registry, self.network
        site = registry.askers[step.number % len(registry.askers)]
        homes = self.homes[step.realm]
        home = homes[step.number % len(homes)]
        match step.what:
            case "realm_removed":
                registry.listed_realms.discard(registry.realms[step.realm])
            case "realm_added":
                registry.listed_realms.add(registry.realms[step.realm])
            case "server_moved":
                home.move(f"203.0.{step.realm}.{step.number % 100 + 100}")
            case "server_secret":
                home.secret = home.site.secret = f"new secret {step.number} of {home.site.key}".encode()
                home.secrets.add(home.secret)
            case "client_removed":
                site.is_listed = False
                network.at(network.now + step.seconds, partial(self._list_again, site.key))
            case "client_secret":
                site.secret = f"new secret {step.number} of {site.key}".encode()
                site.secrets.add(site.secret)
            case "server_removed":
                home.site.is_listed = False
            case "order_reversed":
                registry.is_reversed = not registry.is_reversed
            case _:
                pass
        if step.number % 3:
            network.at(network.now + step.number % 7, self._swap)  # who changed is ahead of who has to know
        else:
            self._swap()

    def _list_again(self, key: str) -> None:
        for site in self.registry.askers:
            if site.key == key:
                site.is_listed = True
        self._swap()


def play(plan: Plan, *, tamper: Tamper | None = None, is_logged: bool = False) -> Failure | None:
    """Return what went wrong with a plan; None when nothing did."""
    run = Run(plan, tamper=tamper, is_logged=is_logged)
    try:
        run.play()
    except Exception as error:  # noqa: BLE001 - whatever it is, it has a seed
        reason = str(error) if isinstance(error, Violation) else f"{type(error).__name__}: {error}"
        run.network.note(reason)
        return Failure(plan, reason, run.network.log or [])
    return None


def play_seed(seed: int, *, tamper: Tamper | None = None) -> Failure | None:
    """Return what went wrong with a seed, with as few steps as suffice; None when nothing did."""
    failure = play(make_plan(seed), tamper=tamper)
    return None if failure is None else shrink(failure, tamper=tamper)


def shrink(failure: Failure, *, tamper: Tamper | None = None) -> Failure:
    """Return a failure with steps left out, as long as something still goes wrong; with its log."""
    size = max(1, len(failure.plan.steps) // 2)
    while size:
        at = 0
        while at < len(failure.plan.steps):
            smaller = play(failure.plan.without(range(at, at + size)), tamper=tamper)
            if smaller is None:
                at += size
            else:
                failure = smaller
        size //= 2
    return play(failure.plan, tamper=tamper, is_logged=True) or failure
