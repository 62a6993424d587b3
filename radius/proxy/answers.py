"""What a client gets, and what is told of it: answers that repeats get again, refusals, silence."""

from collections.abc import Callable
from typing import Final

from federation.events import Outcome, SignInFields
from federation.names import UserName, parse_user_name
from federation.reasons import RefusalReason
from radius.exchange.duplicates import Duplicates
from radius.proxy.exchange import Exchange
from radius.proxy.notices import Notices
from radius.proxy.replies import answer_accounting, refuse, refuse_change, report_error
from radius.wire.codes import AttributeType, Code
from radius.wire.packet import Packet

_ACCESS_REQUEST: Final = int(Code.ACCESS_REQUEST)
_ACCOUNTING_REQUEST: Final = int(Code.ACCOUNTING_REQUEST)
_USER_NAME: Final = int(AttributeType.USER_NAME)
_CALLING_STATION_ID: Final = int(AttributeType.CALLING_STATION_ID)


class Answers:
    """The end of each exchange, as its client sees it."""

    __slots__ = ("_emit", "duplicates", "notices", "wall_clock")

    def __init__(
        self,
        notices: Notices,
        duplicates: Duplicates,
        wall_clock: Callable[[], float],
        emit: Callable[[SignInFields], None],
    ) -> None:
        """`wall_clock`: seconds since the epoch; `emit` takes what happened, and must not wait."""
        self.notices = notices
        self.duplicates = duplicates
        self.wall_clock = wall_clock
        self._emit = emit

    def refuse(self, exchange: Exchange, reason: RefusalReason, now: float, *, cause: int | None = None) -> None:
        """The client gets a no of ours, or a Protocol-Error where it takes that and nobody has said no.

        `cause`: the Error-Cause that a next hop gave, to be passed on; 0: its Protocol-Error had none. Accounting, to
        which nobody may say no, is answered here.
        """
        code = exchange.packet.code
        if code == _ACCOUNTING_REQUEST:
            self.account(exchange, reason, now)
            return
        client, realm = exchange.client, exchange.realm
        client.refusals += 1
        self.notices.refuse(reason, client.key, now, realm.name if realm else "")
        if code != _ACCESS_REQUEST:  # a change of a session is nobody's sign-in
            self.answer(exchange, refuse_change(exchange.packet, client.keyed, reason), now)
            return
        requires_errors = exchange.listener.requires_errors
        is_error = client.hears_error(reason, requires_errors=requires_errors)
        if is_error:
            octets = report_error(exchange.packet, client.keyed, reason, requires_errors=requires_errors, cause=cause)
        else:
            octets = refuse(exchange.packet, client.keyed, reason)
        if self.answer(exchange, octets, now):
            self.tell(exchange, Outcome.UNANSWERED if is_error else Outcome.REJECTED, reason, now)

    def account(self, exchange: Exchange, reason: RefusalReason | None, now: float) -> None:
        """Accounting is answered here, after it was told of (RFC 2866 §4.1); with why its library does not get it."""
        client, realm = exchange.client, exchange.realm
        self.notices.keep_accounting(reason, client.key, now, realm.name if realm else "")
        self.tell(exchange, Outcome.ACCOUNTED, reason, now)
        self.answer(exchange, answer_accounting(exchange.packet, client.keyed), now)

    def drop(self, exchange: Exchange, reason: str, now: float) -> None:
        """The client gets no answer; a repeat is a new request."""
        self.duplicates.forget(exchange.key, exchange.packet.authenticator)
        self.notices.drop(reason, exchange.client.key, now)

    def answer(self, exchange: Exchange, octets: bytes | None, now: float) -> bool:
        """The client gets these octets, and again when it repeats its request; None: no answer has room enough.

        Returns whether they are on their way: the client may have moved on, and then there was no sign-in to tell of.
        """
        if octets is None:  # so full of Proxy-State
            self.drop(exchange, RefusalReason.TOO_LARGE, now)
            return False
        if not self.duplicates.answer(exchange.key, exchange.packet.authenticator, octets, now):
            return False
        self.notices.answered[octets[0]] += 1
        return exchange.listener.send(octets, exchange.source)

    def tell(self, exchange: Exchange, outcome: str, reason: RefusalReason | None, now: float) -> None:
        """Who counts and keeps what happened hears of it."""
        client, realm, upstream = exchange.client, exchange.realm, exchange.upstream
        packet = exchange.packet
        fields: SignInFields = (
            self.wall_clock(),
            client.key,
            client.library,
            realm.name if realm else _realm_of(packet),
            realm.library if realm else "",
            upstream.key if upstream else "",
            outcome,
            reason,
            now - exchange.started_at,
            exchange.revision,
            packet.value_of(_CALLING_STATION_ID),
        )
        self.notices.told += 1
        self._emit(fields)


def _realm_of(packet: Packet) -> str:
    """The realm that the name asks for, though nobody owns it; empty when it asks for none."""
    parsed = parse_user_name(packet.value_of(_USER_NAME))
    return parsed.realm if isinstance(parsed, UserName) else ""
