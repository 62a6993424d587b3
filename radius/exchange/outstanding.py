"""When a request without an answer is sent again (RFC 5080 §2.2.1, after RFC 3315 §14).

    RT = IRT + RAND*IRT                  first
    RT = 2*RTprev + RAND*RTprev          then
    RT = MRT + RAND*MRT                  where that exceeds MRT

until it has been sent MRC times or MRD has passed. The octets are the same each time. The random number is handed in.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class RetransmissionPolicy:
    """The constants of RFC 5080 §2.2.1, in seconds but for the count."""

    initial_seconds: float = 2.0  # IRT
    maximum_seconds: float = 16.0  # MRT
    maximum_count: int = 5  # MRC: how often it is sent in all
    duration_seconds: float = 20.0  # MRD, within 5 to 30: below what three tries of an access point take


DEFAULT_POLICY: Final = RetransmissionPolicy()
JITTER: Final = 0.1  # RAND is between -0.1 and +0.1


def first_interval(policy: RetransmissionPolicy, random: float) -> float:
    """Seconds until the first repeat; `random` is uniform in 0 to 1."""
    return policy.initial_seconds * (1 + _spread(random))


def next_interval(policy: RetransmissionPolicy, previous: float, random: float) -> float:
    """Seconds until the repeat after one that came `previous` seconds after the one before."""
    interval = previous * (2 + _spread(random))
    return policy.maximum_seconds * (1 + _spread(random)) if interval > policy.maximum_seconds else interval


def _spread(random: float) -> float:
    return (2 * random - 1) * JITTER
