"""A root is rolled over under three libraries, and whoever would break is named; openssl verifies at each step."""

import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from sqlalchemy import select

from federation.errors import Blocked, Conflict, Forbidden, NotFound
from federation.model import Actor, MemberRole, Role
from federation.services.access_points import AccessPointValues, add_access_point
from federation.services.authorities import (
    ISSUING,
    ROOT,
    load_anchors,
    load_authority,
    load_crl_der,
    load_crl_pem,
    load_eap_credentials,
    load_peer_trust,
    renew_when_due,
)
from federation.services.certificates import list_certificates, revoke_certificate
from federation.services.enrolment import Enrolment, enrol, reenrol
from federation.services.invitations import create_invitation
from federation.services.libraries import add_library
from federation.services.realms import add_realm
from federation.services.registry import Change, Registry
from federation.services.rollover_gates import Obstacle
from federation.services.rollovers import (
    Rollover,
    advance_rollover,
    confirm_library,
    plan_rollover,
    show_rollover,
    take_step,
)
from federation.services.sightings import record_sightings
from federation.statistics.reports import WorkerReport
from federation.store.session import Store
from federation.store.tables.registry import AuditRow
from federation.store.tables.trust import AuthorityRow, CertificateRow
from federation.trust.keystore import load_sealer
from federation.trust.profiles import Purpose
from federation.trust.rollover import RolloverEvent, RolloverState
from tests.federation.members import BOEKENBURG, OPERATOR, READER, Members
from tests.federation.trust.certificates import openssl_request, pem_of_key, verify_chain

LIBRARIES = ("boekenburg", "leesstad", "zeedorp")
STRANGER = Actor("enrolment", Role.READER)


class Peer:
    """A library's server: its key and request, the chain and the anchors that it has in place."""

    def __init__(self, library: str, folder: Path) -> None:
        self.library = library
        folder.mkdir()
        self.request = openssl_request(folder, f"DNS:radius.{library}.test")
        self.chain = b""
        self.anchors = b""
        self.token: str | None = None

    def install(self, made: Enrolment) -> None:
        self.chain, self.anchors = made.certificate.chain_pem.encode(), made.anchors_pem.encode()
        self.token = made.renewal_token or self.token

    def leaf(self) -> x509.Certificate:
        return x509.load_pem_x509_certificates(self.chain)[0]


class Trio:
    """Three libraries with a server each, the proxy's reports, and a registry that can be opened again."""

    def __init__(self, members: Members, folder: Path) -> None:
        self.members, self.folder = members, folder
        self.registry = members.registry
        with members.change() as change:
            add_library(change, OPERATOR, library_id="zeedorp", name="Zeedorp", roles=tuple(MemberRole))
            add_realm(change, OPERATOR, "zeedorp", name="zeedorp.test")
            for library in LIBRARIES:
                values = AccessPointValues(certificate=f"radius.{library}.test")
                add_access_point(change, OPERATOR, library, name="radius", values=values)
        self.peers = {library: Peer(library, folder / library) for library in LIBRARIES}
        self.stores: list[Store] = []
        for peer in self.peers.values():
            with self.change() as change:
                invitation = create_invitation(change, OPERATOR, peer.library).secret or ""
            with self.change(STRANGER) as change:
                peer.install(enrol(change, invitation, peer.request))

    def change(self, actor: Actor = OPERATOR) -> AbstractContextManager[Change]:
        return self.registry.change(actor)

    def restart(self) -> None:
        """The registry is read from the disk again, with the node key that stands there."""
        store = Store(f"sqlite:///{self.folder / 'biebroam.db'}")
        self.stores.append(store)
        self.registry = Registry(
            store, load_sealer(self.members.key_path), self.members.announced.append, self.members.clock
        )

    def renew(self, library: str) -> None:
        peer = self.peers[library]
        with self.change(STRANGER) as change:
            peer.install(reenrol(change, peer.token, peer.request))

    def advance(self, *, force: bool = False, reports: Iterable[WorkerReport] = ()) -> Rollover:
        with self.change() as change:
            return advance_rollover(change, OPERATOR, Purpose.PEERS, tuple(reports), force=force)

    def show(self, reports: Iterable[WorkerReport] = ()) -> Rollover:
        with self.registry.read() as session:
            return show_rollover(session, Purpose.PEERS, tuple(reports), self.members.clock.now)

    def report(self, *libraries: str, serials: dict[str, str] | None = None) -> WorkerReport:
        """What a proxy says after a handshake with the servers of these libraries, each with what it has in place."""
        with self.registry.read() as session:
            trust = load_peer_trust(session, self.registry.sealer)
        own = _root_of(trust.certificate_chain_pem, trust.anchors_pem)
        peers = {
            f"{library}/radius": {
                "end": "client",
                "connections": 1,
                "anchor": _root_of(self.peers[library].chain, trust.anchors_pem),
                "presented": self.peers[library].leaf().fingerprint(hashes.SHA256()).hex(),
                "serial": (serials or {}).get(library, f"{self.peers[library].leaf().serial_number:x}"),
                "not_after": self.peers[library].leaf().not_valid_after_utc.timestamp(),
                "own_anchor": own,
                "seen_at": self.members.clock.now.timestamp(),
            }
            for library in libraries
        }
        revision, now = self.members.announced[-1], self.members.clock.now
        return WorkerReport("proxy", 0, os.getpid(), revision, now, counters={"peers": peers})

    def verify_everybody(self, tmp_path: Path) -> None:
        """The proxy believes each server and each server believes the proxy, revocation lists included."""
        with self.registry.read() as session:
            trust = load_peer_trust(session, self.registry.sealer)
            lists = tmp_path / "lists.pem"
            lists.write_text(load_crl_pem(session, Purpose.PEERS))
        at = self.members.clock.now
        arguments = ("-crl_check_all", "-CRLfile", str(lists))
        for peer in self.peers.values():
            for anchors, chain, purpose in (
                (trust.anchors_pem, peer.chain, "sslclient"),
                (peer.anchors, trust.certificate_chain_pem, "sslserver"),
            ):
                found = verify_chain(tmp_path, anchors, chain, *arguments, "-purpose", purpose, at=at)
                assert found.returncode == 0, (peer.library, purpose, found.stderr.decode())

    def close(self) -> None:
        for store in self.stores:
            store.close()


def _root_of(chain: bytes, anchors: bytes) -> str:
    issuing = x509.load_pem_x509_certificates(chain)[1]
    (root,) = [each for each in x509.load_pem_x509_certificates(anchors) if each.subject == issuing.issuer]
    return root.fingerprint(hashes.SHA256()).hex()


def _obstacles(rollover: Rollover) -> list[tuple[Obstacle, str | None]]:
    return [(blocker.obstacle, blocker.library) for blocker in rollover.blockers]


@pytest.fixture
def trio(members: Members, tmp_path: Path) -> Iterator[Trio]:
    made = Trio(members, tmp_path)
    yield made
    made.close()


@pytest.fixture
def overlap(trio: Trio) -> Trio:
    """With both roots published, two hours ago."""
    with trio.change() as change:
        plan_rollover(change, OPERATOR, Purpose.PEERS)
    trio.advance()
    trio.members.clock.advance(hours=2)
    return trio


class TestWhole:
    def test_three_libraries_pass_from_one_root_to_the_next(self, trio: Trio, tmp_path: Path) -> None:
        """At each step and across restarts every chain verifies in both directions; the gates name who is late."""
        trio.verify_everybody(tmp_path)
        with trio.change() as change:
            planned = plan_rollover(change, OPERATOR, Purpose.PEERS)
        assert (planned.state, planned.blockers) == (RolloverState.PLANNED, ())
        with trio.registry.read() as session:
            assert load_anchors(session, Purpose.PEERS).count("BEGIN") == 1  # nobody is told
        trio.restart()
        trio.verify_everybody(tmp_path)

        published = trio.advance()
        assert published.state is RolloverState.OVERLAP
        with trio.registry.read() as session:
            assert load_anchors(session, Purpose.PEERS).count("BEGIN") == 2
        trio.verify_everybody(tmp_path)
        with pytest.raises(Blocked) as refusal:
            trio.advance()
        assert len(refusal.value.reasons) == 4  # caches, and three libraries
        assert all(any(f"library/{library}:" in reason for reason in refusal.value.reasons) for library in LIBRARIES)

        trio.restart()
        trio.members.clock.advance(days=1, hours=1)
        renew_when_due(trio.registry)
        for library in ("boekenburg", "leesstad"):
            trio.renew(library)
        assert _obstacles(trio.show()) == [(Obstacle.ROOT_NOT_DELIVERED, "zeedorp")]
        trio.verify_everybody(tmp_path)
        trio.peers["zeedorp"].anchors += _new_root(trio)  # its administrator fetches peers.pem, and says so
        with trio.change() as change:
            confirm_library(change, OPERATOR, Purpose.PEERS, "zeedorp")
        assert trio.show().blockers == ()

        trio.restart()
        switched = trio.advance(reports=[trio.report(*LIBRARIES)])
        assert switched.state is RolloverState.SWITCHED
        trio.verify_everybody(tmp_path)
        late = {library for obstacle, library in _obstacles(trio.show()) if obstacle is Obstacle.CERTIFICATE_IN_FORCE}
        assert late == set(LIBRARIES)  # all three were issued before the switch
        with pytest.raises(Blocked, match="would break by the step retire"):
            trio.advance()

        trio.restart()
        for library in LIBRARIES:
            trio.renew(library)
        trio.verify_everybody(tmp_path)
        record_sightings(trio.registry.store, [trio.report("boekenburg", "leesstad")])
        trio.restart()  # what the proxy saw outlives its report
        assert {library for _, library in _obstacles(trio.show())} == {"zeedorp"}
        finished = trio.advance(reports=[trio.report(*LIBRARIES)])
        assert finished.state is RolloverState.RETIRED
        trio.verify_everybody(tmp_path)

        with trio.registry.read() as session:
            assert load_anchors(session, Purpose.PEERS).encode() == _new_root(trio)
            old = [load_authority(session, Purpose.PEERS, level, 1) for level in (ROOT, ISSUING)]
            assert [row.sealed_key for row in old] == [None, None]
        for peer in trio.peers.values():
            peer.anchors = _new_root(trio)
        trio.members.clock.advance(days=1, hours=1)
        assert len(renew_when_due(trio.registry)) == 4
        trio.verify_everybody(tmp_path)
        with pytest.raises(Conflict, match="plan another"):
            trio.advance()


def _new_root(trio: Trio) -> bytes:
    with trio.registry.read() as session:
        return load_authority(session, Purpose.PEERS, ROOT, 2).certificate_pem.encode()


class TestPlan:
    def test_only_an_operator_plans_and_only_one_at_a_time(self, members: Members) -> None:
        """A library plans nothing, and a second roll-over waits for the first."""
        with members.change(BOEKENBURG) as change, pytest.raises(Forbidden):
            plan_rollover(change, BOEKENBURG, Purpose.PEERS)
        with members.registry.read() as session, pytest.raises(NotFound):
            show_rollover(session, Purpose.PEERS, (), members.clock.now)
        with members.change() as change:
            plan_rollover(change, OPERATOR, Purpose.PEERS)
            with pytest.raises(Conflict, match="before there is another"):
                plan_rollover(change, OPERATOR, Purpose.PEERS)

    def test_new_authorities_have_names_and_keys_of_their_own(self, trio: Trio) -> None:
        """A verifier that looks for an issuer or a list by its name finds one (RFC 5280 §6.3.3)."""
        with trio.change() as change:
            plan_rollover(change, OPERATOR, Purpose.PEERS)
        with trio.registry.read() as session:
            rows = session.scalars(select(AuthorityRow).where(AuthorityRow.purpose == Purpose.PEERS)).all()
            found = [x509.load_pem_x509_certificate(row.certificate_pem.encode()) for row in rows]
        assert len({each.subject for each in found}) == 4
        assert len({pem_of_key(each) for each in found}) == 4


class TestOverlap:
    def test_certificates_still_come_from_the_old_authority(self, overlap: Trio) -> None:
        """Until the switch nobody gets a certificate that a peer without the new root would refuse."""
        overlap.renew("boekenburg")
        assert "G2" not in overlap.peers["boekenburg"].leaf().issuer.rfc4514_string()
        assert overlap.peers["boekenburg"].anchors.count(b"BEGIN CERT") == 2

    def test_lists_of_both_are_published(self, overlap: Trio) -> None:
        """As PEM all four follow each other; as DER there is one, of the generation that is asked for (RFC 2585 §3)."""
        with overlap.registry.read() as session:
            assert load_crl_pem(session, Purpose.PEERS).count("BEGIN X509 CRL") == 4
            first, second = (x509.load_der_x509_crl(load_crl_der(session, Purpose.PEERS, number)) for number in (1, 2))
            now = x509.load_der_x509_crl(load_crl_der(session, Purpose.PEERS))
            with pytest.raises(NotFound):
                load_crl_der(session, Purpose.PEERS, 3)
        assert first.issuer == now.issuer != second.issuer

    def test_renewal_without_a_secret_counts_when_it_is_seen_in_use(self, overlap: Trio) -> None:
        """A replayed request is no proof that the library has the new root; its certificate in a handshake is."""
        overlap.members.clock.advance(days=2)
        overlap.peers["boekenburg"].token = None
        overlap.renew("boekenburg")
        assert (Obstacle.ROOT_NOT_DELIVERED, "boekenburg") in _obstacles(overlap.show())
        assert (Obstacle.ROOT_NOT_DELIVERED, "boekenburg") not in _obstacles(
            overlap.show([overlap.report("boekenburg")])
        )

    def test_renewal_by_est_brings_no_anchors(self, overlap: Trio) -> None:
        """An answer without the anchors is no proof either (RFC 7030 §4.2.3)."""
        peer = overlap.peers["leesstad"]
        with overlap.change(STRANGER) as change:
            reenrol(change, peer.token, peer.request, delivers_anchors=False)
        assert (Obstacle.ROOT_NOT_DELIVERED, "leesstad") in _obstacles(overlap.show())

    def test_worker_that_is_behind_is_named(self, overlap: Trio) -> None:
        """Both roots are trusted everywhere only when each proxy worker works with them."""
        behind = WorkerReport("proxy", 3, os.getpid(), 1, overlap.members.clock.now)
        assert (Obstacle.WORKER_BEHIND, None) in _obstacles(overlap.show([behind]))
        assert "worker/proxy-3" in [blocker.subject for blocker in overlap.show([behind]).blockers]

    def test_library_confirms_for_itself_alone(self, overlap: Trio) -> None:
        """A library's word counts for what is its own; a reader's for nothing."""
        with overlap.change(BOEKENBURG) as change:
            said = confirm_library(change, BOEKENBURG, Purpose.PEERS, "boekenburg")
            assert confirm_library(change, BOEKENBURG, Purpose.PEERS, "boekenburg") == said
            with pytest.raises(NotFound):
                confirm_library(change, BOEKENBURG, Purpose.PEERS, "leesstad")
        with overlap.change(READER) as change, pytest.raises(Forbidden):
            confirm_library(change, READER, Purpose.PEERS, "leesstad")
        assert {library for _, library in _obstacles(overlap.show())} == {"leesstad", "zeedorp"}

    def test_peer_of_another_authority_has_to_confirm_too(self, overlap: Trio) -> None:
        """A library whose peers have certificates from elsewhere must know the new root all the same."""
        with overlap.change() as change:
            revoke_certificate(change, OPERATOR, f"{overlap.peers['zeedorp'].leaf().serial_number:x}")
        (blocker,) = [each for each in overlap.show().blockers if each.library == "zeedorp"]
        assert "zeedorp/radius" in blocker.detail

    def test_abort_takes_the_new_root_away(self, overlap: Trio, tmp_path: Path) -> None:
        """Nothing of the new root is trusted or can sign; the old goes on, and the next one is another again."""
        with overlap.change() as change:
            ended = take_step(change, OPERATOR, Purpose.PEERS, RolloverEvent.ABORT, ())
        assert (ended.state, ended.next_step) == (RolloverState.ABORTED, None)
        with overlap.registry.read() as session:
            assert load_anchors(session, Purpose.PEERS).count("BEGIN") == 1
            assert load_authority(session, Purpose.PEERS, ROOT, 2).sealed_key is None
            with pytest.raises(NotFound):
                load_crl_der(session, Purpose.PEERS, 2)
        overlap.verify_everybody(tmp_path)
        with overlap.change() as change:
            assert plan_rollover(change, OPERATOR, Purpose.PEERS).new.generation == 3


class TestForce:
    def test_step_that_would_break_somebody_is_taken_and_kept_in_the_trail(self, overlap: Trio) -> None:
        """Forced, the switch is made, and the audit trail says who was named."""
        with pytest.raises(Blocked):
            overlap.advance()
        assert overlap.advance(force=True).state is RolloverState.SWITCHED
        with overlap.registry.read() as session:
            row = session.scalars(select(AuditRow).where(AuditRow.action == "rollover.switch")).one()
        assert row.after is not None
        assert row.after["forced"] is True
        assert row.after["named"] == [f"library/{library}" for library in LIBRARIES]


@pytest.fixture
def switched(overlap: Trio) -> Trio:
    """All three have the new root, and the new authority issues."""
    for library in LIBRARIES:
        overlap.renew(library)
    overlap.advance()
    return overlap


class TestSwitch:
    def test_our_own_certificate_comes_from_the_new_authority(self, switched: Trio) -> None:
        """The proxy shows the new chain with the switch, and every peer that renewed believes it."""
        with switched.registry.read() as session:
            chain = load_peer_trust(session, switched.registry.sealer).certificate_chain_pem
        assert "G2" in x509.load_pem_x509_certificates(chain)[0].issuer.rfc4514_string()

    def test_renewal_of_the_same_day_is_from_the_new_authority(self, switched: Trio) -> None:
        """A library need not wait a day to leave the old root, also without a secret."""
        switched.peers["boekenburg"].token = None
        switched.renew("boekenburg")
        assert "G2" in switched.peers["boekenburg"].leaf().issuer.rfc4514_string()

    def test_revoked_certificate_is_on_the_list_of_its_issuer(self, switched: Trio) -> None:
        """Each list names what its own authority issued, and nothing of the other's."""
        old = switched.peers["boekenburg"].leaf().serial_number
        switched.renew("leesstad")
        new = switched.peers["leesstad"].leaf().serial_number
        with switched.change() as change:
            for serial in (old, new):
                revoke_certificate(change, OPERATOR, f"{serial:x}")
        with switched.registry.read() as session:
            first, second = (x509.load_der_x509_crl(load_crl_der(session, Purpose.PEERS, number)) for number in (1, 2))
        assert [entry.serial_number for entry in first] == [old]
        assert [entry.serial_number for entry in second] == [new]

    def test_peer_that_shows_its_earlier_certificate_is_named(self, switched: Trio) -> None:
        """A new certificate that lies unused keeps nobody from breaking: what the proxy sees counts."""
        before = {library: f"{switched.peers[library].leaf().serial_number:x}" for library in LIBRARIES}
        for library in LIBRARIES:
            switched.renew(library)
        report = switched.report(*LIBRARIES, serials={"zeedorp": before["zeedorp"]})
        blockers = switched.show([report]).blockers
        assert (Obstacle.CERTIFICATE_IN_USE, f"certificate/{before['zeedorp']}") in [
            (each.obstacle, each.subject) for each in blockers
        ]
        assert {each.library for each in blockers} == {"zeedorp"}

    def test_peer_that_has_not_accepted_the_new_chain_is_named(self, switched: Trio) -> None:
        """Who was last seen with our old certificate would be lost with the way back."""
        with switched.registry.read() as session:
            old = load_authority(session, Purpose.PEERS, ROOT, 1).certificate_pem.encode()
        report = switched.report("leesstad")
        peers = report.counters["peers"]
        assert isinstance(peers, dict)
        peers["leesstad/radius"]["own_anchor"] = x509.load_pem_x509_certificate(old).fingerprint(hashes.SHA256()).hex()
        found = [each for each in switched.show([report]).blockers if each.obstacle is Obstacle.CHAIN_NOT_ACCEPTED]
        assert [each.subject for each in found] == ["peer/leesstad/radius"]

    def test_switch_can_be_taken_back(self, switched: Trio, tmp_path: Path) -> None:
        """The old authority issues again, our own certificate first; what the new one issued is believed on."""
        switched.renew("zeedorp")
        with switched.change() as change:
            back = take_step(change, OPERATOR, Purpose.PEERS, RolloverEvent.REVERT, ())
        assert back.state is RolloverState.OVERLAP
        with switched.registry.read() as session:
            chain = load_peer_trust(session, switched.registry.sealer).certificate_chain_pem
        assert "G2" not in x509.load_pem_x509_certificates(chain)[0].issuer.rfc4514_string()
        switched.verify_everybody(tmp_path)
        with switched.change() as change, pytest.raises(Blocked) as refusal:
            take_step(change, OPERATOR, Purpose.PEERS, RolloverEvent.ABORT, ())
        (reason,) = refusal.value.reasons
        assert "radius.zeedorp.test" in reason

    def test_progress_says_who_shows_and_who_accepts_the_new_chain(self, switched: Trio) -> None:
        """Each library's certificates are counted by authority, and its peers by what the proxy saw."""
        switched.renew("boekenburg")
        progress = {each.library: each for each in switched.show([switched.report(*LIBRARIES)]).libraries}
        assert (progress["boekenburg"].old_certificates, progress["boekenburg"].new_certificates) == (0, 1)
        assert (progress["leesstad"].old_certificates, progress["leesstad"].new_certificates) == (1, 0)
        assert progress["boekenburg"].presenting == ("boekenburg/radius",)
        assert progress["leesstad"].presenting == ()
        assert all(each.accepting == (f"{library}/radius",) for library, each in progress.items())

    def test_every_certificate_shows_the_chain_of_its_own_issuer(self, switched: Trio) -> None:
        """Those of both generations are listed with the issuer that signed each."""
        switched.renew("boekenburg")
        with switched.registry.read() as session:
            items = list_certificates(session, OPERATOR, switched.members.clock.now).items
            generations = set(session.scalars(select(CertificateRow.generation)))
        for item in items:
            leaf, issuer = x509.load_pem_x509_certificates(item.chain_pem.encode())
            leaf.verify_directly_issued_by(issuer)
        assert generations == {1, 2}


class TestEap:
    def test_devices_are_asked_for_by_their_libraries(self, members: Members, tmp_path: Path) -> None:
        """Nobody sees what devices trust, so each hosted library has to confirm before the Wi-Fi's root changes."""
        with members.change() as change:
            plan_rollover(change, OPERATOR, Purpose.EAP)
            advance_rollover(change, OPERATOR, Purpose.EAP, ())
        members.clock.advance(hours=2)
        with members.change() as change, pytest.raises(Blocked) as refusal:
            advance_rollover(change, OPERATOR, Purpose.EAP, ())
        assert [reason.partition(":")[0] for reason in refusal.value.reasons] == [
            "library/boekenburg",
            "library/leesstad",
        ]
        with members.change() as change:
            for library in ("boekenburg", "leesstad"):
                confirm_library(change, OPERATOR, Purpose.EAP, library)
            anchors = load_anchors(change.session, Purpose.EAP).encode()
            advance_rollover(change, OPERATOR, Purpose.EAP, ())
            credentials = load_eap_credentials(change.session, members.sealer)
        root = [
            each.public_bytes(serialization.Encoding.PEM)
            for each in x509.load_pem_x509_certificates(anchors)
            if "G2" in each.subject.rfc4514_string()
        ]
        assert len(root) == 1
        at = members.clock.now
        assert verify_chain(tmp_path, root[0], credentials.certificate_chain_pem, at=at).returncode == 0
        assert verify_chain(tmp_path, anchors, credentials.certificate_chain_pem, at=at).returncode == 0
