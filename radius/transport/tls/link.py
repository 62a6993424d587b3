"""A connection to one RADIUS/TLS server that comes again: dialled, lost, dialled anew, until it is closed.

When to dial again is `radius.exchange.backoff`'s to say. What is sent while no connection stands is not kept here: who
sends learns of each loss and each return, and sends again what still matters (RFC 6613 §2.6.1).
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

DIAL_SECONDS: Final = 10.0  # for a name, a TCP connection and a handshake
DEADLINES: Final = Deadlines(first_packet=None, idle=None)  # the server may have nothing to say for hours
ADDRESS_SECONDS: Final = 1.0  # for one of several given addresses: the next one may answer
RENEW_AGAIN_SECONDS: Final = 60.0  # after one that should have taken the place of another and did not
RETIRE_SECONDS: Final = 25.0  # a connection that another has taken the place of may answer so long

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

    def on_packets(self, link: "Link", packets: list[bytes], now: float, /) -> DropReason | None:
        """Packets came; a reason: the connection can not be believed any more and is closed."""
        ...

    def on_down(self, link: "Link", now: float, /) -> None:
        """The connection was lost, or an attempt failed; the next one comes by itself."""
        ...


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
        self._retired: list[tuple[TlsConnection, float]] = []
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._hurries = asyncio.Event()
        self._is_stale = False

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
        connection, self.connection = self.connection, None
        for each in (connection, *(retired for retired, _ in self._retired)):
            if each is not None:
                each.close()
        self._retired.clear()

    def restart(self, reason: Closing) -> None:
        """The connection that stands is given up at once; another is dialled."""
        if self.connection is not None:
            self.connection.abort(reason)

    def hurry(self) -> None:
        """The server is known to be there again: the pause before the next attempt is over."""
        self._hurries.set()

    def renew(self) -> None:
        """Another connection takes the place of the one that stands, which may still answer for some seconds."""
        self._is_stale = True
        self._news.set()

    def check(self, now: float, wall_clock: float) -> None:
        """End what is over its time."""
        for connection, until in list(self._retired):
            connection.check(now, wall_clock)
            if now >= until or connection.is_closed:
                connection.close()
                self._retired.remove((connection, until))
        if self.connection is not None:
            self.connection.check(now, wall_clock)

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
        self._is_stale = False
        connection = await self._dial()
        if connection is not None:
            self._take(connection)
        if self.is_up:
            await self._rest(None if connection is not None else RENEW_AGAIN_SECONDS)
            if self.is_up:
                return True
        self.connection = None
        self._owner.on_down(self, monotonic())
        return False

    def _take(self, connection: TlsConnection) -> None:
        now = monotonic()
        if self.connection is not None and not self.connection.is_closed:
            self._retired.append((self.connection, now + RETIRE_SECONDS))
        self.connection = connection
        self._backoff.succeed(now)
        self._owner.on_up(self, now)

    async def _rest(self, seconds: float | None) -> None:
        """Wait until the connection is lost or is to be renewed, or for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.is_up and not self._is_stale:
                    self._news.clear()
                    await self._news.wait()

    async def _dial(self) -> TlsConnection | None:
        """A connection that stands; None: there is none to be had now."""
        settled = asyncio.Event()
        self.is_refused = False
        trust = self._find_trust()
        if trust is None:
            return None
        made: list[TlsConnection] = []

        def on_closed(connection: TlsConnection, reason: Closing) -> None:
            settled.set()
            self._news.set()
            self._tell_end(connection, reason)

        def on_packets(_connection: TlsConnection, packets: list[bytes], now: float) -> DropReason | None:
            return self._owner.on_packets(self, packets, now)

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
        self.trust, connection = trust, made[-1]
        identity = connection.identity
        is_right = identity is not None and self.target.name.matches(identity) and self._owner.admits(identity)
        if not is_right or not is_believed(self._find_trust(), connection.chain, identity, trust):
            connection.abort(Closing.NOT_TRUSTED)  # who is right, or whom we believe, changed during its handshake
            self.is_refused = identity is not None or connection.failure == UNVERIFIED
        return None if connection.is_closed else connection

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
        if reason is not Closing.BY_US and connection.address:  # else it was never there
            fields = {"peer": self.target.key, "reason": reason.value, "error": connection.failure}
            _log.info("radsec_lost", extra=fields)
