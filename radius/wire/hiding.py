"""Hidden values: User-Password (RFC 2865 §5.2) and the salted ones (RFC 2548 §2.4.2, RFC 2868 §3.5), hop to hop.

Both XOR the value with a chain of MD5 over the shared secret, so a hidden value holds for one hop only and every proxy
has to hide it again. A length that can not be is answered with None: never an exception, never a guess.
"""

from typing import Final

from radius.wire.authenticators import KeyedSecret

BLOCK_OCTETS: Final = 16  # of MD5
MAX_PASSWORD_OCTETS: Final = 128  # RFC 2865 §5.2
SALT_OCTETS: Final = 2  # RFC 2548 §2.4.2
MAX_SALTED_OCTETS: Final = 239  # 253 less vendor, type and length, salt: 15 blocks of which one octet is the length
_SALT_MARK: Final = 0x8000  # "the most significant bit of the Salt field MUST be set"
_SALT_MASK: Final = 0x7FFF


def hide_user_password(password: bytes, keyed: KeyedSecret, request_authenticator: bytes) -> bytes:
    """Return a password as User-Password carries it, padded with NULs to 16, 32, … 128 octets.

    Raises:
        ValueError: the password has more than 128 octets.
    """
    if len(password) > MAX_PASSWORD_OCTETS:
        raise ValueError(f"a User-Password has at most {MAX_PASSWORD_OCTETS} octets, not {len(password)}")
    size = max(-len(password) % BLOCK_OCTETS + len(password), BLOCK_OCTETS)
    return _hide(password.ljust(size, b"\0"), keyed, request_authenticator)


def reveal_user_password(hidden: bytes, keyed: KeyedSecret, request_authenticator: bytes) -> bytes | None:
    """Return the password without its padding; None if the length is none of 16, 32, … 128 octets.

    NULs at the end are padding, NULs before that belong to the password.
    """
    if not _is_password_length(len(hidden)):
        return None
    return _reveal(hidden, keyed, request_authenticator).rstrip(b"\0")


def hide_salted(value: bytes, salt: int, keyed: KeyedSecret, request_authenticator: bytes) -> bytes:
    """Return salt and hidden value; `salt` is 15 bits, and different for each value in a packet.

    Raises:
        ValueError: the value does not fit into an attribute.
    """
    if len(value) > MAX_SALTED_OCTETS:
        raise ValueError(f"a salted value has at most {MAX_SALTED_OCTETS} octets, not {len(value)}")
    marked = (_SALT_MARK | salt & _SALT_MASK).to_bytes(SALT_OCTETS)
    padded = bytes((len(value),)) + value
    padded += bytes(-len(padded) % BLOCK_OCTETS)
    return marked + _hide(padded, keyed, request_authenticator + marked)


def reveal_salted(hidden: bytes, keyed: KeyedSecret, request_authenticator: bytes) -> bytes | None:
    """Return the value that salt and hidden octets hold; None if a length says what can not be.

    A salt without its mark is accepted: it is a fault of the sender that hurts nobody.
    """
    if not _is_salted_length(len(hidden)):
        return None
    plain = _reveal(hidden[SALT_OCTETS:], keyed, request_authenticator + hidden[:SALT_OCTETS])
    size = plain[0]
    return plain[1 : 1 + size] if size < len(plain) else None


class Rehiding:
    """Moves hidden values of one packet from one hop's secret and authenticator to the next hop's.

    One object serves one packet, so that no salt comes twice in it (RFC 2548 §2.4.2). Values keep their size, and
    their octets including the padding.
    """

    __slots__ = ("_salt", "_source", "_source_authenticator", "_target", "_target_authenticator")

    def __init__(
        self,
        source: KeyedSecret,
        source_authenticator: bytes,
        target: KeyedSecret,
        target_authenticator: bytes,
        salt: int,
    ) -> None:
        """Take the two hops, and the first salt: 15 unpredictable bits."""
        self._source = source
        self._source_authenticator = source_authenticator
        self._target = target
        self._target_authenticator = target_authenticator
        self._salt = salt

    def rehide_user_password(self, hidden: bytes) -> bytes | None:
        """Return the password hidden for the next hop; None if the length is none of 16, 32, … 128 octets."""
        if not _is_password_length(len(hidden)):
            return None
        padded = _reveal(hidden, self._source, self._source_authenticator)
        return _hide(padded, self._target, self._target_authenticator)

    def rehide_salted(self, hidden: bytes) -> bytes | None:
        """Return a fresh salt and the value hidden for the next hop; None if a length says what can not be.

        A length inside the value that passes its end would make a careless receiver read beyond it. This is the
        dearest step of a login's last packet, hence one loop for revealing and hiding: two MD5 a block, and each
        block one number.
        """
        size = len(hidden)
        if size < SALT_OCTETS + BLOCK_OCTETS or (size - SALT_OCTETS) % BLOCK_OCTETS:
            return None
        result = (_SALT_MARK | self._salt & _SALT_MASK).to_bytes(SALT_OCTETS)
        self._salt += 1
        from_bytes = int.from_bytes
        copy_source = self._source.start.copy
        copy_target = self._target.start.copy
        source = copy_source()
        source.update(self._source_authenticator + hidden[:SALT_OCTETS])
        target = copy_target()
        target.update(self._target_authenticator + result)
        source_block = hidden[2:18]
        plain = from_bytes(source_block) ^ from_bytes(source.digest())
        if plain >> 120 >= size - SALT_OCTETS:  # the first octet says how many follow
            return None
        target_block = (plain ^ from_bytes(target.digest())).to_bytes(BLOCK_OCTETS)
        result += target_block
        for start in range(18, size, BLOCK_OCTETS):
            source = copy_source()
            source.update(source_block)
            source_block = hidden[start : start + BLOCK_OCTETS]
            target = copy_target()
            target.update(target_block)
            target_block = (
                from_bytes(source_block) ^ from_bytes(source.digest()) ^ from_bytes(target.digest())
            ).to_bytes(BLOCK_OCTETS)
            result += target_block
        return result


def _is_password_length(size: int) -> bool:
    return BLOCK_OCTETS <= size <= MAX_PASSWORD_OCTETS and not size % BLOCK_OCTETS


def _is_salted_length(size: int) -> bool:
    return size >= SALT_OCTETS + BLOCK_OCTETS and not (size - SALT_OCTETS) % BLOCK_OCTETS


def _hide(padded: bytes, keyed: KeyedSecret, chain: bytes) -> bytes:
    """XOR each block with MD5 of the secret and the *hidden* block before it; `chain` stands before the first."""
    hidden: list[bytes] = []
    for start in range(0, len(padded), BLOCK_OCTETS):
        chain = _xor(padded[start : start + BLOCK_OCTETS], keyed.md5_after(chain))
        hidden.append(chain)
    return b"".join(hidden)


def _reveal(hidden: bytes, keyed: KeyedSecret, chain: bytes) -> bytes:
    plain: list[bytes] = []
    for start in range(0, len(hidden), BLOCK_OCTETS):
        block = hidden[start : start + BLOCK_OCTETS]
        plain.append(_xor(block, keyed.md5_after(chain)))
        chain = block
    return b"".join(plain)


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(BLOCK_OCTETS)
