"""A tap on the wire between two RADIUS hops: it hands all on, and remembers each packet but Status-Server."""

import selectors
import socket
from collections.abc import Callable, Sequence

from radius.wire.codes import AttributeType, Code
from radius.wire.packet import Packet, parse_packet
from tests.support.traffic import LoopThread


class Tap(LoopThread):
    """Listens on a port of its own and sends what comes to the next hop; each sender has a source port there.

    `towards` may be given later, by `connect`: hops that point at each other have to start somewhere.
    """

    def __init__(self, towards: int = 0, *, source: str = "127.0.0.1") -> None:
        """It listens from now on, and hands on inside the context; the next hop sees `source`."""
        super().__init__()
        self.requests: list[Packet] = []
        self.answers: list[Packet] = []
        self._towards = towards
        self._source = source
        self._near = self._bind("127.0.0.1")
        self._far: dict[object, socket.socket] = {}
        self._checks: set[tuple[object, int]] = set()  # Status-Server that waits for its answer
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._near, selectors.EVENT_READ, self._hand_on)
        self.port: int = self._near.getsockname()[1]

    def connect(self, towards: int) -> None:
        """What comes from now on goes to that port."""
        self._towards = towards

    def forget(self) -> None:
        """What came so far is not remembered."""
        self.requests.clear()
        self.answers.clear()

    @staticmethod
    def _bind(address: str) -> socket.socket:
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bound.bind((address, 0))
        bound.setblocking(False)
        return bound

    def _hand_on(self) -> None:
        datagram, sender = self._near.recvfrom(65535)
        far = self._far.get(sender)
        if far is None:
            far = self._far[sender] = self._bind(self._source)
            self._selector.register(far, selectors.EVENT_READ, self._hand_back(far, sender))
        packet = parse_packet(datagram)
        if isinstance(packet, Packet):
            if packet.code == Code.STATUS_SERVER:
                self._checks.add((sender, packet.identifier))
            else:
                self._checks.discard((sender, packet.identifier))
                self._keep(packet, self.requests)
        far.sendto(datagram, ("127.0.0.1", self._towards))

    def _hand_back(self, far: socket.socket, sender: tuple[str, int]) -> Callable[[], None]:
        def work() -> None:
            datagram = far.recv(65535)
            packet = parse_packet(datagram)
            if isinstance(packet, Packet) and (sender, packet.identifier) not in self._checks:
                self._keep(packet, self.answers)
            self._near.sendto(datagram, sender)

        return work

    @staticmethod
    def _keep(packet: Packet, kept: list[Packet]) -> None:
        if all(packet.octets != each.octets for each in kept):  # on a busy machine somebody asks again
            kept.append(packet)

    def _run(self) -> None:
        while not self._stopping.is_set():
            for key, _ in self._selector.select(0.02):
                work: Callable[[], None] = key.data
                work()
        for each in (self._near, *self._far.values()):
            each.close()
        self._selector.close()


def values_of(packet: Packet, kind: AttributeType) -> list[bytes]:
    """The values of every attribute of that type, in order."""
    return [packet.octets[at + 2 : at + packet.octets[at + 1]] for at in packet.offsets_of(kind)]


def states_of(packets: Sequence[Packet]) -> list[list[bytes]]:
    """The Proxy-States of each packet, in order."""
    return [values_of(packet, AttributeType.PROXY_STATE) for packet in packets]
