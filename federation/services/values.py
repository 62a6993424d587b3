"""What values the registry takes, and how it says that it does not take one."""

import secrets
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from federation.errors import InvalidInput, InvalidRealm
from federation.names import MAX_LABEL_OCTETS, normalise_realm

_ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
MAX_ID_CHARACTERS = 63
MAX_TEXT_CHARACTERS = 200
MIN_SECRET_OCTETS = 16  # RFC 2865 §3 prefers at least 16; shorter ones are guessed offline from one packet
MAX_SECRET_OCTETS = 128
MAX_PORT = 65_535
MAX_VLAN = 4094  # IEEE 802.1Q
_BROADCAST = IPv4Address("255.255.255.255")
_IPV4_MAPPED = IPv6Network("::ffff:0:0/96")  # RFC 4291 §2.5.5.2


def parse_id(text: str, field: str) -> str:
    """A stable key: 1 to 63 characters of a-z, 0-9 and inner hyphens.

    Raises:
        InvalidInput: it is not one.
    """
    is_key = 0 < len(text) <= MAX_ID_CHARACTERS and set(text) <= _ID_CHARACTERS
    if not is_key or text.startswith("-") or text.endswith("-"):
        raise InvalidInput(f"{text!r} is no key: 1 to 63 characters of a-z, 0-9 and inner hyphens", field=field)
    return text


def parse_text(text: str, field: str) -> str:
    """A name for people: 1 to 200 printable characters.

    Raises:
        InvalidInput: it is not one.
    """
    stripped = text.strip()
    if not stripped or len(stripped) > MAX_TEXT_CHARACTERS or not stripped.isprintable():
        raise InvalidInput("a name has 1 to 200 printable characters", field=field)
    return stripped


def parse_realm(text: str, field: str) -> str:
    """A realm as the registry writes it.

    Raises:
        InvalidInput: it is none.
    """
    try:
        return normalise_realm(text)
    except InvalidRealm as error:
        raise InvalidInput(error.message, field=field) from None


def parse_host(text: str, field: str) -> str:
    """An IP address, or a DNS name in lower case.

    Raises:
        InvalidInput: it is neither.
    """
    try:
        if "%" not in text:  # a zone is a name of this machine's own interfaces
            return str(ip_address(text))
    except ValueError:
        pass
    name = text.lower().rstrip(".")
    labels = name.split(".")
    is_name = 0 < len(name) <= 253 and all(
        0 < len(label) <= MAX_LABEL_OCTETS and set(label) <= _ID_CHARACTERS and label[0] != "-" and label[-1] != "-"
        for label in labels
    )
    if not is_name or labels[-1].isdigit():
        raise InvalidInput(f"{text!r} is neither an IP address nor a DNS name", field=field)
    return name


def check_server_host(host: str, field: str, *, may_be_local: bool) -> None:
    """Nothing, for a host that requests may be sent to: no address of many, none of the proxies' own machines.

    Raises:
        InvalidInput: it is one; those of the proxies' own machines are an operator's to allow.
    """
    try:
        address = ip_address(host)
    except ValueError:
        is_local = host == "localhost" or host.endswith(".localhost")  # RFC 6761 §6.3
    else:
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            raise InvalidInput(f"{host} stands for an IPv4 address; write it as IPv4", field=field)
        if address.is_unspecified or address.is_multicast or address == _BROADCAST:
            raise InvalidInput(f"{host} is no server's address", field=field)
        is_local = address.is_loopback or address.is_link_local
    if is_local and not may_be_local:
        raise InvalidInput(f"{host} is inside the proxies' own machines; only an operator may name it", field=field)


def parse_network(text: str, field: str) -> IPv4Network | IPv6Network:
    """An address or a prefix; the whole internet is refused, since a secret would be all that stands before it.

    Raises:
        InvalidInput: it is none, or has host bits set.
    """
    try:
        network = None if "%" in text else ip_network(text)
    except ValueError:
        network = None
    if network is None:
        raise InvalidInput(
            f"{text!r} is neither an address nor a prefix, such as 192.0.2.7 or 192.0.2.0/24 (no host bits set)",
            field=field,
        )
    if network.prefixlen == 0:
        raise InvalidInput(f"{text!r} is the whole internet; name the networks that may ask", field=field)
    if isinstance(network, IPv6Network) and network.overlaps(_IPV4_MAPPED):
        raise InvalidInput(f"{text!r} stands for IPv4 addresses; write it as IPv4", field=field)
    return network


def parse_port(port: int, field: str) -> int:
    """A UDP or TCP port.

    Raises:
        InvalidInput: it is none.
    """
    if not 0 < port <= MAX_PORT:
        raise InvalidInput(f"{port} is no port: 1 to {MAX_PORT}", field=field)
    return port


def parse_vlan(vlan: int | None, field: str) -> int | None:
    """A VLAN, or none.

    Raises:
        InvalidInput: it is out of range.
    """
    if vlan is not None and not 0 < vlan <= MAX_VLAN:
        raise InvalidInput(f"{vlan} is no VLAN: 1 to {MAX_VLAN}", field=field)
    return vlan


def parse_secret(text: str, field: str) -> bytes:
    """A shared secret in octets.

    Raises:
        InvalidInput: it is too short, too long, or is not what RADIUS products can type.
    """
    octets = text.encode() if text.isprintable() else b""  # an unpaired surrogate has no octets
    if len(octets) > MAX_SECRET_OCTETS or not text.isprintable():
        raise InvalidInput(f"a shared secret has at most {MAX_SECRET_OCTETS} octets, all printable", field=field)
    if len(octets) < MIN_SECRET_OCTETS:
        raise InvalidInput(
            f"a shared secret has at least {MIN_SECRET_OCTETS} octets; leave it out and one is generated", field=field
        )
    return octets


def generate_secret() -> str:
    """A new shared secret: 128 random bits, in characters that every RADIUS product takes."""
    return secrets.token_hex(16)
