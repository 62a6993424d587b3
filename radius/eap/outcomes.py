"""What a round of EAP leads to: values that the caller acts on."""

from dataclasses import dataclass, field
from enum import StrEnum


class EapReason(StrEnum):
    """Why a conversation failed; the values are codes of `federation.reasons`."""

    WRONG_CREDENTIALS = "wrong_credentials"
    METHOD_NOT_OFFERED = "method_not_offered"
    EAP_FAILED = "eap_failed"
    EAP_MALFORMED = "eap_malformed"


@dataclass(frozen=True, slots=True)
class Challenge:
    """This EAP-Request goes to the device."""

    eap: bytes = field(repr=False)
    is_refusal: bool = False  # it tells the device that the password is wrong; the conversation ends some rounds later


@dataclass(frozen=True, slots=True)
class PasswordCheck:
    """The caller finds out whether the password is right, and says so with `answer_password`."""

    user: str  # as the device wrote it inside the tunnel, with its realm if it wrote one
    password: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NtHashLookup:
    """The caller looks up the NT hash of the user, and gives it to `answer_nt_hash`."""

    user: str


@dataclass(frozen=True, slots=True)
class Accept:
    """The device is let in: EAP-Success, and 64 octets for the keys of the radio link."""

    eap: bytes = field(repr=False)
    msk: bytes = field(repr=False)
    user: str  # as it was checked


@dataclass(frozen=True, slots=True)
class Reject:
    """The device is refused: EAP-Failure."""

    eap: bytes = field(repr=False)
    reason: EapReason


@dataclass(frozen=True, slots=True)
class Ignore:
    """The packet is as if it had not come (RFC 3748 §4.1: a wrong Identifier)."""


Outcome = Challenge | PasswordCheck | NtHashLookup | Accept | Reject | Ignore
