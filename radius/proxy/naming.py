"""The names of home servers, looked up while the proxy works; a start with the DNS away is a start all the same.

Each is looked up when it comes with a snapshot, again and again while it has no address, and each minute. However many
there are, a few are asked for at a time, and a snapshot without new names begins nothing.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Final

from radius.proxy.engine import Engine
from radius.proxy.upstreams import Upstream, choose_address

ALL_SECONDS: Final = 60.0  # every name is looked up this often
AGAIN_SECONDS: Final = 5.0  # and one without an address this often
AT_ONCE: Final = 32  # look-ups; the machine's resolver has a few threads

_log = logging.getLogger(__name__)


class Naming:
    """Looks up what home servers are called, and moves them to where they are."""

    def __init__(self, engine: Engine, keep_time: Callable[[], None]) -> None:
        """Nothing is looked up before `start`; `keep_time` is called when a home server has moved."""
        self._engine = engine
        self._keep_time = keep_time
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._all_at = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._round: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Names are looked up from now on, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self.look()

    def look(self) -> None:
        """Names that have come with a snapshot are being looked up."""
        loop, forwarding = self._loop, self._engine.forwarding
        if loop is None:
            return
        new = forwarding.take_new_names()
        if new:
            self._begin(new)
        if forwarding.named and self._timer is None:
            self._all_at = loop.time() + ALL_SECONDS
            self._timer = loop.call_later(AGAIN_SECONDS, self._look_again)

    async def stop(self) -> None:
        """Nothing is looked up any more."""
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _look_again(self) -> None:
        self._timer = None
        loop, named = self._loop, self._engine.forwarding.named
        if loop is None or not named:
            return
        self._timer = loop.call_later(AGAIN_SECONDS, self._look_again)
        if self._round is not None and not self._round.done():
            return  # the DNS is slow, and would not be quicker if it were asked for more
        is_due = loop.time() >= self._all_at
        if is_due:
            self._all_at = loop.time() + ALL_SECONDS
        chosen = [upstream for upstream in named.values() if is_due or upstream.address is None]
        if chosen:
            self._round = self._begin(chosen)

    def _begin(self, upstreams: Iterable[Upstream]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._look_up_all(iter(upstreams)), name="resolve home servers")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _look_up_all(self, waiting: Iterator[Upstream]) -> None:
        async def look_up_next() -> None:
            for upstream in waiting:
                await self._look_up(upstream)

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(look_up_next())

    async def _look_up(self, upstream: Upstream) -> None:
        host, port = upstream.server.host, upstream.server.port
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError) as error:  # the second: no name that the DNS could have
            _log.warning("name_not_resolved", extra={"host": host, "error": str(error)})
            return
        addresses = [str(entry[4][0]) for entry in found]
        address = choose_address(addresses, upstream.address, is_down=upstream.is_down)
        if address is not None:
            self._engine.move(upstream, address)
            self._keep_time()
