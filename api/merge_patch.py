"""JSON Merge Patch (RFC 7396): what a PATCH makes of the thing as it was."""

from collections.abc import Collection, Mapping
from typing import TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

_Model = TypeVar("_Model", bound=BaseModel)
_OBJECT = TypeAdapter(dict[str, JsonValue])


def merge(target: JsonValue, patch: JsonValue) -> JsonValue:
    """The result of *patch* on *target*, as the pseudocode of RFC 7396 §2 says; neither is changed."""
    if not isinstance(patch, Mapping):
        return patch
    merged: dict[str, JsonValue] = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def apply_patch(current: _Model, patch: BaseModel, *, besides: Collection[str] = ()) -> _Model:
    """*current* as *patch* changes it: what the patch leaves out stays, what it sets to null goes to its default.

    *besides* are fields of the patch that are no part of the thing as it is shown, such as a secret.

    Raises:
        RequestValidationError: the result is not valid; the places are those of the patch's own fields.
    """
    before = _OBJECT.validate_python(current.model_dump(mode="json"))
    change = _OBJECT.validate_python(patch.model_dump(mode="json", exclude_unset=True, exclude=set(besides)))
    try:
        return type(current).model_validate_json(_OBJECT.dump_json(_OBJECT.validate_python(merge(before, change))))
    except ValidationError as error:
        found = [{**dict(item), "loc": ("body", *item["loc"])} for item in error.errors(include_input=False)]
        raise RequestValidationError(found) from None
