"""The authorities in the registry: made, published, and renewed in time."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from sqlalchemy import select

from federation.errors import NotFound, TrustError
from federation.services.authorities import (
    ISSUING,
    ROOT,
    create_authorities,
    is_renewal_due,
    load_anchors,
    load_authority,
    load_crl_der,
    load_crl_pem,
    load_eap_credentials,
    load_peer_trust,
    renew_due,
    renew_own_certificate,
    renew_when_due,
)
from federation.services.registry import Registry
from federation.services.settings import change_settings
from federation.snapshot import EapServerCredentials
from federation.store.session import Store
from federation.store.tables.registry import AuditRow
from federation.store.tables.trust import AuthorityRow, CertificateRow
from federation.trust.keystore import NodeKey, Sealer, create_node_key
from federation.trust.profiles import POLICY_OPERATOR, Profile, Purpose
from tests.federation.members import OPERATOR, START, Members
from tests.federation.trust.certificates import pem_of_key, verify_chain


def credentials(members: Members) -> EapServerCredentials:
    with members.registry.read() as session:
        return load_eap_credentials(session, members.sealer)


def eap_certificate(members: Members) -> x509.Certificate:
    return x509.load_pem_x509_certificates(credentials(members).certificate_chain_pem)[0]


def rename(members: Members, eap_server_name: str) -> None:
    with members.change() as change:
        change_settings(
            change, OPERATOR, name="biebroam", country="NL", eap_server_name=eap_server_name, denied_realms=()
        )


def crl_number(members: Members, purpose: Purpose) -> int:
    with members.registry.read() as session:
        found = x509.load_der_x509_crl(load_crl_der(session, purpose))
    return found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


class TestCreate:
    def test_the_two_authorities_share_nothing(self, members: Members) -> None:
        """Peers and devices have anchors of their own, with keys of their own."""
        with members.registry.read() as session:
            roots = [x509.load_pem_x509_certificate(load_anchors(session, purpose).encode()) for purpose in Purpose]
            issuing = [
                x509.load_pem_x509_certificate(load_authority(session, purpose, ISSUING).certificate_pem.encode())
                for purpose in Purpose
            ]
        assert len({pem_of_key(certificate) for certificate in (*roots, *issuing)}) == 4
        assert roots[0].subject != roots[1].subject

    def test_second_call_changes_nothing(self, members: Members) -> None:
        """Starting again does not make other anchors, which every device would have to learn."""
        with members.registry.read() as session:
            before = [(row.certificate_pem, row.crl_number) for row in session.scalars(select(AuthorityRow))]
        announced = list(members.announced)
        with members.change() as change:
            create_authorities(change)
        with members.registry.read() as session:
            after = [(row.certificate_pem, row.crl_number) for row in session.scalars(select(AuthorityRow))]
        assert before == after
        assert announced == members.announced

    def test_keys_are_sealed_where_they_stand(self, members: Members) -> None:
        """The database has no key in the clear, and a sealed key does not open in another row."""
        with members.registry.read() as session:
            root, issuing = (load_authority(session, Purpose.EAP, level) for level in (ROOT, ISSUING))
            assert root.sealed_key is not None
            assert issuing.sealed_key is not None
            assert b"PRIVATE" not in root.sealed_key
            with pytest.raises(TrustError):
                members.sealer.open(root.sealed_key, "authority/eap/issuing/key")
            with pytest.raises(TrustError):
                members.sealer.open(issuing.sealed_key, "authority/peers/issuing/key")
            with pytest.raises(TrustError):
                load_eap_credentials(session, Sealer([NodeKey.generate()]))

    def test_registry_without_authorities_says_so(self, tmp_path: Path) -> None:
        """What needs an authority before init names the command that makes it."""
        store = Store(f"sqlite:///{tmp_path / 'empty.db'}", makes_file=True)
        store.migrate()
        sealer = create_node_key(tmp_path / "node.key")
        registry = Registry(store, sealer, lambda revision: None)
        with pytest.raises(NotFound), registry.change(OPERATOR) as change:
            create_authorities(change)
        with store.read() as session:
            with pytest.raises(TrustError, match="run init"):
                load_anchors(session, Purpose.PEERS)
            with pytest.raises(TrustError, match="no certificate yet"):
                load_eap_credentials(session, sealer)
        store.close()


class TestEapCredentials:
    def test_a_device_accepts_the_chain_under_the_anchor_that_is_published(
        self, members: Members, tmp_path: Path
    ) -> None:
        """What `/v1/trust/eap.pem` gives is enough to verify the home server, by openssl (RFC 5216 §5.3)."""
        with members.registry.read() as session:
            anchor = load_anchors(session, Purpose.EAP).encode()
            other = load_anchors(session, Purpose.PEERS).encode()
        chain = credentials(members).certificate_chain_pem
        name = ("-verify_hostname", "login.biebroam.example", "-purpose", "sslserver")
        assert verify_chain(tmp_path, anchor, chain, *name, at=START).returncode == 0
        assert verify_chain(tmp_path, other, chain, *name, at=START).returncode != 0

    def test_chain_is_certificate_and_issuer_without_the_root(self, members: Members) -> None:
        """Two certificates travel; the root does not, for a device that needs it would not trust it."""
        chain = x509.load_pem_x509_certificates(credentials(members).certificate_chain_pem)
        assert len(chain) == 2
        assert chain[0].issuer == chain[1].subject
        assert chain[1].issuer != chain[1].subject

    def test_key_belongs_to_the_certificate(self, members: Members) -> None:
        """The private key is the one that the certificate names."""
        key = serialization.load_pem_private_key(credentials(members).private_key_pem, None)
        assert key.public_key() == eap_certificate(members).public_key()


class TestPeerTrust:
    def test_peers_accept_the_proxy_at_both_ends(self, members: Members, tmp_path: Path) -> None:
        """The proxy's chain verifies under the peers' anchor for a server and for a client (RFC 6614 §2.3)."""
        with members.registry.read() as session:
            trust = load_peer_trust(session, members.sealer)
        for purpose in ("sslserver", "sslclient"):
            arguments = ("-verify_hostname", "login.biebroam.example", "-purpose", purpose)
            found = verify_chain(tmp_path, trust.anchors_pem, trust.certificate_chain_pem, *arguments, at=START)
            assert found.returncode == 0, found.stderr.decode()

    def test_proxy_says_that_it_is_the_operators(self, members: Members) -> None:
        """Its only policy is the operator's, which no library's certificate has."""
        with members.registry.read() as session:
            trust = load_peer_trust(session, members.sealer)
        leaf = x509.load_pem_x509_certificates(trust.certificate_chain_pem)[0]
        policies = leaf.extensions.get_extension_for_class(x509.CertificatePolicies).value
        assert [policy.policy_identifier for policy in policies] == [POLICY_OPERATOR]

    def test_key_is_new_after_two_thirds_of_its_life(self, members: Members) -> None:
        """The proxy's key and certificate are replaced by themselves, and two are valid in overlap."""
        with members.registry.read() as session:
            before = load_peer_trust(session, members.sealer)
        members.clock.advance(days=61)
        assert "certificate of the federation's proxy" in renew_when_due(members.registry)
        with members.registry.read() as session:
            after = load_peer_trust(session, members.sealer)
        assert before.private_key_pem != after.private_key_pem
        ends = x509.load_pem_x509_certificates(before.certificate_chain_pem)[0].not_valid_after_utc
        assert ends > members.clock.now + timedelta(days=28)


class TestRenewal:
    def test_nothing_is_due_at_first(self, members: Members) -> None:
        """A new registry needs nothing, and asking does not change it."""
        with members.registry.read() as session:
            assert not is_renewal_due(session, members.clock.now)
        with members.change() as change:
            assert renew_due(change) == []

    def test_other_server_name_gets_a_certificate_at_once(self, members: Members, tmp_path: Path) -> None:
        """A change of `eap_server_name` is in the certificate with the same change."""
        rename(members, "aanmelden.biebroam.example")
        with members.registry.read() as session:
            anchor = load_anchors(session, Purpose.EAP).encode()
        chain = credentials(members).certificate_chain_pem
        name = ("-verify_hostname", "aanmelden.biebroam.example")
        assert verify_chain(tmp_path, anchor, chain, *name, at=START).returncode == 0
        rename(members, "login.biebroam.example")
        assert "login.biebroam.example" in str(eap_certificate(members).subject)

    def test_certificate_is_renewed_at_two_thirds_of_its_life(self, members: Members) -> None:
        """The home server's certificate is replaced long before it runs out, under the same anchor."""
        first = eap_certificate(members)
        members.clock.advance(days=480)
        with members.change() as change:
            renew_due(change)
        assert eap_certificate(members) == first
        members.clock.advance(days=10)
        with members.registry.read() as session:
            assert is_renewal_due(session, members.clock.now)
        with members.change() as change:
            assert "certificate of the hosted home server" in renew_due(change)
        second = eap_certificate(members)
        assert second.public_key() != first.public_key()
        assert second.not_valid_after_utc > first.not_valid_after_utc

    def test_same_moment_renewal_gives_the_new_one(self, members: Members) -> None:
        """Of two certificates of one moment the one that was made last is in use."""
        with members.change() as change:
            serial = renew_own_certificate(change, Profile.EAP_SERVER)
        assert f"{eap_certificate(members).serial_number:x}" == serial
        with members.registry.read() as session:
            rows = session.scalars(select(CertificateRow)).all()
        assert [
            row.superseded_at is None for row in rows if row.serial != serial and row.profile == Profile.EAP_SERVER
        ] == [False]

    def test_issuing_authority_is_renewed_and_the_anchor_stays(self, members: Members, tmp_path: Path) -> None:
        """After four years the issuing authority has a new term; devices keep the root that they have."""
        with members.registry.read() as session:
            anchor = load_anchors(session, Purpose.EAP).encode()
        members.clock.advance(days=1465)
        with members.change() as change:
            assert "issuing authority of eap" in renew_due(change)
            assert renew_due(change) == []
        with members.registry.read() as session:
            assert load_anchors(session, Purpose.EAP).encode() == anchor
        chain = credentials(members).certificate_chain_pem
        assert verify_chain(tmp_path, anchor, chain, at=members.clock.now + timedelta(days=700)).returncode == 0

    def test_renewals_are_audited(self, members: Members) -> None:
        """The trail says which certificate was made when."""
        rename(members, "aanmelden.biebroam.example")
        with members.registry.read() as session:
            rows = session.scalars(select(AuditRow).where(AuditRow.action == "certificate.issue")).all()
        first, second = {"names": ["login.biebroam.example"]}, {"names": ["aanmelden.biebroam.example"]}
        assert [row.after for row in rows] == [first, first, second, second]  # the home server's, the proxy's


class TestWhenDue:
    def test_system_renews_by_itself_and_only_when_due(self, members: Members) -> None:
        """The hourly call writes nothing until something is due, and the trail says who renewed it."""
        assert renew_when_due(members.registry) == []
        members.clock.advance(days=490)
        assert "certificate of the hosted home server" in renew_when_due(members.registry)
        assert renew_when_due(members.registry) == []
        with members.registry.read() as session:
            row = session.scalars(select(AuditRow).order_by(AuditRow.id.desc())).first()
        assert row is not None
        assert (row.action, row.actor) == ("certificate.issue", "biebroam")

    def test_refreshed_list_is_no_new_revision(self, members: Members) -> None:
        """Proxies do not compile anew because a list has a new date."""
        announced = list(members.announced)
        members.clock.advance(days=1)
        assert len(renew_when_due(members.registry)) == 4
        assert announced == members.announced

    def test_registry_before_init_has_nothing_due(self, tmp_path: Path) -> None:
        """A service that starts on an empty database does not stumble over it."""
        store = Store(f"sqlite:///{tmp_path / 'empty.db'}", makes_file=True)
        store.migrate()
        registry = Registry(store, create_node_key(tmp_path / "node.key"), lambda revision: None)
        assert renew_when_due(registry) == []
        store.close()


class TestRevocationLists:
    def test_lists_of_both_levels_are_published_from_the_start(self, members: Members) -> None:
        """Who checks every certificate of a chain finds a list for each (RFC 5280 §6.3)."""
        for purpose in Purpose:
            with members.registry.read() as session:
                pem = load_crl_pem(session, purpose).encode()
                issuers = [
                    x509.load_pem_x509_certificate(load_authority(session, purpose, level).certificate_pem.encode())
                    for level in (ISSUING, ROOT)
                ]
            blocks = [b"-----BEGIN" + block for block in pem.split(b"-----BEGIN")[1:]]
            for block, issuer in zip(blocks, issuers, strict=True):
                found = x509.load_pem_x509_crl(block)
                assert found.issuer == issuer.subject
                assert found.is_signature_valid(issuer.public_key())  # type: ignore[arg-type] # a key that signs

    def test_lists_are_refreshed_daily_with_a_higher_number(self, members: Members) -> None:
        """A list is valid for a week and made anew each day, so that a week of trouble harms nobody."""
        assert crl_number(members, Purpose.PEERS) == 1
        members.clock.advance(hours=23)
        with members.registry.read() as session:
            assert not is_renewal_due(session, members.clock.now)
        members.clock.advance(hours=1)
        with members.registry.read() as session:
            assert is_renewal_due(session, members.clock.now)
        with members.change() as change:
            assert len(renew_due(change)) == 4
        assert crl_number(members, Purpose.PEERS) == 2
