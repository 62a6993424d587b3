"""RADIUS written a second time, from the RFCs and with nothing of `radius.wire`: runs are judged with it."""

import hmac
from collections.abc import Iterable
from hashlib import md5
from typing import Final, NamedTuple

ACCESS_REQUEST: Final = 1
ACCESS_ACCEPT: Final = 2
ACCESS_REJECT: Final = 3
ACCOUNTING_REQUEST: Final = 4
ACCOUNTING_RESPONSE: Final = 5
ACCESS_CHALLENGE: Final = 11
STATUS_SERVER: Final = 12

USER_NAME: Final = 1
USER_PASSWORD: Final = 2
REPLY_MESSAGE: Final = 18
STATE: Final = 24
CLASS: Final = 25
VENDOR_SPECIFIC: Final = 26
SESSION_TIMEOUT: Final = 27
CALLED_STATION_ID: Final = 30
CALLING_STATION_ID: Final = 31
PROXY_STATE: Final = 33
ACCT_STATUS_TYPE: Final = 40
ACCT_SESSION_ID: Final = 44
EAP_MESSAGE: Final = 79
MESSAGE_AUTHENTICATOR: Final = 80
OPERATOR_NAME: Final = 126

MPPE_SEND_KEY: Final = b"\x00\x00\x01\x37\x10"  # vendor 311, type 16 (RFC 2548 §2.4.2)
MPPE_RECV_KEY: Final = b"\x00\x00\x01\x37\x11"  # vendor 311, type 17 (RFC 2548 §2.4.3)

Attribute = tuple[int, bytes]


class Read(NamedTuple):
    """A packet taken apart."""

    code: int
    identifier: int
    authenticator: bytes
    attributes: list[Attribute]
    octets: bytes

    def all(self, kind: int) -> list[bytes]:
        """The values of a type, in order."""
        return [value for each, value in self.attributes if each == kind]

    def first(self, kind: int) -> bytes:
        """The first value of a type; empty when there is none."""
        return next((value for each, value in self.attributes if each == kind), b"")


def read(datagram: bytes) -> Read | None:
    """Return the packet; None when it is none (RFC 2865 §3 and §5)."""
    if len(datagram) < 20:
        return None
    length = int.from_bytes(datagram[2:4])
    if not 20 <= length <= len(datagram) or length > 4096:
        return None
    attributes: list[Attribute] = []
    at = 20
    while at < length:
        size = datagram[at + 1] if at + 1 < length else 0
        if size < 2 or at + size > length or not datagram[at]:
            return None
        attributes.append((datagram[at], datagram[at + 2 : at + size]))
        at += size
    return Read(datagram[0], datagram[1], datagram[4:20], attributes, datagram[:length])


def join(attributes: Iterable[Attribute]) -> bytes:
    """Return attributes as octets."""
    return b"".join(bytes((kind, len(value) + 2)) + value for kind, value in attributes)


def split_eap(octets: bytes) -> list[Attribute]:
    """Return an EAP packet as EAP-Message attributes (RFC 3579 §3.1)."""
    return [(EAP_MESSAGE, octets[at : at + 253]) for at in range(0, len(octets), 253)]


def _packet(code: int, identifier: int, authenticator: bytes, body: bytes) -> bytes:
    return bytes((code, identifier)) + (20 + len(body)).to_bytes(2) + authenticator + body


def _seal(code: int, identifier: int, authenticator: bytes, body: bytes, secret: bytes) -> bytes:
    """Return the body with Message-Authenticator before it (RFC 3579 §3.2)."""
    empty = bytes((MESSAGE_AUTHENTICATOR, 18)) + bytes(16)
    digest = hmac.digest(secret, _packet(code, identifier, authenticator, empty + body), "md5")
    return empty[:2] + digest + body


def sign_access_request(
    code: int, identifier: int, authenticator: bytes, attributes: Iterable[Attribute], secret: bytes
) -> bytes:
    """Return a request whose authenticator is random, with Message-Authenticator first."""
    body = _seal(code, identifier, authenticator, join(attributes), secret)
    return _packet(code, identifier, authenticator, body)


def sign_accounting_request(identifier: int, attributes: Iterable[Attribute], secret: bytes) -> bytes:
    """Return an Accounting-Request (RFC 2866 §3)."""
    body = join(attributes)
    digest = md5(_packet(ACCOUNTING_REQUEST, identifier, bytes(16), body) + secret, usedforsecurity=False).digest()
    return _packet(ACCOUNTING_REQUEST, identifier, digest, body)


def sign_answer(
    code: int, identifier: int, request_authenticator: bytes, attributes: Iterable[Attribute], secret: bytes
) -> bytes:
    """Return an answer with Message-Authenticator first."""
    body = _seal(code, identifier, request_authenticator, join(attributes), secret)
    digest = md5(_packet(code, identifier, request_authenticator, body) + secret, usedforsecurity=False).digest()
    return _packet(code, identifier, digest, body)


def sign_bare_answer(
    code: int, identifier: int, request_authenticator: bytes, attributes: Iterable[Attribute], secret: bytes
) -> bytes:
    """Return an answer without Message-Authenticator, as servers before 2024 send it."""
    body = join(attributes)
    digest = md5(_packet(code, identifier, request_authenticator, body) + secret, usedforsecurity=False).digest()
    return _packet(code, identifier, digest, body)


def _has_right_seal(packet: Read, authenticator: bytes, secret: bytes) -> bool:
    """Whether there is one Message-Authenticator, and it is right."""
    zeroed: list[Attribute] = []
    found: list[bytes] = []
    for kind, value in packet.attributes:
        if kind == MESSAGE_AUTHENTICATOR:
            found.append(value)
            zeroed.append((kind, bytes(len(value))))
        else:
            zeroed.append((kind, value))
    sealed = _packet(packet.code, packet.identifier, authenticator, join(zeroed))
    return found == [hmac.digest(secret, sealed, "md5")]


def is_request_right(packet: Read, secret: bytes) -> bool:
    """Whether a client with that secret sent it: Message-Authenticator, or accounting's own authenticator."""
    if packet.code != ACCOUNTING_REQUEST:
        return _has_right_seal(packet, packet.authenticator, secret)
    body = packet.octets[20:]
    digest = md5(_packet(packet.code, packet.identifier, bytes(16), body) + secret, usedforsecurity=False).digest()
    return packet.authenticator == digest


def is_answer_right(packet: Read, request_authenticator: bytes, secret: bytes) -> bool:
    """Whether it answers that request: Response Authenticator, and Message-Authenticator (accounting may lack it)."""
    body = packet.octets[20:]
    digest = md5(
        _packet(packet.code, packet.identifier, request_authenticator, body) + secret, usedforsecurity=False
    ).digest()
    if packet.authenticator != digest:
        return False
    if packet.code == ACCOUNTING_RESPONSE and not packet.all(MESSAGE_AUTHENTICATOR):
        return True
    return _has_right_seal(packet, request_authenticator, secret)


def _mix(value: bytes, secret: bytes, start: bytes, *, hides: bool) -> bytes:
    """XOR with the chain of MD5 that RFC 2865 §5.2 and RFC 2548 §2.4.2 share."""
    result, before = b"", start
    for at in range(0, len(value), 16):
        block = value[at : at + 16]
        mask = md5(secret + before, usedforsecurity=False).digest()
        mixed = bytes(one ^ other for one, other in zip(block, mask, strict=True))
        result += mixed
        before = mixed if hides else block
    return result


def hide_password(password: bytes, secret: bytes, authenticator: bytes) -> bytes:
    """Return a password as User-Password carries it (RFC 2865 §5.2)."""
    return _mix(password + bytes(-len(password) % 16 or (0 if password else 16)), secret, authenticator, hides=True)


def reveal_password(hidden: bytes, secret: bytes, authenticator: bytes) -> bytes:
    """Return the password."""
    return _mix(hidden, secret, authenticator, hides=False).rstrip(b"\0")


def hide_key(key: bytes, salt: bytes, secret: bytes, authenticator: bytes) -> bytes:
    """Return a key as MS-MPPE-Send-Key carries it, with its salt (RFC 2548 §2.4.2)."""
    plain = bytes((len(key),)) + key
    plain += bytes(-len(plain) % 16)
    return salt + _mix(plain, secret, authenticator + salt, hides=True)


def reveal_key(hidden: bytes, secret: bytes, authenticator: bytes) -> bytes:
    """Return the key."""
    plain = _mix(hidden[2:], secret, authenticator + hidden[:2], hides=False)
    return plain[1 : 1 + plain[0]]


def build_key(header: bytes, key: bytes, salt: bytes, secret: bytes, authenticator: bytes) -> Attribute:
    """Return a hidden key as Vendor-Specific."""
    hidden = hide_key(key, salt, secret, authenticator)
    return (VENDOR_SPECIFIC, header + bytes((len(hidden) + 2,)) + hidden)


def find_key(packet: Read, header: bytes, secret: bytes, authenticator: bytes) -> bytes:
    """Return the key that a packet brings; empty when there is none, or none that its receiver could read."""
    for value in packet.all(VENDOR_SPECIFIC):
        is_whole = len(value) >= 24 and value[5] == len(value) - 4 and not (len(value) - 8) % 16
        if value.startswith(header) and is_whole:
            return reveal_key(value[6:], secret, authenticator)
    return b""
