"""Which realm a name belongs to, and so where its requests go.

Look-ups are by label in dictionaries: no pattern is ever tried, so a hundred thousand realms cost what ten do.
"""

from collections.abc import Mapping

from federation.shards import MASK, Shards
from federation.snapshot import Realm, Snapshot


def find_realm(snapshot: Snapshot, realm: str) -> Realm | None:
    """Return the entry that a looked-up realm belongs to: itself, or the nearest parent that includes its sub-realms.

    A parent without `includes_subrealms` hides the parents above it: the nearest owner decides.
    """
    realms = snapshot.realms
    part = realms.parts[hash(realm) & MASK] if isinstance(realms, Shards) else realms  # a call less for each request
    found = part.get(realm)
    return found if found is not None else find_parent(realms, realm)


def find_parent(realms: Mapping[str, Realm], realm: str) -> Realm | None:
    """Return the nearest registered parent of a realm, if it includes its sub-realms."""
    at = realm.find(".")
    if isinstance(realms, Shards):  # a name may have a hundred labels, and nobody registered so many
        at = _find_dot(realm, realms.labels)
    while at >= 0:
        parent = realms.get(realm[at + 1 :])
        if parent is not None:
            return parent if parent.includes_subrealms else None
        at = realm.find(".", at + 1)
    return None


def _find_dot(realm: str, labels: int) -> int:
    """Return where the dot is that has so many labels behind it, or the first one; -1 where there is none."""
    at = len(realm)
    for _ in range(labels):
        before = realm.rfind(".", 0, at)
        if before < 0:
            break
        at = before
    return at if at < len(realm) else -1
