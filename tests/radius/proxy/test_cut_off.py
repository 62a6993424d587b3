"""A peer that is not to be believed any more is out within a second while requests go on; the others feel nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from time import monotonic, time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from federation.snapshot import Client, ForeignAnchor, PeerTrust
from radius.proxy.service import ProxyService
from radius.transport.tls.contexts import Trust
from radius.transport.tls.versions import RadiusVersion
from tests.radius.proxy.streams import (
    HOME_NAME,
    OWN_NAME,
    RADSEC,
    TLS_CLIENT,
    Member,
    TlsDevice,
    TlsHome,
    issue,
    listen_for_streams,
    peer_trust,
    running_proxy,
    serial_of,
    snapshot_of,
    tls_home_server,
    trust_of,
    until,
)
from tests.radius.proxy.world import access_request
from tests.radius.transport.tls.members import Authority, names_of

RATE = 40.0  # requests a second, of each client
NAMES = ("first.visited.example", "second.visited.example", "third.visited.example")
CLIENTS = tuple(replace(TLS_CLIENT, key=f"visited/{name.partition('.')[0]}", certificate_name=name) for name in NAMES)


@dataclass
class Asking:
    """A client that asks at a steady rate."""

    device: TlsDevice
    sent: int = 0
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._go_on())

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _go_on(self) -> None:
        while True:
            octets = access_request(keyed=RADSEC, identifier=self.sent % 256, authenticator=self.sent.to_bytes(16))
            self.sent += self.device.link.send(octets)
            await asyncio.sleep(1 / RATE)


@dataclass
class Crowd:
    """A proxy with three clients under light load; the first is cut off."""

    authority: Authority
    foreign: Authority
    service: ProxyService
    home: TlsHome
    own: Member
    members: list[Member]
    asking: list[Asking] = field(default_factory=list[Asking])

    def swap(
        self,
        *,
        clients: tuple[Client, ...] = CLIENTS,
        revoked: frozenset[str] = frozenset(),
        lists: bytes = b"",
        libraries: frozenset[str] = frozenset({"visited"}),
    ) -> None:
        fingerprint = self.foreign.certificate.fingerprint(hashes.SHA256()).hex()
        trust: PeerTrust = replace(
            peer_trust(self.authority, self.own, revoked=revoked),
            revocation_lists_pem=lists,
            foreign_anchors={fingerprint: ForeignAnchor(self.foreign.pem, libraries)},
        )
        self.service.swap(snapshot_of(trust, tls_home_server(self.home.port), clients=clients))

    async def watch_end(self) -> float:
        """Seconds until the first client's connection ended; it is refused then, and the others have every answer."""
        began = monotonic()
        first, *others = self.asking
        await until(lambda: first.device.downs >= 1)
        seconds = monotonic() - began
        await until(lambda: first.device.downs >= 2 and not first.device.link.is_up, 3.0)  # it has tried to come again
        answered = [len(each.device.packets) for each in others]
        await until(
            lambda: all(len(each.device.packets) > before for each, before in zip(others, answered, strict=True))
        )
        for each in self.asking:
            await each.stop()
        await until(lambda: all(len(each.device.packets) == each.sent for each in others))
        assert [each.device.downs for each in others] == [0, 0]
        return seconds


@pytest.fixture(scope="module")
def authorities() -> tuple[Authority, Authority]:
    return Authority("ours"), Authority("foreign")


async def make_crowd(
    authorities: tuple[Authority, Authority], stack: AsyncExitStack, first: Member, *, is_foreign: bool = False
) -> Crowd:
    authority, foreign = authorities
    home = TlsHome(trust_of(authority, issue(authority, HOME_NAME, "127.0.0.1")))
    await home.start()
    stack.callback(home.stop)
    listener = listen_for_streams()
    service = await stack.enter_async_context(running_proxy(listener))
    members = [first, *(issue(authority, name) for name in NAMES[1:])]
    crowd = Crowd(authority, foreign, service, home, issue(authority, OWN_NAME), members)
    crowd.swap()
    for number, member in enumerate(members):
        issuer = foreign if is_foreign and not number else authority
        credentials = issuer.credentials(member, (authority,))
        device = TlsDevice(Trust(credentials, frozenset({RadiusVersion.V1_0})), listener.getsockname()[1])
        stack.callback(device.link.close)
        await device.connect()
        crowd.asking.append(Asking(device))
    for each in crowd.asking:
        each.start()
    await until(lambda: all(each.device.packets for each in crowd.asking))
    return crowd


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as made:
        yield made


def revoke(crowd: Crowd) -> None:
    crowd.swap(revoked=frozenset({serial_of(crowd.members[0])}))


def remove(crowd: Crowd) -> None:
    crowd.swap(clients=CLIENTS[1:])


def rename(crowd: Crowd) -> None:
    crowd.swap(clients=(replace(CLIENTS[0], certificate_name="another.visited.example"), *CLIENTS[1:]))


class TestOurAuthority:
    @pytest.mark.parametrize("change", [revoke, remove, rename])
    async def test_change_of_the_registry_cuts_one_off(
        self, authorities: tuple[Authority, Authority], stack: AsyncExitStack, change: Callable[[Crowd], None]
    ) -> None:
        """Revoked, removed, or authorised no more by its certificate's name."""
        crowd = await make_crowd(authorities, stack, issue(authorities[0], NAMES[0]))
        change(crowd)
        assert await crowd.watch_end() < 1.0

    async def test_certificate_that_runs_out_ends_its_connection(
        self, authorities: tuple[Authority, Authority], stack: AsyncExitStack
    ) -> None:
        """Within the second in which it is looked at, and without a change of anything."""
        first = authorities[0].issue(names_of(NAMES[0]), ends_in=timedelta(seconds=6))
        crowd = await make_crowd(authorities, stack, first)
        end = first[0].not_valid_after_utc.timestamp()
        await asyncio.sleep(max(end - time(), 0))
        assert crowd.asking[0].device.downs <= 1
        assert await crowd.watch_end() < 1.5  # it is looked at each second


class TestForeignAuthority:
    async def test_its_new_list_cuts_off_whom_it_names(
        self, authorities: tuple[Authority, Authority], stack: AsyncExitStack
    ) -> None:
        """As soon as the list is in force, whatever was verified in the handshake."""
        first = issue(authorities[1], NAMES[0])
        crowd = await make_crowd(authorities, stack, first, is_foreign=True)
        crowd.swap(lists=authorities[1].revoke(x509.random_serial_number()))  # of somebody else
        await asyncio.sleep(0.1)
        assert crowd.asking[0].device.downs == 0
        crowd.swap(lists=authorities[1].revoke(first[0].serial_number))
        assert await crowd.watch_end() < 1.0

    async def test_anchor_that_speaks_for_others_now_ends_it(
        self, authorities: tuple[Authority, Authority], stack: AsyncExitStack
    ) -> None:
        """The anchor stays; this library is taken out of those that it speaks for."""
        crowd = await make_crowd(authorities, stack, issue(authorities[1], NAMES[0]), is_foreign=True)
        crowd.swap(libraries=frozenset({"another"}))
        assert await crowd.watch_end() < 1.0
