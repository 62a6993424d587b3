"""What has to be looked at each minute: whom the proxies have seen, and lists of other authorities that are due."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from federation.services.foreign_lists import Fetch, refresh_lists
from federation.services.list_fetch import fetch_list
from federation.services.registry import Registry
from federation.services.sightings import record_sightings
from federation.statistics.reports import WorkerReport

LOOK_SECONDS: Final = 60.0

_log = logging.getLogger(__name__)


class TrustWatch:
    """Looks now and each minute, in a thread: it reads the database and waits for web servers."""

    def __init__(
        self, registry: Registry, read_reports: Callable[[], Sequence[WorkerReport]], fetch: Fetch = fetch_list
    ) -> None:
        self._registry = registry
        self._read_reports = read_reports
        self._fetch = fetch
        self._task: asyncio.Task[None] | None = None
        self._taken = self._failed = 0

    def counters(self) -> Mapping[str, object]:
        """Lists of other authorities that were taken, and tries that failed, since the start."""
        return {"foreign_lists_taken": self._taken, "foreign_list_failures": self._failed}

    async def start(self) -> None:
        """It looks from now on."""
        self._task = asyncio.create_task(self._keep_looking(), name="watch trust")

    async def drain(self) -> None:
        """It looks no more."""
        if self._task is not None:
            self._task.cancel()

    def look(self) -> None:
        """What proxies saw is kept, and each list that was due has been tried; a failure is logged when it is new."""
        record_sightings(self._registry.store, self._read_reports())
        for outcome in refresh_lists(self._registry, self._fetch):
            fields = {"anchor": outcome.anchor, "url": outcome.url}
            if outcome.error:
                self._failed += 1
                if outcome.is_news:
                    _log.warning("foreign_list_failed", extra={**fields, "reason": outcome.error})
            elif outcome.is_news:
                self._taken += 1
                _log.info("foreign_list_taken", extra=fields)

    async def _keep_looking(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.look)
            except Exception as error:  # noqa: BLE001 - the top of a task: the database may be back in a minute
                _log.warning("trust_not_watched", extra={"error": type(error).__name__})
            await asyncio.sleep(LOOK_SECONDS)
