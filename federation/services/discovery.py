"""Dynamic discovery: which settings can be, and what a library has to publish in its own DNS (RFC 7585)."""

import re
from ipaddress import ip_network
from typing import Any

from sqlalchemy.orm import Session

from federation.errors import InvalidInput
from federation.model import DiscoverySettings, DiscoveryTrust
from federation.policy import RealmPatterns
from federation.store.tables.foreign import ForeignAnchorRow

MAX_SERVICES = 8
MAX_PATTERNS = 1000
MAX_NETWORKS = 64
MAX_AUTHORITIES = 32
MAX_POLICIES = 16
# RFC 3958 §6.5: application service and protocol; labels as RFC 7585 §2.1.1 and those of other federations have them.
_SERVICE = re.compile(r"[a-z0-9][a-z0-9+.-]{0,31}:[a-z0-9][a-z0-9+.-]{0,31}")
_OBJECT_IDENTIFIER = re.compile(r"[0-2](\.(0|[1-9][0-9]{0,39})){1,31}")
_PLACE = "/federation/discovery"


def parse_settings(session: Session, settings: DiscoverySettings) -> DiscoverySettings:
    """The settings in their one form: lower case, each network once.

    Raises:
        InvalidInput: a value can not be, or would let anybody answer for every realm.
    """
    services = tuple(dict.fromkeys(service.lower() for service in settings.services))
    _check_count(services, 1, MAX_SERVICES, "services")
    for number, service in enumerate(services):
        if not _SERVICE.fullmatch(service):
            raise InvalidInput(
                f"{service[:80]!r} is no S-NAPTR service, such as x-biebroam:radius.tls",
                field=f"{_PLACE}/services/{number}",
            )
    realms = tuple(dict.fromkeys(pattern.lower() for pattern in settings.realms))
    _check_count(realms, 0, MAX_PATTERNS, "realms")
    RealmPatterns(realms, field=f"{_PLACE}/realms")  # raises for a pattern that can not be
    _check_count(settings.allowed_networks, 0, MAX_NETWORKS, "allowed_networks")
    networks = [_parse_network(text, number) for number, text in enumerate(settings.allowed_networks)]
    _check_count(settings.authorities, 0, MAX_AUTHORITIES, "authorities")
    authorities = tuple(_parse_trust(session, each, number) for number, each in enumerate(settings.authorities))
    if len({each.anchor for each in authorities}) < len(authorities):
        raise InvalidInput("an anchor is named more than once", field=f"{_PLACE}/authorities")
    return DiscoverySettings(settings.enabled, services, realms, tuple(dict.fromkeys(networks)), authorities)


def to_json(settings: DiscoverySettings) -> dict[str, Any]:
    """The settings as the registry keeps them and the federation file has them."""
    return {
        "enabled": settings.enabled,
        "services": list(settings.services),
        "realms": list(settings.realms),
        "allowed_networks": list(settings.allowed_networks),
        "authorities": [
            {"anchor": each.anchor, "policies": list(each.policies), "require_realm": each.require_realm}
            for each in settings.authorities
        ],
    }


def _check_count(values: tuple[object, ...], least: int, most: int, name: str) -> None:
    if not least <= len(values) <= most:
        raise InvalidInput(f"{name} has {len(values)} entries; {least} to {most} can be", field=f"{_PLACE}/{name}")


def _parse_network(text: str, number: int) -> str:
    try:
        return str(ip_network(text))
    except ValueError:
        raise InvalidInput(
            f"{text[:80]!r} is no address or prefix without host bits", field=f"{_PLACE}/allowed_networks/{number}"
        ) from None


def _parse_trust(session: Session, trust: DiscoveryTrust, number: int) -> DiscoveryTrust:
    place = f"{_PLACE}/authorities/{number}"
    if session.get(ForeignAnchorRow, trust.anchor) is None:
        raise InvalidInput(
            f"there is no anchor {trust.anchor[:63]!r}: `biebroam cert anchor add`", field=f"{place}/anchor"
        )
    if len(trust.policies) > MAX_POLICIES:
        raise InvalidInput(f"at most {MAX_POLICIES} policies can be", field=f"{place}/policies")
    for policy in trust.policies:
        if not _OBJECT_IDENTIFIER.fullmatch(policy):
            raise InvalidInput(f"{policy[:80]!r} is no object identifier", field=f"{place}/policies")
    if not trust.policies and not trust.require_realm:
        raise InvalidInput(
            "without the realm and without a policy anybody with a certificate of that authority is every realm",
            field=f"{place}/require_realm",
        )
    return DiscoveryTrust(trust.anchor, tuple(dict.fromkeys(trust.policies)), trust.require_realm)
