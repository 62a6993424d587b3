"""Who a patron is, asked of the identity store that the realm has: bounded, and not for guessing at."""

from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic
from typing import Final

from federation.reasons import RefusalReason
from federation.snapshot import HostedRealm
from radius.eap.machine import EapSession
from radius.eap.outcomes import Challenge, EapReason, NtHashLookup, Outcome, PasswordCheck, Reject
from radius.home.checks import Checks
from radius.home.conversations import Conversation
from radius.home.guesses import Guesses
from radius.home.names import find_patron
from radius.home.ports import PatronStore

_GUESSES: Final = frozenset((None, RefusalReason.WRONG_CREDENTIALS, RefusalReason.UNKNOWN_PATRON))  # of the store


class Patrons:
    """The identity stores by kind, and the rules for asking them."""

    def __init__(self, stores: Mapping[str, PatronStore], checks: Checks, guesses: Guesses) -> None:
        """`stores` by kind ("local"); `checks` are closed with this."""
        self._stores = stores
        self._checks = checks
        self._guesses = guesses

    def counters(self) -> dict[str, object]:
        """What was counted since the start."""
        return {
            "checks_waiting": self._checks.waiting,
            "check_timeouts": self._checks.timeouts,
            "checks_refused": self._checks.refused,
        }

    async def ask(
        self,
        realms: Mapping[str, HostedRealm],
        conversation: Conversation[EapSession],
        wanted: PasswordCheck | NtHashLookup,
        device: bytes,
    ) -> Callable[[], Outcome]:
        """What the conversation has to do next, now that the store has said what it knows."""
        session = conversation.session
        found = find_patron(realms, conversation.realm, wanted.user)
        store = self._stores.get(found[0].store_kind) if found else None
        refusal: RefusalReason | None = None
        answer: bytes | RefusalReason | None = None
        if found is None:
            refusal = RefusalReason.INNER_REALM
        elif store is None:
            refusal = RefusalReason.STORE_UNAVAILABLE  # its kind of store is not here
        else:
            conversation.patron = realm, user = found[0].name, found[1]
            shares = (realm, conversation.origin)
            if not self._guesses.may_try(realm, user, device, monotonic()):
                refusal = RefusalReason.TOO_MANY_ATTEMPTS
            elif isinstance(wanted, PasswordCheck):
                check = partial(store.check_password, realm, user, wanted.password)
                refusal = await self._checks.run(check, shares)
            else:
                answer = await self._checks.run(partial(store.find_nt_hash, realm, user), shares)
                refusal = answer if isinstance(answer, RefusalReason) else None
        conversation.refusal = refusal
        if isinstance(wanted, PasswordCheck):
            return partial(session.answer_password, refusal is None)
        return partial(session.answer_nt_hash, None if isinstance(answer, RefusalReason) else answer)

    def hear(self, conversation: Conversation[EapSession], outcome: Outcome, device: bytes) -> None:
        """Count a password that was looked at and was wrong; a conversation has one guess, however it goes on."""
        is_wrong = (isinstance(outcome, Challenge) and outcome.is_refusal) or (
            isinstance(outcome, Reject) and outcome.reason is EapReason.WRONG_CREDENTIALS
        )
        patron = conversation.patron
        if is_wrong and patron and not conversation.has_guessed and conversation.refusal in _GUESSES:
            conversation.has_guessed = True
            self._guesses.count(*patron, device, monotonic())

    def remember(self, realm: str, user: str, device: bytes) -> None:
        """The patron has signed in with this device."""
        self._guesses.forget(realm, user, device)

    def close(self) -> None:
        """Begin no more checks."""
        self._checks.close()
