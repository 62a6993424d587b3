"""A DNS of a few lines, for walks that need no network."""

from collections.abc import Callable, Mapping
from ipaddress import ip_address

from radius.discovery.guards import Rules
from radius.discovery.records import Answer, IPAddress, Kind, Naptr, Question, Srv, Status
from radius.discovery.walk import Finding, walk

SERVICE = "x-biebroam:radius.tls"
Zone = Mapping[tuple[str, Kind], Answer]


def found(*records: Naptr | Srv | IPAddress, ttl: int = 300) -> Answer:
    return Answer(Status.FOUND, records, ttl)


def addresses(*texts: str, ttl: int = 300) -> Answer:
    return found(*map(ip_address, texts), ttl=ttl)


def naptr(
    replacement: str = "_radsec._tcp.lib.example.",
    *,
    order: int = 100,
    preference: int = 10,
    flags: str = "s",
    service: str = SERVICE,
    regexp: str = "",
) -> Naptr:
    return Naptr(order, preference, flags, service, regexp, replacement)


def srv(target: str = "radius.lib.example.", *, priority: int = 0, weight: int = 0, port: int = 2083) -> Srv:
    return Srv(priority, weight, port, target)


GOOD: Zone = {
    ("lib.example", Kind.NAPTR): found(naptr(), ttl=900),
    ("_radsec._tcp.lib.example", Kind.SRV): found(srv(), ttl=600),
    ("radius.lib.example", Kind.A): addresses("9.9.9.9", ttl=300),
    ("radius.lib.example", Kind.AAAA): addresses("2620:fe::9", ttl=400),
}


def follow(
    zone: Zone,
    realm: str = "lib.example",
    rules: Rules | None = None,
    random_fraction: Callable[[], float] = lambda: 0.0,
    asked: list[Question] | None = None,
) -> Finding:
    """What the walk finds in the zone; what is not in it is NXDOMAIN. `asked` gets every question."""
    steps = walk(realm, rules or Rules(), random_fraction)
    try:
        questions = next(steps)
        while True:
            if asked is not None:
                asked.extend(questions)
            questions = steps.send([zone.get((name, kind), Answer(Status.NO_NAME)) for name, kind in questions])
    except StopIteration as end:
        return end.value
