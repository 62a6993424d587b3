"""Dynamic discovery as a proxy worker has it: off, or on by the rules of the snapshot in force.

The rules come with each snapshot. While they stay the same, what is known stays; with other rules everything is looked
up anew, and what waits is told so.

The DNS takes a twentieth of a second to load. A worker without discovery answers its first packets before, and loads it
in a thread then, so that nobody waits when discovery is switched on.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from time import monotonic
from typing import TYPE_CHECKING, Final

from federation.snapshot import DiscoveryPolicy, Snapshot
from radius.discovery.guards import RADSEC_PORT, Rules
from radius.proxy.engine import Engine
from radius.proxy.learning import Learning
from radius.proxy.streams import Streams
from radius.proxy.trunks import Net

if TYPE_CHECKING:
    from radius.transport.discovery import Discovery
    from radius.transport.nameservers import Nameserver

TIDY_SECONDS: Final = 1.0
LOAD_SECONDS: Final = 3.0  # from the start, when the first packets have their answers


class Discovering:
    """Switches discovery of an engine on and off."""

    def __init__(
        self, engine: Engine, streams: Streams, net: Net, nameservers: "Sequence[Nameserver]", ports: Sequence[int]
    ) -> None:
        """It is off. `ports` are those on which this node takes RADIUS/TLS; no nameservers: those of the machine."""
        self._engine = engine
        self._streams = streams
        self._net = net
        self._nameservers = tuple(nameservers)
        self.own_ports = frozenset(ports) or frozenset({RADSEC_PORT})
        self._wanted: tuple[DiscoveryPolicy, frozenset[str]] | None = None
        self._discovery: Discovery | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loading: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def swap(self, snapshot: Snapshot) -> None:
        """It is on or off as the snapshot says; the engine and the streams have that snapshot already."""
        policy, trust = snapshot.discovery, self._streams.trust
        own_names = trust.own_names if trust is not None else frozenset[str]()
        wanted = None if policy is None else (policy, own_names)
        if wanted == self._wanted:
            return
        self._wanted = wanted
        self._end()
        if policy is not None:
            from radius.transport.discovery import Discovery, is_own_address  # noqa: PLC0415 - see the module

            rules = Rules(
                services=policy.services,
                allowed_networks=policy.allowed_networks,
                own_names=own_names,
                own_ports=self.own_ports,
                is_own=is_own_address,
            )
            self._discovery = Discovery(rules, self._nameservers)
            self._engine.learning = Learning(self._engine, self._discovery, self._net.keep_time)
            self._keep_tidy()

    async def stop(self) -> None:
        """Look-ups are given up; requests that wait are told so."""
        if self._loading is not None:
            self._loading.cancel()
        self._end()
        while self._closing:
            await asyncio.gather(*self._closing, return_exceptions=True)

    def counters(self) -> dict[str, object]:
        """What a status report tells; nothing while it is off."""
        learning = self._engine.learning
        if learning is None or self._discovery is None:
            return {}
        counted = {f"discovery_{name}": value for name, value in self._discovery.counters().items()}
        return {**counted, **learning.counters()}

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        learning, discovery = self._engine.learning, self._discovery
        self._engine.learning = self._discovery = None
        if learning is not None:
            learning.close()
        if discovery is not None:
            with suppress(RuntimeError):  # no loop runs: nothing was ever asked
                task = asyncio.get_running_loop().create_task(discovery.close(), name="close discovery")
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)

    def _keep_tidy(self) -> None:
        learning = self._engine.learning
        with suppress(RuntimeError):  # the worker has not begun; `start` comes back here
            self._timer = asyncio.get_running_loop().call_later(TIDY_SECONDS, self._keep_tidy)
        if learning is not None:
            try:
                learning.tidy(monotonic())
            except Exception as error:  # noqa: BLE001 - the top of the loop's callbacks
                self._net.catch(error)
            self._net.keep_time()

    def start(self) -> None:
        """The loop runs now."""
        if self._engine.learning is None:
            self._loading = asyncio.get_running_loop().call_later(LOAD_SECONDS, self._load)
        elif self._timer is None:
            self._keep_tidy()

    def _load(self) -> None:
        asyncio.get_running_loop().run_in_executor(None, import_module, "radius.transport.discovery")
