"""The beginning of a federation: schema, node key, the two authorities, and the first operator's token."""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from federation.errors import Conflict, TrustError
from federation.model import Actor, Role
from federation.services.authorities import create_authorities
from federation.services.registry import Registry
from federation.services.settings import create_settings
from federation.services.tokens import create_token
from federation.store.compile import read_revision
from federation.store.session import Store
from federation.trust.keystore import create_node_key, load_sealer

FIRST_TOKEN_NAME = "first operator"  # noqa: S105 - what it is called, not what it is
_UNFINISHED = ".unfinished"


def initialise(store: Store, node_key: Path, actor: Actor, *, name: str, country: str, eap_server_name: str) -> str:
    """Everything is there, and what is returned is the operator's token, which is kept nowhere.

    The node key gets its own name last. A run that was interrupted is taken up by the next one, with the key that it
    had begun with; where there is a node key, everything is there.

    Raises:
        Conflict: there is a federation already; nothing is changed.
        InvalidInput: a value of the federation's can not be.
        TrustError: the node key can not be written.
    """
    unfinished = node_key.with_name(node_key.name + _UNFINISHED)
    with _only_one(node_key):
        if node_key.exists():
            raise Conflict(f"{node_key.parent} is initialised already; nothing was changed")
        store.migrate()
        if unfinished.exists():
            sealer = load_sealer(unfinished)
        else:
            with store.read() as session:
                if read_revision(session):
                    raise Conflict(f"the database holds a federation already; its node key belongs at {node_key}")
            sealer = create_node_key(unfinished)
        with Registry(store, sealer, _tell_nobody).change(actor, "init") as change:
            create_settings(change, name=name, country=country, eap_server_name=eap_server_name)
            create_authorities(change)
            created = create_token(change, actor, name=FIRST_TOKEN_NAME, role=Role.OPERATOR)
        unfinished.rename(node_key)
    assert created.secret is not None  # a new token always has one
    return created.secret


@contextmanager
def _only_one(node_key: Path) -> Generator[None]:
    """Of two that begin together the second waits, and finds everything there."""
    try:
        lock = node_key.with_name(f".{node_key.name}.lock").open("w")
    except OSError as error:
        raise TrustError(f"can not write in {node_key.parent}: {error.strerror}") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _tell_nobody(_revision: int) -> None:
    """No process works from a registry that is not complete."""
