"""Counting every drop and refusal, and letting a line in the log through once a minute for each peer and reason."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from radius.exchange.liveness import HopState
from radius.wire.codes import CODE_NAMES

QUIET_SECONDS: Final = 60.0
MAX_LINES_A_MINUTE: Final = 600  # over all peers: source addresses can be forged, and each would be worth a line
MAX_REMEMBERED: Final = 4096  # pairs of peer and reason; beyond, the table starts anew


Write = Callable[[str, Mapping[str, object]], None]


class Notices:
    """All counters of a worker, by their stable codes."""

    __slots__ = (
        "_doubted",
        "_lines",
        "_minute_began",
        "_remembered",
        "_write",
        "accounting",
        "answered",
        "drops",
        "refusals",
        "requested",
        "told",
    )

    requested: list[int]
    """Requests that are believed, by code; a list, as this is counted for every packet."""
    answered: list[int]
    """Answers, by code."""

    def __init__(self, write: Write) -> None:
        """`write` puts an event with its fields into the log."""
        self._write = write
        self._remembered: dict[tuple[str, str], list[float]] = {}
        self._doubted: set[str] = set()  # home servers whose last line says "suspect"
        self._lines = 0
        self._minute_began = 0.0
        self.requested = [0] * 256
        self.answered = [0] * 256
        self.drops: Counter[str] = Counter()  # by DropReason
        self.refusals: Counter[str] = Counter()  # by RefusalReason
        self.told = 0  # of what happened, to whoever records it
        self.accounting: Counter[str] = Counter()  # "forwarded", "local", or why it was meant to go and did not

    @property
    def requests(self) -> Counter[str]:
        """Requests by the names of their codes."""
        return _by_name(self.requested)

    @property
    def answers(self) -> Counter[str]:
        """Answers by the names of their codes."""
        return _by_name(self.answered)

    def drop(self, reason: str, peer: str, now: float) -> None:
        """A packet of that peer gets no answer."""
        self.drops[reason] += 1
        self._tell("packet_dropped", peer, reason, now, {"peer": peer, "reason": reason})

    def refuse(self, reason: str, peer: str, now: float, realm: str = "") -> None:
        """A request of that peer is answered with a refusal."""
        self.refusals[reason] += 1
        self._tell("request_refused", peer, reason, now, _of_realm(peer, reason, realm))

    def keep_accounting(self, reason: str | None, peer: str, now: float, realm: str = "") -> None:
        """Accounting of that peer is answered here: as is usual, or with why its library does not get it."""
        self.accounting[reason or "local"] += 1
        if reason is not None:
            self._tell("accounting_not_forwarded", peer, reason, now, _of_realm(peer, reason, realm))

    def tell_hop(self, key: str, before: HopState, state: HopState, now: float) -> None:
        """A home server is in another state; its doubts are told of once a minute, and the end of each that was."""
        fields = {"peer": key, "state": state.value}
        if state is HopState.SUSPECT:
            if self._tell("home_server_state", key, state.value, now, fields):
                self._doubted.add(key)
        elif before is HopState.DOWN or state is HopState.DOWN or key in self._doubted:
            self._doubted.discard(key)
            self._write("home_server_state", fields)

    def tell_port(self, key: str, now: float) -> None:
        """Nothing is heard on a source port towards a home server: new requests go out from another."""
        self._tell("source_port_left", key, "source_port", now, {"peer": key})

    def tell_breaker(self, realm: str, hop: str, state: str) -> None:
        """The breaker of a realm at a home server is in another state."""
        self._write("realm_breaker", {"realm": realm, "peer": hop, "state": state})

    def _tell(self, event: str, peer: str, reason: str, now: float, fields: Mapping[str, object]) -> bool:
        """Whether the line was written."""
        known = self._remembered.get((peer, reason))
        if known is not None and now - known[0] < QUIET_SECONDS:
            known[1] += 1
            return False
        if now - self._minute_began >= QUIET_SECONDS:
            self._minute_began, self._lines = now, 0
        self._lines += 1
        if self._lines > MAX_LINES_A_MINUTE:
            return False
        if known is None and len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
            self._doubted.clear()
        suppressed = int(known[1]) if known is not None else 0
        self._remembered[peer, reason] = [now, 0]
        more = {"suppressed": suppressed} if suppressed else {}
        self._write(event, {**fields, **more})
        return True


def _of_realm(peer: str, reason: str, realm: str) -> dict[str, object]:
    return {"peer": peer, "reason": reason, "realm": realm} if realm else {"peer": peer, "reason": reason}


def _by_name(counts: list[int]) -> Counter[str]:
    return Counter({CODE_NAMES[code]: count for code, count in enumerate(counts) if count})
