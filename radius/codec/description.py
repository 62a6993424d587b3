"""What a person reads about a packet: attributes by name, and nothing in it that is anybody's secret.

Passwords, keys and EAP are told by their size. A user is told by the realm only, a device by its maker. Text of a
packet is escaped and cut, as it is written by whoever sent it.
"""

from typing import Final

from radius.codec.dictionary import Dictionary, ValueHiding
from radius.wire.attributes import parse_vendor_attributes, vendor_of
from radius.wire.codes import AttributeType, Code
from radius.wire.packet import Packet, attributes
from radius.wire.salted import SALTED_VENDOR_ATTRIBUTES

MAX_TEXT_CHARACTERS: Final = 80  # of one value; a line stays readable
_USER_NAMES: Final = frozenset((int(AttributeType.USER_NAME), int(AttributeType.CHARGEABLE_USER_IDENTITY)))
_SECRET: Final = frozenset(
    map(
        int,
        (
            AttributeType.USER_PASSWORD,
            AttributeType.CHAP_PASSWORD,
            AttributeType.CHAP_CHALLENGE,
            AttributeType.EAP_MESSAGE,
            AttributeType.MESSAGE_AUTHENTICATOR,
            AttributeType.STATE,
            AttributeType.CLASS,
            AttributeType.PROXY_STATE,
            AttributeType.TUNNEL_PASSWORD,
        ),
    )
)
_MAKER_CHARACTERS: Final = 8  # of a MAC address: three octets and their two separators
_GUESSABLE_PREFIX: Final = "MS-CHAP"  # from challenge and response together a password can be guessed


def describe(packet: Packet, dictionary: Dictionary) -> str:
    """Return the packet in lines of text, its header first; safe to log and to show."""
    try:
        code = Code(packet.code).name.replace("_", "-").title()
    except ValueError:
        code = f"Code-{packet.code}"
    lines = [f"{code} identifier {packet.identifier}, {len(packet.octets)} octets"]
    for _, kind, value in attributes(packet):
        if kind == AttributeType.VENDOR_SPECIFIC:
            lines += _describe_vendor(value, dictionary)
        else:
            lines.append(f"  {_describe_attribute(kind, value, dictionary)}")
    return "\n".join(lines)


def _describe_attribute(kind: int, value: bytes, dictionary: Dictionary) -> str:
    definition = dictionary.find_number(kind)
    name = f"Attribute-{kind}" if definition is None else definition.name
    text = None
    if definition is not None and kind not in _SECRET and definition.hiding is ValueHiding.NONE:
        if definition.has_tag and value and value[0] <= 0x1F:
            name = f"{name}:{value[0]}"
            value = b"\0" + value[1:] if definition.value_type == "integer" else value[1:]
        if kind in _USER_NAMES:
            text = _hide_user(value)
        elif kind == AttributeType.CALLING_STATION_ID:
            text = f"{value[:_MAKER_CHARACTERS].decode('utf-8', 'replace')}…"
        else:
            text = definition.decode(value)
    return f"{name} = {_show(value, text)}"


def _describe_vendor(value: bytes, dictionary: Dictionary) -> list[str]:
    vendor = vendor_of(value)
    found = None if vendor is None else parse_vendor_attributes(value)
    if vendor is None or found is None:
        return [f"  Vendor-Specific = {_show(value, None)}"]
    lines: list[str] = []
    for kind, _, start, end, _ in found:
        definition = dictionary.find_number(kind, vendor)
        name = f"Vendor-{vendor}-Attribute-{kind}" if definition is None else definition.name
        text = None
        if (
            definition is not None
            and kind not in SALTED_VENDOR_ATTRIBUTES.get(vendor, ())
            and not name.startswith(_GUESSABLE_PREFIX)
        ):
            text = definition.decode(value[start:end])
        lines.append(f"  {name} = {_show(value[start:end], text)}")
    return lines


def _hide_user(value: bytes) -> str:
    _, at, realm = value.decode("utf-8", "replace").rpartition("@")
    return f"…@{realm}" if at else "…"


def _show(value: bytes, text: str | None) -> str:
    if text is None:
        return f"<{len(value)} octets>"
    if len(text) > MAX_TEXT_CHARACTERS:
        text = text[:MAX_TEXT_CHARACTERS] + "…"
    return "".join(
        character if character.isprintable() and character != "\\" else character.encode("unicode_escape").decode()
        for character in text
    )
