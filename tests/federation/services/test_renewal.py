"""What is renewed by itself, also when the clock was wrong for a while."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from sqlalchemy.exc import OperationalError

from federation.services import renewal
from federation.services.authorities import load_crl_pem
from federation.services.renewal import Renewals
from federation.trust.profiles import Purpose
from tests.federation.members import Members

STEP_SECONDS = 0.01


@pytest.fixture(autouse=True)
def brief_glances(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks at the clock a hundred times a second."""
    monkeypatch.setattr(renewal, "GLANCE_SECONDS", STEP_SECONDS)


async def until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds, within ten seconds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a look now and then
            await asyncio.sleep(STEP_SECONDS)


class TestClockThatWasSet:
    def test_lists_made_ahead_of_time_are_made_again(self, members: Members) -> None:
        """A list whose time has not come is believed by nobody: it does not stand for an hour."""

        def lists_hold() -> bool:
            with members.registry.read() as session:
                pem = load_crl_pem(session, Purpose.PEERS).encode()
            return x509.load_pem_x509_crl(pem).last_update_utc <= members.clock.now

        async def main() -> None:
            renewals = Renewals(members.registry)
            await renewals.start()
            members.clock.now += timedelta(days=2)
            await until(lambda: renewals.count > 0)
            members.clock.now -= timedelta(days=2)
            assert not lists_hold()
            await until(lists_hold)
            await renewals.drain()

        asyncio.run(main())


class TestRegistryThatIsAway:
    def test_is_looked_at_again_soon_and_told_of_once(
        self, members: Members, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What was due when the database went away does not wait for an hour, and fills no log meanwhile."""
        looks: list[int] = []

        def renew(self: Renewals) -> int:
            del self
            looks.append(1)
            if len(looks) < 4:
                raise OperationalError("SELECT", {}, Exception("unable to open database file"))
            return 1

        monkeypatch.setattr(Renewals, "renew", renew)

        async def main() -> None:
            renewals = Renewals(members.registry)
            await renewals.start()
            await until(lambda: renewals.count == 1)
            await renewals.drain()

        with caplog.at_level(logging.ERROR):
            asyncio.run(main())
        assert [record.message for record in caplog.records] == ["renewal_failed"]
        assert "\n" not in caplog.records[0].__dict__["error"]
