"""The two ends of a RADIUS/1.1 connection (RFC 9765 §4.2): Tokens outside, RADIUS/1.0's identifiers inside.

A Token is a number of 32 bits, so one connection carries as many requests as memory allows. Inside, requests are told
apart by a source or a flow, as they were source ports, and an Identifier of eight bits:

    listening end:   Token  ──▶  source (its upper 24 bits) · Identifier (its lower eight)
    dialling end:    flow · Identifier  ──▶  the connection's next Token

What is not here: how packets change (`radius.wire.radius11`), and repeats, which are the business of `duplicates`. The
Request Authenticator that a request gets here says whether two are the same.
"""

from collections import OrderedDict
from hashlib import blake2s
from typing import Final

from radius.errors import DropReason
from radius.exchange.duplicates import MAX_PENDING_PER_SOURCE, PENDING_SECONDS
from radius.wire.authenticators import KeyedSecret
from radius.wire.codes import EXPECTED_RESPONSES
from radius.wire.packet import AUTHENTICATOR_OCTETS, HEADER_OCTETS
from radius.wire.radius11 import (
    read_token,
    request_to_radius10,
    request_to_radius11,
    response_to_radius10,
    response_to_radius11,
)

NONCE_OCTETS: Final = 32
IDENTIFIERS: Final = 256
_TOKEN_MASK: Final = 0xFFFF_FFFF


class ServerEdge:
    """The end that listens, of one connection.

    A request is outstanding from its arrival to its answer, or for 30 seconds. Over TLS nobody sends a packet twice, so
    a Token that comes again belongs to another request. If the one that has it is outstanding, the two ends can not
    understand each other, and the connection ends (RFC 9765 §4.2.2). The very same packet is a repeat, and gets the
    same Request Authenticator, by which it is known for one.
    """

    __slots__ = ("_keyed", "_max_outstanding", "_nonce", "_outstanding")

    def __init__(self, keyed: KeyedSecret, nonce: bytes, max_outstanding: int = MAX_PENDING_PER_SOURCE) -> None:
        """`nonce`: 32 unpredictable octets, of this connection only. With too many outstanding the oldest is forgotten.

        `keyed` is the secret by which the other parts of the process believe what comes from this edge.
        """
        self._keyed = keyed
        self._nonce = nonce
        self._max_outstanding = max_outstanding
        # Token: digest of the request, its Request Authenticator in RADIUS/1.0, when it came; the oldest first.
        self._outstanding: OrderedDict[int, tuple[bytes, bytes, float]] = OrderedDict()

    @property
    def outstanding(self) -> int:
        """How many requests wait for their answer."""
        return len(self._outstanding)

    def receive(self, octets: bytes, now: float) -> tuple[int, bytes] | DropReason:
        """Return a request's source and the request in RADIUS/1.0; or why it is none, and see `BREAKS_STREAM`.

        The source is a number below 2^24. No two outstanding requests have source and Identifier in common.
        """
        if len(octets) < HEADER_OCTETS:
            return DropReason.TOO_SHORT
        if octets[0] not in EXPECTED_RESPONSES:
            return DropReason.CODE_NOT_EXPECTED
        token = read_token(octets)
        # Unpredictable to everybody outside; the reserved octets have no meaning, so they make no difference.
        digest = blake2s(
            octets[:1] + octets[4:8] + octets[HEADER_OCTETS:], key=self._nonce, digest_size=AUTHENTICATOR_OCTETS
        ).digest()
        self._forget_old(now)
        known = self._outstanding.get(token)
        if known is not None and known[0] != digest:
            return DropReason.TOKEN_REUSED
        request = request_to_radius10(octets, token % IDENTIFIERS, digest, self._keyed)
        if isinstance(request, DropReason):
            return request
        if known is None:
            if len(self._outstanding) >= self._max_outstanding:
                self._outstanding.popitem(last=False)
            self._outstanding[token] = (digest, request[4:HEADER_OCTETS], now)
        return token // IDENTIFIERS, request

    def answer(self, source: int, octets: bytes) -> bytes | DropReason:
        """Return the answer to a request of that source as it travels; or why it does not.

        The request is outstanding no more. UNMATCHED_RESPONSE: it was not, since it is answered or too old.
        """
        token = source * IDENTIFIERS + octets[1]
        known = self._outstanding.pop(token, None)
        if known is None:
            return DropReason.UNMATCHED_RESPONSE
        return response_to_radius11(octets, token, known[1], self._keyed)

    def _forget_old(self, now: float) -> None:
        while self._outstanding:
            token = next(iter(self._outstanding))
            if now - self._outstanding[token][2] < PENDING_SECONDS:
                return
            del self._outstanding[token]


class ClientEdge:
    """The end that dials, of one connection; many flows of 256 identifiers share it.

    A request keeps its Token until its answer comes or its flow and Identifier are used for another request. So there
    are never more Tokens than identifiers, and an answer that comes late can not be taken for that of a later request.
    """

    __slots__ = ("_keyed", "_tokens", "_waiting", "next_token")

    next_token: int
    """What the next request gets, unless one that waits has it."""

    def __init__(self, keyed: KeyedSecret, first_token: int) -> None:
        """`first_token`: 32 random bits, new for each connection (RFC 9765 §4.2.1)."""
        self.next_token = first_token
        self._keyed = keyed
        self._waiting: dict[int, tuple[int, int, bytes]] = {}  # Token: flow, Identifier, Request Authenticator
        self._tokens: dict[tuple[int, int], int] = {}  # the same, by flow and Identifier

    @property
    def outstanding(self) -> int:
        """How many requests wait for their answer, those included that nobody waits for."""
        return len(self._waiting)

    def send(self, flow: int, octets: bytes) -> bytes | DropReason:
        """Return our request of that flow as it travels; or why it does not.

        The same request sent again keeps its Token (RFC 9765 §4.2.1).
        """
        identifier = octets[1]
        authenticator = octets[4:HEADER_OCTETS]
        token = self._tokens.get((flow, identifier))
        if token is not None and self._waiting[token][2] == authenticator:
            return request_to_radius11(octets, token, self._keyed)
        new_token = self.next_token & _TOKEN_MASK
        while new_token in self._waiting:  # after 2^32 requests, or never
            new_token = new_token + 1 & _TOKEN_MASK
        request = request_to_radius11(octets, new_token, self._keyed)
        if isinstance(request, DropReason):
            return request
        if token is not None:
            del self._waiting[token]
        self.next_token = new_token + 1
        self._waiting[new_token] = (flow, identifier, authenticator)
        self._tokens[flow, identifier] = new_token
        return request

    def receive(self, octets: bytes) -> tuple[int, bytes] | DropReason:
        """Return the flow of an answer, and the answer in RADIUS/1.0; or why it is none, and see `BREAKS_STREAM`."""
        if len(octets) < HEADER_OCTETS:
            return DropReason.TOO_SHORT
        token = read_token(octets)
        known = self._waiting.get(token)
        if known is None:
            return DropReason.UNMATCHED_RESPONSE
        flow, identifier, authenticator = known
        response = response_to_radius10(octets, identifier, authenticator, self._keyed)
        if isinstance(response, DropReason):
            return response
        del self._waiting[token]
        del self._tokens[flow, identifier]
        return flow, response

    def forget(self, flow: int) -> None:
        """The flow is gone; what comes for it answers nothing."""
        for identifier in range(IDENTIFIERS):
            token = self._tokens.pop((flow, identifier), None)
            if token is not None:
                del self._waiting[token]
