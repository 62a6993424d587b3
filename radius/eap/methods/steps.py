"""What a method answers to a message, and what the machine knows of a method."""

from dataclasses import dataclass, field
from typing import Protocol

from radius.eap.outcomes import EapReason, NtHashLookup, PasswordCheck


@dataclass(frozen=True, slots=True)
class Send:
    """This TLS message goes to the device; empty: ask it to go on."""

    message: bytes = field(repr=False)
    is_refusal: bool = False  # it says that the password is wrong


@dataclass(frozen=True, slots=True)
class Done:
    """The device has proved who the patron is."""

    msk: bytes = field(repr=False)
    user: str


@dataclass(frozen=True, slots=True)
class Failed:
    """It has not."""

    reason: EapReason


Step = Send | PasswordCheck | NtHashLookup | Done | Failed


class Method(Protocol):
    """One method in one conversation; messages are whole, fragments are the machine's business."""

    def receive(self, message: bytes) -> Step:
        """What follows from the device's next message."""
        ...

    def answer_password(self, *, accepted: bool) -> Step:
        """What follows from the check that it asked for."""
        ...

    def answer_nt_hash(self, nt_hash: bytes | None) -> Step:
        """What follows from the look-up that it asked for; None: there is no such patron, or no hash of it."""
        ...
