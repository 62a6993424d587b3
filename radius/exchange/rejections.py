"""Devices that are refused again and again: their home server is asked once in a while, the rest is answered here.

A device with an old password tries without end. After three refusals in a row by the home server, a new conversation
of the same device and name at the same client goes on once in an interval. Conversations that have begun are not
touched, and an acceptance forgets it all.
"""

from typing import Final

REFUSALS_IN_A_ROW: Final = 3  # a person who mistypes is no storm
QUESTION_SECONDS: Final = 30.0  # one question to the home server in each
FORGOTTEN_SECONDS: Final = 300.0  # without a refusal
MAX_DEVICES: Final = 20_000

Device = tuple[str, bytes, bytes]  # client, Calling-Station-Id, User-Name


class Rejections:
    """The devices that were refused lately."""

    __slots__ = ("_devices", "_question_seconds")

    def __init__(self, question_seconds: float = QUESTION_SECONDS) -> None:
        """Nobody was refused; 0 seconds turn it off."""
        self._devices: dict[Device, list[float]] = {}  # refusals in a row, time of the last, time of the next question
        self._question_seconds = question_seconds

    def __len__(self) -> int:
        """How many devices are remembered."""
        return len(self._devices)

    def reject(self, device: Device, now: float) -> None:
        """The home server has refused it."""
        if not self._question_seconds:
            return
        found = self._devices.pop(device, None)  # it comes to the end: the first is the one longest not refused
        if found is None or now - found[1] > FORGOTTEN_SECONDS:
            found = [0.0, 0.0, 0.0]
        if len(self._devices) >= MAX_DEVICES:
            del self._devices[next(iter(self._devices))]
        found[0] += 1
        found[1] = now
        if found[0] >= REFUSALS_IN_A_ROW:
            found[2] = now + self._question_seconds
        self._devices[device] = found

    def accept(self, device: Device) -> None:
        """The home server has accepted it."""
        self._devices.pop(device, None)

    def may_ask(self, device: Device, now: float) -> bool:
        """Whether a new conversation of the device goes to the home server; if so, the next is an interval away."""
        found = self._devices.get(device)
        if found is None or found[0] < REFUSALS_IN_A_ROW:
            return True
        if now - found[1] > FORGOTTEN_SECONDS:
            del self._devices[device]
            return True
        if now < found[2]:
            return False
        found[2] = now + self._question_seconds
        return True
