"""Clients of the first proxy: they ask round after round, ask again as RFC 5080 §2.2.1 says, and believe little."""

from dataclasses import dataclass
from functools import partial
from typing import Final

from tests.simulation import octets
from tests.simulation.federations import ACCOUNTING_PORT, PORT, AskerSite, Registry
from tests.simulation.ledger import Ledger, Sent, demand
from tests.simulation.network import Datagram, Network
from tests.simulation.octets import Attribute, Read

SOURCE_PORT: Final = 50_000
FIRST_SECONDS: Final = 2.0
TRIES: Final = 4
GIVES_UP_SECONDS: Final = 30.0


@dataclass
class Conversation:
    """One login, as its client sees it."""

    number: int
    realm: int
    rounds: int
    wish: str
    name: bytes
    station: bytes
    started_at: float
    outcome: str = ""
    """accepted, rejected or gave_up; empty while it goes on."""
    reply: Read | None = None


@dataclass
class _Waiting:
    conversation: Conversation
    round: int
    datagram: Datagram
    authenticator: bytes
    secret: bytes
    asked_at: float
    tries: int = 1


class Asker:
    """One client."""

    def __init__(self, network: Network, registry: Registry, ledger: Ledger, site: AskerSite) -> None:
        self.network = network
        self.registry = registry
        self.ledger = ledger
        self.site = site
        self.conversations: list[Conversation] = []
        self._random = network.random(f"asker {site.host}")
        self._waiting: dict[int, _Waiting] = {}
        self._identifier = self._random.randrange(256)
        self._port = SOURCE_PORT
        network.attach(site.host, self.receive)

    @property
    def waiting(self) -> int:
        """How many requests it waits for."""
        return len(self._waiting)

    def begin(self, number: int, realm: int, wish: str) -> Conversation:
        """Somebody logs in."""
        name = self.registry.realms[realm]
        if realm % 2 == 0 and self._random.random() < 0.2:
            name = f"branch.{name}"
        if self._random.random() < 0.2:
            name = name.upper()
        conversation = Conversation(
            number,
            realm,
            rounds=1 if wish == "password" else self._random.choice((1, 2, 3, 5)),
            wish=wish,
            name=f"u{number}@{name}".encode(),
            station=f"02-00-00-00-{number >> 8:02x}-{number & 255:02x}".encode(),
            started_at=self.network.now,
        )
        self.conversations.append(conversation)
        self._ask(conversation, 1, b"")
        return conversation

    def restart(self) -> None:
        """It loses its power: who was logging in has to begin again, and Identifiers come again."""
        for waiting in self._waiting.values():
            waiting.conversation.outcome = "gave_up"
        self._waiting.clear()
        self._identifier = 0

    def send_odd(self, datagram: bytes, *, is_accounting: bool = False) -> None:
        """Send something that no access point should, and expect nothing."""
        port = ACCOUNTING_PORT if is_accounting else PORT
        self.network.send(Datagram((self.site.host, 40_000), (self.registry.proxy_host(0), port), datagram))

    def _ask(self, conversation: Conversation, number: int, state: bytes) -> None:
        identifier = self._identifier = (self._identifier + 1) % 256
        overrun = self._waiting.pop(identifier, None)
        if overrun is not None:
            overrun.conversation.outcome = "gave_up"
        authenticator = self._random.randbytes(16)
        marker = f"{conversation.number}/{number}/{self._random.randrange(1 << 32):08x}".encode()
        password = b""
        attributes: list[Attribute] = [(octets.USER_NAME, conversation.name)]
        if conversation.wish == "password":
            password = marker + bytes(range(1, self._random.randrange(1, 60)))
            hidden = octets.hide_password(password, self.site.secret, authenticator)
            attributes.append((octets.USER_PASSWORD, hidden))
        else:
            size = self._random.randrange(900, 1400) if conversation.wish == "long" else 0
            body = b"\x01" + marker + self._random.randbytes(size)
            eap = bytes((2, number)) + (4 + len(body)).to_bytes(2) + body
            attributes += octets.split_eap(eap)
        if state:
            attributes.append((octets.STATE, state))
        attributes += [
            (octets.CALLING_STATION_ID, conversation.station),
            (octets.CALLED_STATION_ID, b"00-11-22-33-44-55:biebroam"),
            (octets.ACCT_SESSION_ID, marker),
            (6, (6).to_bytes(4)),  # Service-Type: Administrative
            (8, bytes((10, 0, 0, 1))),
            (octets.VENDOR_SPECIFIC, (9).to_bytes(4) + b"\x01\x0bshell:x=1"),
        ]
        operator_name = b"1" + self.site.operator_name.encode()
        if self.site.is_proxy:
            if self._random.random() < 0.7:
                operator_name = b"1far.test"
                attributes.append((octets.OPERATOR_NAME, operator_name))
            attributes += [
                (octets.PROXY_STATE, self._random.randbytes(self._random.choice((0, 1, 12, 40))))
                for _ in range(self._random.randrange(3))
            ]
        elif self._random.random() < 0.5:
            attributes.append((octets.OPERATOR_NAME, b"1liar.test"))
        self.ledger.sent[marker] = Sent(
            marker,
            conversation.number,
            number,
            conversation.rounds,
            conversation.wish,
            conversation.realm,
            (self.site.host, self._port),
            self.site.library,
            tuple(attributes),
            password,
            operator_name,
        )
        request = octets.sign_access_request(
            octets.ACCESS_REQUEST, identifier, authenticator, attributes, self.site.secret
        )
        datagram = Datagram((self.site.host, self._port), (self.registry.proxy_host(0), PORT), request)
        waiting = _Waiting(conversation, number, datagram, authenticator, self.site.secret, self.network.now)
        self._waiting[identifier] = waiting
        self.network.send(datagram)
        self._plan(identifier, waiting, FIRST_SECONDS)

    def _plan(self, identifier: int, waiting: _Waiting, seconds: float) -> None:
        until = waiting.asked_at + GIVES_UP_SECONDS
        again = self.network.now + seconds * self._random.uniform(0.9, 1.1)
        self.network.at(min(again, until), partial(self._repeat, identifier, waiting, seconds))

    def _repeat(self, identifier: int, waiting: _Waiting, seconds: float) -> None:
        if self._waiting.get(identifier) is not waiting:
            return
        if self.network.now >= waiting.asked_at + GIVES_UP_SECONDS:
            del self._waiting[identifier]
            waiting.conversation.outcome = "gave_up"
            return
        if waiting.tries < TRIES:
            waiting.tries += 1
            self.network.send(waiting.datagram)
        self._plan(identifier, waiting, seconds * 2)

    def receive(self, datagram: Datagram) -> None:
        """Take an answer, if it is one."""
        packet = octets.read(datagram.octets)
        if packet is None or datagram.target[1] != self._port or datagram.source[1] != PORT:
            return
        waiting = self._waiting.get(packet.identifier)
        if waiting is None or not octets.is_answer_right(packet, waiting.authenticator, waiting.secret):
            return
        del self._waiting[packet.identifier]
        conversation = waiting.conversation
        conversation.reply = packet
        if packet.code == octets.ACCESS_CHALLENGE:
            self._ask(conversation, waiting.round + 1, packet.first(octets.STATE))
        else:
            conversation.outcome = "accepted" if packet.code == octets.ACCESS_ACCEPT else "rejected"
            demand(
                packet.code != octets.ACCESS_ACCEPT or conversation.wish != "reject",
                f"login {conversation.number} was accepted, though its home said no",
            )
