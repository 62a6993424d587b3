"""One conversation of EAP (RFC 3748 §2 and §4): identity, a method, and its end.

States: IDENTITY → METHOD ⇄ CHECKING → ENDED. EAP is lock-step: the server asks, the device answers with the same
Identifier. A repeat of the answer before gets the question again; every other Identifier is ignored. Whatever goes
wrong inside, a method's bug included, ends in a Reject: `receive` raises nothing that a device could cause.

What is not here: sockets, State, timers, patrons. The caller bounds the number of conversations and their life.
"""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final

from radius.eap.context import EapServerContext
from radius.eap.fragments import START, FragmentError, Fragments
from radius.eap.methods.peap import Peap
from radius.eap.methods.steps import Done, Failed, Method, Send, Step
from radius.eap.methods.ttls import Ttls
from radius.eap.outcomes import (
    Accept,
    Challenge,
    EapReason,
    Ignore,
    NtHashLookup,
    Outcome,
    PasswordCheck,
    Reject,
)
from radius.eap.packet import EapCode, EapPacket, EapType, build_eap, build_end, parse_eap
from radius.errors import LocalProtocolError

MAX_ROUNDS: Final = 60  # a login takes 5 to 25, with fragments of 100 octets up to 52

# The methods by the names that identity stores offer them under.
_TYPES: Final[dict[str, EapType]] = {
    "ttls-pap": EapType.TTLS,
    "ttls-mschapv2": EapType.TTLS,
    "peap-mschapv2": EapType.PEAP,
}
_INNER: Final[dict[str, str]] = {"ttls-pap": "pap", "ttls-mschapv2": "mschapv2"}


class _State(Enum):
    IDENTITY = "identity"
    METHOD = "method"
    CHECKING = "checking"
    ENDED = "ended"


class EapSession:
    """One conversation, from the device's identity to Success or Failure."""

    def __init__(self, context: EapServerContext, methods: Sequence[str]) -> None:
        """`methods` are offered in this order, by names such as "ttls-pap"; there is at least one.

        Raises:
            ValueError: a method is unknown, or there is none.
        """
        unknown = [name for name in methods if name not in _TYPES]
        if unknown or not methods:
            raise ValueError(f"no methods to offer, or unknown ones: {', '.join(unknown)}")
        self._context = context
        self._offered = list(dict.fromkeys(_TYPES[name] for name in methods))
        self._inner = frozenset(_INNER[name] for name in methods if name in _INNER)
        self._state = _State.IDENTITY
        self._type = EapType.IDENTITY
        self._method: Method | None = None
        self._fragments = Fragments(context.fragment_octets)
        self._is_start = False  # the device may still choose another method
        self._identifier = 0
        self._rounds = 0
        self._last_request = b""
        self._last_response = b""
        self.error: Exception | None = None  # what ended the conversation although nothing should have

    def receive(self, eap: bytes) -> Outcome:
        """Take the device's EAP packet, joined from all EAP-Message attributes."""
        packet = parse_eap(eap)
        if packet is None or packet.code != EapCode.RESPONSE or self._state in (_State.ENDED, _State.CHECKING):
            return Ignore()
        if self._state is not _State.IDENTITY:
            if eap == self._last_response:
                return Challenge(self._last_request)  # it did not hear us
            if packet.identifier != self._identifier:
                return Ignore()
        self._last_response = eap
        self._identifier = packet.identifier
        self._rounds += 1
        if self._rounds > MAX_ROUNDS:
            return self._reject(EapReason.EAP_FAILED)
        return self._guard(lambda: self._take(packet))

    def answer_password(self, accepted: bool) -> Outcome:  # noqa: FBT001 - the one thing that it says
        """Say whether the password that was asked about is right."""
        return self._go_on(lambda method: method.answer_password(accepted=accepted))

    def answer_nt_hash(self, nt_hash: bytes | None) -> Outcome:
        """Give the NT hash that was asked for; None: no such patron, or none that has one."""
        return self._go_on(lambda method: method.answer_nt_hash(nt_hash))

    def _go_on(self, answer: Callable[[Method], Step]) -> Outcome:
        method = self._method
        if self._state is not _State.CHECKING or method is None:
            raise LocalProtocolError("no check was asked for")
        self._state = _State.METHOD
        return self._guard(lambda: self._follow(answer(method)))

    def _guard(self, work: Callable[[], Outcome]) -> Outcome:
        try:
            return work()
        except FragmentError:
            return self._reject(EapReason.EAP_MALFORMED)
        except LocalProtocolError:
            raise
        except Exception as error:  # noqa: BLE001 - the edge: a conversation that breaks is refused, and tells its caller
            self.error = error
            return self._reject(EapReason.EAP_FAILED)

    def _take(self, packet: EapPacket) -> Outcome:
        if self._state is _State.IDENTITY:
            if packet.kind != EapType.IDENTITY:
                return self._reject(EapReason.EAP_MALFORMED)
            return self._start(self._offered[0])
        if packet.kind == EapType.NAK and self._is_start:
            wanted = [kind for kind in self._offered if kind in packet.data and kind is not self._type]
            self._offered = [kind for kind in self._offered if kind is not self._type]
            return self._start(wanted[0]) if wanted else self._reject(EapReason.METHOD_NOT_OFFERED)
        if packet.kind != self._type or self._method is None:
            return self._reject(EapReason.EAP_MALFORMED)
        self._is_start = False
        message = self._fragments.receive(packet.data)
        if message is None:
            return self._ask(self._fragments.next_piece())
        return self._follow(self._method.receive(message))

    def _start(self, kind: EapType) -> Outcome:
        self._state = _State.METHOD
        self._type = kind
        self._is_start = True
        self._method = Peap(self._context) if kind is EapType.PEAP else Ttls(self._context, inner=self._inner)
        return self._ask(bytes((START,)))

    def _follow(self, step: Step) -> Outcome:
        match step:
            case Send(message=message, is_refusal=is_refusal):
                return self._ask(self._fragments.send(message), is_refusal=is_refusal)
            case PasswordCheck() | NtHashLookup():
                self._state = _State.CHECKING
                return step
            case Done(msk=msk, user=user):
                self._state = _State.ENDED
                return Accept(build_end(EapCode.SUCCESS, self._identifier), msk, user)
            case Failed(reason=reason):
                return self._reject(reason)

    def _ask(self, data: bytes, *, is_refusal: bool = False) -> Outcome:
        """The next request; its Identifier is another than the one before."""
        self._identifier = (self._identifier + 1) % 256
        self._last_request = build_eap(EapCode.REQUEST, self._identifier, self._type, data)
        return Challenge(self._last_request, is_refusal)

    def _reject(self, reason: EapReason) -> Outcome:
        self._state = _State.ENDED
        return Reject(build_end(EapCode.FAILURE, self._identifier), reason)
