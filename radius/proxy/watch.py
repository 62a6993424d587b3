"""Looking after home servers that are not simply up: they are asked with Status-Server until it is clear."""

from collections.abc import Callable
from typing import Final

from radius.errors import DropReason
from radius.exchange.liveness import HopEvent, HopState
from radius.proxy.notices import Notices
from radius.proxy.upstreams import Upstream
from radius.wire.authenticators import decide_response_authenticity, sign_request
from radius.wire.codes import Code
from radius.wire.packet import AUTHENTICATOR_OCTETS, Packet

CHECK_IDENTIFIER: Final = 0  # Status-Server's own, on the first flow: it never waits for an identifier
_CHECK_ANSWERS: Final = frozenset((int(Code.ACCESS_ACCEPT), int(Code.ACCESS_REJECT), int(Code.ACCOUNTING_RESPONSE)))


class Watch:
    """The home servers whose state is in doubt."""

    __slots__ = ("_notices", "_random_octets", "_watched")

    def __init__(self, notices: Notices, random_octets: Callable[[int], bytes]) -> None:
        """All are believed to be up."""
        self._notices = notices
        self._random_octets = random_octets
        self._watched: dict[int, Upstream] = {}

    def see(self, upstream: Upstream, event: HopEvent, now: float) -> None:
        """Take note of what was seen of a home server."""
        before = upstream.liveness.state
        state = upstream.liveness.see(event, now)
        if state is not HopState.UP:
            self._watched[id(upstream)] = upstream
        if state is not before:
            self._notices.tell_hop(upstream.key, state.value)

    def leave(self, upstream: Upstream) -> None:
        """It is no longer in the snapshot: nobody asks how it is."""
        self._watched.pop(id(upstream), None)

    def take_answer(self, upstream: Upstream, packet: Packet, now: float) -> None:
        """Take what came with the identifier of Status-Server."""
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
        self.see(upstream, HopEvent.CHECK_ANSWERED, now)

    def next_timer(self) -> float | None:
        """When `on_timer` is to be called next; None while there is nobody to ask."""
        if not self._watched:
            return None
        times = [upstream.liveness.next_timer() for upstream in self._watched.values()]
        return min((time for time in times if time is not None), default=None)

    def on_timer(self, now: float) -> None:
        """Ask those whose time has come."""
        for number, upstream in list(self._watched.items()):
            before = upstream.liveness.state
            if upstream.liveness.on_timer(now):
                self._ask(upstream)
            state = upstream.liveness.state
            if state is not before:
                self._notices.tell_hop(upstream.key, state.value)
            if state is HopState.UP:
                del self._watched[number]

    def _ask(self, upstream: Upstream) -> None:
        """Send Status-Server: only Message-Authenticator in it, new each time (RFC 5997 §3 and §4.1)."""
        flow = upstream.check_flow()
        if flow is not None:
            upstream.check_authenticator = self._random_octets(AUTHENTICATOR_OCTETS)
            flow.send(
                sign_request(Code.STATUS_SERVER, CHECK_IDENTIFIER, upstream.check_authenticator, b"", upstream.keyed)
            )
