"""What may travel between libraries: the deny list, the credentials, and the attributes in each direction."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from federation.errors import InvalidPolicy
from federation.reasons import RefusalReason
from federation.snapshot import Client, Realm

# Names that devices try by mistake, and that must not be carried through a federation: mobile operators' own realms,
# mail providers, names of local networks. An operator may edit the list.
DEFAULT_DENIED_REALMS: tuple[str, ...] = (
    "*.3gppnetwork.org",
    "*.3gppnetworks.org",
    "myabc.com",
    "gmail.com",
    "googlemail.com",
    "hotmail.*",
    "live.com",
    "outlook.com",
    "yahoo.com",
    "unimail.com",
    "*.local",
    "*.localdomain",
    "example.*",
)


class RealmPatterns:
    """Realms as exact names, `*.suffix` and `name.*`, looked up by label."""

    __slots__ = ("_exact", "_prefix_labels", "_prefixes", "_suffix_labels", "_suffixes")

    def __init__(self, patterns: Iterable[str], *, field: str) -> None:
        """Raises InvalidPolicy, at that field, for a pattern with a star anywhere but as its first or last label."""
        exact, suffixes, prefixes = set[str](), set[str](), set[str]()
        for pattern in patterns:
            text = pattern.lower()
            if text.startswith("*.") and "*" not in text[1:] and text[2:]:
                suffixes.add(text[2:])
            elif text.endswith(".*") and "*" not in text[:-1] and text[:-2]:
                prefixes.add(text[:-2])
            elif "*" in text or not text:
                raise InvalidPolicy(
                    f"{pattern!r}: a star stands for the first labels (*.name) or for the last ones (name.*)",
                    field=field,
                )
            else:
                exact.add(text)
        self._exact = frozenset(exact)
        self._suffixes = frozenset(suffixes)
        self._prefixes = frozenset(prefixes)
        # A realm may have a hundred labels; only as many as a pattern has are looked at.
        self._suffix_labels = max((suffix.count(".") + 1 for suffix in suffixes), default=0)
        self._prefix_labels = max((prefix.count(".") + 1 for prefix in prefixes), default=0)

    def match(self, realm: str) -> bool:
        """Whether a looked-up realm is among them: `*.name` is what ends in .name, `name.*` what begins so."""
        if realm in self._exact:
            return True
        at = len(realm)
        for _ in range(self._suffix_labels):
            at = realm.rfind(".", 0, at)
            if at < 0:
                break
            if realm[at + 1 :] in self._suffixes:
                return True
        at = -1
        for _ in range(self._prefix_labels):
            at = realm.find(".", at + 1)
            if at < 0:
                break
            if realm[:at] in self._prefixes:
                return True
        return False


class DenyList:
    """Realms that are refused."""

    __slots__ = ("_patterns",)

    def __init__(self, patterns: Iterable[str]) -> None:
        """Raises InvalidPolicy for a pattern with a star anywhere but as its first or last label."""
        self._patterns = RealmPatterns(patterns, field="denied_realms")

    def denies(self, realm: str) -> bool:
        """Whether a looked-up realm is on the list."""
        return self._patterns.match(realm)


class Credentials(Enum):
    """What a request carries to prove who the patron is."""

    EAP = "eap"
    PAP = "pap"
    CHAP = "chap"
    MSCHAP = "mschap"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Crossing:
    """A request on its way from a client to a realm."""

    client: Client
    realm: Realm
    credentials: Credentials
    next_hop_is_udp: bool

    @property
    def is_within_library(self) -> bool:
        """Whether the patron is at home."""
        return self.client.library == self.realm.library


def decide_credentials(crossing: Crossing) -> RefusalReason | None:
    """Return why these credentials may not go there, or None.

    EAP always may: its tunnel ends at home. A readable password, and CHAP, which can be guessed at, stay inside one
    library and only where the client may use them. MS-CHAP outside a tunnel does not go over UDP at all
    (draft-ietf-radext-deprecating-radius).
    """
    credentials = crossing.credentials
    if credentials is Credentials.EAP:
        return None
    if credentials is Credentials.NONE:
        return RefusalReason.NO_CREDENTIALS
    stays = crossing.is_within_library and crossing.client.allows_pap
    if credentials is Credentials.MSCHAP:
        return RefusalReason.MSCHAP_OVER_UDP if crossing.next_hop_is_udp or not stays else None
    if stays:
        return None
    if credentials is Credentials.PAP:
        return RefusalReason.PAP_ACROSS_LIBRARIES
    return RefusalReason.CHAP_ACROSS_LIBRARIES


def decide_direction(client: Client, realm: Realm) -> RefusalReason | None:
    """Return why this client may not ask for this realm, or None.

    A member's own proxy answers for the member's realms itself; sent up, they would come back to it.
    """
    if client.is_proxy and client.library == realm.library:
        return RefusalReason.OWN_REALM_UPSTREAM
    return None


# Attributes by type number (RFC 2865 and later), so that the tables are bytes for the packet path. What is not listed
# does not cross from one library to another.

# What may leave a library in a request: who asks (1), where and from which device (4, 5, 30, 31, 32, 61, 77, 87, 95),
# how big a packet may be (12), the conversation itself (2, 3, 24, 33, 60, 79, 80), and the roaming agreement's own
# (44, 89, 126).
REQUEST_ATTRIBUTES: frozenset[int] = frozenset(
    (1, 2, 3, 4, 5, 12, 24, 30, 31, 32, 33, 44, 60, 61, 77, 79, 80, 87, 89, 95, 126)
)
# Vendor-Specific of these vendors may leave with a request: Microsoft's MS-CHAP pair, where policy lets it pass.
REQUEST_VENDORS: frozenset[int] = frozenset((311,))

# What may come back from another member: the name for accounting (1), the conversation (18, 24, 25, 33, 79, 80), how
# long (27, 28, 29, 85), and the identity that may be charged (89). No VLAN, filter, address, service type or role: the
# network belongs to the visited library.
RESPONSE_ATTRIBUTES: frozenset[int] = frozenset((1, 18, 24, 25, 27, 28, 29, 33, 79, 80, 85, 89, 101, 102, 126))
# Vendor-Specific that may come back: Microsoft's keys of the radio link (MS-MPPE-Send-Key, MS-MPPE-Recv-Key).
RESPONSE_VENDOR_ATTRIBUTES: frozenset[tuple[int, int]] = frozenset(((311, 16), (311, 17)))

# What an Accounting-Request may tell another member that has asked for it: who (1, 25, 89), where and from which device
# (4, 5, 30, 31, 32, 61, 77, 87, 95, 126), which session, how long and how much (40 to 55), and the way there (33, 80).
# What was lent to the device in the visited network stays in it: no IP address or prefix (8, 97, 123, 168), no VLAN or
# filter, and nothing of a vendor's. With an address, the home library could find what its patron read elsewhere.
ACCOUNTING_ATTRIBUTES: frozenset[int] = frozenset(
    (1, 4, 5, 25, 30, 31, 32, 33, *range(40, 54), 55, 61, 77, 80, 87, 89, 95, 126)
)

# A change of a running session (RFC 5176) by the library that let the patron in: what names the session, the patron and
# the access point, the way there (33, 80, 126, 241), the time (55) …
SESSION_ATTRIBUTES: frozenset[int] = frozenset((1, 4, 5, 30, 31, 32, 33, 44, 50, 55, 61, 80, 87, 89, 95, 126, 241))
# … and what it may change: how long (27, 28) and how often is reported (85), in the bounds below. VLAN, filter, role
# and address are the visited library's; Class (25) would be written into its records; Service-Type (6) asks for a new
# sign-in.
CHANGEABLE_ATTRIBUTES: frozenset[int] = frozenset((27, 28, 85))
# What may come back: why not (101), how it ended (49), when (55), and the way (33, 80).
CHANGE_ANSWER_ATTRIBUTES: frozenset[int] = frozenset((33, 49, 55, 80, 101))

MAX_SESSION_SECONDS = 28_800  # Session-Timeout from another member, at most: a working day
MAX_IDLE_SECONDS = 600  # Idle-Timeout from another member, at most
# Acct-Interim-Interval from another member, at least: each visitor's accounting comes so often (RFC 2869 §5.16).
MIN_INTERIM_SECONDS = 600
