"""A mapping of which changed copies are cheap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.shards import Shards

NAMES = st.sampled_from([f"r{number}.example" for number in range(30)] + ["a.b.c.d.e", "a"])
CHANGES = st.lists(
    st.tuples(st.sets(NAMES, max_size=4), st.dictionaries(NAMES, st.integers(), max_size=4)), max_size=12
)


class TestShards:
    @given(st.dictionaries(NAMES, st.integers()), CHANGES)
    def test_copies_are_what_dicts_would_be(
        self, first: dict[str, int], changes: list[tuple[set[str], dict[str, int]]]
    ) -> None:
        """After any changes each copy holds what a dict would, and all earlier ones hold what they held."""
        expected, copies = [first], [Shards(first)]
        for removed, added in changes:
            left = {key: value for key, value in expected[-1].items() if key not in removed}
            expected.append(left | added)
            copies.append(copies[-1].replace(removed, added))
        for mapping, shards in zip(expected, copies, strict=True):
            assert shards == mapping
            assert dict(shards) == mapping
            assert len(shards) == len(mapping)
            assert [shards.get(key) for key in mapping] == list(mapping.values())

    def test_copy_shares_all_but_what_changed(self) -> None:
        """A change of one name among 5,000 copies the few that lie with it, and nothing else."""
        shards = Shards((f"r{number}.example", number) for number in range(5000))
        copy = shards.replace(("r7.example",), {})
        assert sum(mine is not its for mine, its in zip(shards.parts, copy.parts, strict=True)) == 1
        assert max(map(len, shards.parts)) < 50

    def test_most_can_go_at_once(self) -> None:
        """Several that lie together are removed from one copy of their part, and the first still has them."""
        names = [f"r{number}.example" for number in range(5000)]
        shards = Shards((name, 1) for name in names)
        assert dict(shards.replace(names[1:], {})) == {names[0]: 1}
        assert len(shards) == 5000

    def test_what_is_not_there_is_not_found(self) -> None:
        """As of every mapping."""
        shards = Shards({"a.example": 1})
        assert "b.example" not in shards
        assert 7 not in shards
        assert shards.get("b.example") is None
        with pytest.raises(KeyError):
            shards["b.example"]

    def test_most_labels_are_known(self) -> None:
        """A name with a hundred labels is looked up under no more parents than somebody registered."""
        assert Shards({"a.example": 1, "b.a.example": 2}).replace((), {"x.example": 3}).labels == 3
        assert Shards[int]().labels == 0
