"""What a client gets: answers that its repeats get again, refusals that wait a while, silence that is counted."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from socket import socket
from time import monotonic
from typing import Final

from federation.reasons import RefusalReason
from radius.errors import DropReason
from radius.exchange.duplicates import Duplicates
from radius.home.authorise import build_reject_attributes
from radius.home.clients import Peer
from radius.transport.udp import Address
from radius.wire.codes import CODE_NAMES, AttributeType, Code, ErrorCause
from radius.wire.packet import Packet, build_attribute
from radius.wire.rewrite import build_reply

REJECT_DELAY_SECONDS: Final = 1.0
REJECT_JITTER_SECONDS: Final = 0.2
MAX_DELAYED: Final = 5_000  # beyond it a refusal goes out at once: memory is worth more than the delay
QUIET_SECONDS: Final = 60.0
MAX_QUIET: Final = 4_096  # pairs of peer and reason; forged addresses start the table anew
EAP_FAILURE: Final = 4  # RFC 3748 §4.2
_NOT_PROCESSED: Final = frozenset(
    (RefusalReason.SESSIONS_FULL, RefusalReason.STORE_UNAVAILABLE, RefusalReason.STORE_TIMEOUT)
)
_RESOURCES_UNAVAILABLE: Final = build_attribute(AttributeType.ERROR_CAUSE, ErrorCause.RESOURCES_UNAVAILABLE.to_bytes(4))

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """A request that is new and authentic, and the way back."""

    packet: Packet
    peer: Peer
    send: Callable[[bytes], None]
    key: Hashable
    eap: bytes
    received_at: float
    requires_errors: bool = False
    """Whether it came over RADIUS/1.1: what can not be processed is answered with Protocol-Error (RFC 9765 §6.1)."""


class Replies:
    """The end of each request; all of it in the running loop."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        """`jitter` is uniform in 0 to 1."""
        self.duplicates = Duplicates()
        self._jitter = jitter
        self._delayed: dict[Hashable, tuple[asyncio.TimerHandle, Callable[[], None]]] = {}
        self._drops: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self._answers: Counter[str] = Counter()
        self._quiet_until: dict[tuple[str, str], float] = {}

    def counters(self) -> dict[str, object]:
        """What was counted since the start."""
        return {"answers": dict(self._answers), "drops": dict(self._drops), "refusals": dict(self._refusals)}

    def answer(self, request: Request, code: Code, attributes: bytes) -> None:
        """The client gets this now, and again when it repeats its request."""
        packet = request.packet
        octets = build_reply(code, packet, request.peer.keyed, attributes)
        if not isinstance(octets, bytes):  # so full of Proxy-State that no answer fits
            self.duplicates.forget(request.key, packet.authenticator)
            self.drop(DropReason.TOO_MANY_ATTRIBUTES, request.peer.key)
            return
        if self.duplicates.answer(request.key, packet.authenticator, octets, monotonic()):
            self._answers[CODE_NAMES[code]] += 1
            request.send(octets)

    def refuse(self, request: Request, reason: RefusalReason, eap: bytes = b"") -> None:
        """The client gets a no, in a while; EAP-Failure goes with it whenever it asked with EAP (RFC 3579 §2.6.3)."""
        self._refusals[reason] += 1
        if request.requires_errors and reason in _NOT_PROCESSED:  # nobody has said no: another server may do better
            self.answer(request, Code.PROTOCOL_ERROR, _RESOURCES_UNAVAILABLE)
            return
        if not eap and len(request.eap) > 1:
            eap = bytes((EAP_FAILURE, request.eap[1], 0, 4))

        def send() -> None:
            self._delayed.pop(request.key, None)
            self.answer(request, Code.ACCESS_REJECT, build_reject_attributes(eap))

        if len(self._delayed) >= MAX_DELAYED or request.key in self._delayed:
            send()
            return
        delay = REJECT_DELAY_SECONDS + REJECT_JITTER_SECONDS * (2 * self._jitter() - 1)
        self._delayed[request.key] = (asyncio.get_running_loop().call_later(delay, send), send)

    def turn_away(self, packet: Packet, peer: Peer, send: Callable[[bytes], None], cause: ErrorCause) -> None:
        """A client hears that its request is not processed (RFC 9765 §6.1); nothing is remembered of it."""
        said = build_attribute(AttributeType.ERROR_CAUSE, cause.to_bytes(4))
        octets = build_reply(Code.PROTOCOL_ERROR, packet, peer.keyed, said)
        if isinstance(octets, bytes):
            send(octets)

    def flush(self) -> None:
        """Refusals that wait go out now."""
        for timer, send in list(self._delayed.values()):
            timer.cancel()
            send()

    def ignore(self, request: Request) -> None:
        """No answer; the device sends again, or gives up."""
        self.duplicates.forget(request.key, request.packet.authenticator)
        self.drop(DropReason.DUPLICATE_PENDING, request.peer.key)

    def drop(self, reason: DropReason, peer: str) -> None:
        """Count it; no answer leaves."""
        self._drops[reason] += 1
        if reason is not DropReason.DUPLICATE_PENDING:
            self.tell("packet_dropped", reason, peer)

    def tell(self, event: str, reason: DropReason | RefusalReason, peer: str) -> None:
        """One line a minute for each peer and reason, so that a flood does not become a flood of lines."""
        now = monotonic()
        if now < self._quiet_until.get((peer, reason), 0.0):
            return
        if len(self._quiet_until) >= MAX_QUIET:
            self._quiet_until.clear()
        self._quiet_until[peer, reason] = now + QUIET_SECONDS
        _log.warning(event, extra={"peer": peer, "reason": reason})

    def send_datagram(self, listener: socket, address: Address, octets: bytes) -> None:
        """Send once; a failure is as if the network had lost it, and the client asks again."""
        try:
            listener.sendto(octets, address)
        except OSError as error:
            self._drops["not_sent"] += 1
            _log.debug("answer_not_sent", extra={"peer": address[0], "error": error.strerror})

    def on_timer(self, now: float) -> bool:
        """Some old answers are forgotten; returns whether there are more, for the next turn of the loop."""
        self.duplicates.on_timer(now)
        due = self.duplicates.next_timer()
        return due is not None and due <= now
