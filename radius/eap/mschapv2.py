"""MS-CHAP-V2 (RFC 2759) and the keys that come of it (RFC 3079 §3.4).

It is as strong as DES, and lives on inside tunnels only, for devices that cannot do better.
"""

import hashlib
import hmac
from typing import Final, TypeGuard

from Crypto.Hash import MD4
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

CHALLENGE_OCTETS: Final = 16
NT_RESPONSE_OCTETS: Final = 24
NT_HASH_OCTETS: Final = 16
_NOBODY: Final = bytes(NT_HASH_OCTETS)
_SIGNING_1: Final = b"Magic server to client signing constant"
_SIGNING_2: Final = b"Pad to make it do more than one iteration"
_MASTER_KEY: Final = b"This is the MPPE Master Key"
_SEND_TO_CLIENT: Final = b"On the client side, this is the receive key; on the server side, it is the send key."
_RECEIVE_FROM_CLIENT: Final = b"On the client side, this is the send key; on the server side, it is the receive key."
_PAD_1: Final = b"\x00" * 40
_PAD_2: Final = b"\xf2" * 40


def challenge_hash(peer_challenge: bytes, server_challenge: bytes, user: bytes) -> bytes:
    """Return the 8 octets that are encrypted (RFC 2759 §8.2); `user` without a Windows domain before it."""
    return hashlib.sha1(peer_challenge + server_challenge + strip_domain(user), usedforsecurity=False).digest()[:8]


def strip_domain(user: bytes) -> bytes:
    """Return the name without a Windows domain and backslash before it, which are not hashed."""
    return user.rpartition(b"\\")[2]


def hash_password(password: str) -> bytes:
    """Return the NT hash of a password, which is as good as the password itself (RFC 2759 §8.3)."""
    return MD4.new(password.encode("utf-16-le", "surrogatepass")).digest()  # noqa: S303 - as the RFC has it


def nt_response(nt_hash: bytes, challenge: bytes) -> bytes:
    """Return the challenge encrypted under the three parts of the hash (RFC 2759 §8.5)."""
    padded = nt_hash.ljust(21, b"\x00")
    return b"".join(_encrypt(padded[at : at + 7], challenge) for at in (0, 7, 14))


def verify_nt_response(nt_hash: bytes | None, challenge: bytes, response: bytes) -> TypeGuard[bytes]:
    """Return whether who made the response knows the password; a patron without a hash takes as long as any other."""
    is_right = hmac.compare_digest(nt_response(nt_hash or _NOBODY, challenge), response)
    return is_right and nt_hash is not None


def authenticator_response(nt_hash: bytes, challenge: bytes, response: bytes) -> bytes:
    """Return `S=` and 40 hexadecimal digits: the server's own proof (RFC 2759 §8.7)."""
    hash_hash = MD4.new(nt_hash).digest()  # noqa: S303 - as the RFC has it
    digest = hashlib.sha1(hash_hash + response + _SIGNING_1, usedforsecurity=False).digest()
    proof = hashlib.sha1(digest + challenge + _SIGNING_2, usedforsecurity=False).digest()
    return b"S=" + proof.hex().upper().encode()


def session_keys(nt_hash: bytes, response: bytes) -> tuple[bytes, bytes]:
    """Return the server's receive key and send key, 16 octets each (RFC 3079 §3.4)."""
    hash_hash = MD4.new(nt_hash).digest()  # noqa: S303 - as the RFC has it
    master = hashlib.sha1(hash_hash + response + _MASTER_KEY, usedforsecurity=False).digest()[:16]

    def derive(magic: bytes) -> bytes:
        return hashlib.sha1(master + _PAD_1 + magic + _PAD_2, usedforsecurity=False).digest()[:16]

    return derive(_RECEIVE_FROM_CLIENT), derive(_SEND_TO_CLIENT)


def _encrypt(seven: bytes, block: bytes) -> bytes:
    """Return the block under DES, which three rounds of 3DES with one key are; OpenSSL's is the quickest at hand."""
    cipher = Cipher(TripleDES(_expand_key(seven) * 3), modes.ECB())  # noqa: S305 - as the RFC has it
    return cipher.encryptor().update(block)


def _expand_key(seven: bytes) -> bytes:
    """Return a DES key of 8 octets from 7: seven bits in each, and a parity bit that nobody looks at."""
    bits = int.from_bytes(seven)
    return bytes((bits >> shift & 0x7F) << 1 for shift in range(49, -1, -7))
