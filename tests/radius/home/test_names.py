from collections.abc import Mapping

import pytest

from federation.snapshot import HostedRealm
from radius.home.names import find_hosted, find_patron

REALMS: Mapping[str, HostedRealm] = {
    realm.name: realm
    for realm in (
        HostedRealm("west.example", "west", "local", includes_subrealms=True),
        HostedRealm("branch.west.example", "west", "local"),
        HostedRealm("west-friends.example", "west", "local"),
        HostedRealm("east.example", "east", "local"),
    )
}


class TestFindHosted:
    @pytest.mark.parametrize(
        ("realm", "found"),
        [
            ("west.example", "west.example"),
            ("pc.west.example", "west.example"),
            ("a.b.west.example", "west.example"),
            ("branch.west.example", "branch.west.example"),
            ("pc.branch.west.example", None),
            ("pc.east.example", None),
            ("notwest.example", None),
            ("example", None),
        ],
    )
    def test_nearest_owner_decides(self, realm: str, found: str | None) -> None:
        """A sub-realm belongs to its nearest parent if that includes its sub-realms; a look-alike to nobody."""
        hosted = find_hosted(REALMS, realm)
        assert (hosted.name if hosted else None) == found


class TestFindPatron:
    @pytest.mark.parametrize(
        ("name", "realm", "user"),
        [
            ("anna", "west.example", "anna"),
            ("anna@west.example", "west.example", "anna"),
            ("anna@WEST.example", "west.example", "anna"),
            ("anna@pc.west.example", "west.example", "anna"),
            ("anna@branch.west.example", "branch.west.example", "anna"),
            ("anna@west-friends.example", "west-friends.example", "anna"),
            ("WEST\\anna@west.example", "west.example", "WEST\\anna"),
            ("ünsal@west.example", "west.example", "ünsal"),
        ],
    )
    def test_library_answers_for_all_its_realms(self, name: str, realm: str, user: str) -> None:
        """A name inside the tunnel is asked about in its own realm, whichever of the library's that is."""
        found = find_patron(REALMS, "west.example", name)
        assert found is not None
        assert (found[0].name, found[1]) == (realm, user)

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "anna@east.example",
            "anna@pc.branch.west.example",
            "anna@notwest.example",
            "anna@west.example.",
            "anna@west",
            "@west.example",
            "anna@",
            "a@b@west.example",
            "anna@\uff57est.example",
            "an\nna@west.example",
            "an\nna",
            "anna\x00",
            "an\u202ena",
        ],
    )
    def test_anybody_elses_is_refused(self, name: str) -> None:
        """Another library's realm, one that nobody has, and one that only looks like ours are nobody's here."""
        assert find_patron(REALMS, "west.example", name) is None

    def test_realm_that_went_has_no_patrons(self) -> None:
        """A realm that left while somebody logged in answers for nobody."""
        assert find_patron(REALMS, "gone.example", "anna") is None
