"""Whose a name is: the hosted realm of a name outside the tunnel, and the patron of one inside it."""

from collections.abc import Mapping

from federation.names import UserName, parse_user_name
from federation.snapshot import HostedRealm


def find_hosted(realms: Mapping[str, HostedRealm], realm: str) -> HostedRealm | None:
    """The hosted realm that a looked-up realm belongs to: itself, or its nearest parent if that has its sub-realms."""
    found = realms.get(realm)
    if found is not None:
        return found
    parent = realm.partition(".")[2]
    while parent:
        found = realms.get(parent)
        if found is not None:
            return found if found.includes_subrealms else None
        parent = parent.partition(".")[2]
    return None


def find_patron(realms: Mapping[str, HostedRealm], realm: str, inner_name: str) -> tuple[HostedRealm, str] | None:
    """The realm to ask and the user's part of a name inside the tunnel, for a conversation about `realm`.

    A name without a realm is of that realm. One with a realm has to belong to the same library: a device that comes
    as anonymous@lib.example may say anna@branch.lib.example inside, if lib.example's library has that too; anybody
    else's realm is refused, since its patrons are not this library's to answer for. None: it is nobody's here.
    """
    own = realms.get(realm)
    if own is None or not inner_name:
        return None
    if "@" not in inner_name:
        return (own, inner_name) if inner_name.isprintable() else None
    name = parse_user_name(inner_name.encode())
    if not isinstance(name, UserName):
        return None
    hosted = find_hosted(realms, name.realm)
    if hosted is None or hosted.library != own.library:
        return None
    return hosted, name.user.decode()
