"""What `biebroam doctor` asks the registry: each check says what is so, or raises with what is wrong."""

from collections.abc import Callable, Mapping

from federation.services.distribution import check_distribution
from federation.services.expiry import check_lives
from federation.services.feed import compile_for_proxy
from federation.services.foreign_anchors import list_anchors
from federation.services.foreign_lists import find_list_troubles
from federation.services.registry import Registry

Probe = Callable[[], str]


def build_probes(
    open_registry: Callable[[], Registry], hosted_addresses: tuple[tuple[str, int], ...]
) -> Mapping[str, tuple[Probe, str]]:
    """The checks by name, each with what to do when it fails; the registry is opened by each, since it may be away."""

    def look_at_database() -> str:
        if not open_registry().store.is_migrated():
            raise ValueError("its schema is not this version's")
        return "its schema is this version's"

    def look_at_snapshot() -> str:
        registry = open_registry()
        with registry.read() as session:
            snapshot = compile_for_proxy(session, registry.sealer, hosted_addresses)
        return f"revision {snapshot.revision}, {len(snapshot.realms)} realms, {len(snapshot.clients)} clients"

    def look_at_certificates() -> str:
        registry = open_registry()
        with registry.read() as session:
            return check_lives(session, registry.now())

    def look_at_distribution() -> str:
        return check_distribution(open_registry())

    def look_at_lists() -> str:
        registry = open_registry()
        with registry.read() as session:
            troubles = find_list_troubles(session, registry.now())
            count = len(list_anchors(session, registry.now()))
        if troubles:
            raise ValueError("; ".join(troubles))
        return f"{count} trusted"

    return {
        "database": (look_at_database, "start `biebroam serve` once, or correct database_url"),
        "snapshot": (look_at_snapshot, "correct what is named; proxies keep the last good one meanwhile"),
        "certificates": (look_at_certificates, "renew what is named (docs/trust.md); `biebroam cert list` has all"),
        "revocation lists": (
            look_at_distribution,
            "let `public_url` lead to this API; `biebroam cert renew SERIAL`, or wait for the renewal of what is named",
        ),
        "other authorities": (look_at_lists, "ask the authority, or correct the URL; `biebroam cert anchor list`"),
    }
