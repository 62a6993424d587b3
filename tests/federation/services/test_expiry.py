"""Days left: for everything that is presented or accepted, told in time and told once."""

import logging
from datetime import timedelta
from pathlib import Path

import pytest

from federation.services.certificates import issue_certificate, renew_certificate, revoke_certificate
from federation.services.expiry import Life, Warnings, check_lives, find_troubles, find_upkeep, list_lives
from federation.services.foreign_anchors import add_anchor
from federation.services.outside_roots import export_root, forget_root
from federation.services.renewal import Renewals
from federation.services.rollovers import advance_rollover, plan_rollover
from federation.services.sightings import record_sightings
from federation.statistics.reports import WorkerReport
from federation.trust.outside import open_root, sign_proof
from federation.trust.profiles import Purpose
from tests.federation.members import BOEKENBURG, OPERATOR, START, Members
from tests.federation.trust.authorities import OtherAuthority
from tests.federation.trust.certificates import openssl_request, pem


@pytest.fixture
def serial(members: Members, tmp_path: Path) -> str:
    """A peer's certificate, issued at the start."""
    with members.change(BOEKENBURG) as change:
        request = openssl_request(tmp_path, "DNS:radius1.boekenburg.test")
        return issue_certificate(change, BOEKENBURG, "boekenburg", request).serial


def lives(members: Members) -> dict[str, Life]:
    with members.registry.read() as session:
        return {life.serial: life for life in list_lives(session, members.clock.now)}


class TestLives:
    def test_everything_in_force_is_there(self, members: Members, serial: str) -> None:
        """A peer's, the proxy's and the home server's certificates, and all four authorities."""
        kinds = sorted(life.kind for life in lives(members).values())
        assert kinds == ["eap-server", *2 * ["issuing authority"], "operator", "peer", *2 * ["root authority"]]
        life = lives(members)[serial]
        assert (life.days_left, life.name, life.library, life.is_due) == (
            90.0,
            "radius1.boekenburg.test",
            "boekenburg",
            False,
        )

    def test_replaced_and_revoked_are_left_out(self, members: Members, serial: str) -> None:
        """Nobody waits for the end of what is not used."""
        with members.change() as change:
            renewed = renew_certificate(change, OPERATOR, serial).serial
        assert serial not in lives(members)
        assert renewed in lives(members)
        with members.change() as change:
            revoke_certificate(change, OPERATOR, renewed)
        assert renewed not in lives(members)

    @pytest.mark.parametrize(
        ("days", "threshold"), [(29, None), (30, 60), (60, 30), (76, 14), (83, 7), (89, 1), (90, 1), (95, 1)]
    )
    def test_number_of_days_that_it_has_come_to(
        self, members: Members, serial: str, days: int, threshold: int | None
    ) -> None:
        """60, 30, 14, 7 and 1 days before its end, and after it."""
        members.clock.advance(days=days)
        assert lives(members)[serial].threshold_days == threshold


class TestTroubles:
    def test_certificate_that_nobody_renewed_is_named(self, members: Members, serial: str) -> None:
        """With two weeks left it is named, and once it has run out that is said; before, all is well."""
        members.clock.advance(days=75)
        assert not [text for text in find_troubles(lives(members).values()) if "boekenburg" in text]
        members.clock.advance(days=8)
        assert "peer radius1.boekenburg.test runs out in 7 days" in find_troubles(lives(members).values())
        members.clock.advance(days=8)
        assert "peer radius1.boekenburg.test has run out" in find_troubles(lives(members).values())
        assert serial in lives(members)

    def test_doctor_says_which_runs_out_first(self, members: Members, serial: str) -> None:
        """While all is well it counts them; what is in trouble is an error that names it."""
        with members.registry.read() as session:
            assert check_lives(session, START).endswith("in 90 days")
            with pytest.raises(ValueError, match=r"peer radius1\.boekenburg\.test runs out in 7 days"):
                check_lives(session, START + timedelta(days=83))
        assert serial in lives(members)


class TestOthers:
    def test_what_a_peer_presents_is_there_whoever_issued_it(self, members: Members, serial: str) -> None:
        """A certificate of another authority has its days left as a proxy saw it; ours is there once."""
        entry = {"end": "client", "anchor": "a" * 64, "own_anchor": "b" * 64, "seen_at": START.timestamp()}
        ends = (START + timedelta(days=40)).timestamp()
        peers = {
            "boekenburg/own": {**entry, "serial": serial, "not_after": ends},
            "leesstad/other": {**entry, "serial": "ff", "not_after": ends},
        }
        report = WorkerReport("proxy", 0, 1, 1, START, counters={"peers": peers})
        record_sightings(members.store, [report])
        found = lives(members)["ff"]
        assert (found.kind, found.name, found.library, found.threshold_days) == (
            "presented",
            "leesstad/other",
            "leesstad",
            60,
        )
        assert lives(members)[serial].kind == "peer"
        members.clock.advance(days=29)
        assert "presented leesstad/other runs out in 11 days" in find_troubles(lives(members).values())
        members.clock.advance(days=2)
        assert "ff" not in lives(members)  # not seen for a month: it is no peer any more

    def test_other_authorities_are_there(self, members: Members) -> None:
        """The root of another authority runs out as any other."""
        pem_of = pem(OtherAuthority("SURF root", days=10).certificate)
        with members.change() as change:
            add_anchor(change, OPERATOR, name="surf", certificates_pem=pem_of, libraries=["boekenburg"])
        (found,) = [life for life in lives(members).values() if life.kind == "other authority"]
        assert (found.name, found.threshold_days) == ("surf", 14)

    def test_what_is_below_a_retired_root_is_left_out(self, members: Members, serial: str) -> None:
        """Nobody accepts it, so nobody waits for its end."""
        with members.change() as change:
            plan_rollover(change, OPERATOR, Purpose.PEERS)
            for _ in range(3):
                advance_rollover(change, OPERATOR, Purpose.PEERS, (), force=True)
        assert serial not in lives(members)
        assert [life.name for life in lives(members).values() if life.kind == "root authority"].count("peers") == 1


class TestUpkeep:
    def test_authority_whose_root_is_elsewhere_is_told_of(
        self, members: Members, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A request after two thirds of its life, and the root's list before its end: said once, with the command."""
        with members.change() as change:
            found = export_root(change, OPERATOR, Purpose.PEERS, "twaalf tekens of meer")
            root = open_root(found.key_pem.encode(), found.certificate_pem.encode(), "twaalf tekens of meer")
            forget_root(change, OPERATOR, Purpose.PEERS, sign_proof(root))
        with members.registry.read() as session:
            assert find_upkeep(session, START + timedelta(days=160)) == []
            (text,) = find_upkeep(session, START + timedelta(days=170))
            assert "import-list --purpose peers" in text
            assert "is out of date" in find_upkeep(session, START + timedelta(days=181))[0]
            request, _ = find_upkeep(session, START + timedelta(days=1470))
            assert "request --purpose peers" in request
            with pytest.raises(ValueError, match="is out of date"):
                check_lives(session, START + timedelta(days=181))
        members.clock.advance(days=170)
        renewals = Renewals(members.registry)
        with caplog.at_level(logging.WARNING, logger="federation.services.renewal"):
            renewals.renew()
            renewals.renew()
        assert [record.msg for record in caplog.records].count("authority_needs_its_root") == 1


class TestWarnings:
    def test_each_number_is_told_once(self, members: Members, serial: str) -> None:
        """An hourly look says the same thing once for each of the five numbers."""
        warnings = Warnings()
        told: list[float] = []
        for _ in range(92):
            told.extend(life.days_left for life in warnings.take(lives(members).values()) if life.serial == serial)
            members.clock.advance(days=1)
        assert told == [60.0, 30.0, 14.0, 7.0, 1.0]

    def test_recorder_logs_them(self, members: Members, serial: str, caplog: pytest.LogCaptureFixture) -> None:
        """The hourly renewal warns of what it can not renew itself, and not of what it has just renewed."""
        members.clock.advance(days=83)
        renewals = Renewals(members.registry)
        with caplog.at_level(logging.WARNING, logger="federation.services.renewal"):
            renewals.renew()
            renewals.renew()
        assert [record.__dict__["serial"] for record in caplog.records] == [serial]
        assert members.clock.now > START
