"""The last good snapshot on disk, sealed: a process starts and works from it while the database is away.

The file is a row of sealed pieces, each led by its length: the head, which says how many follow, then some hundred
realms, home servers or clients each. Written in one piece, 100,000 realms would keep everybody else of the process from
the interpreter for a second and more. What the seal of a piece is bound to has the file's own number and the piece's
place in it, so that no piece can be left out, moved, or brought from another file.
"""

import copyreg
import io
import os
import pickle
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from enum import Enum, EnumType
from functools import partial
from itertools import islice, starmap
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from federation import snapshot as snapshot_module
from federation.errors import TrustError
from federation.shards import Shards
from federation.snapshot import (
    Client,
    DiscoveryAuthority,
    DiscoveryPolicy,
    EapServerCredentials,
    Federation,
    ForeignAnchor,
    HomeServer,
    HomeSnapshot,
    HostedRealm,
    PeerTrust,
    Realm,
    Snapshot,
    Trail,
)
from federation.trust.keystore import Sealer


def _names_of(kind: type[Any]) -> tuple[str, ...]:  # Any: a dataclass or a named tuple
    return tuple(getattr(kind, "_fields", ())) or tuple(field.name for field in fields(kind))


# The seal is bound to the shape of the values, so that a file of another version is not read as if it were this one's.
_SHAPE: Final = "; ".join(
    f"{kind.__name__}({', '.join(_names_of(kind))})"
    for kind in (
        Client,
        DiscoveryAuthority,
        DiscoveryPolicy,
        EapServerCredentials,
        Federation,
        ForeignAnchor,
        HomeServer,
        HomeSnapshot,
        HostedRealm,
        PeerTrust,
        Realm,
        Snapshot,
        Trail,
    )
)
_MODULES: Final = frozenset({"federation.snapshot", "ipaddress"})
_LENGTH_OCTETS: Final = 4
WEIGHT: Final = 500  # of a piece: to pack and to seal so many values takes under a millisecond

AnySnapshot = TypeVar("AnySnapshot", Snapshot, HomeSnapshot)


class _Rows(NamedTuple):
    """A long table of a snapshot, which travels as plain tuples: to make objects again is quicker than to unpickle."""

    field: str
    take_apart: Callable[[Any], tuple[Any, ...]]  # Any: of whatever the table holds
    make: Callable[[Sequence[Sequence[Any]]], Iterable[Any]]
    is_by: str = ""  # the attribute that is its key; empty: the table is a tuple
    weigh: Callable[[Any], int] | None = None  # beside itself, where a value can hold many others


def _make_from(kind: type[Any]) -> Callable[[Sequence[Sequence[Any]]], Iterable[Any]]:
    return partial(starmap, kind)


def _make_realms(rows: Sequence[Sequence[Any]]) -> Iterable[Realm]:
    make: Callable[[Sequence[Any]], Realm] = partial(tuple.__new__, Realm)  # pyright: ignore[reportUnknownMemberType] - `Realm(…)` is a function of Python's, and there are many
    return map(make, rows)


_take_client, _make_client = attrgetter(*_names_of(Client)), _make_from(Client)
_take_server, _make_server = attrgetter(*_names_of(HomeServer)), _make_from(HomeServer)


def _weigh_server(server: HomeServer) -> int:
    return len(server.realms)


_TABLES: Final[dict[type[Snapshot | HomeSnapshot], tuple[_Rows, ...]]] = {
    Snapshot: (
        _Rows("realms", tuple, _make_realms, "name"),
        _Rows("home_servers", _take_server, _make_server, "key", _weigh_server),
        _Rows("clients", _take_client, _make_client),
        _Rows("dynamic_authorization_servers", _take_server, _make_server, "key"),
        _Rows("dynamic_authorization_clients", _take_client, _make_client),
    ),
    HomeSnapshot: (
        _Rows("realms", attrgetter(*_names_of(HostedRealm)), _make_from(HostedRealm), "name"),
        _Rows("clients", _take_client, _make_client),
    ),
}


def save_snapshot(
    path: Path, snapshot: Snapshot | HomeSnapshot, sealer: Sealer, pause: Callable[[], None] = lambda: None
) -> None:
    """The file holds the snapshot, sealed, mode 0600; whoever reads it meanwhile sees the earlier one whole.

    `pause` is called after each piece: a worker lets its packets through.

    Raises:
        OSError: the disk is full or not writable; the earlier file stays.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            for sealed in _pieces_of(snapshot, sealer):
                file.write(len(sealed).to_bytes(_LENGTH_OCTETS))
                file.write(sealed)
                pause()
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load_snapshot(path: Path, kind: type[AnySnapshot], sealer: Sealer) -> AnySnapshot | None:
    """The snapshot in the file; None when there is none that this version wrote and this node's key opens."""
    try:
        return _read_pieces(path.read_bytes(), kind, sealer)
    except (OSError, TrustError, pickle.UnpicklingError, EOFError, AttributeError):
        return None


def move_hosted(snapshot: Snapshot, hosted: Mapping[str, HomeServer]) -> Snapshot:
    """The saved snapshot as it is here and now: Biebroam's own home servers may listen elsewhere since it was saved.

    With other keys than they had, they are in the routes of every hosted library: the snapshot then has followed no
    trail, and all is to be read again. The same object where nothing is different.
    """
    earlier = {key: server for key, server in snapshot.home_servers.items() if server.is_hosted}
    if earlier == hosted:
        return snapshot
    servers = Shards(snapshot.home_servers).replace(earlier, hosted)
    trail = snapshot.trail if earlier.keys() == hosted.keys() else Trail()
    return replace(snapshot, home_servers=servers, trail=trail)


def _pieces_of(snapshot: Snapshot | HomeSnapshot, sealer: Sealer) -> Iterator[bytes]:
    number = secrets.token_hex(16)
    tables = [(rows, getattr(snapshot, rows.field)) for rows in _TABLES[type(snapshot)]]
    counts = [len(table) for _, table in tables]
    emptied: dict[str, Any] = {rows.field: {} if rows.is_by else () for rows, _ in tables}
    if isinstance(snapshot, Snapshot):
        emptied["difference"] = None  # to one that nobody has when this is read
    context = _context(type(snapshot))
    yield sealer.seal(_pack((number, counts, replace(snapshot, **emptied))), context)
    place = 0
    for rows, table in tables:
        for values in _split(table.values() if rows.is_by else table, rows.weigh):
            taken = [rows.take_apart(value) for value in values]
            yield sealer.seal(_pack(taken), f"{context}:{number}:{place}")
            place += 1


def _split(values: Iterable[Any], weigh: Callable[[Any], int] | None) -> Iterator[list[Any]]:
    """Pieces of about WEIGHT; each has one value at least.

    They are never all in one list: the garbage collector would walk through a hundred thousand, new as it was.
    """
    rest = iter(values)
    if weigh is None:
        while piece := list(islice(rest, WEIGHT)):
            yield piece
        return
    piece, weight = list[Any](), 0
    for value in rest:
        added = 1 + weigh(value)
        if piece and weight + added > WEIGHT:
            yield piece
            piece, weight = [], 0
        piece.append(value)
        weight += added
    if piece:
        yield piece


def _read_pieces(octets: bytes, kind: type[AnySnapshot], sealer: Sealer) -> AnySnapshot | None:
    pieces, at = list[bytes](), 0
    while at < len(octets):
        start = at + _LENGTH_OCTETS
        at = start + int.from_bytes(octets[at:start])
        pieces.append(octets[start:at])
    if not pieces:
        return None
    context = _context(kind)
    number, counts, head = _unpack(sealer.open(pieces[0], context))
    if not isinstance(head, kind):
        return None
    filled: dict[str, Any] = {}
    place = 0
    for rows, count in zip(_TABLES[kind], counts, strict=True):
        values: list[Any] = []
        while len(values) < count:
            if place + 1 >= len(pieces):
                return None
            found = _unpack(sealer.open(pieces[place + 1], f"{context}:{number}:{place}"))
            values.extend(rows.make(found))
            place += 1
        filled[rows.field] = (
            Shards(zip(map(attrgetter(rows.is_by), values), values, strict=True)) if rows.is_by else tuple(values)
        )
    return replace(head, **filled) if place + 1 == len(pieces) else None


def _pack(content: object) -> bytes:
    octets = io.BytesIO()
    _Pickler(octets, protocol=pickle.HIGHEST_PROTOCOL).dump(content)
    return octets.getvalue()


def _reduce_member(member: Enum) -> tuple[type[Enum], tuple[object]]:
    return type(member), (member.value,)


def _unpack(octets: bytes) -> Any:  # noqa: ANN401 - what `_pieces_of` has sealed
    # Whoever can seal holds the node key and needs no pickle to do harm; the classes are bounded all the same.
    return _Unpickler(io.BytesIO(octets)).load()


def _context(kind: type[Snapshot | HomeSnapshot]) -> str:
    return f"saved:{kind.__name__}:{_SHAPE}"


class _Pickler(pickle.Pickler):
    """Writes members of enums as classes and values; Python 3.11.2, which is Debian 12's, writes calls of `getattr`."""

    dispatch_table = {  # noqa: RUF012 - the base class has it so
        **copyreg.dispatch_table,
        **{each: _reduce_member for each in vars(snapshot_module).values() if isinstance(each, EnumType)},
    }


class _Unpickler(pickle.Unpickler):
    """Makes values of the snapshot and of nothing else."""

    def find_class(self, module_name: str, global_name: str, /) -> object:
        """Raises UnpicklingError for anything that is no value of a snapshot."""
        if module_name not in _MODULES:
            raise pickle.UnpicklingError(f"{module_name}.{global_name} is no part of a snapshot")
        return super().find_class(module_name, global_name)
