"""What happened on the packet path, as values for logs, statistics and F-Ticks.

Nothing here names a patron: the outer user part and every inner name stay out.
"""

from enum import StrEnum
from typing import NamedTuple, TypeAlias

from federation.reasons import RefusalReason


class Outcome(StrEnum):
    """How a request ended."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CHALLENGED = "challenged"  # a round of EAP; more follow
    UNANSWERED = "unanswered"
    ACCOUNTED = "accounted"  # an Accounting-Request, answered: by its home library, or here with the reason


class SignIn(NamedTuple):
    """One final answer to an access point."""

    at: float  # seconds since the epoch
    client: str  # key of the client
    visited: str  # library id
    realm: str  # empty when the name had none
    home: str  # library id; empty when no library owns the realm
    home_server: str  # key of the home server; empty when none was asked
    outcome: Outcome
    reason: RefusalReason | None
    seconds: float  # from the request to its answer
    revision: int  # of the snapshot that decided
    station: bytes = b""  # Calling-Station-Id as it came; it is hashed before anybody keeps it


SignInFields: TypeAlias = tuple[float, str, str, str, str, str, str, RefusalReason | None, float, int, bytes]
"""What a `SignIn` has, in its order, as the packet path tells it.

The garbage collector leaves plain tuples of plain values alone, so the outcome of an accept is a plain string.
"""
