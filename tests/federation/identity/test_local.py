"""The local store: who may sign in, why not, and that every answer costs the same work."""

from datetime import date, timedelta

import pytest
from sqlalchemy import delete, select, text

from federation.identity import local
from federation.identity.local import LocalStore
from federation.identity.passwords import PasswordHashes
from federation.reasons import RefusalReason
from federation.services.patrons import add_patron, block_patron, change_patron, set_password
from federation.store.tables.patrons import PatronRow
from federation.store.tables.registry import RealmRow
from federation.trust.keystore import NodeKey, Sealer
from tests.federation.members import CHEAP_HASHES, OPERATOR, START, Members

REALM = "boekenburg.test"


class CountingHashes(PasswordHashes):
    """Counts what an attacker with a stop-watch would measure."""

    def __init__(self) -> None:
        super().__init__(memory_kib=64, passes=1)
        self.verifications = 0

    def verify(self, encoded: str | None, password: bytes) -> bool:
        self.verifications += 1
        return super().verify(encoded, password)


@pytest.fixture
def store(members: Members) -> LocalStore:
    add(members, "jansen", "geheim")
    return LocalStore(members.store, members.sealer, CHEAP_HASHES, members.clock)


def add(members: Members, user: str, password: str, *, realm: str = REALM, expires_on: date | None = None) -> None:
    with members.change() as change:
        add_patron(
            change,
            OPERATOR,
            "boekenburg",
            name=f"{user}@{realm}",
            password=password,
            expires_on=expires_on,
            hashes=CHEAP_HASHES,
        )


def row_of(members: Members, user: str = "jansen") -> PatronRow:
    with members.registry.read() as session:
        return session.scalars(select(PatronRow).where(PatronRow.user == user)).one()


class TestPassword:
    @pytest.mark.parametrize("user", ["jansen", "JANSEN", "Jansen"])
    def test_right_password_signs_in(self, store: LocalStore, user: str) -> None:
        """The right password signs in, whatever the case of the name."""
        assert store.check_password(REALM, user, b"geheim") is None

    @pytest.mark.parametrize("password", [b"", b"Geheim", b"geheim\x00", b"x" * 129, b"\xff"])
    def test_wrong_password_is_refused(self, store: LocalStore, password: bytes) -> None:
        """Any other octets are refused, empty and over-long ones among them."""
        assert store.check_password(REALM, "jansen", password) is RefusalReason.WRONG_CREDENTIALS

    @pytest.mark.parametrize("user", ["pieters", "", "jansen\x00", "jansen\r\n", "jansen|", "jansen@", "j" * 10_000])
    def test_unknown_patron_is_refused(self, store: LocalStore, user: str) -> None:
        """A name that nobody has, or can have, is unknown."""
        assert store.check_password(REALM, user, b"geheim") is RefusalReason.UNKNOWN_PATRON

    @pytest.mark.parametrize("realm", ["leesstad.test", "oud.test", "nobody.test", "BOEKENBURG.TEST"])
    def test_patron_of_another_realm_is_unknown(self, store: LocalStore, realm: str) -> None:
        """A patron signs in under the realm that the patron is in, as the registry writes it."""
        assert store.check_password(realm, "jansen", b"geheim") is RefusalReason.UNKNOWN_PATRON

    def test_realm_that_moved_takes_nobody_along(self, members: Members, store: LocalStore) -> None:
        """The new owner of a realm does not get the patrons of the old one; the old one gets them back with it."""
        for owner, expected in (("leesstad", RefusalReason.UNKNOWN_PATRON), ("boekenburg", None)):
            with members.store.write() as session:
                session.execute(delete(RealmRow).where(RealmRow.name == REALM))
                session.add(RealmRow(name=REALM, library_id=owner))
            assert store.check_password(REALM, "jansen", b"geheim") is expected

    def test_statement_in_a_name_is_a_name(self, members: Members, store: LocalStore) -> None:
        """A quote in a name ends nothing."""
        add(members, "o'brien; drop table patrons--", "geheim")
        assert store.check_password(REALM, "O'BRIEN; DROP TABLE PATRONS--", b"geheim") is None
        assert store.check_password(REALM, "' or 1=1 --", b"geheim") is RefusalReason.UNKNOWN_PATRON


class TestStatus:
    def test_blocked_patron_is_refused_until_unblocked(self, members: Members, store: LocalStore) -> None:
        """Blocking works from the next sign-in on, and so does its end."""
        for is_blocked, expected in ((True, RefusalReason.PATRON_BLOCKED), (False, None)):
            with members.change() as change:
                block_patron(change, OPERATOR, "boekenburg", f"jansen@{REALM}", is_blocked=is_blocked)
            assert store.check_password(REALM, "jansen", b"geheim") is expected

    def test_patron_signs_in_through_the_last_day(self, members: Members, store: LocalStore) -> None:
        """The expiry date is the last day on which a patron signs in, in UTC."""
        add(members, "pieters", "geheim", expires_on=START.date())
        assert store.check_password(REALM, "pieters", b"geheim") is None
        members.clock.advance(hours=12)
        assert store.check_password(REALM, "pieters", b"geheim") is RefusalReason.PATRON_EXPIRED

    def test_status_is_told_only_to_who_has_the_password(self, members: Members, store: LocalStore) -> None:
        """A stranger does not learn that a patron is blocked or expired."""
        with members.change() as change:
            change_patron(
                change,
                OPERATOR,
                "boekenburg",
                f"jansen@{REALM}",
                is_blocked=True,
                expires_on=START.date() - timedelta(days=1),
            )
        assert store.check_password(REALM, "jansen", b"wrong") is RefusalReason.WRONG_CREDENTIALS
        assert store.check_password(REALM, "jansen", b"geheim") is RefusalReason.PATRON_BLOCKED


class TestWork:
    @pytest.mark.parametrize(
        ("user", "password"),
        [
            ("jansen", b"geheim"),
            ("jansen", b"wrong"),
            ("jansen", b""),
            ("jansen", b"x" * 200),
            ("blocked", b"geheim"),
            ("expired", b"wrong"),
            ("unknown", b"geheim"),
            ("un|known", b""),
        ],
    )
    def test_every_answer_costs_one_verification(self, members: Members, user: str, password: bytes) -> None:
        """Unknown, wrong, blocked, malformed: the time of an answer does not tell which."""
        for name in ("jansen", "blocked", "expired"):
            add(members, name, "geheim", expires_on=START.date() - timedelta(days=1) if name == "expired" else None)
        with members.change() as change:
            block_patron(change, OPERATOR, "boekenburg", f"blocked@{REALM}")
        hashes = CountingHashes()
        LocalStore(members.store, members.sealer, hashes, members.clock).check_password(REALM, user, password)
        assert hashes.verifications == 1

    def test_password_that_was_right_a_moment_ago_costs_none(self, members: Members) -> None:
        """A device that moves between access points signs in each time; a wrong password costs the work each time."""
        add(members, "jansen", "geheim")
        hashes = CountingHashes()
        store = LocalStore(members.store, members.sealer, hashes, members.clock)
        assert [store.check_password(REALM, "jansen", b"geheim") for _ in range(3)] == [None] * 3
        assert hashes.verifications == 1
        for _ in range(3):
            assert store.check_password(REALM, "jansen", b"wrong") is RefusalReason.WRONG_CREDENTIALS
        assert hashes.verifications == 4

    def test_password_that_was_right_a_moment_ago_opens_nothing_else(self, members: Members) -> None:
        """Whether the patron may sign in is asked each time; a new password takes the place of the old one at once."""
        add(members, "jansen", "geheim")
        store = LocalStore(members.store, members.sealer, CountingHashes(), members.clock)
        assert store.check_password(REALM, "jansen", b"geheim") is None
        with members.change() as change:
            block_patron(change, OPERATOR, "boekenburg", f"jansen@{REALM}", is_blocked=True)
        assert store.check_password(REALM, "jansen", b"geheim") is RefusalReason.PATRON_BLOCKED
        with members.change() as change:
            block_patron(change, OPERATOR, "boekenburg", f"jansen@{REALM}", is_blocked=False)
            set_password(change, OPERATOR, "boekenburg", f"jansen@{REALM}", "nieuw", hashes=CHEAP_HASHES)
        assert store.check_password(REALM, "jansen", b"geheim") is RefusalReason.WRONG_CREDENTIALS
        assert store.check_password(REALM, "jansen", b"nieuw") is None

    def test_patron_nobody_has_costs_the_parameters_of_everybody(self) -> None:
        """The hash that an unknown patron is compared with has the parameters in force."""
        hashes = PasswordHashes(memory_kib=96, passes=3)
        assert not hashes.is_outdated(hashes._nobody)  # pyright: ignore[reportPrivateUsage] # what the promise rests on


class TestRefresh:
    def test_hash_of_earlier_parameters_is_replaced_at_sign_in(self, members: Members, store: LocalStore) -> None:
        """When the parameters are raised, each patron's next sign-in brings the hash up to date, once."""
        before = row_of(members).password_hash
        raised = LocalStore(members.store, members.sealer, PasswordHashes(memory_kib=96, passes=1), members.clock)
        assert raised.check_password(REALM, "jansen", b"wrong") is RefusalReason.WRONG_CREDENTIALS
        assert row_of(members).password_hash == before
        assert raised.check_password(REALM, "jansen", b"geheim") is None
        after = row_of(members).password_hash
        assert "m=96" in after
        assert raised.check_password(REALM, "jansen", b"geheim") is None
        assert row_of(members).password_hash == after

    def test_sign_in_does_not_undo_a_password_that_was_set_meanwhile(
        self, members: Members, monkeypatch: pytest.MonkeyPatch, store: LocalStore
    ) -> None:
        """A new password that is set while the old one is being checked stays."""

        class SlowHashes(PasswordHashes):
            def verify(self, encoded: str | None, password: bytes) -> bool:
                is_right = super().verify(encoded, password)
                with members.store.write() as session:
                    row = session.scalars(select(PatronRow)).one()
                    row.password_hash = CHEAP_HASHES.hash(b"nieuw")
                return is_right

        slow = LocalStore(members.store, members.sealer, SlowHashes(memory_kib=96, passes=1), members.clock)
        assert slow.check_password(REALM, "jansen", b"geheim") is None
        assert store.check_password(REALM, "jansen", b"nieuw") is None

    def test_full_database_does_not_keep_a_patron_out(self, members: Members, caplog: pytest.LogCaptureFixture) -> None:
        """When the hash can not be written the patron is on the Wi-Fi all the same, and the log says what failed."""
        add(members, "jansen", "geheim")
        with members.store.write() as session:
            session.execute(text("CREATE TRIGGER full BEFORE UPDATE ON patrons BEGIN SELECT RAISE(ABORT, 'full'); END"))
        raised = LocalStore(members.store, members.sealer, PasswordHashes(memory_kib=96, passes=1), members.clock)
        assert raised.check_password(REALM, "jansen", b"geheim") is None
        assert [record.message for record in caplog.records] == ["patron_hash_not_refreshed"]


class TestNtHash:
    VECTOR = bytes.fromhex("44EBBA8D5312B8D611474411F56989AE")  # RFC 2759 §9.2: "clientPass"

    def test_library_with_mschapv2_keeps_it_sealed(self, members: Members, store: LocalStore) -> None:
        """Where MSCHAPv2 is on, the NT hash comes back, and the database does not show it."""
        members.turn_mschapv2("boekenburg", on=True)
        add(members, "client", "clientPass")
        assert store.find_nt_hash(REALM, "CLIENT") == self.VECTOR
        sealed = row_of(members, "client").sealed_nt_hash
        assert sealed is not None
        assert self.VECTOR not in sealed

    def test_library_without_mschapv2_keeps_none(self, members: Members, store: LocalStore) -> None:
        """Where MSCHAPv2 is off there is nothing to find."""
        assert row_of(members).sealed_nt_hash is None
        assert store.find_nt_hash(REALM, "jansen") is RefusalReason.METHOD_NOT_OFFERED

    def test_hash_is_not_given_out_after_mschapv2_is_off(self, members: Members, store: LocalStore) -> None:
        """Turning MSCHAPv2 off works at once, before the hashes are deleted."""
        members.turn_mschapv2("boekenburg", on=True)
        add(members, "client", "clientPass")
        members.turn_mschapv2("boekenburg", on=False)
        assert store.find_nt_hash(REALM, "client") is RefusalReason.METHOD_NOT_OFFERED

    def test_sign_in_with_a_password_makes_the_missing_one(self, members: Members, store: LocalStore) -> None:
        """After MSCHAPv2 is turned on, a patron's next sign-in by password makes the NT hash."""
        members.turn_mschapv2("boekenburg", on=True)
        assert store.find_nt_hash(REALM, "jansen") is RefusalReason.METHOD_NOT_OFFERED
        assert store.check_password(REALM, "jansen", b"geheim") is None
        assert isinstance(store.find_nt_hash(REALM, "jansen"), bytes)

    def test_blocked_expired_and_unknown_patrons_have_none(self, members: Members, store: LocalStore) -> None:
        """Whoever may not sign in has no hash to sign in with."""
        members.turn_mschapv2("boekenburg", on=True)
        add(members, "expired", "geheim", expires_on=START.date() - timedelta(days=1))
        add(members, "blocked", "geheim")
        with members.change() as change:
            block_patron(change, OPERATOR, "boekenburg", f"blocked@{REALM}")
        assert store.find_nt_hash(REALM, "expired") is RefusalReason.PATRON_EXPIRED
        assert store.find_nt_hash(REALM, "blocked") is RefusalReason.PATRON_BLOCKED
        assert store.find_nt_hash(REALM, "nobody") is RefusalReason.UNKNOWN_PATRON

    def test_hash_that_was_copied_to_another_patron_does_not_open(
        self, members: Members, store: LocalStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Whoever can write to the database can not give one patron's password to another."""
        members.turn_mschapv2("boekenburg", on=True)
        add(members, "client", "clientPass")
        with members.store.write() as session:
            row = session.scalars(select(PatronRow).where(PatronRow.user == "jansen")).one()
            row.sealed_nt_hash = row_of(members, "client").sealed_nt_hash
        assert store.find_nt_hash(REALM, "jansen") is RefusalReason.STORE_UNAVAILABLE
        assert [record.message for record in caplog.records] == ["patron_store_unavailable"]

    def test_other_node_key_opens_none(self, members: Members, store: LocalStore) -> None:
        """A stolen database without the node key has no NT hashes."""
        members.turn_mschapv2("boekenburg", on=True)
        add(members, "client", "clientPass")
        thief = LocalStore(members.store, Sealer([NodeKey.generate()]), CHEAP_HASHES, members.clock)
        assert thief.find_nt_hash(REALM, "client") is RefusalReason.STORE_UNAVAILABLE


class TestBegin:
    """What is asked on an event loop: the answer, or the rest of the work."""

    def test_only_a_password_that_was_right_a_moment_ago_is_answered_at_once(
        self, members: Members, store: LocalStore
    ) -> None:
        """Everything else costs the hash, which is for a thread; its call says what `check_password` says."""
        for user, password in (("jansen", b"geheim"), ("jansen", b"wrong"), ("nobody", b"geheim"), ("jan\x00", b"x")):
            rest = store.begin_password_check(REALM, user, password)
            assert callable(rest)
            assert rest() == store.check_password(REALM, user, password)
        assert store.begin_password_check(REALM, "JANSEN", b"geheim") is None
        assert callable(store.begin_password_check(REALM, "jansen", b"wrong"))

    def test_answer_at_once_is_no_older_than_the_database(self, members: Members, store: LocalStore) -> None:
        """A patron who was blocked is, and a new password takes the place of the old one."""
        assert store.check_password(REALM, "jansen", b"geheim") is None
        with members.change() as change:
            block_patron(change, OPERATOR, "boekenburg", f"jansen@{REALM}")
        assert store.begin_password_check(REALM, "jansen", b"geheim") is RefusalReason.PATRON_BLOCKED
        with members.change() as change:
            block_patron(change, OPERATOR, "boekenburg", f"jansen@{REALM}", is_blocked=False)
            set_password(change, OPERATOR, "boekenburg", f"jansen@{REALM}", "nieuw", hashes=CHEAP_HASHES)
        assert callable(store.begin_password_check(REALM, "jansen", b"geheim"))

    def test_missing_nt_hash_is_made_in_the_thread(self, members: Members, store: LocalStore) -> None:
        """After MSCHAPv2 is turned on, a password of a moment ago is not answered until the hash is there."""
        assert store.check_password(REALM, "jansen", b"geheim") is None
        members.turn_mschapv2("boekenburg", on=True)
        rest = store.begin_password_check(REALM, "jansen", b"geheim")
        assert callable(rest)
        assert rest() is None
        assert store.begin_password_check(REALM, "jansen", b"geheim") is None
        assert isinstance(store.begin_nt_hash_search(REALM, "jansen"), bytes)

    @pytest.mark.parametrize(
        "user", ["client", "CLIENT", "jansen", "expired", "blocked", "nobody", "jan|sen", "copied"]
    )
    def test_nt_hash_is_found_at_once(self, members: Members, store: LocalStore, user: str) -> None:
        """The same as in a thread, whoever is asked for."""
        members.turn_mschapv2("boekenburg", on=True)
        for name in ("client", "expired", "blocked", "copied"):
            last = START.date() - timedelta(days=1) if name == "expired" else None
            add(members, name, "clientPass", expires_on=last)
        with members.change() as change:
            block_patron(change, OPERATOR, "boekenburg", f"blocked@{REALM}")
        with members.store.write() as session:
            row = session.scalars(select(PatronRow).where(PatronRow.user == "copied")).one()
            row.sealed_nt_hash = row_of(members, "client").sealed_nt_hash
        assert store.begin_nt_hash_search(REALM, user) == store.find_nt_hash(REALM, user)

    def test_database_that_would_have_to_be_waited_for_is_for_the_thread(
        self, members: Members, store: LocalStore
    ) -> None:
        """Its call says what is wrong."""
        with members.store.write() as session:
            session.execute(text("DROP TABLE patrons"))
        for rest in (
            store.begin_password_check(REALM, "jansen", b"geheim"),
            store.begin_nt_hash_search(REALM, "jansen"),
        ):
            assert callable(rest)
            assert rest() is RefusalReason.STORE_UNAVAILABLE


class TestUnavailable:
    def test_broken_database_is_told_apart_from_a_wrong_password(
        self, members: Members, store: LocalStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        """When the database does not answer the refusal says so, and the log has no name in it."""
        with members.store.write() as session:
            session.execute(text("DROP TABLE patrons"))
        assert store.check_password(REALM, "jansen-the-secret", b"geheim") is RefusalReason.STORE_UNAVAILABLE
        assert store.find_nt_hash(REALM, "jansen-the-secret") is RefusalReason.STORE_UNAVAILABLE
        assert "jansen-the-secret" not in caplog.text
        assert caplog.records[0].name == local.__name__
