"""The conversations that are open: found by the State that the next request carries back.

Opening one costs whoever asks a single packet, so there is a bound, and room for new ones is made at the cost of those
who take most: a flood by one library leaves the patrons of the others alone, and those of its own as long as they go
on. A conversation that nobody has gone on with yet is worth least; a device that is there goes on within a second.
"""

import secrets
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from federation.reasons import RefusalReason

STATE_OCTETS: Final = 16  # 128 unpredictable bits: nobody joins another's conversation by guessing
LIFETIME_SECONDS: Final = 60.0  # since its last packet; as FreeRADIUS's `timer_expire`
QUIET_SECONDS: Final = 5.0  # a device that works on its answer is quiet for less; one that went may make room
MAX_CONVERSATIONS: Final = 5_000  # about 7 to 70 KiB each
MAX_ROUNDS: Final = 60  # a login takes 5 to 25

Session = TypeVar("Session")


@dataclass(slots=True, eq=False)
class Conversation(Generic[Session]):
    """One login in progress."""

    state: bytes
    session: Session
    realm: str  # as registered
    peer: str  # the client that it came by; another one's State does not open it
    origin: tuple[str, bytes]  # whose share of the room it takes
    name: bytes  # the User-Name that it began with, and goes on with (RFC 3579 §2.1)
    started_at: float
    expires_at: float
    rounds: int = 0
    is_busy: bool = False  # an identity check runs
    patron: tuple[str, str] | None = None  # realm and user, once the identity store was asked about them
    has_guessed: bool = False  # a wrong password was counted
    refusal: RefusalReason | None = None  # what the identity check said; the method may end some rounds later


class Conversations(Generic[Session]):
    """All of them, with a bound: one origin may have half of what there is."""

    def __init__(self, limit: int = MAX_CONVERSATIONS) -> None:
        self._limit = limit
        self._by_state: dict[bytes, Conversation[Session]] = {}  # the longest untouched first
        self._fresh: dict[bytes, Conversation[Session]] = {}  # those that nobody has gone on with; likewise
        self._by_origin: dict[tuple[str, bytes], dict[bytes, Conversation[Session]]] = {}  # likewise
        self.displaced = 0

    def __len__(self) -> int:
        return len(self._by_state)

    def open(
        self, session: Session, realm: str, peer: str, now: float, *, visited: bytes = b"", name: bytes = b""
    ) -> Conversation[Session] | None:
        """A new conversation; None when there are too many, all of them lively.

        `visited` is the library that a trusted peer asks for; each such has a share of its own.
        """
        self.expire(now)
        origin = (peer, visited)
        if not self._make_room(origin, now):
            return None
        state = secrets.token_bytes(STATE_OCTETS)
        conversation = Conversation(state, session, realm, peer, origin, name, now, now + LIFETIME_SECONDS)
        self._by_state[state] = self._fresh[state] = conversation
        self._by_origin.setdefault(origin, {})[state] = conversation
        return conversation

    def find(self, state: bytes, peer: str, name: bytes, now: float) -> Conversation[Session] | None:
        """The conversation with that State, if it is open, this client's, and goes on under its name.

        It lives on from now. Another name would be routed, counted and charged as somebody else (RFC 3579 §2.1); none
        is as good as the same.
        """
        conversation = self._by_state.get(state)
        if conversation is None or conversation.peer != peer or conversation.expires_at <= now:
            return None
        if name not in (b"", conversation.name):
            return None
        conversation.expires_at = now + LIFETIME_SECONDS
        conversation.rounds += 1
        self._fresh.pop(state, None)
        for table in (self._by_state, self._by_origin[conversation.origin]):
            table[state] = table.pop(state)
        return conversation

    def close(self, conversation: Conversation[Session]) -> None:
        """It is over; closing it again changes nothing."""
        state = conversation.state
        if self._by_state.pop(state, None) is not None:
            self._fresh.pop(state, None)
            own = self._by_origin[conversation.origin]
            del own[state]
            if not own:
                del self._by_origin[conversation.origin]

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

    def _make_room(self, origin: tuple[str, bytes], now: float) -> bool:
        """Whether there is room for one more of that origin, made if it has to be."""
        held = len(self._by_origin.get(origin, ()))
        if held >= max(1, self._limit // 2):
            return self._displace(self._by_origin[origin], now)
        if len(self._by_state) < self._limit:
            return True
        if 2 * len(self._fresh) > self._limit:  # a flood under as many names as it likes
            return self._displace(self._fresh, now)
        greatest = max(self._by_origin.values(), key=len)
        return self._displace(greatest, now, is_due=len(greatest) > held + 1)

    def _displace(self, table: dict[bytes, Conversation[Session]], now: float, *, is_due: bool = False) -> bool:
        """End the longest untouched conversation of the table, if it is due, fresh or quiet."""
        oldest = next(iter(table.values()))
        is_quiet = now >= oldest.expires_at - LIFETIME_SECONDS + QUIET_SECONDS
        if oldest.is_busy or not (is_due or is_quiet or oldest.state in self._fresh):
            return False
        self.close(oldest)
        self.displaced += 1
        return True
