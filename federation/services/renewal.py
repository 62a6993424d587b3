"""Renewing certificates and revocation lists in time, without anybody having to think of it."""

import asyncio
import logging
from collections.abc import Mapping, Sequence

from federation.model import Actor, Role
from federation.services.authorities import is_renewal_due, renew_due
from federation.services.expiry import Warnings, list_lives
from federation.services.registry import Registry

LOOK_SECONDS = 3600.0  # what is due is due for months; a service that runs for an hour has looked
RENEWER = Actor("biebroam", Role.OPERATOR, source_address="local")

_log = logging.getLogger(__name__)


class Renewals:
    """Looks now and each hour, in a thread: making keys takes its time."""

    revision = 0  # it reads the registry itself
    refused: Sequence[str] = ()

    def __init__(self, registry: Registry) -> None:
        self.count = 0
        self._registry = registry
        self._warnings = Warnings()
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
        while True:
            try:
                self.count += await asyncio.to_thread(self.renew)
            except Exception:  # noqa: BLE001 - the top of a task: it looks again in an hour
                _log.exception("renewal_failed")
            await asyncio.sleep(LOOK_SECONDS)
