"""Peers' certificates: issued for what a library owns, seen by whom they concern, revoked for good."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from sqlalchemy import select
from sqlalchemy.orm import Session

from federation.errors import Conflict, Forbidden, NotFound
from federation.model import Actor, MemberRole
from federation.services.authorities import load_anchors, load_crl_der, load_crl_pem, load_eap_credentials
from federation.services.certificates import (
    Certificate,
    CertificateState,
    RevocationReason,
    issue_certificate,
    list_certificates,
    renew_certificate,
    revoke_certificate,
    revoke_unowned,
    show_certificate,
)
from federation.services.libraries import change_library, remove_library
from federation.services.realms import add_realm, remove_realm
from federation.store.tables.registry import AuditRow
from federation.store.tables.trust import CertificateRow
from federation.trust.profiles import POLICY_VISITED, Profile, Purpose, RequestRefused
from tests.federation.members import BOEKENBURG, LEESSTAD, OPERATOR, READER, START, Members
from tests.federation.trust.certificates import openssl_request, pem_of_key, verify_chain

NAMES = "DNS:radius1.boekenburg.test,otherName:1.3.6.1.5.5.7.8.8;UTF8:boekenburg.test"


@pytest.fixture
def request_pem(tmp_path: Path) -> bytes:
    return openssl_request(tmp_path, NAMES)


def issue(members: Members, request_pem: bytes, actor: Actor = BOEKENBURG, library: str = "boekenburg") -> Certificate:
    with members.change(actor) as change:
        return issue_certificate(change, actor, library, request_pem)


def revoke(members: Members, serial: str, actor: Actor = BOEKENBURG) -> Certificate:
    with members.change(actor) as change:
        return revoke_certificate(change, actor, serial, RevocationReason.KEY_COMPROMISE)


def revoked_serials(members: Members, purpose: Purpose = Purpose.PEERS) -> set[str]:
    with members.registry.read() as session:
        found = x509.load_der_x509_crl(load_crl_der(session, purpose))
    return {f"{entry.serial_number:x}" for entry in found}


def own_serial(session: Session, profile: Profile) -> str:
    return next(item.serial for item in list_certificates(session, OPERATOR, START).items if item.profile is profile)


def states(members: Members) -> dict[str, CertificateState]:
    with members.registry.read() as session:
        page = list_certificates(session, OPERATOR, members.clock.now)
    return {item.serial: item.state for item in page.items if item.profile is Profile.PEER}


class TestIssue:
    @pytest.mark.parametrize("actor", [BOEKENBURG, OPERATOR], ids=["library", "operator"])
    def test_peer_is_accepted_under_the_published_anchor(
        self, members: Members, request_pem: bytes, tmp_path: Path, actor: Actor
    ) -> None:
        """The chain that comes back verifies under `/v1/trust/peers.pem` and under nothing else, by openssl."""
        issued = issue(members, request_pem, actor)
        with members.registry.read() as session:
            peers, eap = (load_anchors(session, purpose).encode() for purpose in (Purpose.PEERS, Purpose.EAP))
        name = ("-verify_hostname", "radius1.boekenburg.test")
        assert verify_chain(tmp_path, peers, issued.chain_pem.encode(), *name, at=START).returncode == 0
        assert verify_chain(tmp_path, eap, issued.chain_pem.encode(), *name, at=START).returncode != 0

    def test_registry_tells_of_the_certificate(self, members: Members, request_pem: bytes) -> None:
        """What was issued is shown with its names, its library and its state."""
        issued = issue(members, request_pem)
        with members.registry.read() as session:
            shown = show_certificate(session, BOEKENBURG, issued.serial.upper(), START)
        assert shown == issued
        assert (shown.library, shown.names, shown.nai_realms, shown.state) == (
            "boekenburg",
            ("radius1.boekenburg.test",),
            ("boekenburg.test",),
            CertificateState.ACTIVE,
        )
        assert f"{x509.load_pem_x509_certificate(shown.certificate_pem.encode()).serial_number:x}" == shown.serial

    @pytest.mark.parametrize("names", ["DNS:radius1.leesstad.test", "DNS:radius1.boekenburg.test,DNS:example.org"])
    @pytest.mark.parametrize("actor", [BOEKENBURG, OPERATOR], ids=["library", "operator"])
    def test_name_of_another_is_refused(self, members: Members, tmp_path: Path, names: str, actor: Actor) -> None:
        """Not even the operator gives a library a name that it does not own, and nothing is kept."""
        with pytest.raises(RequestRefused) as caught:
            issue(members, openssl_request(tmp_path, names), actor)
        assert caught.value.field == "csr"
        assert states(members) == {}

    def test_library_of_another_is_not_found(self, members: Members, request_pem: bytes) -> None:
        """A library asks for its own peers only."""
        with pytest.raises(NotFound):
            issue(members, request_pem, LEESSTAD)

    def test_federations_own_name_is_refused(self, members: Members, tmp_path: Path) -> None:
        """A library whose realm stands above the proxy's name can not pass for the proxy."""
        with members.change() as change:
            add_realm(change, OPERATOR, "boekenburg", name="biebroam.example")
        with pytest.raises(RequestRefused, match="federation's own"):
            issue(members, openssl_request(tmp_path, "DNS:login.biebroam.example"))

    def test_narrower_profile_can_be_asked_for(self, members: Members, request_pem: bytes) -> None:
        """A certificate for an access point alone is kept and renewed as that."""
        with members.change(BOEKENBURG) as change:
            issued = issue_certificate(change, BOEKENBURG, "boekenburg", request_pem, Profile.ACCESS_POINT)
            renewed = renew_certificate(change, BOEKENBURG, issued.serial)
        assert (issued.profile, renewed.profile) == (Profile.ACCESS_POINT, Profile.ACCESS_POINT)

    def test_reader_is_refused(self, members: Members, request_pem: bytes) -> None:
        """A reader changes nothing."""
        with pytest.raises(Forbidden):
            issue(members, request_pem, READER)

    def test_suspended_library_is_refused(self, members: Members, request_pem: bytes) -> None:
        """A library that is suspended gets no certificate, neither a new one nor another term."""
        serial = issue(members, request_pem).serial
        with members.change() as change:
            change_library(
                change,
                OPERATOR,
                "boekenburg",
                name="Boekenburg",
                roles=(MemberRole.HOME,),
                operator_name="",
                is_active=False,
            )
        with pytest.raises(Conflict, match="suspended"):
            issue(members, request_pem)
        with pytest.raises(Conflict, match="suspended"), members.change() as change:
            renew_certificate(change, OPERATOR, serial)

    def test_roles_of_the_library_are_its_policies(self, members: Members, request_pem: bytes) -> None:
        """A library that only receives visitors gets a certificate that says so."""
        with members.change() as change:
            change_library(
                change,
                OPERATOR,
                "boekenburg",
                name="Boekenburg",
                roles=(MemberRole.VISITED,),
                operator_name="",
                is_active=True,
            )
        certificate = x509.load_pem_x509_certificate(issue(members, request_pem).certificate_pem.encode())
        policies = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
        assert [policy.policy_identifier for policy in policies] == [POLICY_VISITED]


class TestTenants:
    def test_library_sees_its_own(self, members: Members, request_pem: bytes, tmp_path: Path) -> None:
        """A library lists its own certificates, the operator all of them, the home server's among them."""
        own = issue(members, request_pem).serial
        other_request = openssl_request(tmp_path, "DNS:r.leesstad.test")
        other = issue(members, other_request, LEESSTAD, "leesstad").serial
        with members.registry.read() as session:
            assert [item.serial for item in list_certificates(session, BOEKENBURG, START).items] == [own]
            everything = list_certificates(session, OPERATOR, START).items
            assert {item.serial for item in everything if item.profile is Profile.PEER} == {own, other}
            assert len(everything) == 4
            of_one = list_certificates(session, OPERATOR, START, library="leesstad").items
            assert [item.serial for item in of_one] == [other]
            assert not list_certificates(session, BOEKENBURG, START, library="leesstad").items
            with pytest.raises(NotFound):
                show_certificate(session, BOEKENBURG, other, START)
        with pytest.raises(NotFound):
            revoke(members, other)
        with pytest.raises(NotFound), members.change(BOEKENBURG) as change:
            renew_certificate(change, BOEKENBURG, other)

    def test_home_servers_certificate_is_the_operators(self, members: Members) -> None:
        """A library can not take the federation's own certificate away."""
        with members.registry.read() as session:
            serial = own_serial(session, Profile.EAP_SERVER)
        with pytest.raises(NotFound):
            revoke(members, serial)

    def test_pages_hold_every_certificate_once(self, members: Members, request_pem: bytes) -> None:
        """The cursor of a page leads to the rest."""
        made = sorted(issue(members, request_pem).serial for _ in range(3))

        def pages() -> Iterator[str]:
            cursor = None
            for _ in range(2):
                with members.registry.read() as session:
                    page = list_certificates(session, BOEKENBURG, START, limit=2, cursor=cursor)
                yield from (item.serial for item in page.items)
                cursor = page.next_cursor
            assert cursor is None

        assert list(pages()) == made


class TestRevoke:
    def test_openssl_refuses_it_with_the_published_lists(
        self, members: Members, request_pem: bytes, tmp_path: Path
    ) -> None:
        """A revoked certificate is refused by who reads `/v1/trust/peers.crl`, at once (RFC 5280 §6.3)."""
        issued, other = issue(members, request_pem), issue(members, request_pem)
        revoke(members, issued.serial)
        with members.registry.read() as session:
            anchor = load_anchors(session, Purpose.PEERS).encode()
            (tmp_path / "lists.pem").write_text(load_crl_pem(session, Purpose.PEERS))
        lists = ("-crl_check_all", "-CRLfile", str(tmp_path / "lists.pem"))
        refused = verify_chain(tmp_path, anchor, issued.chain_pem.encode(), *lists, at=START)
        assert b"certificate revoked" in refused.stderr
        assert verify_chain(tmp_path, anchor, other.chain_pem.encode(), *lists, at=START).returncode == 0

    def test_registry_tells_that_and_why(self, members: Members, request_pem: bytes) -> None:
        """The state, the moment and the reason are shown; a second revocation changes none of them."""
        serial = issue(members, request_pem).serial
        revoke(members, serial)
        members.clock.advance(hours=1)
        with members.change(OPERATOR) as change:
            again = revoke_certificate(change, OPERATOR, serial, RevocationReason.SUPERSEDED)
        assert (again.state, again.revoked_at, again.revocation_reason) == (
            CertificateState.REVOKED,
            START,
            RevocationReason.KEY_COMPROMISE,
        )
        with members.registry.read() as session:
            assert list(session.scalars(select(AuditRow.action))).count("certificate.revoke") == 1

    def test_reader_is_refused(self, members: Members, request_pem: bytes) -> None:
        """A reader changes nothing."""
        serial = issue(members, request_pem).serial
        with pytest.raises(Forbidden):
            revoke(members, serial, READER)
        assert revoked_serials(members) == set()

    def test_home_server_is_never_without_a_certificate(self, members: Members) -> None:
        """When the home server's certificate is revoked, another is in its place in the same change."""
        with members.registry.read() as session:
            serial = own_serial(session, Profile.EAP_SERVER)
            before = load_eap_credentials(session, members.sealer)
        revoke(members, serial, OPERATOR)
        with members.registry.read() as session:
            after = load_eap_credentials(session, members.sealer)
        assert before.private_key_pem != after.private_key_pem
        assert revoked_serials(members, Purpose.EAP) == {serial}
        assert revoked_serials(members, Purpose.PEERS) == set()

    def test_library_that_leaves_takes_its_certificates_out_of_force(
        self, members: Members, request_pem: bytes
    ) -> None:
        """What a former member holds is worth nothing, and its entry stays for the list to name it."""
        serial = issue(members, request_pem).serial
        with members.change() as change:
            remove_library(change, OPERATOR, "boekenburg")
        assert revoked_serials(members) == {serial}
        with members.registry.read() as session:
            shown = show_certificate(session, OPERATOR, serial, START)
        assert shown.revocation_reason is RevocationReason.CESSATION_OF_OPERATION

    def test_entry_leaves_the_list_after_its_certificate_has_run_out(
        self, members: Members, request_pem: bytes
    ) -> None:
        """A list names what could still be taken for valid, and does not grow for ever (RFC 5280 §3.3)."""
        serial = issue(members, request_pem).serial
        revoke(members, serial)
        members.clock.advance(days=90)
        other = issue(members, request_pem).serial
        revoke(members, other)
        assert revoked_serials(members) == {serial, other}
        members.clock.advance(days=2)
        revoke(members, issue(members, request_pem).serial)
        assert serial not in revoked_serials(members)


class TestOwnership:
    def test_certificate_goes_with_its_realm(self, members: Members, request_pem: bytes, tmp_path: Path) -> None:
        """When a library loses a realm, its certificates in that realm are revoked, and no others."""
        lost = issue(members, request_pem).serial
        kept = issue(members, openssl_request(tmp_path, "DNS:r.oud.test")).serial
        with members.change() as change:
            remove_realm(change, OPERATOR, "boekenburg", "boekenburg.test")
        assert states(members) == {lost: CertificateState.REVOKED, kept: CertificateState.ACTIVE}
        assert revoked_serials(members) == {lost}

    def test_name_that_a_neighbour_gets_is_taken_from_who_had_it(
        self, members: Members, request_pem: bytes, tmp_path: Path
    ) -> None:
        """A closer realm of another library takes the names below it along."""
        lost = issue(members, openssl_request(tmp_path, "DNS:r.filiaal.boekenburg.test")).serial
        kept = issue(members, request_pem).serial
        with members.change() as change:
            add_realm(change, OPERATOR, "leesstad", name="filiaal.boekenburg.test")
        assert states(members) == {lost: CertificateState.REVOKED, kept: CertificateState.ACTIVE}

    def test_realm_with_characters_of_a_pattern_is_a_plain_name(self, members: Members, request_pem: bytes) -> None:
        """The look-up takes a realm literally."""
        issue(members, request_pem)
        with members.change() as change:
            assert revoke_unowned(change, "%") == 0


class TestRenew:
    def test_peer_gets_another_term_for_the_same_key(self, members: Members, request_pem: bytes) -> None:
        """A renewed certificate has the key and names of the first, which stays valid beside it."""
        first = issue(members, request_pem)
        members.clock.advance(days=60)
        with members.change(BOEKENBURG) as change:
            second = renew_certificate(change, BOEKENBURG, first.serial)
        keys = {pem_of_key(x509.load_pem_x509_certificate(item.certificate_pem.encode())) for item in (first, second)}
        assert len(keys) == 1
        assert (second.names, second.nai_realms) == (first.names, first.nai_realms)
        assert second.not_after > first.not_after
        assert states(members) == {first.serial: CertificateState.SUPERSEDED, second.serial: CertificateState.ACTIVE}

    def test_revoked_certificate_is_not_renewed(self, members: Members, request_pem: bytes) -> None:
        """A key that is no longer trusted does not come back."""
        serial = issue(members, request_pem).serial
        revoke(members, serial)
        with pytest.raises(Conflict), members.change() as change:
            renew_certificate(change, OPERATOR, serial)

    def test_name_that_is_no_longer_owned_is_not_renewed(self, members: Members, request_pem: bytes) -> None:
        """Ownership is asked for each time."""
        serial = issue(members, request_pem).serial
        with members.change() as change:
            remove_realm(change, OPERATOR, "boekenburg", "boekenburg.test")
            row = change.session.get(CertificateRow, serial)
            assert row is not None
            row.revoked_at = None  # as if nobody had looked
        with pytest.raises(RequestRefused), members.change() as change:
            renew_certificate(change, OPERATOR, serial)

    def test_home_servers_certificate_is_renewed_with_a_new_key(self, members: Members) -> None:
        """`cert renew` of the home server's certificate replaces it and its key."""
        with members.registry.read() as session:
            serial = own_serial(session, Profile.EAP_SERVER)
            before = load_eap_credentials(session, members.sealer)
        with members.change() as change:
            renewed = renew_certificate(change, OPERATOR, serial)
        with members.registry.read() as session:
            after = load_eap_credentials(session, members.sealer)
            assert show_certificate(session, OPERATOR, serial, START).state is CertificateState.SUPERSEDED
        assert renewed.certificate_pem.encode() in after.certificate_chain_pem
        assert before.private_key_pem != after.private_key_pem

    def test_certificate_that_ran_out_is_expired(self, members: Members, request_pem: bytes) -> None:
        """After its last moment a certificate is shown as expired."""
        serial = issue(members, request_pem).serial
        members.clock.advance(days=90)
        assert states(members) == {serial: CertificateState.EXPIRED}
