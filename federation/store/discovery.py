"""Dynamic discovery as it stands in the registry: the settings, and what they come to for a proxy."""

from ipaddress import ip_network
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from federation.model import DiscoverySettings, DiscoveryTrust
from federation.snapshot import DiscoveryAuthority, DiscoveryPolicy
from federation.store.tables.foreign import ForeignAnchorRow
from federation.store.tables.registry import FederationRow
from federation.trust.profiles import POLICY_HOME


def read_discovery_settings(row: FederationRow) -> DiscoverySettings:
    """The settings, those that are not in the row as they are by default."""
    stored: dict[str, Any] = row.discovery or {}  # Any: JSON of our own making
    default = DiscoverySettings()
    return DiscoverySettings(
        enabled=stored.get("enabled", default.enabled),
        services=tuple(stored.get("services", default.services)),
        realms=tuple(stored.get("realms", default.realms)),
        allowed_networks=tuple(stored.get("allowed_networks", default.allowed_networks)),
        authorities=tuple(
            DiscoveryTrust(each["anchor"], tuple(each["policies"]), each["require_realm"])
            for each in stored.get("authorities", ())
        ),
    )


def read_discovery_policy(session: Session, row: FederationRow) -> DiscoveryPolicy | None:
    """What the settings come to; None where discovery is off. An anchor that is gone vouches for nobody."""
    settings = read_discovery_settings(row)
    if not settings.enabled:
        return None
    rows = session.execute(select(ForeignAnchorRow.name, ForeignAnchorRow.fingerprint))
    fingerprints = {row.name: row.fingerprint for row in rows}
    return DiscoveryPolicy(
        services=settings.services,
        realms=settings.realms,
        allowed_networks=tuple(map(ip_network, settings.allowed_networks)),
        own_authority=DiscoveryAuthority(frozenset({POLICY_HOME.dotted_string})),
        authorities={
            fingerprints[each.anchor]: DiscoveryAuthority(frozenset(each.policies), each.require_realm)
            for each in settings.authorities
            if each.anchor in fingerprints
        },
    )


def read_discovery_anchors(session: Session, *, if_disabled: bool = False) -> frozenset[str]:
    """The names of the foreign anchors that may vouch for servers which the DNS names; none where discovery is off."""
    row = session.get(FederationRow, 1)
    settings = read_discovery_settings(row) if row is not None else DiscoverySettings()
    return frozenset(each.anchor for each in settings.authorities) if settings.enabled or if_disabled else frozenset()
