"""Home servers as the packet path needs them: their source ports, what is outstanding, and whether they live."""

from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Final, Protocol, cast

from federation.snapshot import HomeServer, Transport
from radius.errors import DropReason
from radius.exchange.identifiers import Identifiers
from radius.exchange.liveness import HopState, Liveness
from radius.proxy.exchange import Exchange
from radius.proxy.ports import Flow, FlowOpener, Port, Stream, StreamOpener
from radius.wire.authenticators import KeyedSecret
from radius.wire.packet import Packet

MAX_FLOWS: Final = 64  # source ports to one home server: 16,320 requests outstanding
MAX_STREAMS: Final = 16  # connections to one home server: 4,080 requests outstanding
GRACE_SECONDS: Final = 3.0  # requests wait so long for a connection that was lost; then there is a no at once

Receive = Callable[["Upstream", Flow, bytes, float], DropReason | None]


class StreamEvents(Protocol):
    """Who has to know when a connection to a home server comes and goes."""

    def resume(self, upstream: "Upstream", stream: Stream, now: float, answered_elsewhere: frozenset[int], /) -> None:
        """It stands again; what waits on those identifiers gets its answer all the same."""
        ...

    def interrupt(self, upstream: "Upstream", streams: Sequence[Stream], now: float, /) -> None:
        """The one that they share was lost, or could not be made."""
        ...


class Upstream:
    """One home server of the snapshot at one address."""

    __slots__ = (
        "_events",
        "_open",
        "_open_stream",
        "_receive",
        "address",
        "answers",
        "check_authenticator",
        "heard_at",
        "identifiers",
        "is_draining",
        "is_named",
        "is_stream",
        "key",
        "keyed",
        "late",
        "left_at",
        "liveness",
        "lost_at",
        "ports_left",
        "ports_watched_again",
        "repeats",
        "requests",
        "requires_message_authenticator",
        "server",
        "signed_first",
        "signed_later",
        "standing",
        "timeouts",
        "unsigned",
        "weight",
    )

    def __init__(
        self,
        server: HomeServer,
        open_flow: FlowOpener,
        receive: Receive,
        address: str | None = None,
        *,
        open_stream: StreamOpener | None = None,
        events: StreamEvents | None = None,
    ) -> None:
        """No port is opened before the first request; `address` is what the server's name resolved to.

        One that speaks RADIUS/TLS has connections, opened by `open_stream`, and `events` hears of them.
        """
        self.server = server
        self.key = server.key
        self.weight = server.weight or int(server.is_hosted)  # hosted ones are equals
        self.keyed = KeyedSecret(server.secret)
        self.is_stream = server.transport is Transport.TLS
        # Over TLS nothing can be put in on the way: the flag is for UDP (CVE-2024-3596).
        self.requires_message_authenticator = server.requires_message_authenticator and not self.is_stream
        self.identifiers: Identifiers[Flow, Exchange] = Identifiers(MAX_STREAMS if self.is_stream else MAX_FLOWS)
        self.liveness = Liveness()
        self.is_named = not self.is_stream and not is_address(server.host)  # its name is to be resolved
        # None: it can not be asked, as its name is not resolved yet, or no connection to it stands for some time.
        self.address = address if self.is_named else server.host
        self.standing: set[Stream] = set()  # its connections that stand
        self.lost_at: float | None = None  # since when none does
        self.is_draining = False  # it left the snapshot, and what it was asked may still be answered
        self.check_authenticator = b""  # of the Status-Server that is out
        self.heard_at = float("-inf")  # when it last answered: a request, in time or late, or a check
        self.requests = 0
        self.answers = 0
        self.repeats = 0
        self.timeouts = 0
        self.late = 0
        self.left_at = float("-inf")  # when it got another source port in the place of one
        self.ports_left = 0  # source ports of which nothing was heard while it answered on others
        self.ports_watched_again = 0  # how often one was, of which nothing was heard
        # Where the Message-Authenticator of its answers stood (CVE-2024-3596).
        self.signed_first = 0
        self.signed_later = 0
        self.unsigned = 0
        self._open = open_flow
        self._open_stream = open_stream
        self._events = events
        self._receive = receive

    @property
    def is_down(self) -> bool:
        """Whether it is believed not to answer, or can not be asked."""
        return self.liveness.state is HopState.DOWN or self.address is None or self.lost_at is not None

    def observe(self, packet: Packet) -> None:
        """Count an authentic answer whose Message-Authenticator is not the first attribute."""
        if packet.message_authenticator:
            self.signed_later += 1
        else:
            self.unsigned += 1

    def open_flow(self) -> Flow | None:
        """Another source port or connection, if there may be one and the system gives it."""
        if self.is_draining or not self.identifiers.may_grow:
            return None
        flow: Flow | None = None
        if self.is_stream:
            flow = self._open_stream(self) if self._open_stream is not None else None
        elif self.address is not None:
            flow = self._open(self.address, self.server.port, self.receive)
        if flow is not None:
            self.identifiers.add_flow(flow)
        return flow

    def shrink(self) -> bool:
        """Close a source port that can be spared; returns whether there are others left that may be later."""
        for retired in self.identifiers.remove_retired():
            retired.close()
        flow = self.identifiers.shrink()
        if flow is not None:
            self.standing.discard(cast("Stream", flow))  # if it is one
            flow.close()
        return len(self.identifiers.flows) > 1

    def check_flow(self) -> Flow | None:
        """The flow on which Status-Server is sent."""
        for flow in self.identifiers.flows:
            if not self.identifiers.is_retired(flow):
                return flow
        return self.open_flow()

    def listen_again(self, flow: Flow) -> None:
        """What has come to a source port may not have been read: it is watched anew."""
        self.ports_watched_again += 1
        cast("Port", flow).watch_again()

    def leave(self, flow: Flow, now: float) -> bool:
        """New requests go out from another source port than that one; False when there is no other to be had."""
        if self.open_flow() is None:
            return False
        self.identifiers.retire(flow)
        self.left_at = now
        return True

    # What its flows tell.

    def receive(self, flow: Flow, octets: bytes, now: float) -> DropReason | None:
        """Take what came; returns why it was not used, if it was not."""
        return self._receive(self, flow, octets, now)

    def waiting_on(self, stream: Stream) -> frozenset[int]:
        """The identifiers on which something waits for an answer."""
        waiting = self.identifiers.waiting_on(stream)
        return frozenset(each.slot.identifier for each in waiting if each.slot is not None)

    def resume(self, stream: Stream, now: float, answered_elsewhere: frozenset[int] = frozenset()) -> None:
        """A connection stands; what waits on those identifiers is still answered on one before it."""
        if self._events is not None:
            self._events.resume(self, stream, now, answered_elsewhere)

    def interrupt(self, streams: Sequence[Stream], now: float) -> None:
        """The connection that they share was lost, or could not be made."""
        if self._events is not None:
            self._events.interrupt(self, streams, now)

    def restart(self) -> None:
        """It does not answer: its connections are given up, and made anew."""
        if self.is_stream:
            for flow in self.identifiers.flows:
                cast("Stream", flow).restart()  # a home server's flows are of one kind

    def close(self) -> list[Exchange]:
        """Every port is closed; returns what was outstanding."""
        waiting: list[Exchange] = []
        for flow in self.identifiers.flows:
            waiting += self.identifiers.remove_flow(flow)
            flow.close()
        return waiting

    def counters(self) -> dict[str, object]:
        """What a status report tells."""
        return {
            "state": self.liveness.state.value,
            "outstanding": self.identifiers.outstanding,
            "source_ports": len(self.identifiers.flows),
            "requests": self.requests,
            "answers": self.answers,
            "repeats": self.repeats,
            "timeouts": self.timeouts,
            "late": self.late,
            "message_authenticator_first": self.signed_first,
            "message_authenticator_later": self.signed_later,
            "message_authenticator_missing": self.unsigned,
            **(
                {"transport": "tls"}
                if self.is_stream
                else {
                    "message_authenticator_required": int(self.requires_message_authenticator),
                    "source_ports_left": self.ports_left,
                    "source_ports_watched_again": self.ports_watched_again,
                }
            ),
        }


def choose_address(found: Sequence[str], current: str | None, *, is_down: bool) -> str | None:
    """Return where a home server of these addresses is asked: where it was while that holds and lives, else the next.

    None when it has no address and never had one.
    """
    if not found:
        return current
    if current not in found:
        return found[0]
    return found[(found.index(current) + 1) % len(found)] if is_down else current


def is_address(host: str) -> bool:
    """Whether it is an IP address and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
