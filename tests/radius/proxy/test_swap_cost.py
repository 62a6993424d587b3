"""What a snapshot costs the packet path's thread, counted in calls of functions: the same on every machine."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from math import inf
from typing import Final

import pytest

from federation.shards import Shards
from federation.snapshot import Client, HomeServer, Realm, SharedSecret, Snapshot
from radius.proxy.service import ProxyService, ProxySockets
from radius.transport import garbage
from tests.radius.proxy.counting import count_into
from tests.radius.proxy.test_swaps import follow
from tests.radius.proxy.world import make_snapshot

MOST_CALLS: Final = 200  # of any of these changes; a client and a home server have tables of their own to be computed
SECRET: Final = SharedSecret(b"0123456789abcdef")


def client_of(number: int) -> Client:
    """An access point that takes changes of sessions."""
    network = ip_network(ip_address("10.0.0.0") + number)
    return Client(
        f"l{number}/ap", f"l{number}", f"l{number}.example", (network,), SECRET,
        dynamic_authorization_server=f"l{number}/ap/coa",
    )  # fmt: skip


def server_of(number: int) -> HomeServer:
    """Every tenth is known by a name that has to be looked up."""
    host = str(ip_address("172.16.0.0") + number) if number % 10 else "localhost"
    return HomeServer(f"l{number}/radius", f"l{number}", host, 1812, secret=SECRET, realms=(f"r{number}.example",))


def federation_of(libraries: int) -> Snapshot:
    """Ten realms, an access point and a home server each."""
    servers = {server.key: server for server in map(server_of, range(libraries))}
    names = ((number, f"r{number}-{each}.example") for number in range(libraries) for each in range(10))
    return replace(
        make_snapshot(clients=tuple(map(client_of, range(libraries)))),
        home_servers=Shards(servers),
        realms=Shards((name, Realm(name, f"l{number}", (f"l{number}/radius",))) for number, name in names),
        dynamic_authorization_servers=Shards({"l0/ap/coa": replace(server_of(1), key="l0/ap/coa", library=None)}),
    )


def change(
    before: Snapshot,
    clients: Mapping[str, Client] | None = None,
    servers: Mapping[str, HomeServer] | None = None,
    realms: Mapping[str, Realm] | None = None,
) -> Snapshot:
    """The snapshot after that one, with these beside or in the place of what it has."""
    after, _ = follow(
        before,
        {**{client.key: client for client in before.clients}, **(clients or {})},
        {**before.home_servers, **(servers or {})},
    )
    if not clients:  # as the compiler leaves them
        after = replace(after, clients=before.clients)
    assert isinstance(before.realms, Shards)
    return replace(after, realms=before.realms.replace((), realms or {}))


def add_realm(before: Snapshot) -> Snapshot:
    """One more realm of a library, which its home server is told of."""
    server = replace(server_of(3), realms=("r3.example", "new.example"))
    realm = Realm("new.example", "l3", ("l3/radius",))
    after = change(before, servers={server.key: server}, realms={realm.name: realm})
    assert after.difference is not None
    return replace(after, difference=replace(after.difference, changed_home_servers=(server,)))


def add_access_point(before: Snapshot) -> Snapshot:
    """One that takes changes of sessions."""
    client = replace(client_of(3), key="l3/new", networks=(ip_network("192.0.2.7/32"),))
    return change(before, clients={client.key: client})


def move_home_server(before: Snapshot) -> Snapshot:
    """To another address."""
    return change(before, servers={"l3/radius": replace(server_of(3), host="192.0.2.9")})


def name_home_server(before: Snapshot) -> Snapshot:
    """To where a name says."""
    return change(before, servers={"l3/radius": replace(server_of(3), host="localhost")})


async def count_calls(libraries: int, make: Callable[[Snapshot], Snapshot]) -> Counter[str]:
    """The calls in the thread of the packet path, Python's and built-in ones, by name."""
    found: Counter[str] = Counter()
    profile = count_into(found)

    service = ProxyService(ProxySockets(()), loop_key=bytes(32))
    service.start()
    first = federation_of(libraries)
    service.swap(first)
    async with asyncio.timeout(10):  # names are looked up, which nobody tells of
        while any(each.address is None for each in service.engine.upstreams.values()):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)
    second = make(first)
    sys.setprofile(profile)
    try:
        service.swap(second)
    finally:
        sys.setprofile(None)
    assert service.engine.revision == second.revision
    await service.stop(0.0)
    return found


@pytest.fixture(autouse=True)
def collector_has_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first snapshot brings the collector's only look: when the next would come is a matter of time."""
    monkeypatch.setattr(garbage, "YOUNG_SECONDS", inf)


class TestSwap:
    @pytest.mark.parametrize("make", [add_realm, add_access_point, move_home_server, name_home_server])
    async def test_swap_costs_no_more_among_ten_thousand_realms(self, make: Callable[[Snapshot], Snapshot]) -> None:
        """One change takes as many calls in a federation of 10,000 realms as in one of 100."""
        few, many = await count_calls(10, make), await count_calls(1000, make)
        assert many == few, (many - few).most_common(20)
        assert many.total() <= MOST_CALLS, many.most_common(50)
