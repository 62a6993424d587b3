"""Events as a proxy emits them, for the tests of what becomes of them."""

from federation.events import Outcome, SignIn
from federation.reasons import RefusalReason

NOON = 1_795_521_600.0  # 2026-11-24 12:00 UTC
STATION = b"00-11-22-33-44-55"


def make_event(
    outcome: Outcome = Outcome.ACCEPTED,
    reason: RefusalReason | None = None,
    *,
    at: float = NOON,
    visited: str = "leesstad",
    home: str = "boekenburg",
    realm: str = "boekenburg.test",
    station: bytes = STATION,
) -> SignIn:
    """A patron of boekenburg at an access point of leesstad, unless something else is said."""
    server = f"{home}/radius1" if home else ""
    return SignIn(at, f"{visited}/hall", visited, realm, home, server, outcome, reason, 0.25, 7, station)
