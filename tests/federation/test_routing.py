"""Which realm a name belongs to."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.routing import find_realm
from federation.shards import Shards
from federation.snapshot import Federation, Realm, Snapshot

LABELS = st.lists(st.sampled_from(["a", "b", "c", "lib", "example"]), min_size=2, max_size=6).map(".".join)


def snapshot_of(*realms: Realm) -> Snapshot:
    return Snapshot(1, Federation("test", "NL", "login.test.example"), realms={realm.name: realm for realm in realms})


def realm_of(name: str, *, subrealms: bool = False, library: str = "library") -> Realm:
    return Realm(name, library, ("hosted/0",), subrealms)


class TestFindRealm:
    def test_exact_realm_is_found(self) -> None:
        """A registered realm is its own entry."""
        realm = realm_of("lib.example")
        assert find_realm(snapshot_of(realm), "lib.example") is realm

    @pytest.mark.parametrize(
        "name", ["example", "other.example", "lib.example.org", "xlib.example", "sub.lib.example", ""]
    )
    def test_other_realm_is_not_found(self, name: str) -> None:
        """Neither a parent, a neighbour, nor a name that merely ends alike belongs to a realm."""
        assert find_realm(snapshot_of(realm_of("lib.example")), name) is None

    @pytest.mark.parametrize("name", ["sub.lib.example", "a.b.c.lib.example"])
    def test_sub_realm_belongs_to_a_parent_that_includes_them(self, name: str) -> None:
        """Sub-realms follow their parent, at any depth, when it says so."""
        realm = realm_of("lib.example", subrealms=True)
        assert find_realm(snapshot_of(realm), name) is realm

    def test_name_that_only_ends_alike_is_no_sub_realm(self) -> None:
        """The boundary is a dot."""
        assert find_realm(snapshot_of(realm_of("lib.example", subrealms=True)), "notlib.example") is None

    def test_exact_realm_wins_over_its_parent(self) -> None:
        """The longest match by label decides."""
        parent, own = realm_of("lib.example", subrealms=True), realm_of("branch.lib.example")
        assert find_realm(snapshot_of(parent, own), "branch.lib.example") is own

    def test_nearest_parent_hides_those_above_it(self) -> None:
        """Below a realm that keeps its sub-realms out, its parents have no say."""
        parent, own = realm_of("lib.example", subrealms=True), realm_of("branch.lib.example")
        snapshot = snapshot_of(parent, own)
        assert find_realm(snapshot, "x.branch.lib.example") is None
        assert find_realm(snapshot, "x.other.lib.example") is parent

    @given(st.dictionaries(LABELS, st.booleans(), max_size=8), LABELS)
    def test_look_up_agrees_with_the_rule(self, registered: dict[str, bool], asked: str) -> None:
        """The dictionary look-ups find what going through all entries finds: the longest one that fits, if it may."""
        snapshot = snapshot_of(*(realm_of(name, subrealms=subrealms) for name, subrealms in registered.items()))
        sharded = replace(snapshot, realms=Shards(snapshot.realms))
        assert find_realm(sharded, asked) == find_realm(snapshot, asked)
        fitting = [name for name in registered if asked == name or asked.endswith(f".{name}")]
        longest = max(fitting, key=len, default=None)
        expected = longest if longest is not None and (longest == asked or registered[longest]) else None
        found = find_realm(snapshot, asked)
        assert (found.name if found else None) == expected
