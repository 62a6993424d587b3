"""What was really asked and really answered: every claim that travels is looked up here."""

from dataclasses import dataclass, field

from tests.simulation.network import Address
from tests.simulation.octets import Attribute


class Violation(AssertionError):  # noqa: N818 - the condition is the name
    """Something happened that must never happen."""


@dataclass(frozen=True)
class Sent:
    """A request as a client made it."""

    marker: bytes
    """Its Acct-Session-Id: no other request has it."""
    number: int
    """Of the login."""
    round: int
    rounds: int
    wish: str
    realm: int
    source: Address
    library: str
    attributes: tuple[Attribute, ...]
    password: bytes
    operator_name: bytes
    """What has to arrive as Operator-Name; empty: any."""


@dataclass(frozen=True)
class Given:
    """An answer as a home server made it."""

    marker: bytes
    """Of the request that it answers."""
    code: int
    state: bytes
    key: bytes


@dataclass
class Ledger:
    """All requests by their marker, all answers by their Class."""

    sent: dict[bytes, Sent] = field(default_factory=dict[bytes, Sent])
    given: dict[bytes, Given] = field(default_factory=dict[bytes, Given])


def demand(holds: bool, text: str) -> None:  # noqa: FBT001 - it reads as a sentence
    """Raise Violation unless it holds."""
    if not holds:
        raise Violation(text)
