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

    def ask(
        self,
        realms: Mapping[str, HostedRealm],
        conversation: Conversation[EapSession],
        wanted: PasswordCheck | NtHashLookup,
        device: bytes,
        then: Callable[[Callable[[], Outcome]], object],
    ) -> None:
        """Give `then`, once, what the conversation has to do next, when the store has said what it knows."""
        session = conversation.session

        def verify(refusal: RefusalReason | None) -> None:
            conversation.refusal = refusal
            then(partial(session.answer_password, refusal is None))

        def compare(answer: bytes | RefusalReason | None) -> None:
            conversation.refusal = answer if isinstance(answer, RefusalReason) else None
            then(partial(session.answer_nt_hash, None if isinstance(answer, RefusalReason) else answer))

        tell = verify if isinstance(wanted, PasswordCheck) else compare
        found = find_patron(realms, conversation.realm, wanted.user)
        if found is None:
            tell(RefusalReason.INNER_REALM)
            return
        store = self._stores.get(found[0].store_kind)
        if store is None:
            tell(RefusalReason.STORE_UNAVAILABLE)  # its kind of store is not here
            return
        conversation.patron = realm, user = found[0].name, found[1]
        if not self._guesses.may_try(realm, user, device, monotonic()):
            tell(RefusalReason.TOO_MANY_ATTEMPTS)
            return
        shares = (realm, conversation.origin)
        if isinstance(wanted, PasswordCheck):
            verdict = store.begin_password_check(realm, user, wanted.password)
            if callable(verdict):
                self._checks.ask(verdict, shares, verify)
            else:
                verify(verdict)
        else:
            answer = store.begin_nt_hash_search(realm, user)
            if callable(answer):
                self._checks.ask(answer, shares, compare)
            else:
                compare(answer)

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
