"""The conversations that are open: found by the State that the next request carries back."""

import secrets
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from federation.reasons import RefusalReason

STATE_OCTETS: Final = 16  # 128 unpredictable bits: nobody joins another's conversation by guessing
LIFETIME_SECONDS: Final = 60.0  # since its last packet; as FreeRADIUS's `timer_expire`
MAX_CONVERSATIONS: Final = 5_000  # about 7 to 70 KiB each, given away for one unauthenticated packet
MAX_ROUNDS: Final = 60  # a login takes 5 to 25

Session = TypeVar("Session")


@dataclass(slots=True, eq=False)
class Conversation(Generic[Session]):
    """One login in progress."""

    state: bytes
    session: Session
    realm: str  # as registered
    peer: str  # the client that it came by; another one's State does not open it
    started_at: float
    expires_at: float
    rounds: int = 0
    is_busy: bool = False  # an identity check runs
    patron: tuple[str, str] | None = None  # realm and user, once the identity store was asked about them
    refusal: RefusalReason | None = None  # what the identity check said; the method may end some rounds later


class Conversations(Generic[Session]):
    """All of them, with a bound: one client may have half of what there is."""

    def __init__(self, limit: int = MAX_CONVERSATIONS) -> None:
        self._limit = limit
        self._by_state: dict[bytes, Conversation[Session]] = {}  # the longest untouched first
        self._by_peer: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._by_state)

    def open(self, session: Session, realm: str, peer: str, now: float) -> Conversation[Session] | None:
        """A new conversation; None when there are too many."""
        self.expire(now)
        if len(self._by_state) >= self._limit or self._by_peer.get(peer, 0) >= max(1, self._limit // 2):
            return None
        state = secrets.token_bytes(STATE_OCTETS)
        conversation = Conversation(state, session, realm, peer, now, now + LIFETIME_SECONDS)
        self._by_state[state] = conversation
        self._by_peer[peer] = self._by_peer.get(peer, 0) + 1
        return conversation

    def find(self, state: bytes, peer: str, now: float) -> Conversation[Session] | None:
        """The conversation with that State, if it is open and this client's; it lives on from now."""
        conversation = self._by_state.get(state)
        if conversation is None or conversation.peer != peer or conversation.expires_at <= now:
            return None
        conversation.expires_at = now + LIFETIME_SECONDS
        conversation.rounds += 1
        self._by_state[state] = self._by_state.pop(state)
        return conversation

    def close(self, conversation: Conversation[Session]) -> None:
        """It is over; closing it again changes nothing."""
        if self._by_state.pop(conversation.state, None) is not None:
            left = self._by_peer[conversation.peer] - 1
            if left:
                self._by_peer[conversation.peer] = left
            else:
                del self._by_peer[conversation.peer]

    def expire(self, now: float) -> int:
        """Conversations that nobody went on with are over; returns how many."""
        count = 0
        while self._by_state:
            oldest = next(iter(self._by_state.values()))
            if oldest.expires_at > now:
                break
            self.close(oldest)
            count += 1
        return count
