"""Secrets at rest: sealed under the node key, which is a file beside the database and never in it.

A sealed value is `version | key id | nonce | ciphertext and tag`. Its *context* ("access-point/12/secret") is
authenticated with it, so a value that is copied to another row, column or installation does not open there.

The node key itself seals nothing: a sealing key and every derived secret come from it by HKDF (RFC 5869), so that no
two uses share a key. Rotation puts a new key first in the file; the others go on opening what they sealed until
`federation.trust.rotation` has sealed every row anew.
"""

import contextlib
import os
import re
import secrets
import stat
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from federation.errors import TrustError

NODE_KEY_OCTETS = 32
KEY_ID_OCTETS = 4
NONCE_OCTETS = 12  # NIST SP 800-38D §8.2.2: random, so at most 2**32 values under one key; rotate long before
TAG_OCTETS = 16
SEALED_VERSION = b"\x01"
SEALED_OVERHEAD_OCTETS = 1 + KEY_ID_OCTETS + NONCE_OCTETS + TAG_OCTETS

_FILE_HEADER = "# Biebroam node key: opens every secret in the database. The first key seals, all of them open."
_KEY_LINE = re.compile(r"[A-Za-z0-9+/]{43}=")
_MAX_FILE_OCTETS = 65_536
_MAX_DERIVED_OCTETS = 255 * 32  # RFC 5869 §2.3


def _expand(key: bytes, info: bytes, length_octets: int) -> bytes:
    return HKDF(hashes.SHA256(), length_octets, salt=b"biebroam", info=info).derive(key)


@dataclass(frozen=True, slots=True)
class NodeKey:
    """One node key; its id is derived from it, so that the two can not be mixed up."""

    octets: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.octets) != NODE_KEY_OCTETS:
            raise TrustError(f"a node key has {NODE_KEY_OCTETS} octets, not {len(self.octets)}")

    @classmethod
    def generate(cls) -> "NodeKey":
        """A new key from the operating system's random source."""
        return cls(secrets.token_bytes(NODE_KEY_OCTETS))

    @property
    def key_id(self) -> bytes:
        """Four octets that tell keys apart and say nothing about them."""
        return _expand(self.octets, b"key-id", KEY_ID_OCTETS)


class Sealer:
    """Seals with the first key that it is given, opens with any of them; safe to share between threads."""

    def __init__(self, keys: Sequence[NodeKey]) -> None:
        if not keys:
            raise TrustError("there is no node key to seal with")
        self._current = keys[0]
        self._current_id = keys[0].key_id
        self._ciphers = {key.key_id: AESGCM(_expand(key.octets, b"seal", NODE_KEY_OCTETS)) for key in keys}
        if len(self._ciphers) != len(keys):
            raise TrustError("the same node key occurs twice")

    def seal(self, plaintext: bytes, context: str) -> bytes:
        """The sealed form of *plaintext*; it opens only with the same *context*."""
        head = SEALED_VERSION + self._current_id
        nonce = secrets.token_bytes(NONCE_OCTETS)
        sealed = self._ciphers[self._current_id].encrypt(nonce, plaintext, head + context.encode())
        return head + nonce + sealed

    def open(self, sealed: bytes, context: str) -> bytes:
        """The plaintext of *sealed*.

        Raises:
            TrustError: it was not sealed with one of these keys for this context, or it was altered.
        """
        key_id = self._key_id(sealed)
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise TrustError(
                f"a secret ({context}) is sealed with node key {key_id.hex()}, which is not in the key file"
            )
        head_end = 1 + KEY_ID_OCTETS
        nonce_end = head_end + NONCE_OCTETS
        try:
            return cipher.decrypt(sealed[head_end:nonce_end], sealed[nonce_end:], sealed[:head_end] + context.encode())
        except InvalidTag:
            raise TrustError(f"a sealed secret ({context}) was altered, or belongs elsewhere") from None

    def is_current(self, sealed: bytes) -> bool:
        """Whether *sealed* is sealed with the key that seals now.

        Raises:
            TrustError: it is no sealed value at all.
        """
        return self._key_id(sealed) == self._current_id

    def reseal(self, sealed: bytes, context: str) -> bytes:
        """*sealed*, under the key that seals now; unchanged when it is already.

        Raises:
            TrustError: it does not open.
        """
        plaintext = self.open(sealed, context)
        return sealed if self.is_current(sealed) else self.seal(plaintext, context)

    def derive(self, label: bytes, length_octets: int = 32) -> bytes:
        """A secret of its own for *label*: always the same with this node key, another after a rotation.

        Raises:
            TrustError: more octets are asked for than HKDF gives.
        """
        if not 1 <= length_octets <= _MAX_DERIVED_OCTETS:
            raise TrustError(f"can not derive {length_octets} octets")
        return _expand(self._current.octets, b"derive\x00" + label, length_octets)

    @staticmethod
    def _key_id(sealed: bytes) -> bytes:
        if len(sealed) < SEALED_OVERHEAD_OCTETS or sealed[:1] != SEALED_VERSION:
            raise TrustError("these octets are no sealed secret")
        return sealed[1 : 1 + KEY_ID_OCTETS]


def create_node_key(path: Path) -> Sealer:
    """Make the node key file at *path*, mode 0600, and return its sealer; an existing file is never touched.

    Raises:
        TrustError: there is a file already, or it can not be written.
    """
    key = NodeKey.generate()
    _write(path, (key,), replace=False)
    return Sealer((key,))


def load_sealer(path: Path) -> Sealer:
    """The sealer of the node key file at *path*.

    Raises:
        TrustError: the file is missing, readable by others than its owner, or not a node key file.
    """
    return Sealer(load_node_keys(path))


def load_node_keys(path: Path) -> tuple[NodeKey, ...]:
    """The keys in the node key file at *path*, the one that seals first.

    Raises:
        TrustError: the file is missing, readable by others than its owner, or not a node key file.
    """
    try:
        # Without O_NONBLOCK a named pipe in the place of the file would wait for its writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise TrustError(f"can not read the node key {path}: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise TrustError(f"the node key {path} is not a regular file")
        if status.st_mode & 0o077:
            raise TrustError(f"the node key {path} may be read by others: run chmod 600 {path}")
        octets = os.read(descriptor, _MAX_FILE_OCTETS)
    finally:
        os.close(descriptor)
    try:
        lines = octets.decode("ascii").splitlines()
    except UnicodeDecodeError:
        raise TrustError(f"{path} is not a node key file") from None
    keys: list[NodeKey] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        if not _KEY_LINE.fullmatch(line):
            raise TrustError(f"{path} line {number}: not a node key")
        keys.append(NodeKey(b64decode(line)))
    if not keys:
        raise TrustError(f"{path} holds no key")
    return tuple(keys)


def rotate_node_key(path: Path) -> Sealer:
    """Put a new key first in the file at *path*; the earlier ones stay and open what they sealed.

    Running processes know the new key when they start again: start them before rows are sealed anew.

    Raises:
        TrustError: the file can not be read or written.
    """
    keys = (NodeKey.generate(), *load_node_keys(path))
    _write(path, keys, replace=True)
    return Sealer(keys)


def retire_node_keys(path: Path) -> int:
    """Leave only the key that seals in the file at *path*, and return how many went.

    Call it when `federation.trust.rotation.reseal_rows` has been committed: what the others sealed is lost with them.

    Raises:
        TrustError: the file can not be read or written.
    """
    keys = load_node_keys(path)
    _write(path, keys[:1], replace=True)
    return len(keys) - 1


def _write(path: Path, keys: Sequence[NodeKey], *, replace: bool) -> None:
    """Write the whole file or nothing: a temporary one beside it, then a link (new) or a rename (replace)."""
    text = "\n".join([_FILE_HEADER, *(b64encode(key.octets).decode() for key in keys), ""])
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                os.fchmod(descriptor, 0o600)  # whatever the umask took or left
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            if replace:
                temporary.replace(path)
            else:
                path.hardlink_to(temporary)
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except FileExistsError:
        raise TrustError(f"there is a node key at {path} already; it is left as it is") from None
    except OSError as error:
        raise TrustError(f"can not write the node key {path}: {error.strerror}") from error
