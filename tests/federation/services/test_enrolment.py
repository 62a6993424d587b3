"""Joining with an invitation, and renewing without anybody's doing."""

from pathlib import Path

import pytest
from sqlalchemy import select

from federation.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from federation.model import Actor
from federation.services.certificates import CertificateState, revoke_certificate, show_certificate
from federation.services.enrolment import Enrolment, enrol, reenrol
from federation.services.invitations import create_invitation, list_invitations, revoke_invitation
from federation.store.tables.registry import AuditRow
from federation.store.tables.trust import CertificateRow, InvitationRow
from federation.trust.profiles import Profile, RequestRefused
from tests.federation.members import BOEKENBURG, LEESSTAD, OPERATOR, READER, START, Members
from tests.federation.trust.certificates import openssl_request, verify_chain

NAMES = "DNS:radius1.boekenburg.test,otherName:1.3.6.1.5.5.7.8.8;UTF8:boekenburg.test"
NOBODY = Actor("anonymous", OPERATOR.role)


@pytest.fixture
def request_pem(tmp_path: Path) -> bytes:
    return openssl_request(tmp_path, NAMES)


def invite(members: Members, actor: Actor = OPERATOR, days: int = 7, profile: Profile | None = None) -> str:
    with members.change(actor) as change:
        return create_invitation(change, actor, "boekenburg", days=days, profile=profile).secret or ""


def join(members: Members, secret: str, request_pem: bytes) -> Enrolment:
    with members.change(NOBODY) as change:
        return enrol(change, secret, request_pem)


def renew(members: Members, token: str | None, request_pem: bytes) -> Enrolment:
    with members.change(NOBODY) as change:
        return reenrol(change, token, request_pem)


class TestInvitation:
    def test_gives_a_certificate_that_the_anchors_verify(
        self, members: Members, request_pem: bytes, tmp_path: Path
    ) -> None:
        """With the secret alone a server gets a chain and the anchors under which peers verify it."""
        joined = join(members, invite(members), request_pem)
        chain = joined.certificate.chain_pem.encode()
        assert verify_chain(tmp_path, joined.anchors_pem.encode(), chain, at=START).returncode == 0
        assert joined.server_name == "login.biebroam.example"

    def test_works_once(self, members: Members, request_pem: bytes) -> None:
        """A second use is refused, whoever comes second."""
        secret = invite(members)
        joined = join(members, secret, request_pem)
        with pytest.raises(Unauthenticated):
            join(members, secret, request_pem)
        with members.registry.read() as session:
            (shown,) = list_invitations(session, BOEKENBURG, "boekenburg")
        assert (shown.used_at, shown.serial) == (START, joined.certificate.serial)

    def test_refused_request_does_not_use_it_up(self, members: Members, request_pem: bytes, tmp_path: Path) -> None:
        """A name that is another's is refused; the administrator mends the request and tries again."""
        secret = invite(members)
        with pytest.raises(RequestRefused):
            join(members, secret, openssl_request(tmp_path, "DNS:radius.leesstad.test"))
        assert join(members, secret, request_pem).certificate.library == "boekenburg"

    def test_expired_and_revoked_open_nothing(self, members: Members, request_pem: bytes) -> None:
        """After its days, or after its revocation, it is refused with the same words as one that never was."""
        expired, revoked = invite(members, days=1), invite(members, days=30)
        with members.registry.read() as session:
            ids = [item.id for item in list_invitations(session, OPERATOR, "boekenburg")]
        with members.change() as change:
            revoke_invitation(change, OPERATOR, "boekenburg", revoked.split("_")[1])
        assert revoked.split("_")[1] in ids
        members.clock.advance(days=1)
        messages: set[str] = set()
        for secret in (expired, revoked, "bbi_000000000000_" + 43 * "a", "", "bbi_", expired[:-1] + "\0"):
            with pytest.raises(Unauthenticated) as caught:
                join(members, secret, request_pem)
            messages.add(str(caught.value))
        assert len(messages) == 1

    def test_right_id_with_a_wrong_secret_is_refused(self, members: Members, request_pem: bytes) -> None:
        """The id alone opens nothing."""
        secret = invite(members)
        with pytest.raises(Unauthenticated):
            join(members, secret[:-1] + ("a" if secret[-1] != "a" else "b"), request_pem)

    def test_secret_is_not_kept(self, members: Members) -> None:
        """The database knows a digest."""
        secret = invite(members)
        with members.registry.read() as session:
            row = session.scalars(select(InvitationRow)).one()
            audited = str([entry.after for entry in session.scalars(select(AuditRow))])
        assert secret.rpartition("_")[2].encode() not in row.secret_sha256
        assert secret.rpartition("_")[2] not in audited

    def test_only_for_ones_own_library(self, members: Members) -> None:
        """A neighbour does not see the library; a reader invites nobody."""
        with pytest.raises(NotFound):
            invite(members, LEESSTAD)
        with pytest.raises(Forbidden):
            invite(members, READER)
        assert invite(members, BOEKENBURG).startswith("bbi_")
        with pytest.raises(NotFound), members.change(LEESSTAD) as change:
            revoke_invitation(change, LEESSTAD, "leesstad", "000000000000")

    @pytest.mark.parametrize("days", [0, -1, 31])
    def test_life_is_bounded(self, members: Members, days: int) -> None:
        """No invitation lies about for ever."""
        with pytest.raises(InvalidInput):
            invite(members, days=days)

    def test_profile_is_the_inviters(self, members: Members, request_pem: bytes) -> None:
        """Who invites says what the certificate is for, and not who comes with it."""
        assert join(members, invite(members, profile=Profile.ACCESS_POINT), request_pem).certificate.profile == (
            Profile.ACCESS_POINT
        )
        with pytest.raises(RequestRefused):
            invite(members, profile=Profile.OPERATOR)


class TestRenewal:
    def test_server_renews_by_itself_with_a_new_key(self, members: Members, request_pem: bytes, tmp_path: Path) -> None:
        """Each renewal gives the token for the next; the certificate before stays valid beside it."""
        first = join(members, invite(members), request_pem)
        members.clock.advance(days=60)
        second = renew(members, first.renewal_token, openssl_request(tmp_path, NAMES))
        assert second.certificate.certificate_pem != first.certificate.certificate_pem
        assert renew(members, second.renewal_token, openssl_request(tmp_path, NAMES)).renewal_token
        with members.registry.read() as session:
            assert show_certificate(session, OPERATOR, first.certificate.serial, members.clock.now).state is (
                CertificateState.SUPERSEDED
            )

    def test_token_is_spent_by_its_renewal(self, members: Members, request_pem: bytes) -> None:
        """A copy of a token that was used is worth nothing, and who holds it learns so."""
        token = join(members, invite(members), request_pem).renewal_token
        renew(members, token, request_pem)
        with pytest.raises(Unauthenticated):
            renew(members, token, request_pem)

    @pytest.mark.parametrize("names", ["DNS:radius1.boekenburg.test", NAMES + ",DNS:radius2.boekenburg.test"])
    def test_other_names_are_refused(self, members: Members, request_pem: bytes, tmp_path: Path, names: str) -> None:
        """Neither fewer nor more names than the certificate has (RFC 7030 §4.2.2); the token is not spent."""
        token = join(members, invite(members), request_pem).renewal_token
        with pytest.raises(RequestRefused, match="same names"):
            renew(members, token, openssl_request(tmp_path, names))
        assert renew(members, token, request_pem).certificate.names == ("radius1.boekenburg.test",)

    def test_same_key_needs_no_token(self, members: Members, request_pem: bytes, tmp_path: Path) -> None:
        """A request that is signed with the certificate's own key proves itself (RFC 7030 §3.3.2)."""
        first = join(members, invite(members), request_pem)
        members.clock.advance(days=60)
        second = renew(members, None, request_pem)
        assert second.certificate.serial != first.certificate.serial
        assert second.certificate.names == first.certificate.names
        with pytest.raises(Unauthenticated):
            renew(members, None, openssl_request(tmp_path, NAMES))

    def test_replayed_request_makes_no_second_certificate(self, members: Members, request_pem: bytes) -> None:
        """Within a day the answer is the certificate that is there, however often it is asked for."""
        first = join(members, invite(members), request_pem)
        again = [renew(members, None, request_pem) for _ in range(3)]
        assert {item.certificate.serial for item in again} == {first.certificate.serial}

    def test_replayed_request_is_no_way_to_another_key(self, members: Members, request_pem: bytes) -> None:
        """Who has only seen a request gets no renewal token, and the owner's own goes on being good."""
        first = join(members, invite(members), request_pem)
        assert renew(members, None, request_pem).renewal_token is None
        assert renew(members, first.renewal_token, request_pem).renewal_token
        members.clock.advance(days=60)
        assert renew(members, None, request_pem).renewal_token is None

    def test_same_key_of_a_revoked_certificate_is_refused(self, members: Members, request_pem: bytes) -> None:
        """A key that is no longer trusted does not come back."""
        joined = join(members, invite(members), request_pem)
        with members.change() as change:
            revoke_certificate(change, OPERATOR, joined.certificate.serial)
        with pytest.raises(Unauthenticated):
            renew(members, None, request_pem)

    def test_revoked_or_run_out_certificate_is_not_renewed(self, members: Members, request_pem: bytes) -> None:
        """Revocation reaches the token too, and so does time."""
        revoked = join(members, invite(members), request_pem)
        with members.change() as change:
            revoke_certificate(change, OPERATOR, revoked.certificate.serial)
        run_out = join(members, invite(members), request_pem)
        members.clock.advance(days=90)
        for token in (revoked.renewal_token, run_out.renewal_token, "", "bbn_0_" + 43 * "a"):
            with pytest.raises(Unauthenticated):
                renew(members, token, request_pem)

    def test_certificate_that_was_issued_otherwise_has_no_token(self, members: Members, request_pem: bytes) -> None:
        """A row without a token is opened by no secret at all."""
        joined = join(members, invite(members), request_pem)
        with members.store.write() as session:
            row = session.get(CertificateRow, joined.certificate.serial)
            assert row is not None
            row.renewal_sha256 = None
        with pytest.raises(Unauthenticated):
            renew(members, joined.renewal_token, request_pem)
