"""A steady stream of requests through a proxy while something happens to it, and a home server that answers them.

The access point sends again what is not answered, octet for octet, as real ones do; each answer is verified.
"""

import os
import socket
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from radius.errors import DropReason
from radius.wire.authenticators import KeyedSecret, sign_request, sign_response, verify_response
from radius.wire.codes import AttributeType, Code
from radius.wire.packet import Packet, build_attribute, build_fragments, parse_packet

SOCKETS = 8  # times 256 identifiers


@dataclass(slots=True)
class _Asked:
    octets: bytes
    authenticator: bytes
    realm: str
    first_sent: float
    last_sent: float


@dataclass(slots=True)
class TrafficReport:
    """What became of the requests; an answer that is not for the request is `unauthentic` and changes nothing."""

    sent: int = 0
    lost: int = 0
    retransmitted: int = 0
    unauthentic: int = 0
    repeated: int = 0  # the same answer once more, as a repeat that crossed the answer gets it
    contradicted: int = 0  # another answer than before: to be let in twice, or in after all
    answers: Counter[tuple[str, int]] = field(default_factory=Counter[tuple[str, int]])  # by realm and code
    seconds: list[float] = field(default_factory=list[float])  # from first sending to the answer
    log: list[tuple[float, str, int]] = field(default_factory=list[tuple[float, str, int]])  # when, realm, code

    def count(self, code: Code, realm: str | None = None) -> int:
        """Answers of that code, for one realm or all."""
        return sum(n for (name, got), n in self.answers.items() if got == code and realm in (None, name))


class LoopThread:
    """A loop in a thread of its own, started and ended as a context."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop_sending(self) -> None:
        """Begin nothing new; what is outstanding goes on."""
        self._stopping.set()

    def stop(self) -> None:
        """End the loop, after what is outstanding, and wait for it."""
        self._stopping.set()
        self._thread.join(60)


class Traffic(LoopThread):
    """Access-Requests with EAP for patrons of some realms, so many a second, until it is stopped."""

    def __init__(
        self,
        *,
        port: int,
        secret: str,
        realms: list[str],
        rate: float,
        source: str = "127.0.0.1",
        target: str = "127.0.0.1",
        retransmit_seconds: float = 1.0,
        timeout_seconds: float = 12.0,
    ) -> None:
        """Nothing is sent before the context is entered."""
        super().__init__()
        self.report = TrafficReport()
        self.realms = realms  # may be replaced while it runs
        self._keyed = KeyedSecret(secret.encode())
        self._rate, self._retransmit, self._timeout = rate, retransmit_seconds, timeout_seconds
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(SOCKETS)]
        for each in self._sockets:
            each.bind((source, 0))
            each.connect((target, port))
            each.setblocking(False)
        self._waiting: dict[tuple[int, int], _Asked] = {}
        self._answered: dict[tuple[int, int], tuple[bytes, bytes]] = {}  # the last one's authenticator, and its answer

    def _ask(self, number: int, now: float) -> None:
        key = (number % SOCKETS, number // SOCKETS % 256)
        if key in self._waiting:
            return
        realm = self.realms[number % len(self.realms)]
        name = f"reader{number}@{realm}".encode()
        eap = bytes((2, number % 256)) + (5 + len(name)).to_bytes(2) + b"\x01" + name
        attributes = (
            build_attribute(AttributeType.USER_NAME, name)
            + build_attribute(AttributeType.CALLING_STATION_ID, b"02-00-5E-10-%02X-%02X" % divmod(number % 65536, 256))
            + build_fragments(AttributeType.EAP_MESSAGE, eap)
        )
        authenticator = os.urandom(16)
        octets = sign_request(Code.ACCESS_REQUEST, key[1], authenticator, attributes, self._keyed)
        self._waiting[key] = _Asked(octets, authenticator, realm, now, now)
        self.report.sent += 1
        self._send(key[0], octets)

    def _send(self, index: int, octets: bytes) -> None:
        with suppress(BlockingIOError, ConnectionRefusedError):  # lost on the way, as packets are; it is sent again
            self._sockets[index].send(octets)

    def _take_answers(self) -> None:
        for index, each in enumerate(self._sockets):
            while True:
                try:
                    packet = parse_packet(each.recv(4096))
                except BlockingIOError:
                    break
                except ConnectionRefusedError:
                    continue
                if isinstance(packet, DropReason):
                    continue
                asked = self._waiting.get((index, packet.identifier))
                if asked is None or not verify_response(packet, self._keyed, asked.authenticator):
                    self._compare((index, packet.identifier), packet)
                    continue
                now = time.monotonic()
                del self._waiting[index, packet.identifier]
                self._answered[index, packet.identifier] = asked.authenticator, packet.octets
                self.report.answers[asked.realm, packet.code] += 1
                self.report.seconds.append(now - asked.first_sent)
                self.report.log.append((now, asked.realm, packet.code))

    def _compare(self, key: tuple[int, int], packet: Packet) -> None:
        """An answer that nobody waits for: the last one with its identifier had it, or another, or none had."""
        authenticator, octets = self._answered.get(key, (b"", b""))
        if not octets or not verify_response(packet, self._keyed, authenticator):
            self.report.unauthentic += 1
        elif octets == packet.octets:
            self.report.repeated += 1
        else:
            self.report.contradicted += 1

    def _send_again(self, now: float) -> None:
        for key, asked in list(self._waiting.items()):
            if now - asked.first_sent > self._timeout:
                del self._waiting[key]
                self.report.lost += 1
            elif now - asked.last_sent > self._retransmit:
                asked.last_sent = now
                self.report.retransmitted += 1
                self._send(key[0], asked.octets)

    def _run(self) -> None:
        started = time.monotonic()
        number = 0
        while not self._stopping.is_set() or self._waiting:
            now = time.monotonic()
            if not self._stopping.is_set():
                while number < (now - started) * self._rate:
                    self._ask(number, now)
                    number += 1
            self._take_answers()
            self._send_again(now)
            time.sleep(0.001)
        for each in self._sockets:
            each.close()


class SimulatedHome(LoopThread):
    """A home server that accepts every patron, after a delay if it is given one."""

    def __init__(
        self, *, secret: str, port: int = 0, delay_seconds: float = 0.0, answers_from: socket.socket | None = None
    ) -> None:
        """It listens from now on, and answers inside the context, by way of another socket if there is one."""
        super().__init__()
        self._keyed = KeyedSecret(secret.encode())
        self.delay_seconds = delay_seconds
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", port))
        self._socket.settimeout(0.005)
        self._answering = answers_from or self._socket
        self.port: int = self._socket.getsockname()[1]
        self.requests = 0
        self.asked: set[bytes] = set()  # Request Authenticators: each request once, however often it was sent

    def _answer(self, datagram: bytes) -> bytes | None:
        packet = parse_packet(datagram)
        if isinstance(packet, DropReason) or packet.code not in {Code.ACCESS_REQUEST, Code.STATUS_SERVER}:
            return None
        attributes = b"".join(packet.octets[at : at + packet.octets[at + 1]] for at in packet.proxy_states)
        if packet.eap_message:
            attributes += build_attribute(
                AttributeType.EAP_MESSAGE, bytes((3, packet.octets[packet.eap_message + 3], 0, 4))
            )
        return sign_response(Code.ACCESS_ACCEPT, packet.identifier, packet.authenticator, attributes, self._keyed)

    def _run(self) -> None:
        held: list[tuple[float, bytes, object]] = []
        while not self._stopping.is_set():
            try:
                datagram, sender = self._socket.recvfrom(4096)
            except TimeoutError:
                pass
            else:
                self.requests += 1
                answer = self._answer(datagram)
                if answer is not None:
                    if datagram[0] == Code.ACCESS_REQUEST:
                        self.asked.add(datagram[4:20])
                    held.append((time.monotonic() + self.delay_seconds, answer, sender))
            now = time.monotonic()
            while held and held[0][0] <= now:
                _, answer, sender = held.pop(0)
                self._answering.sendto(answer, sender)  # type: ignore[arg-type] - as recvfrom gave it
        self._socket.close()
