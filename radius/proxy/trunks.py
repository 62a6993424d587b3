"""Connections to home servers, and the streams that share them.

Over RADIUS/1.0 a connection is one stream of 255 identifiers, and more requests need more connections. Over RADIUS/1.1
(RFC 9765) Tokens tell requests apart, and one connection carries all of a home server's streams.

When a connection takes the place of one that stands, what is outstanding stays where it was sent: a home server that
was asked the same twice would have gone on in an EAP conversation whose answer nobody got. Identifiers are a stream's
and not a connection's, so the two do not meet. What the earlier one did not answer is asked again when it has ended.
"""

import os
from dataclasses import dataclass
from functools import partial
from time import time
from typing import Final, Protocol

from federation.snapshot import HomeServer
from radius.errors import DropReason
from radius.exchange.edges import ClientEdge
from radius.proxy.intake import take_answers, take_each
from radius.proxy.ports import StreamOwner
from radius.proxy.watch import CHECK_IDENTIFIER
from radius.transport.outbox import Waiting
from radius.transport.tls.connection import Closing, TlsConnection
from radius.transport.tls.contexts import Trust
from radius.transport.tls.identity import PeerIdentity
from radius.transport.tls.link import Link, Target
from radius.transport.tls.versions import RadiusVersion
from radius.wire.authenticators import KeyedSecret

_TOKEN_OCTETS: Final = 4
_IDENTIFIERS: Final = range(256)


class Net(Protocol):
    """What stands under each call into the engine."""

    outboxes: list[Waiting]
    """In which something waits for the end of the turn."""

    def catch(self, error: Exception, /) -> None:
        """A bug was met: it is counted, and told."""
        ...

    def keep_time(self) -> None:
        """What waits for the end of the turn is sent, and the engine's timer is armed for its next deadline."""
        ...


class Keeper(Protocol):
    """What a trunk needs of those who keep it."""

    net: Net
    trust: Trust | None

    def target_of(self, server: HomeServer, /) -> Target:
        """Where that home server is, and who it has to be."""
        ...

    def admits_server(self, identity: PeerIdentity, server: HomeServer, now: float, /) -> bool:
        """Whether a verified chain may stand for that home server."""
        ...

    def refuse(self, server: HomeServer, now: float, /) -> bool:
        """Whether a server whose certificate is not believed is given up; else it is dialled again."""
        ...

    def forget(self, trunk: "Trunk", /) -> None:
        """It is closed."""
        ...


@dataclass(slots=True)
class _Left:
    """What a connection still has to answer that another has taken the place of."""

    edge: ClientEdge | None  # its, over RADIUS/1.1
    waiting: set[tuple[int, int]]  # streams and identifiers


class Trunk:
    """One link to a home server, and its streams."""

    def __init__(self, keeper: Keeper, owner: StreamOwner) -> None:
        """Nothing is dialled before `start`."""
        self.owner = owner
        self.shown: dict[str, object] = {}
        self.link = Link(keeper.target_of(owner.server), self, lambda: keeper.trust, keeper.net.outboxes)
        self._keeper = keeper
        self._keyed = KeyedSecret(owner.server.secret)
        self._current: TlsConnection | None = None  # that stands, or stood last
        self._edge: ClientEdge | None = None  # of that one, over RADIUS/1.1
        self._left: dict[TlsConnection, _Left] = {}  # connections that still answer what they were asked
        self._streams: dict[int, HomeStream] = {}
        self._next_number = 0

    @property
    def is_shared(self) -> bool:
        """Whether it carries more than one stream, as far as the connection that stands, or stood last, tells."""
        return self._edge is not None

    def start(self) -> None:
        """It is dialled from now on."""
        self.link.start()

    def add(self) -> "HomeStream":
        """One more stream; it may send as soon as the connection stands."""
        number = self._next_number
        self._next_number += 1
        stream = self._streams[number] = HomeStream(self, number)
        return stream

    def send(self, number: int, octets: bytes) -> bool:
        """Whether a packet of that stream is on its way."""
        if self._left:  # where the identifier was given up there, and is another request's
            for left in self._left.values():
                left.waiting.discard((number, octets[1]))
        if self._edge is None or not self.link.is_up:
            return self.link.send(octets)
        travelling = self._edge.send(number, octets)
        return isinstance(travelling, bytes) and self.link.send(travelling)

    def remove(self, number: int) -> None:
        """The stream is closed, and with the last one the link."""
        self._streams.pop(number, None)
        if self._edge is not None:
            self._edge.forget(number)
        if not self._streams:
            self.link.close()
            self._keeper.forget(self)

    # What the link asks and tells.

    def admits(self, identity: PeerIdentity) -> bool:
        """Whether a chain of its anchor may stand for the home server."""
        return self._keeper.admits_server(identity, self.owner.server, time())

    def on_up(self, link: Link, now: float) -> None:
        """A connection stands."""
        connection = link.connection
        if connection is None or link.trust is None:
            return
        earlier, self._current = self._current, connection
        self.shown = describe_peer("server", connection, link.trust)
        is_shared = connection.version is RadiusVersion.V1_1
        streams = list(self._streams.values())
        if earlier is not None and not earlier.is_closed:
            self._leave(earlier)
        first_token = int.from_bytes(os.urandom(_TOKEN_OCTETS))
        self._edge = ClientEdge(self._keyed, first_token) if is_shared else None
        net = self._keeper.net
        try:
            for stream in streams if is_shared else streams[:1]:
                self.owner.resume(stream, now, self._elsewhere(stream))
            if not is_shared and len(streams) > 1:  # the server knows RADIUS/1.1 no more
                self.owner.interrupt(streams[1:], now)
        except Exception as error:  # noqa: BLE001 - the top of the loop's callbacks
            net.catch(error)
        net.keep_time()

    def on_packets(self, link: Link, connection: TlsConnection, packets: list[bytes], now: float) -> DropReason | None:
        """Packets came, on the connection that stands or on one that another has taken the place of."""
        net = self._keeper.net
        left = self._left.get(connection)
        if left is not None:
            verdict = take_each(packets, partial(self._take_late, link, connection, left), now, net.catch)
        elif self._edge is not None:
            verdict = take_each(packets, self._take_shared, now, net.catch)
        else:
            stream = self._streams.get(min(self._streams, default=0))
            verdict = None if stream is None else take_answers(packets, self.owner, stream, now, net.catch)
        net.keep_time()
        return verdict

    def _take_shared(self, octets: bytes, now: float) -> DropReason | None:
        """Take a packet of RADIUS/1.1, whose Token names its stream."""
        edge = self._edge
        if edge is None:  # it was lost with what stood before in the same octets
            return None
        received = edge.receive(octets)
        if isinstance(received, DropReason):
            return received
        number, octets = received
        stream = self._streams.get(number)
        return None if stream is None else self.owner.receive(stream, octets, now)

    def _take_late(
        self, link: Link, connection: TlsConnection, left: _Left, octets: bytes, now: float
    ) -> DropReason | None:
        """Take an answer on a connection that another has taken the place of; with the last one it may end."""
        number = min(self._streams, default=0)
        if left.edge is not None:
            received = left.edge.receive(octets)
            if isinstance(received, DropReason):
                return received
            number, octets = received
        stream, waiting = self._streams.get(number), (number, octets[1])
        if stream is None or (octets[1] != CHECK_IDENTIFIER and waiting not in left.waiting):
            return None  # nobody waits for it any more
        left.waiting.discard(waiting)
        if not left.waiting:
            link.dismiss(connection)
        return self.owner.receive(stream, octets, now)

    def on_left(self, _link: Link, connection: TlsConnection, now: float) -> None:
        """A connection that another has taken the place of has ended: what it did not answer is asked again."""
        left = self._left.pop(connection, None)
        if left is None or not left.waiting or not self.link.is_up:
            return  # with none that stands, all that waits is asked again on the next
        net = self._keeper.net
        lost = left.waiting
        try:
            for stream in list(self._streams.values()):
                if any(number == stream.number for number, _ in lost):
                    kept = frozenset(each for each in _IDENTIFIERS if (stream.number, each) not in lost)
                    self.owner.resume(stream, now, kept)
        except Exception as error:  # noqa: BLE001 - the top of the loop's callbacks
            net.catch(error)
        net.keep_time()

    def _leave(self, earlier: TlsConnection) -> None:
        """That connection answers what it was asked, and takes nothing new."""
        waiting = {
            (stream.number, identifier)
            for stream in self._streams.values()
            for identifier in self.owner.waiting_on(stream) - self._elsewhere(stream)
        }
        self._left[earlier] = _Left(self._edge, waiting)
        if not waiting:
            self.link.dismiss(earlier)

    def _elsewhere(self, stream: "HomeStream") -> frozenset[int]:
        """The identifiers of a stream that wait on connections before the one that stands."""
        number = stream.number
        return frozenset(
            identifier for left in self._left.values() for its, identifier in left.waiting if its == number
        )

    def on_down(self, link: Link, now: float) -> None:
        """The connection was lost, or could not be made."""
        net = self._keeper.net
        try:
            if not (link.is_refused and self._keeper.refuse(self.owner.server, now)):
                self.owner.interrupt(list(self._streams.values()), now)
        except Exception as error:  # noqa: BLE001 - the top of the loop's callbacks
            net.catch(error)
        net.keep_time()


class HomeStream:
    """A connection to a home server, or its part of one, as the engine sees it."""

    __slots__ = ("_trunk", "number")

    def __init__(self, trunk: Trunk, number: int) -> None:
        """It belongs to that trunk, by that number."""
        self._trunk = trunk
        self.number = number

    def send(self, octets: bytes, /) -> bool:
        """Whether the octets are on their way."""
        return self._trunk.send(self.number, octets)

    def restart(self) -> None:
        """The connection that stands is given up: its other end does not answer."""
        self._trunk.link.restart(Closing.DEADLINE)

    def close(self) -> None:
        """It is over."""
        self._trunk.remove(self.number)


def describe_peer(end: str, connection: TlsConnection, trust: Trust) -> dict[str, object]:
    """What a connection shows of its peer, and which anchor of ours the peer has believed."""
    if not connection.chain or connection.identity is None:
        return {}
    return {
        "end": end,
        "radius": connection.version.value,
        "anchor": connection.identity.anchor,
        "presented": connection.identity.fingerprint,
        "serial": connection.identity.serials[0][1],
        "not_after": connection.identity.not_after,
        "own_anchor": trust.own_anchor,
    }
