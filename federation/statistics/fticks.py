"""F-Ticks: a line for each sign-in that was accepted or refused, for who counts roaming (draft-johansson-fticks).

    F-TICKS/biebroam/1.0#REALM=lib-a.example#VISCOUNTRY=NL#VISINST=1lib-b.example#CSI=00-11-22-…#RESULT=OK#

A line never names a patron. A destination that can not be written loses lines, which are counted, and stops nothing.
"""

import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol, TextIO

from federation.events import Outcome, SignIn
from federation.statistics.stations import StationForm, render_station

MAX_LINE_CHARACTERS: Final = 1024  # RFC 5424 §6.1: what every collector takes
_SYSLOG_PRIORITY: Final = 13 * 8 + 5  # RFC 5424 §6.2.1: facility "log audit", severity "notice"
_LOCAL_SYSLOG: Final = "/dev/log"
_RESULTS: Final = {Outcome.ACCEPTED: "OK", Outcome.REJECTED: "FAIL"}


@dataclass(frozen=True, slots=True)
class TickFormat:
    """What the lines of this federation look like."""

    prefix: str  # "F-TICKS/biebroam/1.0"
    country: str
    station_form: StationForm = StationForm.VENDOR_KEY_HASHED


def render_tick(event: SignIn, shape: TickFormat, operator_name: str, key: bytes) -> str | None:
    """The line of an event; None for one that is neither an accept nor a reject."""
    result = _RESULTS.get(event.outcome)
    if result is None:
        return None
    values: list[tuple[str, str]] = [("REALM", event.realm), ("VISCOUNTRY", shape.country)]
    if operator_name:
        values.append(("VISINST", f"1{operator_name}"))  # RFC 5580 §4.1: 1 is the namespace of realms
    values += [("CSI", render_station(event.station, shape.station_form, key)), ("RESULT", result)]
    line = shape.prefix + "".join(f"#{name}={_clean(value)}" for name, value in values) + "#"
    return line[:MAX_LINE_CHARACTERS]


def _clean(value: str) -> str:
    """The value without what would end it, or the line."""
    return "".join("_" if character == "#" or not character.isprintable() else character for character in value)


class TickSink(Protocol):
    """Where lines go."""

    def write(self, line: str) -> None:
        """The line is there.

        Raises:
            OSError: it is not.
        """
        ...

    def close(self) -> None:
        """What is open is closed."""
        ...


class FileSink:
    """Lines at the end of a file, which is opened anew when it was moved away, as log rotation does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None
        self._inode = 0

    def write(self, line: str) -> None:
        """The line is at the end of the file."""
        if self._file is None or not self._is_there():
            self.close()
            self._file = self._path.open("a", encoding="utf-8", buffering=1)
            self._inode = self._path.stat().st_ino
        self._file.write(line + "\n")

    def close(self) -> None:
        """The file is closed."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None

    def _is_there(self) -> bool:
        try:
            return self._path.stat().st_ino == self._inode
        except OSError:
            return False


class SyslogSink:
    """Lines as datagrams to a syslog collector (RFC 5424 over UDP, RFC 5426), or to this machine's own."""

    def __init__(self, host: str, port: int, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`host` empty: the socket of this machine's syslog."""
        self._address = (host, port)
        self._now = now
        self._socket: socket.socket | None = None

    def write(self, line: str) -> None:
        """The line is sent; nobody says whether it arrived."""
        host, _ = self._address
        if self._socket is None:
            self._socket = self._connect()
        moment = self._now().isoformat(timespec="milliseconds")
        text = f"1 {moment} - biebroam - - - {line}" if host else f"biebroam: {line}"  # the local one adds its own
        try:
            self._socket.send(f"<{_SYSLOG_PRIORITY}>{text}".encode())
        except OSError:
            self.close()  # an address that answers again is found again
            raise

    def close(self) -> None:
        """The socket is closed."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> socket.socket:
        host, port = self._address
        if not host:
            local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            local.setblocking(False)
            local.connect(_LOCAL_SYSLOG)
            return local
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        remote = socket.socket(family, kind)
        remote.setblocking(False)
        remote.connect(address)
        return remote


@dataclass(frozen=True, slots=True)
class TickSettings:
    """What an operator has said about F-Ticks."""

    destination: str = ""  # "file:PATH", "syslog" or "syslog:HOST:PORT"; empty: none are written
    prefix: str = ""  # empty: F-TICKS/<name of the federation>/1.0
    station_form: StationForm = StationForm.VENDOR_KEY_HASHED


def build_sink(destination: str) -> TickSink:
    """The place that a setting names; nothing is opened yet.

    Raises:
        ValueError: it names none.
    """
    kind, _, rest = destination.partition(":")
    if kind == "file" and rest:
        return FileSink(Path(rest))
    if destination == "syslog":
        return SyslogSink("", 0)
    host, _, port = rest.rpartition(":")
    if kind != "syslog" or not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError(f"{destination!r} is no place for F-Ticks: file:PATH, syslog or syslog:HOST:PORT")
    return SyslogSink(host.strip("[]"), int(port))


class Ticks:
    """Writes the lines of events to one place and counts those that were lost."""

    def __init__(self, sink: TickSink, shape: TickFormat, key: Callable[[datetime], bytes]) -> None:
        """`key` gives the key of a moment's day."""
        self.written = 0
        self.lost = 0
        self._sink = sink
        self._shape = shape
        self._key = key

    def write(self, event: SignIn, operator_names: Mapping[str, str]) -> None:
        """The event's line is written, if it has one, or counted as lost."""
        key = self._key(datetime.fromtimestamp(event.at, UTC))
        line = render_tick(event, self._shape, operator_names.get(event.visited, ""), key)
        if line is None:
            return
        try:
            self._sink.write(line)
        except OSError:
            self.lost += 1
        else:
            self.written += 1

    def close(self) -> None:
        """The destination is closed."""
        self._sink.close()
