"""The last good snapshot on disk, sealed: a process starts and works from it while the database is away."""

import io
import os
import pickle
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Final, TypeVar

from federation.errors import TrustError
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
)
from federation.trust.keystore import Sealer

# The seal is bound to the shape of the values, so that a file of another version is not read as if it were this one's.
_SHAPE: Final = "; ".join(
    f"{kind.__name__}({', '.join(field.name for field in fields(kind))})"
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
    )
)
_MODULES: Final = frozenset({"federation.snapshot", "ipaddress"})

AnySnapshot = TypeVar("AnySnapshot", Snapshot, HomeSnapshot)


def save_snapshot(path: Path, snapshot: Snapshot | HomeSnapshot, sealer: Sealer) -> None:
    """The file holds the snapshot, sealed, mode 0600; whoever reads it meanwhile sees the earlier one whole.

    Raises:
        OSError: the disk is full or not writable; the earlier file stays.
    """
    content = pickle.dumps(snapshot, protocol=pickle.HIGHEST_PROTOCOL)
    sealed = sealer.seal(content, _context(type(snapshot)))
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(sealed)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load_snapshot(path: Path, kind: type[AnySnapshot], sealer: Sealer) -> AnySnapshot | None:
    """The snapshot in the file; None when there is none that this version wrote and this node's key opens."""
    try:
        content = sealer.open(path.read_bytes(), _context(kind))
        # Whoever can seal holds the node key and needs no pickle to do harm; the classes are bounded all the same.
        found = _Unpickler(io.BytesIO(content)).load()
    except (OSError, TrustError, pickle.UnpicklingError, EOFError, AttributeError):
        return None
    return found if isinstance(found, kind) else None


def _context(kind: type[Snapshot | HomeSnapshot]) -> str:
    return f"saved:{kind.__name__}:{_SHAPE}"


class _Unpickler(pickle.Unpickler):
    """Makes values of the snapshot and of nothing else."""

    def find_class(self, module_name: str, global_name: str, /) -> object:
        """Raises UnpicklingError for anything that is no value of a snapshot."""
        if module_name not in _MODULES:
            raise pickle.UnpicklingError(f"{module_name}.{global_name} is no part of a snapshot")
        return super().find_class(module_name, global_name)
