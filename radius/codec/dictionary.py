"""The attribute dictionary: names, numbers and value types, read from files in the syntax that RADIUS servers share.

pyrad reads the files and knows how values of each type are written. It does not see packets that are received: it
regroups attributes and changes octets that look like numbers.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

import pyrad.dictionary  # type: ignore[reportMissingTypeStubs] # pyrad has no types
import pyrad.tools  # type: ignore[reportMissingTypeStubs] # pyrad has no types

from radius.errors import RadiusError

_pyrad_dictionary: Final[Any] = pyrad.dictionary  # Any: pyrad has no types
_pyrad_tools: Final[Any] = pyrad.tools  # Any: pyrad has no types

_OCTETS_TYPES: Final = frozenset(("octets", "tlv", "abinary"))  # what pyrad would guess at, and we do not
Value = bytes | str | int
"""Octets as they are, text, an address in text, a number, or the name of a value."""


class DictionaryError(RadiusError):
    """A dictionary file that can not be read."""

    def __init__(self, *, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class UnknownAttributeError(RadiusError):
    """A name that no dictionary has."""

    def __init__(self, *, name: str) -> None:
        super().__init__(f"no attribute is named {name!r}")
        self.name = name


class AttributeValueError(RadiusError):
    """A value that an attribute can not have."""

    def __init__(self, *, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


class ValueHiding(Enum):
    """How an attribute's value is hidden; the values are those of the dictionary's `encrypt` flag."""

    NONE = 0
    PASSWORD = 1  # RFC 2865 §5.2
    SALTED = 2  # RFC 2548 §2.4.2, RFC 2868 §3.5
    ASCEND = 3  # not supported: a name only


@dataclass(frozen=True, slots=True)
class AttributeDefinition:
    """What the dictionary says about one attribute."""

    name: str
    vendor: int  # 0: none
    type: int
    value_type: str  # "string", "octets", "integer", "ipaddr", …
    hiding: ValueHiding
    has_tag: bool  # RFC 2868 §3
    values: Mapping[str, bytes]  # what named values are in octets

    def encode(self, value: Value) -> bytes:
        """Return the octets of a value; octets stay as they are, whatever they look like.

        Raises:
            AttributeValueError: the attribute can not have that value.
        """
        if isinstance(value, bytes):
            return value
        if isinstance(value, str) and value in self.values:
            return self.values[value]
        if self.value_type in _OCTETS_TYPES:
            raise AttributeValueError(name=self.name, reason="its value is given in octets")
        try:
            octets = _pyrad_tools.EncodeAttr(self.value_type, value)
        except (TypeError, ValueError, struct.error) as error:
            raise AttributeValueError(name=self.name, reason=f"not a value of type {self.value_type}") from error
        assert isinstance(octets, bytes)
        return octets

    def decode(self, octets: bytes) -> str | None:
        """Return what a person reads in the octets, or None if they are no value of the type."""
        for name, known in self.values.items():
            if known == octets:
                return name
        if self.value_type in _OCTETS_TYPES:
            return None
        try:
            value = _pyrad_tools.DecodeAttr(self.value_type, octets)
        except (TypeError, ValueError, struct.error):
            return None
        return str(value) if not isinstance(value, bytes) else None


class Dictionary:
    """The attributes that are known by name."""

    __slots__ = ("_by_name", "_by_number")

    def __init__(self, definitions: list[AttributeDefinition]) -> None:
        self._by_name = {definition.name: definition for definition in definitions}
        self._by_number = {(definition.vendor, definition.type): definition for definition in definitions}

    def find(self, name: str) -> AttributeDefinition:
        """Return the attribute of that name.

        Raises:
            UnknownAttributeError: there is none.
        """
        try:
            return self._by_name[name]
        except KeyError:
            raise UnknownAttributeError(name=name) from None

    def find_number(self, attribute_type: int, vendor: int = 0) -> AttributeDefinition | None:
        """Return the attribute with those numbers, or None."""
        return self._by_number.get((vendor, attribute_type))


def load(path: Path) -> Dictionary:
    """Return the dictionary in a file and in the files that it includes.

    Raises:
        DictionaryError: a file is missing, or a line of it is no dictionary line.
    """
    try:
        parsed = _pyrad_dictionary.Dictionary(str(path))
    except OSError as error:
        raise DictionaryError(path=path, reason=error.strerror or "can not be read") from error
    except _pyrad_dictionary.ParseError as error:
        raise DictionaryError(path=path, reason=str(error)) from error
    return Dictionary(
        [
            _convert(definition, parsed.vendors.GetForward(definition.vendor))
            for definition in parsed.attributes.values()
            if not definition.is_sub_attribute
        ]
    )


def _convert(definition: Any, vendor: int) -> AttributeDefinition:  # noqa: ANN401 - pyrad has no types
    return AttributeDefinition(
        name=definition.name,
        vendor=vendor,
        type=definition.code,
        value_type=definition.type,
        hiding=ValueHiding(definition.encrypt),
        has_tag=definition.has_tag,
        values=dict(definition.values.forward),
    )
