"""Which realm a name belongs to, and so where its requests go.

Look-ups are by label in dictionaries: no pattern is ever tried, so a hundred thousand realms cost what ten do.
"""

from collections.abc import Mapping

from federation.snapshot import Realm, Snapshot


def find_realm(snapshot: Snapshot, realm: str) -> Realm | None:
    """Return the entry that a looked-up realm belongs to: itself, or the nearest parent that includes its sub-realms.

    A parent without `includes_subrealms` hides the parents above it: the nearest owner decides.
    """
    realms = snapshot.realms
    found = realms.get(realm)
    return found if found is not None else find_parent(realms, realm)


def find_parent(realms: Mapping[str, Realm], realm: str) -> Realm | None:
    """Return the nearest registered parent of a realm, if it includes its sub-realms."""
    at = realm.find(".")
    while at >= 0:
        parent = realms.get(realm[at + 1 :])
        if parent is not None:
            return parent if parent.includes_subrealms else None
        at = realm.find(".", at + 1)
    return None
