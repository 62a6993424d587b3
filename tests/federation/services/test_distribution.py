"""Certificates lead to their revocation list once the federation has a public URL, and `doctor` says which do not."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from federation.errors import InvalidDocument
from federation.services.apply import apply_document, export_document
from federation.services.authorities import (
    ISSUING,
    is_renewal_due,
    load_authority,
    load_crl_der,
    load_eap_credentials,
    load_peer_trust,
)
from federation.services.certificates import (
    issue_certificate,
    list_certificates,
    renew_certificate,
    revoke_certificate,
)
from federation.services.distribution import check_distribution, find_without_list_url
from federation.services.document import parse_document
from federation.services.enrolment import enrol, reenrol
from federation.services.invitations import create_invitation
from federation.services.list_fetch import FetchFailed
from federation.services.rollovers import advance_rollover, plan_rollover
from federation.trust.distribution import read_list_urls
from federation.trust.profiles import Profile, Purpose
from tests.federation.members import BOEKENBURG, OPERATOR, Members
from tests.federation.trust.certificates import openssl_request, verify_chain

URL = "http://biebroam.example"
PEERS, EAP = (f"{URL}/v1/trust/{purpose}.crl?generation=1" for purpose in Purpose)
PEERS_ROOT, EAP_ROOT = (f"{URL}/v1/trust/{purpose}-root.crl?generation=1" for purpose in Purpose)


def publish(members: Members, url: str = URL) -> None:
    apply_document(members.registry, OPERATOR, parse_document({"federation": {"public_url": url}}))


def issue(members: Members, folder: Path) -> str:
    with members.change(BOEKENBURG) as change:
        request = openssl_request(folder, "DNS:radius1.boekenburg.test")
        return issue_certificate(change, BOEKENBURG, "boekenburg", request).serial


def urls_in(pem: str | bytes) -> tuple[str, ...]:
    return read_list_urls(x509.load_pem_x509_certificate(pem.encode() if isinstance(pem, str) else pem))


def proxy_urls(members: Members) -> tuple[str, ...]:
    with members.registry.read() as session:
        return urls_in(load_peer_trust(session, members.sealer).certificate_chain_pem)


def eap_urls(members: Members) -> tuple[str, ...]:
    with members.registry.read() as session:
        return urls_in(load_eap_credentials(session, members.sealer).certificate_chain_pem)


def serial_of(members: Members, profile: Profile) -> str:
    with members.registry.read() as session:
        found = list_certificates(session, OPERATOR, members.clock.now).items
    return next(each.serial for each in found if each.profile is profile and each.state == "active")


def without(members: Members) -> set[str]:
    with members.registry.read() as session:
        return {row.profile for row in find_without_list_url(session, members.clock.now)}


class TestSetting:
    def test_is_part_of_the_federation(self, members: Members) -> None:
        """It is applied, exported, kept when left out, and taken away by an empty text; a slash at its end goes."""

        def exported() -> object:
            with members.registry.read() as session:
                return export_document(session)["federation"].get("public_url")

        assert exported() is None
        publish(members, f"{URL}/")
        assert exported() == URL
        apply_document(members.registry, OPERATOR, parse_document({"federation": {"country": "BE"}}))
        assert exported() == URL
        publish(members, "")
        assert exported() is None

    def test_what_can_be_no_such_url_is_refused(self, members: Members) -> None:
        """A user, a query or another scheme is an error that names the key, and nothing is changed."""
        for url in ("http://me@biebroam.example", f"{URL}?a=b", "ftp://biebroam.example", "/"):
            with pytest.raises(InvalidDocument) as refused:
                publish(members, url)
            assert refused.value.problems[0].field == "/federation/public_url"
        assert proxy_urls(members) == ()


class TestCertificates:
    def test_new_ones_lead_there(self, members: Members, tmp_path: Path) -> None:
        """A peer's, with the setting; without it a certificate leads nowhere."""
        assert urls_in(chain_of(members, issue(members, tmp_path))) == ()
        publish(members)
        assert urls_in(chain_of(members, issue(members, tmp_path))) == (PEERS,)

    def test_proxys_does_at_once(self, members: Members) -> None:
        """The proxy has a new certificate with the change; without the setting again it keeps what it has."""
        publish(members)
        assert proxy_urls(members) == (PEERS,)
        publish(members, "")
        assert proxy_urls(members) == (PEERS,)
        with members.registry.read() as session:
            assert not is_renewal_due(session, members.clock.now)

    def test_home_servers_does_with_its_renewal(self, members: Members) -> None:
        """Devices see no other certificate for it until it is renewed, which an operator can do by hand."""
        publish(members)
        assert eap_urls(members) == ()
        with members.change() as change:
            renew_certificate(change, OPERATOR, serial_of(members, Profile.EAP_SERVER))
        assert eap_urls(members) == (EAP,)

    def test_peers_renewal_brings_it(self, members: Members, tmp_path: Path) -> None:
        """Also one within a day of the last, which gives the same certificate again otherwise."""
        with members.change(BOEKENBURG) as change:
            invitation = create_invitation(change, BOEKENBURG, "boekenburg").secret
        request = openssl_request(tmp_path, "DNS:radius1.boekenburg.test")
        with members.change() as change:
            first = enrol(change, invitation or "", request).certificate
        publish(members)
        with members.change() as change:
            second = reenrol(change, None, request).certificate
        assert (urls_in(first.certificate_pem), urls_in(second.certificate_pem)) == ((), (PEERS,))
        with members.change() as change:
            assert reenrol(change, None, request).certificate.serial == second.serial

    def test_each_leads_to_the_list_of_its_issuer(self, members: Members, tmp_path: Path) -> None:
        """After a roll-over new certificates lead to the new authority's list, and earlier ones to theirs."""
        publish(members)
        first = issue(members, tmp_path)
        with members.change() as change:
            plan_rollover(change, OPERATOR, Purpose.PEERS)
        for _ in range(2):
            with members.change() as change:
                advance_rollover(change, OPERATOR, Purpose.PEERS, (), force=True)
        second = issue(members, tmp_path)
        assert urls_in(chain_of(members, first)) == (PEERS,)
        assert urls_in(chain_of(members, second)) == (PEERS.replace("=1", "=2"),)
        assert proxy_urls(members) == (PEERS.replace("=1", "=2"),)
        assert without(members) == {"eap-server"}


def chain_of(members: Members, serial: str) -> str:
    with members.registry.read() as session:
        found = list_certificates(session, OPERATOR, members.clock.now).items
    return next(each.chain_pem for each in found if each.serial == serial)


def issuing_of(members: Members, purpose: Purpose, generation: int = 1) -> x509.Certificate:
    with members.registry.read() as session:
        row = load_authority(session, purpose, ISSUING, generation)
        return x509.load_pem_x509_certificate(row.certificate_pem.encode())


class TestAuthorities:
    """The issuing authorities' own certificates, which lead to their roots' lists."""

    def test_peers_authority_does_at_once(self, members: Members, tmp_path: Path) -> None:
        """With the proxy's certificate, for the same key and name: what was issued before stays below it."""
        before, first = issuing_of(members, Purpose.PEERS), issue(members, tmp_path)
        assert read_list_urls(before) == ()
        publish(members)
        after = issuing_of(members, Purpose.PEERS)
        assert read_list_urls(after) == (PEERS_ROOT,)
        assert (after.subject, after.public_key()) == (before.subject, before.public_key())
        certificate = x509.load_pem_x509_certificates(chain_of(members, first).encode())[0]
        certificate.verify_directly_issued_by(after)
        publish(members, f"{URL}/")  # the same
        assert issuing_of(members, Purpose.PEERS) == after

    def test_proxys_chain_holds_with_both_lists(self, members: Members, tmp_path: Path) -> None:
        """A verifier that checks revocation up to the root is content with the two lists at the addresses."""
        publish(members)
        lists = tmp_path / "lists.pem"
        with members.registry.read() as session:
            trust = load_peer_trust(session, members.sealer)
            ders = (load_crl_der(session, Purpose.PEERS, 1, of_root=of_root) for of_root in (False, True))
            found = [x509.load_der_x509_crl(der) for der in ders]
        lists.write_bytes(b"".join(each.public_bytes(serialization.Encoding.PEM) for each in found))
        arguments = ("-crl_check_all", "-CRLfile", str(lists), "-purpose", "sslserver")
        now = members.clock.now
        verified = verify_chain(tmp_path, trust.anchors_pem, trust.certificate_chain_pem, *arguments, at=now)
        assert verified.returncode == 0, verified.stderr.decode()

    def test_eap_authority_does_with_the_home_servers_renewal(self, members: Members) -> None:
        """Not before: devices see that chain."""
        publish(members)
        before = issuing_of(members, Purpose.EAP)
        assert read_list_urls(before) == ()
        with members.change() as change:
            renew_certificate(change, OPERATOR, serial_of(members, Profile.EAP_SERVER))
        assert read_list_urls(issuing_of(members, Purpose.EAP)) == (EAP_ROOT,)

    def test_next_generation_has_it_from_the_beginning(self, members: Members) -> None:
        """Each to the list of its own root."""
        publish(members)
        with members.change() as change:
            plan_rollover(change, OPERATOR, Purpose.PEERS)
        assert read_list_urls(issuing_of(members, Purpose.PEERS, 2)) == (PEERS_ROOT.replace("=1", "=2"),)


class TestDoctor:
    def lists(self, members: Members) -> dict[str, bytes]:
        with members.registry.read() as session:
            return {
                PEERS: load_crl_der(session, Purpose.PEERS),
                EAP: load_crl_der(session, Purpose.EAP),
                PEERS_ROOT: load_crl_der(session, Purpose.PEERS, of_root=True),
                EAP_ROOT: load_crl_der(session, Purpose.EAP, of_root=True),
            }

    def check(self, members: Members, lists: dict[str, bytes]) -> str:
        def fetch(url: str, _most: int) -> bytes:
            if url not in lists:
                raise FetchFailed("the answer is 404")
            return lists[url]

        return check_distribution(members.registry, fetch)

    def test_nothing_is_asked_without_the_setting(self, members: Members) -> None:
        """It says that certificates lead nowhere, and is content."""
        assert "no public_url" in self.check(members, {})

    def test_lists_that_are_there_are_enough(self, members: Members) -> None:
        """With each list at its address, and every certificate leading there, all is well."""
        publish(members)
        with members.change() as change:
            renew_certificate(change, OPERATOR, serial_of(members, Profile.EAP_SERVER))
        said = self.check(members, self.lists(members))
        assert all(url in said for url in (PEERS, EAP, PEERS_ROOT, EAP_ROOT))

    def test_certificates_that_lack_it_are_named(self, members: Members, tmp_path: Path) -> None:
        """A peer's and the home server's from before, with what they are for and their serial numbers."""
        serial = issue(members, tmp_path)
        publish(members)
        assert without(members) == {"peer", "eap-server"}
        with pytest.raises(ValueError, match=rf"peer radius1\.boekenburg\.test \({serial}\) does not lead there"):
            self.check(members, self.lists(members))
        publish(members, "")
        assert without(members) == set()

    def test_authority_that_lacks_it_is_named(self, members: Members) -> None:
        """The hosted home server's, until that is renewed; and a root's list that is not at its address."""
        publish(members)
        lists = self.lists(members)
        with pytest.raises(ValueError, match="the issuing authority of eap does not lead to its root's list"):
            self.check(members, lists)
        del lists[PEERS_ROOT]
        with pytest.raises(ValueError, match=r"peers-root\.crl\?generation=1: the answer is 404"):
            self.check(members, lists)

    def test_many_are_counted(self, members: Members, tmp_path: Path) -> None:
        """Five are named, the others are a number."""
        for _ in range(6):
            issue(members, tmp_path)
        publish(members)
        with pytest.raises(ValueError, match=r"; 3 more do not either$"):
            self.check(members, self.lists(members))

    @pytest.mark.parametrize(
        ("wrong", "text"),
        [
            ("nothing", "the answer is 404"),
            ("page", "this is no revocation list"),
            ("other", "no authority of the anchor has signed the list"),
        ],
    )
    def test_address_without_the_list_is_named(self, members: Members, wrong: str, text: str) -> None:
        """Nobody there, another page there, or the list of another authority."""
        publish(members)
        lists = self.lists(members)
        answers = {
            "nothing": {},
            "page": {PEERS: b"<html>", EAP: b"<html>"},
            "other": {**lists, PEERS: lists[PEERS_ROOT], EAP: lists[PEERS]},
        }
        with pytest.raises(ValueError, match=r"peers\.crl") as found:
            self.check(members, answers[wrong])
        assert text in str(found.value)

    def test_old_list_is_named(self, members: Members, tmp_path: Path) -> None:
        """One that has run out, and one that was kept on its way for longer than an hour."""
        publish(members)
        serial = issue(members, tmp_path)
        early = self.lists(members)
        members.clock.advance(hours=2)
        with members.change() as change:
            revoke_certificate(change, OPERATOR, serial)
        members.clock.advance(minutes=30)
        assert "older than ours" not in str(self.failure(members, early))
        members.clock.advance(hours=1)
        assert f"{PEERS}: the list that is there is older than ours" in str(self.failure(members, early))
        members.clock.advance(days=7)
        assert f"{PEERS}: the list that is there has run out" in str(self.failure(members, early))

    def failure(self, members: Members, lists: dict[str, bytes]) -> ValueError:
        with pytest.raises(ValueError, match="does not lead there") as found:  # the home server's, from before
            self.check(members, lists)
        return found.value
