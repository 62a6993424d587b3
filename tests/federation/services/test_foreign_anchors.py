"""Other authorities: trusted for some libraries, with their lists fetched from a real web server."""

import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from sqlalchemy import select

from federation.errors import Conflict, Forbidden, InvalidInput, NotFound
from federation.services.authorities import ROOT, load_authority, load_peer_trust
from federation.services.foreign_anchors import Anchor, add_anchor, list_anchors, remove_anchor, show_anchor
from federation.services.foreign_lists import Outcome, find_list_troubles, refresh_lists
from federation.services.libraries import remove_library
from federation.services.list_fetch import FetchFailed, fetch_list
from federation.services.trust_watch import TrustWatch
from federation.snapshot import PeerTrust
from federation.store.tables.registry import AuditRow
from federation.trust.foreign import ListPolicy
from federation.trust.profiles import Purpose
from tests.federation.members import BOEKENBURG, OPERATOR, START, Members
from tests.federation.trust.authorities import OtherAuthority
from tests.federation.trust.certificates import pem
from tests.support.webserver import Answer, WebServer

DER = serialization.Encoding.DER
LIST = "/ca.crl"


@pytest.fixture
def web() -> Iterator[WebServer]:
    with WebServer().running() as server:
        yield server


@pytest.fixture
def surf() -> OtherAuthority:
    return OtherAuthority("SURF root")


def add(
    members: Members, authority: OtherAuthority, *urls: str, policy: ListPolicy = ListPolicy.SOFT, name: str = "surf"
) -> Anchor:
    with members.change() as change:
        return add_anchor(
            change,
            OPERATOR,
            name=name,
            certificates_pem=pem(authority.certificate),
            libraries=["boekenburg"],
            list_urls=urls,
            policy=policy,
        )


def trust(members: Members) -> PeerTrust:
    with members.registry.read() as session:
        return load_peer_trust(session, members.sealer)


def troubles(members: Members) -> list[str]:
    with members.registry.read() as session:
        return find_list_troubles(session, members.clock.now)


def refresh(members: Members) -> list[Outcome]:
    return refresh_lists(members.registry)


class TestAnchors:
    def test_proxies_are_told_whom_it_may_speak_for(self, members: Members, surf: OtherAuthority) -> None:
        """Its root comes with its libraries, and apart from ours: who does not ask for them does not trust it."""
        made = add(members, surf)
        found = trust(members)
        assert found.anchors_pem.count(b"BEGIN CERT") == 1
        assert found.foreign_anchors[made.fingerprint].certificate_pem == pem(surf.certificate)
        assert set(found.foreign_anchors) == {made.fingerprint}
        assert found.admits(made.fingerprint, "boekenburg", [], 0.0)
        assert not found.admits(made.fingerprint, "leesstad", [], 0.0)

    def test_it_goes_with_its_library(self, members: Members, surf: OtherAuthority) -> None:
        """A root that may speak for nobody is not trusted, and a later library of that id does not inherit it."""
        add(members, surf)
        with members.change() as change:
            remove_library(change, OPERATOR, "boekenburg")
        assert trust(members).foreign_anchors == {}
        with members.registry.read() as session:
            assert [anchor.libraries for anchor in list_anchors(session, START)] == [()]

    def test_removed_is_trusted_no_more(self, members: Members, surf: OtherAuthority) -> None:
        """Nothing of it is left, and it can be added again."""
        add(members, surf, "http://crl.example/ca.crl")
        with members.change(BOEKENBURG) as change, pytest.raises(Forbidden):
            remove_anchor(change, BOEKENBURG, "surf")
        with members.change() as change:
            remove_anchor(change, OPERATOR, "surf")
        assert trust(members).foreign_anchors == {}
        with members.registry.read() as session, pytest.raises(NotFound):
            show_anchor(session, "surf", START)
        add(members, surf, "http://crl.example/ca.crl")

    def test_what_can_not_be_is_refused(self, members: Members, surf: OtherAuthority) -> None:
        """A second of that name or root, our own root, a hard policy without a list, a library's wish."""
        add(members, surf)
        with pytest.raises(Conflict):
            add(members, OtherAuthority("other"))
        with pytest.raises(InvalidInput, match="already"):
            add(members, surf, name="again")
        with members.registry.read() as session:
            own = load_authority(session, Purpose.PEERS, ROOT).certificate_pem.encode()
        more = pem(OtherAuthority("more").certificate)
        with members.change() as change:
            with pytest.raises(InvalidInput, match="already"):
                add_anchor(change, OPERATOR, name="own", certificates_pem=own, libraries=["boekenburg"])
            with pytest.raises(NotFound):
                add_anchor(change, OPERATOR, name="more", certificates_pem=more, libraries=["nobody"])
            with pytest.raises(InvalidInput, match="hard policy"):
                add_anchor(
                    change,
                    OPERATOR,
                    name="more",
                    certificates_pem=more,
                    libraries=["boekenburg"],
                    policy=ListPolicy.HARD,
                )
            with pytest.raises(Forbidden):
                add_anchor(change, BOEKENBURG, name="more", certificates_pem=more, libraries=["boekenburg"])

    @pytest.mark.parametrize(
        "url", ["file:///etc/passwd", "ldap://x/y", "http://", "http://u:p@x/y", "http://x/ y", "http://[", "x", ""]
    )
    def test_url_that_is_no_web_address_is_refused(self, members: Members, surf: OtherAuthority, url: str) -> None:
        """Lists come over http or https; no file of this machine is read for one."""
        with pytest.raises(InvalidInput, match="no URL"):
            add(members, surf, url)


class TestLists:
    def test_list_is_fetched_kept_and_told_to_the_proxies(
        self, members: Members, surf: OtherAuthority, web: WebServer
    ) -> None:
        """It is there after a restart; the same list again is no change; a newer one is."""
        add(members, surf, web.url + LIST)
        first = surf.build_list(1, 66)
        web.answers[LIST] = Answer(first.public_bytes(DER))
        announced = len(members.announced)
        assert [outcome.error for outcome in refresh(members)] == [""]
        assert trust(members).revocation_lists_pem == pem(first)
        assert len(members.announced) == announced + 1
        assert refresh(members) == []  # not due
        members.clock.advance(days=1)
        assert [outcome.is_news for outcome in refresh(members)] == [False]
        assert len(members.announced) == announced + 1
        members.clock.advance(days=1)
        web.answers[LIST] = Answer(surf.build_list(2, 66, 67, at=START + timedelta(days=2)).public_bytes(DER))
        refresh(members)
        assert len(members.announced) == announced + 2
        with members.registry.read() as session:
            assert len(session.scalars(select(AuditRow).where(AuditRow.action == "foreign-list.take")).all()) == 2
        assert troubles(members) == []

    @pytest.mark.parametrize("policy", list(ListPolicy))
    def test_list_that_runs_out_is_held_or_refused_as_the_policy_says(
        self, members: Members, surf: OtherAuthority, web: WebServer, policy: ListPolicy
    ) -> None:
        """Soft goes on with the last list and warns; hard believes nothing from its next update on."""
        made = add(members, surf, web.url + LIST, policy=policy)
        fingerprint, issuers = made.fingerprint, [surf.name.public_bytes()]
        is_soft = policy is ListPolicy.SOFT
        assert trust(members).admits(fingerprint, "boekenburg", issuers, START.timestamp()) is is_soft  # none yet
        web.answers[LIST] = Answer(surf.build_list(1, 66).public_bytes(DER))
        refresh(members)
        found = trust(members)
        web.answers.clear()
        end = (START + timedelta(days=7)).timestamp()
        assert found.admits(fingerprint, "boekenburg", issuers, end - 1)
        assert found.admits(fingerprint, "boekenburg", issuers, end) is is_soft
        members.clock.advance(days=8)
        assert [outcome.error for outcome in refresh(members)] == ["the answer is 404"]
        (trouble,) = troubles(members)
        assert "it held until 2026-12-01" in trouble
        assert ("are refused" in trouble) is not is_soft
        assert b"X509 CRL" in trust(members).revocation_lists_pem  # what it revoked stays revoked

    def test_failure_is_tried_again_soon_and_told_once(
        self, members: Members, surf: OtherAuthority, web: WebServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Each quarter of an hour, with a line in the log when the reason is new; a list that comes ends it."""
        add(members, surf, web.url + LIST)
        watch = TrustWatch(members.registry, lambda: ())
        with caplog.at_level(logging.INFO, logger="federation.services.trust_watch"):
            for _ in range(4):
                watch.look()
                members.clock.advance(minutes=10)
            web.answers[LIST] = Answer(b"<html>")
            members.clock.advance(minutes=10)
            watch.look()
            web.answers[LIST] = Answer(surf.build_list().public_bytes(DER))
            members.clock.advance(minutes=20)
            watch.look()
        assert [(record.msg, record.__dict__.get("reason")) for record in caplog.records] == [
            ("foreign_list_failed", "the answer is 404"),
            ("foreign_list_failed", "this is no revocation list"),
            ("foreign_list_taken", None),
        ]
        assert watch.counters() == {"foreign_lists_taken": 1, "foreign_list_failures": 3}
        assert len(web.asked) == 4

    def test_list_of_another_and_an_older_one_change_nothing(
        self, members: Members, surf: OtherAuthority, web: WebServer
    ) -> None:
        """Whoever answers for the web server can neither forge a list nor bring an old one again."""
        add(members, surf, web.url + LIST)
        web.answers[LIST] = Answer(surf.build_list(5, 66).public_bytes(DER))
        refresh(members)
        held = trust(members).revocation_lists_pem
        for octets in (OtherAuthority("SURF root").build_list(6), surf.build_list(4)):
            members.clock.advance(days=1)
            web.answers[LIST] = Answer(octets.public_bytes(DER))
            assert [bool(outcome.error) for outcome in refresh(members)] == [True]
        assert trust(members).revocation_lists_pem == held


class TestFetch:
    def test_redirection_is_followed(self, web: WebServer) -> None:
        """A list may have moved."""
        web.answers["/old"] = Answer(status=301, headers={"Location": "/new"})
        web.answers["/new"] = Answer(b"list")
        assert fetch_list(web.url + "/old", 100) == b"list"
        assert web.asked[0][1]["Accept-Encoding"] == "identity"

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (Answer(status=302, headers={"Location": "file:///etc/passwd"}), "no web server"),
            (Answer(status=302, headers={"Location": "/a"}), "more than 3 times"),
            (Answer(b"x" * 101), "longer than 100"),
            (Answer(status=500), "the answer is 500"),
            (Answer(b"x", stalls=True), "no whole answer within"),
        ],
        ids=["file", "circle", "long", "error", "stalled"],
    )
    def test_what_is_no_plain_answer_fails(self, web: WebServer, answer: Answer, reason: str) -> None:
        """Bounded in redirections, octets and time; only the web is asked."""
        web.answers["/a"] = answer
        with pytest.raises(FetchFailed, match=reason):
            fetch_list(web.url + "/a", 100, seconds=1.5)

    def test_nobody_there_fails(self) -> None:
        """A host that has no address, and one where nobody listens."""
        with pytest.raises(FetchFailed, match="no address"):
            fetch_list("http://nobody.invalid/", 100, seconds=5)
        with pytest.raises(FetchFailed, match="no answer"):
            fetch_list("http://127.0.0.1:1/", 100, seconds=5)

    def test_public_server_does_not_lead_inside(self, web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """A web server of the Internet can not make us ask one of our own network."""
        web.answers["/a"] = Answer(status=302, headers={"Location": f"{web.url}/b"})
        web.answers["/b"] = Answer(b"secret")
        asked: list[str] = []

        async def leads_inside(url: str) -> bool:
            asked.append(url)
            return len(asked) > 1  # the first stands for a public one, which a test does not reach

        monkeypatch.setattr("federation.services.list_fetch._leads_inside", leads_inside)
        with pytest.raises(FetchFailed, match="private network"):
            fetch_list(web.url + "/a", 100)
        assert [path for path, _ in web.asked] == ["/a"]
