"""What the DNS is asked and what it says, as plain values; and which of its names may be used at all.

Whoever owns a realm writes these records, so nothing in them is believed for being there: a name is checked before
it is used for anything (CVE-2021-32642 was a host name with shell characters in it).
"""

from dataclasses import dataclass
from enum import Enum, StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple, TypeAlias

IPAddress: TypeAlias = IPv4Address | IPv6Address

MAX_NAME_OCTETS: Final = 253  # RFC 1035 §2.3.4, without the root's dot
MAX_LABEL_OCTETS: Final = 63
ROOT: Final = "."  # as the target of an SRV record: the service is decidedly not offered (RFC 2782)
_LETTERS_DIGITS_HYPHEN: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


class Kind(StrEnum):
    """A type of record, by its name in the DNS."""

    NAPTR = "NAPTR"  # RFC 3403
    SRV = "SRV"  # RFC 2782
    A = "A"
    AAAA = "AAAA"


class Question(NamedTuple):
    """One thing to ask; the name is absolute, lower case and checked."""

    name: str
    kind: Kind


class Status(Enum):
    """What kind of answer came."""

    FOUND = "found"
    NO_DATA = "no_data"  # the name is there, such a record is not
    NO_NAME = "no_name"  # NXDOMAIN
    FAILED = "failed"  # SERVFAIL, REFUSED, or nonsense
    TIMED_OUT = "timed_out"
    CHAIN_TOO_LONG = "chain_too_long"  # of CNAME records, or a loop of them
    TOO_LARGE = "too_large"


@dataclass(frozen=True, slots=True)
class Naptr:
    """A NAPTR record (RFC 3403 §4.1); the replacement is unchecked."""

    order: int
    preference: int
    flags: str
    service: str
    regexp: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Srv:
    """An SRV record (RFC 2782); the target is unchecked."""

    priority: int
    weight: int
    port: int
    target: str


Record: TypeAlias = Naptr | Srv | IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one question."""

    status: Status
    records: tuple[Record, ...] = ()
    ttl: int = 0  # the shortest of the records and of the CNAMEs before them; meaningless unless FOUND


def check_host(text: str) -> str | None:
    """The name in lower case without its final dot, if it can be the name of a host; else None.

    Two labels or more of letters, digits and inner hyphens, and the last one no number: what reads as an address must
    not be taken for a name by one function and for an address by the next.
    """
    name = check_owner(text)
    if name is None or "_" in name:
        return None
    *others, last = name.split(".")
    return name if others and not last.isdigit() else None


def check_owner(text: str) -> str | None:
    """The same for a name that records stand under, where labels may begin with an underscore (RFC 2782)."""
    name = text.removesuffix(".").lower() if text.isascii() else ""
    if not name or len(name) > MAX_NAME_OCTETS:
        return None
    return name if all(map(_is_label, name.split("."))) else None


def _is_label(label: str) -> bool:
    plain = label.removeprefix("_")
    return (
        plain != ""
        and len(label) <= MAX_LABEL_OCTETS
        and _LETTERS_DIGITS_HYPHEN.issuperset(plain)
        and plain[0] != "-"
        and plain[-1] != "-"
    )
