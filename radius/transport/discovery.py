"""Dynamic discovery at work (RFC 7585): the walk and cache of `radius.discovery`, real time, real nameservers."""

import asyncio
import logging
import random
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from ipaddress import IPv6Address, ip_address
from time import monotonic
from typing import Final, TypeAlias

from radius.discovery.cache import DiscoveryCache, Outcome, Pending, Resume
from radius.discovery.guards import Asker, Refusal, Rules
from radius.discovery.ports import HOLD_SECONDS
from radius.discovery.records import Answer, IPAddress, Question
from radius.discovery.walk import Finding, Found, Walk, walk
from radius.transport.nameservers import Nameserver, Resolver, read_nameservers

# What anybody can cause by typing is told at debug; what somebody has to look at, at warning.
_LEVELS: Final = {
    Refusal.NO_NAME: logging.DEBUG,
    Refusal.NO_SERVICE: logging.DEBUG,
    Refusal.LOOP_TO_SELF: logging.WARNING,  # RFC 7585 §3.4.4
}
# Addresses of documentation (RFC 5737, RFC 3849): nobody has them.
_NOBODY: Final[tuple[IPAddress, IPAddress]] = (ip_address("192.0.2.1"), ip_address("2001:db8::1"))

Asked: TypeAlias = tuple[Question, Answer]

_log = logging.getLogger(__name__)


class Discovery:
    """Realms that are found in the DNS, for one event loop; it is a `radius.discovery.ports.RealmDiscovery`."""

    def __init__(
        self,
        rules: Rules,
        nameservers: Sequence[Nameserver] = (),
        *,
        hold_seconds: float = HOLD_SECONDS,
        random_fraction: Callable[[], float] = random.random,
    ) -> None:
        """Nothing is asked before `find`; without nameservers those of this machine are."""
        self._rules = rules
        self._resolver = Resolver(nameservers or read_nameservers())
        self._hold_seconds = hold_seconds
        self._random_fraction = random_fraction
        self._cache = DiscoveryCache()
        self._tasks: set[asyncio.Task[None]] = set()
        self._found = 0
        self._refused: Counter[Refusal] = Counter()
        self._seconds = 0.0  # that lookups took, all together

    def find(self, realm: str, asker: Asker, now: float, resume: Resume) -> Outcome | Pending:
        """Return the servers of the realm, why there are none, or Pending; `resume` is called within the hold time."""
        outcome = self._cache.find(realm, asker, now, resume)
        for each in self._cache.take_lookups():
            task = asyncio.get_running_loop().create_task(self._look_up(each), name=f"discover {each}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return outcome

    def report(self, realm: str, refusal: Refusal, now: float) -> None:
        """Take note that the servers which `find` returned are no good."""
        _log.warning("discovered_realm_refused", extra={"realm": realm, "reason": refusal.value})
        self._cache.report(realm, refusal, now)

    def forget(self, realm: str) -> None:
        """The realm is looked up anew when it is asked for."""
        self._cache.forget(realm)

    def counters(self) -> dict[str, object]:
        """What a status report tells."""
        return {
            "found": self._found,
            "seconds": round(self._seconds, 3),
            "refused": {refusal.value: count for refusal, count in self._refused.items()},
            "realms": len(self._cache),
            "evicted": self._cache.evicted,
            "lookups": self._cache.lookups,
            "waiting": self._cache.waiting,
        }

    async def close(self) -> None:
        """Lookups under way are given up; who waits for one is told so."""
        await asyncio.sleep(0)  # one that never began would not tell
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_up(self, realm: str) -> None:
        finding: Finding = Refusal.NAMESERVER_FAILED
        began = monotonic()
        try:
            finding = await self._follow(realm)
        except Exception:  # noqa: BLE001 - the top of a task: a bug costs one lookup, is seen, and leaves nobody waiting
            _log.exception("internal_error")
        finally:
            self._seconds += monotonic() - began
            self._end(realm, finding)

    async def _follow(self, realm: str) -> Finding:
        """Drive the walk; each question is answered by the deadline, with a time-out if need be."""
        return await _drive(walk(realm, self._rules, self._random_fraction), self._resolver, self._hold_seconds)

    def _end(self, realm: str, finding: Finding) -> None:
        now = monotonic()
        if isinstance(finding, Found):
            self._found += 1
            servers = [f"{target.host}:{target.port}" for target in finding.targets]
            _log.info("realm_discovered", extra={"realm": realm, "servers": servers, "seconds": finding.seconds})
        else:
            self._refused[finding] += 1
            level = _LEVELS.get(finding, logging.INFO)
            _log.log(level, "realm_not_discovered", extra={"realm": realm, "reason": finding.value})
        for resume, outcome in self._cache.finish(realm, finding, now):
            try:
                resume(outcome, now)
            except Exception:  # noqa: BLE001 - the same: the others that wait are told all the same
                _log.exception("internal_error")


async def _drive(steps: Walk, resolver: Resolver, seconds: float, log: list[Asked] | None = None) -> Finding:
    deadline = asyncio.get_running_loop().time() + seconds
    answers: list[Answer] | None = None
    while True:
        try:
            questions = next(steps) if answers is None else steps.send(answers)
        except StopIteration as end:
            return end.value
        answers = await asyncio.gather(*(resolver.ask(question, deadline) for question in questions))
        if log is not None:
            log += zip(questions, answers, strict=True)


async def trace(
    realm: str, rules: Rules, nameservers: Sequence[Nameserver] = (), *, hold_seconds: float = HOLD_SECONDS
) -> tuple[Finding, list[Asked]]:
    """Return what is found of a realm now, and every question with its answer; nothing is remembered."""
    log: list[Asked] = []
    resolver = Resolver(nameservers or read_nameservers())
    return await _drive(walk(realm, rules, random.random), resolver, hold_seconds, log), log


def is_own_address(address: IPAddress) -> bool:
    """Whether this machine has the address: whether a socket can be bound to it.

    That is true at any time, also for addresses that came after the start, and asks nobody. Where the system lets
    sockets be bound to addresses that it does not have, nothing can be learnt so, and the configuration's own
    addresses have to do.
    """
    return _can_bind(address) and not _can_bind(_NOBODY[isinstance(address, IPv6Address)])


def _can_bind(address: IPAddress) -> bool:
    family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
    try:
        with closing(socket.socket(family, socket.SOCK_DGRAM)) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
