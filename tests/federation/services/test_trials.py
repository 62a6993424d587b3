"""Trials of a new chain: what is shown to the peers, what is kept, and who stands in the way of the switch."""

from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from cryptography import x509
from sqlalchemy import select

from federation.errors import Conflict, Forbidden, NotFound
from federation.services.authorities import load_peer_trust, renew_when_due
from federation.services.home_servers import HomeServerValues, add_home_server
from federation.services.rollover_gates import Obstacle
from federation.services.rollovers import (
    Rollover,
    confirm_library,
    plan_rollover,
    show_rollover,
    take_step,
)
from federation.services.sightings import record_sightings
from federation.services.trials import Preparation, TrialRecord, prepare_trial, record_trials, show_trials
from federation.snapshot import Transport
from federation.statistics.reports import WorkerReport
from federation.store.tables.trust import CertificateRow
from federation.trust.profiles import Purpose
from federation.trust.rollover import RolloverEvent
from tests.federation.members import BOEKENBURG, OPERATOR, Members

PEER = "boekenburg/radius1"


@dataclass(frozen=True)
class Outcome:
    """What became of one connection."""

    verdict: str
    detail: str = "tlsv1 alert unknown ca"
    peer: str = PEER
    serial: str = "1a2b"


class RollingOver:
    """A library with a server over TLS, and a roll-over of the peers' root."""

    def __init__(self, members: Members) -> None:
        self.members = members
        with members.change() as change:
            values = HomeServerValues(host="192.0.2.7", port=2083, transport=Transport.TLS)
            add_home_server(change, OPERATOR, "boekenburg", name="radius1", values=values)
            plan_rollover(change, OPERATOR, Purpose.PEERS)

    def publish(self) -> None:
        with self.members.change() as change:
            take_step(change, OPERATOR, Purpose.PEERS, RolloverEvent.PUBLISH, ())
        self.members.clock.advance(hours=2)

    def prepare(self) -> Preparation:
        with self.members.change() as change:
            return prepare_trial(change, OPERATOR, Purpose.PEERS)

    def record(self, *outcomes: Outcome) -> list[TrialRecord]:
        return record_trials(self.members.registry, self.prepare().rollover, outcomes)

    def blockers(self, reports: Iterable[WorkerReport] = ()) -> list[tuple[Obstacle, str]]:
        return [(each.obstacle, each.subject) for each in self.show(reports).blockers]

    def show(self, reports: Iterable[WorkerReport] = ()) -> Rollover:
        with self.members.registry.read() as session:
            return show_rollover(session, Purpose.PEERS, tuple(reports), self.members.clock.now)


@pytest.fixture
def rolling(members: Members) -> RollingOver:
    return RollingOver(members)


class TestPrepare:
    def test_new_chain_is_shown_and_nothing_of_it_stays(self, rolling: RollingOver) -> None:
        """A certificate below the new root, for our own name, whose key is in no row; the proxy shows what it did."""
        rolling.publish()
        registry = rolling.members.registry
        with registry.read() as session:
            before = load_peer_trust(session, registry.sealer)
        prepared = rolling.prepare()
        leaf, issuing = x509.load_pem_x509_certificates(prepared.material.certificate_chain_pem)
        leaf.verify_directly_issued_by(issuing)
        roots = x509.load_pem_x509_certificates(prepared.material.anchors_pem)
        assert len(roots) == 2
        (root,) = [each for each in roots if each.subject == issuing.issuer]
        assert root.subject != x509.load_pem_x509_certificates(before.certificate_chain_pem)[1].issuer
        assert [(each.key, each.host) for each in prepared.servers] == [(PEER, "192.0.2.7")]
        with registry.read() as session:
            assert load_peer_trust(session, registry.sealer) == before
            row = session.scalars(select(CertificateRow).order_by(CertificateRow.issued_at.desc())).first()
            assert row is not None
            assert (row.serial, row.sealed_key) == (f"{leaf.serial_number:x}", None)
        assert renew_when_due(registry) == []

    def test_there_is_a_time_for_it(self, rolling: RollingOver) -> None:
        """Before the new root is published every peer would refuse; after the switch there is nothing to try."""
        with pytest.raises(Conflict, match="planned"):
            rolling.prepare()
        rolling.publish()
        with rolling.members.change() as change:
            take_step(change, OPERATOR, Purpose.PEERS, RolloverEvent.SWITCH, (), force=True)
        with pytest.raises(Conflict, match="switched"):
            rolling.prepare()

    def test_devices_can_not_be_asked(self, rolling: RollingOver) -> None:
        """There is no trial of the EAP root."""
        with rolling.members.change() as change, pytest.raises(Conflict, match="devices"):
            prepare_trial(change, OPERATOR, Purpose.EAP)

    def test_operators_try(self, rolling: RollingOver) -> None:
        """A library's token dials nobody."""
        rolling.publish()
        with rolling.members.change() as change, pytest.raises(Forbidden):
            prepare_trial(change, BOEKENBURG, Purpose.PEERS)


class TestGate:
    def test_who_refuses_is_named_although_its_library_confirmed(self, rolling: RollingOver) -> None:
        """What a server does weighs more than what is said of it; the switch waits, and says why."""
        rolling.publish()
        with rolling.members.change() as change:
            confirm_library(change, OPERATOR, Purpose.PEERS, "boekenburg")
        assert rolling.blockers() == []
        rolling.record(Outcome("refused"))
        assert rolling.blockers() == [(Obstacle.CHAIN_REFUSED, f"peer/{PEER}")]
        assert "unknown ca" in rolling.show().blockers[0].detail

    def test_who_accepts_in_a_later_trial_is_no_longer(self, rolling: RollingOver) -> None:
        """Nor does its library have to confirm: its server has said it."""
        rolling.publish()
        rolling.record(Outcome("refused"))
        assert {obstacle for obstacle, _ in rolling.blockers()} == {
            Obstacle.CHAIN_REFUSED,
            Obstacle.ROOT_NOT_DELIVERED,
        }
        rolling.record(Outcome("accepted", "it answered Status-Server"))
        assert rolling.blockers() == []

    def test_who_could_not_be_asked_is_as_before(self, rolling: RollingOver) -> None:
        """A server that was down has neither accepted nor refused."""
        rolling.publish()
        rolling.record(Outcome("unknown", "there is no connection: time-out"))
        assert rolling.blockers() == [(Obstacle.ROOT_NOT_DELIVERED, "library/boekenburg")]

    def test_connection_that_a_proxy_saw_later_counts(self, rolling: RollingOver) -> None:
        """A peer that accepted the new chain since is not named for an earlier refusal."""
        rolling.publish()
        rolling.record(Outcome("refused"))
        rolling.members.clock.advance(minutes=5)
        now = rolling.members.clock.now
        seen = {
            "end": "server",
            "anchor": "ab" * 32,
            "serial": "1a2b",
            "own_anchor": rolling.show().new.fingerprint,
            "not_after": now.timestamp() + 1e6,
            "seen_at": now.timestamp(),
        }
        report = WorkerReport("proxy", 0, 1, rolling.members.announced[-1], now, counters={"peers": {PEER: seen}})
        record_sightings(rolling.members.registry.store, (report,))
        assert rolling.blockers() == []

    def test_peer_that_left_the_registry_blocks_nobody(self, rolling: RollingOver) -> None:
        """Trials are of those who are registered."""
        rolling.publish()
        rolling.record(Outcome("refused", peer="boekenburg/gone"))
        assert (Obstacle.CHAIN_REFUSED, "peer/boekenburg/gone") not in rolling.blockers()


class TestRecord:
    def test_last_trial_of_each_peer_is_kept(self, rolling: RollingOver) -> None:
        """By peer, with what it said in few words, and when."""
        rolling.publish()
        rolling.record(Outcome("accepted"))
        rolling.record(Outcome("refused", "x" * 500), Outcome("unknown", peer="boekenburg/other"))
        rollover = rolling.prepare().rollover
        with rolling.members.registry.read() as session:
            found = show_trials(session, rollover)
        assert [(each.peer, each.verdict, len(each.detail)) for each in found] == [
            ("boekenburg/other", "unknown", 22),
            (PEER, "refused", 200),
        ]
        assert {each.tried_at for each in found} == {rolling.members.clock.now}

    def test_rollover_that_is_gone_takes_none(self, members: Members) -> None:
        """Nothing is kept of a roll-over that a restored backup does not know."""
        with pytest.raises(NotFound):
            record_trials(members.registry, 7, [Outcome("accepted")])
