"""The federation as the running processes see it: immutable, complete, swapped as one reference.

A snapshot is compiled from the registry (`federation.store.compile`), validated, and handed to proxies and home
servers. Exchanges in flight keep the snapshot that they began with. Nothing here changes after it is made.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple


class SharedSecret(bytes):
    """A RADIUS shared secret, in octets; its text form hides it, so that it cannot reach a log by accident."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "SharedSecret(…)"

    __str__ = __repr__


ACCOUNTING = "/acct"  # what the key of a home server ends with where it is asked for accounting
RADSEC_SECRET = SharedSecret(b"radsec")  # RFC 6614 §2.3: over TLS the secret protects nothing


class Transport(StrEnum):
    """How RADIUS travels to a peer."""

    UDP = "udp"  # RFC 2865
    TLS = "tls"  # RFC 6614


class OnTimeout(StrEnum):
    """What a client gets when its request was not answered in time."""

    AUTO = "auto"  # what helps most: see `radius.proxy.clients`
    REJECT = "reject"
    DROP = "drop"  # nothing: it tries elsewhere, and may believe that this proxy is dead
    PROTOCOL_ERROR = "protocol-error"  # RFC 7930 §4


class EapMethod(StrEnum):
    """An authentication method of the hosted home server, in the words of `probe --method`."""

    TTLS_PAP = "ttls-pap"
    TTLS_MSCHAPV2 = "ttls-mschapv2"
    PEAP_MSCHAPV2 = "peap-mschapv2"
    TLS = "tls"


@dataclass(frozen=True, slots=True)
class Federation:
    """What holds for the federation as a whole."""

    name: str
    country: str  # ISO 3166-1 alpha-2, upper case
    eap_server_name: str  # the name in the hosted home server's certificate, which devices check


@dataclass(frozen=True, slots=True)
class Client:
    """Who may ask: an access point, a controller, or a library's own proxy."""

    key: str  # "library/name": unique and stable
    library: str  # id of the library that it stands in
    operator_name: str  # domain of the visited library, without the namespace digit (RFC 5580 §4.1)
    networks: tuple[IPv4Network | IPv6Network, ...] = ()  # where its UDP comes from; empty for RADIUS/TLS
    secret: SharedSecret | None = None  # None for RADIUS/TLS
    certificate_name: str | None = None  # the subjectAltName of its certificate, for RADIUS/TLS
    is_proxy: bool = False  # a proxy's Operator-Name is kept, an access point's is replaced
    requires_message_authenticator: bool = True
    allows_pap: bool = False  # User-Password may be used, towards patrons of its own library only
    guest_vlan: int | None = None  # what visitors get here, 1 to 4094
    requests_cui: bool = False  # ask home servers for Chargeable-User-Identity (RFC 4372)
    is_home_server: bool = False  # it may change sessions, and asks for nobody
    dynamic_authorization_server: str = ""  # key of where it takes changes of sessions; empty: it takes none
    requires_event_timestamp: bool = True  # of who changes a session there
    operator_nas_identifier: bytes = b""  # what home servers know it by (RFC 8559 §3.4); empty: nothing
    takes_protocol_errors: bool = False  # it understands Protocol-Error (RFC 7930 §4)
    on_timeout: OnTimeout = OnTimeout.AUTO


@dataclass(frozen=True, slots=True)
class HomeServer:
    """A next hop: where the patrons of some realms are authenticated."""

    key: str  # "library/name", of accounting "library/name/acct"; hosted ones are "hosted/0", "hosted/1", …
    library: str | None  # the library whose own server it is; None: hosted, or no home server
    host: str  # IP address or DNS name
    port: int
    transport: Transport = Transport.UDP
    secret: SharedSecret = RADSEC_SECRET
    requires_message_authenticator: bool = True
    is_hosted: bool = False
    answers_status: bool = True  # it knows Status-Server; access points that take changes do not
    weight: int = 0  # its share of the devices among neighbours that have one, too; 0: it is asked in its order
    # That are its library's, for NAIRealm in its certificate (RFC 7585 §2.2); another realm makes it no other server.
    realms: tuple[str, ...] = field(default=(), compare=False)
    # Where the DNS says that it is (RFC 7585). Not empty: it was discovered, and has to prove the realm.
    addresses: tuple[str, ...] = ()

    @property
    def is_for_accounting(self) -> bool:
        """Whether this is a home server as it takes accounting."""
        return self.key.count("/") > 1 and self.key.endswith(ACCOUNTING)


class Realm(NamedTuple):
    """A realm and where its requests go; a tuple, since there are many and a snapshot is read when a process starts."""

    name: str  # lower-case A-labels
    library: str
    home_servers: tuple[str, ...]  # keys of HomeServer, in order of preference
    includes_subrealms: bool = False
    accounting_servers: tuple[str, ...] = ()  # the same for accounting; empty: it is answered where it arrives
    is_discovered: bool = False  # no library's: its home servers are looked for in the DNS, and none is here before


@dataclass(frozen=True, slots=True)
class ForeignAnchor:
    """A root of another authority: whom a chain that ends in it may speak for, and how long it may be believed."""

    certificate_pem: bytes  # the root
    libraries: frozenset[str]  # ids; a peer of another library is not identified by a chain below this root
    requires_list: bool = False  # without a list in force no certificate below it is believed
    listed_issuers: frozenset[bytes] = frozenset()  # DER of the names of the authorities of whom a list is held
    listed_until: float = 0.0  # seconds since the epoch: the first nextUpdate of those lists

    def admits(self, library: str, issuers: Collection[bytes], now: float) -> bool:
        """Whether a verified chain below this root may stand for a peer of *library* at *now*, in seconds of the epoch.

        *issuers* are the DER names of the issuers of every certificate of the chain but the root: with `requires_list`
        each of them needs a list. Whether a serial number is on a list is asked elsewhere.
        """
        return library in self.libraries and self.is_listed(issuers, now)

    def is_listed(self, issuers: Collection[bytes], now: float) -> bool:
        """Whether the lists of such a chain's issuers are in force, where they have to be."""
        return not self.requires_list or (now < self.listed_until and self.listed_issuers.issuperset(issuers))


@dataclass(frozen=True, slots=True)
class DiscoveryAuthority:
    """An authority that may vouch for home servers which were found in the DNS, and what it has to say of them."""

    policies: frozenset[str] = frozenset()  # object identifiers, of which a certificate has to hold one; empty: none
    requires_realm: bool = True  # the realm has to be among the certificate's NAIRealm names (RFC 7585 §2.2)

    def admits(self, policies: Collection[str], *, holds_realm: bool) -> bool:
        """Whether a verified chain below it with these policies may answer for the realm."""
        if self.requires_realm and not holds_realm:
            return False
        return not self.policies or not self.policies.isdisjoint(policies)


@dataclass(frozen=True, slots=True)
class DiscoveryPolicy:
    """Which realms that no library has are looked for in the DNS, and whom to believe there (RFC 7585)."""

    services: tuple[str, ...]  # S-NAPTR tags, lower case; the first that a realm has is taken
    realms: tuple[str, ...] = ()  # exact names, "*.suffix" or "name.*"; empty: any
    allowed_networks: tuple[IPv4Network | IPv6Network, ...] = ()  # beside the globally reachable addresses
    own_authority: DiscoveryAuthority = DiscoveryAuthority()  # of chains that end in one of our own anchors
    # By SHA-256 of a foreign anchor; chains below the others are not believed.
    authorities: Mapping[str, DiscoveryAuthority] = field(default_factory=dict[str, DiscoveryAuthority])


@dataclass(frozen=True, slots=True)
class PeerTrust:
    """What this end shows to its RADIUS/TLS peers, and whom of them it believes."""

    certificate_chain_pem: bytes  # end entity first, without the root
    private_key_pem: bytes = field(repr=False)
    anchors_pem: bytes  # the federation's own roots, in one of which a peer's chain has to end; two in a roll-over
    revoked_serials: frozenset[str] = frozenset()  # of our own authority, lower-case hexadecimal
    revocation_lists_pem: bytes = b""  # of other authorities, whose certificates are trusted too
    # By SHA-256 of the root's DER, lower-case hexadecimal. They are not in `anchors_pem`: only who asks `admits` of
    # each chain may let it end in one of them. Who got a certificate below our own was judged when it was issued.
    foreign_anchors: Mapping[str, ForeignAnchor] = field(default_factory=dict[str, ForeignAnchor])

    def admits(self, anchor: str, library: str, issuers: Collection[bytes], now: float) -> bool:
        """Whether a verified chain that ends in the root *anchor* may stand for a peer of *library* at *now*.

        To be asked for each peer in its handshake, and again when this value is replaced or `listed_until` passes.
        """
        foreign = self.foreign_anchors.get(anchor)
        return foreign is None or foreign.admits(library, issuers, now)

    def find_authority(
        self, policy: DiscoveryPolicy, anchor: str, issuers: Collection[bytes], now: float
    ) -> DiscoveryAuthority | None:
        """What a chain that ends in the root *anchor* needs to answer for a realm of the DNS; None: it may not."""
        foreign = self.foreign_anchors.get(anchor)
        if foreign is None:
            return policy.own_authority
        return policy.authorities.get(anchor) if foreign.is_listed(issuers, now) else None


class Trail(NamedTuple):
    """How much of the audit trail a snapshot has followed: its last entry, whose digest stands for all before it."""

    entry: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """What clients and home servers a snapshot has that another, which was made before it, had not.

    It holds for who has exactly that other one in force: both tables are named by their identity.
    """

    clients: "tuple[Client, ...]"  # of the one before
    home_servers: "Mapping[str, HomeServer]"  # of the one before
    removed_clients: tuple[str, ...]  # keys
    changed_clients: "tuple[Client, ...]"  # with those that are new
    removed_home_servers: tuple[str, ...]  # keys
    changed_home_servers: "tuple[HomeServer, ...]"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a proxy needs to know, at one revision of the registry."""

    revision: int
    federation: Federation
    clients: tuple[Client, ...] = ()
    home_servers: Mapping[str, HomeServer] = field(default_factory=dict[str, HomeServer])
    # Where access points take changes of running sessions, and home servers that may ask for them (RFC 5176).
    dynamic_authorization_servers: Mapping[str, HomeServer] = field(default_factory=dict[str, HomeServer])
    dynamic_authorization_clients: tuple[Client, ...] = ()
    realms: Mapping[str, Realm] = field(default_factory=dict[str, Realm])
    denied_realms: tuple[str, ...] = ()  # exact names, "*.suffix" or "name.*"; see federation.policy
    default_home_servers: tuple[str, ...] = ()  # where unknown realms go; empty: nowhere
    peer_trust: PeerTrust | None = None  # None: no RADIUS/TLS
    trail: Trail = field(default=Trail(), compare=False)
    difference: Difference | None = field(default=None, compare=False, repr=False)  # None: it was made from nothing

    @property
    def is_up_to_date(self) -> bool:
        """Whether it is what the registry had at its revision, as far as the trail tells."""
        return self.trail.entry > 0

    discovery: DiscoveryPolicy | None = None  # None: nobody is looked for in the DNS


@dataclass(frozen=True, slots=True)
class EapServerCredentials:
    """The hosted home server's certificate for EAP, as PEM; the private key never leaves the process."""

    certificate_chain_pem: bytes  # end entity first, without the root
    private_key_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class HostedRealm:
    """A realm whose patrons a hosted home server authenticates itself."""

    name: str
    library: str
    store_kind: str  # "local", "sql", …: which identity store
    methods: tuple[EapMethod, ...] = (EapMethod.TTLS_PAP,)  # offered in this order
    includes_subrealms: bool = False


@dataclass(frozen=True, slots=True)
class HomeSnapshot:
    """All that a hosted home server needs to know, at one revision of the registry."""

    revision: int
    federation: Federation
    realms: Mapping[str, HostedRealm]
    credentials: EapServerCredentials
    clients: tuple[Client, ...] = ()  # who may ask a home server that stands alone: its access_points
    peer_trust: PeerTrust | None = None  # what one that stands alone shows over RADIUS/TLS; None: it does not speak it

    @property
    def is_up_to_date(self) -> bool:
        """Whether it is what the registry had at its revision."""
        return True
