"""The newest snapshot from the one before it: only what has changed is read, and only that is made anew.

Each change of the registry stands in the audit trail, in the same transaction, with the library that it is about. A
snapshot remembers the last entry that it has followed, and that entry's digest, which stands for all entries before it.
While the trail still has that entry, the libraries of the later ones are all that can differ; when it has not (the
registry was restored from a backup, or is another one), every library is read.
"""

import operator
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from federation.errors import SnapshotRejected
from federation.policy import DenyList
from federation.shards import Shards
from federation.snapshot import Client, Difference, DiscoveryPolicy, HomeServer, Realm, Snapshot, Trail
from federation.store.compile import (
    Member,
    describe_federation,
    find_changers,
    find_settings,
    read_members,
    validate_snapshot,
)
from federation.store.discovery import read_discovery_policy
from federation.store.saved import move_hosted
from federation.store.tables.registry import AuditRow, FederationRow, LibraryRow
from federation.trust.keystore import Sealer

LIBRARIES_AT_A_TIME: Final = 500  # SQLite takes 32,766 values in a statement
MAX_CHANGED: Final = 5_000  # libraries; with more of them, all are read
FEW: Final = 100  # libraries whose clients are put into their places one by one
Value = TypeVar("Value")


def read_trail(session: Session) -> Trail:
    """The last entry of the audit trail. What is read after it is at least as new, and at worst read again."""
    row = session.execute(select(AuditRow.id, AuditRow.digest).order_by(AuditRow.id.desc()).limit(1)).first()
    return Trail() if row is None else Trail(row.id, row.digest)


def find_changed(session: Session, trail: Trail) -> list[str] | None:
    """The libraries that have changed since then; None when that can not be told, or they are very many."""
    if session.scalar(select(AuditRow.digest).where(AuditRow.id == trail.entry)) != trail.digest:
        return None
    query = select(AuditRow.library_id).where(AuditRow.id > trail.entry, AuditRow.library_id.is_not(None)).distinct()
    found = [library for library in session.scalars(query.limit(MAX_CHANGED + 1)) if library is not None]
    return None if len(found) > MAX_CHANGED else found


class _Owned(NamedTuple):
    """What a library has in the snapshot, by keys."""

    realms: tuple[str, ...] = ()
    home_servers: tuple[str, ...] = ()
    changeable: tuple[str, ...] = ()


_NOTHING: Final = _Owned()


class _Table(Generic[Value]):
    """What becomes of a table of the snapshot: keys that go, and values that are new or other than they were."""

    __slots__ = ("changed", "removed")

    def __init__(self) -> None:
        self.removed: set[str] = set()
        self.changed: dict[str, Value] = {}

    def note(
        self,
        table: Mapping[str, Value],
        before: Iterable[str],
        now: Mapping[str, Value],
        is_same: Callable[[Value, Value], bool] = operator.eq,
    ) -> None:
        """A library had these keys and has these entries now."""
        if not table:
            self.changed.update(now)
            return
        self.removed.update(key for key in before if key not in now)
        for key, value in now.items():
            earlier = table.get(key)
            if earlier is None or not is_same(earlier, value):
                self.changed[key] = value

    def apply(self, table: Mapping[str, Value]) -> Mapping[str, Value]:
        """The table as it is afterwards; the same object when nothing changes."""
        if not self.removed and not self.changed:
            return table
        return (table if isinstance(table, Shards) else Shards(table)).replace(self.removed, self.changed)


class SnapshotCompiler:
    """Makes the snapshots of one proxy, each from the one before it."""

    def __init__(self, sealer: Sealer, hosted: Iterable[HomeServer] = ()) -> None:
        """`hosted` are the home servers that Biebroam runs itself."""
        self.libraries_read = 0  # in all: what a change costs
        self._sealer = sealer
        self._hosted = {server.key: server for server in hosted}
        self._last: Snapshot | None = None
        self._owned: dict[str, _Owned] | None = None  # by library; None: not sorted yet
        self._places: dict[object, str] | None = None  # networks and names in certificates, with their libraries

    def resume(self, snapshot: Snapshot) -> Snapshot:
        """The next snapshot is made from this one, which was saved; returns it as `move_hosted` does."""
        self._last = move_hosted(snapshot, self._hosted)
        self._owned = self._places = None
        return self._last

    def prepare(self) -> None:
        """What a change is compared with is sorted now, and not when the first change waits for it."""
        if self._last is not None:
            self._sort(self._last)

    def _sort(self, last: Snapshot) -> None:
        if self._owned is None:
            self._owned = _sort_by_library(last)
        if self._places is None:
            self._places = {place: client.library for client in last.clients for place in _places_of(client)}

    def compile(self, session: Session) -> Snapshot:
        """The snapshot of what the session sees, but for what is shown to RADIUS/TLS peers.

        Raises:
            NotFound: the registry has no settings yet.
            SnapshotRejected: what is registered can not be followed; the next one is made from the one before.
            TrustError: a secret does not open.
        """
        trail = read_trail(session)
        settings = find_settings(session)
        last = self._last
        if last is None:
            last = Snapshot(0, describe_federation(settings), home_servers=Shards(self._hosted))
        self._sort(last)
        assert self._owned is not None
        changed = find_changed(session, last.trail)
        if changed is None:
            known = {client.library for client in last.clients}.union(self._owned)
            changed = sorted(known.union(session.scalars(select(LibraryRow.id))))
        work = _Work(last, self._owned, tuple(self._hosted), is_first=self._last is None)
        for start in range(0, len(changed), LIBRARIES_AT_A_TIME):
            batch = changed[start : start + LIBRARIES_AT_A_TIME]
            members = {member.id: member for member in read_members(session, self._sealer, batch)}
            self.libraries_read += len(batch)
            for library in batch:
                work.take(library, members.get(library))
        snapshot = work.finish(settings, trail, read_discovery_policy(session, settings))
        self._check(snapshot, work)
        self._keep(snapshot, work)
        return snapshot

    def _check(self, snapshot: Snapshot, work: "_Work") -> None:
        """Raises SnapshotRejected; only if something that is new could be wrong, everything is looked at."""
        assert self._places is not None  # sorted before anything is compared with it
        taken: set[object] = set()
        is_doubtful = not _is_deny_list(snapshot.denied_realms)
        for client in work.new_clients():
            for place in _places_of(client):
                owner = self._places.get(place)
                is_doubtful |= place in taken or (owner is not None and owner not in work.clients)
                taken.add(place)
            is_doubtful |= bool(client.networks) == (client.certificate_name is not None)
            is_doubtful |= bool(client.networks) and not client.secret
        ways = {(realm.home_servers, realm.accounting_servers) for realm in work.new_realms()}  # few: a library has one
        is_doubtful |= any(key not in snapshot.home_servers for way in ways for keys in way for key in keys)
        reasons = validate_snapshot(snapshot) if is_doubtful else []
        if reasons:
            raise SnapshotRejected(tuple(reasons))

    def _keep(self, snapshot: Snapshot, work: "_Work") -> None:
        """It is what the next one is made from."""
        assert self._owned is not None  # both are made before anything is compared with them
        assert self._places is not None
        for library, (before, _) in work.clients.items():
            for client in before:
                for place in _places_of(client):
                    if self._places.get(place) == library:
                        del self._places[place]
        self._places.update((place, client.library) for client in work.new_clients() for place in _places_of(client))
        for library, owned in work.owned.items():
            if owned == _NOTHING:
                self._owned.pop(library, None)
            else:
                self._owned[library] = owned
        self._last = snapshot


class _Work:
    """One snapshot in the making: what differs from the last one."""

    def __init__(self, last: Snapshot, owned: Mapping[str, _Owned], hosted: tuple[str, ...], *, is_first: bool) -> None:
        self.last = last
        self.owned: dict[str, _Owned] = {}  # what each library that was read has now
        self.clients: dict[str, tuple[Sequence[Client], Sequence[Client]]] = {}  # by library, before and after
        self._earlier = owned
        self._hosted = hosted
        self._is_first = is_first
        self._realms: _Table[Realm] = _Table()
        self._home_servers: _Table[HomeServer] = _Table()
        self._changeable: _Table[HomeServer] = _Table()

    def take(self, library: str, member: Member | None) -> None:
        """This is what the library brings in; None: nothing any more."""
        last, before = self.last, self._earlier.get(library, _NOTHING)
        realms = {realm.name: realm for realm in member.routes(self._hosted)} if member else {}
        servers = {server.key: server for server in member.all_home_servers()} if member else {}
        visited = member if member is not None and member.is_visited else None
        changeable = {server.key: server for server in visited.dynamic_authorization_servers} if visited else {}
        self.owned[library] = _Owned(tuple(realms), tuple(servers), tuple(changeable))
        self._realms.note(last.realms, before.realms, realms)
        self._home_servers.note(last.home_servers, before.home_servers, servers, _is_same)
        self._changeable.note(last.dynamic_authorization_servers, before.changeable, changeable)
        clients_before = _clients_of(last.clients, library)
        clients = tuple(visited.clients) if visited else ()
        if clients_before != clients:
            self.clients[library] = (clients_before, clients)

    def new_realms(self) -> Iterable[Realm]:
        """Those that were not there, or were other than they are."""
        return self._realms.changed.values()

    def new_clients(self) -> Iterator[Client]:
        """Those of the libraries whose clients have changed."""
        for _, after in self.clients.values():
            yield from after

    def finish(self, settings: FederationRow, trail: Trail, discovery: DiscoveryPolicy | None) -> Snapshot:
        """The snapshot; what has not changed is the last one's, the same object."""
        last = self.last
        clients = self._merge_clients()
        home_servers = self._home_servers.apply(last.home_servers)
        changeable = self._changeable.apply(last.dynamic_authorization_servers)
        changers = last.dynamic_authorization_clients
        if clients is not last.clients or self._are_servers_other(last) or bool(changeable) != bool(changers):
            found = find_changers(clients, home_servers.values()) if changeable else ()
            changers = found if found != changers else changers
        return Snapshot(
            revision=settings.revision,
            federation=describe_federation(settings),
            clients=clients,
            home_servers=home_servers,
            dynamic_authorization_servers=changeable,
            dynamic_authorization_clients=changers,
            realms=self._realms.apply(last.realms),
            denied_realms=tuple(settings.denied_realms),
            discovery=discovery,
            trail=trail,
            difference=None
            if self._is_first
            else Difference(
                clients=last.clients,
                home_servers=last.home_servers,
                removed_clients=tuple(self._removed_clients()),
                changed_clients=tuple(
                    client for before, after in self.clients.values() for client in after if client not in before
                ),
                removed_home_servers=tuple(self._home_servers.removed),
                changed_home_servers=tuple(self._home_servers.changed.values()),
            ),
        )

    def _are_servers_other(self, last: Snapshot) -> bool:
        """Whether a home server came, went, or is other than it was, but for the realms of its library."""
        changed = self._home_servers.changed.items()
        return bool(self._home_servers.removed) or any(last.home_servers.get(key) != each for key, each in changed)

    def _merge_clients(self) -> tuple[Client, ...]:
        if not self.clients:
            return self.last.clients
        if len(self.clients) > FEW:
            kept = (client for client in self.last.clients if client.library not in self.clients)
            return tuple(sorted((*kept, *self.new_clients()), key=_order_of))
        clients = list(self.last.clients)
        for library, (before, after) in self.clients.items():
            start = bisect_left(clients, library, key=_library_of)
            clients[start : start + len(before)] = after
        return tuple(clients)

    def _removed_clients(self) -> Iterator[str]:
        for before, after in self.clients.values():
            kept = {client.key for client in after}
            yield from (client.key for client in before if client.key not in kept)


def _is_same(earlier: HomeServer, server: HomeServer) -> bool:
    return earlier == server and earlier.realms == server.realms


def _is_deny_list(patterns: Sequence[str]) -> bool:
    try:
        DenyList(patterns)
    except ValueError:
        return False
    return True


def _clients_of(clients: tuple[Client, ...], library: str) -> tuple[Client, ...]:
    start = bisect_left(clients, library, key=_library_of)
    end = start
    while end < len(clients) and clients[end].library == library:
        end += 1
    return clients[start:end]


def _library_of(client: Client) -> str:
    return client.library


def _order_of(client: Client) -> tuple[str, str]:
    return client.library, client.key


def _places_of(client: Client) -> tuple[object, ...]:
    """What no other client may have."""
    return client.networks if client.certificate_name is None else (*client.networks, client.certificate_name)


def _sort_by_library(snapshot: Snapshot) -> dict[str, _Owned]:
    realms = defaultdict[str, list[str]](list)
    servers = defaultdict[str, list[str]](list)
    changeable = defaultdict[str, list[str]](list)
    for realm in snapshot.realms.values():
        realms[realm.library].append(realm.name)
    for key, server in snapshot.home_servers.items():
        if server.library is not None:
            servers[server.library].append(key)
    for key in snapshot.dynamic_authorization_servers:
        changeable[key.partition("/")[0]].append(key)
    return {
        library: _Owned(*(tuple(table.get(library, ())) for table in (realms, servers, changeable)))
        for library in {*realms, *servers, *changeable}
    }
