import asyncio
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import pytest

from federation.reasons import RefusalReason
from federation.snapshot import HostedRealm
from radius.eap.machine import EapSession
from radius.eap.outcomes import Challenge, EapReason, NtHashLookup, Outcome, PasswordCheck, Reject
from radius.home.checks import Checks
from radius.home.conversations import Conversation, Conversations
from radius.home.guesses import DEVICE_TRIES, Guesses
from radius.home.patrons import Patrons

REALMS: Mapping[str, HostedRealm] = {
    "west.example": HostedRealm("west.example", "west", "local"),
    "far.example": HostedRealm("far.example", "far", "elsewhere"),
}
DEVICE = b"02-00-5E-10-00-01"
WRONG = Reject(b"", EapReason.WRONG_CREDENTIALS)


class Session:
    """What a conversation is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def answer_password(self, accepted: bool) -> Outcome:  # noqa: FBT001 - as the real one
        self.told.append(accepted)
        return WRONG

    def answer_nt_hash(self, nt_hash: bytes | None) -> Outcome:
        self.told.append(nt_hash)
        return WRONG


class Store:
    """One patron, asked at once or in a thread."""

    def __init__(self, *, waits: bool) -> None:
        self.asked = 0
        self.threads: set[str] = set()
        self.waits = waits

    def begin_password_check(
        self, realm: str, user: str, password: bytes
    ) -> RefusalReason | Callable[[], RefusalReason | None] | None:
        check = partial(self.check_password, realm, user, password)
        return check if self.waits else check()

    def begin_nt_hash_search(
        self, realm: str, user: str
    ) -> bytes | RefusalReason | Callable[[], bytes | RefusalReason]:
        search = partial(self.find_nt_hash, realm, user)
        return search if self.waits else search()

    def check_password(self, realm: str, user: str, password: bytes) -> RefusalReason | None:
        del realm
        self.asked += 1
        self.threads.add(threading.current_thread().name)
        if user != "anna":
            return RefusalReason.UNKNOWN_PATRON
        return None if password == b"right" else RefusalReason.WRONG_CREDENTIALS

    def find_nt_hash(self, realm: str, user: str) -> bytes | RefusalReason:
        del realm
        self.asked += 1
        self.threads.add(threading.current_thread().name)
        return bytes(16) if user == "anna" else RefusalReason.UNKNOWN_PATRON


class Desk:
    """The patrons of a library, and conversations about them."""

    def __init__(self, *, waits: bool) -> None:
        self.store = Store(waits=waits)
        self.patrons = Patrons({"local": self.store}, Checks(), Guesses(b"k" * 32))
        self._open: Conversations[Any] = Conversations()  # Any: a session of our own

    def ask(
        self, wanted: PasswordCheck | NtHashLookup, realm: str = "west.example"
    ) -> tuple[Conversation[EapSession], object]:
        """Ask about one in a new conversation, and let it go on; what the session was told."""
        session = Session()
        conversation = self._open.open(session, realm, "peer", 0.0)
        assert conversation is not None
        conversation = cast("Conversation[EapSession]", conversation)  # it is asked for two methods only

        async def ask() -> Callable[[], Outcome]:
            step: asyncio.Future[Callable[[], Outcome]] = asyncio.get_running_loop().create_future()
            self.patrons.ask(REALMS, conversation, wanted, DEVICE, step.set_result)
            return await step

        outcome = asyncio.run(ask())()
        self.patrons.hear(conversation, outcome, DEVICE)
        (told,) = session.told
        return conversation, told


@pytest.fixture(params=["at once", "in a thread"])
def desk(request: pytest.FixtureRequest) -> Desk:
    """A library of one patron, whose store knows the answer or has to wait for it."""
    return Desk(waits=request.param == "in a thread")


class TestAsk:
    @pytest.mark.parametrize(
        ("wanted", "realm", "told", "refusal"),
        [
            (PasswordCheck("anna", b"right"), "west.example", True, None),
            (PasswordCheck("anna", b"wrong"), "west.example", False, RefusalReason.WRONG_CREDENTIALS),
            (PasswordCheck("anna@far.example", b"right"), "west.example", False, RefusalReason.INNER_REALM),
            (PasswordCheck("anna", b"right"), "far.example", False, RefusalReason.STORE_UNAVAILABLE),
            (PasswordCheck("anna", b"right"), "gone.example", False, RefusalReason.INNER_REALM),
            (NtHashLookup("anna"), "west.example", bytes(16), None),
            (NtHashLookup("nobody"), "west.example", None, RefusalReason.UNKNOWN_PATRON),
        ],
    )
    def test_session_hears_what_the_store_says(
        self, desk: Desk, wanted: PasswordCheck | NtHashLookup, realm: str, told: object, refusal: RefusalReason | None
    ) -> None:
        """And the conversation keeps why it was a no."""
        conversation, heard = desk.ask(wanted, realm)
        assert (heard, conversation.refusal) == (told, refusal)

    @pytest.mark.parametrize("wanted", [PasswordCheck("anna", b"right"), NtHashLookup("anna")])
    def test_only_what_waits_has_a_thread(self, desk: Desk, wanted: PasswordCheck | NtHashLookup) -> None:
        """The loop may not wait, and need not go to a thread for what takes no time."""
        desk.ask(wanted)
        (name,) = desk.store.threads
        assert name.startswith("identity-check") == desk.store.waits


class TestGuesses:
    @pytest.mark.parametrize(
        "wanted", [PasswordCheck("nobody", b"x"), PasswordCheck("anna", b"x"), NtHashLookup("anna")]
    )
    def test_store_is_not_asked_without_end(self, desk: Desk, wanted: PasswordCheck | NtHashLookup) -> None:
        """After some wrong ones it is left in peace, be there such a patron or not."""
        conversations = [desk.ask(wanted)[0] for _ in range(10)]
        assert desk.store.asked == DEVICE_TRIES
        assert conversations[-1].refusal is RefusalReason.TOO_MANY_ATTEMPTS

    def test_store_that_is_away_costs_nobody_a_try(self, desk: Desk) -> None:
        """A refusal that says nothing about the password is no guess."""
        for _ in range(10):
            desk.ask(PasswordCheck("anna", b"right"), "far.example")
        assert desk.ask(PasswordCheck("anna", b"right"))[1] is True

    def test_conversation_has_one_guess(self, desk: Desk) -> None:
        """PEAP says no twice: inside the tunnel, and at the end."""
        conversation, _ = desk.ask(PasswordCheck("anna", b"wrong"))
        for _ in range(10):
            desk.patrons.hear(conversation, Challenge(b"", is_refusal=True), DEVICE)
            desk.patrons.hear(conversation, WRONG, DEVICE)
        assert desk.ask(PasswordCheck("anna", b"right"))[1] is True
