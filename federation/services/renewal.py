"""Renewing certificates and revocation lists in time, without anybody having to think of it."""

import asyncio
import logging
from collections.abc import Mapping, Sequence

from federation.model import Actor, Role
from federation.services.authorities import is_renewal_due, renew_due
from federation.services.expiry import Warnings, find_upkeep, list_lives
from federation.services.registry import Registry

LOOK_SECONDS = 3600.0  # what is due is due for months; a service that runs for an hour has looked
GLANCE_SECONDS = 60.0  # at the clock; and until it looks again when it could not
SET_SECONDS = 60.0  # by which a clock has moved that was set
RENEWER = Actor("biebroam", Role.OPERATOR, source_address="local")

_log = logging.getLogger(__name__)


class Renewals:
    """Looks now and each hour, in a thread: making keys takes its time.

    It looks, too, when the clock was set: a revocation list or a certificate that was made ahead of time is believed by
    nobody until it is made again.
    """

    revision = 0  # it reads the registry itself
    refused: Sequence[str] = ()

    def __init__(self, registry: Registry) -> None:
        self.count = 0
        self._registry = registry
        self._warnings = Warnings()
        self._told: frozenset[str] = frozenset()
        self._task: asyncio.Task[None] | None = None

    def counters(self) -> Mapping[str, object]:
        """How much was renewed since the start."""
        return {"renewals": self.count}

    async def start(self) -> None:
        """It looks from now on."""
        self._task = asyncio.create_task(self._keep_looking(), name="renewals")

    async def drain(self) -> None:
        """It looks no more."""
        if self._task is not None:
            self._task.cancel()

    def renew(self) -> int:
        """What is due is renewed, and what others have to renew is told of; returns how much was renewed."""
        renewed: list[str] = []
        with self._registry.read() as session:
            is_any_due = is_renewal_due(session, self._registry.now())
        if is_any_due:
            with self._registry.change(RENEWER, "renewal") as change:
                renewed = renew_due(change)
        for what in renewed:
            _log.info("renewed", extra={"what": what})
        self._warn()
        return len(renewed)

    def _warn(self) -> None:
        with self._registry.read() as session:
            lives = list_lives(session, self._registry.now())
            upkeep = find_upkeep(session, self._registry.now())
        for text in upkeep:
            if text not in self._told:
                _log.warning("authority_needs_its_root", extra={"what": text})
        self._told = frozenset(upkeep)
        for life in self._warnings.take(lives):
            _log.log(
                logging.WARNING if life.is_due else logging.INFO,
                "certificate_expires",
                extra={
                    "serial": life.serial,
                    "kind": life.kind,
                    "names": life.name,
                    "library": life.library,
                    "days_left": round(life.days_left, 1),
                },
            )

    async def _keep_looking(self) -> None:
        is_failing = False
        while True:
            try:
                self.count += await asyncio.to_thread(self.renew)
                is_failing = False
            except Exception as error:  # noqa: BLE001 - the top of a task: it looks again in a minute
                if not is_failing:
                    _log.error(
                        "renewal_failed", extra={"error": f"{type(error).__name__}: {error}".split("\n", 1)[0][:200]}
                    )
                is_failing = True
            await self._wait(GLANCE_SECONDS if is_failing else LOOK_SECONDS)

    async def _wait(self, seconds: float) -> None:
        """Return after so many seconds, or soon after the clock was set."""
        loop = asyncio.get_running_loop()
        began, clock = loop.time(), self._registry.now()
        while (passed := loop.time() - began) < seconds:
            if abs((self._registry.now() - clock).total_seconds() - passed) > SET_SECONDS:
                return
            await asyncio.sleep(min(GLANCE_SECONDS, seconds - passed))
