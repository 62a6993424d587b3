"""The home server: requests, EAP conversations, identity checks, answers.

There are two ways in, and one path behind them: a datagram from an address where a client may be, and a packet of a
client that is known already, over a connection on which its answer goes back.

Everything happens on one event loop but the identity checks that block, which have threads of their own. A request is
authentic before anything else of it is looked at; a repeat never starts a second check; a refusal waits about a second,
so that nobody tries passwords quickly and nobody learns from the time why it was one.

A round of EAP-TLS costs as much as dozens of forwarded packets, so datagrams are always sorted: while more
conversations begin than can be carried, those that have begun end (`radius.exchange.admission`). Connections hold their
senders back.
"""

import asyncio
import hmac
import logging
import random
import secrets
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from socket import socket
from time import monotonic
from typing import Final

from federation.names import UserName, parse_user_name
from federation.reasons import RefusalReason
from federation.snapshot import EapMethod, HomeSnapshot, SharedSecret
from radius.eap.context import EapServerContext
from radius.eap.machine import EapSession
from radius.eap.outcomes import (
    Accept,
    Challenge,
    Ignore,
    NtHashLookup,
    Outcome,
    PasswordCheck,
    Reject,
)
from radius.errors import DropReason
from radius.exchange.admission import KnownStates
from radius.exchange.duplicates import Seen
from radius.exchange.intake import Intake
from radius.home.authorise import (
    build_accept_attributes,
    build_alias,
    build_challenge_attributes,
)
from radius.home.checks import Checks
from radius.home.clients import Peer, Peers
from radius.home.conversations import MAX_ROUNDS, Conversation, Conversations
from radius.home.guesses import Guesses
from radius.home.names import find_hosted
from radius.home.patrons import Patrons
from radius.home.ports import PatronStore
from radius.home.replies import Replies, Request
from radius.home.streams import Streams
from radius.transport.backlog import Backlog
from radius.transport.faults import Faults
from radius.transport.garbage import YoungGarbage
from radius.transport.udp import Address
from radius.wire.attributes import concatenate, find, is_eap_well_formed
from radius.wire.authenticators import decide_request_authenticity
from radius.wire.codes import CODE_NAMES, AttributeType, Code, ErrorCause
from radius.wire.packet import Packet, parse_packet

EXPIRY_SECONDS: Final = 1.0
DRAIN_LOOK_SECONDS: Final = 0.02
SLICE: Final = 8  # requests worked on in one turn, about 10 ms: so long an identity check's answer waits
OFFERED: Final = frozenset((EapMethod.TTLS_PAP, EapMethod.TTLS_MSCHAPV2, EapMethod.PEAP_MSCHAPV2))
_PSEUDONYM_CHARACTERS: Final = 12

_log = logging.getLogger(__name__)


class HomeService:
    """One home server; `swap` gives it what it is to know, before or while it runs."""

    def __init__(
        self,
        sockets: Sequence[socket],
        stores: Mapping[str, PatronStore],
        *,
        radsec_sockets: Sequence[socket] = (),
        alias_key: bytes,
        loopback_secret: SharedSecret | None = None,
        serves_access_points: bool = False,
        requires_crypto_binding: bool = False,
        checks: Checks | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`sockets` are bound ones for UDP, `radsec_sockets` for RADIUS/TLS; `stores` by kind ("local").

        `loopback_secret` lets proxies of this machine ask; with `serves_access_points` those of the snapshot may too.
        `requires_crypto_binding` refuses devices that do not know it in PEAP.
        """
        self._sockets = sockets
        self._patrons = Patrons(stores, checks or Checks(), Guesses(alias_key))
        self._alias_key = alias_key
        self._loopback_secret = loopback_secret
        self._serves_access_points = serves_access_points
        self._requires_crypto_binding = requires_crypto_binding
        self._replies = Replies(jitter)
        self._snapshot: HomeSnapshot | None = None
        self._context: EapServerContext | None = None
        self._peers = Peers(())
        self._radsec_sockets = radsec_sockets
        self.streams = Streams(radsec_sockets, self.receive)
        self._conversations: Conversations[EapSession] = Conversations()
        self._known_states = KnownStates()
        intake: Intake[socket] = Intake(
            self._known_states,
            find_client=self._find_client,
            take=self._receive_datagram,
            drop=self._drop,
            slice_size=SLICE,
        )
        self._backlog = Backlog(intake, lambda work: work)  # `receive` has the net
        self._checking = 0  # conversations that wait for an identity store
        self._is_over = False
        self._requests: Counter[str] = Counter()
        self._faults = Faults(_log)
        self._young = YoungGarbage()
        self._expiry: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def revision(self) -> int:
        """Of the snapshot in force; 0 before there is one."""
        return self._snapshot.revision if self._snapshot else 0

    def counters(self) -> dict[str, object]:
        """What was counted since the start."""
        return {
            "requests": dict(self._requests),
            **self._replies.counters(),
            "sessions": len(self._conversations),
            "sessions_displaced": self._conversations.displaced,
            **self._patrons.counters(),
            "streams": self.streams.counters(),
        }

    def swap(self, snapshot: HomeSnapshot) -> None:
        """From now on this snapshot is in force; conversations go on with what they began with.

        Raises:
            ValueError: its certificate or key can not be used; the earlier snapshot stays.
        """
        earlier = self._snapshot
        trust = self.streams.prepare(snapshot.peer_trust)
        if self._context is None or earlier is None or earlier.credentials != snapshot.credentials:
            credentials = snapshot.credentials
            self._context = EapServerContext(
                credentials.certificate_chain_pem,
                credentials.private_key_pem,
                requires_crypto_binding=self._requires_crypto_binding,
            )
        self._peers = Peers(snapshot.clients if self._serves_access_points else (), self._loopback_secret)
        self._snapshot = snapshot
        self.streams.swap(trust, snapshot.peer_trust, self._peers)

    def start(self) -> None:
        """Read the sockets from now on."""
        self._loop = loop = asyncio.get_running_loop()
        for listener in self._sockets:
            loop.add_reader(listener.fileno(), self._backlog.make_reader(listener, listener))
        self.streams.start()
        self._expire()

    async def stop(self, drain_seconds: float, /) -> None:
        """Take no new conversations' packets, send every answer that is due, and end."""
        assert self._loop is not None
        for listener in self._sockets:
            self._loop.remove_reader(listener.fileno())
        await self.streams.stop()
        if self._expiry is not None:
            self._expiry.cancel()
        deadline = monotonic() + drain_seconds
        while self._backlog and monotonic() < deadline:  # noqa: ASYNC110 - turns of the loop, in which it shrinks
            await asyncio.sleep(0)
        self._backlog.cancel()
        while self._checking and monotonic() < deadline:  # noqa: ASYNC110 - for some moments at the end of a role
            await asyncio.sleep(DRAIN_LOOK_SECONDS)
        self._replies.flush()
        self._is_over = True
        self._patrons.close()
        self.streams.close()
        for listener in (*self._sockets, *self._radsec_sockets):
            listener.close()
        self._sockets = self._radsec_sockets = ()

    def _expire(self) -> None:
        now = monotonic()
        is_to_go_on = self._replies.on_timer(now)
        self._conversations.expire(now)
        assert self._loop is not None
        self._expiry = self._loop.call_later(0 if is_to_go_on else EXPIRY_SECONDS, self._expire)

    # Requests

    def receive(
        self,
        octets: bytes,
        peer: Peer,
        source: Hashable,
        send: Callable[[bytes], None],
        now: float,
        *,
        requires_errors: bool = False,
    ) -> DropReason | None:
        """Take one packet of a client; whatever is in it, nothing leaves this function as an exception.

        `source` is where it came from, to tell repeats from other requests; its answer, if there is one, goes to
        `send`, once and perhaps later. Returns why there is none, or None. With `requires_errors`, what can not be
        processed is answered with Protocol-Error (RFC 9765 §6.1).
        """
        try:
            reason = self._take(octets, peer, source, send, now, requires_errors=requires_errors)
        except Exception as error:  # noqa: BLE001 - the top of the packet path; logged and counted
            self._faults.tell("packet_failed", error, now)
            reason = DropReason.INTERNAL_ERROR
        if reason is not None:
            self._replies.drop(reason, peer.key)
        self._replies.duplicates.forget_old(now)
        if self._young.due <= now:
            self._young.collect(now)
        return reason

    def _find_client(self, host: str) -> str | None:
        peer = self._peers.find(host)
        return None if peer is None else peer.key

    def _drop(self, reason: DropReason, who: str, _now: float) -> None:
        is_ready = reason is not DropReason.UNKNOWN_CLIENT or self._snapshot is not None
        self._replies.drop(reason if is_ready else DropReason.NOT_READY, who)

    def _receive_datagram(self, listener: socket, datagram: bytes, address: Address, now: float) -> None:
        host, port = str(address[0]), int(address[1])
        peer = self._peers.find(host)
        if peer is not None:
            send = partial(self._replies.send_datagram, listener, address)
            self.receive(datagram, peer, (listener.fileno(), host, port), send, now)
        else:
            self._drop(DropReason.UNKNOWN_CLIENT, host, now)  # a snapshot came while it waited

    def _take(  # noqa: PLR0911 - ordered checks, each with its one reason
        self,
        octets: bytes,
        peer: Peer,
        source: Hashable,
        send: Callable[[bytes], None],
        now: float,
        *,
        requires_errors: bool,
    ) -> DropReason | None:
        if self._snapshot is None:
            return DropReason.NOT_READY
        packet = parse_packet(octets)
        if not isinstance(packet, Packet):
            return packet
        if packet.code not in (Code.ACCESS_REQUEST, Code.STATUS_SERVER):
            return self._leave(packet, peer, send, DropReason.CODE_NOT_EXPECTED, is_told=requires_errors)
        reason = decide_request_authenticity(packet, peer.keyed, requires_message_authenticator=True)
        if reason is not None:
            return reason
        self._requests[CODE_NAMES[packet.code]] += 1
        key = (source, packet.code, packet.identifier)
        seen = self._replies.duplicates.receive(key, packet.authenticator, peer.key, now)
        if isinstance(seen, bytes):
            send(seen)
            return None
        if seen is Seen.PENDING:
            return DropReason.DUPLICATE_PENDING
        if seen is Seen.FULL:
            return self._leave(packet, peer, send, DropReason.QUEUE_FULL, is_told=requires_errors)
        eap = concatenate(packet, AttributeType.EAP_MESSAGE)
        request = Request(packet, peer, send, key, eap, now, requires_errors)
        if packet.code == Code.STATUS_SERVER:
            self._replies.answer(request, Code.ACCESS_ACCEPT, b"")  # RFC 5997 §4.2
        else:
            self._decide(request, self._snapshot)
        return None

    def _leave(
        self, packet: Packet, peer: Peer, send: Callable[[bytes], None], reason: DropReason, *, is_told: bool
    ) -> DropReason:
        """A request is not processed for that reason, and its client is told so if it is one that has to be."""
        if is_told and packet.code in (Code.ACCESS_REQUEST, Code.ACCOUNTING_REQUEST):
            is_full = reason is DropReason.QUEUE_FULL
            cause = ErrorCause.RESOURCES_UNAVAILABLE if is_full else ErrorCause.UNSUPPORTED_EXTENSION
            self._replies.turn_away(packet, peer, send, cause)
        return reason

    def _decide(self, request: Request, snapshot: HomeSnapshot) -> None:
        packet = request.packet
        if not request.eap:
            self._refuse(request, RefusalReason.NO_CREDENTIALS)
            return
        if not is_eap_well_formed(packet):
            self._refuse(request, RefusalReason.EAP_MALFORMED)
            return
        state = find(packet, AttributeType.STATE)
        if state is None:
            self._begin(request, snapshot)
            return
        name = packet.value_of(AttributeType.USER_NAME)
        conversation = self._conversations.find(state, request.peer.key, name, request.received_at)
        if conversation is None:
            self._refuse(request, RefusalReason.SESSION_UNKNOWN)
        elif conversation.is_busy:
            self._replies.ignore(request)
        elif conversation.rounds > MAX_ROUNDS:
            self._refuse(request, RefusalReason.EAP_FAILED, conversation)
        else:
            self._continue(request, conversation, partial(conversation.session.receive, request.eap))

    def _begin(self, request: Request, snapshot: HomeSnapshot) -> None:
        packet = request.packet
        outer_name = packet.value_of(AttributeType.USER_NAME)
        name = parse_user_name(outer_name)
        if not isinstance(name, UserName):
            self._refuse(request, name)
            return
        realm = find_hosted(snapshot.realms, name.realm)
        if realm is None:
            self._refuse(request, RefusalReason.UNROUTABLE)
            return
        assert self._context is not None  # there is a snapshot
        methods = [str(method) for method in realm.methods if method in OFFERED]
        if not methods:
            self._refuse(request, RefusalReason.METHOD_NOT_OFFERED)
            return
        session = EapSession(self._context, methods)
        conversation = self._conversations.open(
            session,
            realm.name,
            request.peer.key,
            request.received_at,
            # By a proxy come all libraries: each has its own share.
            visited=packet.value_of(AttributeType.OPERATOR_NAME) if request.peer.is_proxy else b"",
            name=outer_name,
        )
        if conversation is None:
            self._refuse(request, RefusalReason.SESSIONS_FULL)
            return
        self._continue(request, conversation, partial(session.receive, request.eap))

    # Conversations

    def _continue(self, request: Request, conversation: Conversation[EapSession], step: Callable[[], Outcome]) -> None:
        try:
            outcome = step()
        except Exception as error:  # noqa: BLE001 - one bad conversation is refused and logged, and ends nothing else
            self._faults.tell("conversation_failed", error, monotonic(), realm=conversation.realm)
            self._refuse(request, RefusalReason.EAP_FAILED, conversation)
            return
        self._patrons.hear(conversation, outcome, _device_of(request))
        match outcome:
            case Challenge(eap=eap):
                self._known_states.add(request.peer.key, conversation.state)
                self._replies.answer(
                    request, Code.ACCESS_CHALLENGE, build_challenge_attributes(eap, conversation.state)
                )
            case PasswordCheck() | NtHashLookup():
                self._check(request, conversation, outcome)
            case Accept(eap=eap, msk=msk):
                self._accept(request, conversation, eap, msk)
            case Reject(eap=eap, reason=reason):
                broken = conversation.session.error
                if broken is not None:  # where nothing should; the device gets a no
                    self._faults.tell("conversation_failed", broken, monotonic(), realm=conversation.realm)
                self._refuse(request, RefusalReason(reason), conversation, eap)
            case Ignore():
                if not conversation.rounds:
                    self._conversations.close(conversation)  # it never began
                self._replies.ignore(request)

    def _check(
        self, request: Request, conversation: Conversation[EapSession], wanted: PasswordCheck | NtHashLookup
    ) -> None:
        """Go on with what the identity store says; a bug on the way there costs this conversation and no other."""
        assert self._snapshot is not None  # else there would be no conversation

        def go_on(step: Callable[[], Outcome]) -> None:
            conversation.is_busy = False
            self._checking -= 1
            if not self._is_over:
                self._continue(request, conversation, step)

        conversation.is_busy = True
        self._checking += 1
        try:
            self._patrons.ask(self._snapshot.realms, conversation, wanted, _device_of(request), go_on)
        except Exception as error:
            if not conversation.is_busy:  # it has gone on, and it is not the asking that failed
                raise
            go_on(partial(_fail, error))  # logged, and the device gets its no

    def _accept(self, request: Request, conversation: Conversation[EapSession], eap: bytes, msk: bytes) -> None:
        packet = request.packet
        assert conversation.patron is not None  # no method ends well without a check
        realm, user = conversation.patron
        self._conversations.close(conversation)
        self._patrons.remember(realm, user, _device_of(request))
        attributes = build_accept_attributes(
            packet,
            request.peer.keyed,
            eap=eap,
            msk=msk,
            name=conversation.name,
            cui=build_alias(packet, self._alias_key, user, realm),
            salt=secrets.randbits(15),
        )
        self._replies.answer(request, Code.ACCESS_ACCEPT, attributes)
        self._log_end(request, conversation, "accepted", None, user)

    def _refuse(
        self,
        request: Request,
        reason: RefusalReason,
        conversation: Conversation[EapSession] | None = None,
        eap: bytes = b"",
    ) -> None:
        """Answer no, in a while; EAP-Failure goes with it whenever the request has EAP (RFC 3579 §2.6.3)."""
        if conversation is None:
            self._replies.tell("request_refused", reason, request.peer.key)
        else:
            self._conversations.close(conversation)
            reason = conversation.refusal or reason
            self._log_end(request, conversation, "refused", reason, None)
        self._replies.refuse(request, reason, eap)

    def _log_end(
        self,
        request: Request,
        conversation: Conversation[EapSession],
        outcome: str,
        reason: RefusalReason | None,
        user: str | None,
    ) -> None:
        """One line for each login that ended; the patron appears under a pseudonym."""
        fields: dict[str, object] = {
            "outcome": outcome,
            "client": request.peer.key,
            "realm": conversation.realm,
            "seconds": round(monotonic() - conversation.started_at, 3),
        }
        if reason is not None:
            fields["reason"] = reason
        if user is not None:
            digest = hmac.digest(self._alias_key, b"log\0" + user.encode(errors="replace"), "sha256").hex()
            fields["patron"] = digest[:_PSEUDONYM_CHARACTERS]
        operator_name = find(request.packet, AttributeType.OPERATOR_NAME)
        if operator_name:
            fields["visited"] = operator_name[1:].decode("ascii", "replace")
        _log.info("sign_in", extra=fields)


def _fail(error: Exception) -> Outcome:
    raise error


def _device_of(request: Request) -> bytes:
    """The device's address as the access point gives it; it can be made up, and is worth no more than that."""
    return request.packet.value_of(AttributeType.CALLING_STATION_ID)
