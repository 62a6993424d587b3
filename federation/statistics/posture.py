"""How well each peer signs what it sends, and what would change if that were required of it (CVE-2024-3596).

Message-Authenticator protects a packet from whoever can change it on the way. New peers have to send it; an old one may
be excused, and until when is for operators to decide. Workers count where it stood in what each peer sent since they
started; here their counts become one answer for each peer.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from federation.statistics.reports import WorkerReport


class PeerKind(StrEnum):
    """What a peer is to the proxy."""

    CLIENT = "client"  # an access point or another proxy: counted are its Access-Requests
    HOME_SERVER = "home-server"  # counted are its answers


class IfRequired(StrEnum):
    """What would change if Message-Authenticator were required of a peer."""

    REQUIRED = "required"  # it is, already
    NOTHING = "nothing"  # all that it sent was signed
    DROPS = "drops"  # what it sends without would be dropped
    PROTECTED = "protected"  # TLS protects what it sends: nothing is required, and nothing would change
    UNKNOWN = "unknown"  # it has sent nothing yet


@dataclass(frozen=True, slots=True)
class PeerPosture:
    """What one peer sent to the workers of this node."""

    kind: PeerKind
    key: str  # "library/name", as in the registry
    is_required: bool
    first: int = 0  # packets in which Message-Authenticator was the first attribute, as it should be
    later: int = 0  # in which it stood elsewhere
    missing: int = 0  # in which it was not; dropped where it is required
    is_tls: bool = False  # RADIUS/1.1, which has none, is counted as if it stood first

    @property
    def if_required(self) -> IfRequired:
        """What would change if it were required."""
        if self.is_tls:
            return IfRequired.PROTECTED
        if self.is_required:
            return IfRequired.REQUIRED
        if self.missing:
            return IfRequired.DROPS
        return IfRequired.NOTHING if self.first or self.later else IfRequired.UNKNOWN


def assess_posture(reports: Iterable[WorkerReport]) -> list[PeerPosture]:
    """Each peer of the proxies' once, ordered by kind and key."""
    found: dict[tuple[PeerKind, str], PeerPosture] = {}
    for report in reports:
        for field, kind in (("clients", PeerKind.CLIENT), ("home_servers", PeerKind.HOME_SERVER)):
            for key, counters in _mappings(report.counters.get(field)):
                required = counters.get("message_authenticator_required")
                is_tls = counters.get("transport") == "tls"
                if isinstance(required, int) or is_tls:  # else it is no proxy's
                    before = found.get((kind, key), PeerPosture(kind, key, is_required=True))
                    found[kind, key] = PeerPosture(
                        kind,
                        key,
                        before.is_required and bool(required),
                        before.first + _number(counters, "first"),
                        before.later + _number(counters, "later"),
                        before.missing + _number(counters, "missing"),
                        is_tls,
                    )
    return [found[each] for each in sorted(found)]


def _mappings(value: object) -> Iterable[tuple[str, Mapping[str, object]]]:
    if isinstance(value, Mapping):
        for key, inner in cast("Mapping[str, object]", value).items():  # JSON: keys are text
            if isinstance(inner, Mapping):
                yield key, cast("Mapping[str, object]", inner)  # likewise


def _number(counters: Mapping[str, object], place: str) -> int:
    value = counters.get(f"message_authenticator_{place}")
    return value if isinstance(value, int) else 0
