"""The newest snapshot, kept for questions: compiled once for each revision, however often it is asked for."""

from collections.abc import Callable
from dataclasses import replace
from threading import Lock

from sqlalchemy.orm import Session

from federation.snapshot import SharedSecret, Snapshot
from federation.store.compile import read_revision

_NO_SECRET = SharedSecret(b"")


class RecentSnapshot:
    """A snapshot without its secrets: routes are all that it is asked for, and it stays in memory.

    Those who ask at once wait for one compilation instead of making one each.
    """

    def __init__(self, compile_newest: Callable[[Session], Snapshot]) -> None:
        """`compile_newest` makes the snapshot of what a session sees."""
        self._compile = compile_newest
        self._lock = Lock()
        self._kept: Snapshot | None = None

    def find(self, session: Session) -> Snapshot:
        """The snapshot of the revision that the session sees.

        Raises:
            SnapshotRejected: what is registered can not be followed.
            TrustError: a secret does not open.
        """
        with self._lock:
            if self._kept is None or self._kept.revision != read_revision(session):
                self._kept = _without_secrets(self._compile(session))
            return self._kept


def _without_secrets(snapshot: Snapshot) -> Snapshot:
    return replace(
        snapshot,
        clients=tuple(replace(client, secret=None) for client in snapshot.clients),
        home_servers={key: replace(server, secret=_NO_SECRET) for key, server in snapshot.home_servers.items()},
        dynamic_authorization_servers={},
        dynamic_authorization_clients=(),
    )
