"""JSON Merge Patch, RFC 7396."""

import pytest
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, JsonValue

from api.merge_patch import apply_patch, merge

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


class TestMerge:
    @pytest.mark.parametrize(
        ("target", "patch", "result"),
        [
            ({"a": "b"}, {"a": "c"}, {"a": "c"}),
            ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
            ({"a": "b"}, {"a": None}, {}),
            ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
            ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
            ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
            ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
            ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
            (["a", "b"], ["c", "d"], ["c", "d"]),
            ({"a": "b"}, ["c"], ["c"]),
            ({"a": "foo"}, None, None),
            ({"a": "foo"}, "bar", "bar"),
            ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
            ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
            ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ],
    )
    def test_examples_of_the_rfc(self, target: JsonValue, patch: JsonValue, result: JsonValue) -> None:
        """The table of RFC 7396 appendix A."""
        assert merge(target, patch) == result

    @given(JSON, JSON)
    def test_merging_twice_is_merging_once(self, target: JsonValue, patch: JsonValue) -> None:
        """A patch that is sent again changes nothing more."""
        once = merge(target, patch)
        assert merge(once, patch) == once


class _Thing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    size: int = 3


class _ThingPatch(BaseModel):
    name: str | None = None
    size: int | None = None


class TestApplyPatch:
    def test_what_is_left_out_stays(self) -> None:
        """A field that the patch does not name keeps its value."""
        assert apply_patch(_Thing(name="a", size=5), _ThingPatch(name="b")) == _Thing(name="b", size=5)

    def test_null_returns_to_the_default(self) -> None:
        """Null removes, and what is removed is as if it had never been set (RFC 7396 §1)."""
        changed = apply_patch(_Thing(name="a", size=5), _ThingPatch.model_validate({"size": None}))
        assert changed == _Thing(name="a", size=3)

    def test_null_for_a_required_field_is_refused(self) -> None:
        """What has no default can not be removed; the refusal names the field of the body."""
        with pytest.raises(RequestValidationError) as caught:
            apply_patch(_Thing(name="a"), _ThingPatch.model_validate({"name": None}))
        assert [error["loc"] for error in caught.value.errors()] == [("body", "name")]
