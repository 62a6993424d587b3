"""The way from a realm to its servers: NAPTR, SRV, then addresses (RFC 7585 §3.4.3, RFC 3958 §2.2, RFC 2782).

`walk` is a generator: it yields a round of questions, is sent their answers in the same order, and returns what it
found. It does no I/O, so who drives it decides on time; who closes it has given up. Every step is bounded, because the
owner of the realm writes the map.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from radius.discovery.guards import MIN_SECONDS, RADSEC_PORT, Refusal, Rules, Target, judge_address
from radius.discovery.records import (
    ROOT,
    Answer,
    IPAddress,
    Kind,
    Naptr,
    Question,
    Srv,
    Status,
    check_host,
    check_owner,
)

MAX_RECORDS: Final = 64  # in one answer; real realms have fewer than ten
MAX_STEPS: Final = 4  # NAPTR records that lead to NAPTR records
MAX_BRANCHES: Final = 4  # records of one NAPTR answer that are followed
MAX_TARGETS: Final = 8
MAX_ADDRESSES: Final = 4  # of one target, in each family
_MAX_TTL: Final = 2**31 - 1  # RFC 2181 §8: a TTL with the highest bit set is taken as 0

_REFUSALS: Final = {
    Status.NO_NAME: Refusal.NO_NAME,
    Status.FAILED: Refusal.NAMESERVER_FAILED,
    Status.TIMED_OUT: Refusal.TIMED_OUT,
    Status.CHAIN_TOO_LONG: Refusal.CHAIN_TOO_LONG,
    Status.TOO_LARGE: Refusal.TOO_MANY_RECORDS,
}
# What a realm is refused for when its records fail in several ways: the first of these that occurred. What may pass
# comes first, so that a hiccup in one branch is not remembered as the realm's own fault.
_GRAVITY: Final = (
    Refusal.TIMED_OUT,
    Refusal.NAMESERVER_FAILED,
    Refusal.ADDRESS_NOT_ALLOWED,
    Refusal.CHAIN_TOO_LONG,
    Refusal.TOO_MANY_RECORDS,
    Refusal.RECORD_MALFORMED,
    Refusal.NOT_OFFERED,
    Refusal.NO_SERVER,
    Refusal.NO_ADDRESS,
    Refusal.NO_SERVICE,
    Refusal.NO_NAME,
)
_PASSING: Final = frozenset({Refusal.TIMED_OUT, Refusal.NAMESERVER_FAILED})


@dataclass(frozen=True, slots=True)
class Found:
    """The servers of a realm, best first, and for how long that holds."""

    targets: tuple[Target, ...]
    seconds: int


Finding: TypeAlias = Found | Refusal
Round: TypeAlias = tuple[Question, ...]
Walk: TypeAlias = Generator[Round, Sequence[Answer], Finding]


@dataclass(frozen=True, slots=True)
class _Place:
    """A host and port that records name, with its name checked."""

    host: str
    port: int


class _Notes:
    """What was seen on the way: the shortest TTL, and everything that was wrong."""

    def __init__(self) -> None:
        self.ttl = _MAX_TTL
        self.wrong: set[Refusal] = set()

    def read(self, answer: Answer, missing: Refusal) -> tuple[Naptr | Srv | IPAddress, ...]:
        """Return the records of the answer; none, and a note, where they can not be used."""
        if answer.status is Status.FOUND and len(answer.records) > MAX_RECORDS:
            self.wrong.add(Refusal.TOO_MANY_RECORDS)
        elif answer.status is Status.FOUND:
            self.ttl = min(self.ttl, answer.ttl if answer.ttl <= _MAX_TTL else 0)
            return answer.records
        else:
            self.wrong.add(_REFUSALS.get(answer.status, missing))
        return ()

    def gravest(self, otherwise: Refusal) -> Refusal:
        return next((refusal for refusal in _GRAVITY if refusal in self.wrong), otherwise)


def walk(realm: str, rules: Rules, random_fraction: Callable[[], float]) -> Walk:
    """Find the servers of a realm; `random_fraction` gives numbers from 0 to 1 for the weights of SRV records."""
    notes = _Notes()
    owner = check_host(realm)
    if owner is None:
        return Refusal.RECORD_MALFORMED
    places = yield from _find_places(owner, rules, notes, random_fraction)
    if isinstance(places, Refusal):
        return places
    if any(place.host in rules.own_names for place in places):
        return Refusal.LOOP_TO_SELF
    return (yield from _find_addresses(places[:MAX_TARGETS], rules, notes))


def _find_places(
    owner: str, rules: Rules, notes: _Notes, random_fraction: Callable[[], float]
) -> Generator[Round, Sequence[Answer], list[_Place] | Refusal]:
    """Follow NAPTR records from the realm to hosts and ports."""
    for _ in range(MAX_STEPS):
        (answer,) = yield (Question(owner, Kind.NAPTR),)
        records = [record for record in notes.read(answer, Refusal.NO_SERVICE) if isinstance(record, Naptr)]
        if notes.wrong:
            return notes.gravest(Refusal.NO_SERVICE)
        chosen = choose_naptr(records, rules.services)
        if not chosen:
            return Refusal.NO_SERVICE
        usable = [record for record in chosen if _is_usable(record)][:MAX_BRANCHES]
        if not usable:
            return Refusal.RECORD_MALFORMED
        if usable[0].flags:
            return (yield from _end_naptr(usable, notes, random_fraction))
        owner = usable[0].replacement.removesuffix(".").lower()  # RFC 3958 §2.2.2: ask on there
    return Refusal.CHAIN_TOO_LONG


def _end_naptr(
    records: Sequence[Naptr], notes: _Notes, random_fraction: Callable[[], float]
) -> Generator[Round, Sequence[Answer], list[_Place] | Refusal]:
    """Ask for the servers that terminal records name, all at once; in the order of the records."""
    asked = [record for record in records if record.flags.lower() == "s"]
    answers = yield tuple(Question(_owner_of(record), Kind.SRV) for record in asked)
    servers = {
        _owner_of(record): [each for each in notes.read(answer, Refusal.NO_SERVER) if isinstance(each, Srv)]
        for record, answer in zip(asked, answers, strict=True)
    }
    places: list[_Place] = []
    for record in records:
        if record.flags.lower() == "a":
            places.append(_Place(_owner_of(record), RADSEC_PORT))
        elif record.flags:
            places += _read_servers(servers[_owner_of(record)], notes, random_fraction)
    return list(dict.fromkeys(places)) or notes.gravest(Refusal.NO_SERVER)


def _read_servers(servers: Sequence[Srv], notes: _Notes, random_fraction: Callable[[], float]) -> list[_Place]:
    places: list[_Place] = []
    for server in order_servers(servers, random_fraction):
        host = check_host(server.target)
        if server.target == ROOT:
            notes.wrong.add(Refusal.NOT_OFFERED)
        elif host is None or not 0 < server.port <= 0xFFFF:
            notes.wrong.add(Refusal.RECORD_MALFORMED)
        else:
            places.append(_Place(host, server.port))
    return places


def _find_addresses(
    places: Sequence[_Place], rules: Rules, notes: _Notes
) -> Generator[Round, Sequence[Answer], Finding]:
    """Ask for the addresses of all places at once; refuse the realm when one of them is this node."""
    hosts = list(dict.fromkeys(place.host for place in places))
    answers = yield tuple(Question(host, kind) for host in hosts for kind in (Kind.AAAA, Kind.A))
    read = [
        [each for each in notes.read(answer, Refusal.NO_ADDRESS) if not isinstance(each, Naptr | Srv)][:MAX_ADDRESSES]
        for answer in answers
    ]
    addresses = {host: read[2 * n] + read[2 * n + 1] for n, host in enumerate(hosts)}
    targets: list[Target] = []
    for place in places:
        allowed: list[IPAddress] = []
        for address in addresses[place.host]:
            refusal = judge_address(address, place.port, rules)
            if refusal is Refusal.LOOP_TO_SELF:
                return refusal
            if refusal is None:
                allowed.append(address)
            else:
                notes.wrong.add(refusal)
        if allowed:
            targets.append(Target(place.host, place.port, tuple(dict.fromkeys(allowed))))
    if not targets:
        return notes.gravest(Refusal.NO_ADDRESS)
    ttl = 0 if notes.wrong & _PASSING else notes.ttl  # half a picture is looked at again soon
    return Found(tuple(targets), max(MIN_SECONDS, min(ttl, rules.max_seconds)))


def choose_naptr(records: Iterable[Naptr], services: Sequence[str]) -> list[Naptr]:
    """The records of the first tag that the realm has, by order and preference (RFC 3403 §4.1); tags have no case."""
    by_service: dict[str, list[Naptr]] = {}
    for record in records:
        by_service.setdefault(record.service.lower(), []).append(record)
    for service in services:
        if service in by_service:
            return sorted(by_service[service], key=lambda record: (record.order, record.preference))
    return []


def order_servers(servers: Iterable[Srv], random_fraction: Callable[[], float]) -> list[Srv]:
    """By priority; within one, drawn by weight (RFC 2782): those of weight 0 have a small chance to come first."""
    ordered: list[Srv] = []
    left = sorted(servers, key=lambda server: (server.priority, server.weight))
    while left:
        group = [server for server in left if server.priority == left[0].priority]
        left = left[len(group) :]
        while group:
            mark = random_fraction() * sum(server.weight for server in group)
            at = 0
            while at < len(group) - 1 and (mark := mark - group[at].weight) > 0:
                at += 1
            ordered.append(group.pop(at))
    return ordered


def _is_usable(record: Naptr) -> bool:
    """Whether the record has a form that S-NAPTR knows (RFC 3958 §2.2): flag "s", "a" or none, no expression."""
    flags = record.flags.lower()
    check = check_host if flags == "a" else check_owner
    return flags in ("", "s", "a") and not record.regexp and check(record.replacement) is not None


def _owner_of(record: Naptr) -> str:
    return record.replacement.removesuffix(".").lower()
