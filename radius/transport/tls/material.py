"""From what a snapshot says of trust to contexts, the same for every role, and whom a foreign anchor speaks for.

Foreign anchors are believed in the handshake like our own, and say less: who takes a chain that ends in one has to ask
`admits` for the library that its names stand for, or one library's authority could speak for another (CVE-2012-4523).
"""

from collections.abc import Collection, Mapping
from typing import Protocol

from radius.transport.tls.contexts import Credentials, Trust
from radius.transport.tls.identity import PeerIdentity
from radius.transport.tls.versions import DEFAULT_VERSIONS, RadiusVersion


class ForeignRoot(Protocol):
    """The root of another authority."""

    @property
    def certificate_pem(self) -> bytes:
        """As PEM."""
        ...


class TrustMaterial(Protocol):
    """What a snapshot says of trust."""

    @property
    def certificate_chain_pem(self) -> bytes:
        """What we show: end entity first, without the root."""
        ...

    @property
    def private_key_pem(self) -> bytes:
        """The key of the first of them."""
        ...

    @property
    def anchors_pem(self) -> bytes:
        """Roots that may speak for everybody."""
        ...

    @property
    def revoked_serials(self) -> frozenset[str]:
        """Of our own authority, lower-case hexadecimal."""
        ...

    @property
    def revocation_lists_pem(self) -> bytes:
        """Of other authorities."""
        ...

    @property
    def foreign_anchors(self) -> Mapping[str, ForeignRoot]:
        """Roots that may speak for some, by their SHA-256."""
        ...

    def admits(self, anchor: str, library: str, issuers: Collection[bytes], now: float, /) -> bool:
        """Whether a chain that ends in that anchor may stand for a peer of that library."""
        ...


def read_trust(
    material: TrustMaterial | None, earlier: Trust | None, versions: frozenset[RadiusVersion] = DEFAULT_VERSIONS
) -> Trust | None:
    """What that comes to; `earlier` itself while it is the same, None while there is none.

    Raises:
        ValueError: a certificate, a key or a list can not be read.
    """
    if material is None:
        return None
    credentials = Credentials(
        material.certificate_chain_pem,
        material.private_key_pem,
        material.anchors_pem,
        material.revoked_serials,
        material.revocation_lists_pem,
        b"".join(foreign.certificate_pem for foreign in material.foreign_anchors.values()),
    )
    if earlier is not None and earlier.credentials == credentials:
        return earlier
    return Trust(credentials, versions)


def admits(material: TrustMaterial | None, identity: PeerIdentity, library: str, now: float) -> bool:
    """Whether a verified chain may stand for a peer of that library, at `now` in seconds since the epoch."""
    issuers = {issuer for issuer, _ in identity.serials}
    return material is not None and material.admits(identity.anchor, library, issuers, now)
