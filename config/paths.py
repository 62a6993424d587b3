"""The layout of a data directory: which file is where, and how files in it are replaced."""

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECRET_MODE = 0o600
DIRECTORY_MODE = 0o700  # the node key and the database are in it


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """The places in one data directory; nothing is made by asking for them."""

    root: Path

    @property
    def settings(self) -> Path:
        """Settings that are not in the environment."""
        return self.root / "biebroam.toml"

    @property
    def database(self) -> Path:
        """The registry, when it is SQLite."""
        return self.root / "biebroam.db"

    @property
    def node_key(self) -> Path:
        """The key that opens every secret in the database."""
        return self.root / "node.key"

    @property
    def snapshot(self) -> Path:
        """The last good snapshot of the proxies, sealed."""
        return self.root / "snapshot.sealed"

    @property
    def home_snapshot(self) -> Path:
        """The last good snapshot of the hosted home servers, sealed."""
        return self.root / "home-snapshot.sealed"

    @property
    def radsec(self) -> Path:
        """What a home server that stands alone shows over RADIUS/TLS: key, certificate chain and anchors."""
        return self.root / "radsec"

    @property
    def ports(self) -> Path:
        """The ports that the running service took."""
        return self.root / "ports.json"

    @property
    def run(self) -> Path:
        """Sockets and status files of the running workers."""
        return self.root / "run"

    def make(self) -> None:
        """The directory and its run directory exist; for the owner only when they are made here."""
        for directory in (self.root, self.run):
            directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)


def write_atomically(path: Path, octets: bytes, *, mode: int = 0o644) -> None:
    """The file holds `octets`, or, after any failure, what it held before.

    Raises:
        OSError: the file can not be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(octets)
        temporary.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise


def write_ports(directory: DataDirectory, ports: Mapping[str, object], *, keeps_others: bool = False) -> None:
    """ports.json holds these ports; `keeps_others` leaves those that other roles wrote.

    Raises:
        OSError: the file can not be written.
    """
    known = read_ports(directory) if keeps_others else {}
    write_atomically(directory.ports, json.dumps({**known, **ports}).encode() + b"\n")


def read_ports(directory: DataDirectory) -> dict[str, Any]:
    """What ports.json says; empty when there is none. Values are ports, or lists of ports."""
    try:
        found: object = json.loads(directory.ports.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType] - JSON
