"""What RADIUS/TLS peers show and accept, as the proxies see it: taken from the workers' reports, kept in the registry.

A proxy worker reports, under `counters()["peers"]`, for each peer by its key "library/name":

    end          "client" or "server": what the peer was in that handshake
    connections  how many there are
    anchor       SHA-256 of the root that the peer's chain ended in, lower-case hexadecimal
    presented    SHA-256 of the peer's certificate
    serial       its serial number, hexadecimal
    not_after    its end, seconds since the epoch
    own_anchor   SHA-256 of the root above *our* certificate, which the peer accepted by finishing the handshake
    seen_at      when the connection last stood, seconds since the epoch

Reports end with the process and are this node's; rows stay, and nodes that share a database share them. A row tells of
the last connection of a peer, which may have ended.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from federation.statistics.reports import WorkerReport
from federation.store.session import Store
from federation.store.tables.trust import SightingRow

ENDS: Final = frozenset({"client", "server"})
_HEXADECIMAL: Final = frozenset("0123456789abcdef")
_FINGERPRINT_CHARACTERS: Final = 64
_SERIAL_CHARACTERS: Final = 40
_MAX_PEER_CHARACTERS: Final = 200
_REFRESH: Final = timedelta(minutes=10)  # a row that says the same is written again only then


@dataclass(frozen=True, slots=True)
class Sighting:
    """The last handshake with a peer."""

    peer: str  # "library/name"
    end: str
    serial: str  # lower-case hexadecimal
    anchor: str
    own_anchor: str
    not_after: datetime
    seen_at: datetime

    @property
    def library(self) -> str:
        """The library that the peer is registered with."""
        return self.peer.partition("/")[0]


def read_sightings(reports: Iterable[WorkerReport]) -> list[Sighting]:
    """The newest sighting of each peer and end in *reports*; what is not as agreed is left out."""
    newest: dict[tuple[str, str], Sighting] = {}
    for report in reports:
        for found in _parse(report.counters.get("peers")):
            _keep_newest(newest, found)
    return list(newest.values())


def list_sightings(session: Session, reports: Iterable[WorkerReport] = ()) -> list[Sighting]:
    """The newest sighting of each peer and end, from the registry and from *reports*, by peer."""
    newest: dict[tuple[str, str], Sighting] = {}
    for row in session.scalars(select(SightingRow)):
        found = Sighting(row.peer, row.end, row.serial, row.anchor, row.own_anchor, row.not_after, row.seen_at)
        _keep_newest(newest, found)
    for found in read_sightings(reports):
        _keep_newest(newest, found)
    return [newest[key] for key in sorted(newest)]


def record_sightings(store: Store, reports: Iterable[WorkerReport]) -> int:
    """What the reports tell is in the registry; returns how many rows were written.

    It is no change of the registry: no revision, no audit, no announcement. Where nothing is new nothing is written.
    """
    found = read_sightings(reports)
    with store.read() as session:
        if not any(_is_news(session, each) for each in found):
            return 0
    written = 0
    with store.write() as session:
        for each in found:
            if _is_news(session, each):
                row = SightingRow(
                    peer=each.peer,
                    end=each.end,
                    serial=each.serial,
                    anchor=each.anchor,
                    own_anchor=each.own_anchor,
                    not_after=each.not_after,
                    seen_at=each.seen_at,
                )
                session.merge(row)
                written += 1
    return written


def _is_news(session: Session, found: Sighting) -> bool:
    row = session.get(SightingRow, (found.peer, found.end))
    if row is None:
        return True
    says_the_same = (row.serial, row.anchor, row.own_anchor) == (found.serial, found.anchor, found.own_anchor)
    return found.seen_at > row.seen_at + (_REFRESH if says_the_same else timedelta())


def _keep_newest(newest: dict[tuple[str, str], Sighting], found: Sighting) -> None:
    known = newest.get((found.peer, found.end))
    if known is None or found.seen_at >= known.seen_at:
        newest[found.peer, found.end] = found


def _parse(peers: object) -> Iterator[Sighting]:
    """A report is a file: whatever stands in it, this raises nothing."""
    if not isinstance(peers, Mapping):
        return
    for peer, values in cast("Mapping[str, Any]", peers).items():  # Any: JSON; checked below
        if not isinstance(values, Mapping):
            continue
        entry = cast("Mapping[str, Any]", values)
        end, serial = str(entry.get("end")), str(entry.get("serial", "")).lower().lstrip("0")
        anchor, own_anchor = (str(entry.get(name, "")).lower() for name in ("anchor", "own_anchor"))
        not_after, seen_at = (_moment(entry.get(name)) for name in ("not_after", "seen_at"))
        if (
            end in ENDS
            and 0 < len(peer) <= _MAX_PEER_CHARACTERS
            and 0 < len(serial) <= _SERIAL_CHARACTERS
            and set(serial) <= _HEXADECIMAL
            and all(len(each) == _FINGERPRINT_CHARACTERS and set(each) <= _HEXADECIMAL for each in (anchor, own_anchor))
            and not_after is not None
            and seen_at is not None
        ):
            yield Sighting(peer, end, serial, anchor, own_anchor, not_after, seen_at)


def _moment(seconds: object) -> datetime | None:
    if not isinstance(seconds, (int, float)) or not math.isfinite(seconds):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
