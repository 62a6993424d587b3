"""The shared secret of an access point or a home server, which both keep in one way."""

from datetime import datetime

import pytest

from federation.errors import InvalidInput
from federation.services.shared_secrets import keep_secret
from federation.store.tables.registry import AccessPointRow, HomeServerRow
from tests.federation.members import START, Members

SECRET = "a-secret-of-enough-octets"
Row = AccessPointRow | HomeServerRow


@pytest.fixture(params=[AccessPointRow, HomeServerRow])
def row(request: pytest.FixtureRequest) -> Row:
    kind: type[Row] = request.param
    return kind(library_id="leesstad", name="one")


def keep(
    members: Members, row: Row, secret: str | None, *, over_tls: bool = False, generate: bool = True
) -> str | None:
    with members.change() as change:
        return keep_secret(change, row, secret, over_tls=over_tls, generate=generate)


def kept(members: Members, row: Row) -> tuple[bytes, datetime | None]:
    assert row.sealed_secret is not None
    return members.sealer.open(row.sealed_secret, row.secret_context), row.secret_changed_at


class TestKeep:
    def test_given_one_is_sealed_and_not_shown(self, members: Members, row: Row) -> None:
        """Whoever gave it knows it; the database has only the seal."""
        assert keep(members, row, SECRET) is None
        assert kept(members, row) == (SECRET.encode(), START)
        assert SECRET.encode() not in (row.sealed_secret or b"")

    def test_without_one_it_is_generated_and_shown(self, members: Members, row: Row) -> None:
        """This once: afterwards only the row has it."""
        shown = keep(members, row, None, generate=False)
        assert shown is not None
        assert kept(members, row)[0] == shown.encode()
        assert keep(members, row, None, generate=False) is None

    def test_another_is_generated_where_asked(self, members: Members, row: Row) -> None:
        """`generate` takes the place of the one that is there."""
        assert keep(members, row, None) != keep(members, row, None)

    def test_same_again_is_no_change(self, members: Members, row: Row) -> None:
        """Neither the seal nor the time of the last change moves."""
        keep(members, row, SECRET)
        before = row.sealed_secret
        members.clock.advance(days=1)
        keep(members, row, SECRET)
        assert (row.sealed_secret, row.secret_changed_at) == (before, START)

    def test_over_tls_there_is_none(self, members: Members, row: Row) -> None:
        """One that was there is gone; one that is given is refused (RFC 6614 §2.3)."""
        keep(members, row, SECRET)
        with pytest.raises(InvalidInput, match="radsec") as caught:
            keep(members, row, SECRET, over_tls=True)
        assert caught.value.field == "/secret"
        assert keep(members, row, None, over_tls=True) is None
        assert (row.sealed_secret, row.secret_changed_at) == (None, None)

    @pytest.mark.parametrize("secret", ["short", "x" * 129, "with a\nline break in it"])
    def test_what_can_be_none_is_refused(self, members: Members, row: Row, secret: str) -> None:
        """The row stays as it was."""
        with pytest.raises(InvalidInput):
            keep(members, row, secret)
        assert row.sealed_secret is None
