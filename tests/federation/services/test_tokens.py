"""Tokens: who may make which, what they open, and when they stop."""

from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from federation.errors import Forbidden, InvalidInput, NotFound
from federation.model import Actor, Role
from federation.services.libraries import remove_library
from federation.services.tokens import authenticate, create_token, list_tokens, revoke_token, show_token
from federation.store.tables.registry import AuditRow
from federation.store.tables.tokens import TokenRow
from tests.federation.members import BOEKENBURG, OPERATOR, READER, START, Members


def make(members: Members, actor: Actor = OPERATOR, role: Role = Role.OPERATOR, **values: object) -> tuple[str, str]:
    with members.change(actor) as change:
        created = create_token(change, actor, name="a token", role=role, **values)  # type: ignore[arg-type] # the tests' keywords
    assert created.secret is not None
    return created.item.id, created.secret


class TestAuthenticate:
    def test_token_tells_who_holds_it(self, members: Members) -> None:
        """The actor has the token's name, role and library, and where the request came from."""
        token_id, secret = make(members, role=Role.LIBRARY, library="boekenburg")
        actor = authenticate(members.registry, secret, source_address="192.0.2.1", request_id="r1")
        assert actor == Actor("a token", Role.LIBRARY, "boekenburg", "192.0.2.1", "r1", token_id)

    def test_token_has_its_published_form(self, members: Members) -> None:
        """A token is `bbr_<id>_<secret>`, so that scanners of leaked secrets can know it."""
        token_id, secret = make(members)
        prefix, written_id, random = secret.split("_")
        assert (prefix, written_id, len(random)) == ("bbr", token_id, 43)

    def test_any_changed_character_is_refused(self, members: Members) -> None:
        """A token with one character changed, left out or added opens nothing."""
        _, secret = make(members)
        for offset in range(len(secret)):
            other = "x" if secret[offset] != "x" else "y"
            assert authenticate(members.registry, secret[:offset] + other + secret[offset + 1 :]) is None
            assert authenticate(members.registry, secret[:offset]) is None
        assert authenticate(members.registry, secret + "x") is None

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.text(max_size=80))
    def test_no_text_does_more_than_be_refused(self, members: Members, text: str) -> None:
        """Any text, lone surrogates among it, is simply no token."""
        assert authenticate(members.registry, text) is None
        assert authenticate(members.registry, f"bbr_{text}") is None

    def test_secret_of_another_token_is_refused(self, members: Members) -> None:
        """The id of one token does not go with the secret of another."""
        _, first = make(members)
        _, second = make(members)
        mixed = "_".join([*first.split("_")[:2], second.split("_")[2]])
        assert authenticate(members.registry, mixed) is None

    def test_revoked_token_is_refused(self, members: Members) -> None:
        """A revoked token opens nothing from the next request on."""
        token_id, secret = make(members)
        with members.change() as change:
            revoke_token(change, OPERATOR, token_id)
        assert authenticate(members.registry, secret) is None

    def test_token_is_refused_from_its_expiry_on(self, members: Members) -> None:
        """At the moment of expiry the token is no longer valid."""
        _, secret = make(members, expires_at=START + timedelta(days=1))
        members.clock.advance(hours=23, minutes=59)
        assert authenticate(members.registry, secret) is not None
        members.clock.advance(minutes=1)
        assert authenticate(members.registry, secret) is None

    def test_secret_is_not_in_the_database(self, members: Members) -> None:
        """Whoever reads the database can not use a token."""
        _, secret = make(members)
        with members.registry.read() as session:
            row = session.scalars(select(TokenRow)).one()
            written = repr([getattr(row, column.key) for column in TokenRow.__table__.columns])
            audit = repr([(entry.subject, entry.after) for entry in session.scalars(select(AuditRow))])
        assert secret.split("_")[2] not in written + audit
        assert len(row.secret_sha256) == 32

    def test_last_use_is_noted_at_most_every_five_minutes(self, members: Members) -> None:
        """The list says when a token was last used, without a write for every request and without a revision."""
        token_id, secret = make(members)
        announced = list(members.announced)
        seen: list[datetime | None] = []
        for minutes in (1, 3, 3):
            members.clock.advance(minutes=minutes)
            assert authenticate(members.registry, secret)
            with members.registry.read() as session:
                seen.append(show_token(session, OPERATOR, token_id).last_used_at)
        assert seen == [START + timedelta(minutes=minutes) for minutes in (1, 1, 7)]
        assert announced == members.announced

    def test_refused_token_leaves_no_trace(self, members: Members) -> None:
        """Guessing an id does not say that the token was used."""
        token_id, secret = make(members)
        assert authenticate(members.registry, secret[:-1] + ("a" if secret[-1] != "a" else "b")) is None
        with members.registry.read() as session:
            assert show_token(session, OPERATOR, token_id).last_used_at is None


class TestCreate:
    @pytest.mark.parametrize("role", [Role.LIBRARY, Role.READER])
    def test_library_makes_tokens_for_itself(self, members: Members, role: Role) -> None:
        """A library gives its own people and programs tokens."""
        _, secret = make(members, BOEKENBURG, role, library="boekenburg")
        actor = authenticate(members.registry, secret)
        assert actor is not None
        assert (actor.role, actor.library) == (role, "boekenburg")

    @pytest.mark.parametrize(
        ("role", "library"),
        [
            (Role.OPERATOR, None),
            (Role.READER, None),
            (Role.LIBRARY, "leesstad"),
            (Role.READER, "leesstad"),
        ],
    )
    def test_library_makes_no_token_beyond_itself(self, members: Members, role: Role, library: str | None) -> None:
        """A library's token can not become more than it is."""
        with pytest.raises(Forbidden):
            make(members, BOEKENBURG, role, library=library)

    def test_reader_makes_no_token(self, members: Members) -> None:
        """A reader changes nothing."""
        with pytest.raises(Forbidden):
            make(members, READER, Role.READER)

    def test_token_does_not_outlive_the_one_that_made_it(self, members: Members) -> None:
        """Whoever finds a token that ends soon does not make one that does not."""
        end = START + timedelta(days=1)
        _, secret = make(members, role=Role.LIBRARY, library="boekenburg", expires_at=end)
        holder = authenticate(members.registry, secret)
        assert holder is not None
        ids = [
            make(members, holder, Role.LIBRARY, library="boekenburg", expires_at=expires_at)[0]
            for expires_at in (None, START + timedelta(days=9), START + timedelta(hours=1))
        ]
        with members.registry.read() as session:
            ends = [show_token(session, OPERATOR, token_id).expires_at for token_id in ids]
        assert ends == [end, end, START + timedelta(hours=1)]

    @pytest.mark.parametrize(
        ("values", "field"),
        [
            ({"name": ""}, "name"),
            ({"name": "  "}, "name"),
            ({"name": "a\nb"}, "name"),
            ({"name": "x" * 101}, "name"),
            ({"library": "boekenburg"}, "library"),
            ({"role": Role.LIBRARY}, "library"),
            ({"expires_at": START}, "expires_at"),
            ({"expires_at": START - timedelta(days=1)}, "expires_at"),
        ],
    )
    def test_value_that_does_not_fit_is_refused(self, members: Members, values: dict[str, object], field: str) -> None:
        """The field that is wrong is named, and nothing is made."""
        given_values = {"name": "a token", "role": Role.OPERATOR} | values
        with pytest.raises(InvalidInput) as caught, members.change() as change:
            create_token(change, OPERATOR, **given_values)  # type: ignore[arg-type] # the tests' keywords
        assert caught.value.field == field
        with members.registry.read() as session:
            assert not list_tokens(session, OPERATOR).items

    def test_unknown_library_is_refused(self, members: Members) -> None:
        """A token is for a library that there is."""
        with pytest.raises(NotFound):
            make(members, role=Role.LIBRARY, library="elders")


class TestTenants:
    def test_library_sees_its_own_tokens(self, members: Members) -> None:
        """A library lists its own tokens; the operator lists all, or those of one library."""
        own, _ = make(members, role=Role.LIBRARY, library="boekenburg")
        other, _ = make(members, role=Role.LIBRARY, library="leesstad")
        all_of_them = {own, other, make(members)[0]}
        with members.registry.read() as session:
            assert [token.id for token in list_tokens(session, BOEKENBURG).items] == [own]
            assert {token.id for token in list_tokens(session, OPERATOR).items} == all_of_them
            assert [token.id for token in list_tokens(session, OPERATOR, library="leesstad").items] == [other]
            assert not list_tokens(session, BOEKENBURG, library="leesstad").items

    def test_token_of_another_is_not_found(self, members: Members) -> None:
        """What is another's looks as if it were not there."""
        other, secret = make(members, role=Role.LIBRARY, library="leesstad")
        with members.registry.read() as session, pytest.raises(NotFound):
            show_token(session, BOEKENBURG, other)
        with pytest.raises(NotFound), members.change(BOEKENBURG) as change:
            revoke_token(change, BOEKENBURG, other)
        assert authenticate(members.registry, secret) is not None

    def test_pages_hold_every_token_once(self, members: Members) -> None:
        """The cursor of a page leads to the rest."""
        made = sorted(make(members)[0] for _ in range(5))
        listed: list[str] = []
        cursor = None
        for _ in range(3):
            with members.registry.read() as session:
                page = list_tokens(session, OPERATOR, limit=2, cursor=cursor)
            listed += [token.id for token in page.items]
            cursor = page.next_cursor
        assert listed == made
        assert cursor is None


class TestRevoke:
    def test_reader_gives_up_its_own_token_and_no_other(self, members: Members) -> None:
        """Whoever holds a token may make it worthless."""
        token_id, secret = make(members, role=Role.READER)
        other, _ = make(members)
        holder = authenticate(members.registry, secret)
        assert holder is not None
        with pytest.raises(Forbidden), members.change(holder) as change:
            revoke_token(change, holder, other)
        with members.change(holder) as change:
            assert revoke_token(change, holder, token_id).revoked_at == START
        assert authenticate(members.registry, secret) is None

    def test_second_revocation_changes_nothing(self, members: Members) -> None:
        """The moment of revocation stays that of the first time, and the trail has it once."""
        token_id, _ = make(members)
        for _ in range(2):
            with members.change() as change:
                revoke_token(change, OPERATOR, token_id)
            members.clock.advance(hours=1)
        with members.registry.read() as session:
            assert show_token(session, OPERATOR, token_id).revoked_at == START
            actions = list(session.scalars(select(AuditRow.action)))
        assert actions.count("token.revoke") == 1
        assert actions.count("token.create") == 1

    def test_tokens_go_with_their_library(self, members: Members) -> None:
        """The tokens of a library that leaves open nothing."""
        _, secret = make(members, role=Role.LIBRARY, library="leesstad")
        with members.change() as change:
            remove_library(change, OPERATOR, "leesstad")
        assert authenticate(members.registry, secret) is None
