"""The snapshot that is kept for questions."""

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.orm import Session

from federation.services import access_points, home_servers, realms
from federation.services.access_points import AccessPointValues
from federation.services.feed import compile_for_proxy
from federation.services.home_servers import HomeServerValues
from federation.services.recent import RecentSnapshot
from federation.snapshot import Snapshot
from tests.federation.members import OPERATOR, Members


class Compiler:
    """Counts how often a snapshot is made."""

    def __init__(self, members: Members) -> None:
        self.count = 0
        self._members = members

    def __call__(self, session: Session) -> Snapshot:
        self.count += 1
        return compile_for_proxy(session, self._members.sealer, (("127.0.0.1", 18120),))


def find(members: Members, recent: RecentSnapshot) -> Snapshot:
    with members.registry.read() as session:
        return recent.find(session)


def test_is_compiled_once_for_each_revision(members: Members) -> None:
    """Asking again costs nothing; a change is seen at once."""
    compiler = Compiler(members)
    recent = RecentSnapshot(compiler)
    assert find(members, recent) is find(members, recent)
    with members.change() as change:
        realms.add_realm(change, OPERATOR, "leesstad", name="nieuw.test")
    assert "nieuw.test" in find(members, recent).realms
    assert compiler.count == 2


def test_many_at_once_make_one(members: Members) -> None:
    """A hundred questions in the moment after a change are one compilation."""
    compiler = Compiler(members)
    recent = RecentSnapshot(compiler)
    with ThreadPoolExecutor(8) as executor:
        waiting = [executor.submit(find, members, recent) for _ in range(32)]
        found = [each.result(30) for each in waiting]
    assert compiler.count == 1
    assert len({id(snapshot) for snapshot in found}) == 1


def test_holds_no_secret(members: Members) -> None:
    """What stays in the API's memory opens nothing."""
    with members.change() as change:
        values = AccessPointValues(address="192.0.2.1", coa_port=3799)
        access_points.add_access_point(change, OPERATOR, "leesstad", name="hal", values=values)
        home_servers.add_home_server(change, OPERATOR, "leesstad", name="r", values=HomeServerValues("192.0.2.9"))
    snapshot = find(members, RecentSnapshot(Compiler(members)))
    assert [client.secret for client in snapshot.clients] == [None]
    assert not snapshot.dynamic_authorization_servers
    assert not snapshot.dynamic_authorization_clients
    assert {bytes(server.secret) for server in snapshot.home_servers.values()} == {b""}
