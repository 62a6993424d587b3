"""Looking after home servers: those in doubt, and those that were silent for long, are asked with Status-Server."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final

from radius.errors import DropReason
from radius.exchange.liveness import HopEvent, HopState
from radius.proxy.notices import Notices
from radius.proxy.ports import Flow
from radius.proxy.upstreams import Upstream
from radius.wire.authenticators import decide_response_authenticity, sign_request
from radius.wire.codes import Code
from radius.wire.packet import AUTHENTICATOR_OCTETS, Packet

CHECK_IDENTIFIER: Final = 0  # Status-Server's own, on the first flow in use: it never waits for an identifier
IDLE_SECONDS: Final = 30  # a home server with nothing to do is asked this often (RFC 3539 §3.4.1)
PORT_SECONDS: Final = 30.0  # between two source ports of one that does not answer: most of those are away, not lost
ROUND_SECONDS: Final = 1.0  # a thirtieth of them at a time, so that no burst goes out
_CHECK_ANSWERS: Final = frozenset((int(Code.ACCESS_ACCEPT), int(Code.ACCESS_REJECT), int(Code.ACCOUNTING_RESPONSE)))


class Watch:
    """The home servers whose state is in doubt, and a look at the others now and then."""

    __slots__ = ("_activity", "_all", "_leave_port", "_notices", "_random_octets", "_round", "_round_at", "_watched")

    def __init__(
        self,
        notices: Notices,
        random_octets: Callable[[int], bytes],
        leave_port: Callable[[Upstream, Flow, float], bool],
    ) -> None:
        """All are believed to be up; `leave_port` gives a home server another source port, when it can be had."""
        self._notices = notices
        self._random_octets = random_octets
        self._leave_port = leave_port
        self._watched: dict[int, Upstream] = {}
        self._all: dict[str, Upstream] = {}  # by key
        self._round = 0
        self._activity: dict[str, int] = {}  # packets to and from a home server, when it was last looked at
        self._round_at: float | None = None

    def mind(self, upstreams: Iterable[Upstream]) -> None:
        """These are all the home servers."""
        self._all = {upstream.key: upstream for upstream in upstreams if upstream.server.answers_status}
        self._activity = {key: packets for key, packets in self._activity.items() if key in self._all}

    def change(self, gone: Sequence[Upstream], made: Sequence[Upstream]) -> None:
        """The first are none any more, and the others are new among them."""
        for upstream in gone:
            self._activity.pop(upstream.key, None)
            self._all.pop(upstream.key, None)
        self._all.update((upstream.key, upstream) for upstream in made if upstream.server.answers_status)

    def begin(self, now: float) -> None:
        """A source port is open: from now on the idle are asked."""
        if self._round_at is None:
            self._round_at = now + ROUND_SECONDS

    def see(self, upstream: Upstream, event: HopEvent, now: float) -> None:
        """Take note of what was seen of a home server; one that has left the snapshot is nobody's concern."""
        if upstream.is_draining or not upstream.server.answers_status:
            return
        before = upstream.liveness.state
        state = upstream.liveness.see(event, now)
        if state is not HopState.UP:
            self._watched[id(upstream)] = upstream
        if state is not before:
            self._notices.tell_hop(upstream.key, before, state, now)

    def leave(self, upstream: Upstream) -> None:
        """It is no longer in the snapshot: nobody asks how it is."""
        upstream.is_draining = True
        self._watched.pop(id(upstream), None)

    def take_answer(self, upstream: Upstream, flow: Flow, packet: Packet, now: float) -> None:
        """Take what came to that flow with the identifier of Status-Server."""
        authenticator = upstream.check_authenticator
        if not authenticator or packet.code not in _CHECK_ANSWERS:
            self._notices.drop(DropReason.UNMATCHED_RESPONSE, upstream.key, now)
            return
        reason = decide_response_authenticity(
            packet,
            upstream.keyed,
            authenticator,
            requires_message_authenticator=upstream.requires_message_authenticator,
        )
        if reason is not None:
            self._notices.drop(reason, upstream.key, now)
            return
        upstream.check_authenticator = b""
        upstream.heard_at = now
        upstream.identifiers.hear(flow)
        self.see(upstream, HopEvent.CHECK_ANSWERED, now)

    def next_timer(self) -> float | None:
        """When `on_timer` is to be called next; None while there is nobody to ask."""
        earliest = self._round_at
        for upstream in self._watched.values():
            time = upstream.liveness.next_timer()
            if time is not None and (earliest is None or time < earliest):
                earliest = time
        return earliest

    def on_timer(self, now: float) -> None:
        """Ask those whose time has come."""
        if self._round_at is not None and now >= self._round_at:
            self._look_round(now)
        for number, upstream in list(self._watched.items()):
            before = upstream.liveness.state
            if upstream.liveness.on_timer(now):
                self._ask(upstream, now)
            state = upstream.liveness.state
            if state is not before:
                self._notices.tell_hop(upstream.key, before, state, now)
                if state is HopState.DOWN:
                    upstream.restart()
            if state is HopState.UP and upstream.liveness.next_timer() is None:
                del self._watched[number]

    def _look_round(self, now: float) -> None:
        """Ask those of the next share that have nothing to do, as a peer that went away shows in no other way."""
        self._round_at = now + ROUND_SECONDS * (0.9 + self._random_octets(4)[0] / 1275)  # within a tenth
        share = -(-len(self._all) // IDLE_SECONDS)
        start = self._round * share
        for upstream in tuple(islice(self._all.values(), start, start + share)):
            packets = upstream.requests + upstream.answers + upstream.late
            is_idle = self._activity.get(upstream.key) == packets
            self._activity[upstream.key] = packets
            if is_idle and upstream.liveness.state is HopState.UP and upstream.identifiers.flows:
                upstream.liveness.ask(now)
                self._watched[id(upstream)] = upstream
                self._ask(upstream, now)
        self._round = (self._round + 1) % IDLE_SECONDS

    def _ask(self, upstream: Upstream, now: float) -> None:
        """Send Status-Server: only Message-Authenticator in it, new each time (RFC 5997 §3 and §4.1).

        When the one before had no answer it goes out from another source port, since it may be the port that is lost;
        once in half a minute.
        """
        flow = upstream.check_flow()
        # One that is up has never answered any, and may not know Status-Server.
        is_missed = upstream.check_authenticator and upstream.liveness.state is not HopState.UP
        is_due = now - upstream.left_at >= PORT_SECONDS
        if flow is not None and is_missed and is_due and not upstream.is_stream:
            self._leave_port(upstream, flow, now)
            flow = upstream.check_flow()
        if flow is not None:
            upstream.check_authenticator = self._random_octets(AUTHENTICATOR_OCTETS)
            flow.send(
                sign_request(Code.STATUS_SERVER, CHECK_IDENTIFIER, upstream.check_authenticator, b"", upstream.keyed)
            )
