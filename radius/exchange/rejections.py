"""Devices that are refused again and again: their home server is asked once in a while, the rest is answered here.

A device with an old password tries without end. After three refusals in a row by the home server, a new conversation
of the same device and name at the same client goes on once in an interval. Conversations that have begun are not
touched, and an acceptance forgets it all. Whoever invents devices displaces its own: a client that has more than its
share of the table makes room for itself.
"""

from typing import Final

from radius.wire.attributes import fold_station

REFUSALS_IN_A_ROW: Final = 3  # a person who mistypes is no storm
QUESTION_SECONDS: Final = 30.0  # one question to the home server in each
FORGOTTEN_SECONDS: Final = 300.0  # without a refusal
MAX_DEVICES: Final = 20_000

Device = tuple[str, bytes, bytes]  # client, Calling-Station-Id, User-Name


class Rejections:
    """The devices that were refused lately."""

    __slots__ = ("_clients", "_count", "_question_seconds")

    def __init__(self, question_seconds: float = QUESTION_SECONDS) -> None:
        """Nobody was refused; 0 seconds turn it off."""
        # Of each client: refusals in a row, time of the last, time of the next question; the one longest not refused
        # stands first.
        self._clients: dict[str, dict[bytes, list[float]]] = {}
        self._count = 0
        self._question_seconds = question_seconds

    def __len__(self) -> int:
        """How many devices are remembered."""
        return self._count

    def reject(self, device: Device, now: float) -> None:
        """The home server has refused it."""
        if not self._question_seconds:
            return
        client, key = device[0], _identify(device)
        found = self._find(client, key)
        if found is None or now - found[1] > FORGOTTEN_SECONDS:
            found = [0.0, 0.0, 0.0]
        self._forget(client, key)
        if self._count >= MAX_DEVICES:
            self._displace(client)
        found[0] += 1
        found[1] = now
        if found[0] >= REFUSALS_IN_A_ROW:
            found[2] = now + self._question_seconds
        self._clients.setdefault(client, {})[key] = found
        self._count += 1

    def accept(self, device: Device) -> None:
        """The home server has accepted it."""
        self._forget(device[0], _identify(device))

    def may_ask(self, device: Device, now: float) -> bool:
        """Whether a new conversation of the device goes to the home server; if so, the next is an interval away."""
        client, key = device[0], _identify(device)
        found = self._find(client, key)
        if found is None or found[0] < REFUSALS_IN_A_ROW:
            return True
        if now - found[1] > FORGOTTEN_SECONDS:
            self._forget(client, key)
            return True
        if now < found[2]:
            return False
        found[2] = now + self._question_seconds
        return True

    def _find(self, client: str, key: bytes) -> list[float] | None:
        devices = self._clients.get(client)
        return None if devices is None else devices.get(key)

    def _forget(self, client: str, key: bytes) -> None:
        devices = self._clients.get(client)
        if devices is not None and devices.pop(key, None) is not None:
            self._count -= 1
            if not devices:
                del self._clients[client]

    def _displace(self, client: str) -> None:
        """One makes room: of the client itself where it has more than its share, else of who has the most."""
        loser = client
        if len(self._clients.get(client, ())) * len(self._clients) < self._count:
            loser = max(self._clients, key=lambda name: len(self._clients[name]))
        self._forget(loser, next(iter(self._clients[loser])))


def _identify(device: Device) -> bytes:
    """What a device is known by, however its address and its name are written."""
    _, station, name = device
    return fold_station(station) + b"\0" + name.lower()
