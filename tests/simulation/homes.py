"""Home servers: they look at every octet of a request, answer round after round, and break in many ways."""

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Final

from tests.simulation import octets
from tests.simulation.federations import PORT, HomeSite, Registry
from tests.simulation.ledger import Given, Ledger, Sent, demand
from tests.simulation.network import Address, Datagram, Network
from tests.simulation.octets import Attribute, Read

# What may leave a library with a request; everything else is the visited library's business.
MAY_LEAVE: Final = frozenset((1, 2, 3, 4, 5, 12, 24, 30, 31, 32, 33, 44, 60, 61, 77, 79, 80, 87, 89, 95, 126))
HOP_COUNTER: Final = (27262).to_bytes(4) + b"\x01\x06"  # radsecproxy's, which each hop counts down
NO_BUSINESS: Final[tuple[Attribute, ...]] = (
    (64, (13).to_bytes(4)),
    (65, (6).to_bytes(4)),
    (81, b"666"),
    (11, b"open-all"),
    (6, (6).to_bytes(4)),
    (8, bytes((10, 9, 8, 7))),
    (octets.VENDOR_SPECIFIC, (9).to_bytes(4) + b"\x01\x0bshell:x=1"),
    (octets.REPLY_MESSAGE, b"welcome"),
    (92, b"permit in ip from any to any"),
)


class Home:
    """One home server."""

    def __init__(
        self, network: Network, registry: Registry, ledger: Ledger, site: HomeSite, *, knows_status: bool
    ) -> None:
        self.network = network
        self.registry = registry
        self.ledger = ledger
        self.site = site
        self.knows_status = knows_status
        self.troubles: Counter[str] = Counter()
        self.secret = site.secret
        self.secrets = {site.secret}
        self.answered_since = 0
        self._random = network.random(f"home {site.key}")
        self._open: set[bytes] = set()  # States
        self._known: dict[tuple[Address, int], tuple[bytes, bytes, Datagram | None]] = {}
        network.attach(site.host, self.receive)

    def move(self, host: str) -> None:
        """It has another address now."""
        self.site.host = host
        self.network.attach(host, self.receive)

    def restart(self) -> None:
        """Every conversation is forgotten."""
        self._open.clear()
        self._known.clear()

    @property
    def is_silent(self) -> bool:
        """Whether nothing comes from it now."""
        return self.troubles["silent"] > 0 or (self.troubles["flapping"] > 0 and int(self.network.now) % 3 > 0)

    def receive(self, datagram: Datagram) -> None:
        """Take a request: unless the network spoilt it, it has to be right."""
        if datagram.target != (self.site.host, PORT):
            return
        packet = octets.read(datagram.octets)
        is_right = packet is not None and octets.is_request_right(packet, self.secret)
        if packet is None or not is_right:
            is_old = packet is not None and any(octets.is_request_right(packet, each) for each in self.secrets)
            demand(not datagram.is_genuine or is_old, f"{self.site.key} got a request that is not signed for it")
            return
        if self.is_silent:
            return
        if packet.code == octets.STATUS_SERVER:
            self._look_at_status(packet)
            if self.knows_status:
                answer = octets.sign_answer(
                    octets.ACCESS_ACCEPT, packet.identifier, packet.authenticator, (), self.secret
                )
                self._send(Datagram(datagram.target, datagram.source, answer))
            return
        demand(packet.code == octets.ACCESS_REQUEST, f"{self.site.key} got a packet of code {packet.code}")
        key = (datagram.source, packet.identifier)
        known = self._known.get(key)
        if known is not None and known[0] == packet.authenticator:
            demand(known[1] == packet.octets, f"{self.site.key} got a repeat with other octets")
            if known[2] is not None:
                self._send(known[2])
            return
        self._look_at(packet)
        answer = self._answer(packet, datagram)
        self._known[key] = (packet.authenticator, packet.octets, answer)
        if answer is not None:
            self._send(answer)

    def _look_at_status(self, packet: Read) -> None:
        kinds = [kind for kind, _ in packet.attributes]
        demand(kinds == [octets.MESSAGE_AUTHENTICATOR], f"Status-Server with attributes {kinds} (RFC 5997 §3)")

    def _look_at(self, packet: Read) -> None:
        """The request is what the client sent, less what may not travel, plus one Proxy-State for each hop."""
        marker = packet.first(octets.ACCT_SESSION_ID)
        sent = self.ledger.sent.get(marker)
        demand(sent is not None, f"{self.site.key} got a request that nobody made")
        assert sent is not None
        shape = self.registry.plan.realms[self.site.realm]
        demand(sent.realm == self.site.realm, f"login {sent.number} for realm {sent.realm} came to {self.site.key}")
        kinds = [kind for kind, _ in packet.attributes]
        demand(kinds[0] == octets.MESSAGE_AUTHENTICATOR, "Message-Authenticator is not first in a request")
        crosses = shape.depth > 1 or sent.library != self.registry.library(self.site.realm)
        if crosses:
            kinds = [kind for kind, value in packet.attributes if not value.startswith(HOP_COUNTER)]
            leaked = set(kinds) - MAY_LEAVE
            demand(not leaked, f"attributes {leaked} of login {sent.number} left its library")
            demand(octets.USER_PASSWORD not in kinds, f"the password of login {sent.number} left its library")
        before = Read(0, 0, b"", list(sent.attributes), b"")
        for kind in (octets.USER_NAME, octets.STATE, octets.CALLING_STATION_ID, octets.EAP_MESSAGE):
            demand(packet.all(kind) == before.all(kind), f"attribute {kind} of login {sent.number} was changed")
        states = packet.all(octets.PROXY_STATE)
        own = before.all(octets.PROXY_STATE)
        demand(
            states[: len(own)] == own and len(states) == len(own) + shape.depth,
            f"the Proxy-States of login {sent.number} are {states}, of which {own} were its client's",
        )
        names = packet.all(octets.OPERATOR_NAME)
        demand(names == [sent.operator_name], f"Operator-Name {names} of login {sent.number}")
        if sent.password:
            hidden = packet.first(octets.USER_PASSWORD)
            password = octets.reveal_password(hidden, self.secret, packet.authenticator)
            demand(password == sent.password, f"the password of login {sent.number} did not arrive intact")

    def _answer(self, packet: Read, datagram: Datagram) -> Datagram | None:
        sent = self.ledger.sent[packet.first(octets.ACCT_SESSION_ID)]
        state = packet.first(octets.STATE)
        code = octets.ACCESS_CHALLENGE
        if (state and state not in self._open) or sent.wish == "reject":
            code = octets.ACCESS_REJECT
        elif sent.round >= sent.rounds:
            code = octets.ACCESS_ACCEPT
        self._open.discard(state)
        token = f"{self.site.key}#{len(self.ledger.given)}".encode()
        key = self._random.randbytes(32)
        given = Given(sent.marker, code, b"", b"")
        attributes: list[Attribute] = [(octets.CLASS, token)]
        if not sent.password:
            body = {
                octets.ACCESS_CHALLENGE: b"\x01\x02\x00\x0a\x15" + bytes(5),
                octets.ACCESS_ACCEPT: b"\x03\x02\x00\x04",
                octets.ACCESS_REJECT: b"\x04\x02\x00\x04",
            }[code]
            attributes += octets.split_eap(body)
        attributes += self._random.sample(NO_BUSINESS, self._random.randrange(len(NO_BUSINESS)))
        if code == octets.ACCESS_CHALLENGE:
            state = self._random.randbytes(self._random.choice((8, 16, 38)))
            self._open.add(state)
            attributes.append((octets.STATE, state))
            given = replace(given, state=state)
        elif code == octets.ACCESS_ACCEPT:
            given = replace(given, key=b"" if self.troubles["broken_key"] else key)
            attributes += [self._hide(packet, header, key) for header in (octets.MPPE_SEND_KEY, octets.MPPE_RECV_KEY)]
            attributes.append((octets.SESSION_TIMEOUT, self._random.choice((1, 3600, 28_800, 99_999)).to_bytes(4)))
        self.ledger.given[token] = given
        return self._sign(packet, code, attributes, datagram, sent)

    def _hide(self, packet: Read, header: bytes, key: bytes) -> Attribute:
        salt = (0x8000 | self._random.randrange(1 << 15)).to_bytes(2)
        kind, value = octets.build_key(header, key, salt, self.secret, packet.authenticator)
        if self.troubles["broken_key"]:
            value = (
                header + bytes((len(value) - 6 + self._random.randrange(-1, 2),)) + value[6:-1]
            )  # one octet short of a whole block
        return kind, value

    def _sign(
        self, packet: Read, code: int, attributes: list[Attribute], datagram: Datagram, sent: Sent
    ) -> Datagram | None:
        states = [(octets.PROXY_STATE, value) for value in packet.all(octets.PROXY_STATE)]
        if self.troubles["careless"]:
            states = states[-1:]
        if self.troubles["blunt"]:
            states = []
        if self.troubles["altering"] and states:
            states[self._random.randrange(len(states))] = (octets.PROXY_STATE, self._random.randbytes(9))
        attributes += states
        if self.troubles["wordy"]:
            attributes += [(octets.CLASS, bytes(253))] * 15
        if self.troubles["wrong_code"]:
            code = octets.ACCOUNTING_RESPONSE
        answer = octets.sign_answer(code, packet.identifier, packet.authenticator, attributes, self.secret)
        if self.troubles["unsigned"]:
            answer = octets.sign_bare_answer(code, packet.identifier, packet.authenticator, attributes, self.secret)
        source = datagram.target
        if self.troubles["elsewhere"]:
            source = self._random.choice(((source[0], 1645), ("203.0.113.99", PORT)))
        return Datagram(source, datagram.source, answer) if len(answer) <= 4096 else None

    def _send(self, answer: Datagram) -> None:
        self.answered_since += 1
        seconds = 0.0
        if self.troubles["slow"]:
            seconds = self._random.uniform(0.5, 7.0)
        if self.troubles["late"]:
            seconds = self._random.uniform(19.0, 28.0)
        if seconds:
            self.network.at(self.network.now + seconds, partial(self.network.send, answer))
        else:
            self.network.send(answer)
