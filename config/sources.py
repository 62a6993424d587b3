"""Where settings come from: arguments over the environment over `…_FILE` over biebroam.toml over the defaults."""

import os
import re
import tomllib
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from config.paths import DataDirectory
from config.settings import (
    ALL_ADDRESSES,
    DEFAULT_DATA,
    DEFAULT_HOSTED_HOMES,
    LogFormat,
    LogLevel,
    Settings,
    SettingsError,
)

PREFIX = "BIEBROAM_"
# Read by the command line itself, not by a role.
_OF_COMMANDS = frozenset({"BIEBROAM_TOKEN", "BIEBROAM_TOKEN_FILE", "BIEBROAM_API", "BIEBROAM_CHILD"})
_MAX_FILE_OCTETS = 65_536
_MAX_WORKERS = 256
_MAX_DAYS = 3_660
_DNS_PORT = 53
_DESTINATION = re.compile(r"file:.+|syslog(:[A-Za-z0-9.:\[\]-]+:[0-9]{1,5})?")
_PREFIX = re.compile(r"[A-Za-z0-9./_-]{1,100}")
_ALL_WORDS = frozenset({"", "*", "all"})

Port = Annotated[int, Field(ge=0, le=65_535)]  # 0: any free one


def _parse_nameserver(text: str) -> str:
    """The address with its port, as Settings has it."""
    host, port = text, str(_DNS_PORT)
    if text.startswith("[") or text.count(":") == 1:
        host, _, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
    address = ip_address(host)
    if not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError("a nameserver looks like 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:5353")
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


class _Read(BaseSettings):
    """The settings while they are checked; each field is a setting of docs/operations.md."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", hide_input_in_errors=True)

    data: Path = DEFAULT_DATA
    database_url: SecretStr = SecretStr("")
    listen: Annotated[tuple[str, ...], NoDecode] = ALL_ADDRESSES
    auth_port: Port = 1812
    acct_port: Port = 1813
    radsec_port: Port = 2083
    api_listen: str = "127.0.0.1"
    api_port: Port = 8080
    hosted_homes: Annotated[tuple[str, ...], NoDecode] = DEFAULT_HOSTED_HOMES
    workers: Annotated[int, Field(ge=1, le=_MAX_WORKERS)] = Field(
        default_factory=lambda: len(os.sched_getaffinity(0)), validate_default=False
    )
    nameservers: Annotated[tuple[str, ...], NoDecode] = ()
    sign_in_days: Annotated[int, Field(ge=0, le=_MAX_DAYS)] = 7
    fticks: str = ""
    fticks_prefix: str = ""
    fticks_station: Literal[
        "static", "original", "vendor-hashed", "vendor-key-hashed", "fully-hashed", "fully-key-hashed"
    ] = "vendor-key-hashed"
    radsec_folder: Path | None = None
    udp_segmentation: bool = True
    require_crypto_binding: bool = False
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat | None = None

    @field_validator("listen", mode="before")
    @classmethod
    def split_addresses(cls, value: object) -> object:
        """Addresses come as a list, or as one text with commas; "*" is all of them."""
        if isinstance(value, str):
            value = ALL_ADDRESSES if value.strip() in _ALL_WORDS else [part.strip() for part in value.split(",")]
        return value

    @field_validator("listen")
    @classmethod
    def check_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Each is an IP address: a name could mean another address after the next look-up."""
        if not value:
            raise ValueError("at least one address is needed")
        return tuple(dict.fromkeys(str(ip_address(address)) for address in value))

    @field_validator("hosted_homes", "nameservers", mode="before")
    @classmethod
    def split_places(cls, value: object) -> object:
        """They come as a list, or as one text with commas."""
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("nameservers")
    @classmethod
    def check_nameservers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Each is an IP address, with a port where it is not 53; IPv6 with a port in brackets."""
        return tuple(map(_parse_nameserver, value))

    @field_validator("hosted_homes")
    @classmethod
    def check_hosted_homes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Each is an IP address and a port; IPv6 in brackets."""
        for address in value:
            host, _, port = address.rpartition(":")
            bare = host.removeprefix("[").removesuffix("]")
            if not port.isdecimal() or not 0 < int(port) < 65_536 or (":" in bare) != host.startswith("["):
                raise ValueError("a home server looks like 127.0.0.1:18120 or [::1]:18120")
            ip_address(bare)
        return value

    @field_validator("api_listen")
    @classmethod
    def check_address(cls, value: str) -> str:
        """An IP address."""
        return str(ip_address(value.strip()))

    @field_validator("fticks")
    @classmethod
    def check_destination(cls, value: str) -> str:
        """A file, this machine's syslog, or a collector."""
        if value and not _DESTINATION.fullmatch(value):
            raise ValueError("F-Ticks go to file:PATH, syslog or syslog:HOST:PORT")
        return value

    @field_validator("fticks_prefix")
    @classmethod
    def check_prefix(cls, value: str) -> str:
        """What a line begins with."""
        if value and not _PREFIX.fullmatch(value):
            raise ValueError("the prefix of F-Ticks looks like F-TICKS/biebroam/1.0")
        return value

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def lower(cls, value: object) -> object:
        """The words are the same in capitals; an empty one is none."""
        return (value.strip().lower() or None) if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def check_url(cls, value: SecretStr) -> SecretStr:
        """A URL of SQLAlchemy's; whether the database is there shows when it is opened."""
        url = value.get_secret_value()
        if url and "://" not in url:
            raise ValueError("a database URL looks like sqlite:////path/to/file or postgresql+psycopg://user@host/name")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Everything is handed in by `load_settings`, which knows the place of each value."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


def load_settings(
    *, data: Path | None = None, workers: int | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """The settings of this node; `data` and `workers` are command-line options and win.

    Raises:
        SettingsError: a value can not be, stands twice, or nobody knows its name.
    """
    given = _read_environment(os.environ if environment is None else environment)
    places = {name: place for name, (_, place) in given.items()}
    values: dict[str, object] = {name: value for name, (value, _) in given.items()}
    for name, value, option in (("data", data, "--data"), ("workers", workers, "--workers")):
        if value is not None:
            values[name], places[name] = value, option
    root = Path(str(values.get("data", DEFAULT_DATA)))
    file = DataDirectory(root).settings
    for name, value in _read_file(file).items():
        if name not in values:
            values[name], places[name] = value, f"{file}: {name}"
    try:
        read = _Read(**values)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - checked there
    except ValidationError as error:
        raise SettingsError("\n".join(_describe(places, item) for item in error.errors())) from None
    return Settings(
        data=read.data.absolute(),
        database_url=read.database_url.get_secret_value(),
        listen=read.listen,
        auth_port=read.auth_port,
        acct_port=read.acct_port,
        radsec_port=read.radsec_port,
        api_listen=read.api_listen,
        api_port=read.api_port,
        hosted_homes=read.hosted_homes,
        nameservers=read.nameservers,
        workers=read.workers,
        sign_in_days=read.sign_in_days,
        fticks=read.fticks,
        fticks_prefix=read.fticks_prefix,
        fticks_station=read.fticks_station,
        radsec_folder=None if read.radsec_folder is None else root.absolute() / read.radsec_folder,
        udp_segmentation=read.udp_segmentation,
        require_crypto_binding=read.require_crypto_binding,
        log_level=read.log_level,
        log_format=read.log_format,
    )


def find_unknown(environment: Mapping[str, str]) -> list[str]:
    """Variables that look like settings and are none: a slip that would otherwise be silent."""
    known = {PREFIX + name.upper() for name in _Read.model_fields}
    known |= {f"{name}_FILE" for name in known} | _OF_COMMANDS
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)


def _read_environment(environment: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Setting → (text, variable that it came from)."""
    found: dict[str, tuple[str, str]] = {}
    for name in _Read.model_fields:
        variable = PREFIX + name.upper()
        file_variable = f"{variable}_FILE"
        text, file = environment.get(variable), environment.get(file_variable)
        if text is not None and file is not None:
            raise SettingsError(f"{variable} and {file_variable} are both set: which one holds?")
        if file is not None:
            found[name] = (_read_secret(file_variable, Path(file)), file_variable)
        elif text:  # an empty variable is one that is not set
            found[name] = (text, variable)
    return found


def _read_secret(variable: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            octets = file.read(_MAX_FILE_OCTETS + 1)
        if len(octets) > _MAX_FILE_OCTETS:
            raise SettingsError(f"{variable}: {path} has more than {_MAX_FILE_OCTETS} octets")
        return octets.decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise SettingsError(f"{variable}: can not read {path}: {why}") from None


def _read_file(path: Path) -> dict[str, Any]:
    """The settings in biebroam.toml; none when there is no such file."""
    try:
        text = path.read_text()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"can not read {path}: {error}") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: {error}") from None
    for name in values:
        if name == "data":
            raise SettingsError(f"{path}: data: the file is in the data directory and can not name another")
        if name not in _Read.model_fields:
            raise SettingsError(f"{path}: {name}: there is no such setting; known are {', '.join(_Read.model_fields)}")
    return values


def _describe(places: Mapping[str, str], error: Mapping[str, Any]) -> str:  # Any: pydantic's error details
    name = str(error["loc"][0]) if error["loc"] else ""
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{places.get(name, name)}: {message}"
