"""Which RADIUS a TLS connection carries, by ALPN (RFC 9765 §3): decisions, for either end.

RADIUS/1.1 needs its name in the handshake, and TLS 1.3 (§3.4). Without any name it is RADIUS/1.0, as it was before.
Sessions are not resumed here, so none can be resumed as another version than it began with (§3.5).
"""

from collections.abc import Collection
from enum import Enum
from typing import Final

ALPN_RADIUS_1_0: Final = b"radius/1.0"  # RFC 9765 §3.1
ALPN_RADIUS_1_1: Final = b"radius/1.1"  # RFC 9765 §3.1


class RadiusVersion(Enum):
    """What the packets of a connection are."""

    V1_0 = "1.0"
    V1_1 = "1.1"


PROTOCOLS: Final = {RadiusVersion.V1_0: ALPN_RADIUS_1_0, RadiusVersion.V1_1: ALPN_RADIUS_1_1}
DEFAULT_VERSIONS: Final = frozenset(RadiusVersion)  # §3.3: the default of who knows both
_HIGHEST_FIRST: Final = (RadiusVersion.V1_1, RadiusVersion.V1_0)


def list_protocols(versions: Collection[RadiusVersion]) -> tuple[bytes, ...]:
    """Return the names that a client offers, the one that it prefers first."""
    return tuple(PROTOCOLS[version] for version in _HIGHEST_FIRST if version in versions)


def select_protocol(offered: Collection[bytes], versions: Collection[RadiusVersion], *, is_tls_1_3: bool) -> bytes:
    """Return the name that a server answers an offer with: of the highest version that both know.

    Empty: they have none in common, and the handshake ends with no_application_protocol (RFC 9765 §3.3, RFC 7301
    §3.2). RADIUS/1.1 is never chosen below TLS 1.3.
    """
    for version in _HIGHEST_FIRST:
        if version in versions and PROTOCOLS[version] in offered and (is_tls_1_3 or version is RadiusVersion.V1_0):
            return PROTOCOLS[version]
    return b""


def decide_version(negotiated: bytes, versions: Collection[RadiusVersion], *, is_tls_1_3: bool) -> RadiusVersion | None:
    """Return what a connection carries after its handshake; None: it has to be closed.

    It is closed where this end requires RADIUS/1.1 and the other said nothing, and by a client whose server chose what
    it may not: a name that was not offered, or RADIUS/1.1 below TLS 1.3.
    """
    protocol = negotiated or ALPN_RADIUS_1_0
    for version in versions:
        if PROTOCOLS[version] == protocol and (is_tls_1_3 or version is RadiusVersion.V1_0):
            return version
    return None
