"""The settings as plain values, as every role gets them; `config.sources` reads and checks them.

They are kept apart from their sources so that a worker, which gets them from the process that started it, neither reads
files nor loads the libraries that check them: it starts in half the time and stays small.
"""

import json
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from config.paths import DataDirectory

DEFAULT_DATA = Path("biebroam-data")
ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104 - access points come from everywhere; each packet is authenticated

DEFAULT_HOSTED_HOMES = ("127.0.0.1:18120",)


class SettingsError(Exception):
    """Settings that can not be; the message names each one, where it stands, and what would be right."""


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """For whom is logged."""

    CONSOLE = "console"  # a person at a terminal
    JSON = "json"  # a collector: one object on a line


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator has decided about this node."""

    data: Path = DEFAULT_DATA
    database_url: str = field(default="", repr=False)  # may hold a password; empty: SQLite in the data directory
    listen: tuple[str, ...] = ALL_ADDRESSES  # IP addresses for RADIUS
    auth_port: int = 1812
    acct_port: int = 1813
    radsec_port: int = 2083
    api_listen: str = "127.0.0.1"
    api_port: int = 8080
    hosted_homes: tuple[str, ...] = DEFAULT_HOSTED_HOMES  # where a proxy that runs alone finds Biebroam's home servers
    workers: int = 1  # proxy processes of `serve`
    nameservers: tuple[str, ...] = ()  # asked where realms are discovered; empty: those of this machine
    sign_in_days: int = 7  # how long sign-ins are kept; 0: not at all
    fticks: str = ""  # where F-Ticks go: "file:PATH", "syslog" or "syslog:HOST:PORT"; empty: none are written
    fticks_prefix: str = ""  # empty: F-TICKS/<name of the federation>/1.0
    fticks_station: str = "vendor-key-hashed"  # how devices' addresses are written in them
    radsec_folder: Path | None = None  # what `home` alone shows over RADIUS/TLS; None: `radsec` in the data directory
    udp_segmentation: bool = True  # datagrams of one length to one receiver are given to the kernel as one
    require_crypto_binding: bool = False  # of devices that sign in with PEAP; not all of them know it
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat | None = None  # None: console on a terminal, else JSON

    @property
    def directory(self) -> DataDirectory:
        """The places in the data directory."""
        return DataDirectory(self.data)

    @property
    def store_url(self) -> str:
        """The database, with its default filled in."""
        return self.database_url or f"sqlite:///{self.directory.database.absolute()}"

    @property
    def radsec_directory(self) -> Path:
        """Where `home` alone has its certificate for RADIUS/TLS, with the default filled in; it need not be there."""
        return self.radsec_folder or self.directory.radsec

    @property
    def hosted_addresses(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each of Biebroam's own home servers."""
        return _split(self.hosted_homes)

    @property
    def nameserver_addresses(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each nameserver."""
        return _split(self.nameservers)

    @property
    def recording(self) -> tuple[int, str, str, str]:
        """What the recorder keeps and tells: days, and of F-Ticks the destination, the prefix and how devices look."""
        return self.sign_in_days, self.fticks, self.fticks_prefix, self.fticks_station

    def to_json(self) -> str:
        """The settings as a worker gets them from the process that starts it."""
        return json.dumps({item.name: getattr(self, item.name) for item in fields(self)}, default=str)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The settings that `to_json` wrote."""
        values: dict[str, Any] = json.loads(text)  # Any: JSON of our own making
        values["data"] = Path(values["data"])
        values["radsec_folder"] = values["radsec_folder"] and Path(values["radsec_folder"])
        values["listen"] = tuple(values["listen"])
        values["hosted_homes"] = tuple(values["hosted_homes"])
        values["nameservers"] = tuple(values["nameservers"])
        values["log_level"] = LogLevel(values["log_level"])
        values["log_format"] = values["log_format"] and LogFormat(values["log_format"])
        return cls(**values)


def _split(addresses: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    parts = (address.rpartition(":") for address in addresses)
    return tuple((host.strip("[]"), int(port)) for host, _, port in parts)
