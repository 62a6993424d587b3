"""Packets built by attribute name: answers of the home server, probes, and what the tests send."""

from collections.abc import Iterable
from secrets import randbits
from typing import Final

from radius.codec.dictionary import AttributeDefinition, AttributeValueError, Dictionary, Value, ValueHiding
from radius.wire.authenticators import COMPUTED_AUTHENTICATOR_CODES, KeyedSecret, sign_request, sign_response
from radius.wire.codes import AttributeType, Code
from radius.wire.hiding import hide_salted, hide_user_password
from radius.wire.packet import MAX_VALUE_OCTETS, build_attribute, build_fragments, build_vendor_attribute

REQUEST_CODES: Final = COMPUTED_AUTHENTICATOR_CODES | {int(Code.ACCESS_REQUEST), int(Code.STATUS_SERVER)}
_LARGEST_TAG: Final = 0x1F  # RFC 2868 §3.1
_VENDOR_OVERHEAD_OCTETS: Final = 6  # Vendor-Id, vendor type, vendor length


def build_packet(
    dictionary: Dictionary,
    code: int,
    *,
    identifier: int,
    authenticator: bytes,
    attributes: Iterable[tuple[str, Value]],
    keyed: KeyedSecret,
) -> bytes:
    """Return a signed packet with the attributes in the order given, after its Message-Authenticator.

    For a request, `authenticator` is 16 unpredictable octets (not used where it is computed); for an answer it is the
    request's. Hidden attributes are hidden with it. A tag stands behind the name: `Tunnel-Type:1`.

    Raises:
        UnknownAttributeError: the dictionary has no such name.
        AttributeValueError: an attribute can not have that value.
        ValueError: the packet would exceed 4096 octets.
    """
    body = build_attributes(dictionary, attributes, keyed, authenticator)
    if code in REQUEST_CODES:
        return sign_request(code, identifier, authenticator, body, keyed)
    return sign_response(
        code,
        identifier,
        authenticator,
        body,
        keyed,
        with_message_authenticator=code != Code.ACCOUNTING_RESPONSE,
    )


def build_attributes(
    dictionary: Dictionary,
    attributes: Iterable[tuple[str, Value]],
    keyed: KeyedSecret,
    request_authenticator: bytes,
) -> bytes:
    """Return the octets of attributes given by name, in order; see `build_packet`."""
    salt = randbits(15)  # each hidden value takes the next: none comes twice in a packet
    built: list[bytes] = []
    for name, value in attributes:
        name, _, tag_text = name.partition(":")  # noqa: PLW2901 - the name without its tag is what is meant
        definition = dictionary.find(name)
        octets = definition.encode(value)
        if not definition.has_tag and tag_text:
            raise AttributeValueError(name=name, reason="it has no tag")
        if definition.hiding is not ValueHiding.NONE:
            salt += 1
            octets = _hide(definition, octets, salt, keyed, request_authenticator)
        if definition.has_tag:
            octets = _put_tag(definition, octets, tag_text)
        built.append(_build(definition, octets))
    return b"".join(built)


def _hide(
    definition: AttributeDefinition, octets: bytes, salt: int, keyed: KeyedSecret, request_authenticator: bytes
) -> bytes:
    try:
        if definition.hiding is ValueHiding.PASSWORD:
            return hide_user_password(octets, keyed, request_authenticator)
        if definition.hiding is ValueHiding.SALTED:
            return hide_salted(octets, salt, keyed, request_authenticator)
    except ValueError as error:
        raise AttributeValueError(name=definition.name, reason=str(error)) from None
    raise AttributeValueError(name=definition.name, reason="its way of hiding is not supported")


def _put_tag(definition: AttributeDefinition, octets: bytes, tag_text: str) -> bytes:
    """Put a tag before text and hidden values, and into the first octet of integers (RFC 2868 §3).

    Without a tag, hidden values have tag 0 as they need one, and text goes without.
    """
    if tag_text and not (tag_text.isdecimal() and tag_text.isascii() and int(tag_text) <= _LARGEST_TAG):
        raise AttributeValueError(name=definition.name, reason=f"a tag is 0 to {_LARGEST_TAG}")
    tag = bytes((int(tag_text or 0),))
    if definition.value_type == "integer":
        return tag + octets[1:]
    return tag + octets if tag_text or definition.hiding is ValueHiding.SALTED else octets


def _build(definition: AttributeDefinition, octets: bytes) -> bytes:
    if definition.vendor:
        limit = MAX_VALUE_OCTETS - _VENDOR_OVERHEAD_OCTETS
    elif definition.type == AttributeType.EAP_MESSAGE:
        return build_fragments(definition.type, octets)
    else:
        limit = MAX_VALUE_OCTETS
    if not 0 < len(octets) <= limit:
        raise AttributeValueError(name=definition.name, reason=f"it has 1 to {limit} octets, not {len(octets)}")
    if definition.vendor:
        return build_vendor_attribute(definition.vendor, definition.type, octets)
    return build_attribute(definition.type, octets)
