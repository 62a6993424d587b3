"""A connection to one RADIUS/TLS server that comes again: dialled, lost, dialled anew, until it is closed.

When to dial again is `radius.exchange.backoff`'s to say. What is sent while no connection stands is not kept here: who
sends learns of each loss and each return, and sends again what still matters (RFC 6613 §2.6.1).

A connection whose certificate of ours is out of date gets a successor. The successor stands before anything ends, and
from then on takes what is new; the one before it answers what it was asked, and is closed in order after that.
"""

import asyncio
import logging
import random
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final, Protocol

from radius.errors import DropReason
from radius.exchange.backoff import Backoff
from radius.transport.outbox import Waiting
from radius.transport.tls.connection import UNVERIFIED, Closing, Deadlines, Events, TlsConnection
from radius.transport.tls.contexts import Trust, is_believed
from radius.transport.tls.identity import PeerIdentity, ServerName
from radius.transport.tls.turnover import TURNOVER_SECONDS

DIAL_SECONDS: Final = 10.0  # for a name, a TCP connection and a handshake
DEADLINES: Final = Deadlines(first_packet=None, idle=None)  # the server may have nothing to say for hours
ADDRESS_SECONDS: Final = 1.0  # for one of several given addresses: the next one may answer
RENEW_AGAIN_SECONDS: Final = 60.0  # after one that should have taken the place of another and did not
PROBATION_SECONDS: Final = 1.0  # in TLS 1.3 a server's refusal of our certificate comes after our end of the handshake
SETTLE_SECONDS: Final = 0.05  # of a first one: what is asked at once waits for a no that is not far
LEAST_DRAIN_SECONDS: Final = 5.0  # for answers on a connection whose successor was long in coming
_SPOILT: Final = frozenset((Closing.MALFORMED, Closing.NO_PACKETS))  # by what the server sent
LINGER_SECONDS: Final = 1.0  # a connection with nothing outstanding is kept so long: for an answer to Status-Server

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a server is, and who it has to be."""

    key: str  # in logs
    host: str  # an IP address or a DNS name
    port: int
    name: ServerName
    addresses: tuple[str, ...] = ()  # where to dial, in order; empty: the host is looked up


class LinkOwner(Protocol):
    """Whom a link tells what becomes of it."""

    def admits(self, identity: PeerIdentity, /) -> bool:
        """Whether a peer with a right name and a verified chain may be the server."""
        ...

    def on_up(self, link: "Link", now: float, /) -> None:
        """A connection stands."""
        ...

    def on_packets(
        self, link: "Link", connection: TlsConnection, packets: list[bytes], now: float, /
    ) -> DropReason | None:
        """Packets came; a reason: the connection can not be believed any more and is closed.

        The connection may be one that another has taken the place of.
        """
        ...

    def on_left(self, link: "Link", connection: TlsConnection, now: float, /) -> None:
        """A connection that another has taken the place of has ended."""
        ...

    def on_down(self, link: "Link", now: float, /) -> None:
        """The connection was lost, or an attempt failed; the next one comes by itself."""
        ...


@dataclass(slots=True)
class _Retired:
    """A connection that another has taken the place of."""

    trust: Trust  # with which it was dialled
    until: float  # it may answer so long


class Link:
    """One connection at a time to one server; `check` is to be called about once a second."""

    def __init__(
        self,
        target: Target,
        owner: LinkOwner,
        find_trust: Callable[[], Trust | None],
        turn: list[Waiting] | None = None,
    ) -> None:
        """Nothing is dialled before `start`; `find_trust` gives what is shown and believed at each attempt.

        For `turn` see `TlsConnection`.
        """
        self.target = target
        self.connection: TlsConnection | None = None  # that stands
        self.trust: Trust | None = None  # with which it was dialled
        self.is_refused = False  # the last attempt met a server whose certificate is not believed
        self._owner = owner
        self._find_trust = find_trust
        self._turn = turn
        self._backoff = Backoff()
        self._retired: dict[TlsConnection, _Retired] = {}
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._hurries = asyncio.Event()
        self._is_stale = False
        self._renewal: asyncio.TimerHandle | None = None
        self._renewed_at = 0.0  # when the chain changed last that the connection is to show

    @property
    def is_up(self) -> bool:
        """Whether a connection stands."""
        return self.connection is not None and not self.connection.is_closed

    def start(self) -> None:
        """It is dialled from now on, in the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._keep(), name=f"radius/tls to {self.target.key}")

    def send(self, octets: bytes, /) -> bool:
        """Whether the octets are on their way; nothing is kept for later."""
        return self.connection is not None and self.connection.send(octets)

    def close(self) -> None:
        """It is over, in order."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._renewal is not None:
            self._renewal.cancel()
        connection, self.connection = self.connection, None
        retired, self._retired = list(self._retired), {}
        for each in (connection, *retired):
            if each is not None:
                each.close()

    def restart(self, reason: Closing) -> None:
        """The connection that stands is given up at once; another is dialled."""
        if self.connection is not None:
            self.connection.abort(reason)

    def judge(self, is_good: Callable[[TlsConnection, Trust | None], bool]) -> None:
        """Every connection that is not good any more has ended, those included that only answer still."""
        for connection, retired in list(self._retired.items()):
            if not is_good(connection, retired.trust):
                connection.abort(Closing.NOT_TRUSTED)
        if self.connection is not None and not is_good(self.connection, self.trust):
            self.restart(Closing.NOT_TRUSTED)

    def dismiss(self, connection: TlsConnection) -> None:
        """Nothing is outstanding on a connection that another has taken the place of: it ends within a moment."""
        retired = self._retired.get(connection)
        if retired is not None:
            retired.until = min(retired.until, monotonic() + LINGER_SECONDS)

    def hurry(self) -> None:
        """The server is known to be there again: the pause before the next attempt is over."""
        self._hurries.set()

    def renew(self, delay_seconds: float = 0.0) -> None:
        """In so many seconds another connection takes the place of the one that stands, which then answers to its end.

        It has `TURNOVER_SECONDS` from now for that.
        """
        self._renewed_at = monotonic()
        if self._renewal is not None:
            self._renewal.cancel()
        self._renewal = asyncio.get_running_loop().call_later(delay_seconds, self._become_stale)

    def check(self, now: float, wall_clock: float) -> None:
        """End what is over its time."""
        for connection, retired in list(self._retired.items()):
            connection.check(now, wall_clock)
            if now >= retired.until:
                connection.close()
        if self.connection is not None:
            self.connection.check(now, wall_clock)

    def _become_stale(self) -> None:
        self._is_stale = True
        self._news.set()

    async def _keep(self) -> None:
        while True:
            try:
                is_standing = await self._attempt()
            except Exception:  # noqa: BLE001 - the top of a task: a bug costs one connection
                _log.exception("radsec_failed", extra={"peer": self.target.key})
                is_standing = False
            if not is_standing:
                pause = self._backoff.next_pause(random.random(), monotonic())  # noqa: S311 - jitter, no secret
                self._hurries.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._hurries.wait()

    async def _attempt(self) -> bool:
        """Dial once, and wait for the end of what stands then; whether something does, and only wants renewal."""
        self._is_stale = self.is_refused = False
        if self._renewal is not None:
            self._renewal.cancel()  # what is dialled now shows what is to be shown
        trust = self._find_trust()
        connection = None
        if trust is not None:
            connection = await self._dial(trust)
            if connection is not None and not (
                await self._is_accepted(connection) and self._is_right(connection, trust)
            ):
                connection.abort(Closing.NOT_TRUSTED)
                connection = None
            if connection is not None:
                self._take(connection, trust)
        if self.is_up:
            await self._rest(None if connection is not None else RENEW_AGAIN_SECONDS)
            if self.is_up:
                return True
        self.connection = None
        self._owner.on_down(self, monotonic())
        return False

    async def _is_accepted(self, successor: TlsConnection) -> bool:
        """Whether the server keeps a connection; the one that stands is not given up for one that does not last."""
        had = self.is_up
        if not had and not successor.ends_blindly:
            return True
        try:
            async with asyncio.timeout(PROBATION_SECONDS if had else SETTLE_SECONDS):
                while self.is_up == had and not successor.is_closed:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            successor.abort(Closing.BY_US)
            raise
        return not successor.is_closed

    def _take(self, connection: TlsConnection, trust: Trust) -> None:
        now = monotonic()
        if self.connection is not None and self.trust is not None and self.is_up:
            until = max(self._renewed_at + TURNOVER_SECONDS, now + LEAST_DRAIN_SECONDS)
            self._retired[self.connection] = _Retired(self.trust, until)
        self.connection, self.trust = connection, trust
        self._backoff.succeed(now)
        self._owner.on_up(self, now)

    async def _rest(self, seconds: float | None) -> None:
        """Wait until the connection is lost or is to be renewed, or for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.is_up and not self._is_stale:
                    self._news.clear()
                    await self._news.wait()

    async def _dial(self, trust: Trust) -> TlsConnection | None:
        """A connection that stands; None: there is none to be had now."""
        settled = asyncio.Event()
        made: list[TlsConnection] = []

        def on_closed(connection: TlsConnection, reason: Closing) -> None:
            settled.set()
            self._news.set()
            self._tell_end(connection, reason)
            if self._retired.pop(connection, None) is not None:
                self._owner.on_left(self, connection, monotonic())

        def on_packets(connection: TlsConnection, packets: list[bytes], now: float) -> DropReason | None:
            return self._owner.on_packets(self, connection, packets, now)

        events = Events(lambda _: settled.set(), on_packets, on_closed)

        def make() -> TlsConnection:
            name = self.target.name
            connection = TlsConnection(trust.dial(name.matches, name.server_name), events, DEADLINES, self._turn)
            made.append(connection)
            return connection

        try:
            async with asyncio.timeout(DIAL_SECONDS):
                await self._connect(make)
                await settled.wait()
        except (OSError, TimeoutError) as error:
            _log.info("radsec_unreachable", extra={"peer": self.target.key, "error": str(error) or "time-out"})
            for connection in made:
                connection.abort(Closing.DEADLINE)
            return None
        except asyncio.CancelledError:
            for connection in made:
                connection.abort(Closing.BY_US)
            raise
        connection = made[-1]
        if not self._is_right(connection, trust):
            connection.abort(Closing.NOT_TRUSTED)
            self.is_refused = connection.identity is not None or connection.failure == UNVERIFIED
        return None if connection.is_closed else connection

    def _is_right(self, connection: TlsConnection, trust: Trust) -> bool:
        """Whether it leads to the server by what holds now: who that is, and whom we believe, may have changed."""
        identity = connection.identity
        if identity is None or not self.target.name.matches(identity) or not self._owner.admits(identity):
            return False
        return is_believed(self._find_trust(), connection.chain, identity, trust)

    async def _connect(self, make: Callable[[], TlsConnection]) -> None:
        """A TCP connection to the first address that takes one.

        Raises:
            OSError: there is none.
        """
        loop = asyncio.get_running_loop()
        host, port = self.target.host, self.target.port
        addresses = list(self.target.addresses)
        if not addresses:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = [str(address[0]) for *_, address in found]
        failure: Exception = OSError(f"{host} has no address")
        for number, address in enumerate(addresses, start=1):
            is_one_of_several = bool(self.target.addresses) and number < len(addresses)
            try:
                async with asyncio.timeout(ADDRESS_SECONDS if is_one_of_several else None):
                    await loop.create_connection(make, address, port)
            except OSError as error:  # TimeoutError is one
                failure = error
            else:
                return
        raise failure

    def _tell_end(self, connection: TlsConnection, reason: Closing) -> None:
        if reason in _SPOILT and connection is self.connection:
            self._backoff.spoil(monotonic())
        if reason is not Closing.BY_US and connection.address:  # else it was never there
            fields = {"peer": self.target.key, "reason": reason.value, "error": connection.failure}
            _log.info("radsec_lost", extra=fields)
