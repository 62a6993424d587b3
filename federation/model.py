"""The things of the registry, as values: what services return and the API shows.

No value here holds a secret. `version` rises with each change of the thing and is what a conditional change names.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Generic, NewType, TypeVar

from federation.snapshot import EapMethod, OnTimeout, Transport

LibraryId = NewType("LibraryId", str)

Item = TypeVar("Item")


class Role(StrEnum):
    """What a token may do."""

    OPERATOR = "operator"  # the whole federation
    LIBRARY = "library"  # one library's own things, and nothing of another's
    READER = "reader"  # look, and change nothing; of one library, or of all when it is bound to none


class MemberRole(StrEnum):
    """What a library is in the federation."""

    HOME = "home"  # its patrons roam
    VISITED = "visited"  # visitors sign in at it


class ClientKind(StrEnum):
    """What asks: the difference is whether its Operator-Name is believed."""

    ACCESS_POINT = "access-point"
    PROXY = "proxy"


class StoreKind(StrEnum):
    """Where the patrons of a hosted library are checked."""

    LOCAL = "local"
    SQL = "sql"
    LDAP = "ldap"
    SIP2 = "sip2"
    KOHA = "koha"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a token, or a person at the terminal of the machine itself."""

    name: str
    role: Role
    library: str | None = None  # None: of all libraries
    source_address: str = ""
    request_id: str = ""
    token_id: str = ""  # empty: no token, the machine itself

    @property
    def may_write(self) -> bool:
        """Whether it may change anything at all."""
        return self.role is not Role.READER

    @property
    def is_operator(self) -> bool:
        """Whether it may change what belongs to the whole federation."""
        return self.role is Role.OPERATOR


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list, and where the next part begins."""

    items: Sequence[Item]
    next_cursor: str | None = None  # None: this was the last part


@dataclass(frozen=True, slots=True)
class DiscoveryTrust:
    """A root of another authority that may vouch for servers which the DNS names."""

    anchor: str  # name of the foreign anchor
    policies: tuple[str, ...]  # object identifiers, of which a certificate has to hold one
    require_realm: bool  # the realm has to be among the certificate's NAIRealm names


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """Whether realms that no library has are looked for in the DNS (RFC 7585), which, and whom to believe."""

    enabled: bool = False
    services: tuple[str, ...] = ("x-biebroam:radius.tls",)
    realms: tuple[str, ...] = ()  # exact names, "*.suffix" or "name.*"; empty: any
    allowed_networks: tuple[str, ...] = ()  # beside the globally reachable addresses
    authorities: tuple[DiscoveryTrust, ...] = ()


@dataclass(frozen=True, slots=True)
class FederationSettings:
    """What holds for the federation as a whole."""

    name: str
    country: str
    eap_server_name: str
    denied_realms: tuple[str, ...]
    public_url: str  # under which the API is reached from outside; empty: none is told of
    discovery: DiscoverySettings
    version: int


@dataclass(frozen=True, slots=True)
class Library:
    """A member of the federation."""

    id: LibraryId
    name: str
    roles: tuple[MemberRole, ...]
    operator_name: str  # empty: its first realm
    is_active: bool
    realms: tuple[str, ...]
    is_hosted: bool  # it has no home servers of its own
    created_at: datetime
    changed_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class RealmEntry:
    """A realm that a library owns."""

    name: str
    library: LibraryId
    includes_subrealms: bool
    version: int


@dataclass(frozen=True, slots=True)
class AccessPoint:
    """Who may ask: an access point, a controller, or a library's own proxy."""

    library: LibraryId
    name: str
    kind: ClientKind
    address: str | None  # an address or a prefix; None for RADIUS/TLS
    certificate: str | None  # the subjectAltName of its certificate, for RADIUS/TLS
    guest_vlan: int | None
    allow_pap: bool
    request_cui: bool
    coa_port: int | None  # None: it takes no changes of running sessions
    coa_host: str | None  # None: where its requests come from
    require_event_timestamp: bool
    protocol_errors: bool
    on_timeout: OnTimeout
    require_message_authenticator: bool
    secret_changed_at: datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class HomeServerEntry:
    """A library's own RADIUS server."""

    library: LibraryId
    name: str
    position: int  # 0 is asked first
    transport: Transport
    host: str
    port: int
    accounting_port: int | None  # None: accounting does not go there
    weight: int  # its share of the devices; 0: it is asked in its order
    require_message_authenticator: bool
    secret_changed_at: datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """Where a hosted library's patrons are checked, and by which methods."""

    library: LibraryId
    kind: StoreKind
    mschapv2: bool  # the store keeps NT hashes; needed for PEAP and TTLS/MSCHAPv2
    methods: tuple[EapMethod, ...]  # offered, in this order
    version: int


@dataclass(frozen=True, slots=True)
class Created(Generic[Item]):
    """A new or changed thing, and the secret that was generated for it, which is seen this once."""

    item: Item
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """A token of the API, without its secret."""

    id: str
    name: str
    role: Role
    library: str | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class Patron:
    """A patron of a hosted library with the local store."""

    library: str
    realm: str
    user: str
    is_blocked: bool
    expires_on: date | None
    has_nt_hash: bool
    created_at: datetime
    changed_at: datetime
    version: int

    @property
    def name(self) -> str:
        """The full name, `user@realm`."""
        return f"{self.user}@{self.realm}"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what, when; the entries are chained, so that a removed one is missed."""

    id: int
    at: datetime
    revision: int
    actor: str
    role: str
    token_id: str
    source_address: str
    request_id: str
    action: str  # "realm.add", …
    subject: str  # "library/boekenburg/realm/boekenburg.example", …
    library: str | None
    reason: str
    before: dict[str, object] | None
    after: dict[str, object] | None
    digest: str  # SHA-256 over the entry and the digest before it, hexadecimal
