"""A registry with two libraries, for the tests of what belongs to them: real database, real keys, a clock to set."""

import atexit
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from federation.identity.passwords import PasswordHashes
from federation.model import Actor, MemberRole, Role
from federation.services.authorities import create_authorities
from federation.services.libraries import add_library
from federation.services.realms import add_realm
from federation.services.registry import Change, Registry
from federation.services.settings import create_settings
from federation.store.session import Store
from federation.store.tables.registry import IdentityRow
from federation.trust.keystore import create_node_key, load_sealer

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
OPERATOR = Actor("operator", Role.OPERATOR)
BOEKENBURG = Actor("boekenburg", Role.LIBRARY, "boekenburg")
LEESSTAD = Actor("leesstad", Role.LIBRARY, "leesstad")
READER = Actor("reader", Role.READER)
CHEAP_HASHES = PasswordHashes(memory_kib=64, passes=1)  # the algorithm, at a cost that tests can pay often


class Clock:
    """The time that the registry believes."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **parts: float) -> None:
        self.now += timedelta(**parts)


class Members:
    """Two libraries and the registry that they are in."""

    def __init__(self, folder: Path, url: str = "", *, twin: Path | None = None) -> None:
        """In the new database of that URL, or in one that is a copy of a twin's, whose folder is given.

        Without a URL in SQLite in the folder, as a copy of what this process has made once for all.
        """
        self.clock = Clock()
        self.announced: list[int] = []
        self.key_path = folder / "node.key"
        twin = twin if url else _sqlite_twin()
        if twin is None:
            self.sealer = create_node_key(self.key_path)
        else:
            shutil.copytree(twin, folder, dirs_exist_ok=True)
            self.sealer = load_sealer(self.key_path)
        self.store = Store(url or f"sqlite:///{folder / 'biebroam.db'}", makes_file=True)
        self.registry = Registry(self.store, self.sealer, self.announced.append, self.clock)
        if twin is None:
            self._fill()

    def _fill(self) -> None:
        self.store.migrate()
        with self.change() as change:
            create_settings(change, name="biebroam", country="NL", eap_server_name="login.biebroam.example")
            create_authorities(change)
            self._add(change, "boekenburg", ("boekenburg.test", "oud.test"))
            self._add(change, "leesstad", ("leesstad.test",))

    def _add(self, change: Change, library: str, realms: tuple[str, ...]) -> None:
        roles = (MemberRole.HOME, MemberRole.VISITED)
        add_library(change, OPERATOR, library_id=library, name=library.title(), roles=roles)
        for realm in realms:
            add_realm(change, OPERATOR, library, name=realm)
        change.session.add(IdentityRow(library_id=library, kind="local", mschapv2=False, methods=["ttls-pap"]))

    @contextmanager
    def change(self, actor: Actor = OPERATOR) -> Generator[Change]:
        with self.registry.change(actor) as change:
            yield change

    def turn_mschapv2(self, library: str, *, on: bool) -> None:
        with self.store.write() as session:
            row = session.get(IdentityRow, library)
            assert row is not None
            row.mschapv2 = on


@cache
def _sqlite_twin() -> Path:
    """A folder with their key and their database, which nobody has open; gone when the tests are."""
    folder = Path(tempfile.mkdtemp(prefix="biebroam-members-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    members = Members(folder, f"sqlite:///{folder / 'biebroam.db'}")
    members.store.close()
    return folder


@contextmanager
def open_members(folder: Path, url: str = "", *, twin: Path | None = None) -> Generator[Members]:
    """The registry, closed at the end: an open database is a warning, and warnings are errors."""
    members = Members(folder, url, twin=twin)
    try:
        yield members
    finally:
        members.store.close()
